"""Figures of training: how it went, and what it brings for how much of a corpus."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import polars as pl

from voxemo.core.escape import for_figure
from voxemo.reports.figures.canvas import BLUE, INK, KINDS, MUTED, ORANGE, Kind, check_drawing, save, set_title, sheet
from voxemo.reports.figures.series import add_legend, looks, marks, rule_off, said


def learning_curve(
    epochs: Sequence[Mapping[str, Any]], folder: Path, *, title: str, kept_epoch: int | None = None
) -> list[Path]:
    """Draw losses and validation UA over epochs into ``curve.svg`` and ``curve.png``.

    Args:
        epochs: as a trained card's recipe has them: epoch, train_loss, valid_loss, valid_ua (a fraction; None where
            nothing was validated).
        folder: to write into.
        title: of the figure.
        kept_epoch: the one that the card names, marked by a line.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    check_drawing()
    from matplotlib.ticker import MaxNLocator

    numbers = [one["epoch"] for one in epochs]
    validated = [one for one in epochs if one.get("valid_ua") is not None]
    with sheet(4.5, 4.2 if validated else 2.4) as figure:
        axes = figure.subplots(2 if validated else 1, 1, sharex=True, squeeze=False)[:, 0]
        axes[0].plot(numbers, [one["train_loss"] for one in epochs], "o-", color=BLUE, ms=4, label="training")
        if validated:
            heard = [one["epoch"] for one in validated]
            losses = [one["valid_loss"] for one in validated]
            axes[0].plot(heard, losses, "s--", color=ORANGE, ms=4, label="validation")
            axes[1].plot(heard, [100 * one["valid_ua"] for one in validated], "s--", color=ORANGE, ms=4)
            axes[1].set_ylabel("validation UA (%)")
        axes[0].set_ylabel("loss (nats per token)")
        axes[0].legend()
        axes[0].set_title(fill(for_figure(title, most=300), 64))
        axes[0].set_xlim(min(numbers) - 0.5, max(numbers) + 0.5)
        if kept_epoch is not None:
            for axis in axes:
                axis.axvline(kept_epoch, color=MUTED, lw=0.8, ls=":")
            axes[-1].annotate(
                "kept", (kept_epoch, 0), xycoords=("data", "axes fraction"), xytext=(3, 3), textcoords="offset points"
            )
        axes[-1].set_xlabel("epoch")
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        last = epochs[-1]
        about = f"{len(epochs)} epochs; training loss from {epochs[0]['train_loss']:.3f} to {last['train_loss']:.3f}."
        return save(figure, folder, "curve", ("svg", "png"), title=title, about=about)


def sft_gain(data: pl.DataFrame, folder: Path, name: str, *, title: str, kinds: Sequence[Kind] = KINDS) -> list[Path]:
    """Draw what fine-tuning gains over the best zero-shot prompt against the size of the corpus, one point a corpus.

    Args:
        data: one row for each ``model`` and ``corpus_id``: ``n_utterances`` of the corpus (above 0; drawn as a
            logarithm) and ``gain`` (a fraction; rows where it is null are not drawn).
        folder: to write into.
        name: of the files, without ending.
        title: of the figure.
        kinds: of files.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    check_drawing()
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    data = data.filter(pl.col("gain").is_not_null(), pl.col("n_utterances").is_not_null())
    if data.is_empty():
        return []
    models, left_out = looks(data["model"].unique(maintain_order=True).to_list())
    with sheet(6.4, 4.2 + 0.2 * len(models)) as figure:
        axis = figure.subplots()
        axis.set_xscale("log")
        for model, look in models.items():
            own = data.filter(pl.col("model") == model)
            axis.plot(own["n_utterances"], [100 * gain for gain in own["gain"]], ls="", **marks(look))
        # One name for a corpus, at its highest point: all would hide the points.
        highest = data.sort("gain", descending=True).unique("corpus_id", keep="first", maintain_order=True)
        for corpus, n, gain in highest.select("corpus_id", "n_utterances", "gain").iter_rows():
            axis.annotate(
                for_figure(corpus, most=20),
                (n, 100 * gain),
                xytext=(4, 3),
                textcoords="offset points",
                fontsize=6.5,
                color=INK,
            )
        axis.axhline(0, color=INK, lw=0.8)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.margins(x=0.1, y=0.08)
        axis.set_xlabel("utterances of the corpus")
        axis.set_ylabel("gain over the best zero-shot prompt\n(points of macro-F1)")
        rule_off(axis)
        add_legend(figure, models, left_out, lines=False)
        set_title(figure, title)
        about = "Gain by fine-tuning. " + "; ".join(
            f"{row['model']}, {row['corpus_id']} ({row['n_utterances']:,} utterances): {said(row['gain'])}"
            for row in data.iter_rows(named=True)
        )
        return save(figure, folder, name, kinds, title=title, about=about)
