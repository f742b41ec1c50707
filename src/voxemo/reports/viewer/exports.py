"""A selection as bare names for other programs; with every fact, for spreadsheets, it is a table like any other."""

import polars as pl

_LINE_ENDS = "[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]"


def names_of(rows: pl.DataFrame) -> str:
    """The utterances' names, one in a line, whatever they hold."""
    names = rows["utterance_id"].str.replace_all(_LINE_ENDS, "\ufffd")
    return "".join(f"{name}\n" for name in names)
