from pathlib import Path

import pytest

from evidence_listings import read_listing
from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.parsers.savee import parse
from voxemo.corpora.prepare import check_counts, check_layout, describe
from voxemo.corpora.tree import CorpusTree


def test_a_speakers_folder_that_contradicts_the_name_is_refused() -> None:
    with pytest.raises(WrongLayout, match=r"'KL_a92\.wav' in the folder 'KL', as its name says, found it in 'DC'"):
        list(parse(CorpusTree({"AudioData/DC/KL_a92.wav": ""})))


@pytest.mark.parametrize(
    ("code", "label"), [("s", None), ("sa", "sad"), ("su", "surprise"), ("a", "angry")], ids=["s", "sa", "su", "a"]
)
def test_sadness_and_surprise_have_two_letters_and_share_the_first(code: str, label: str | None) -> None:
    parsed = list(parse(CorpusTree({f"AudioData/JE/{code}91.wav": ""})))

    assert [one.expressed for one in describe(corpus_card("savee"), parsed).utterances] == ([label] if label else [])


@pytest.mark.parametrize(
    "path",
    ["AudioData/JK/su91.wav", "JK/su91.wav", "SAVEE/AudioData/JK/su91.wav", "JK_su91.wav", "ALL/JK_su91.wav"],
)
def test_every_layout_gives_the_same_utterance(path: str) -> None:
    tree = CorpusTree({path: ""})

    check_layout(corpus_card("savee"), tree)
    (one,) = parse(tree)

    assert one == ParsedUtterance(
        stem="JK-su91", audio_path=path, expressed_raw="su", speaker_id="JK", speaker_gender="male"
    )


def test_of_two_copies_the_nearer_file_is_read() -> None:
    (one,) = parse(CorpusTree({"AudioData/DC/a91.wav": "", "ALL/DC_a91.wav": ""}))

    assert one.audio_path == "ALL/DC_a91.wav"


def test_a_file_that_names_no_speaker_is_left_unread() -> None:
    assert list(parse(CorpusTree({"AudioData/XX/a91.wav": "", "a91.wav": ""}))) == []


@pytest.mark.evidence
def test_the_flat_names_of_the_other_copy_give_the_same_utterances(evidence: Path) -> None:
    rows = read_listing(evidence, "savee")
    card = corpus_card("savee")

    original = {one.stem: one for one in parse(CorpusTree({row["path"]: "" for row in rows}))}
    flat = list(parse(CorpusTree({row["kaggle_path"]: "" for row in rows})))

    check_counts(card, describe(card, flat).report)
    found = {one.audio_path: one for one in flat}
    for row in rows:
        one = found[row["kaggle_path"]]
        assert (one.expressed_raw, one.speaker_id) == (row["label"], row["speaker"])
        assert original[one.stem].audio_path == row["path"]
