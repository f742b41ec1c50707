"""A matrix of transfers as the paper's Table 8: sources by targets, macro-F1 with the gain over zero-shot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from voxemo.catalog import lookup
from voxemo.catalog.transfer import CorpusShift, corpus_shift
from voxemo.core.cards import CorpusCard, ModelCard
from voxemo.core.escape import Latex, for_latex, for_markdown
from voxemo.reports.scoreboard import FinishedRun, prompt_title
from voxemo.reports.tables import latex_table, markdown_table, signed
from voxemo.store.layout import RunPaths
from voxemo.store.manifest import read_manifest
from voxemo.store.tables import SCORES, read_table

METRIC = "macro_f1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRuns:
    """One pair of a matrix, and where it was run."""

    source: str
    target: str
    """In a column's head."""
    partition: str | None
    """The test part that counts; the first one when None."""
    in_domain: bool
    shifts: tuple[CorpusShift, ...] = ()
    refused: str | None = None
    run: Path | None = None
    zero_shot: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferCell:
    """One cell of a matrix; scores are fractions, and None where the pair was refused."""

    source: str
    target: str
    in_domain: bool
    shifts: tuple[CorpusShift, ...] = ()
    refused: str | None = None
    model: str = ""
    corpus_id: str = ""
    partition: str = ""
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    zero_shot: float | None = None
    """Of the base model on the same target, under the prompt that is best there."""
    zero_shot_prompt: str = ""
    n: int = 0
    n_failed: int = 0
    partial: bool = False
    published: float | None = None
    published_delta: float | None = None
    run_id: str = ""
    zero_shot_run_id: str = ""
    weights: tuple[tuple[str, float], ...] = ()
    """Corpora of a mixture with their share of each epoch."""

    @property
    def delta(self) -> float | None:
        """Gain over the best zero-shot prompt."""
        return None if self.value is None or self.zero_shot is None else self.value - self.zero_shot


def read_cells(pairs: Sequence[PairRuns]) -> list[TransferCell]:
    """The cells of a matrix from its scored runs.

    Raises:
        RunError: a run has no scores.
    """
    return [_cell(pair) for pair in pairs]


def _cell(pair: PairRuns) -> TransferCell:
    known: dict[str, Any] = {name: getattr(pair, name) for name in ("source", "target", "in_domain", "shifts")}
    if pair.run is None or pair.zero_shot is None:
        return TransferCell(**known, refused=pair.refused or "not run")
    manifest, base = read_manifest(pair.run), read_manifest(pair.zero_shot)
    partition = pair.partition or manifest.split.partitions[0]
    rows = _macro_f1(pair.run, partition)
    row = rows.filter(pl.col("system_id") == "direct") if "direct" in rows["system_id"] else rows.head(1)
    best = _macro_f1(pair.zero_shot, partition).sort("value", descending=True, nulls_last=True).row(0, named=True)
    card = next(iter(manifest.model_cards.values()))
    model = next(iter(base.model_cards.values())).model_id
    corpus_id = manifest.corpus_card.corpus_id
    published = _published(model, pair.source, corpus_id, partition) if manifest.label_names == base.label_names else {}
    own = row.row(0, named=True)
    return TransferCell(
        **known,
        model=model,
        corpus_id=corpus_id,
        partition=partition,
        value=own["value"],
        ci_low=own["ci_low"],
        ci_high=own["ci_high"],
        zero_shot=best["value"],
        zero_shot_prompt=best["system_id"],
        n=own["n"],
        n_failed=own["n_failed"],
        partial=manifest.partial is not None or base.partial is not None,
        published=published.get(METRIC),
        published_delta=published.get(f"delta_{METRIC}"),
        run_id=manifest.run_id,
        zero_shot_run_id=base.run_id,
        weights=_weights(card),
    )


def _weights(card: ModelCard) -> tuple[tuple[str, float], ...]:
    sources = card.training.sources if card.training is not None else ()
    return tuple((source.corpus_id, source.weight) for source in sources)


def _macro_f1(run: Path, partition: str) -> pl.DataFrame:
    """Macro-F1 of every prompt: hard form, strict reading, failed answers wrong, mean over folds."""
    return read_table(RunPaths(run).scores, SCORES).filter(
        pl.col("metric") == METRIC,
        pl.col("partition") == partition,
        pl.col("form") == "hard",
        pl.col("reading") == "strict",
        pl.col("failure_policy") == "wrong",
        pl.col("fold_id") == "mean",
        pl.col("class_label").is_null(),
        # The vote of five is no prompt.
        pl.col("system_id").is_in(lookup.prompt_names()),
    )


