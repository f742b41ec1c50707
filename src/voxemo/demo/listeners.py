"""Ten simulated listeners, who name the emotion of a clip by what they hear of it. They are told no label.

What an emotion sounds like they know from other voices that play as the corpus's do: the centre of each emotion among
their clips, and the spread around it, in what ``measure`` finds against the voice's plain reading. Each listener has a
sharper ear for some measures than for others, a taste for some labels, and mishears a little every time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxemo.demo.design import normal
from voxemo.demo.measure import MEASURES, Array

LISTENERS = tuple(f"listener_{number:02d}" for number in range(1, 11))

MISHEARD = 1.1
"""Standard deviation of what is misheard, against the spread within an emotion."""
EARS = 0.35
"""Spread of a listener's attention to the measures: standard deviation of its logarithm."""
TASTE = 0.6
"""Spread of a listener's bias toward a label, in natural logarithms of odds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Experience:
    """What listeners have learned of other voices."""

    labels: tuple[str, ...]
    centres: Array
    """Shape (n_labels, n_measures), against the voice's plain reading."""
    spread: Array
    """Standard deviation within an emotion, shape (n_measures,)."""


def learn(heard: Array, labels: Sequence[str]) -> Experience:
    """Take in clips of known emotion.

    Args:
        heard: measures against the voice's plain reading, shape (n_clips, n_measures).
        labels: of these clips.
    """
    names = sorted(set(labels))
    each = np.array([names.index(label) for label in labels])
    centres = np.stack([heard[each == number].mean(axis=0) for number in range(len(names))])
    return Experience(labels=tuple(names), centres=centres, spread=(heard - centres[each]).std(axis=0))


def vote(heard: Array, keys: Sequence[str], experience: Experience, *, seed: int) -> list[tuple[str, ...]]:
    """What every listener calls every clip.

    Args:
        heard: measures against the voice's plain reading, shape (n_clips, n_measures).
        keys: one per clip, without its label; what is misheard hangs on it, and not on the other clips.
        experience: what the listeners have learned.
        seed: of ears, tastes and errors.

    Returns:
        For each clip one label per listener, in the order of ``LISTENERS``.
    """
    distances = (heard[:, np.newaxis] - experience.centres) / experience.spread
    answers = []
    for listener in LISTENERS:
        ears = np.exp([EARS * normal(seed, listener, "ear", name) for name in MEASURES])
        taste = np.array([TASTE * normal(seed, listener, "taste", label) for label in experience.labels])
        errors = np.array([[MISHEARD * normal(seed, listener, key, name) for name in MEASURES] for key in keys])
        likeness = taste - 0.5 * ((distances + errors[:, np.newaxis]) ** 2 * ears).sum(axis=2)
        answers.append([experience.labels[best] for best in likeness.argmax(axis=1)])
    return list(zip(*answers, strict=True))
