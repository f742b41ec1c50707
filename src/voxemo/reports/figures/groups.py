"""Figures of parts of the utterances: by what listeners agreed on, and by who speaks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from voxemo.core.escape import for_figure
from voxemo.reports.figures.canvas import KINDS, Kind, save, set_title, sheet
from voxemo.reports.figures.prompts import METRIC_TITLES
from voxemo.reports.figures.series import Look, add_legend, draw_points, looks, rule_off, said, shift, system_title

KIND_TITLES = {
    "speaker_gender": "speaker's gender",
    "speaker_age": "speaker's age",
    "language": "language",
    "agreement": "share of votes on the likeliest label",
}
METRICS = ("unweighted_accuracy", "jsd")
"""Drawn where there are rows of it: of hard answers the first, of distributions the second."""


def agreement(rows: pl.DataFrame, folder: Path, name: str, *, title: str, kinds: Sequence[Kind] = KINDS) -> list[Path]:
    """Draw scores from ambiguous to clear utterances: UA of hard answers (high is good), JSD of soft ones (low is).

    Args:
        rows: of analyses.parquet (`core.types.AnalysisRow`), of one test part and vote rule; those of another kind
            than ``agreement`` are not looked at. At most eight systems are drawn in a panel, the first.
        folder: to write into.
        name: of the files, without ending.
        title: of the figure.
        kinds: of files.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    return _draw(rows.filter(pl.col("kind") == "agreement"), folder, name, title=title, kinds=kinds)


def groups(rows: pl.DataFrame, folder: Path, name: str, *, title: str, kinds: Sequence[Kind] = KINDS) -> list[Path]:
    """Draw scores of women and men, by age and by language: UA of hard answers, JSD of soft ones, with intervals.

    Args:
        rows: of analyses.parquet (`core.types.AnalysisRow`), of one test part and vote rule; the kinds
            ``speaker_gender``, ``speaker_age`` and ``language`` are drawn, each in a panel, where they occur.
        folder: to write into.
        name: of the files, without ending.
        title: of the figure.
        kinds: of files.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    chosen = rows.filter(pl.col("kind").is_in(["speaker_gender", "speaker_age", "language"]))
    return _draw(chosen, folder, name, title=title, kinds=kinds)


def _draw(rows: pl.DataFrame, folder: Path, name: str, *, title: str, kinds: Sequence[Kind]) -> list[Path]:
    rows = rows.filter(pl.col("metric").is_in(METRICS))
    if rows.is_empty():
        return []
    kinds_there = rows["kind"].unique(maintain_order=True).to_list()
    metrics = [metric for metric in METRICS if metric in rows["metric"]]
    systems, left_out = looks(rows["system_id"].unique(maintain_order=True).to_list())
    n_groups = max(rows.filter(pl.col("kind") == kind)["group"].n_unique() for kind in kinds_there)
    width = (0.9 + (0.3 + 0.1 * len(systems)) * max(2, n_groups)) * len(metrics)
    with sheet(max(4.8, width), 0.8 + 2.7 * len(kinds_there)) as figure:
        panels = figure.subplots(len(kinds_there), len(metrics), squeeze=False)
        for line, kind in zip(panels, kinds_there, strict=True):
            for axis, metric in zip(line, metrics, strict=True):
                part = rows.filter(pl.col("kind") == kind, pl.col("metric") == metric)
                _panel(axis, kind, metric, part, systems)
        add_legend(figure, systems, left_out, lines="agreement" in kinds_there, title=system_title)
        set_title(figure, title)
        return save(figure, folder, name, kinds, title=title, about=_about(rows))


def _panel(axis: Any, kind: str, metric: str, part: pl.DataFrame, systems: Mapping[str, Look]) -> None:
    names = part["group"].unique(maintain_order=True).to_list()
    shown = [(system, look) for system, look in systems.items() if system in part["system_id"]]
    for index, (system, look) in enumerate(shown):
        own = part.filter(pl.col("system_id") == system).to_dicts()
        places = [names.index(row["group"]) + shift(index, len(shown)) for row in own]
        # The parts of a scale of agreement follow on each other; languages do not.
        draw_points(axis, places, own, look, ls=look.line if kind == "agreement" else "", lw=0.5)
    counts = dict(part.group_by("group").agg(pl.max("n")).iter_rows())
    ticks = [f"{for_figure(one, most=16)}\nn = {counts[one]:,}" for one in names]
    axis.set_xticks(range(len(names)), ticks, fontsize=8)
    axis.set_xlim(-0.5, max(1, len(names)) - 0.5)
    axis.set_ylim(0, None)
    axis.set_xlabel(KIND_TITLES[kind])
    axis.set_ylabel(METRIC_TITLES[metric] + (", low is good" if metric == "jsd" else ""))
    axis.tick_params(axis="x", length=0)
    rule_off(axis)


def _about(rows: pl.DataFrame) -> str:
    return "; ".join(
        f"{system_title(row['system_id'])}, {KIND_TITLES[row['kind']]} {row['group']}: {row['metric']} "
        f"{said(row['value'])} (n = {row['n']})"
        for row in rows.iter_rows(named=True)
    )
