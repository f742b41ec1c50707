"""Figures of squares: who is taken for whom, and what training on one corpus brings on another."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import polars as pl

from voxemo.core.escape import for_figure
from voxemo.reports.classes import FAILED
from voxemo.reports.figures.canvas import CELL, INK, KINDS, PAPER, Kind, check_drawing, save, set_title, sheet
from voxemo.reports.tables import signed
from voxemo.reports.transfer import TransferCell, sources_of, targets_of

DEEP = 0.85
"""Share from which on a cell is so deep that text on it has the colour of paper."""


def confusion(
    counts: pl.DataFrame,
    folder: Path,
    name: str,
    *,
    title: str,
    kinds: Sequence[Kind] = KINDS,
    labels: Sequence[str] | None = None,
) -> list[Path]:
    """Draw what is taken for what: shares of each true label as colour and number, with counts below.

    Args:
        counts: of one system and test part: ``gold``, ``predicted`` (a label, or ``failed``), ``n``; rows of one pair
            (of several folds) are added up. Other columns are not looked at.
        folder: to write into.
        name: of the files, without ending.
        title: of the figure.
        kinds: of files.
        labels: the label set in its order; by default the labels that occur, sorted.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    check_drawing()
    from matplotlib.patches import Rectangle

    if counts.is_empty():
        return []
    cells = {(gold, said): n for gold, said, n in counts.group_by("gold", "predicted").agg(pl.sum("n")).iter_rows()}
    rows = list(labels) if labels is not None else sorted({one for pair in cells for one in pair} - {FAILED})
    columns = [*rows, FAILED]
    totals = [sum(cells.get((gold, said), 0) for said in columns) for gold in rows]
    with sheet(1.9 + 0.62 * len(columns), 1.5 + 0.5 * len(rows)) as figure:
        axis = figure.subplots()
        for y, (gold, total) in enumerate(zip(rows, totals, strict=True)):
            for x, said in enumerate(columns):
                n = cells.get((gold, said), 0)
                share = n / total if total else 0.0
                # Failed answers stand apart: they are no label.
                left = x - 0.5 + (0.15 if said == FAILED else 0)
                axis.add_patch(Rectangle((left, y - 0.5), 1, 1, facecolor=CELL, alpha=share, lw=0))
                ink, middle = (PAPER if share > DEEP else INK), left + 0.5
                axis.text(middle, y - 0.1, f"{100 * share:.0f} %", ha="center", va="center", color=ink, fontsize=8)
                axis.text(middle, y + 0.26, f"{n:,}", ha="center", va="center", color=ink, fontsize=6)
                if gold == said:
                    frame = Rectangle((left + 0.03, y - 0.47), 0.94, 0.94, fill=False, edgecolor=INK, lw=0.9)
                    axis.add_patch(frame)
        _square_axes(axis, [for_figure(one, most=24) for one in columns], [for_figure(one, most=24) for one in rows])
        axis.set_xlim(-0.5, len(columns) - 0.35)
        axis.set_xlabel("answered")
        axis.set_ylabel("true")
        set_title(figure, title)
        right = sum(cells.get((one, one), 0) for one in rows)
        about = f"{right:,} of {sum(totals):,} answers are right. Rows are true labels; shares are of a row."
        return save(figure, folder, name, kinds, title=title, about=about)


def transfer_map(
    cells: Sequence[TransferCell], folder: Path, name: str, *, title: str, kinds: Sequence[Kind] = KINDS
) -> list[Path]:
    """Draw a matrix of transfers.

    Each cell has macro-F1 and the gain over zero-shot as numbers, and the gain as colour between orange (a loss) and
    purple (a gain). A frame marks training and testing on the same corpus; hatching marks what was refused.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    check_drawing()
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    rows, columns = sources_of(cells), targets_of(cells)
    gains = [100 * cell.delta for cell in cells if cell.delta is not None]
    # Ten points at the least, so that small gains do not look like large ones.
    largest = max([10.0, *map(abs, gains)])
    shades, norm = mpl.colormaps["PuOr"], Normalize(-largest, largest)
    scale = ScalarMappable(norm, shades)
    with sheet(2.6 + 1.05 * len(columns), 1.6 + 0.62 * len(rows)) as figure:
        axis = figure.subplots()
        for cell in cells:
            place = columns.index(cell.target), rows.index(cell.source)
            corner = (place[0] - 0.5, place[1] - 0.5)
            if cell.value is None:
                axis.add_patch(Rectangle(corner, 1, 1, facecolor="white", edgecolor="0.7", hatch="///"))
                axis.text(
                    *place, "refused", ha="center", va="center", color="black", backgroundcolor="white", fontsize=8
                )
                continue
            colour = "0.9" if cell.delta is None else shades(norm(100 * cell.delta))
            axis.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", lw=1))
            ink = ink_on(colour)
            axis.text(place[0], place[1] - 0.13, f"{100 * cell.value:.1f}", ha="center", va="center", color=ink)
            if cell.delta is not None:
                gain = signed(100 * cell.delta)
                axis.text(place[0], place[1] + 0.22, gain, ha="center", va="center", color=ink, fontsize=7.5)
        for cell in cells:
            if cell.in_domain:
                corner = (columns.index(cell.target) - 0.46, rows.index(cell.source) - 0.46)
                frame = Rectangle(corner, 0.92, 0.92, fill=False, edgecolor="black", lw=1.6)
                # On a dark cell it is the white line beside the black one that is seen.
                frame.set_path_effects([withStroke(linewidth=3, foreground="white")])
                axis.add_patch(frame)
        _square_axes(axis, [for_figure(one, most=28) for one in columns], [for_figure(one, most=28) for one in rows])
        axis.set_xlabel("tested on")
        axis.set_ylabel("trained on")
        axis.set_title(fill(for_figure(title, most=300), 24 + 14 * len(columns)))
        bar = figure.colorbar(scale, ax=axis, shrink=0.9, pad=0.03)
        bar.set_label("gain over zero-shot (points)")
        bar.outline.set_visible(False)
        about = (
            f"Macro-F1 and gain over zero-shot of {len(cells)} pairs of corpora. Rows: trained on {', '.join(rows)}. "
            f"Columns: tested on {', '.join(columns)}."
        )
        return save(figure, folder, name, kinds, title=title, about=about)


def _square_axes(axis: Any, columns: Sequence[str], rows: Sequence[str]) -> None:
    axis.set_xlim(-0.5, len(columns) - 0.5)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xticks(range(len(columns)), columns, rotation=30, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(rows)), rows)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def ink_on(colour: Any) -> str:
    """Black or white, whichever is read more easily on a colour."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.4 else "white"
