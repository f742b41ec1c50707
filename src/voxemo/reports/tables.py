"""Tables as Markdown, CSV and LaTeX. Every cell is text from anywhere, and made fit for where it goes."""

from collections.abc import Iterable, Sequence

import polars as pl

from voxemo.core.escape import Latex, for_csv, for_latex, for_markdown, shortened


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign; what rounds to zero has none.

    >>> signed(2.04), signed(-0.04), signed(-0.3142, 2)
    ('+2.0', '0.0', '-0.31')
    """
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, n_text: int) -> str:
    r"""A Markdown table; the first ``n_text`` columns are text, the others numbers, aligned to the right.

    >>> print(markdown_table(["label", "n"], [["a|b", "1"]], n_text=1))
    | label | n |
    | --- | ---: |
    | a\|b | 1 |
    <BLANKLINE>
    """
    align = ["---" if index < n_text else "---:" for index in range(len(header))]
    lines = [[_markdown_cell(cell) for cell in header], align]
    lines += [[_markdown_cell(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _markdown_cell(text: str) -> str:
    # Alone in a cell it stands for nothing, and begins no list.
    return text if text == "-" else for_markdown(text)


def csv_text(table: pl.DataFrame) -> str:
    """A table as CSV whose texts no spreadsheet takes for formulas; numbers stay numbers."""
    texts = [name for name, kind in table.schema.items() if kind == pl.String]
    safe = [pl.Series(name, [None if text is None else for_csv(text) for text in table[name]]) for name in texts]
    return table.with_columns(safe).write_csv()


LONG = 40
"""Rows that fit on a page; longer tables go over several."""
WIDEST = 60
"""Characters of a cell of a LaTeX table."""


def latex_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str] | None],
    *,
    caption: str,
    label: str,
    n_text: int,
) -> str:
    """A LaTeX table in the rules of ``booktabs``, over several pages (``longtable``) where it is long.

    Args:
        header: names of the columns.
        rows: cells; None draws a line.
        caption: above the table.
        label: to refer to it by.
        n_text: how many columns, from the left, are text; the others stand to the right.
    """
    # In braces: a row that begins with a square bracket would be taken for an argument of the one before.
    lines = [
        r"\midrule" if row is None else " & ".join(f"{{{_latex_cell(cell)}}}" for cell in row) + r" \\"
        for row in (header, *rows)
    ]
    columns = "l" * n_text + "r" * (len(header) - n_text)
    head = [rf"\caption{{{for_latex(caption)}}}", rf"\label{{{label}}}"]
    frame = _long if len(lines) > LONG else _short
    return "\n".join([*frame(head, columns, lines[0], lines[1:], n_columns=len(header)), ""])


def _latex_cell(text: str) -> str:
    # A name that fills the page would push the numbers off it.
    return for_latex(text if isinstance(text, Latex) else shortened(text, most=WIDEST))


def _short(head: list[str], columns: str, first: str, lines: list[str], *, n_columns: int) -> Iterable[str]:
    return [
        r"\begin{table}",
        r"\centering",
        *head,
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        first,
        r"\midrule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _long(head: list[str], columns: str, first: str, lines: list[str], *, n_columns: int) -> Iterable[str]:
    return [
        rf"\begin{{longtable}}{{{columns}}}",
        *head[:-1],
        head[-1] + r" \\",
        r"\toprule",
        first,
        r"\midrule",
        r"\endfirsthead",
        r"\toprule",
        first,
        r"\midrule",
        r"\endhead",
        rf"\midrule \multicolumn{{{n_columns}}}{{r}}{{continued}} \\",
        r"\endfoot",
        r"\bottomrule",
        r"\endlastfoot",
        *lines,
        r"\end{longtable}",
    ]
