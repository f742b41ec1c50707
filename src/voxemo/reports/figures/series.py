"""Several systems in one figure: how each is drawn, so that no two differ by colour alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxemo.core.escape import for_figure
from voxemo.core.types import REFERENCE
from voxemo.reports.figures.canvas import BLUE, GREEN, INK, ORANGE, PURPLE, RULE
from voxemo.reports.scoreboard import REFERENCE_NAMES, prompt_title


@dataclass(frozen=True, slots=True)
class Look:
    """Colour, and what says the same without colour."""

    colour: str
    marker: str
    line: str
    hatch: str
    filled: bool = True


LOOKS = (
    Look(BLUE, "o", "-", ""),
    Look(ORANGE, "s", "--", "////"),
    Look(GREEN, "^", "-.", "...."),
    Look(PURPLE, "D", ":", "xxxx"),
    Look(INK, "v", "-", "----", filled=False),
    Look(BLUE, "P", "--", "++++", filled=False),
    Look(ORANGE, "X", "-.", "\\\\\\\\", filled=False),
    Look(GREEN, "*", ":", "oooo", filled=False),
)
"""As many as one figure tells apart."""

SPREAD = 0.7
"""Room that the systems of one place on an axis share, of the 1 between two places."""


def looks(names: Sequence[str]) -> tuple[dict[str, Look], int]:
    """A look for each name, in their order, and how many names are left without one: a figure has room for eight."""
    return dict(zip(names, LOOKS, strict=False)), max(0, len(names) - len(LOOKS))


def shift(index: int, n: int) -> float:
    """Where the index-th of n systems stands beside a place on an axis.

    >>> [round(shift(index, 3), 2) for index in range(3)]
    [-0.23, 0.0, 0.23]
    """
    return SPREAD * ((index + 0.5) / n - 0.5)


def marks(look: Look) -> dict[str, Any]:
    """Markers of a system, for ``plot``."""
    return {
        "marker": look.marker,
        "color": look.colour,
        "markersize": 5.5 if look.marker != "*" else 7,
        "markerfacecolor": look.colour if look.filled else "none",
        "markeredgewidth": 1.1,
    }


def draw_points(axis: Any, places: Sequence[float], rows: Sequence[Mapping[str, Any]], look: Look, **line: Any) -> None:
    """Draw values (fractions) as points in percent, with their intervals where they have one."""
    known = [(place, row) for place, row in zip(places, rows, strict=True) if row["value"] is not None]
    for place, row in known:
        if row["ci_low"] is not None and row["ci_high"] is not None:
            axis.vlines(place, 100 * row["ci_low"], 100 * row["ci_high"], color=look.colour, lw=1)
    style = {"ls": look.line, "lw": 0.9, **marks(look), **line}
    axis.plot([place for place, _ in known], [100 * row["value"] for _, row in known], **style)


def draw_bars(axis: Any, places: Sequence[float], values: Sequence[float | None], look: Look, width: float) -> None:
    """Draw values (fractions) as hatched bars in percent; no bar where there is no value."""
    for place, value in zip(places, values, strict=True):
        if value is not None:
            face = look.colour if look.filled and not look.hatch else "none"
            axis.bar(place, 100 * value, width, facecolor=face, edgecolor=look.colour, hatch=look.hatch, lw=0.8)


def system_title(system_id: str) -> str:
    """A system as legends name it."""
    if system_id == f"{REFERENCE}gold":
        return "listeners' votes"
    name = system_id.removeprefix(REFERENCE)
    return REFERENCE_NAMES.get(name, prompt_title(name)) if system_id.startswith(REFERENCE) else prompt_title(name)


def add_legend(
    figure: Any,
    shown: Mapping[str, Look],
    left_out: int = 0,
    *,
    bars: bool = False,
    lines: bool = True,
    title: Callable[[str], str] = str,
) -> None:
    """Name the systems below the figure, with a note where there was room for some of them only."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    for name, look in shown.items():
        label = for_figure(title(name), most=60)
        # A label that begins with an underscore would stand in no legend.
        label = f" {label}" if label.startswith("_") else label
        if bars:
            face = look.colour if look.filled and not look.hatch else "none"
            handles.append(Patch(facecolor=face, edgecolor=look.colour, hatch=look.hatch, label=label))
        else:
            handles.append(Line2D([], [], ls=look.line if lines else "", lw=0.9, label=label, **marks(look)))
    if left_out:
        handles.append(Line2D([], [], ls="", label=f"and {left_out} more, not drawn"))
    widest = max(len(handle.get_label()) for handle in handles)
    columns = max(1, int(figure.get_figwidth() * 13 / (widest + 7)))
    figure.legend(handles=handles, loc="outside lower left", ncols=min(columns, len(handles)), fontsize=8)


def rule_off(axis: Any) -> None:
    """Light lines to read values by."""
    axis.grid(axis="y", color=RULE, lw=0.6)


def said(value: float | None) -> str:
    """A fraction in percent, for descriptions."""
    return "not known" if value is None else f"{100 * value:.1f} %"
