"""Parts of a file over HTTP, so that a player can jump within it."""

import re

_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,15})-(?P<last>[0-9]{0,15})")


class UnsatisfiableError(ValueError):
    """A range that holds no byte of the file."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The part of a file that a ``Range`` header asks for (RFC 9110, 14.2): its first byte and the one after its last.

    Args:
        header: as sent; None where there is none.
        size: of the file in bytes.

    Returns:
        None where the whole file is to be sent: no header, several ranges, or one of another form.

    Raises:
        UnsatisfiableError: the range begins behind the end, or is empty.

    >>> byte_range("bytes=2-5", 10), byte_range("bytes=-3", 10), byte_range("bytes=4-", 10), byte_range("lines=1-", 10)
    ((2, 6), (7, 10), (4, 10), None)
    """
    match = _RANGE.fullmatch(header.strip()) if header is not None else None
    if match is None or not (match["first"] or match["last"]):
        return None
    if not match["first"]:
        start, stop = max(0, size - int(match["last"])), size
    else:
        start = int(match["first"])
        stop = min(size, int(match["last"]) + 1) if match["last"] else size
        if match["last"] and int(match["last"]) < start:
            return None
    if start >= stop:
        raise UnsatisfiableError(header)
    return start, stop