def _published(model: str, source: str, corpus_id: str, partition: str) -> dict[str, float]:
    return {
        row["metric"]: float(row["value"])
        for row in lookup.published()
        if (row["system"], row["setting"], row["corpus_id"], row["partition"])
        == (model, f"sft:{source}", corpus_id, partition)
    }


# --- the pairs that runs make --------------------------------------------------------------------------------------


def transfer_pairs(runs: Sequence[FinishedRun]) -> dict[str, list[PairRuns]]:
    """Base model to the pairs of corpora that its fine-tuned runs make, each with the zero-shot run beside it.

    A pair without one is refused, because its gain is not known.
    """
    found: dict[str, list[PairRuns]] = {}
    plain = {_place(run): run for run in runs if next(iter(run.manifest.model_cards.values())).training is None}
    for run in runs:
        manifest = run.manifest
        record = next(iter(manifest.model_cards.values())).training
        if record is None or record.kind != "sft":
            continue
        base = base_model(run)
        beside = plain.get(_place(run))
        target = manifest.corpus_card
        in_domain = record.corpora == (target.corpus_id,)
        sources = [card for name in record.corpora if (card := _card(name, runs)) is not None]
        for partition in manifest.split.partitions:
            several = len(manifest.split.partitions) > 1
            found.setdefault(base, []).append(
                PairRuns(
                    source=record.corpus_id if not record.sources else "+".join(record.corpora),
                    target=f"{target.corpus_id} {partition}" if several else target.corpus_id,
                    partition=partition,
                    in_domain=in_domain,
                    shifts=() if in_domain else tuple(corpus_shift(source, target) for source in sources),
                    refused=None if beside is not None else "no zero-shot run of the base model beside it",
                    run=run.path,
                    zero_shot=None if beside is None else beside.path,
                )
            )
    return found


def _place(run: FinishedRun) -> tuple[str, ...]:
    m = run.manifest
    return (base_model(run), m.corpus_card.corpus_id, m.split.split_sha256, m.label_source, *m.label_names)


def _card(corpus_id: str, runs: Sequence[FinishedRun]) -> CorpusCard | None:
    """The card of a corpus: of a run over it, else the built-in one; None for a stranger's corpus that was not run."""
    for run in runs:
        if run.manifest.corpus_card.corpus_id == corpus_id:
            return run.manifest.corpus_card
    return lookup.corpus_card(corpus_id) if corpus_id in lookup.corpus_names() else None


def base_model(run: FinishedRun) -> str:
    """Id of the model that a run asked; of a trained one, that of the model it was trained from."""
    card = next(iter(run.manifest.model_cards.values()))
    return card.model_id if card.training is None else card.training.base_model_id or card.model_id


# --- text ---------------------------------------------------------------------------------------------------------

NOTE = (
    "Macro-F1 in percent, and in round brackets the gain over the base model under the prompt that is best for it on "
    "this very test part. In square brackets: trained and tested on the same corpus, each fold by its own model."
)


def sources_of(cells: Sequence[TransferCell]) -> list[str]:
    """Rows of a matrix, in their order."""
    return list(dict.fromkeys(cell.source for cell in cells))


def targets_of(cells: Sequence[TransferCell]) -> list[str]:
    """Columns of a matrix, in their order."""
    return list(dict.fromkeys(cell.target for cell in cells))


def cell_text(cell: TransferCell | None) -> str:
    """A cell as tables print it; nothing for a pair that is not in the matrix.

    >>> cell_text(TransferCell(source="a", target="b", in_domain=False, value=0.5, zero_shot=0.52))
    '50.0 (-2.0)'
    """
    if cell is None:
        return ""
    if cell.value is None:
        return "refused" if cell.refused else "-"
    text = _with_gain(cell.value, cell.delta) + (", PARTIAL" if cell.partial else "")
    return f"[{text}]" if cell.in_domain else text


def _with_gain(value: float, delta: float | None) -> str:
    return f"{100 * value:.1f}" + ("" if delta is None else f" ({signed(100 * delta)})")


def table_rows(cells: Sequence[TransferCell]) -> list[list[str]]:
    """The matrix as rows of text, header first: zero-shot, then each source, and below it what the paper has."""
    targets = targets_of(cells)
    by_place = {(cell.source, cell.target): cell for cell in cells}
    rows = [["trained on", *targets], ["zero-shot, best prompt", *(_zero_shot(cells, target) for target in targets)]]
    for source in sources_of(cells):
        own = [by_place.get((source, target)) for target in targets]
        rows.append([source, *map(cell_text, own)])
        if any(cell is not None and cell.published is not None for cell in own):
            rows.append(["  as published", *map(_published_text, own)])
    return rows


