import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.corpora.parsers.tess import parse
from voxemo.corpora.prepare import check_layout, unread_audio
from voxemo.corpora.tree import CorpusTree

KAGGLE = "TESS Toronto emotional speech set data"


def test_names_are_read_from_both_ends() -> None:
    (one,) = parse(CorpusTree({"YAF_far_away_sad.wav": ""}))

    assert (one.stem, one.speaker_id, one.expressed_raw) == ("YAF_far_away_sad", "YAF", "sad")


@pytest.mark.parametrize(
    "folder",
    ["", "YAF_pleasant_surprised/", f"{KAGGLE}/YAF_pleasant_surprised/"],
    ids=["flat", "a folder for each emotion", "below the archive's top folder"],
)
def test_the_label_is_that_of_the_file_name_in_every_mirror(folder: str) -> None:
    tree = CorpusTree({f"{folder}YAF_back_ps.wav": ""})

    check_layout(corpus_card("tess"), tree)
    (one,) = parse(tree)

    assert (one.stem, one.expressed_raw, one.speaker_age) == ("YAF_back_ps", "ps", 26)
    assert one.transcript == "Say the word back."


def test_the_nested_second_copy_is_left_unread() -> None:
    outer, inner = f"{KAGGLE}/OAF_Fear/OAF_back_fear.wav", f"{KAGGLE}/{KAGGLE}/OAF_Fear/OAF_back_fear.wav"
    tree = CorpusTree({inner: "", outer: ""})

    (one,) = parse(tree)

    assert one.audio_path == outer
    assert unread_audio(corpus_card("tess"), tree, [one]) == [inner]


def test_the_file_that_some_copies_misspell_keeps_its_name() -> None:
    tree = CorpusTree({"OA_bite_neutral.wav": ""})

    check_layout(corpus_card("tess"), tree)
    (one,) = parse(tree)

    assert (one.stem, one.speaker_id) == ("OAF_bite_neutral", "OAF")
