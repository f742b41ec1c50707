"""What is to be spoken: voices, sentences and prosody, drawn from a seed. Values only; ``synthesis`` makes the sound.

The facts are in ``voices.toml``, ``sentences.toml`` and ``prosody.toml``. Chance is a hash of the seed and of what is
drawn, so a clip's prosody depends neither on the other clips nor on the version of a random number generator.
"""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from hashlib import sha256
from itertools import product
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, TypeVar

Pool = Literal["corpus", "training"]
"""Voices, sentences and manners of playing. ``corpus``: of the corpus ``demo`` only; ``training``: for models that are
tested on it."""

STANDARD_NORMAL = NormalDist()

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """Somebody who speaks; ``voices.toml`` has the units."""

    voice_id: str
    espeak: str
    gender: str
    size: float
    words_per_minute: int
    range: int
    level_db: float

    @property
    def language(self) -> str:
        """BCP-47 language without the region, which sentences are found by."""
        return self.espeak.partition("+")[0].partition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """Something to say, in two phrases; a pause may come between them."""

    sentence_id: str
    language: str
    opening: str
    ending: str

    @property
    def text(self) -> str:
        """The whole sentence."""
        return f"{self.opening} {self.ending}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prosody:
    """How a clip is spoken, against the voice's own habit; ``prosody.toml`` has the units. All 0: the plain voice."""

    pitch: float = 0.0
    range: float = 0.0
    rise: float = 0.0
    tremble: float = 0.0
    level: float = 0.0
    brightness: float = 0.0
    rate: float = 0.0
    pause: float = 0.0


SETTINGS = tuple(field.name for field in fields(Prosody))
"""Names of the prosody's settings, in the order of every table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One clip to be spoken."""

    name: str
    """Voice, language, label and number: "v03_en_happy_12"."""
    voice: Voice
    sentence: Sentence
    label: str
    prosody: Prosody


# --- facts -------------------------------------------------------------------------------------------------------


@cache
def _facts(name: str) -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text(encoding="utf-8"))


def voices(pool: Pool) -> tuple[Voice, ...]:
    """The voices of a pool, by id."""
    return tuple(Voice(voice_id=name, **facts) for name, facts in sorted(_facts("voices")[pool].items()))


def sentences(pool: Pool) -> tuple[Sentence, ...]:
    """The sentences of a pool: a fixed list in the corpus, every opening with every ending in training."""
    found: list[Sentence] = []
    for language, phrases in _facts("sentences")[pool].items():
        pairs = phrases if pool == "corpus" else product(phrases["openings"], phrases["endings"])
        found.extend(
            Sentence(sentence_id=f"{number:02d}", language=language, opening=opening, ending=ending)
            for number, (opening, ending) in enumerate(pairs, start=1)
        )
    return tuple(found)


def labels() -> tuple[str, ...]:
    """The emotions that prosody is known for, in alphabetical order."""
    return tuple(sorted(_facts("prosody")["centres"]["training"]))


# --- chance ------------------------------------------------------------------------------------------------------


def uniform(*key: object) -> float:
    """A number between 0 and 1 that the key alone decides.

    >>> uniform(2026, "v01", "pitch") == uniform(2026, "v01", "pitch") != uniform(2027, "v01", "pitch")
    True
    """
    digest = sha256("/".join(map(str, key)).encode()).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48


def normal(*key: object) -> float:
    """A draw from the standard normal distribution that the key alone decides."""
    return STANDARD_NORMAL.inv_cdf(uniform(*key))


def draw_prosody(label: str, *key: object, manner: Pool) -> Prosody:
    """Draw the prosody of one clip: each setting from a normal distribution around the emotion's centre, cut off."""
    facts = _facts("prosody")
    most = facts["most_spreads"]
    centre = (facts["centres"]["training"] | facts["centres"][manner])[label]
    drawn = {
        name: centre[name] + facts["spread"][name] * max(-most, min(most, normal(*key, name))) for name in SETTINGS
    }
    return Prosody(**{**drawn, "tremble": max(0.0, drawn["tremble"]), "pause": max(0.0, drawn["pause"])})


def design(
    speakers: Sequence[Voice], texts: Sequence[Sentence], *, n_sentences: int, seed: int, manner: Pool
) -> Iterator[Clip]:
    """Draw clips: each voice reads its own ``n_sentences`` sentences with every emotion, so that words tell nothing.

    Args:
        speakers: who speaks.
        texts: what may be said, in the languages of the voices.
        n_sentences: how many of the sentences in its language each voice reads; all of them where there are fewer.
        seed: another seed gives other sentences and other prosody.
        manner: how emotions are played.
    """
    for voice in speakers:
        known = [text for text in texts if text.language == voice.language]
        own = _shuffled(known, [(seed, voice.voice_id, text.sentence_id) for text in known])[:n_sentences]
        takes = list(product(labels(), own))
        # A clip's number is its place in a session of mixed order, so that it says nothing about the label.
        order = _shuffled(takes, [(seed, voice.voice_id, label, text.sentence_id) for label, text in takes])
        for number, (label, sentence) in enumerate(order, start=1):
            name = f"{voice.voice_id}_{voice.language}_{label}_{number:02d}"
            prosody = draw_prosody(label, seed, name, manner=manner)
            yield Clip(name=name, voice=voice, sentence=sentence, label=label, prosody=prosody)


def plain_readings(speakers: Sequence[Voice], texts: Sequence[Sentence], *, n_sentences: int) -> Iterator[Clip]:
    """Each voice's own habit: the first sentences in its language, read without any emotion or chance."""
    for voice in speakers:
        known = [text for text in texts if text.language == voice.language]
        for number, sentence in enumerate(known[:n_sentences], start=1):
            name = f"{voice.voice_id}_{voice.language}_plain_{number:02d}"
            yield Clip(name=name, voice=voice, sentence=sentence, label="neutral", prosody=Prosody())


def _shuffled(items: Sequence[Item], keys: Sequence[tuple[object, ...]]) -> list[Item]:
    return [
        item for _, item in sorted(zip((uniform(*key) for key in keys), items, strict=True), key=lambda pair: pair[0])
    ]
