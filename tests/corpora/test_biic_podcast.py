import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.biic_podcast import CLASSES, SHARES, parse
from voxemo.corpora.prepare import describe
from voxemo.corpora.tree import CorpusTree

NAMES = ("BIIC-PODCAST_9801_0001_0001.wav", "BIIC-PODCAST_9801_0001_0002.wav")
HEADER = ("FileName", *CLASSES, "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
SMALL = 0.05 / 7


def row(name: str, part: str, **shares: object) -> tuple[object, ...]:
    return (name, *(shares.get(label, SMALL) for label in CLASSES), 4.0, 3.0, 4.0, 9001, "Female", part)


def corpus(*rows: tuple[object, ...]) -> CorpusTree:
    table = "".join(",".join(map(str, fields)) + "\n" for fields in (HEADER, *rows))
    return CorpusTree({f"Audios/{name}": "" for name in NAMES} | {str(SHARES): table})


def test_the_largest_share_is_the_label_and_shares_are_no_votes() -> None:
    tree = corpus(row(NAMES[0], "Train", sad=0.6, fear=0.3), row(NAMES[1], "Test", happy=0.95))

    parsed = list(parse(tree))

    assert [(one.perceived_raw, one.provider_partition, one.speaker_id, one.speaker_gender) for one in parsed] == [
        ("sad", "train", "9001", "female"),
        ("happy", "test", "9001", "female"),
    ]
    assert describe(corpus_card("biic-podcast"), parsed).report.voted == {"all": 0}


def test_equal_shares_are_no_agreement_which_the_card_drops() -> None:
    parsed = list(parse(corpus(row(NAMES[0], "Development", sad=0.45, fear=0.45), row(NAMES[1], "Train", sad=0.95))))

    assert [one.perceived_raw for one in parsed] == ["X", "sad"]
    assert describe(corpus_card("biic-podcast"), parsed).report.n_utterances == 1


def test_shares_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(
        WrongLayout, match=f"numbers as shares of the classes in '{SHARES}', found others for '{NAMES[0]}'"
    ):
        list(parse(corpus(row(NAMES[0], "Train", sad="much"))))


def test_a_table_of_other_classes_is_refused_with_its_columns() -> None:
    tree = CorpusTree({f"Audios/{NAMES[0]}": "", str(SHARES): "FileName,angry,excited,SpkrID,Gender,Split_Set\n"})

    with pytest.raises(WrongLayout, match=r"found 'FileName', 'angry', 'excited', 'SpkrID', 'Gender', 'Split_Set'"):
        list(parse(tree))


def test_labels_in_neither_form_are_refused_with_the_table_that_is_expected() -> None:
    with pytest.raises(WrongLayout, match=r"expected the table 'Labels/labels_consensus\.csv'"):
        list(parse(CorpusTree({f"Audios/{NAMES[0]}": ""})))
