"""Dropout that does not know what stands beside an utterance.

torch draws one mask for a whole batch, so that the same utterance meets another one in another batch, in another
process, or after an interruption. Here each utterance of each step has numbers of its own: how a batch is divided
changes nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from voxemo.core.ids import sha256_text

MOST_SEED = 2**63 - 1
ODD = 0x9E3779B97F4A7C15
"""Spreads the numbers of modules over the seeds of a generator."""


def utterance_seed(seed: int, step: int, utterance_id: str) -> int:
    """The seed of an utterance's masks in a step."""
    return int(sha256_text(f"{seed}:{step}:{utterance_id}")[:15], 16)


class Rows:
    """The utterances of the rows that are being read; none outside of training."""

    def __init__(self) -> None:
        self.read: Sequence[tuple[int, int]] = ()
        """Seed and length of each row."""

    @contextmanager
    def reading(self, rows: Sequence[tuple[int, int]]) -> Iterator[None]:
        """Drop what rows of these seeds and lengths drop."""
        self.read = rows
        try:
            yield
        finally:
            self.read = ()


class RowDropout(torch.nn.Module):  # type: ignore[misc]
    """Sets a share of each row to zero and makes up for it, as dropout does; outside of ``Rows.reading`` nothing.

    Args:
        share: that is set to zero, in 0 to below 1.
        number: of the module in its model.
        rows: the rows that are being read.
    """

    def __init__(self, share: float, *, number: int, rows: Rows) -> None:
        super().__init__()
        self._share, self._number, self._rows = share, number, rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read rows, shape (n_rows, n_tokens, width), padded on the right; padding is set to zero."""
        if not self._rows.read or self._share == 0:
            return x
        kept = torch.zeros_like(x)
        generator = torch.Generator(device=x.device)
        for row, (seed, length) in enumerate(self._rows.read):
            # Anew for each module, not one stream for all: checkpointed layers are read twice.
            generator.manual_seed((seed ^ (self._number * ODD)) & MOST_SEED)
            # Drawn in one dtype whatever the model's.
            drawn = torch.empty(length, x.shape[-1], device=x.device)
            kept[row, :length] = drawn.bernoulli_(1 - self._share, generator=generator)
        return x * (kept / (1 - self._share))


def use_row_dropout(layers: Sequence[Any], share: float, adapter_name: str) -> Rows:
    """Give adapted projections this dropout in place of their own."""
    rows = Rows()
    for number, layer in enumerate(layers, start=1):
        layer.lora_dropout[adapter_name] = RowDropout(share, number=number, rows=rows)
    return rows
