"""Figures of parts of the utterances: by what listeners agreed on, and by who speaks."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from voxemo.reports.escape import for_figure
from voxemo.reports.figures.canvas import KINDS, Kind, save, set_title, sheet
from voxemo.reports.figures.prompts import METRIC_TITLES
from voxemo.reports.figures.series import add_legend, draw_points, looks, rule_off, said, shift, system_title

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
    panels = rows.select("kind", "metric").unique(maintain_order=True).rows()
    systems, left_out = looks(rows["system_id"].unique(maintain_order=True).to_list())
    parts = [rows.filter(pl.col("kind") == kind, pl.col("metric") == metric) for kind, metric in panels]
    sizes = [max(2, part["group"].n_unique()) for part in parts]
    width = max(4.6, sum(0.9 + (0.35 + 0.12 * len(systems)) * n for n in sizes))
    with sheet(width, 3.4 + 0.1 * len(systems)) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False, width_ratios=sizes)[0]
        for axis, (kind, metric), part in zip(axes, panels, parts, strict=True):
            names = part["group"].unique(maintain_order=True).to_list()
            shown = [(system, look) for system, look in systems.items() if system in part["system_id"]]
            for index, (system, look) in enumerate(shown):
                own = part.filter(pl.col("system_id") == system).to_dicts()
                places = [names.index(row["group"]) + shift(index, len(shown)) for row in own]
                # The parts of a scale of agreement follow on each other; languages do not.
                draw_points(axis, places, own, look, ls=look.line if kind == "agreement" else "", lw=0.5)
            counts = dict(part.group_by("group").agg(pl.max("n")).iter_rows())
            axis.set_xticks(
                range(len(names)), [f"{for_figure(one, most=16)}\nn = {counts[one]:,}" for one in names], fontsize=8
            )
            axis.set_xlim(-0.5, len(names) - 0.5)
            axis.set_ylim(0, None)
            axis.set_xlabel(KIND_TITLES[kind])
            axis.set_ylabel(METRIC_TITLES[metric] + (", low is good" if metric == "jsd" else ""))
            axis.tick_params(axis="x", length=0)
            rule_off(axis)
        add_legend(figure, systems, left_out, title=system_title)
        set_title(figure, title)
        return save(figure, folder, name, kinds, title=title, about=_about(rows))


def _about(rows: pl.DataFrame) -> str:
    return "; ".join(
        f"{system_title(row['system_id'])}, {KIND_TITLES[row['kind']]} {row['group']}: {row['metric']} "
        f"{said(row['value'])} (n = {row['n']})"
        for row in rows.iter_rows(named=True)
    )
