import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.corpora.parsers.mesd import parse
from voxemo.corpora.prepare import check_layout
from voxemo.corpora.tree import CorpusTree

ROOT = "Mexican Emotional Speech Database (MESD)"


@pytest.mark.parametrize("word", ["palabra", "otra_palabra", "una_F_A_palabra"])
def test_a_word_may_hold_the_separator(word: str) -> None:
    (one,) = parse(CorpusTree({f"{ROOT}/Sadness_M_B_{word}.wav": ""}))

    assert (one.stem, one.expressed_raw) == (f"Sadness_M_B_{word}", "Sadness")
    assert one.speaker_gender == "male"


def test_no_name_tells_the_speaker() -> None:
    letters = {"C": None, "F": "female", "M": "male"}

    parsed = list(parse(CorpusTree({f"{ROOT}/Anger_{letter}_A_palabra.wav": "" for letter in letters})))

    assert [one.speaker_gender for one in parsed] == list(letters.values())
    assert {one.speaker_id for one in parsed} == {None}


@pytest.mark.parametrize("folder", [f"{ROOT}/", "", f"archive/{ROOT}/"], ids=["as shipped", "inside", "above"])
def test_the_archives_own_folder_may_be_there_or_not(folder: str) -> None:
    path = f"{folder}Fear_F_A_palabra.wav"
    tree = CorpusTree({path: ""})

    check_layout(corpus_card("mesd"), tree)
    assert [one.audio_path for one in parse(tree)] == [path]
