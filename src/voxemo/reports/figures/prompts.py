"""Figures of prompts: how much the wording of the question changes the score, and where."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from voxemo.core.escape import for_figure
from voxemo.reports.figures.canvas import INK, KINDS, RULE, Kind, save, set_title, sheet
from voxemo.reports.figures.series import add_legend, draw_bars, draw_points, looks, marks, rule_off, said, shift
from voxemo.reports.scoreboard import prompt_title

FORM_TITLES = {"hard": "one label asked for", "distribution": "a distribution asked for"}
METRIC_TITLES = {
    "macro_f1": "macro-F1 (%)",
    "soft_macro_f1": "macro-F1 of label sets (%)",
    "unweighted_accuracy": "UA (%)",
    "weighted_accuracy": "WA (%)",
    "top1_accuracy": "top-1 accuracy (%)",
    "jsd": "JSD (x 100)",
}


def prompt_sensitivity(
    data: pl.DataFrame, folder: Path, name: str, *, title: str, kinds: Sequence[Kind] = KINDS
) -> list[Path]:
    """Draw the paper's Figure 1: the score and the failure rate of each prompt variant.

    A column of panels for each form of the question; above scores as points with their intervals, below the share of
    answers that could not be read, as bars.

    Args:
        data: one row for each model, form and variant: ``model``, ``form`` (``hard`` or ``distribution``),
            ``system_id``, ``metric``, ``value``, ``ci_low``, ``ci_high`` (fractions, or null), ``failure_rate`` (a
            fraction). One metric for each form. A row without a value still has its failure rate drawn.
        folder: to write into.
        name: of the files, without ending.
        title: of the figure.
        kinds: of files.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    if data.is_empty():
        return []
    forms = data["form"].unique(maintain_order=True).to_list()
    models, left_out = looks(data["model"].unique(maintain_order=True).to_list())
    with sheet(max(4.8, 0.9 + 3.6 * len(forms)), 4.2 + 0.2 * len(models)) as figure:
        panels = figure.subplots(2, len(forms), sharex="col", squeeze=False, height_ratios=(3, 2))
        for (above, below), form in zip(panels.T, forms, strict=True):
            rows = data.filter(pl.col("form") == form)
            variants = rows["system_id"].unique(maintain_order=True).to_list()
            for index, (model, look) in enumerate(models.items()):
                own = rows.filter(pl.col("model") == model).to_dicts()
                places = [variants.index(row["system_id"]) + shift(index, len(models)) for row in own]
                draw_points(above, places, own, look, lw=0.5)
                draw_bars(below, places, [row["failure_rate"] for row in own], look, 0.7 / len(models))
            metric = rows["metric"].drop_nulls().first()
            above.set_title(FORM_TITLES.get(form, form))
            above.set_ylabel(METRIC_TITLES.get(str(metric), str(metric or "")))
            above.set_ylim(0, None)
            below.set_ylim(0, 100)
            below.set_ylabel("failed (%)")
            below.set_xlim(-0.6, len(variants) - 0.4)
            below.set_xticks(range(len(variants)), [for_figure(prompt_title(one), most=24) for one in variants])
            below.tick_params(axis="x", length=0)
            rule_off(above)
            rule_off(below)
        if len(models) > 1:
            add_legend(figure, models, left_out)
        set_title(figure, title)
        about = "Score and failure rate by prompt. " + "; ".join(
            f"{row['model']}, {row['form']}, {prompt_title(row['system_id'])}: {said(row['value'])}, "
            f"failed {said(row['failure_rate'])}"
            for row in data.iter_rows(named=True)
        )
        return save(figure, folder, name, kinds, title=title, about=about)


def prompt_effect(
    data: pl.DataFrame, folder: Path, name: str, *, title: str, kinds: Sequence[Kind] = KINDS
) -> list[Path]:
    """Draw what each prompt gains or loses, by a property of the corpora: a panel for each property and model.

    Args:
        data: one row for each ``model``, ``by`` (``setting`` or ``language``), ``group`` (acted, in the wild, en, ...)
            and ``system_id`` (a variant): ``effect``, the mean over the group's corpora of the difference from the
            direct prompt (a fraction), and ``n_corpora``.
        folder: to write into.
        name: of the files, without ending.
        title: of the figure.
        kinds: of files.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    if data.is_empty():
        return []
    panels = data.select("model", "by").unique(maintain_order=True).rows()
    variants, left_out = looks(data["system_id"].unique(maintain_order=True).to_list())
    sizes = [data.filter(pl.col("model") == model, pl.col("by") == by)["group"].n_unique() for model, by in panels]
    with sheet(6.4, 1.3 + sum(0.5 + 0.36 * n for n in sizes)) as figure:
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=[1 + n for n in sizes])[:, 0]
        for axis, (model, by) in zip(axes, panels, strict=True):
            rows = data.filter(pl.col("model") == model, pl.col("by") == by)
            groups = dict(rows.select("group", "n_corpora").iter_rows())
            for index, (variant, look) in enumerate(variants.items()):
                own = rows.filter(pl.col("system_id") == variant, pl.col("effect").is_not_null())
                heights = [list(groups).index(one) + shift(index, len(variants)) for one in own["group"]]
                axis.plot([100 * value for value in own["effect"]], heights, ls="", **marks(look))
            axis.axvline(0, color=INK, lw=0.8)
            for y in range(len(groups) - 1):
                axis.axhline(y + 0.5, color=RULE, lw=0.6)
            axis.set_yticks(range(len(groups)), [f"{for_figure(one, most=30)} ({n})" for one, n in groups.items()])
            axis.set_ylim(len(groups) - 0.5, -0.5)
            axis.set_title(f"{for_figure(model, most=60)}, by {for_figure(by, most=20)} (number of corpora)")
            axis.tick_params(axis="y", length=0)
        axes[-1].set_xlabel("difference from the direct prompt (points of macro-F1)")
        add_legend(figure, variants, left_out, lines=False, title=prompt_title)
        set_title(figure, title)
        about = "Difference from the direct prompt. " + "; ".join(
            f"{row['model']}, {row['group']}, {prompt_title(row['system_id'])}: {said(row['effect'])}"
            for row in data.iter_rows(named=True)
        )
        return save(figure, folder, name, kinds, title=title, about=about)
