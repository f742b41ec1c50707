"""What `voxemo-tiny` is asked while it learns: every prompt of the benchmark, with many label sets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from voxemo.catalog import lookup
from voxemo.core.cards import PromptTemplate, PromptVariant
from voxemo.core.labels import LabelSet, display_name
from voxemo.demo.design import labels
from voxemo.demo.tiny.answers import STEPS, Heard, answer, cue_words
from voxemo.prompts.render import render_prompt

FORMS: tuple[Literal["hard", "distribution"], ...] = ("hard", "distribution")

OWN_SET = 0.35
CATALOG_SET = 0.15
"""Shares of the demo corpus's own label set and of those of the benchmark's corpora; the rest is drawn word by word."""
SMALLEST_SET, LARGEST_SET = 2, 9
OTHER_WORD = 0.4
"""Share of the other words for a label (*Anger*, *Joy*) in drawn sets."""
INVENTED = 0.4
"""Share of invented words among those of drawn sets that stand for no emotion of the demo corpus."""
IN_ORDER = 0.3
"""Share of drawn sets in alphabetical order."""
N_TEXTS = 5000
"""Lessons that the tokenizer is made from."""
WORD_COUNT = 50
"""Times that it meets each word it must know."""
CONSONANTS, VOWELS = "bcdfghjklmnprstvwz", "aeiou"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A prompt and the answer to learn."""

    prompt: str
    answer: str


@cache
def _prompts() -> tuple[tuple[PromptVariant, PromptTemplate], ...]:
    return tuple(lookup.prompt(name) for name in lookup.prompt_names())


@cache
def _other_labels() -> tuple[str, ...]:
    return tuple(sorted(set(lookup.label_table().labels) - set(labels())))


@cache
def _catalog_sets() -> tuple[tuple[str, ...], ...]:
    return tuple(card.labels.names for card in lookup.builtin_corpus_cards())


def _word(name: str, rng: np.random.Generator) -> str:
    aliases = [alias for alias in lookup.label_table().labels[name].aliases if alias.isalpha()]
    return str(rng.choice(aliases)) if aliases and rng.random() < OTHER_WORD else name


def _invented(rng: np.random.Generator) -> str:
    n_syllables = int(rng.integers(2, 4))
    return "".join(f"{rng.choice(list(CONSONANTS))}{rng.choice(list(VOWELS))}" for _ in range(n_syllables)) + str(
        rng.choice(list(CONSONANTS))
    )


def draw_label_set(rng: np.random.Generator, *, invented: float = INVENTED) -> LabelSet:
    """A label set: the demo corpus's own, a benchmark corpus's, or one drawn word by word in any order."""
    kind = rng.random()
    if kind < OWN_SET:
        return LabelSet(labels())
    if kind < OWN_SET + CATALOG_SET:
        sets = _catalog_sets()
        return LabelSet(sets[int(rng.integers(len(sets)))])
    n_labels = int(rng.integers(SMALLEST_SET, LARGEST_SET + 1))
    n_known = int(rng.integers(0, min(n_labels, len(labels())) + 1))
    words = [_word(name, rng) for name in rng.choice(labels(), n_known, replace=False)]
    others = rng.choice(_other_labels(), n_labels - n_known, replace=False)
    words += [_invented(rng) if rng.random() < invented else _word(name, rng) for name in others]
    unique = sorted(set(words))
    return LabelSet(tuple(unique if rng.random() < IN_ORDER else rng.permutation(unique).tolist()))


def draw_lesson(heard: Heard, rng: np.random.Generator, *, invented: float = INVENTED) -> Lesson:
    """One of the ten prompts about a clip, and its answer."""
    variant, template = _prompts()[int(rng.integers(len(_prompts())))]
    form = FORMS[int(rng.integers(len(FORMS)))]
    label_set = draw_label_set(rng, invented=invented)
    return Lesson(
        prompt=render_prompt(variant, template, form=form, label_set=label_set),
        answer=answer(heard, variant, as_distribution=form == "distribution", label_set=label_set),
    )


def tokenizer_texts(heard: Sequence[Heard], *, seed: int) -> Iterator[str]:
    """What the tokenizer is made for: prompts and answers, every label word, every probability and cue word.

    Invented words are left out, so that such a word stays what it is: something to be copied piece by piece.
    """
    rng = np.random.default_rng(seed)
    for one in heard[:: max(1, len(heard) // N_TEXTS)]:
        lesson = draw_lesson(one, rng, invented=0.0)
        yield lesson.prompt
        yield lesson.answer
    table = lookup.label_table().labels
    words = [word for name, entry in table.items() for word in (name, *entry.aliases)]
    probabilities = [f"{step / STEPS:.2f}" for step in range(STEPS + 1)]
    for word in (*words, *map(display_name, words), *probabilities, *cue_words()):
        yield from [word] * WORD_COUNT
