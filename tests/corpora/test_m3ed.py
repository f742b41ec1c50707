import json
from pathlib import Path
from typing import Any

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.m3ed import parse
from voxemo.corpora.prepare import describe
from voxemo.corpora.tree import CorpusTree

LISTS = {f"splitInfo/movie_list_{name}.txt": f"{name}show\n" for name in ("train", "val", "test")}


def emotions(main: str = "Happy", *annotators: Any) -> dict[str, Any]:
    given = annotators or (main,) * 3
    return {f"EmoAnnotator{i}": one for i, one in enumerate(given, 1)} | {
        "final_mul_emo": main,
        "final_main_emo": main,
    }


def dialogue(name: str, *entries: dict[str, Any], people: tuple[str, str] = ("甲", "乙")) -> dict[str, Any]:
    """Utterances by A with the given emotions."""
    return {
        "SpeakerInfo": {
            letter: {"Name": person, "Age": "mid", "Gender": "male", "OtherName": []}
            for letter, person in zip("AB", people, strict=True)
        },
        "Dialog": {
            f"{name}_{i}": {
                "StartTime": "00:00:00:01",
                "EndTime": "00:00:01:00",
                "Text": "好。",
                "Speaker": "A",
                "EmoAnnotation": one,
            }
            for i, one in enumerate(entries, 1)
        },
    }


def corpus(shows: Any, *audio: str, folder: str = "") -> CorpusTree:
    tables = LISTS | {"annotation.json": json.dumps(shows)}
    return CorpusTree(
        {f"{folder}{name}": text for name, text in tables.items()}
        | {f"modality_speech/{name}.wav": "" for name in audio}
    )


@pytest.mark.parametrize(
    "given",
    [["Anger", "Sad"], "Anger,Sad", "Anger, Sad", "Anger;Sad", "Anger/Sad", "Anger/Sad;"],
    ids=["list", "comma", "comma and blank", "semicolon", "slash", "sign at the end"],
)
def test_every_label_of_an_annotator_is_one_vote(given: Any) -> None:
    shows = {"trainshow": {"trainshow_1": dialogue("trainshow_1", emotions("Anger", given, "Anger", ""))}}

    (one,) = parse(corpus(shows, "A_trainshow_1_1"))

    assert one.votes_raw == {"all": {"Anger": 2, "Sad": 1}}


def test_a_letter_is_another_person_in_another_dialogue_and_a_name_another_in_another_show() -> None:
    shows = {
        "trainshow": {
            "trainshow_1": dialogue("trainshow_1", emotions()),
            "trainshow_2": dialogue("trainshow_2", emotions(), people=("乙", "甲")),
        },
        "testshow": {"testshow_1": dialogue("testshow_1", emotions())},
    }

    parsed = parse(corpus(shows, "A_trainshow_1_1", "A_trainshow_2_1", "A_testshow_1_1"))

    assert [one.speaker_id for one in parsed] == ["testshow_甲", "trainshow_甲", "trainshow_乙"]


def test_a_show_has_the_partition_whose_list_names_it_and_else_none() -> None:
    shows = {show: {f"{show}_1": dialogue(f"{show}_1", emotions())} for show in ("testshow", "valshow", "zz")}

    parsed = parse(corpus(shows, *(f"A_{show}_1_1" for show in shows)))

    assert [one.provider_partition for one in parsed] == ["test", "valid", "unassigned"]


def test_an_annotated_utterance_without_audio_is_left_out_with_a_reason() -> None:
    shows = {"trainshow": {"trainshow_1": dialogue("trainshow_1", emotions("Sad"), emotions("Happy"))}}

    report = describe(corpus_card("m3ed"), list(parse(corpus(shows, "A_trainshow_1_2")))).report

    assert report.excluded == {"no audio in the distribution": 1}
    assert report.n_utterances == report.per_label["happy"] == 1


def test_tables_may_lie_in_a_copy_of_the_repository() -> None:
    shows = {"trainshow": {"trainshow_1": dialogue("trainshow_1", emotions())}}

    (one,) = parse(corpus(shows, "A_trainshow_1_1", folder="RUCM3ED/"))

    assert (one.stem, one.provider_partition, one.excluded_reason) == ("A_trainshow_1_1", "train", None)


def changed(**emotion: Any) -> Any:
    return {"trainshow": {"trainshow_1": dialogue("trainshow_1", emotions() | emotion)}}


@pytest.mark.parametrize(
    ("shows", "message"),
    [
        ([], "expected an object as 'annotation.json', found []"),
        ({"trainshow": {"trainshow_1": {"A": {}}}}, "the key 'SpeakerInfo' in 'trainshow_1' in 'annotation.json'"),
        (changed(EmoAnnotator2=3), "expected text as 'EmoAnnotator2' of 'trainshow_1_1' in 'annotation.json', found 3"),
        (changed(EmoAnnotator2=[["Sad"]]), "expected text as 'trainshow_1_1' in 'annotation.json', found ['Sad']"),
        (changed(final_main_emo=None), "expected text as 'final_main_emo' of 'trainshow_1_1'"),
    ],
    ids=["no object", "other keys", "no text", "nested list", "no main emotion"],
)
def test_annotations_in_another_form_are_refused_with_what_was_found(shows: Any, message: str) -> None:
    with pytest.raises(WrongLayout) as caught:
        list(parse(corpus(shows)))

    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["annotation.json", "splitInfo/movie_list_val.txt"])
def test_a_missing_table_is_named_with_where_it_is(name: str) -> None:
    files = {path: text for path, text in (LISTS | {"annotation.json": "{}"}).items() if path != name}

    with pytest.raises(WrongLayout, match=f"expected the file '{name}', found none.*github.com/AIM3-RUC/RUCM3ED"):
        list(parse(CorpusTree(files)))


def test_the_wrong_fixture_is_refused_for_its_annotators() -> None:
    with pytest.raises(
        WrongLayout, match=r"expected the key 'final_main_emo' in .*found the keys 'annotators', 'main'"
    ):
        list(parse(CorpusTree(Path(__file__).parent / "m3ed" / "wrong")))
