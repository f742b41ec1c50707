"""Sentences to learn from, put together word by word from ``sentences.toml``: values only.

So many that a model which is to write them down has to listen to the words, and cannot know them by heart.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voxemo.demo.design import Sentence, Voice, sentences, uniform

SLOT = re.compile(r"\{(\w+)\}")


@cache
def _facts() -> Mapping[str, Any]:
    return MappingProxyType(tomllib.loads(Path(__file__).with_name("sentences.toml").read_text(encoding="utf-8")))


@cache
def phrases_of_the_corpus() -> frozenset[str]:
    """Every opening and every ending in the corpus `demo`."""
    return frozenset(phrase for one in sentences("corpus") for phrase in (one.opening, one.ending))


def draw_sentences(speaker: Voice, n_sentences: int, *, seed: int) -> list[Sentence]:
    """Different sentences for one speaker to read; no phrase of them is one of the corpus's."""
    language, found = speaker.language, dict[str, Sentence]()
    for number in count():
        if len(found) == n_sentences:
            break
        key = (seed, speaker.voice_id, number)
        opening = _draw(language, "openings", *key)
        ending = _draw(language, "endings", *key) + "."
        if phrases_of_the_corpus().isdisjoint((opening, ending)):
            one = Sentence(sentence_id=f"{number:02d}", language=language, opening=opening, ending=ending)
            found.setdefault(one.text, one)
    return list(found.values())


def _draw(language: str, part: str, *key: object) -> str:
    """A pattern of a language, with a word in each of its slots."""
    facts = _facts()[language]

    def choose(name: str) -> str:
        listed = facts[name]
        return str(listed[int(len(listed) * uniform(*key, part, name))])

    return SLOT.sub(lambda slot: choose(slot.group(1)), choose(part))
