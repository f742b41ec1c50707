"""Tables as Markdown and LaTeX."""

from collections.abc import Sequence


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, n_text: int) -> str:
    r"""A Markdown table; the first ``n_text`` columns are text, the others numbers, aligned to the right.

    >>> print(markdown_table(["label", "n"], [["a|b", "1"]], n_text=1))
    | label | n |
    | --- | ---: |
    | a\|b | 1 |
    <BLANKLINE>
    """
    align = ["---" if index < n_text else "---:" for index in range(len(header))]
    lines = [header, align, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "→": r"$\rightarrow$",
}


def latex_text(text: str) -> str:
    r"""Text as LaTeX prints it, whatever characters it has.

    >>> latex_text("50 % of a_b")
    '50 \\% of a\\_b'
    """
    return "".join(LATEX.get(character, character) for character in text)


def latex_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, label: str, n_text: int) -> str:
    """A LaTeX table in the rules of ``booktabs``; the first ``n_text`` columns are text, the others to the right."""
    # In braces: a row that begins with a square bracket would be taken for an argument of the one before.
    lines = [" & ".join(f"{{{latex_text(cell)}}}" for cell in line) + r" \\" for line in (header, *rows)]
    columns = "l" * n_text + "r" * (len(header) - n_text)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(caption)}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )
