"""Keys and values of rows that begin and end at different times: tensors made once, a row reused when it is free."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from voxemo.backends.local.cache import grown

STEP = 64
"""Tokens that all rows grow by when the longest is full."""


class Slots:
    """Rows of different lengths. A row's tokens lie at its beginning, without padding.

    Args:
        model: a language model with key-value heads as ``config`` says.
        n_rows: rows.
    """

    def __init__(self, model: Any, n_rows: int) -> None:
        config = model.config
        self.lengths = torch.zeros(n_rows, dtype=torch.long, device=model.device)
        self.cache = Cache(layers=[_SlotLayer(self) for _ in range(config.num_hidden_layers)])
        self._layer_types = sorted(set(config.layer_types))
        self._sliding_window = config.sliding_window
        self._capacity = 0
        self._longest = 0

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def visible(self) -> int:
        """Tokens that a step looks at in every row: those of the longest, and the one that it adds."""
        return self._longest + 1

    def load(self, rows: Sequence[int], cache: Any, mask: torch.Tensor) -> None:
        """Begin rows with the tokens of a cache that is padded on the left.

        Args:
            rows: which.
            cache: of as many rows.
            mask: 1 where the cache holds a token, shape (n_rows, n_tokens).
        """
        width, lengths = mask.shape[1], mask.sum(1)
        self._grow(width + 1)
        places = torch.tensor(rows, device=mask.device)
        # Each row moves left by its padding; what lies beyond its end is overwritten before it is ever looked at.
        moved = (torch.arange(width, device=mask.device) + (width - lengths)[:, None]).clamp(max=width - 1)
        for own, other in zip(self.cache.layers, cache.layers, strict=True):
            own.load(places, other.keys, other.values, moved)
        self.lengths[places] = lengths
        self._longest = max(self._longest, int(lengths.max()))

    def advance(self, rows: torch.Tensor) -> None:
        """Count the token that a step has added to rows, given as 0 or 1 for each."""
        self.lengths += rows
        self._longest += 1
        if self.visible > self._capacity:
            self._longest = int(self.lengths.max())
            self._grow(self.visible)

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all but some rows, which are numbered anew in the given order."""
        places = torch.tensor(rows, device=self.lengths.device)
        self.lengths = self.lengths[places]
        self._longest = int(self.lengths.max())
        for layer in self.cache.layers:
            layer.keep(places)

    def masks(self) -> dict[str, torch.Tensor]:
        """Which tokens each row's next token may look at, shape (n_rows, 1, 1, visible), by type of layer."""
        seen = torch.arange(self.visible, device=self.lengths.device) <= self.lengths[:, None]
        if self._sliding_window is not None and "sliding_attention" in self._layer_types:
            recent = torch.arange(self.visible, device=self.lengths.device) > (
                self.lengths[:, None] - self._sliding_window
            )
            narrow = (seen & recent)[:, None, None]
        else:
            narrow = seen[:, None, None]
        whole = seen[:, None, None]
        return {name: narrow if name == "sliding_attention" else whole for name in self._layer_types}

    def _grow(self, n_tokens: int) -> None:
        if n_tokens > self._capacity:
            self._capacity = -(-n_tokens // STEP) * STEP
            for layer in self.cache.layers:
                layer.grow(self._capacity)

    @property
    def capacity(self) -> int:
        """Tokens that a row has room for."""
        return self._capacity


class _SlotLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, shape (n_rows, n_heads, capacity, head_dim)."""

    def __init__(self, slots: Slots) -> None:
        super().__init__()
        self._slots = slots

    def load(self, places: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, moved: torch.Tensor) -> None:
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
            shape = (len(self._slots), keys.shape[1], self._slots.capacity, keys.shape[-1])
            # Zeros, since what no token has filled yet is multiplied by a weight of 0, and 0 times a stray NaN is NaN.
            self.keys, self.values = keys.new_zeros(shape), values.new_zeros(shape)
        index = moved[:, None, :, None].expand(-1, keys.shape[1], -1, keys.shape[-1])
        self.keys[places, :, : keys.shape[2]] = keys.gather(2, index)
        self.values[places, :, : values.shape[2]] = values.gather(2, index)

    def grow(self, capacity: int) -> None:
        if self.is_initialized:
            self.keys, self.values = (grown(part, capacity) for part in (self.keys, self.values))

    def keep(self, places: torch.Tensor) -> None:
        self.keys, self.values = self.keys[places], self.values[places]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one token at the end of every row; returns all that may be looked at."""
        rows = torch.arange(len(key_states), device=key_states.device)
        self.keys[rows, :, self._slots.lengths] = key_states[:, :, 0]
        self.values[rows, :, self._slots.lengths] = value_states[:, :, 0]
        visible = self._slots.visible
        return self.keys[:, :, :visible], self.values[:, :, :visible]
