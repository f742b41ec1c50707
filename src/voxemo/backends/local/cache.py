"""Keys and values of a prefix that many questions share, and of the answers that grow after it.

transformers' own cache copies all that is there whenever it grows; this one can have room ahead.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer: views of larger tensors, shape (n_rows, n_heads, n_tokens, head_dim).

    Args:
        room: tokens to have room for from the first one on.
    """

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Begin with no tokens."""
        super().lazy_initialization(key_states, value_states)
        n_rows, n_heads, _, width = key_states.shape
        self._store_keys = key_states.new_empty(n_rows, n_heads, 0, width)
        self._store_values = value_states.new_empty(n_rows, n_heads, 0, width)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new tokens after those that are there; returns all keys and values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if end > self._store_keys.shape[-2]:
            n_tokens = max(end, self._room)
            self._store_keys = grown(self._store_keys[..., :start, :], n_tokens)
            self._store_values = grown(self._store_values[..., :start, :], n_tokens)
        self._store_keys[..., start:end, :] = key_states
        self._store_values[..., start:end, :] = value_states
        self.keys, self.values = self._store_keys[..., :end, :], self._store_values[..., :end, :]
        return self.keys, self.values

    def crop(self, max_length: int) -> None:
        """Forget all tokens beyond the first so many; their room stays."""
        self.keys, self.values = self._store_keys[..., :max_length, :], self._store_values[..., :max_length, :]


def grown(store: torch.Tensor, n_tokens: int) -> torch.Tensor:
    """The same keys or values with room for more tokens, shape (n_rows, n_heads, n_tokens, head_dim); zeros beyond."""
    larger = store.new_zeros(*store.shape[:-2], n_tokens, store.shape[-1])
    larger[..., : store.shape[-2], :] = store
    return larger


def empty_cache(n_layers: int, *, room: int = 0) -> Any:
    """A cache of so many layers, without any tokens, that takes so many without being copied."""
    return Cache(layers=[RoomyLayer(room) for _ in range(n_layers)])


def rows_of(cache: Any, rows: Sequence[int], *, n_more: int) -> Any:
    """A cache of its own that begins with the tokens of some rows of another, in the given order.

    It takes ``n_more`` tokens without being copied.
    """
    chosen = empty_cache(len(cache.layers), room=cache.get_seq_length() + n_more)
    for own, other in zip(chosen.layers, cache.layers, strict=True):
        places = torch.tensor(rows, device=other.keys.device)
        own.update(other.keys[places], other.values[places])
    return chosen
