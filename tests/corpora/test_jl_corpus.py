import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.corpora.parsers.jl_corpus import parse
from voxemo.corpora.prepare import check_layout
from voxemo.corpora.tree import CorpusTree


@pytest.mark.parametrize(
    "folder",
    ["", "JL(wav+txt)/", "Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/"],
    ids=["the innermost folder", "one above it", "the archive as unpacked"],
)
def test_each_of_the_folders_may_be_the_root(folder: str) -> None:
    tree = CorpusTree({f"{folder}female2_concerned_7b_1.wav": "", f"{folder}female2_concerned_7b_1.txt": "words"})

    check_layout(corpus_card("jl-corpus"), tree)
    (one,) = parse(tree)

    assert (one.speaker_id, one.speaker_gender, one.expressed_raw) == ("female2", "female", "concerned")


def test_a_woman_is_no_man_because_her_name_ends_like_his() -> None:
    woman, man = parse(CorpusTree({"female1_sad_1a_1.wav": "", "male1_sad_1a_1.wav": ""}))

    assert [woman.speaker_id, man.speaker_id] == ["female1", "male1"]
    assert [woman.speaker_gender, man.speaker_gender] == ["female", "male"]