def _zero_shot(cells: Sequence[TransferCell], target: str) -> str:
    for cell in cells:
        if cell.target == target and cell.zero_shot is not None:
            return f"{100 * cell.zero_shot:.1f} ({prompt_title(cell.zero_shot_prompt)})"
    return "-"


def _published_text(cell: TransferCell | None) -> str:
    if cell is None or cell.published is None:
        return ""
    return _with_gain(cell.published, cell.published_delta)


SHIFT_HEADER = (
    "trained on",
    "tested on",
    "changes",
    "labels gained",
    "labels lost",
    "audio",
    "label source",
    "language",
)


def shift_rows(cells: Sequence[TransferCell]) -> list[list[str]]:
    """What changes from each source corpus to each target, from their cards."""
    return [
        [
            shift.source_corpus_id,
            shift.target_corpus_id,
            ", ".join(shift.changed) or "nothing",
            ", ".join(shift.unseen_labels) or "-",
            ", ".join(shift.unasked_labels) or "-",
            _change(*map(" ".join, zip(shift.setting, shift.elicitation, shift.recording, strict=True))),
            _change(*shift.label_source),
            _change(*map(", ".join, shift.languages)),
        ]
        for shift in dict.fromkeys(shift for cell in cells for shift in cell.shifts)
    ]


def _change(before: str, after: str) -> str:
    before, after = before.replace("_", " "), after.replace("_", " ")
    return before if before == after else f"{before} → {after}"


def remarks(cells: Sequence[TransferCell]) -> list[str]:
    """What must be known of the matrix: how to read it, weights of mixtures, and refused pairs."""
    mixed = {cell.source: cell.weights for cell in cells if cell.weights}
    return [
        NOTE,
        *(
            f"{source}: {', '.join(f'{corpus} {100 * weight:.1f} %' for corpus, weight in weights)} of each epoch."
            for source, weights in mixed.items()
        ),
        *(f"{cell.source}, {cell.target}: refused, {cell.refused}." for cell in cells if cell.refused),
    ]


def markdown(title: str, cells: Sequence[TransferCell]) -> str:
    """The matrix and the shifts behind it, as a Markdown document."""
    header, *rows = table_rows(cells)
    return (
        f"# {for_markdown(title)}\n\n{markdown_table(header, rows, n_text=1)}\n"
        + "".join(f"- {for_markdown(remark)}\n" for remark in remarks(cells))
        + f"\n## What changes\n\n{markdown_table(SHIFT_HEADER, shift_rows(cells), n_text=len(SHIFT_HEADER))}"
    )


def latex(title: str, cells: Sequence[TransferCell], *, label: str = "tab:transfer") -> str:
    """The matrix as a LaTeX table, for documents that load ``booktabs``."""
    header, *rows = table_rows(cells)
    # A hyphen is too short for a minus; names in the first column have hyphens of their own.
    rows = [[name, *(Latex(for_latex(cell).replace("(-", "($-$")) for cell in own)] for name, *own in rows]
    return latex_table(header, rows, caption=f"{title}. {NOTE}", label=label, n_text=1)


def csv_table(cells: Sequence[TransferCell]) -> pl.DataFrame:
    """One row for each pair; fractions, not percent."""
    rows = []
    for cell in cells:
        difference = None if cell.value is None or cell.published is None else cell.value - cell.published
        rows.append(
            {
                "model": cell.model,
                "source": cell.source,
                "target": cell.target,
                "corpus_id": cell.corpus_id,
                "partition": cell.partition,
                "in_domain": cell.in_domain,
                METRIC: cell.value,
                "ci_low": cell.ci_low,
                "ci_high": cell.ci_high,
                "delta": cell.delta,
                "zero_shot": cell.zero_shot,
                "zero_shot_prompt": cell.zero_shot_prompt,
                "n": cell.n,
                "n_failed": cell.n_failed,
                "partial": cell.partial,
                "published": cell.published,
                "published_delta": cell.published_delta,
                "difference_from_published": difference,
                "changes": "; ".join(
                    f"{shift.source_corpus_id}: {', '.join(shift.changed) or 'nothing'}" for shift in cell.shifts
                ),
                "labels_gained": "; ".join(", ".join(shift.unseen_labels) for shift in cell.shifts),
                "labels_lost": "; ".join(", ".join(shift.unasked_labels) for shift in cell.shifts),
                "weights": "; ".join(f"{corpus} {weight:.6g}" for corpus, weight in cell.weights),
                "refused": cell.refused,
                "run_id": cell.run_id,
                "zero_shot_run_id": cell.zero_shot_run_id,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)
