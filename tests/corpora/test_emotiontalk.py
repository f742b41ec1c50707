import json
from pathlib import Path
from typing import Any

import pytest

from evidence_listings import read_listing
from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.emotiontalk import parse
from voxemo.corpora.prepare import check_counts, describe
from voxemo.corpora.tree import CorpusTree

KEY = "G00091/G00091_01/G00091_01_92/G00091_01_92_001"
AUDIO = {f"Audio/wav/{KEY}.wav": ""}


def judged(label: str, *votes: str) -> str:
    return json.dumps({"data": [{"emotion_result": vote} for vote in votes], "emotion_result": label})


def test_labels_are_those_of_all_modalities_together_not_of_one() -> None:
    files = {
        f"Multimodal/json/{KEY}.json": judged("sad", "sad", "sad", "angry"),
        f"Audio/json/{KEY}.json": judged("neutral", "neutral"),
        f"Text/json/{KEY}.json": judged("happy", "happy"),
        f"Video/json/{KEY}.json": judged("angry", "angry"),
    }

    (one,) = parse(CorpusTree(AUDIO | files))

    assert (one.perceived_raw, one.votes_raw) == ("sad", {"all": {"sad": 2, "angry": 1}})
    assert (one.speaker_id, one.session_id, one.transcript) == ("92", "G00091_01", None)


@pytest.mark.parametrize(
    ("group", "partition"),
    [("G00001", "valid"), ("G00012", "valid"), ("G00003", "test"), ("G00015", "test"), ("G00002", "train")],
)
def test_the_group_tells_the_partition(group: str, partition: str) -> None:
    key = KEY.replace("G00091", group)

    (one,) = parse(CorpusTree({f"Audio/wav/{key}.wav": "", f"Multimodal/json/{key}.json": judged("sad")}))

    assert one.provider_partition == partition


def test_without_json_files_labels_come_from_the_repositorys_table_and_there_are_no_votes() -> None:
    folder = "EmotionTalk/dataset/mm-process"
    tables = {
        f"{folder}/mm.csv": f"file_name,emotion\n{KEY}.mp4,disgusted\n",
        f"{folder}/audio.csv": f"file_name,emotion\n{KEY}.wav,neutral\n",
        f"{folder}/transcription.csv": f'name,emotion,chinese\n{KEY},happy,"嗯。好。"\n',
    }

    (one,) = parse(CorpusTree(AUDIO | tables))

    assert (one.perceived_raw, one.votes_raw, one.transcript) == ("disgusted", {}, "嗯。好。")


@pytest.mark.parametrize("text", ["[]", '{"content": 3}', "{}"], ids=["no object", "no text", "no content"])
def test_a_transcript_in_an_unknown_form_is_passed_over(text: str) -> None:
    files = {f"Multimodal/json/{KEY}.json": judged("sad", "sad"), f"Text/json/{KEY}.json": text}

    (one,) = parse(CorpusTree(AUDIO | files))

    assert one.transcript is None


PLACE = f"'Multimodal/json/{KEY}.json'"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"data": [{"label": "sad"}], "emotion_result": "sad"},
            f"expected the key 'emotion_result' in each entry of 'data' in {PLACE}, found the keys 'label'",
        ),
        ({"data": {"1": "sad"}, "emotion_result": "sad"}, f"expected a list as 'data' of {PLACE}"),
        ({"data": [], "emotion_result": 3}, f"expected text as 'emotion_result' of {PLACE}, found 3"),
        ([], f"expected an object as {PLACE}, found []"),
    ],
    ids=["an annotator without label", "no list", "no text", "no object"],
)
def test_json_in_another_form_is_refused_with_what_was_found(content: Any, message: str) -> None:
    with pytest.raises(WrongLayout) as caught:
        list(parse(CorpusTree(AUDIO | {f"Multimodal/json/{KEY}.json": json.dumps(content)})))

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected labels in 'Multimodal/json' or 'mm.csv', found neither. Unpack Multimodal too."),
        ({"Multimodal/json/G9/x.json": "{}"}, f"expected the file {PLACE}"),
        ({"mm.csv": "file_name,emotion\nG9/x.mp4,sad\n"}, f"a row for '{KEY}' in 'mm.csv', found rows for 'G9/x'"),
    ],
    ids=["no labels", "a file is missing", "a row is missing"],
)
def test_missing_labels_are_refused_with_what_to_do(files: dict[str, str], message: str) -> None:
    with pytest.raises(WrongLayout) as caught:
        list(parse(CorpusTree(AUDIO | files)))

    assert message in str(caught.value)


@pytest.mark.evidence
def test_the_full_listing_in_the_form_of_the_distribution_gives_the_counts_of_the_card(evidence: Path) -> None:
    rows = read_listing(evidence, "emotiontalk")
    labels = {
        row["path"].replace("Audio/wav", "Multimodal/json").replace(".wav", ".json"): judged(row["label"], row["label"])
        for row in rows
    }
    card = corpus_card("emotiontalk")

    report = describe(card, list(parse(CorpusTree(dict.fromkeys((r["path"] for r in rows), "") | labels)))).report

    check_counts(card, report)
    assert report.voted == {"all": 19_250}
