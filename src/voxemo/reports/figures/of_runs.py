"""Every figure that finished runs allow, as files of one folder."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from voxemo.core.errors import RunError
from voxemo.core.escape import for_figure
from voxemo.reports import analyses
from voxemo.reports.figures import frames
from voxemo.reports.figures.canvas import KINDS, Kind, check_drawing
from voxemo.reports.figures.distributions import calibration, distributions
from voxemo.reports.figures.groups import agreement, groups
from voxemo.reports.figures.matrices import confusion, transfer_map
from voxemo.reports.figures.prompts import prompt_effect, prompt_sensitivity
from voxemo.reports.figures.ranking import ranks
from voxemo.reports.figures.training import sft_gain
from voxemo.reports.ranking import Ranking, rankings
from voxemo.reports.scoreboard import Board, FinishedRun, distribution_failures, prompt_title
from voxemo.reports.transfer import read_cells, transfer_pairs
from voxemo.store.layout import RunPaths
from voxemo.store.tables import ANALYSES, CONFUSIONS, read_table


def write_figures(
    boards: Sequence[Board],
    runs: Sequence[FinishedRun],
    folder: Path,
    *,
    on_skip: Callable[[str], None],
    kinds: Sequence[Kind] = KINDS,
) -> list[Path]:
    """Write the figures of each run, of each board, and of all runs together; what has no data is left out.

    Args:
        boards: of ``scoreboard.boards(runs)``.
        runs: what the boards were made of.
        folder: to write into.
        on_skip: is told, in a sentence, what cannot be drawn of a run that an older version scored, and the command
            that scores it again. All else is drawn.
        kinds: of files.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    check_drawing()
    written: list[Path] = []
    for run in runs:
        for draw in (_confusions, _analyses):
            with _said(f"figures of {run.manifest.run_id}", on_skip):
                written += draw(run, folder, kinds)
    written += _prompt_figures(boards, runs, folder, kinds)
    written += _paper_figures(boards, runs, folder, kinds)
    ranked: list[Ranking] = []
    with _said("figures of ranks", on_skip):
        ranked = rankings(boards, runs)
    for ranking in ranked:
        name = "ranks-synthetic" if ranking.synthetic else "ranks"
        splits = f"{len(ranking.splits)} evaluation split{'' if len(ranking.splits) == 1 else 's'}"
        title = f"Ranks over {splits}{', synthetic' if ranking.synthetic else ''}"
        written += ranks(frames.rank_frame(ranking), folder, name, title=title, kinds=kinds)
    for base, pairs in transfer_pairs(runs).items():
        if any(not pair.in_domain for pair in pairs):
            name = _file_name("transfer", base)
            written += transfer_map(read_cells(pairs), folder, name, title=f"Transfer of {base}", kinds=kinds)
    return written


@contextmanager
def _said(what: str, on_skip: Callable[[str], None]) -> Iterator[None]:
    """A run folder that cannot be read keeps these figures from being drawn, and no others."""
    try:
        yield
    except RunError as error:
        on_skip(f"{what} are not all drawn: {error}")


def _file_name(*words: str | None) -> str:
    return ".".join(re.sub(r"[^A-Za-z0-9+-]+", "-", word).strip("-") for word in words if word)


def _about(run: FinishedRun) -> tuple[str, str]:
    """A run's model, and the mark of a partial one."""
    return next(iter(run.manifest.model_cards.values())).name, " (PARTIAL)" if run.partial else ""


def _confusions(run: FinishedRun, folder: Path, kinds: Sequence[Kind]) -> Iterator[Path]:
    manifest, (model, mark) = run.manifest, _about(run)
    counts = read_table(RunPaths(run.path).confusions, CONFUSIONS)
    for partition, system in counts.select("partition", "system_id").unique(maintain_order=True).iter_rows():
        own = counts.filter(
            pl.col("partition") == partition, pl.col("system_id") == system, pl.col("reading") == "strict"
        )
        title = f"{model}, {prompt_title(system)}: {manifest.corpus_card.name}, {partition}{mark}"
        name = _file_name(manifest.run_id, partition, "confusion", system)
        yield from confusion(own, folder, name, title=title, kinds=kinds, labels=manifest.label_names)


