"""The overall rank with its rule, and what cannot be told apart from the best of its board."""

from collections.abc import Sequence
from functools import partial

import polars as pl

from voxemo.reports import figures
from voxemo.reports.ranking import RankedSystem, Ranking
from voxemo.reports.scoreboard import Board, FinishedRun, prompt_title
from voxemo.reports.site.cells import Tied, model_path
from voxemo.reports.site.parts import (
    Block,
    Cell,
    Figure,
    Folded,
    Head,
    Listing,
    Paragraph,
    Row,
    Table,
    number,
    percent,
    word,
)
from voxemo.reports.told_apart import board_systems, told_apart
from voxemo.store.layout import RunPaths

RULE = (
    "Mean macro-F1 over the evaluation splits that all ranked systems share; what lacks one of them has no rank. A "
    "system is ranked by the vote of its five prompts, or by its prompt where it was asked one only. Ranks and means "
    "have 95 % intervals over the speakers of the test parts: ranks whose intervals overlap are no order."
)
MOST_CHARACTERS = 60
NO_RANK = "There is nothing to rank: no whole run with counts by speaker on the labels that its corpus is about."
SYNTHETIC = "Over synthetic corpora alone, which shows how ranking works and says nothing about real speech."


def tied_on(board: Board, runs: Sequence[FinishedRun]) -> Tied:
    """The best of a board, and what cannot be told apart from it.

    Paired by speaker, with Holm's correction over the board. Nothing where a run was scored by an older version, which
    kept no counts or sums by speaker.
    """
    shown = {entry.run_id for entry in board.entries if entry.kind == "run" and not entry.partial}
    kept = "unit_counts" if board.vote_rule is None else "unit_sums"
    if not all(getattr(RunPaths(run.path), kept).is_file() for run in runs if run.manifest.run_id in shown):
        return {}
    systems = board_systems(board, runs)
    if systems.best is None:
        return {}
    others = {key: "tied" for key, one in told_apart(systems).items() if not one.told_apart}
    return {systems.best: "best", **others}


def ranking_blocks(rankings: Sequence[Ranking]) -> list[Block]:
    """The overall rank as tables, with the rule."""
    blocks: list[Block] = [Paragraph(text=RULE)]
    if not rankings:
        return [*blocks, Paragraph(text=NO_RANK)]
    for ranking in rankings:
        if ranking.synthetic:
            blocks.append(Paragraph(text=SYNTHETIC, warning=True))
        names = tuple(word(f"{one.corpus_name}, {one.partition}, split {one.split_id}") for one in ranking.splits)
        blocks += [
            _table(ranking),
            *_figure(ranking),
            Folded(summary=f"Evaluation splits ({len(names)})", blocks=(Listing(items=names),)),
        ]
    return blocks


def _table(ranking: Ranking) -> Table:
    heads = (
        Head(text="rank", numeric=True),
        Head(text="model"),
        Head(text="trained"),
        Head(text="ranked by"),
        Head(text="mean maF1 %", numeric=True),
        Head(text="best prompts, unranked", numeric=True),
        Head(text="splits", numeric=True),
        Head(text="deviations"),
    )
    rows = tuple(_row(one, len(ranking.splits)) for one in ranking.systems)
    n = len(ranking.splits)
    caption = (
        f"Overall rank over {n} evaluation split{'' if n == 1 else 's'}{', synthetic' if ranking.synthetic else ''}"
    )
    return Table(caption=caption, heads=heads, rows=rows, sortable=True)


def _row(one: RankedSystem, n_splits: int) -> Row:
    span = () if one.rank_low is None else (f"[{one.rank_low}, {one.rank_high}]",)
    interval = () if one.ci_low is None else (f"[{percent(one.ci_low)}, {percent(one.ci_high)}]",)
    lacking = (f"lacks {', '.join(one.missing[:3])}" + (" ..." if len(one.missing) > 3 else ""),) if one.missing else ()
    return Row(
        cells=(
            # The first place first: sorting by a number begins with the largest.
            number(None if one.rank is None else -one.rank, "-" if one.rank is None else str(one.rank), below=span),
            Cell(text=one.model, href=model_path(one.model), head=True),
            word(one.training),
            word("-" if one.system is None else prompt_title(one.system)),
            number(one.mean, percent(one.mean), below=interval, strong=True),
            number(one.best_prompt_mean, percent(one.best_prompt_mean)),
            number(one.n_splits, f"{one.n_splits} of {n_splits}", below=lacking),
            word(_few(one.deviations)),
        ),
        quiet=one.rank is None,
    )


def _few(deviations: Sequence[str]) -> str:
    """The first deviation, short, and how many there are: their runs' pages have them in full."""
    if not deviations:
        return ""
    first = deviations[0] if len(deviations[0]) <= MOST_CHARACTERS else f"{deviations[0][:MOST_CHARACTERS]}..."
    return first if len(deviations) == 1 else f"{first}; and {len(deviations) - 1} more"


def _figure(ranking: Ranking) -> list[Figure]:
    ranked = [
        {
            "system": f"{one.model}, {one.training}",
            **{name: getattr(one, name) for name in ("rank", "rank_low", "rank_high", "mean", "ci_low", "ci_high")},
        }
        for one in ranking.systems
        if one.rank is not None
    ]
    if len(ranked) < 2 or not figures.can_draw():
        return []
    title = "Mean macro-F1 and rank, with 95 % intervals"
    draw = partial(figures.ranks, pl.DataFrame(ranked, infer_schema_length=None), title=title)
    return [
        Figure(
            name="rank-synthetic" if ranking.synthetic else "rank",
            alt=f"{title}. The numbers are in the table above.",
            caption=title,
            draw=lambda folder, name: draw(folder, name, kinds=("svg",)),
        )
    ]
