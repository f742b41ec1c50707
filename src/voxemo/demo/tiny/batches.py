"""Batches of like lengths, and the learning rate's course: what both halves of the training share."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

WEIGHT_DECAY = 0.05
BETAS = (0.9, 0.98)
LARGEST_GRADIENT = 1.0
LAST_SHARE = 0.01
"""Of the peak rate, at the last step."""

Indices = npt.NDArray[np.intp]
OnStep = Callable[[int, float], None]
"""Called with (steps done, loss)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long one half of the training goes on."""

    n_steps: int
    """Of the optimiser, one batch each."""
    batch_size: int
    """Clips, or questions."""
    peak: float
    """Highest learning rate."""


def batches_of_like_length(lengths: npt.NDArray[np.int_], *, size: int, rng: np.random.Generator) -> Iterator[Indices]:
    """Every index once, in batches of clips of about one length, in random order."""
    order = np.argsort(lengths * rng.uniform(0.9, 1.1, len(lengths)), kind="stable")
    whole = [order[start : start + size] for start in range(0, len(order), size)]
    return (whole[place] for place in rng.permutation(len(whole)))


def rate(step: int, *, n_steps: int, peak: float, n_rising: int) -> float:
    """Learning rate of a step: a straight rise, then half a cosine down to a hundredth of the peak.

    >>> [round(rate(step, n_steps=110, peak=1.0, n_rising=10), 3) for step in (0, 9, 10, 60, 109)]
    [0.1, 1.0, 1.0, 0.505, 0.01]
    """
    if step < n_rising:
        return peak * (step + 1) / n_rising
    done = (step - n_rising) / max(1, n_steps - n_rising)
    return peak * (LAST_SHARE + (1 - LAST_SHARE) * 0.5 * (1 + math.cos(math.pi * done)))


class Optimiser:
    """AdamW with a rate for every step and clipped gradients."""

    def __init__(self, parameters: list[torch.nn.Parameter], *, n_steps: int, peak: float, n_rising: int) -> None:
        self._parameters = parameters
        self._course = {"n_steps": n_steps, "peak": peak, "n_rising": min(n_rising, n_steps // 2)}
        self._adamw = torch.optim.AdamW(parameters, lr=peak, betas=BETAS, weight_decay=WEIGHT_DECAY)
        self._step = 0

    def step(self, loss: torch.Tensor) -> None:
        """Take one step down a loss."""
        for group in self._adamw.param_groups:
            group["lr"] = rate(self._step, **self._course)  # type: ignore[arg-type]
        self._adamw.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, LARGEST_GRADIENT)
        self._adamw.step()
        self._step += 1
