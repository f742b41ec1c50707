from pathlib import Path

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.resd import parse
from voxemo.corpora.prepare import describe
from voxemo.corpora.tree import CorpusTree
from voxemo.splits.checks import speaker_overlap
from voxemo.splits.policies import make_split

UNDERSCORE = "anger_disgust_91/91_anger_disgust_a_030.wav"
BLANK = "92_happiness_anger/92_happiness_anger a_010.wav"


@pytest.mark.parametrize("name", [UNDERSCORE, BLANK], ids=["underscore", "blank"])
def test_both_forms_of_names_tell_dialogue_and_emotion(name: str) -> None:
    (one,) = parse(CorpusTree({f"test/{name}": ""}))

    assert (one.expressed_raw, one.session_id) == ("anger", name.split("/")[0])
    assert (one.speaker_id, one.provider_partition) == (None, "test")


@pytest.mark.parametrize("name", [UNDERSCORE, BLANK], ids=["underscore", "blank"])
def test_a_table_that_contradicts_the_letter_is_refused(name: str) -> None:
    with pytest.raises(WrongLayout, match=r"as 'anger' in 'train\.csv', as its letter says, found 'fear'"):
        list(parse(CorpusTree({f"train/{name}": "", "train.csv": f"path,emotion\n{name},fear\n"})))


def test_a_table_is_about_its_own_part() -> None:
    tree = CorpusTree({f"train/{UNDERSCORE}": "", "test.csv": f"path,emotion\n{UNDERSCORE},fear\n"})

    (one,) = parse(tree)

    assert one.expressed_raw == "anger"


def test_a_file_in_another_dialogues_folder_is_refused() -> None:
    with pytest.raises(WrongLayout, match="in the folder of its dialogue"):
        list(parse(CorpusTree({"train/anger_fear_92/91_anger_disgust_a_030.wav": ""})))


def test_a_table_with_other_columns_is_refused() -> None:
    with pytest.raises(WrongLayout, match="a column 'emotion'"):
        list(parse(CorpusTree({f"train/{UNDERSCORE}": "", "train.csv": "path,label\nx,anger\n"})))


def test_the_providers_parts_share_their_dialogues_and_speakers_stay_unknown() -> None:
    card = corpus_card("resd")
    prepared = describe(card, list(parse(CorpusTree(Path(__file__).parent / "resd" / "tree"))))

    split = make_split(card, prepared.utterances, policy="protocol")

    sessions = {one.utterance_id: one.session_id for one in prepared.utterances}
    assert split.speaker_independent is None
    assert speaker_overlap(split.folds, {}, sessions).text == (
        "speakers unknown; 3 of 3 test sessions also in train or valid"
    )
