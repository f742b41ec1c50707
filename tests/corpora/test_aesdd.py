import pytest

from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.aesdd import parse
from voxemo.corpora.tree import CorpusTree


def test_a_letter_that_contradicts_the_folder_is_refused() -> None:
    with pytest.raises(WrongLayout, match=r"'s91 \(7\)\.wav' in the folder 'sadness'.*found it in 'anger'"):
        list(parse(CorpusTree({"anger/s91 (7).wav": ""})))


@pytest.mark.parametrize(
    ("stem", "speaker"),
    [("d91 (7)", "7"), ("d91 (07)", "7"), ("d91 (7)b", "7"), ("d91 (12)", "12")],
    ids=["bare", "with a zero", "with a letter", "two digits"],
)
def test_the_speaker_stands_in_brackets_with_or_without_a_zero(stem: str, speaker: str) -> None:
    (one,) = parse(CorpusTree({f"disgust/{stem}.wav": ""}))

    assert (one.stem, one.speaker_id, one.expressed_raw) == (stem, speaker, "d")


def test_a_letter_after_the_speaker_makes_another_recording() -> None:
    parsed = list(parse(CorpusTree({"sadness/s91 (8)a.wav": "", "sadness/s91 (8)b.wav": ""})))

    assert [one.stem for one in parsed] == ["s91 (8)a", "s91 (8)b"]


def test_the_archives_own_folder_may_stand_above_the_emotions() -> None:
    paths = ["AESDD/anger/a91 (7).wav", "AESDD/sadness/s91 (7).wav"]

    assert [one.audio_path for one in parse(CorpusTree(dict.fromkeys(paths, "")))] == paths
