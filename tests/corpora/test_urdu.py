from pathlib import Path

import polars as pl
import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.urdu import parse
from voxemo.corpora.prepare import prepare
from voxemo.corpora.tree import CorpusTree


def test_a_file_in_the_wrong_folder_is_refused() -> None:
    with pytest.raises(WrongLayout, match=r"'SM1_F1_A01\.wav' in the folder 'Angry'.*found it in 'Happy'"):
        list(parse(CorpusTree({"Happy/SM1_F1_A01.wav": ""})))


def test_a_folder_in_other_capitals_is_recognised_as_that() -> None:
    tree = CorpusTree({"angry/SM1_F1_A01.wav": "", "Happy/SM1_F1_H01.wav": ""})

    with pytest.raises(WrongLayout, match=r"in the folder 'Angry'.*found it in 'angry'\. They differ in capitals only"):
        list(parse(tree))


@pytest.mark.evidence
def test_the_real_folder_is_complete_and_agrees_with_its_listing(evidence: Path) -> None:
    listed = pl.read_csv(evidence / "listings" / "urdu.csv.gz").sort("path")

    prepared = prepare(corpus_card("urdu"), parse, evidence / "audio" / "urdu")

    report = prepared.report
    assert (report.n_utterances, report.n_speakers, report.complete) == (400, 29, True)
    assert report.per_label == {"angry": 100, "happy": 100, "neutral": 100, "sad": 100}
    assert report.hours == pytest.approx(listed["duration_s"].sum() / 3600, abs=1e-4)
    assert (report.unusable, report.silent, report.duplicates, report.unread) == ({}, (), (), ())
    utterances = sorted(prepared.utterances, key=lambda one: one.audio_path)
    assert [one.audio_path for one in utterances] == listed["path"].to_list()
    assert [one.speaker_id for one in utterances] == listed["speaker"].to_list()
    assert [one.perceived.title() for one in utterances] == listed["emobox_label"].to_list()
    assert [one.duration_s for one in utterances] == pytest.approx(listed["duration_s"].to_list(), abs=0.002)
    assert {(one.sample_rate_hz, one.n_channels) for one in utterances} == {(44_100, 1)}


@pytest.mark.evidence
def test_codes_are_those_of_the_listing_row_by_row(evidence: Path) -> None:
    listed = pl.read_csv(evidence / "listings" / "urdu.csv.gz").sort("path")

    parsed = list(parse(CorpusTree(dict.fromkeys(listed["path"], ""))))

    assert [(one.audio_path, one.perceived_raw, one.speaker_id) for one in parsed] == listed.select(
        "path", "label", "speaker"
    ).rows()
