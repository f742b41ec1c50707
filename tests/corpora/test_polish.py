import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.corpora.parsers.polish import parse
from voxemo.corpora.prepare import describe
from voxemo.corpora.tree import CorpusTree


@pytest.mark.parametrize(("letter", "label"), [("a", "angry"), ("n", "neutral"), ("s", "fear")])
def test_the_letter_s_is_fear_and_not_sadness(letter: str, label: str) -> None:
    parsed = list(parse(CorpusTree({f"m8.{letter}_dom_1.wav": ""})))

    (one,) = describe(corpus_card("polish"), parsed).utterances
    assert one.expressed == label


def test_a_dot_before_the_emotion_is_no_files_ending() -> None:
    (one,) = parse(CorpusTree({"m8.a_dom_1.wav": ""}))

    assert (one.stem, one.speaker_id, one.transcript) == ("m8.a_dom_1", "m8", "dom")


def test_the_archives_own_folder_may_stand_above_the_files() -> None:
    (one,) = parse(CorpusTree({"emotions/m8.n_kot_4.wav": ""}))

    assert one.audio_path == "emotions/m8.n_kot_4.wav"