def _analyses(run: FinishedRun, folder: Path, kinds: Sequence[Kind]) -> Iterator[Path]:
    manifest, (model, mark) = run.manifest, _about(run)
    rows = read_table(RunPaths(run.path).analyses, ANALYSES)
    drawn = {"calibration": calibration, "distributions": distributions, "agreement": agreement, "groups": groups}
    for partition, rule, part in vote_rule_parts(rows):
        counted = f", votes counted {rule!r}" if rule is not None else ""
        for what, draw in drawn.items():
            title = f"{model}: {manifest.corpus_card.name}, {partition}{counted}{mark}"
            name = _file_name(manifest.run_id, partition, what, rule)
            yield from draw(part, folder, name, title=for_figure(title, most=300), kinds=kinds)


def vote_rule_parts(rows: pl.DataFrame) -> Iterator[tuple[str, str | None, pl.DataFrame]]:
    """Rows of analyses by test part and rule of counting votes; those of no rule stand with each, or alone."""
    for partition in rows["partition"].unique(maintain_order=True):
        own = rows.filter(pl.col("partition") == partition)
        rules = own["vote_rule"].drop_nulls().unique(maintain_order=True).to_list()
        for rule in rules or [None]:
            yield partition, rule, own.filter(pl.col("vote_rule").is_null() | pl.col("vote_rule").eq_missing(rule))


def _prompt_figures(
    boards: Sequence[Board], runs: Sequence[FinishedRun], folder: Path, kinds: Sequence[Kind]
) -> Iterator[Path]:
    failures = distribution_failures(runs)
    for hard in boards:
        if hard.vote_rule is not None:
            continue
        same = [board for board in boards if board.vote_rule is not None and _place(board) == _place(hard)]
        own = [run for run in runs if run.manifest.run_id in {entry.run_id for entry in hard.entries}]
        mine = failures.filter(pl.col("run_id").is_in([run.manifest.run_id for run in own]))
        data = frames.sensitivity_frame([hard, *same[:1]], mine, own)
        heard = None if hard.audio_condition == "clean" else hard.audio_condition
        title = f"Prompts: {hard.corpus_name}, {hard.partition}" + (f", heard: {heard}" if heard else "")
        name = _file_name(hard.corpus_id, hard.split_id, hard.partition, hard.label_source, heard, "prompts")
        yield from prompt_sensitivity(data, folder, name, title=title, kinds=kinds)


def _paper_figures(
    boards: Sequence[Board], runs: Sequence[FinishedRun], folder: Path, kinds: Sequence[Kind]
) -> Iterator[Path]:
    """The paper's analyses over several corpora, apart for real and for synthetic ones."""
    facts = analyses.corpora([run.manifest.corpus_card for run in runs])
    for synthetic, mark, what in ((False, "", "corpora"), (True, "-synthetic", "synthetic corpora")):
        scores = analyses.measured(boards, runs, synthetic=synthetic)
        if scores.select("corpus_id", "partition").n_unique() < 2:
            continue
        data, title = frames.mean_sensitivity_frame(scores), f"Prompts: mean over {what}"
        yield from prompt_sensitivity(data, folder, f"prompts{mark}", title=title, kinds=kinds)
        data, title = frames.effect_frame(scores, facts), f"What prompts change, by kind of {what}"
        yield from prompt_effect(data, folder, f"prompt-effect{mark}", title=title, kinds=kinds)
        data, title = analyses.sft_gain(scores, facts), f"Gain by fine-tuning, by size of {what}"
        yield from sft_gain(data, folder, f"sft-gain{mark}", title=title, kinds=kinds)


def _place(board: Board) -> tuple[object, ...]:
    return board.corpus_id, board.partition, board.split_id, board.label_source, board.audio_condition
