"""Tables as Markdown."""

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
