import json
from typing import Any

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.shemo import BYTE_ORDER_MARK, parse
from voxemo.corpora.prepare import describe
from voxemo.corpora.tree import CorpusTree

AUDIO = {"female/F91F02.wav": "", "male/M92W10.wav": ""}
ENTRY = {"id": "F91F02", "gender": "female", "emotion": "fearful", "transcript": BYTE_ORDER_MARK + "بله"}


def cleaned(content: Any) -> dict[str, str]:
    return {"shemo.json": json.dumps(content)}


@pytest.mark.parametrize(
    "content",
    [
        [ENTRY],
        {"F91F02": {"gender": "female", "emotion": "fearful", "speaker_id": "F91", "transcript": "بله"}},
        {"F91F02.wav": {"emotion": "fearful", "transcript": "بله"}},
    ],
    ids=["list with ids", "keyed by name", "keyed by file name"],
)
def test_the_cleaned_list_is_read_in_the_forms_that_are_known(content: Any) -> None:
    listed, unlisted = parse(CorpusTree(AUDIO | cleaned(content)))

    assert (listed.excluded_reason, listed.perceived_raw, listed.transcript) == (None, "F", "بله")
    assert unlisted.excluded_reason == "not in the cleaned list shemo.json"


def test_what_the_cleaned_list_lacks_is_counted_as_left_out() -> None:
    report = describe(corpus_card("shemo"), list(parse(CorpusTree(AUDIO | cleaned([ENTRY]))))).report

    assert report.n_utterances == 1
    assert report.excluded == {"not in the cleaned list shemo.json": 1}


def test_the_first_letter_is_gender_and_the_fourth_the_emotion() -> None:
    (one,) = parse(CorpusTree({"female/F91F02.wav": ""} | cleaned([ENTRY])))

    assert (one.speaker_id, one.speaker_gender, one.perceived_raw) == ("F91", "female", "F")


def test_without_the_cleaned_list_the_error_says_where_it_is() -> None:
    with pytest.raises(WrongLayout, match=r"'shemo\.json'.*github\.com/pariajm/sharif-emotional-speech-dataset"):
        list(parse(CorpusTree(AUDIO)))


def test_a_list_that_contradicts_the_letter_is_refused() -> None:
    with pytest.raises(WrongLayout, match=r"'F91F02' as 'fearful' in 'shemo\.json'.*found 'angry'"):
        list(parse(CorpusTree(AUDIO | cleaned([ENTRY | {"emotion": "angry"}]))))


def test_a_file_in_the_folder_of_the_other_gender_is_refused() -> None:
    with pytest.raises(WrongLayout, match="in the folder 'female', as its first letter says"):
        list(parse(CorpusTree({"male/F91F02.wav": ""} | cleaned([ENTRY]))))


@pytest.mark.parametrize(
    "content",
    [[], {}, "F91F02", ["F91F02"], [{"emotion": "sad"}], {"F91F02": "sad"}, {"F91F02": {"gender": "female"}}],
    ids=["no entry", "no key", "text", "names only", "no id", "no object", "no emotion"],
)
def test_a_list_of_another_form_is_refused(content: Any) -> None:
    with pytest.raises(WrongLayout, match=r"'shemo\.json'"):
        list(parse(CorpusTree(AUDIO | cleaned(content))))
