import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.ased import parse
from voxemo.corpora.prepare import check_layout, describe
from voxemo.corpora.tree import CorpusTree


def test_the_name_with_a_capital_is_an_ordinary_clip() -> None:
    parsed = list(parse(CorpusTree({"04Sad/S4-04-02-01-29.wav": ""})))

    (utterance,) = describe(corpus_card("ased"), parsed).utterances
    assert (utterance.utterance_id, utterance.perceived) == ("ased/S4-04-02-01-29", "sad")


def test_numbers_with_both_codes_of_gender_have_none() -> None:
    names = ("n1-01-01-01-09", "n1-01-01-01-10", "n1-01-01-02-09", "n1-01-01-02-11")
    parsed = parse(CorpusTree({f"01Neutral/{name}.wav": "" for name in names}))

    assert [one.speaker_gender for one in parsed] == [None, "female", None, "male"]


def test_the_repository_may_lie_below_a_top_folder() -> None:
    tree = CorpusTree({"ASED_V1/05Angry/a5-07-01-02-24.wav": ""})

    check_layout(corpus_card("ased"), tree)
    (one,) = parse(tree)

    assert (one.perceived_raw, one.speaker_id) == ("a", "24")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("05Angry/s4-04-02-01-29.wav", "'s4-04-02-01-29.wav' in the folder '04Sad', as its name says"),
        ("04Sad/a4-04-02-01-29.wav", "a letter for '4', as its name says, found 'a4-04-02-01-29.wav' in '04Sad'"),
    ],
    ids=["folder", "digit"],
)
def test_letter_digit_and_folder_that_contradict_each_other_are_refused(path: str, message: str) -> None:
    with pytest.raises(WrongLayout) as caught:
        list(parse(CorpusTree({path: ""})))

    assert message in str(caught.value)
