from collections.abc import Iterable

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.emns import parse
from voxemo.corpora.prepare import describe
from voxemo.corpora.tree import CorpusTree

HEADER = "id|utterance|description|emotion|date_created|status|gender|age|level|audio_recording|user_id"


def metadata(rows: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """The table, from audio name, emotion and status."""
    lines = [
        f"9|So it is.|said|{emotion}|2022-01-01|{status}|Female|20s|3|wavs/{name}|9" for name, emotion, status in rows
    ]
    return {"metadata.csv": "\n".join([HEADER, *lines])}


def test_only_complete_recordings_count_and_the_others_are_named() -> None:
    names = ("recorded_audio_AAAAAA1.webm", "recorded_audio_AAAAAA2.webm")
    table = metadata(zip(names, ("Angry", "Sad"), ("Complete", "Needs Updating"), strict=True))
    parsed = list(parse(CorpusTree(table | {f"cleaned_webm/{name}": "" for name in names})))

    report = describe(corpus_card("emns"), parsed).report

    assert len(parsed) == 2
    assert report.n_utterances == 1
    assert report.excluded == {"status in the table: Needs Updating": 1}


@pytest.mark.parametrize("folder", ["cleaned_webm", "raw_webm", "wavs"])
def test_recordings_are_found_by_their_base_name_whatever_folder_the_table_names(folder: str) -> None:
    table = metadata([("recorded_audio_AAAAAA1.webm", "Angry", "Complete")])

    (one,) = parse(CorpusTree(table | {f"{folder}/recorded_audio_AAAAAA1.webm": ""}))

    assert one.audio_path == f"{folder}/recorded_audio_AAAAAA1.webm"


def test_of_two_archives_the_cleaned_recordings_are_read() -> None:
    table = metadata([("recorded_audio_AAAAAA1.webm", "Angry", "Complete")])
    both = {f"{folder}/recorded_audio_AAAAAA1.webm": "" for folder in ("raw_webm", "cleaned_webm")}

    assert [one.audio_path for one in parse(CorpusTree(table | both))] == ["cleaned_webm/recorded_audio_AAAAAA1.webm"]


def test_one_recording_has_no_key_in_its_name() -> None:
    table = metadata([("recorded_audio.webm", "Neutral", "Complete")])

    (one,) = parse(CorpusTree(table | {"cleaned_webm/recorded_audio.webm": ""}))

    assert (one.stem, one.expressed_raw, one.speaker_gender) == ("recorded_audio", "Neutral", "female")


def test_recordings_without_their_table_are_refused_with_where_to_get_it() -> None:
    with pytest.raises(WrongLayout, match=r"'metadata\.csv'.*OpenSLR 136"):
        list(parse(CorpusTree({"cleaned_webm/recorded_audio_AAAAAA1.webm": ""})))


def test_a_rewrite_with_commas_is_refused() -> None:
    comma = {"metadata.csv": "id,utterance,emotion,status\n9,So it is.,anger,Complete\n"}

    with pytest.raises(WrongLayout, match="columns 'utterance', 'emotion', 'status'"):
        list(parse(CorpusTree(comma | {"cleaned_webm/recorded_audio_AAAAAA1.webm": ""})))
