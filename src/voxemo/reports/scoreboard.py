"""Many runs to one scoreboard: boards of rows that may be compared, for the terminal, Markdown and CSV.

A board holds only runs over the same corpus manifest, split, partition and label source. Reference rows (what needs no
listening) and published figures of the same corpus stand in it too, marked as such.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import polars as pl

from voxemo.catalog import lookup
from voxemo.core.cards import RunManifest
from voxemo.core.errors import RunError
from voxemo.core.escape import for_markdown
from voxemo.core.types import CORRECTED, ENSEMBLE, LIKELIHOOD, MEAN_DISTRIBUTION, REFERENCE, AudioCondition
from voxemo.reports.tables import markdown_table
from voxemo.store.layout import RunPaths
from voxemo.store.manifest import read_manifest
from voxemo.store.tables import SCORES, read_table

HARD_COLUMNS = ("unweighted_accuracy", "weighted_accuracy", "macro_f1", "micro_f1")
SOFT_COLUMNS = (
    "soft_macro_f1",
    "soft_micro_f1",
    "top1_accuracy",
    "kld",
    "jsd",
    "tvd",
    "cosine",
    "mse",
    "jsd_skill",
)

TITLES = {
    "unweighted_accuracy": "UA %",
    "weighted_accuracy": "WA %",
    "macro_f1": "maF1 %",
    "micro_f1": "miF1 %",
    "soft_macro_f1": "maF1 %",
    "soft_micro_f1": "miF1 %",
    "top1_accuracy": "top-1 %",
    "kld": "KLD",
    "jsd": "JSD",
    "tvd": "TVD",
    "cosine": "cos x100",
    "mse": "MSE",
    "jsd_skill": "skill",
}
PERCENT = frozenset(
    {
        "unweighted_accuracy",
        "weighted_accuracy",
        "macro_f1",
        "micro_f1",
        "soft_macro_f1",
        "soft_micro_f1",
        "top1_accuracy",
        "cosine",
    }
)

REFERENCE_NAMES = {
    "uniform": "uniform guess",
    "train_prior": "train prior",
    "majority": "train majority",
    "human": "one human rater",
}

# Published names of the soft metrics, as the paper calls them, to ours.
PUBLISHED_SOFT = {"macro_f1": "soft_macro_f1", "micro_f1": "soft_micro_f1"}

Kind = Literal["run", "reference", "published"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A number with its interval."""

    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of a board."""

    kind: Kind
    model: str
    system: str
    training: str
    cells: Mapping[str, Cell]
    n: int | None
    n_failed: int | None
    partial: bool
    """The run does not cover what it should; marked in its row."""
    run_id: str | None
    note: str = ""

    @property
    def failure_rate(self) -> float | None:
        """Share of scored utterances without a usable answer; None for rows that are no run."""
        return None if self.n is None or self.n_failed is None or not self.n else self.n_failed / self.n


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Rows that may be compared."""

    corpus_id: str
    corpus_name: str
    partition: str
    split_id: str
    split_source: str
    overlap: str
    speaker_independent: bool | None
    n_folds: int
    label_source: str
    audio_condition: AudioCondition
    vote_rule: str | None
    """None on a board of hard labels."""
    reading: str
    failure_policy: str
    columns: tuple[str, ...]
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]

    @property
    def main(self) -> str:
        """The metric that rows are ordered by and that is shown with its interval."""
        return "unweighted_accuracy" if self.vote_rule is None else "jsd"

    @property
    def title(self) -> str:
        """What the board is about, in a line."""
        labels = (
            f"{self.label_source} labels"
            if self.vote_rule is None
            else f"soft labels, votes counted {self.vote_rule!r}"
        )
        heard = "" if self.audio_condition == "clean" else f" · HEARD: {self.audio_condition}"
        return f"{self.corpus_name} · {self.partition} · {labels} · {self.reading} reading{heard}"

    @property
    def run_notes(self) -> tuple[str, ...]:
        """What must be known of single runs, each said once."""
        notes = (f"{entry.run_id}: {entry.note}" for entry in self.entries if entry.kind == "run" and entry.note)
        return tuple(dict.fromkeys(notes))

    @property
    def split_line(self) -> str:
        """The split, its source and its computed speaker overlap, in a line."""
        over = "mean over those answered" if any(entry.partial for entry in self.entries) else "mean over folds"
        folds = "1 fold" if self.n_folds == 1 else f"{self.n_folds} folds, {over}"
        return f"split {self.split_id} ({self.split_source}), {folds}; speaker overlap: {self.overlap}"


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A scored run as read from its folder."""

    path: Path
    manifest: RunManifest
    scores: pl.DataFrame

    @property
    def scorer_version(self) -> str:
        """Version of the formulas that gave the scores."""
        return scorer_version(self.scores)

    @property
    def n_scored(self) -> int:
        """Utterances of the largest score, to tell a whole run from a part of one."""
        return int(self.scores["n"].max() or 0)  # type: ignore[arg-type]

    @property
    def partial(self) -> str | None:
        """Why the run does not cover what it should; None for a full one."""
        missing = self.manifest.counts.get("planned", 0) - self.manifest.counts.get("answered", 0)
        reasons = [self.manifest.partial] if self.manifest.partial else []
        if missing:
            reasons.append(f"{missing} of {self.manifest.counts['planned']} requests unanswered")
        return "; ".join(reasons) or None


def scorer_version(scores: pl.DataFrame) -> str:
    """Version of the formulas that gave scores."""
    return ", ".join(sorted(scores["scorer_version"].unique()))


def read_runs(
    folders: Iterable[Path], *, allow_partial: bool = False, on_skip: Callable[[str], None] | None = None
) -> list[FinishedRun]:
    """Read scored runs.

    Args:
        folders: run folders; one given twice counts once.
        allow_partial: take partial runs too.
        on_skip: called with the reason for each folder that is no scored run, or a partial one that was not asked for;
            None raises instead.

    Raises:
        RunError: no run is left, two folders hold runs of one id, or what ``on_skip`` would be told.
    """
    runs: dict[Path, FinishedRun] = {}
    skipped: list[str] = []
    for folder in folders:
        try:
            runs.setdefault(folder.resolve(), _read_run(folder, allow_partial=allow_partial))
        except RunError as error:
            if on_skip is None:
                raise
            on_skip(str(error))
            skipped.append(str(error))
    if not runs:
        raise RunError(" ".join(skipped) or "There is no run folder among what was given. `voxemo run` makes one.")
    by_id: dict[str, Path] = {}
    for run in runs.values():
        other = by_id.setdefault(run.manifest.run_id, run.path)
        if other != run.path:
            raise RunError(
                f"{other} and {run.path} hold the same run with answers of their own. Show one of them; for two "
                "systems plan two runs, each with a model card of its own."
            )
    return list(runs.values())


def _read_run(folder: Path, *, allow_partial: bool) -> FinishedRun:
    manifest = read_manifest(folder)
    run = FinishedRun(folder, manifest, read_table(RunPaths(folder).scores, SCORES))
    if run.partial and not allow_partial:
        raise RunError(
            f"{manifest.run_id} is partial ({run.partial}), so its scores are not those of the benchmark. "
            "Give --partial to show it all the same; it will be marked."
        )
    return run


def boards(
    runs: Sequence[FinishedRun], *, reading: str = "strict", policy: str | None = None, with_published: bool = True
) -> list[Board]:
    """Group runs into boards: hard labels first, then one board per rule of counting votes.

    Args:
        runs: scored runs.
        reading: ``strict`` (the benchmark's) or ``lenient``.
        policy: failure policy; by default ``wrong`` for hard and ``uniform`` for soft scores.
        with_published: add published figures of the same corpus.
    """
    groups: dict[tuple[str, ...], list[FinishedRun]] = {}
    for run in runs:
        m = run.manifest
        key = (m.corpus_card.corpus_id, m.split.split_sha256, m.label_source, m.utterances_sha256, m.audio_condition)
        # Fewer labels to tell apart are another task.
        asked = ",".join(m.label_names)
        groups.setdefault((*key, asked, m.parser_version, m.label_table, run.scorer_version), []).append(run)
    made: list[Board] = []
    for _, members in sorted(groups.items()):
        for partition in sorted({p for run in members for p in run.manifest.split.partitions}):
            rules = sorted({r for run in members for r in run.scores["vote_rule"].unique() if r is not None})
            for rule in (None, *rules):
                chosen = policy or ("wrong" if rule is None else "uniform")
                made.append(_board(members, partition, rule, reading, chosen, with_published))
    return [board for board in made if any(entry.kind == "run" for entry in board.entries)]


def _board(
    runs: Sequence[FinishedRun], partition: str, rule: str | None, reading: str, policy: str, with_published: bool
) -> Board:
    first = runs[0].manifest
    columns = HARD_COLUMNS if rule is None else SOFT_COLUMNS
    entries: list[Entry] = []
    references: dict[str, Entry] = {}
    units: set[str] = set()
    # References first from the run that tests most: those of a part of the test part say nothing about the whole.
    for run in sorted(runs, key=lambda run: -run.n_scored):
        rows = run.scores.filter(
            (pl.col("partition") == partition)
            & (pl.col("vote_rule").is_null() if rule is None else pl.col("vote_rule") == rule)
            & (pl.col("fold_id") == "mean")
            & pl.col("class_label").is_null()
            & pl.col("metric").is_in(columns)
        )
        units.update(unit for unit in rows["ci_unit"].unique() if unit is not None)
        is_reference = pl.col("system_id").str.starts_with(REFERENCE)
        chosen = (pl.col("reading") == reading) & (pl.col("failure_policy") == policy)
        entries += _entries(rows.filter(~is_reference & chosen), run, "run")
        for entry in _entries(rows.filter(is_reference), run, "reference"):
            references.setdefault(entry.system, entry)
    # Published figures are of the card's own label source; beside the other one they would be compared with it.
    with_published = with_published and first.audio_condition == "clean"
    if with_published and first.label_source == first.corpus_card.gold:
        published = _published(first.corpus_card.corpus_id, partition, columns, soft=rule is not None)
    else:
        published = []
    return Board(
        corpus_id=first.corpus_card.corpus_id,
        corpus_name=first.corpus_card.name,
        partition=partition,
        split_id=first.split.split_id,
        split_source=first.split.source,
        overlap=first.split.overlap,
        speaker_independent=first.split.speaker_independent,
        n_folds=first.split.n_folds,
        label_source=first.label_source,
        audio_condition=first.audio_condition,
        vote_rule=rule,
        reading=reading,
        failure_policy=policy,
        columns=columns,
        entries=(*sorted(_told_apart(entries), key=_by_main_metric(rule)), *references.values(), *published),
        notes=_notes(runs, rule, policy, units=", ".join(sorted(units)), references=references, published=published),
    )


def _told_apart(entries: Sequence[Entry]) -> list[Entry]:
    """Entries that would read the same get the hash of their run behind the model's name."""
    names = Counter((entry.model, entry.training, entry.system) for entry in entries)
    return [
        replace(entry, model=f"{entry.model} ({str(entry.run_id).rpartition('.')[2]})")
        if names[entry.model, entry.training, entry.system] > 1
        else entry
        for entry in entries
    ]


def _by_main_metric(rule: str | None) -> Callable[[Entry], tuple[bool, float]]:
    """Sort key: whole runs before partial ones, then the highest UA on hard boards, the lowest JSD on soft ones."""
    column, sign = ("unweighted_accuracy", -1) if rule is None else ("jsd", 1)

    def key(entry: Entry) -> tuple[bool, float]:
        cell = entry.cells.get(column)
        return entry.partial, float("inf") if cell is None or cell.value is None else sign * cell.value

    return key


def _entries(rows: pl.DataFrame, run: FinishedRun, kind: Kind) -> list[Entry]:
    manifest = run.manifest
    entries = []
    for (system, _form, model, training), part in rows.partition_by(
        "system_id", "form", "model_id", "training", as_dict=True, maintain_order=True
    ).items():
        cells = {
            row["metric"]: Cell(value=row["value"], ci_low=row["ci_low"], ci_high=row["ci_high"])
            for row in part.iter_rows(named=True)
        }
        name = str(system).removeprefix(REFERENCE)
        is_run = kind == "run"
        source = part["source_corpus_id"][0]
        how = f"transfer from {source}" if training == "transfer" else str(training).replace("_", "-")
        notes = [f"PARTIAL: {run.partial}"] if run.partial else []
        notes += [f"deviates from the protocol: {text}" for text in manifest.deviations]
        entries.append(
            Entry(
                kind=kind,
                model=str(model) if is_run else REFERENCE_NAMES.get(name, name),
                system=name,
                training=how if is_run else "",
                cells=cells,
                n=part["n"][0],
                n_failed=part["n_failed"][0] if is_run else None,
                partial=is_run and run.partial is not None,
                run_id=manifest.run_id if is_run else None,
                note="; ".join(notes) if is_run else "",
            )
        )
    return entries


def _published(corpus_id: str, partition: str, columns: Sequence[str], *, soft: bool) -> list[Entry]:
    found: dict[tuple[str, str, str], dict[str, Cell]] = {}
    for row in lookup.published():
        if row["corpus_id"] != corpus_id or row["partition"] != partition:
            continue
        if (row["form"] == "distribution") != soft:
            continue
        metric = PUBLISHED_SOFT.get(row["metric"], row["metric"]) if soft else row["metric"]
        if metric in columns:
            cells = found.setdefault((row["system"], row["setting"], row["source"]), {})
            cells[metric] = Cell(value=float(row["value"]))
    return [
        Entry(
            kind="published",
            model=system,
            system=setting,
            training="",
            cells=cells,
            n=None,
            n_failed=None,
            partial=False,
            run_id=None,
            note=source,
        )
        for (system, setting, source), cells in found.items()
    ]


def _notes(
    runs: Sequence[FinishedRun],
    rule: str | None,
    policy: str,
    *,
    units: str,
    references: Mapping[str, Entry],
    published: Sequence[Entry],
) -> tuple[str, ...]:
    first = runs[0].manifest
    worth = {
        "wrong": "counts as wrong" if rule is None else "is read as certainty in the label that raters chose least",
        "excluded": "is left out",
        "uniform": "counts as a uniform guess",
    }[policy]
    unit = f", resampling by {units}" if units else ""
    notes = ["UA and WA: unweighted and weighted accuracy; maF1, miF1: macro and micro F1."] if rule is None else []
    notes.append(f"A failed answer {worth}. Intervals: 95 %, bootstrap{unit}.")
    notes.append(
        "Uniform guess, train prior and train majority hear no audio; what does not beat them shows no sign of hearing."
    )
    if rule is not None:
        notes.append(
            "maF1, miF1: F1 of the labels above 1/C. KLD: floor 1e-10. Skill = 1 - JSD / JSD of the train prior."
        )
        human, uniform = references.get("human"), references.get("uniform")
        if human is not None and uniform is not None:
            notes.append(
                f"One human rater against all the others, in turn, on {human.n} utterances with two or more votes; "
                f"{(uniform.n or 0) - (human.n or 0)} with fewer are left out there."
            )
        else:
            notes.append("No human rater: only shares of votes are published for this corpus, no counts.")
    if first.split.speaker_independent is False:
        notes.append("Not speaker-independent: speakers of the test part are in the training part too.")
    if first.corpus_card.synthetic:
        notes.append("Synthetic corpus: shows how the benchmark works; never ranked beside real corpora.")
    if published:
        sources = sorted({entry.note for entry in published})
        notes.append(
            f"Published rows ({'; '.join(sources)}): on their authors' splits and with their parsers; not re-run here."
        )
    for run in runs:
        card = next(iter(run.manifest.model_cards.values()))
        corpora = card.training_corpora
        if card.training is None and (corpora == "undisclosed" or first.corpus_card.corpus_id in corpora):
            notes.append(f"Training data of {card.model_id}: {run.manifest.training_overlap}.")
    return tuple(dict.fromkeys(notes))


# --- failure conventions -----------------------------------------------------------------------------------------


def convention_rows(runs: Sequence[FinishedRun], *, reading: str = "strict") -> pl.DataFrame:
    """UA of every system under the three failure conventions side by side, with the failure rate.

    Columns: run_id, model_id, corpus_id, split_id, partition, system_id, failure_rate, wrong, excluded, uniform.
    """
    rows = pl.concat([run.scores for run in runs])
    hard = rows.filter(
        (pl.col("metric") == "unweighted_accuracy")
        & (pl.col("form") == "hard")
        & (pl.col("fold_id") == "mean")
        & (pl.col("reading") == reading)
        & ~pl.col("system_id").str.starts_with(REFERENCE)
    ).with_columns(failure_rate=pl.col("n_failed") / pl.col("n"))
    keys = ["run_id", "model_id", "corpus_id", "split_id", "partition", "system_id", "failure_rate"]
    wide = hard.pivot("failure_policy", index=keys, values="value", maintain_order=True)
    return wide.select([*keys, *(name for name in ("wrong", "excluded", "uniform") if name in wide.columns)])


def distribution_failures(runs: Sequence[FinishedRun], *, reading: str = "strict") -> pl.DataFrame:
    """Failure rates of stated distributions on corpora without votes, where they have no other score.

    Columns: run_id, partition, system_id, failure_rate (mean over folds).
    """
    rows = pl.concat([run.scores for run in runs])
    return rows.filter(
        pl.col("metric") == "failure_rate",
        pl.col("form") == "distribution",
        pl.col("vote_rule").is_null(),
        pl.col("fold_id") == "mean",
        pl.col("reading") == reading,
    ).select("run_id", "partition", "system_id", pl.col("value").alias("failure_rate"))


# --- text --------------------------------------------------------------------------------------------------------


def format_cell(metric: str, cell: Cell | None, *, interval: bool) -> str:
    """A number as reports print it: percent with one decimal, divergences with three, a dash when undefined."""
    if cell is None or cell.value is None:
        return "-"
    scale, digits = (100, 1) if metric in PERCENT else (1, 4 if metric == "mse" else 3)
    text = f"{cell.value * scale:z.{digits}f}"
    if interval and cell.ci_low is not None and cell.ci_high is not None:
        text += f" [{cell.ci_low * scale:z.{digits}f}, {cell.ci_high * scale:z.{digits}f}]"
    return text


@cache
def prompt_title(system: str) -> str:
    """A prompt variant as the paper abbreviates it (``T+A+R``); other systems keep their name."""
    short = {ENSEMBLE: "vote of 5", MEAN_DISTRIBUTION: "mean of 5"}
    for prefix, how in ((LIKELIHOOD, "likelihood"), (CORRECTED, "likelihood - silence")):
        if system.startswith(prefix):
            return f"{prompt_title(system.removeprefix(prefix))}, {how}"
    return lookup.prompt(system)[0].name if system in lookup.prompt_names() else short.get(system, system)


def table_rows(board: Board) -> list[list[str]]:
    """A board as rows of text, header first; the main metric comes with its interval."""
    rows = [["model", "kind", "prompt", *(TITLES[c] for c in board.columns), "failed %", "n"]]
    for entry in board.entries:
        cells = [
            format_cell(column, entry.cells.get(column), interval=column == board.main) for column in board.columns
        ]
        failed = "" if entry.failure_rate is None else f"{100 * entry.failure_rate:.1f}"
        system = "" if entry.kind == "reference" else prompt_title(entry.system)
        kind = entry.training if entry.kind == "run" else entry.kind
        if entry.partial:
            kind += ", PARTIAL"
        rows.append([entry.model, kind, system, *cells, failed, "" if entry.n is None else str(entry.n)])
    return rows


def markdown(made: Sequence[Board], conventions: pl.DataFrame, failures: pl.DataFrame) -> str:
    """The scoreboard as a Markdown document."""
    parts = ["# Scoreboard\n"]
    for board in made:
        header, *rows = table_rows(board)
        parts.append(f"## {for_markdown(board.title)}\n\n{for_markdown(board.split_line)}\n")
        parts.append(markdown_table(header, rows, n_text=3))
        parts.append("\n".join(f"- {for_markdown(note)}" for note in (*board.run_notes, *board.notes)) + "\n")
    if conventions.height:
        parts.append("## What a failed answer is worth\n\nUnweighted accuracy (%) under the three conventions.\n")
        parts.append(markdown_table(CONVENTION_HEADER, convention_text(conventions), n_text=2))
    if failures.height:
        parts.append("## Distribution answers without votes to score them against\n")
        parts.append(markdown_table(FAILURE_HEADER, failure_text(failures), n_text=2))
    return "\n".join(parts)


FAILURE_HEADER = ("run", "prompt", "failed %")


def failure_text(failures: pl.DataFrame) -> list[list[str]]:
    """The rows of `distribution_failures` as text."""
    return [
        [row["run_id"], prompt_title(row["system_id"]), _percent(row["failure_rate"])]
        for row in failures.iter_rows(named=True)
    ]


CONVENTION_HEADER = ("run", "prompt", "failed %", "as wrong", "excluded", "uniform guess")


def convention_text(conventions: pl.DataFrame) -> list[list[str]]:
    """The rows of `convention_rows` as text."""
    return [
        [
            row["run_id"],
            prompt_title(row["system_id"]),
            *(_percent(row.get(name)) for name in ("failure_rate", "wrong", "excluded", "uniform")),
        ]
        for row in conventions.iter_rows(named=True)
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def csv_table(made: Sequence[Board]) -> pl.DataFrame:
    """The scoreboard as one tidy table, one number a row; fractions, not percent."""
    rows = [
        {
            "corpus_id": board.corpus_id,
            "partition": board.partition,
            "split_id": board.split_id,
            "split_source": board.split_source,
            "speaker_overlap": board.overlap,
            "speaker_independent": board.speaker_independent,
            "label_source": board.label_source,
            "vote_rule": board.vote_rule,
            "reading": board.reading,
            "failure_policy": board.failure_policy,
            "kind": entry.kind,
            "model": entry.model,
            "training": entry.training,
            "system": entry.system,
            "metric": metric,
            "value": cell.value,
            "ci_low": cell.ci_low,
            "ci_high": cell.ci_high,
            "n": entry.n,
            "n_failed": entry.n_failed,
            "run_id": entry.run_id,
            "partial": entry.partial,
            "note": entry.note,
        }
        for board in made
        for entry in board.entries
        for metric, cell in entry.cells.items()
    ]
    return pl.DataFrame(rows, infer_schema_length=None) if rows else pl.DataFrame()
