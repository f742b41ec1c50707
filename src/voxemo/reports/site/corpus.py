"""The page of a corpus: its card, and board by board what every model does there, class by class and group by group."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from voxemo.core.cards import CorpusCard
from voxemo.core.types import REFERENCE
from voxemo.reports import figures
from voxemo.reports.classes import FAILED, class_scores, confusion
from voxemo.reports.figures.distributions import side_by_side
from voxemo.reports.scoreboard import PERCENT, TITLES, Board, prompt_title, table_rows
from voxemo.reports.site.cells import Tied, corpus_path, marks_of, model_path, run_path
from voxemo.reports.site.evidence import RunEvidence
from voxemo.reports.site.parts import (
    N_TINTS,
    Block,
    Cell,
    Facts,
    Figure,
    Folded,
    Head,
    Listing,
    Page,
    Paragraph,
    Row,
    Section,
    Table,
    count,
    how_many,
    number,
    page_name,
    percent,
    word,
)
from voxemo.reports.site.standings import Place, Standing

GROUPS = {
    "speaker_gender": "speaker's gender",
    "speaker_age": "speaker's age",
    "language": "language",
    "agreement": "listeners' agreement",
}
SPEAKER_KINDS = ("speaker_gender", "speaker_age", "language")
AGREEMENT_NOTE = (
    "Groups are the share of votes on the likeliest label; a share on an edge belongs to the group below it, so that "
    "four votes of five are in 0.6-0.8 and five of five in 0.8-1.0. That is clear; 0.4-0.6 and less is ambiguous."
)
FORMS = {"distribution": "stated", "vote": "voted", "likelihood": "latent"}
CALIBRATION_NOTE = (
    "Confidence is the probability of the likeliest label, accuracy how often that label is the true one; ECE is the "
    "mean distance of the two over bins. All are over the answers that could be read. Votes of five know few "
    "confidences."
)
DISTRIBUTION_NOTE = (
    "Mean probability (%) of each label over all utterances: the {truth}, and what the best model states, votes (five "
    "hard answers) or holds latent (likelihoods). A failed answer counts as uniform."
)


def corpus_page(
    boards: Sequence[Board],
    places: Sequence[Place],
    standings: Sequence[Standing],
    evidence: Sequence[RunEvidence],
    *,
    tied: Mapping[str, Tied],
) -> Page:
    """The page of one corpus.

    Args:
        boards: its boards.
        places: of the boards, in the same order.
        standings: on these boards.
        evidence: of its runs.
        tied: of each board, what cannot be told apart from its best.
    """
    card = evidence[0].run.manifest.corpus_card
    by_run = {one.run_id: one for one in evidence}
    to_do = [command for one in evidence for command in one.to_do]
    blocks: list[Block] = []
    if card.synthetic:
        blocks.append(
            Paragraph(
                text="Synthetic speech: shows how the benchmark works, and is never ranked beside real corpora.",
                warning=True,
            )
        )
    if to_do:
        blocks += [
            Paragraph(
                text="Some runs were made by an older version: what is missing below comes with these commands, "
                "in the folder that the runs lie in, and then with the site made again.",
                warning=True,
            ),
            Listing(items=tuple(word(command) for command in to_do)),
        ]
    sections = [Section(title="Card", anchor="card", blocks=(card_facts(card, evidence),))]
    for board, place in zip(boards, places, strict=True):
        own = [one for one in standings if one.place.board_id == place.board_id]
        sections.append(_board_section(board, place, own, by_run, tied.get(place.board_id, {})))
    return Page(
        path=corpus_path(card.corpus_id),
        title=card.name,
        lead=f"{', '.join(card.languages)}; {card.setting.replace('_', ' ')} speech; {len(card.labels.names)} labels.",
        blocks=tuple(blocks),
        sections=tuple(sections),
    )


def card_facts(card: CorpusCard, evidence: Sequence[RunEvidence]) -> Facts:
    """The corpus card, and what `prepare` counted."""
    manifest = evidence[0].run.manifest
    perception = card.perception
    items = {
        "Corpus": word(f"{card.name}, {card.year} (card version {card.version})"),
        "Languages": word(", ".join(card.languages)),
        "Speech": word(f"{card.setting}, {card.elicitation}, {card.recording}".replace("_", " ")),
        "Labels": word(", ".join(card.labels.names)),
        "Label sources": word(f"{' and '.join(card.label_sources)}; hard scores use {card.gold} by default"),
        "Listeners": word(
            "no listeners: labels are as expressed"
            if perception is None
            else f"given: {perception.given}; consensus: {perception.consensus}; "
            f"votes {'released' if perception.votes_released else 'not released'}"
        ),
        "Counted": word(", ".join(f"{n:,} {what}" for what, n in manifest.corpus_counts.items())),
        "Complete": word("yes")
        if manifest.corpus_complete
        else Cell(text="counts differ from the card's", missing=True),
        "Licence": word(card.access.license),
        "Homepage": Cell(text=card.access.homepage, href=card.access.homepage),
        "Citation": word(card.citation),
        **{f"Known: {issue.id}": word(issue.text) for issue in card.known_issues},
    }
    return Facts(items=tuple(items.items()))


# --- a board ------------------------------------------------------------------------------------------------------


def _board_section(
    board: Board,
    place: Place,
    standings: Sequence[Standing],
    by_run: Mapping[str, RunEvidence],
    tied: Tied,
) -> Section:
    notes = Listing(items=tuple(word(note) for note in (*board.run_notes, *board.notes)))
    split = Paragraph(text=f"{board.split_line}.", warning=board.speaker_independent is False)
    inner = [
        *([] if place.soft else [_classes(place, standings, by_run), _confusions(place, standings, by_run)]),
        *_groups(place, standings, by_run),
        *(_calibration(place, standings, by_run) if not place.soft else ()),
        *_distributions(place, standings, by_run),
    ]
    return Section(
        title=board.title,
        anchor=place.board_id,
        blocks=(split, board_table(board, standings, tied), notes),
        sections=tuple(replace(section, foldable=True) for section in inner),
    )


def board_table(board: Board, standings: Sequence[Standing], tied: Tied) -> Table:
    """A board as the terminal prints it, with marks."""
    header, *rows = table_rows(board)
    by_run = {one.run_id: one for one in standings}
    made = []
    for entry, texts in zip(board.entries, rows, strict=True):
        own = None if entry.run_id is None else by_run.get(entry.run_id)
        cells = [
            Cell(
                text=texts[0],
                head=True,
                href=None if own is None else f"../{model_path(own.model_id)}",
                marks=() if own is None else marks_of(own, entry, tied),
            ),
            Cell(text=texts[1], href=None if own is None else f"../{run_path(own.run_id)}"),
            word(texts[2]),
        ]
        for metric, text in zip(board.columns, texts[3:-2], strict=True):
            main, _, interval = text.partition(" ")
            value = entry.cells.get(metric)
            cells.append(number(None if value is None else value.value, main, below=(interval,) if interval else ()))
        cells += [number(entry.failure_rate, texts[-2] or "-"), number(entry.n, texts[-1] or "-")]
        made.append(Row(cells=tuple(cells), quiet=entry.kind != "run"))
    heads = [Head(text=text, numeric=index > 2) for index, text in enumerate(header)]
    return Table(caption=board.title, heads=tuple(heads), rows=tuple(made), sortable=True)


# --- class by class -----------------------------------------------------------------------------------------------


def _classes(place: Place, standings: Sequence[Standing], by_run: Mapping[str, RunEvidence]) -> Section:
    names = by_run[standings[0].run_id].run.manifest.label_names
    heads = (
        Head(text="model"),
        Head(text="prompt"),
        *(Head(text=text, numeric=True, group=name) for name in names for text in ("recall", "precision", "F1")),
    )
    rows = []
    for one in standings:
        scores = class_scores(by_run[one.run_id].run, partition=place.partition, system_id=one.best.system)
        by_label = {row[0]: row[1:] for row in scores.iter_rows()}
        values = [value for name in names for value in by_label.get(name, (None, None, None))]
        rows.append(Row(cells=(*_who(one), *(number(value, percent(value)) for value in values))))
    table = Table(
        caption="Scores of each class (%) under the best prompt; a failed answer is a miss for its class",
        heads=heads,
        rows=tuple(rows),
        sortable=True,
    )
    return Section(title="Class by class", anchor=f"{place.board_id}-classes", blocks=(table,))


def _confusions(place: Place, standings: Sequence[Standing], by_run: Mapping[str, RunEvidence]) -> Section:
    blocks: list[Block] = [
        Paragraph(
            text="Utterances, pooled over folds. Rows are the true labels, columns the answers; failed answers come "
            "last. The tint is the share of the row."
        )
    ]
    for one in standings:
        counts = by_run[one.run_id].confusions
        if counts is None:
            continue
        names = by_run[one.run_id].run.manifest.label_names
        tables = tuple(
            confusion_table(
                confusion(counts, names, partition=place.partition, system_id=entry.system),
                names,
                caption=f"{one.model}, {one.training}, {prompt_title(entry.system)}",
            )
            for entry in one.entries
        )
        weighed = ", labels weighed" if one.weighed else ""
        blocks.append(
            Folded(summary=f"{one.model}, {one.training}{weighed}: {how_many(len(tables), 'system')}", blocks=tables)
        )
    return Section(title="Confusions", anchor=f"{place.board_id}-confusions", blocks=tuple(blocks))


def confusion_table(counts: Sequence[Sequence[int]], names: Sequence[str], *, caption: str) -> Table:
    """A confusion matrix with its numbers, and a tint behind them by the share of the row.

    Args:
        counts: a row for each true label, a column for each answer, failed answers last.
        names: the label set, in order.
        caption: of the table.
    """
    rows = []
    for name, row in zip(names, counts, strict=True):
        total = sum(row)
        cells = (
            number(n, f"{n:,}", tint=0 if not total else round(N_TINTS * n / total), strong=answer == name)
            for answer, n in zip((*names, FAILED), row, strict=True)
        )
        rows.append(Row(cells=(Cell(text=name, head=True), *cells)))
    heads = (Head(text="true label"), *(Head(text=name, numeric=True) for name in (*names, FAILED)))
    return Table(caption=caption, heads=heads, rows=tuple(rows))


def _who(one: Standing) -> tuple[Cell, Cell]:
    name = Cell(text=one.model, head=True, href=f"../{model_path(one.model_id)}", below=(one.training,))
    return name, word(prompt_title(one.best.system))


# --- groups of utterances -----------------------------------------------------------------------------------------


def _analysed(
    place: Place, standings: Sequence[Standing], by_run: Mapping[str, RunEvidence]
) -> list[tuple[Standing, pl.DataFrame]]:
    found = ((one, by_run[one.run_id].analyses) for one in standings)
    return [(one, rows.filter(pl.col("partition") == place.partition)) for one, rows in found if rows is not None]


def _own_form(place: Place, rows: pl.DataFrame) -> pl.DataFrame:
    """Scores of groups on this board: hard answers against one label, or distributions against the votes."""
    if place.soft:
        return rows.filter(pl.col("form") != "hard", pl.col("vote_rule") == place.vote_rule)
    return rows.filter(pl.col("form") == "hard")


def _groups(place: Place, standings: Sequence[Standing], by_run: Mapping[str, RunEvidence]) -> list[Section]:
    analysed = [(one, _own_form(place, rows)) for one, rows in _analysed(place, standings, by_run)]
    sections = []
    for title, name, kinds, note in (
        ("By speaker and language", "groups", SPEAKER_KINDS, ()),
        ("By listeners' agreement", "agreement", ("agreement",), (Paragraph(text=AGREEMENT_NOTE),)),
    ):
        own = [(one, rows.filter(pl.col("kind").is_in(kinds))) for one, rows in analysed]
        found = {
            (kind, rule): None
            for _, rows in own
            for kind, rule in rows.select("kind", "vote_rule").unique().iter_rows()
        }
        tables = [
            _group_table(place, [(one, _of(rows, kind, rule)) for one, rows in own], kind, rule)
            for kind, rule in sorted(found, key=lambda key: (kinds.index(key[0]), str(key[1])))
        ]
        if tables:
            blocks = (*note, *tables, *_group_figure(place, own, title, name))
            sections.append(Section(title=title, anchor=f"{place.board_id}-{name}", blocks=blocks))
    return sections


def _of(rows: pl.DataFrame, kind: str, rule: str | None) -> pl.DataFrame:
    return rows.filter(pl.col("kind") == kind, pl.col("vote_rule").eq_missing(rule))


def _group_table(place: Place, own: Sequence[tuple[Standing, pl.DataFrame]], kind: str, rule: str | None) -> Table:
    names = list(dict.fromkeys(name for _, rows in own for name in sorted(rows["group"].unique())))
    metric = place.main
    made = []
    for one, rows in own:
        mine = rows.filter(pl.col("system_id") == one.best.system, pl.col("metric") == metric)
        by_group = {row["group"]: row for row in mine.iter_rows(named=True)}
        made.append(Row(cells=(*_who(one), *(_group_cell(by_group.get(name), metric) for name in names))))
    votes = f", votes counted {rule!r}" if rule is not None and not place.soft else ""
    return Table(
        caption=f"{TITLES[metric]} by {GROUPS[kind]} under the best prompt, pooled over folds{votes}",
        heads=(Head(text="model"), Head(text="prompt"), *(Head(text=name, numeric=True) for name in names)),
        rows=tuple(made),
        sortable=True,
    )


def _group_cell(row: Mapping[str, object] | None, metric: str) -> Cell:
    if row is None or row["value"] is None:
        return Cell(text="-", numeric=True)
    scale, digits = (100, 1) if metric in PERCENT else (1, 3)
    value, low, high, n, failed = (row[name] for name in ("value", "ci_low", "ci_high", "n", "n_failed"))
    interval = "" if low is None or high is None else f"[{scale * low:z.{digits}f}, {scale * high:z.{digits}f}]"  # type: ignore[operator]
    share = f", failed {100 * failed / n:.1f} %" if n else ""  # type: ignore[operator]
    return number(value, f"{scale * value:z.{digits}f}", below=(*filter(None, (interval,)), f"n {n:,}{share}"))  # type: ignore[operator, arg-type]


def _group_figure(place: Place, own: Sequence[tuple[Standing, pl.DataFrame]], title: str, name: str) -> list[Figure]:
    """Of the best model: a figure of all would tell nothing apart."""
    one, rows = own[0]
    if not figures.can_draw() or rows.is_empty():
        return []
    shown = [one.best.system, *one.ensembles]
    # Of several rules the first: the others are in the tables.
    rows = rows.filter(pl.col("vote_rule").eq_missing(rows["vote_rule"][0]), pl.col("system_id").is_in(shown))
    draw = figures.agreement if name == "agreement" else figures.groups
    title = f"{one.model}, {one.training}: {title.lower()}, best prompt and ensembles"
    return [_figure(f"{place.board_id}-{name}", title, partial(draw, rows, title=title))]


def _figure(name: str, title: str, draw: "partial[list[Path]]") -> Figure:
    return Figure(
        name=page_name(name),
        alt=f"{title}. The numbers are in the table of this section.",
        caption=title,
        draw=lambda folder, file: draw(folder, file, kinds=("svg",)),
    )


# --- calibration and distributions --------------------------------------------------------------------------------


def _calibration(place: Place, standings: Sequence[Standing], by_run: Mapping[str, RunEvidence]) -> list[Section]:
    made = []
    analysed = [
        (one, rows.filter(pl.col("kind") == "calibration"))
        for one, rows in {one.run_id: (one, rows) for one, rows in _analysed(place, standings, by_run)}.values()
    ]
    for one, rows in analysed:
        whole = rows.filter(pl.col("group") == "all")
        for (system, form), part in whole.partition_by("system_id", "form", as_dict=True, maintain_order=True).items():
            by_metric = {row["metric"]: row for row in part.iter_rows(named=True)}
            values = [by_metric.get(name, {}) for name in ("ece", "confidence", "accuracy")]
            n, failed = part["n"][0], part["n_failed"][0]
            made.append(
                Row(
                    cells=(
                        _who(one)[0],
                        word(prompt_title(str(system))),
                        word(FORMS.get(str(form), str(form))),
                        *(number(row.get("value"), percent(row.get("value"))) for row in values),
                        count(n - failed),
                        number(failed / n if n else None, percent(failed / n if n else None)),
                    )
                )
            )
    if not made:
        return []
    heads = ("model", "prompt", "distribution"), ("ECE %", "confidence %", "accuracy %", "answers read", "failed %")
    table = Table(
        caption="Calibration against the hard label",
        heads=(*(Head(text=text) for text in heads[0]), *(Head(text=text, numeric=True) for text in heads[1])),
        rows=tuple(made),
        sortable=True,
    )
    one, rows = next((one, rows) for one, rows in analysed if not rows.is_empty())
    title = f"{one.model}, {one.training}: reliability diagrams, one of each kind of distribution"
    drawn = rows.filter(pl.col("system_id").is_in(side_by_side(rows)))
    drawing = (
        [_figure(f"{place.board_id}-calibration", title, partial(figures.calibration, drawn, title=title))]
        if figures.can_draw()
        else []
    )
    return [
        Section(
            title="Calibration",
            anchor=f"{place.board_id}-calibration",
            blocks=(Paragraph(text=CALIBRATION_NOTE), table, *drawing),
        )
    ]


def _distributions(place: Place, standings: Sequence[Standing], by_run: Mapping[str, RunEvidence]) -> list[Section]:
    for one, rows in _analysed(place, standings, by_run):
        own = rows.filter(pl.col("kind") == "mean_distribution", pl.col("vote_rule").eq_missing(place.vote_rule))
        if own.is_empty():
            continue
        names = by_run[one.run_id].run.manifest.label_names
        truth = "listeners' votes" if place.soft else "true labels"
        title = f"{one.model}, {one.training}: mean distributions beside the {truth}"
        # Each true label by itself would be a panel of its own: slow to draw, and large where labels are many.
        whole = own.filter(pl.col("group") == "all")
        drawing = (
            [_figure(f"{place.board_id}-distributions", title, partial(figures.distributions, whole, title=title))]
            if figures.can_draw()
            else []
        )
        table = _distribution_table(own, names, caption=title, truth=truth)
        return [
            Section(
                title="Stated, voted and latent distributions",
                anchor=f"{place.board_id}-distributions",
                blocks=(Paragraph(text=DISTRIBUTION_NOTE.format(truth=truth)), table, *drawing),
            )
        ]
    return []


def _distribution_table(rows: pl.DataFrame, names: Sequence[str], *, caption: str, truth: str) -> Table:
    whole = rows.filter(pl.col("group") == "all")
    made = []
    for (system, form), part in whole.partition_by("system_id", "form", as_dict=True, maintain_order=True).items():
        by_label = dict(part.select("class_label", "value").iter_rows())
        is_gold = str(system).startswith(REFERENCE)
        made.append(
            Row(
                cells=(
                    Cell(text=truth if is_gold else prompt_title(str(system)), head=True, strong=is_gold),
                    word("" if is_gold else FORMS.get(str(form), str(form))),
                    *(number(by_label.get(name), percent(by_label.get(name))) for name in names),
                    count(part["n"][0]),
                )
            )
        )
    made.sort(key=lambda row: not row.cells[0].strong)
    heads = (Head(text="prompt"), Head(text="distribution"), *(Head(text=name, numeric=True) for name in (*names, "n")))
    return Table(caption=caption, heads=heads, rows=tuple(made), sortable=True)
