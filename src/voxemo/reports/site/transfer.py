"""The page of transfers: for each base model, what training on one corpus is worth on another."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from voxemo.catalog import lookup
from voxemo.catalog.transfer import CorpusShift, corpus_shift
from voxemo.core.cards import CorpusCard, ModelCard, RunManifest
from voxemo.core.errors import UnknownName
from voxemo.reports import figures
from voxemo.reports.scoreboard import FinishedRun
from voxemo.reports.site.cells import run_path
from voxemo.reports.site.parts import (
    Block,
    Cell,
    Figure,
    Head,
    Listing,
    Page,
    Paragraph,
    Row,
    Section,
    Table,
    anchor_name,
    page_name,
    word,
)
from voxemo.reports.transfer import (
    SHIFT_HEADER,
    PairRuns,
    TransferCell,
    read_cells,
    remarks,
    shift_rows,
    table_rows,
    targets_of,
)

NO_BASE = "no zero-shot run of the base model on the same test part is among the runs of this site"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRun:
    """What the transfer page needs of a run about the clips themselves."""

    path: Path
    run_id: str
    model_card: ModelCard
    corpus_card: CorpusCard
    split_sha256: str
    partitions: tuple[str, ...]
    label_names: tuple[str, ...]


def transfer_run(run: FinishedRun) -> TransferRun | None:
    """A run as the transfer page needs it; None for one in which other things than the clips were heard."""
    manifest: RunManifest = run.manifest
    if manifest.audio_condition != "clean":
        return None
    return TransferRun(
        path=run.path,
        run_id=manifest.run_id,
        model_card=next(iter(manifest.model_cards.values())),
        corpus_card=manifest.corpus_card,
        split_sha256=manifest.split.split_sha256,
        partitions=manifest.split.partitions,
        label_names=manifest.label_names,
    )


def pairs_by_base(tested: Sequence[TransferRun]) -> dict[str, list[PairRuns]]:
    """Base model to its pairs of a source and a target, in the order of their names."""
    cards = {one.corpus_card.corpus_id: one.corpus_card for one in tested}
    found: dict[str, list[PairRuns]] = {}
    for one in tested:
        record = one.model_card.training
        if record is None or record.base_model_id is None:
            continue
        base = next((other for other in tested if _is_base(other, one)), None)
        target = one.corpus_card
        # A run on some of the labels, or another split, is another column.
        some = "" if one.label_names == target.labels.names else f" ({len(one.label_names)} labels)"
        for partition in one.partitions:
            part = f" {partition}" if len(one.partitions) > 1 else ""
            in_domain = record.corpora == (target.corpus_id,)
            found.setdefault(record.base_model_id, []).append(
                PairRuns(
                    source=f"{record.corpus_id} ({one.model_card.model_id})",
                    target=f"{target.corpus_id}{part}{some}",
                    partition=partition,
                    in_domain=in_domain,
                    shifts=() if in_domain else _shifts(record.corpora, target, cards),
                    refused=None if base is not None else NO_BASE,
                    run=one.path,
                    zero_shot=None if base is None else base.path,
                )
            )
    return {base: sorted(pairs, key=lambda pair: (pair.source, pair.target)) for base, pairs in sorted(found.items())}


def _is_base(other: TransferRun, one: TransferRun) -> bool:
    record = one.model_card.training
    return (
        record is not None
        and other.model_card.training is None
        and other.model_card.model_id == record.base_model_id
        and other.split_sha256 == one.split_sha256
        and other.label_names == one.label_names
    )


def _shifts(sources: Sequence[str], target: CorpusCard, cards: dict[str, CorpusCard]) -> tuple[CorpusShift, ...]:
    made = []
    for source in sources:
        try:
            card = cards.get(source) or lookup.corpus_card(source)
        except UnknownName:
            # Somebody's own corpus, on which nothing was tested here.
            continue
        made.append(corpus_shift(card, target))
    return tuple(made)


def transfer_page(tested: Sequence[TransferRun]) -> Page:
    """The transfer page; says so where no model was trained."""
    sections = tuple(_section(base, read_cells(pairs)) for base, pairs in pairs_by_base(tested).items())
    none = Paragraph(text="No run of this site is of a fine-tuned model, so there is nothing to compare.")
    return Page(
        path="transfer.html",
        title="Transfer",
        lead="What a model that was trained on one corpus does on another, against its base under its best prompt.",
        blocks=() if sections else (none,),
        sections=sections,
    )


def _section(base: str, cells: Sequence[TransferCell]) -> Section:
    runs = {(cell.source, cell.target): cell.run_id for cell in cells if cell.run_id}
    targets = targets_of(cells)
    header, *lines = table_rows(cells)
    rows = []
    for source, *texts in lines:
        links = (runs.get((source, target)) for target in targets)
        values = (
            Cell(text=text, numeric=True, href=None if run_id is None else run_path(run_id))
            for text, run_id in zip(texts, links, strict=True)
        )
        rows.append(Row(cells=(Cell(text=source.strip(), head=True), *values), quiet=source.startswith("  ")))
    heads = (Head(text=header[0]), *(Head(text=text, numeric=True) for text in header[1:]))
    matrix = Table(
        caption=f"{base}: trained on the row's corpus, tested on the column's", heads=heads, rows=tuple(rows)
    )
    blocks: list[Block] = [Listing(items=tuple(word(text) for text in remarks(cells))), matrix]
    if figures.can_draw() and any(cell.value is not None for cell in cells):
        title = f"{base}: macro-F1 (%) and the gain over zero-shot"
        draw = partial(figures.transfer_map, cells, title=title)
        blocks.append(
            Figure(
                name=page_name(f"{base}-transfer"),
                alt=f"{title}. The numbers are in the table of this section.",
                caption=title,
                draw=lambda folder, name: draw(folder, name, kinds=("svg",)),
            )
        )
    shifts = shift_rows(cells)
    if shifts:
        blocks.append(
            Table(
                caption="What changes from the source to the target",
                heads=tuple(Head(text=text) for text in SHIFT_HEADER),
                rows=tuple(Row(cells=tuple(map(word, row))) for row in shifts),
            )
        )
    return Section(title=base, anchor=f"base-{anchor_name(base)}", blocks=tuple(blocks))
