"""Figures of probabilities: whether they can be believed, and which labels they favour."""

from collections.abc import Sequence
from functools import partial
from math import ceil
from pathlib import Path
from textwrap import fill
from typing import Any

import polars as pl

from voxemo.core.escape import for_figure
from voxemo.core.types import CORRECTED, ENSEMBLE, LIKELIHOOD, MEAN_DISTRIBUTION, REFERENCE
from voxemo.reports.figures.canvas import BLUE, INK, KINDS, MUTED, Kind, save, set_title, sheet
from voxemo.reports.figures.series import add_legend, draw_bars, looks, rule_off, said, shift, system_title

GOLD = f"{REFERENCE}gold"
MOST_PANELS = 10
ALL = "all"


def calibration(
    rows: pl.DataFrame, folder: Path, name: str, *, title: str, kinds: Sequence[Kind] = KINDS
) -> list[Path]:
    """Draw reliability diagrams: how often the likeliest label is right, by how sure the system is of it.

    For each system above accuracy against confidence, with the diagonal where both are the same, below how many answers
    are in each bin. ECE, the mean distance from the diagonal, stands in the panel's head.

    Args:
        rows: of analyses.parquet (`core.types.AnalysisRow`), of one test part and vote rule; those of another kind
            than ``calibration`` are not looked at. At most ten systems are drawn, the first.
        folder: to write into.
        name: of the files, without ending.
        title: of the figure.
        kinds: of files.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    rows = rows.filter(pl.col("kind") == "calibration")
    systems = rows["system_id"].unique(maintain_order=True).to_list()[:MOST_PANELS]
    if not systems:
        return []
    columns = min(5, len(systems))
    lines = ceil(len(systems) / columns)
    found = []
    with sheet(max(3.2, 0.5 + 2.05 * columns), 0.6 + 3.0 * lines) as figure:
        heights = (3, 1) * lines
        panels = figure.subplots(2 * lines, columns, squeeze=False, sharex=True, height_ratios=heights)
        for axis in panels.flat:
            axis.set_visible(False)
        for index, system in enumerate(systems):
            line, column = divmod(index, columns)
            above, below = panels[2 * line, column], panels[2 * line + 1, column]
            own = rows.filter(pl.col("system_id") == system)
            ece = own.filter(pl.col("metric") == "ece", pl.col("group") == ALL)["value"].first()
            bins = own.filter(pl.col("group") != ALL).pivot(
                "metric", index=["group", "n"], values="value", maintain_order=True
            )
            _diagram(above, below, bins.drop_nulls())
            above.set_title(f"{fill(for_figure(_way(system), most=52), 26)}\nECE {_number(ece)}", fontsize=8)
            if column == 0:
                above.set_ylabel("right (%)")
                below.set_ylabel("answers")
            below.set_xlabel("confidence (%)")
            above.set_visible(True)
            below.set_visible(True)
            found.append(f"{system_title(system)}: ECE {_number(ece)}")
        set_title(figure, title)
        about = "How often the likeliest label is right against how sure the system is of it. " + "; ".join(found)
        return save(figure, folder, name, kinds, title=title, about=about)


def _diagram(above: Any, below: Any, bins: pl.DataFrame) -> None:
    above.plot([0, 100], [0, 100], color=MUTED, lw=0.8, ls="--")
    sure = [100 * value for value in bins["confidence"]] if "confidence" in bins.columns else []
    right = [100 * value for value in bins["accuracy"]] if "accuracy" in bins.columns else []
    for x, y in zip(sure, right, strict=True):
        above.vlines(x, min(x, y), max(x, y), color=MUTED, lw=0.8)
    above.plot(sure, right, "o-", color=BLUE, ms=4, lw=0.9)
    above.set(xlim=(0, 100), ylim=(0, 100))
    above.set_xticks((0, 50, 100))
    above.set_yticks((0, 50, 100))
    rule_off(above)
    for group, n in bins.select("group", "n").iter_rows():
        low, high = _edges(group)
        below.bar(100 * low, n, 100 * (high - low), align="edge", facecolor=BLUE, edgecolor=INK, lw=0.4)
    below.tick_params(labelsize=7)


def _edges(group: str) -> tuple[float, float]:
    """Edges of a bin.

    >>> _edges("0.8-0.9")
    (0.8, 0.9)
    """
    low, _, high = group.partition("-")
    return float(low), float(high)


def _number(value: Any) -> str:
    return "not known" if value is None else f"{value:.3f}"


def distributions(
    rows: pl.DataFrame, folder: Path, name: str, *, title: str, kinds: Sequence[Kind] = KINDS
) -> list[Path]:
    """Draw mean distributions beside the votes, for all and by true label: stated, voted and latent ones.

    Of each way to a distribution one system is drawn: of stated ones the mean over prompts where there is one, of voted
    ones the ensemble, of latent ones (likelihoods, plain and corrected by silence) the first.

    Args:
        rows: of analyses.parquet (`core.types.AnalysisRow`), of one test part and vote rule; those of another kind
            than ``mean_distribution`` are not looked at.
        folder: to write into.
        name: of the files, without ending.
        title: of the figure.
        kinds: of files.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    rows = rows.filter(pl.col("kind") == "mean_distribution", pl.col("metric") == "probability")
    if rows.is_empty():
        return []
    shown, _ = looks(side_by_side(rows))
    groups = rows["group"].unique(maintain_order=True).to_list()
    groups.sort(key=lambda group: group != ALL)
    labels = rows["class_label"].unique(maintain_order=True).to_list()
    columns = min(3, len(groups))
    lines = ceil(len(groups) / columns)
    with sheet(max(4.6, 0.5 + (0.7 + 0.32 * len(labels)) * columns), 1.2 + 1.75 * lines) as figure:
        panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        for axis in panels.flat[len(groups) :]:
            axis.set_visible(False)
        for axis, group in zip(panels.flat, groups, strict=False):
            part = rows.filter(pl.col("group") == group)
            for index, (system, look) in enumerate(shown.items()):
                own = part.filter(pl.col("system_id") == system)
                places = [labels.index(one) + shift(index, len(shown)) for one in own["class_label"]]
                draw_bars(axis, places, own["value"].to_list(), look, 0.7 / len(shown))
            n = int(part["n"].max() or 0)  # type: ignore[arg-type]
            axis.set_title(
                f"{'all' if group == ALL else f'truly {for_figure(group, most=20)}'} (n = {n:,})", fontsize=8
            )
            axis.set_xticks(range(len(labels)), [for_figure(one, most=14) for one in labels], rotation=45, ha="right")
            axis.tick_params(axis="x", length=0, labelsize=8)
            rule_off(axis)
        for line in panels:
            line[0].set_ylabel("probability (%)")
        for axis in panels.flat[max(0, len(groups) - columns) : len(groups)]:
            axis.tick_params(axis="x", labelbottom=True)
        way = partial(_way, truth="true labels" if rows["vote_rule"].is_null().all() else "listeners' votes")
        add_legend(figure, shown, bars=True, title=way)
        set_title(figure, title)
        about = "Mean probability of each label over all utterances. " + "; ".join(
            f"{way(row['system_id'])}, {row['class_label']}: {said(row['value'])}"
            for row in rows.filter(pl.col("group") == ALL, pl.col("system_id").is_in(list(shown))).iter_rows(named=True)
        )
        return save(figure, folder, name, kinds, title=title, about=about)


def side_by_side(rows: pl.DataFrame) -> list[str]:
    """Of the systems in rows of mean distributions, the votes and one for each way to a distribution."""
    ids = rows.select("system_id", "form").unique(maintain_order=True).rows()
    chosen: dict[str, str] = {}
    for system, form in ids:
        way = "gold" if system == GOLD else CORRECTED if system.startswith(CORRECTED) else form
        if way not in chosen or system == MEAN_DISTRIBUTION:
            chosen[way] = system
    order = ("gold", "distribution", "vote", "likelihood", CORRECTED)
    return [chosen[way] for way in sorted(chosen, key=lambda way: order.index(way) if way in order else len(order))]


def _way(system_id: str, *, truth: str = "") -> str:
    """How a system comes to its distribution; what it is held against is called by ``truth``."""
    if system_id == GOLD:
        return truth
    how = (
        "latent, silence taken out"
        if system_id.startswith(CORRECTED)
        else "latent"
        if system_id.startswith(LIKELIHOOD)
        else "voted"
        if system_id == ENSEMBLE
        else "stated"
    )
    return f"{how}: {system_title(system_id.removeprefix(CORRECTED).removeprefix(LIKELIHOOD))}"
