"""Figures: how a training went, and a matrix of transfers. They need matplotlib, which nothing else does.

The same numbers give the same SVG. No figure tells anything by colour alone.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill
from typing import Any

from voxemo.core.errors import MissingDependency
from voxemo.reports.transfer import TransferCell, sources_of, targets_of
from voxemo.store.files import write_atomically

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    # Names of shapes in an SVG are made from this and the content, not at random.
    "svg.hashsalt": "voxemo",
    # Text stays text, to be searched and copied.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
UNDATED: Mapping[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": "voxemo"},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": "voxemo"},
    "png": {"Software": None},
}
# Of Okabe and Ito: told apart by people who see colours otherwise, and as greys.
BLUE, ORANGE = "#0072B2", "#D55E00"


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def _check() -> None:
    if not can_draw():
        raise MissingDependency("Drawing figures", package="matplotlib", extra="report")


@contextmanager
def _canvas(width_in: float, height_in: float) -> Iterator[Any]:
    """A figure that no window and no global state knows of."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def _save(figure: Any, folder: Path, name: str, kinds: Sequence[str]) -> list[Path]:
    written = []
    for kind in kinds:
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=150, metadata=UNDATED[kind])
        path = folder / f"{name}.{kind}"
        write_atomically(path, lambda file, made=content: file.write(made.getvalue()))  # type: ignore[misc]
        written.append(path)
    return written


# --- learning curve -----------------------------------------------------------------------------------------------


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
    _check()
    from matplotlib.ticker import MaxNLocator

    numbers = [one["epoch"] for one in epochs]
    validated = [one for one in epochs if one.get("valid_ua") is not None]
    with _canvas(4.5, 4.2 if validated else 2.4) as figure:
        axes = figure.subplots(2 if validated else 1, 1, sharex=True, squeeze=False)[:, 0]
        axes[0].plot(numbers, [one["train_loss"] for one in epochs], "o-", color=BLUE, ms=4, label="training")
        if validated:
            heard = [one["epoch"] for one in validated]
            losses = [one["valid_loss"] for one in validated]
            axes[0].plot(heard, losses, "s--", color=ORANGE, ms=4, label="validation")
            axes[1].plot(heard, [100 * one["valid_ua"] for one in validated], "s--", color=ORANGE, ms=4)
            axes[1].set_ylabel("validation UA (%)")
        axes[0].set_ylabel("loss (nats per token)")
        axes[0].legend(frameon=False)
        axes[0].set_title(fill(title, 64), loc="left", fontsize=9)
        axes[0].set_xlim(min(numbers) - 0.5, max(numbers) + 0.5)
        if kept_epoch is not None:
            for axis in axes:
                axis.axvline(kept_epoch, color="0.5", lw=0.8, ls=":")
            axes[-1].annotate(
                "kept", (kept_epoch, 0), xycoords=("data", "axes fraction"), xytext=(3, 3), textcoords="offset points"
            )
        axes[-1].set_xlabel("epoch")
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        return _save(figure, folder, "curve", ("svg", "png"))


# --- transfer -----------------------------------------------------------------------------------------------------


def transfer_map(cells: Sequence[TransferCell], folder: Path, name: str, *, title: str) -> list[Path]:
    """Draw a matrix of transfers as SVG, PNG and PDF.

    Each cell has macro-F1 and the gain over zero-shot as numbers, and the gain as colour between orange (a loss) and
    purple (a gain). A frame marks training and testing on the same corpus; hatching marks what was refused.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    _check()
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    rows, columns = sources_of(cells), targets_of(cells)
    gains = [100 * cell.delta for cell in cells if cell.delta is not None]
    # Ten points at the least, so that small gains do not look like large ones.
    largest = max([10.0, *map(abs, gains)])
    shades, norm = mpl.colormaps["PuOr"], Normalize(-largest, largest)
    scale = ScalarMappable(norm, shades)
    with _canvas(2.6 + 1.05 * len(columns), 1.6 + 0.62 * len(rows)) as figure:
        axis = figure.subplots()
        for cell in cells:
            place = columns.index(cell.target), rows.index(cell.source)
            corner = (place[0] - 0.5, place[1] - 0.5)
            if cell.value is None:
                axis.add_patch(Rectangle(corner, 1, 1, facecolor="white", edgecolor="0.7", hatch="///"))
                axis.text(*place, "refused", ha="center", va="center", backgroundcolor="white", fontsize=8)
                continue
            colour = "0.9" if cell.delta is None else shades(norm(100 * cell.delta))
            axis.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", lw=1))
            ink = ink_on(colour)
            axis.text(place[0], place[1] - 0.13, f"{100 * cell.value:.1f}", ha="center", va="center", color=ink)
            if cell.delta is not None:
                gain = f"{100 * cell.delta:+.1f}"
                axis.text(place[0], place[1] + 0.22, gain, ha="center", va="center", color=ink, fontsize=7.5)
        for cell in cells:
            if cell.in_domain:
                corner = (columns.index(cell.target) - 0.47, rows.index(cell.source) - 0.47)
                axis.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, edgecolor="black", lw=1.6))
        axis.set_xlim(-0.5, len(columns) - 0.5)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xticks(range(len(columns)), columns, rotation=30, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(rows)), rows)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_xlabel("tested on")
        axis.set_ylabel("trained on")
        axis.set_title(fill(title, 24 + 14 * len(columns)), loc="left", fontsize=9)
        bar = figure.colorbar(scale, ax=axis, shrink=0.9, pad=0.03)
        bar.set_label("gain over zero-shot (points)")
        bar.outline.set_visible(False)
        return _save(figure, folder, name, ("svg", "png", "pdf"))


def ink_on(colour: Any) -> str:
    """Black or white, whichever is read more easily on a colour."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.4 else "white"
