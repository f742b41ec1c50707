import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.corpora.parsers.mead import parse
from voxemo.corpora.prepare import check_layout
from voxemo.corpora.tree import CorpusTree


@pytest.mark.parametrize("root", ["", "MEAD/"], ids=["no top folder", "below a top folder"])
def test_clips_of_one_number_are_told_apart_by_actor_emotion_and_level(root: str) -> None:
    folders = ("M003/audio/disgusted/level_1", "M003/audio/disgusted/level_2", "W009/audio/disgusted/level_1")
    tree = CorpusTree({f"{root}{folder}/001.m4a": "" for folder in folders})

    check_layout(corpus_card("mead"), tree)
    parsed = list(parse(tree))

    assert [one.stem for one in parsed] == [folder.replace("audio/", "") + "/001" for folder in folders]
    assert [(one.speaker_id, one.speaker_gender) for one in parsed[1:]] == [("M003", "male"), ("W009", "female")]
    assert {one.expressed_raw for one in parsed} == {"disgusted"}


def test_videos_are_no_utterances() -> None:
    clip = "M003/audio/angry/level_1/001.m4a"
    tree = CorpusTree(dict.fromkeys([clip, "M003/video/front/angry/level_1/001.mp4"], ""))

    assert [one.audio_path for one in parse(tree)] == [clip]
