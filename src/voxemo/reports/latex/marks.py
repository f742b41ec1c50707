"""Numbers of a LaTeX table: the best bold, the second best underlined, partial ones with a dagger."""

from collections.abc import Sequence

from voxemo.core.escape import Latex, for_latex
from voxemo.reports.scoreboard import Cell, format_cell

LOWER_IS_BETTER = frozenset({"kld", "jsd", "tvd", "mse"})
DAGGER = Latex(r"$^{\dagger}$")
MARKS = (
    "Best bold, second best underlined, by the numbers as printed: equal ones are marked alike. A dagger marks a "
    "partial run, which is not compared."
)


def numbers(metric: str, cells: Sequence[Cell | None], partial: Sequence[bool]) -> list[str]:
    r"""Cells that are compared with each other, as LaTeX; a dash where there is no number.

    Args:
        metric: tells which end is best, and the digits.
        cells: values, fractions as everywhere.
        partial: whether each is of a partial run.

    >>> numbers("macro_f1", [Cell(value=0.5), Cell(value=0.50001), None, Cell(value=0.4)], [False] * 4)
    ['\\textbf{50.0}', '\\textbf{50.0}', '-', '\\underline{40.0}']
    """
    texts = [format_cell(metric, cell, interval=False) for cell in cells]
    compared = {float(text) for text, left_out in zip(texts, partial, strict=True) if text != "-" and not left_out}
    order = sorted(compared, reverse=metric not in LOWER_IS_BETTER)
    made: list[str] = []
    for text, left_out in zip(texts, partial, strict=True):
        place = None if text == "-" or left_out or len(compared) < 2 else order.index(float(text))
        command = {0: "textbf", 1: "underline"}.get(-1 if place is None else place)
        shown = for_latex(text) if command is None else f"\\{command}{{{text}}}"
        made.append(Latex(shown + (DAGGER if left_out and text != "-" else "")))
    return made


def in_grey(text: str) -> Latex:
    """Text that stands back: what others published."""
    return Latex(rf"\textit{{{for_latex(text)}}}")
