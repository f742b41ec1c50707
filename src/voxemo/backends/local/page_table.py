"""Which page holds which tokens: rows of any length without padding, and what questions share kept once."""

from collections.abc import Hashable
from dataclasses import dataclass, field

PAGE = 32
"""Tokens on a page."""
SCRATCH = 0
"""The page that rows without a question write to; nobody reads it."""


@dataclass(slots=True)
class Shared:
    """Pages that all rows with the same key begin with."""

    pages: list[int]
    n_rows: int = 0


@dataclass(slots=True)
class Held:
    """What one row holds."""

    key: Hashable
    own: list[int] = field(default_factory=list)


class PageTable:
    """Pages given to rows and taken back.

    Args:
        n_pages: pages in all, the scratch page counted.
    """

    def __init__(self, n_pages: int) -> None:
        self._n_pages = n_pages
        self._free = list(range(n_pages - 1, SCRATCH, -1))
        self._shared: dict[Hashable, Shared] = {}

    @property
    def n_pages(self) -> int:
        """Pages in all, the scratch page counted."""
        return self._n_pages

    @property
    def n_free(self) -> int:
        """Pages that nobody holds."""
        return len(self._free)

    def n_due(self, key: Hashable, *, n_shared: int, n_own: int) -> int:
        """Pages that beginning a row would take: none for what other rows of its key hold already."""
        return (0 if key in self._shared else pages_for(n_shared)) + pages_for(n_own)

    def begin(self, key: Hashable, *, n_shared: int, n_own: int) -> tuple[Held, bool]:
        """Give pages to a new row; there must be enough.

        Args:
            key: rows of one key begin with the same tokens.
            n_shared: how many these are.
            n_own: tokens that follow, of this row alone.

        Returns:
            What the row holds, and whether the shared pages are new and have to be filled.
        """
        is_new = key not in self._shared
        if is_new:
            self._shared[key] = Shared(self._take(pages_for(n_shared)))
        self._shared[key].n_rows += 1
        return Held(key, self._take(pages_for(n_own))), is_new

    def grow(self, row: Held, *, n_own: int) -> bool:
        """Give a row room for so many tokens of its own; False, and nothing done, where the pages are not there."""
        n_more = pages_for(n_own) - len(row.own)
        if n_more > self.n_free:
            return False
        row.own += self._take(max(0, n_more))
        return True

    def end(self, row: Held) -> None:
        """Take back a row's pages, and those that it shared with others if it was the last of them."""
        self._free += reversed(row.own)
        shared = self._shared[row.key]
        shared.n_rows -= 1
        if not shared.n_rows:
            self._free += reversed(self._shared.pop(row.key).pages)

    def pages(self, row: Held) -> list[int]:
        """Pages of a row in the order of its tokens: the shared ones, then its own, which begin on a page of theirs."""
        return [*self._shared[row.key].pages, *row.own]

    def enlarge(self, n_pages: int) -> None:
        """Have so many pages in all, which are not fewer than before."""
        self._free = [*range(n_pages - 1, self._n_pages - 1, -1), *self._free]
        self._n_pages = n_pages

    def _take(self, n_pages: int) -> list[int]:
        return [self._free.pop() for _ in range(n_pages)]


def pages_for(n_tokens: int) -> int:
    """Pages that so many tokens fill, the last one in part.

    >>> pages_for(0), pages_for(32), pages_for(33)
    (0, 1, 2)
    """
    return -(-n_tokens // PAGE)
