"""Keys and values of rows that begin and end at different times, in pages; rows about one clip share its pages."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import Cache, DynamicLayer

from voxemo.backends.local.page_table import PAGE, SCRATCH, Held, PageTable, pages_for


class PagedRows:
    """The tokens of rows, each row's with its keys and values. A row's tokens need not lie side by side.

    Args:
        model: a language model with key-value heads as ``config`` says.
        n_rows: rows.
        n_pages: pages of `PAGE` tokens that all rows share.
    """

    def __init__(self, model: Any, *, n_rows: int, n_pages: int) -> None:
        config = model.config
        self.layer_types = tuple(sorted(set(config.layer_types)))
        self._sliding_window = config.sliding_window
        self._table = PageTable(n_pages)
        self._held: list[Held | None] = [None] * n_rows
        shape = (n_pages, config.num_key_value_heads, PAGE, head_dim(config))
        self._next = _NextTokens()
        self.layers = [_PagedLayer(self._next, model, shape) for _ in range(config.num_hidden_layers)]
        self.cache = Cache(layers=self.layers)
        self._counted = torch.zeros(3, n_rows, dtype=torch.long, device=model.device)
        self.n_shared, self.n_own, self.active = self._counted
        """Tokens that a row shares with others, and of its own; 1 where a row holds a question. Shape (n_rows,)."""
        self.order = torch.arange(n_rows, device=model.device)
        """Rows in an order in which those that share pages stand together."""
        self.pages = torch.full((n_rows, 1), SCRATCH, device=model.device)
        """Pages of each row, shape (n_rows, most pages of a row)."""
        self.widest = 1
        """Most pages of a row now."""
        self._moved = True
        self.n = n_rows
        """Rows in use: the first so many."""

    # --- who holds what ------------------------------------------------------------------------------------------

    def has_room(self, key: Hashable, *, n_shared: int, n_own: int) -> bool:
        """Whether a question can be begun beside those that are there, each of which may soon need another page."""
        n_due = self._table.n_due(key, n_shared=n_shared, n_own=n_own + 1)
        return n_due + sum(row is not None for row in self._held) <= self._table.n_free

    def make_room(self, key: Hashable, *, n_shared: int, n_own: int) -> None:
        """Have enough pages for a question that would not fit even alone."""
        n_due = self._table.n_due(key, n_shared=n_shared, n_own=n_own + 1)
        self._enlarge(self._table.n_pages + n_due)

    def begin(self, place: int, key: Hashable, *, n_shared: int, n_own: int) -> bool:
        """Give a free row to a question; says whether what it shares has to be loaded."""
        held, is_new = self._table.begin(key, n_shared=n_shared, n_own=n_own)
        self._held[place] = held
        self._moved = True
        return is_new

    def grow(self, place: int, *, n_own: int) -> bool:
        """Have room for so many tokens of a row's own; False where there are not enough pages."""
        held = self._held[place]
        assert held is not None
        n_before = len(held.own)
        has_grown = self._table.grow(held, n_own=n_own)
        self._moved |= len(held.own) != n_before
        return has_grown

    def enlarge(self) -> None:
        """Have a page more for each row: nothing else is left to be given up."""
        self._enlarge(self._table.n_pages + len(self._held))

    def end(self, places: Sequence[int]) -> None:
        """Free rows."""
        if not places:
            return
        for place in places:
            held = self._held[place]
            assert held is not None
            self._table.end(held)
            self._held[place] = None
        self._counted[:, torch.tensor(places, device=self.active.device)] = 0
        self._moved = True

    def use_all(self) -> None:
        """Have all rows again, of which none may hold a question."""
        self._held, self.n, self._moved = [None] * len(self.active), len(self.active), True
        self._counted.zero_()

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these rows only, which are numbered anew in the given order; all others must be free."""
        kept = self._counted[:, torch.tensor(places, device=self.active.device)]
        # A row beyond those in use would be counted up by every step, and be taken for a long one later.
        self._counted.zero_()
        self._counted[:, : len(places)] = kept
        self._held = [self._held[place] for place in places]
        self.n, self._moved = len(places), True

    # --- filling pages -------------------------------------------------------------------------------------------

    def load_shared(self, places: Sequence[int], cache: Any, rows: Sequence[int], lengths: torch.Tensor) -> None:
        """Fill the shared pages of rows.

        Args:
            places: rows, each of another key.
            cache: keys and values, padded on the left.
            rows: the row of the cache for each.
            lengths: how many tokens each has, shape (n_places,).
        """
        width = cache.get_seq_length()
        n_pages = pages_for(width)
        device = lengths.device
        targets = torch.full((len(places), n_pages), SCRATCH)
        for number, (place, length) in enumerate(zip(places, lengths.tolist(), strict=True)):
            targets[number, : pages_for(length)] = torch.tensor(self._pages_of(place)[: pages_for(length)])
        # Each row moves left by its padding; what lies beyond its end is never looked at.
        moved = (torch.arange(n_pages * PAGE, device=device) + (width - lengths)[:, None]).clamp(max=width - 1)
        self._fill(targets, cache, lambda part: part[torch.tensor(rows, device=device)], moved)

    def load_own(self, places: Sequence[int], cache: Any, lengths: torch.Tensor, n_own: int) -> None:
        """Fill rows' own pages with the last tokens of a cache, and count them in.

        Args:
            places: rows, one for each of the cache.
            cache: keys and values of what rows share and then of their own tokens.
            lengths: tokens that each row shares, shape (n_places,).
            n_own: tokens of each row's own.
        """
        n_pages = pages_for(n_own)
        targets = torch.tensor([self._own_of(place)[:n_pages] for place in places])
        start = cache.get_seq_length() - n_own
        moved = (torch.arange(n_pages * PAGE, device=lengths.device) + start).clamp(max=start + n_own - 1)
        self._fill(targets, cache, lambda part: part, moved.expand(len(places), -1))
        rows = torch.tensor(places, device=lengths.device)
        self.n_shared[rows], self.n_own[rows], self.active[rows] = lengths, n_own, 1

    def _fill(
        self,
        targets: torch.Tensor,
        cache: Any,
        chosen: Callable[[torch.Tensor], torch.Tensor],
        columns: torch.Tensor,
    ) -> None:
        pages = targets.flatten().to(columns.device)
        for own, other in zip(self.layers, cache.layers, strict=True):
            for store, part in ((own.keys, chosen(other.keys)), (own.values, chosen(other.values))):
                index = columns[:, None, :, None].expand(-1, part.shape[1], -1, part.shape[-1])
                block = part.gather(2, index).unflatten(2, (-1, PAGE)).transpose(1, 2).flatten(0, 1)
                store[pages] = block

    # --- one step ------------------------------------------------------------------------------------------------

    def look_up(self) -> bool:
        """Bring the pages of rows to the device where they have changed; says whether a wider table was needed."""
        if not self._moved:
            return False
        self._moved = False
        rows = [[] if held is None else self._table.pages(held) for held in self._held]
        self.widest = max(1, *map(len, rows))
        is_wider: bool = self.widest > self.pages.shape[1]
        if is_wider:
            # Wider by half, since whatever was recorded with the narrower one is lost.
            self.pages = self.pages.new_full((len(self.pages), 3 * self.widest // 2), SCRATCH)
        width = self.pages.shape[1]
        self.pages[: self.n] = torch.tensor([row + [SCRATCH] * (width - len(row)) for row in rows]).to(self.pages)
        order = sorted(range(self.n), key=lambda place: (not rows[place], rows[place][:1]))
        self.order[: self.n] = torch.tensor(order).to(self.order)
        return is_wider

    def begin_step(self) -> None:
        """Have all layers write the next token of every row, and hand out a copy of what rows hold.

        Where it is not called, whoever attends reads and writes pages by itself.
        """
        n_first = -(-self.n_shared[: self.n] // PAGE)
        own = self.n_own[: self.n]
        column = n_first + own // PAGE
        self._next.page = self.pages[: self.n].gather(1, column[:, None]).squeeze(1)
        self._next.token = own % PAGE
        self._next.seen = self.pages[: self.n, : self.widest]

    @property
    def positions(self) -> torch.Tensor:
        """Place of each row's next token among its tokens, shape (n,)."""
        return (self.n_shared + self.n_own)[: self.n]

    def advance(self) -> None:
        """Count the token that a step has added to every row that holds a question."""
        self.n_own += self.active

    def masks(self) -> dict[str, torch.Tensor]:
        """Which gathered tokens each row's next token may look at, itself included, by type of layer.

        Each of shape (n, 1, 1, n_gathered).
        """
        place = torch.arange(self.widest * PAGE, device=self.n_own.device)
        n_shared, n_own = self.n_shared[: self.n, None], self.n_own[: self.n, None]
        first_own = -(-n_shared // PAGE) * PAGE
        is_shared = place < first_own
        seen = torch.where(is_shared, place < n_shared, place - first_own <= n_own)
        masks = {"full_attention": seen[:, None, None]}
        if self.window:
            position = torch.where(is_shared, place, place - first_own + n_shared)
            recent = position > n_shared + n_own - self.window
            masks["sliding_attention"] = (seen & recent)[:, None, None]
        return {name: masks.get(name, masks["full_attention"]) for name in self.layer_types}

    @property
    def window(self) -> int:
        """Tokens that layers with a sliding window look back at; 0 where there are none."""
        return int(self._sliding_window or 0) if "sliding_attention" in self.layer_types else 0

    def _pages_of(self, place: int) -> list[int]:
        held = self._held[place]
        assert held is not None
        return self._table.pages(held)

    def _own_of(self, place: int) -> list[int]:
        held = self._held[place]
        assert held is not None
        return held.own

    def _enlarge(self, n_pages: int) -> None:
        self._table.enlarge(n_pages)
        for layer in self.layers:
            layer.enlarge(n_pages)


@dataclass(slots=True, eq=False)
class _NextTokens:
    """Where a step works; all layers share it. Layers know no rows: a cycle would keep pages when rows are dropped."""

    page: torch.Tensor | None = None
    """The page that each row's next token is written to, shape (n,)."""
    token: torch.Tensor | None = None
    """Its place there, shape (n,)."""
    seen: torch.Tensor | None = None
    """Pages that each row looks at, shape (n, widest); None where whoever attends looks by itself."""


class _PagedLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, shape (n_pages, n_heads, PAGE, head_dim)."""

    def __init__(self, following: _NextTokens, model: Any, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._next = following
        self.keys, self.values = (_zeros(shape, dtype=model.dtype, device=model.device) for _ in range(2))
        self.is_initialized = True

    def enlarge(self, n_pages: int) -> None:
        for name in ("keys", "values"):
            store = getattr(self, name)
            larger = _zeros((n_pages, *store.shape[1:]), dtype=store.dtype, device=store.device)
            larger[: len(store)] = store
            setattr(self, name, larger)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one token at the end of every row; returns all that may be looked at, row by row."""
        page, token, seen = self._next.page, self._next.token, self._next.seen
        if seen is None:
            return key_states, value_states
        self.keys[page, :, token] = key_states[:, :, 0]
        self.values[page, :, token] = value_states[:, :, 0]
        return _gather(self.keys, seen), _gather(self.values, seen)


def _zeros(shape: tuple[int, ...], *, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros, since what no token has filled yet is multiplied by a weight of 0, and 0 times a stray NaN is NaN."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    # numpy's zeros take no memory before they are written to, so that pages may be many and mostly unused.
    return torch.from_numpy(np.zeros(math.prod(shape) * dtype.itemsize, np.uint8)).view(dtype).reshape(shape)


def _gather(store: torch.Tensor, pages: torch.Tensor) -> torch.Tensor:
    """Tokens of pages side by side, shape (n_rows, n_heads, n_tokens, head_dim)."""
    n_heads = store.shape[1]
    blocks = pages[:, None] * n_heads + torch.arange(n_heads, device=pages.device)[:, None]
    # Whole pages are copied in one piece each, several times faster than by indexing.
    copied = store.view(-1, PAGE * store.shape[-1]).index_select(0, blocks.flatten())
    return copied.view(*blocks.shape[:2], -1, store.shape[-1])


def head_dim(config: Any) -> int:
    """Width of one head of a language model."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
