"""The page of the paper's analyses, over the runs of the site, with the paper's own figures beside them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from voxemo.core.cards import CorpusCard
from voxemo.reports import analyses, figures
from voxemo.reports.scoreboard import prompt_title
from voxemo.reports.site.cells import EMPTY, corpus_path, model_path
from voxemo.reports.site.parts import (
    Block,
    Cell,
    Figure,
    Folded,
    Head,
    Page,
    Paragraph,
    Row,
    Section,
    Table,
    how_many,
    number,
    percent,
    points,
    word,
)
from voxemo.reports.tables import signed

GROUPS = {"acted": "acted", "in_the_wild": "in the wild", "all": "all"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an analysis: how its numbers look."""

    name: str
    title: str
    show: "Show"
    paper: bool = True
    """Whether the paper's figure stands beside, where there is one."""


Show: TypeAlias = Callable[[Any], Cell]


def _share(value: float | None) -> Cell:
    return number(value, percent(value))


def _gain(value: float | None) -> Cell:
    return number(value, points(value))


def _count(value: float | None) -> Cell:
    return number(value, "-" if value is None else f"{value:,.1f}".removesuffix(".0"))


def _rho(value: float | None) -> Cell:
    return number(value, "-" if value is None else signed(value, 2))


def _prompt(value: str | None) -> Cell:
    return word("-" if value is None else prompt_title(value))


def _group(value: str | None) -> Cell:
    return word("-" if value is None else GROUPS.get(value, value))


def analyses_page(scores: pl.DataFrame, cards: Mapping[str, CorpusCard], *, synthetic: bool) -> Page:
    """The page of analyses.

    Args:
        scores: of `analyses.measured`.
        cards: of the corpora, by id.
        synthetic: the scores are of synthetic corpora alone.
    """
    facts = analyses.corpora(cards.values())
    paper = analyses.printed().filter(pl.col("model").is_in(scores["model"].unique().to_list()))
    paper_facts = analyses.corpora()
    maker = _Maker(cards)
    sections = [
        section
        for section in (
            _effects(maker, scores, facts, paper, paper_facts),
            _best(maker, scores, paper),
            _wins(maker, scores, paper),
            _spread(maker, scores, facts, paper, paper_facts),
            _tuned(maker, scores, facts, paper, paper_facts),
        )
        if section is not None
    ]
    blocks: list[Block] = []
    if synthetic:
        text = "Synthetic corpora alone: shows how the analyses work, and says nothing about people's speech."
        blocks.append(Paragraph(text=text, warning=True))
    if not sections:
        blocks.append(Paragraph(text="No model of this site was asked several prompts on the labels of a corpus."))
    return Page(
        path="analyses.html",
        title="Analyses",
        lead="What prompts, fine-tuning and the kind of speech do to macro-F1 on hard labels, over all corpora here.",
        blocks=tuple(blocks),
        sections=tuple(sections),
    )


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes tables of analyses; knows which corpora have a page."""

    cards: Mapping[str, CorpusCard]

    def model(self, value: str) -> Cell:
        return Cell(text=value, href=model_path(value), head=True)

    def corpus(self, value: str) -> Cell:
        card = self.cards.get(value)
        return word(value) if card is None else Cell(text=card.name, href=corpus_path(value))

    def table(
        self, ours: pl.DataFrame, paper: pl.DataFrame, keys: Sequence[Column], columns: Sequence[Column], caption: str
    ) -> Table:
        """A table of ours, with the paper's columns where it has any of the rows."""
        names = [key.name for key in keys]
        theirs = paper.join(ours, on=names, how="semi", nulls_equal=True)
        joined = analyses.beside(ours, theirs, on=names)
        shown = [column for column in columns if column.paper] if theirs.height else []
        heads = [Head(text=key.title) for key in keys]
        heads += [Head(text=column.title, numeric=column.show is not _prompt) for column in columns]
        heads += [
            Head(text=column.title, numeric=column.show is not _prompt, group="published: paper", published=True)
            for column in shown
        ]
        rows = []
        for row in joined.iter_rows(named=True):
            cells = [key.show(row[key.name]) for key in keys]
            cells += [column.show(row[column.name]) for column in columns]
            cells += [column.show(row[f"{column.name}_paper"]) for column in shown]
            rows.append(Row(cells=tuple(cells)))
        return Table(caption=caption, heads=tuple(heads), rows=tuple(rows), sortable=True)

    def wide(
        self,
        ours: pl.DataFrame,
        paper: pl.DataFrame,
        keys: Sequence[Column],
        *,
        across: str,
        title: Callable[[str], str],
        show: Callable[[Mapping[str, Any]], Cell],
        caption: str,
    ) -> Table:
        """A table with a column for each value of one of its columns, ours first, and the paper's beside."""
        names = [key.name for key in keys]
        theirs = paper.join(ours, on=[*names, across], how="semi", nulls_equal=True)
        columns = ours[across].unique(maintain_order=True).to_list()
        published = theirs[across].unique(maintain_order=True).to_list()
        heads = [Head(text=key.title) for key in keys]
        heads += [Head(text=title(name), numeric=True) for name in columns]
        heads += [Head(text=title(name), numeric=True, group="published: paper", published=True) for name in published]
        by_place = [
            {(*(row[name] for name in names), row[across]): row for row in table.iter_rows(named=True)}
            for table in (ours, theirs)
        ]
        rows = []
        for place in ours.select(names).unique(maintain_order=True).iter_rows():
            cells = [key.show(value) for key, value in zip(keys, place, strict=True)]
            for found, shown in zip(by_place, (columns, published), strict=True):
                values = (found.get((*place, name)) for name in shown)
                cells += [EMPTY if value is None else show(value) for value in values]
            rows.append(Row(cells=tuple(cells)))
        return Table(caption=caption, heads=tuple(heads), rows=tuple(rows), sortable=True)

    @property
    def model_key(self) -> Column:
        return Column("model", "model", self.model)


