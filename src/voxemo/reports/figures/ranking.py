"""The figure of ranks: who leads, and who cannot be told apart from whom."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from voxemo.core.escape import for_figure
from voxemo.reports.figures.canvas import BLUE, KINDS, RULE, Kind, check_drawing, save, set_title, sheet


def ranks(data: pl.DataFrame, folder: Path, name: str, *, title: str, kinds: Sequence[Kind] = KINDS) -> list[Path]:
    """Draw the mean and the rank of each system, each with its interval; the best on top. Nothing for a single system.

    Args:
        data: one row for each ``system``: ``rank``, ``rank_low``, ``rank_high`` (1 is best; low and high may be null),
            and ``mean`` (of macro-F1 over the shared evaluation splits, a fraction), ``ci_low``, ``ci_high`` (or null).
        folder: to write into.
        name: of the files, without ending.
        title: of the figure.
        kinds: of files.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    check_drawing()
    from matplotlib.ticker import MaxNLocator

    if data.height < 2:
        return []
    data = data.sort("rank", "mean", descending=[False, True])
    heights = range(data.height)
    with sheet(7.2, 1.2 + 0.28 * data.height) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        for axis, columns, scale in (
            (left, ("mean", "ci_low", "ci_high"), 100),
            (right, ("rank", "rank_low", "rank_high"), 1),
        ):
            for y, (value, low, high) in zip(heights, data.select(columns).iter_rows(), strict=True):
                axis.axhline(y, color=RULE, lw=0.6)
                if low is not None and high is not None:
                    axis.hlines(y, scale * low, scale * high, color=BLUE, lw=2)
                if value is not None:
                    axis.plot(scale * value, y, "o", color=BLUE, ms=5)
            axis.tick_params(axis="y", length=0)
            axis.spines["left"].set_visible(False)
        left.set_yticks(heights, [for_figure(one, most=48) for one in data["system"]])
        left.set_ylim(data.height - 0.5, -0.5)
        left.set_xlabel("mean macro-F1 (%)")
        right.set_xlabel("rank")
        right.set_xlim(0.5, max(data.height, 1) + 0.5)
        right.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        set_title(figure, title)
        about = "Ranks: " + "; ".join(
            f"{row['system']}: {row['rank']}"
            + ("" if row["rank_low"] is None else f" (between {row['rank_low']} and {row['rank_high']})")
            for row in data.iter_rows(named=True)
        )
        return save(figure, folder, name, kinds, title=title, about=about)
