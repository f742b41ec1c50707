"""Corpora whose real names are not listed, rebuilt by their naming scheme: parser and card agree on every count."""

from collections.abc import Iterator
from itertools import product

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.corpora.parsers import parser_for
from voxemo.corpora.prepare import check_counts, check_layout, describe, unread_audio
from voxemo.corpora.tree import CorpusTree


def casia() -> Iterator[str]:
    speakers = ("liuchanhg", "wangzhe", "zhaoquanyin", "zhaozuoxiang")
    emotions = ("angry", "fear", "happy", "neutral", "sad", "surprise")
    for speaker, emotion, sentence in product(speakers, emotions, range(201, 251)):
        yield f"{speaker}/{emotion}/{sentence}.wav"


def esd(*, older: bool = False) -> Iterator[str]:
    emotions = ("Neutral", "Angry", "Happy", "Sad", "Surprise")
    for speaker, number in product(range(1, 21), range(5 * 350)):
        block, place = divmod(number, 350)
        part = "evaluation/" if place < 20 else "test/" if place < 50 else "train/"
        folder = f"Emotion Speech Dataset/{speaker:04}/{emotions[block]}/{part if older else ''}"
        yield f"{folder}{speaker:04}_{number + 1:06}.wav"


def jl_corpus() -> Iterator[str]:
    speakers = ("female1", "female2", "male1", "male2")
    primary = ("angry", "excited", "happy", "neutral", "sad")
    secondary = ("anxious", "apologetic", "assertive", "concerned", "encouraging")
    # How a speaker's 60 recordings of an emotion divide over numbers, letters and takes was not seen.
    for speaker, emotion, number, letter, take in product(speakers, primary + secondary, range(1, 16), "ab", "12"):
        yield f"Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/{speaker}_{emotion}_{number}{letter}_{take}.wav"


def subesco() -> Iterator[str]:
    emotions = ("ANGRY", "DISGUST", "FEAR", "HAPPY", "NEUTRAL", "SAD", "SURPRISE")
    for gender, number, sentence, emotion, take in product("FM", range(1, 11), range(1, 11), emotions, range(1, 6)):
        yield f"{gender}_{number:02}_NAME_S_{sentence}_{emotion}_{take}.wav"


@pytest.mark.parametrize(
    ("corpus_id", "paths"),
    [
        ("casia", casia()),
        ("esd", esd()),
        ("esd", esd(older=True)),
        ("jl-corpus", jl_corpus()),
        ("subesco", subesco()),
    ],
    ids=["casia", "esd", "esd, older layout", "jl-corpus", "subesco"],
)
def test_the_naming_scheme_gives_the_counts_of_the_card(corpus_id: str, paths: Iterator[str]) -> None:
    card = corpus_card(corpus_id)
    tree = CorpusTree(dict.fromkeys(paths, ""))

    check_layout(card, tree)
    parsed = list(parser_for(corpus_id)(tree))

    assert unread_audio(card, tree, parsed) == []
    check_counts(card, describe(card, parsed).report)
