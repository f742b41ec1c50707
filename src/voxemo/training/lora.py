"""Fine-tuning by LoRA: the recipe, and everything about it that needs no model (PROTOCOL section 6).

What the paper leaves open (weight decay, the rate's course after warm-up, which epoch is kept) has the value that is
most usual, and is written on every card with the rest. Learning itself is in ``training.loop``.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

from voxemo.core.errors import TrainingError

Course = Literal["linear", "cosine", "constant"]
Kept = Literal["best", "last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraRecipe:
    """How an adapter is trained; by default as in the paper."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05
    """On what the adapter reads."""
    learning_rate: float = 1e-5
    """Highest, reached at the end of the warm-up."""
    warmup_share: float = 0.1
    """Of all steps."""
    course: Course = "linear"
    """Of the learning rate after the warm-up: to zero in a line, to zero along half a cosine, or not at all."""
    weight_decay: float = 0.0
    largest_gradient: float = 1.0
    """Norm to which longer gradients are cut."""
    batch_size: int = 16
    """Utterances of one step of the optimiser, over all processes."""
    n_epochs: int = 10
    keep: Kept = "best"
    """The epoch that the card names: of the best validation UA, of equals that of the least validation loss; the last
    where there is no validation part."""

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        wrong = [
            *(name for name in ("rank", "alpha", "batch_size", "n_epochs") if getattr(self, name) < 1),
            *(name for name in ("learning_rate", "largest_gradient") if not 0 < getattr(self, name) < math.inf),
            *(name for name in ("dropout", "warmup_share") if not 0 <= getattr(self, name) < 1),
            *(["weight_decay"] if not 0 <= self.weight_decay < math.inf else []),
            *(["course"] if self.course not in ("linear", "cosine", "constant") else []),
            *(["keep"] if self.keep not in ("best", "last") else []),
        ]
        if wrong:
            given = ", ".join(f"{name} = {getattr(self, name)!r}" for name in wrong)
            raise TrainingError(
                f"The recipe cannot be trained by: {given}. Counts are 1 or more, rates above 0, shares in 0 to below "
                "1, the course is linear, cosine or constant, and kept is best or last."
            )

    def steps(self, n_utterances: int) -> int:
        """Steps of the optimiser in an epoch; the last one may have fewer utterances."""
        return -(-n_utterances // self.batch_size)

    def rate(self, step: int, *, n_steps: int) -> float:
        """Learning rate of a step, counted from 0.

        >>> recipe = LoraRecipe(learning_rate=1.0)
        >>> [round(recipe.rate(step, n_steps=20), 3) for step in (0, 1, 2, 10, 19)]
        [0.5, 1.0, 1.0, 0.556, 0.056]
        """
        n_rising = math.ceil(self.warmup_share * n_steps)
        if step < n_rising:
            return self.learning_rate * (step + 1) / n_rising
        left = (n_steps - step) / max(1, n_steps - n_rising)
        share = {"constant": 1.0, "linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left)}[self.course]
        return self.learning_rate * share


def recipe_of(values: Mapping[str, Any]) -> LoraRecipe:
    """The recipe of a trained card, which holds it among other facts."""
    return LoraRecipe(**{field.name: values[field.name] for field in fields(LoraRecipe)})


def differences_from_paper(values: Mapping[str, Any]) -> list[str]:
    """What a trained card's recipe has otherwise than the paper's, in words.

    >>> differences_from_paper(asdict(LoraRecipe(rank=4)))
    ['rank = 4 (protocol: 8)']
    """
    standard = asdict(LoraRecipe())
    return [
        f"{name} = {values[name]} (protocol: {value})"
        for name, value in standard.items()
        if values.get(name, value) != value
    ]


# --- the order of a training -------------------------------------------------------------------------------------


def batch_of_step(step: int, *, n_utterances: int, recipe: LoraRecipe, seed: int) -> list[int]:
    """Places of the utterances of a step, which depend on nothing but the seed and the step.

    Every epoch has each utterance once, in an order of its own. So a training that goes on after an interruption needs
    no state of any random generator.
    """
    epoch, place = divmod(step, recipe.steps(n_utterances))
    order = np.random.default_rng([seed, epoch]).permutation(n_utterances)
    return [int(index) for index in order[place * recipe.batch_size : (place + 1) * recipe.batch_size]]


def apportioned(n: int, weights: Sequence[float]) -> list[int]:
    """Divide a count by weights, as evenly as whole numbers can: largest remainders first.

    >>> apportioned(10, [2, 1])
    [7, 3]
    """
    total = sum(weights)
    exact = [n * weight / total for weight in weights]
    counts = [math.floor(share) for share in exact]
    ordered = sorted(range(len(weights)), key=lambda place: (counts[place] - exact[place], place))
    for place in ordered[: n - sum(counts)]:
        counts[place] += 1
    return counts


def mixed_epoch(sizes: Sequence[int], weights: Sequence[float], *, seed: int, epoch: int) -> list[int]:
    """Places of the utterances of an epoch over several corpora that lie one after the other, in the order of learning.

    The epoch is as long as all corpora together. Each has its share of it by weight; within it, every utterance of the
    corpus comes as often as any other, give or take once. Nothing but the seed and the epoch decides which.

    Args:
        sizes: utterances of each corpus, all above 0.
        weights: of each corpus, above 0.
        seed: of the training.
        epoch: counted from 0.
    """
    places: list[int] = []
    start = 0
    for number, (size, wanted) in enumerate(zip(sizes, apportioned(sum(sizes), weights), strict=True)):
        whole, rest = divmod(wanted, size)
        drawn = np.random.default_rng([seed, epoch, number]).permutation(size)[:rest]
        places += [start + index for index in range(size)] * whole + [start + int(index) for index in drawn]
        start += size
    order = np.random.default_rng([seed, epoch]).permutation(len(places))
    return [places[index] for index in order]


def mixed_batch(
    step: int, *, sizes: Sequence[int], weights: Sequence[float], recipe: LoraRecipe, seed: int
) -> list[int]:
    """As ``batch_of_step``, of a mixture of corpora."""
    epoch, place = divmod(step, recipe.steps(sum(sizes)))
    order = mixed_epoch(sizes, weights, seed=seed, epoch=epoch)
    return order[place * recipe.batch_size : (place + 1) * recipe.batch_size]


def share_of(batch: Sequence[int], lengths: Sequence[int], *, rank: int, n_processes: int) -> list[int]:
    """The utterances of a batch that one process reads, the longest first; about as many tokens as the others read."""
    ordered = sorted(batch, key=lambda index: (-lengths[index], index))
    return ordered[rank::n_processes]


def together(share: Sequence[int], *, size: int) -> Iterator[Sequence[int]]:
    """Runs of at most so many utterances; of like lengths where the share is in order of length."""
    return (share[start : start + size] for start in range(0, len(share), size))


# --- when to give up ---------------------------------------------------------------------------------------------

WATCHED_STEPS = 25
WORSE_BY = 1.5
"""Nats per token by which the mean loss of the last ``WATCHED_STEPS`` steps may lie above that of the first ones."""


def check_course(losses: Sequence[float], gradient: float) -> None:
    """Stop a training that has left every good path.

    Args:
        losses: of all steps so far, in nats per answer token.
        gradient: norm of the last step's gradient.

    Raises:
        TrainingError: the last loss or its gradient is no finite number, or losses have grown far above where they
            began.
    """
    step = len(losses)
    advice = "Try a smaller --learning-rate, or --dtype float32. What was learned before is kept in the checkpoint."
    if not (math.isfinite(losses[-1]) and math.isfinite(gradient)):
        raise TrainingError(f"At step {step} the loss is {losses[-1]:g} and its gradient {gradient:g}. {advice}")
    if step >= 2 * WATCHED_STEPS:
        first, last = sum(losses[:WATCHED_STEPS]) / WATCHED_STEPS, sum(losses[-WATCHED_STEPS:]) / WATCHED_STEPS
        if last > first + WORSE_BY:
            raise TrainingError(
                f"The training diverges: the loss of the last {WATCHED_STEPS} steps up to step {step} is {last:.2f} "
                f"nats per token, that of the first ones was {first:.2f}. {advice}"
            )
