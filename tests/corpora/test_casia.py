import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.corpora.parsers.casia import parse
from voxemo.corpora.prepare import check_layout, unread_audio
from voxemo.corpora.tree import CorpusTree


@pytest.mark.parametrize("root", ["", "CASIA/"], ids=["no top folder", "below a top folder"])
def test_sentences_of_one_number_are_told_apart_by_speaker_and_emotion(root: str) -> None:
    paths = [f"{root}{folder}/201.wav" for folder in ("liuchanhg/angry", "liuchanhg/sad", "wangzhe/angry")]
    tree = CorpusTree(dict.fromkeys(paths, ""))

    check_layout(corpus_card("casia"), tree)
    parsed = list(parse(tree))

    assert [one.stem for one in parsed] == ["liuchanhg/angry/201", "liuchanhg/sad/201", "wangzhe/angry/201"]
    assert [one.audio_path for one in parsed] == paths


def test_other_speakers_and_emotions_are_left_to_the_report() -> None:
    strays = ["somebody/angry/201.wav", "wangzhe/bored/201.wav"]
    tree = CorpusTree(dict.fromkeys([*strays, "wangzhe/angry/201.wav"], ""))

    parsed = list(parse(tree))

    assert [one.stem for one in parsed] == ["wangzhe/angry/201"]
    assert unread_audio(corpus_card("casia"), tree, parsed) == strays
