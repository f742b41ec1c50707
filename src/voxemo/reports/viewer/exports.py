"""Selections as files: a table with every fact for a spreadsheet, and bare names for other programs."""

import polars as pl

FORMULA_SIGNS = "=+-@\t\r\n＝＋－＠"  # noqa: RUF001 - spreadsheets take the full-width ones for formulas too
"""What a cell begins with that a spreadsheet would take for a command."""
_LINE_ENDS = "[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]"


def csv_of(rows: pl.DataFrame) -> str:
    r"""A table as CSV in which no text is a formula: one that would be begins with an apostrophe.

    >>> csv_of(pl.DataFrame({"speaker": ["=1+1", "anna"], "n": [-1, 2]}))
    "speaker,n\n'=1+1,-1\nanna,2\n"
    """
    first = {name: pl.col(name).str.slice(0, 1) for name, kind in rows.schema.items() if kind == pl.String}
    safe = {
        name: pl.when(sign.is_in(list(FORMULA_SIGNS))).then(pl.lit("'") + pl.col(name)).otherwise(pl.col(name))
        for name, sign in first.items()
    }
    return rows.with_columns(**safe).write_csv()


def names_of(rows: pl.DataFrame) -> str:
    """The utterances' names, one in a line, whatever they hold."""
    names = rows["utterance_id"].str.replace_all(_LINE_ENDS, "\ufffd")
    return "".join(f"{name}\n" for name in names)