N_SPLITS = Column("n_splits", "test parts", _count)


# --- prompts ------------------------------------------------------------------------------------------------------


def _effects(
    maker: _Maker, scores: pl.DataFrame, facts: pl.DataFrame, paper: pl.DataFrame, paper_facts: pl.DataFrame
) -> Section | None:
    tables, drawn = [], []
    for by in ("setting", "language"):
        title = by
        ours = analyses.prompt_effect(scores, facts, by=by)
        if ours.is_empty():
            return None
        theirs = analyses.prompt_effect(paper, paper_facts, by=by)
        tables.append(
            maker.wide(
                ours,
                theirs,
                (maker.model_key, Column("group", title, _group)),
                across="setting",
                title=prompt_title,
                show=_effect,
                caption=f"Mean macro-F1 (%) of each prompt by {title}, and below what it gains over Direct",
            )
        )
        drawn.append(
            ours.filter(pl.col("group") != "all").select(
                "model",
                "group",
                by=pl.lit(by),
                system_id="setting",
                effect="gain",
                n_corpora="n_splits",
            )
        )
    title = "What each prompt gains or loses against Direct, by setting and language"
    figure = _figure("analyses-prompt-effect", title, partial(figures.prompt_effect, pl.concat(drawn), title=title))
    return Section(title="Prompts by setting and language", anchor="prompt-effect", blocks=(*tables, *figure))


def _effect(row: Mapping[str, Any]) -> Cell:
    parts = how_many(row["n_splits"], "test part")
    return number(row["mean"], percent(row["mean"]), below=(points(row["gain"]), parts))


def _best(maker: _Maker, scores: pl.DataFrame, paper: pl.DataFrame) -> Section | None:
    ours = analyses.best_variant_counts(scores)
    if ours.is_empty():
        return None
    table = maker.wide(
        ours,
        analyses.best_variant_counts(paper),
        (maker.model_key,),
        across="setting",
        title=prompt_title,
        show=_times_best,
        caption="On how many test parts each prompt is the best of its model; prompts that tie share the part",
    )
    return Section(title="Which prompt is best", anchor="best-prompt", blocks=(table,))


def _times_best(row: Mapping[str, Any]) -> Cell:
    shared = (f"{row['n_ties']} shared",) if row["n_ties"] else ()
    return number(row["count"], _count(row["count"]).text, below=(f"of {row['n_splits']}", *shared))


