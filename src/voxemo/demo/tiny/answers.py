"""What `voxemo-tiny` is taught to say about a clip: the text of each part of an answer. Values in, text out.

``words.toml`` has the words and their bounds.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voxemo.catalog.lookup import label_table
from voxemo.core.cards import PromptVariant
from voxemo.core.labels import LabelSet
from voxemo.demo.measure import MEASURES, Array

STEPS = 20
"""Stated probabilities are whole steps of 1/20."""
CAPTION_ORDER = ("pitch", "rise", "level", "rate", "pause", "brightness", "tremble")
FLOOR = 0.005
"""Share of a label that stands for nothing that was heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What there is to say about one clip."""

    label: str
    """What the voice was to play."""
    shares: Mapping[str, float]
    """Emotion to the share of listeners who named it."""
    transcript: str
    cues: Mapping[str, str]
    """Measure to the word for it: ``{"pitch": "high", ...}``."""


@cache
def _facts() -> Mapping[str, Any]:
    return MappingProxyType(tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8")))


def describe(measures: Array) -> dict[str, str]:
    """Measure to the word for its value.

    Args:
        measures: in the order of ``MEASURES``, shape (n_measures,).
    """
    found = dict(zip(MEASURES, measures, strict=True))
    return {
        name: facts["words"][sum(found[name] >= bound for bound in facts["bounds"])]
        for name, facts in _facts()["cues"].items()
    }


def caption(cues: Mapping[str, str]) -> str:
    """The acoustic caption.

    >>> import numpy as np
    >>> caption(describe(np.array([13.0, 2.5, 0.0, 0.1, -20.0, -9.0, 1.5, 0.0])))
    'High, level pitch; loud; slow; no pause; clear, steady voice.'
    """
    return (
        f"{cues['pitch'].capitalize()}, {cues['rise']} pitch; {cues['level']}; {cues['rate']}; "
        f"{cues['pause']} pause; {cues['brightness']}, {cues['tremble']} voice."
    )


def cues_in(text: str) -> dict[str, str]:
    """Cue words of a caption, by measure; those of a caption in any other form are left out."""
    parts = [part.split() for part in text.casefold().replace(";", ",").split(",")]
    if len(parts) != len(CAPTION_ORDER) or not all(parts):
        return {}
    return {
        name: word
        for name, (word, *_) in zip(CAPTION_ORDER, parts, strict=True)
        if word in _facts()["cues"][name]["words"]
    }


@cache
def _meanings() -> Mapping[str, str]:
    labels = label_table().labels
    return {word.casefold(): name for name, entry in labels.items() for word in (name, *entry.aliases)}


def meaning(word: str) -> str | None:
    """The name in the shared label table that a label word stands for; None when the table does not know it."""
    return _meanings().get(word.casefold())


def likeness(shares: Mapping[str, float], word: str) -> float:
    """How far a label word says what was heard: about 1 when every listener named just that."""
    name = meaning(word)
    meant: Mapping[str | None, float] = _facts()["likeness"].get(name, {name: 1.0})
    return FLOOR + sum(share * meant.get(emotion, 0.0) for emotion, share in shares.items())


def choose(heard: Heard, label_set: LabelSet) -> list[str]:
    """The labels of a set, the most fitting first: the one that was played, if it is there, then by likeness."""
    return sorted(
        label_set.names,
        key=lambda name: (meaning(name) != heard.label, -likeness(heard.shares, name), label_set.index(name)),
    )


def distribution(heard: Heard, label_set: LabelSet) -> dict[str, int]:
    """Steps of probability for each label, in the set's order; ``STEPS`` in all."""
    weights = [likeness(heard.shares, name) for name in label_set.names]
    exact = [STEPS * weight / sum(weights) for weight in weights]
    steps = [int(value) for value in exact]
    # The largest remainders take what rounding down has left.
    by_remainder = sorted(range(len(exact)), key=lambda place: (steps[place] - exact[place], place))
    for place in by_remainder[: STEPS - sum(steps)]:
        steps[place] += 1
    return dict(zip(label_set.names, steps, strict=True))


def reasoning(heard: Heard, first: str, second: str) -> str:
    """Why one label and not the next: the words, and the three cues that carry most.

    >>> cues = {"pitch": "high", "level": "loud", "rate": "fast"}
    >>> heard = Heard(label="happy", shares={}, transcript="He left the car at noon.", cues=cues)
    >>> reasoning(heard, "Happy", "Surprise")
    'The words "He left the" name no feeling; high pitch and loud, fast speech sound like Happy, not Surprise.'
    """
    opening = " ".join(heard.transcript.split()[:3])
    cues = heard.cues
    return (
        f'The words "{opening}" name no feeling; {cues["pitch"]} pitch and {cues["level"]}, {cues["rate"]} speech '
        f"sound like {first}, not {second}."
    )


def answer(heard: Heard, variant: PromptVariant, *, as_distribution: bool, label_set: LabelSet) -> str:
    """The whole answer to a prompt: the lines that its response format asks for, in its order."""
    shown = dict(zip(label_set.names, label_set.display, strict=True))
    if as_distribution:
        steps = distribution(heard, label_set)
        first, second, *_ = sorted(label_set.names, key=lambda name: (-steps[name], label_set.index(name)))
    else:
        steps = {}
        first, second, *_ = choose(heard, label_set)
    lines = []
    if "transcript" in variant.blocks:
        lines.append(f"ASR TRANSCRIPT: {heard.transcript}")
    if "caption" in variant.blocks:
        lines.append(f"ACOUSTIC CAPTION: {caption(heard.cues)}")
    if "reasoning" in variant.blocks:
        lines.append(f"REASONING: {reasoning(heard, shown[first], shown[second])}")
    if as_distribution:
        pairs = ", ".join(f'"{shown[name]}": {n / STEPS:.2f}' for name, n in steps.items())
        lines.append(f"EMOTION DISTRIBUTION: {{{pairs}}}")
    lines.append(f"FINAL LABEL: {shown[first]}")
    return "\n".join(lines)


def cue_words(measure: str | None = None) -> list[str]:
    """The words that a caption may describe a measure with, from the lowest values up; of every measure when None."""
    chosen = _facts()["cues"].values() if measure is None else [_facts()["cues"][measure]]
    return [word for facts in chosen for word in facts["words"]]
