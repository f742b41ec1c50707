"""The scoreboard: every model on every corpus, beside what needs no listening and what others published."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from voxemo.core.types import ENSEMBLE, MEAN_DISTRIBUTION
from voxemo.reports.scoreboard import REFERENCE_NAMES, TITLES, Entry, prompt_title
from voxemo.reports.site.cells import (
    EMPTY,
    PLACE_HEADS,
    Tied,
    corpus_path,
    difference,
    facets_of,
    marks_of,
    model_path,
    place_cells,
    place_head,
    plain_score,
    run_path,
    score,
    tied_mark,
    value_of,
)
from voxemo.reports.site.parts import (
    Block,
    Cell,
    Filters,
    Head,
    Listing,
    Page,
    Paragraph,
    Row,
    Section,
    Table,
    number,
    word,
)
from voxemo.reports.site.standings import TRAINING_DATA, Place, Standing

ByBoard: TypeAlias = Mapping[str, Tied]
ACOUSTIC = "acoustic-baseline"
HARD_REFERENCES = ("uniform", "train_prior", "majority")
SOFT_REFERENCES = (*HARD_REFERENCES, "human")
HOW = {
    "zero-shot": "zero-shot",
    "sft": "fine-tuned on the corpus",
    "transfer": "trained on another corpus",
    "supervised": "supervised",
    "reference": "reference row",
}
REFERENCE_NOTE = (
    "Reference columns need no listening: a uniform guess, the labels' shares in the training part, its most frequent "
    "label. The acoustic baseline is a supervised classifier over acoustic features."
)


def index_page(standings: Sequence[Standing], *, tied: ByBoard, ranking: Sequence[Block], notes: Sequence[str]) -> Page:
    """The first page.

    Args:
        standings: of all runs about the clips themselves.
        tied: what cannot be told apart from the best of its board.
        ranking: the overall rank, with its rule.
        notes: what must be known of the whole site.
    """
    hard = [one for one in standings if not one.place.soft]
    soft = [one for one in standings if one.place.soft]
    parts = [
        Section(title="Overall rank", anchor="rank", blocks=tuple(ranking)),
        Section(title="Filter", anchor="filter", blocks=(_filters(standings),)),
    ]
    if hard:
        parts.append(
            Section(
                title="Hard labels",
                anchor="hard",
                blocks=(Paragraph(text=HARD_NOTE),),
                sections=(
                    Section(
                        title="Models by corpora",
                        anchor="hard-matrix",
                        blocks=(Paragraph(text=REFERENCE_NOTE), _matrix(hard, tied, HARD_REFERENCES)),
                    ),
                    Section(title="Every model on every corpus", anchor="hard-all", blocks=(_hard_table(hard, tied),)),
                ),
            )
        )
    if soft:
        parts.append(
            Section(
                title="Soft labels",
                anchor="soft",
                blocks=(Paragraph(text=SOFT_NOTE),),
                sections=(
                    Section(
                        title="Models by corpora",
                        anchor="soft-matrix",
                        blocks=(_matrix(soft, tied, SOFT_REFERENCES),),
                    ),
                    Section(title="Every model on every corpus", anchor="soft-all", blocks=(_soft_table(soft, tied),)),
                ),
            )
        )
    parts += [_models(standings), _corpora(standings)]
    return Page(
        path="index.html",
        title="Scoreboard",
        lead="Speech emotion recognition: every model on every corpus, with intervals, failed answers and references.",
        blocks=tuple(Paragraph(text=note, warning=True) for note in notes),
        sections=tuple(parts),
    )


HARD_NOTE = (
    "UA: unweighted accuracy; maF1: macro-F1; both in percent, means over folds, with a 95 % interval, the number of "
    "scored utterances and the share of failed answers, which count as wrong. The best prompt is the one with the "
    "highest UA on that very test part, so it flatters every model alike; the vote of five prompts chooses nothing."
)
SOFT_NOTE = (
    "JSD: Jensen-Shannon divergence from the listeners' votes, lower is better; failed answers count as a uniform "
    "guess. Mean of 5 is the mean of the five stated distributions, vote of 5 the votes of the five hard answers."
)


# --- filters ------------------------------------------------------------------------------------------------------


def _filters(standings: Sequence[Standing]) -> Filters:
    languages = sorted({code for one in standings for code in one.place.languages})
    settings = sorted({one.place.setting for one in standings})
    labels = sorted({one.place.label_source for one in standings})
    return Filters(
        choices=(
            ("language", "Language", tuple((code, code) for code in languages)),
            ("setting", "Setting", tuple((name, name.replace("_", " ")) for name in settings)),
            ("labels", "Labels", tuple((name, name) for name in labels)),
            ("speakers", "Speaker-independent", (("yes", "yes"), ("no", "no"), ("unknown", "unknown"))),
            ("training", "Training data", tuple(TRAINING_DATA.items())),
            ("how", "How it met the corpus", tuple(HOW.items())),
        )
    )


# --- models by corpora --------------------------------------------------------------------------------------------


def _matrix(standings: Sequence[Standing], tied: ByBoard, references: Sequence[str]) -> Table:
    places = {one.place.board_id: one.place for one in standings}
    shown = [one for one in standings if one.backend != ACOUSTIC]
    columns = list(dict.fromkeys(sorted(one.column for one in shown)))
    by_cell: dict[tuple[str, tuple[str, str]], Standing] = {}
    for one in standings:
        by_cell.setdefault((one.place.board_id, one.column), one)
    acoustic = {one.place.board_id: one for one in reversed(standings) if one.backend == ACOUSTIC}
    metric = next(iter(places.values())).main
    has_emobox = any(place.emobox.get(metric) is not None for place in places.values())
    heads = [
        Head(text="corpus"),
        *(Head(text=model, numeric=True, group=how) for model, how in sorted(columns, key=lambda c: (c[1], c[0]))),
        *(Head(text=REFERENCE_NAMES[name], numeric=True, group="reference") for name in references),
        *([Head(text="acoustic baseline", numeric=True, group="reference")] if acoustic else []),
        *([Head(text="EmoBox", numeric=True, group="published", published=True)] if has_emobox else []),
        *(Head(text=name) for name in PLACE_HEADS),
    ]
    rows = []
    for board_id, place in places.items():
        cells = [place_head(place, root="")]
        for column in sorted(columns, key=lambda c: (c[1], c[0])):
            here = by_cell.get((board_id, column))
            cells.append(EMPTY if here is None else _best_cell(here, tied))
        cells += [score(place.reference(name), metric) for name in references]
        if acoustic:
            found = acoustic.get(board_id)
            cells.append(EMPTY if found is None else _best_cell(found, tied))
        if has_emobox:
            theirs = place.emobox.get(metric)
            cells.append(EMPTY if theirs is None else number(theirs, plain_score(metric, theirs)))
        rows.append(Row(cells=(*cells, *place_cells(place)), facets=facets_of(place)))
    kind = "soft" if next(iter(places.values())).soft else "hard"
    return Table(
        caption=f"{TITLES[metric]} of the best prompt, {kind} labels: a row for each part, a column for each model",
        heads=tuple(heads),
        rows=tuple(rows),
        sortable=True,
        filtered=True,
    )


def _best_cell(one: Standing, tied: ByBoard) -> Cell:
    cell = score(
        one.best,
        one.place.main,
        marks=marks_of(one, one.best, tied.get(one.place.board_id, {})),
        below=(prompt_title(one.best.system),),
    )
    return Cell(
        text=cell.text,
        sort=cell.sort,
        numeric=True,
        marks=cell.marks,
        below=cell.below,
        facets={"training": one.training_data, "how": one.kind},
    )


ABOUT_HEADS = tuple(Head(text=text) for text in ("corpus", "model", "met the corpus", "training data"))


# --- every model on every corpus ----------------------------------------------------------------------------------


def _hard_table(standings: Sequence[Standing], tied: ByBoard) -> Table:
    metrics = ("unweighted_accuracy", "macro_f1")
    heads = [
        *ABOUT_HEADS,
        *(Head(text=TITLES[metric], numeric=True, group="best prompt") for metric in metrics),
        *(Head(text=TITLES[metric], numeric=True, group="vote of 5 prompts") for metric in metrics),
        *_published_heads(metrics, "paper, same prompt"),
        *_published_heads(metrics, "EmoBox, on its own folds"),
        *(Head(text=name) for name in PLACE_HEADS),
    ]

    def cells(one: Standing) -> list[Cell]:
        voted = one.ensembles.get(ENSEMBLE)
        ours = {metric: value_of(one.best, metric) for metric in metrics}
        return [
            *_scores(one, metrics, tied),
            score(voted, metrics[0], marks=tied_mark(one, voted, tied.get(one.place.board_id, {}))),
            *(score(voted, metric) for metric in metrics[1:]),
            *_published_cells(metrics, ours, {m: _paper(one, m) for m in metrics}),
            *_published_cells(metrics, ours, {m: one.place.emobox.get(m) for m in metrics}),
        ]

    return _long_table("UA and macro-F1 (%), hard labels", heads, standings, cells, metrics, HARD_REFERENCES)


def _soft_table(standings: Sequence[Standing], tied: ByBoard) -> Table:
    metrics = ("jsd", "soft_macro_f1", "top1_accuracy", "jsd_skill")
    heads = [
        *ABOUT_HEADS,
        *(Head(text=TITLES[metric], numeric=True, group="best prompt") for metric in metrics),
        Head(text="JSD", numeric=True, group="mean of 5"),
        Head(text="JSD", numeric=True, group="vote of 5"),
        *_published_heads(("jsd",), "paper, same prompt"),
        *_published_heads(("jsd",), "paper, vote of 5"),
        *(Head(text=name) for name in PLACE_HEADS),
    ]

    def cells(one: Standing) -> list[Cell]:
        mean, voted = one.ensembles.get(MEAN_DISTRIBUTION), one.ensembles.get(ENSEMBLE)
        published = one.published.get((ENSEMBLE, "jsd"))
        return [
            *_scores(one, metrics, tied),
            *(
                score(entry, "jsd", marks=tied_mark(one, entry, tied.get(one.place.board_id, {})))
                for entry in (mean, voted)
            ),
            *_published_cells(("jsd",), {"jsd": value_of(one.best, "jsd")}, {"jsd": _paper(one, "jsd")}),
            *_published_cells(
                ("jsd",), {"jsd": value_of(voted, "jsd")}, {"jsd": None if published is None else published[0]}
            ),
        ]

    return _long_table("Distances from the votes, soft labels", heads, standings, cells, metrics, SOFT_REFERENCES)


def _long_table(
    caption: str,
    heads: Sequence[Head],
    standings: Sequence[Standing],
    cells: Callable[[Standing], list[Cell]],
    metrics: Sequence[str],
    references: Sequence[str],
) -> Table:
    rows = []
    places = {one.place.board_id: one.place for one in standings}
    for one in standings:
        facets = {**facets_of(one.place), "training": one.training_data, "how": one.kind}
        about = (
            Cell(text=one.model, href=model_path(one.model_id), below=("labels weighed",) if one.weighed else ()),
            Cell(text=one.training, href=run_path(one.run_id)),
            word(TRAINING_DATA[one.training_data]),
        )
        cells_of = (place_head(one.place, root=""), *about, *cells(one), *place_cells(one.place))
        rows.append(Row(cells=cells_of, facets=facets))
    for place in places.values():
        for name in references:
            entry = place.reference(name)
            if entry is not None:
                rows.append(_reference_row(place, entry, metrics, len(heads)))
    return Table(caption=caption, heads=tuple(heads), rows=tuple(rows), sortable=True, filtered=True)


def _reference_row(place: Place, entry: Entry, metrics: Sequence[str], n_columns: int) -> Row:
    cells = [
        place_head(place, root=""),
        word(REFERENCE_NAMES[entry.system]),
        word("reference"),
        word("-"),
        *(score(entry, metric) for metric in metrics),
    ]
    facts = place_cells(place)
    cells += [EMPTY] * (n_columns - len(cells) - len(facts))
    return Row(cells=(*cells, *facts), facets={**facets_of(place), "training": "", "how": "reference"}, quiet=True)


def _scores(one: Standing, metrics: Sequence[str], tied: ByBoard) -> list[Cell]:
    marks = marks_of(one, one.best, tied.get(one.place.board_id, {}))
    first, *others = metrics
    title = prompt_title(one.best.system)
    return [score(one.best, first, marks=marks, below=(title,)), *(score(one.best, metric) for metric in others)]


def _paper(one: Standing, metric: str) -> float | None:
    found = one.published.get((one.best.system, metric))
    return None if found is None else found[0]


def _published_heads(metrics: Sequence[str], group: str) -> list[Head]:
    return [
        Head(text=text, about=about, numeric=True, group=f"published: {group}", published=True)
        for metric in metrics
        for text, about in ((TITLES[metric], ""), ("difference", TITLES[metric]))
    ]


def _published_cells(
    metrics: Sequence[str], ours: Mapping[str, float | None], theirs: Mapping[str, float | None]
) -> list[Cell]:
    cells = []
    for metric in metrics:
        value = theirs[metric]
        shown = EMPTY if value is None else number(value, plain_score(metric, value))
        cells += [shown, difference(metric, ours[metric], value)]
    return cells


# --- what there is ------------------------------------------------------------------------------------------------


def _models(standings: Sequence[Standing]) -> Section:
    names = {one.model_id: model_path(one.model_id) for one in standings}
    items = tuple(Cell(text=name, href=path) for name, path in sorted(names.items()))
    return Section(title="Models", anchor="models", blocks=(Listing(items=items),))


def _corpora(standings: Sequence[Standing]) -> Section:
    names = {one.place.corpus_name: corpus_path(one.place.corpus_id) for one in standings}
    items = tuple(Cell(text=name, href=path) for name, path in sorted(names.items()))
    return Section(title="Corpora", anchor="corpora", blocks=(Listing(items=items),))