def _wins(maker: _Maker, scores: pl.DataFrame, paper: pl.DataFrame) -> Section | None:
    ours = analyses.model_wins(scores)
    if ours.is_empty():
        return None
    table = maker.wide(
        ours,
        analyses.model_wins(paper),
        (maker.model_key,),
        across="other",
        title=lambda name: f"against {name}",
        show=_won,
        caption="On how many test parts the best prompt of one model beats that of another; both flattered alike",
    )
    return Section(title="Model against model", anchor="wins", blocks=(table,))


def _won(row: Mapping[str, Any]) -> Cell:
    ties = (how_many(row["ties"], "tie"),) if row["ties"] else ()
    return number(row["wins"], str(row["wins"]), below=(f"of {row['n_splits']}", *ties))


def _spread(
    maker: _Maker, scores: pl.DataFrame, facts: pl.DataFrame, paper: pl.DataFrame, paper_facts: pl.DataFrame
) -> Section | None:
    spreads, theirs = analyses.variant_spread(scores), analyses.variant_spread(paper)
    if spreads.is_empty():
        return None
    means = maker.table(
        analyses.mean_spread(spreads, facts),
        analyses.mean_spread(theirs, paper_facts),
        (maker.model_key, Column("group", "setting", _group)),
        (
            Column("mean", "mean", _share),
            Column("low", "least", _share),
            Column("high", "largest", _share),
            N_SPLITS,
        ),
        "Distance of the best from the worst prompt (points of macro-F1), mean over test parts",
    )
    single = maker.table(
        spreads,
        theirs,
        (maker.model_key, Column("corpus_id", "corpus", maker.corpus), Column("partition", "part", word)),
        (
            Column("spread", "distance", _share),
            Column("best", "best maF1 %", _share, paper=False),
            Column("best_prompt", "best prompt", _prompt),
            Column("worst", "worst maF1 %", _share, paper=False),
            Column("worst_prompt", "worst prompt", _prompt),
        ),
        "Every test part",
    )
    return Section(title="How much the prompt matters", anchor="spread", blocks=(means, _folded(single)))


# --- fine-tuning --------------------------------------------------------------------------------------------------


def _tuned(
    maker: _Maker, scores: pl.DataFrame, facts: pl.DataFrame, paper: pl.DataFrame, paper_facts: pl.DataFrame
) -> Section | None:
    gains, theirs = analyses.sft_gain(scores, facts), analyses.sft_gain(paper, paper_facts)
    if gains.is_empty():
        return None
    by_size = maker.table(
        analyses.gain_by_size(gains),
        analyses.gain_by_size(theirs),
        (maker.model_key,),
        (
            Column("mean_gain", "mean gain", _gain),
            Column("n_gained", "parts with a gain", _count),
            Column("rho_utterances", "rank correlation with utterances", _rho),
            Column("rho_hours", "with hours", _rho),
            N_SPLITS,
        ),
        "Gain of fine-tuning over the best zero-shot prompt (points of macro-F1), and corpus size",
    )
    single = maker.table(
        gains,
        theirs,
        (maker.model_key, Column("corpus_id", "corpus", maker.corpus), Column("partition", "part", word)),
        (
            Column("gain", "gain", _gain),
            Column("sft", "fine-tuned maF1 %", _share),
            Column("best", "best zero-shot maF1 %", _share),
            Column("best_prompt", "best prompt", _prompt),
            Column("n_utterances", "utterances", _count, paper=False),
            Column("hours", "hours", _count, paper=False),
        ),
        "Every test part",
    )
    title = "Gain of fine-tuning against the size of the corpus"
    figure = _figure("analyses-sft-gain", title, partial(figures.sft_gain, gains, title=title))
    return Section(title="Fine-tuning and corpus size", anchor="sft", blocks=(by_size, *figure, _folded(single)))


def _folded(table: Table) -> Folded:
    return Folded(summary=f"{table.caption} ({len(table.rows)} rows)", blocks=(table,))


def _figure(name: str, title: str, draw: "partial[list[Path]]") -> list[Figure]:
    if not figures.can_draw():
        return []
    alt = f"{title}. The numbers are in the tables of this section."
    return [Figure(name=name, alt=alt, caption=title, draw=lambda folder, file: draw(folder, file, kinds=("svg",)))]
