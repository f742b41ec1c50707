from pathlib import Path

import polars as pl
import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import CountMismatch, WrongLayout
from voxemo.corpora.parsers.turev_db import parse
from voxemo.corpora.prepare import check_counts, describe, prepare
from voxemo.corpora.tree import CorpusTree


def test_letters_that_contradict_the_folder_are_refused() -> None:
    with pytest.raises(WrongLayout, match=r"'1234_kz_acik\.wav' in the folder 'Angry'.*found it in 'Sad'"):
        list(parse(CorpusTree({"Sound Source/Sad/1234_kz_acik.wav": ""})))


def test_a_digit_in_the_word_is_no_other_recording() -> None:
    (one,) = parse(CorpusTree({"Sound Source/Sad/7895_hl_ogul1.wav": ""}))

    assert (one.stem, one.speaker_id, one.expressed_raw) == ("7895_hl_ogul1", "7895", "Sad")


@pytest.mark.evidence
def test_the_full_listing_gives_the_counts_of_the_card(evidence: Path) -> None:
    listed = pl.read_csv(evidence / "listings" / "turev-db.csv.gz", schema_overrides={"speaker": pl.String}).sort(
        "path"
    )
    card = corpus_card("turev-db")

    parsed = list(parse(CorpusTree(dict.fromkeys(listed["path"], ""))))

    assert len(parsed) == 1735
    assert [(one.audio_path, one.expressed_raw, one.speaker_id) for one in parsed] == listed.select(
        "path", "label", "speaker"
    ).rows()
    check_counts(card, describe(card, parsed).report)


@pytest.mark.evidence
def test_the_part_that_is_here_is_refused_with_all_that_is_missing(evidence: Path) -> None:
    with pytest.raises(CountMismatch) as caught:
        prepare(corpus_card("turev-db"), parse, evidence / "audio" / "turev-db")

    assert caught.value.differences == {
        "utterances": (1735, 308),
        "utterances labelled angry": (487, 84),
        "utterances labelled calm": (408, 70),
        "utterances labelled happy": (357, 70),
        "utterances labelled sad": (483, 84),
        "utterances of speaker 1157": (150, 28),
        "utterances of speaker 1234": (328, 56),
        "utterances of speaker 1358": (328, 56),
        "utterances of speaker 1984": (328, 56),
        "utterances of speaker 6783": (328, 56),
        "utterances of speaker 7895": (273, 56),
    }


@pytest.mark.evidence
def test_the_part_that_is_here_is_prepared_when_asked_for(evidence: Path) -> None:
    listed = pl.read_csv(evidence / "listings" / "turev-db.csv.gz")
    duration_s = dict(listed.select("path", "duration_s").iter_rows())

    prepared = prepare(corpus_card("turev-db"), parse, evidence / "audio" / "turev-db", partial=True)

    assert (prepared.report.n_utterances, prepared.report.n_speakers, prepared.report.complete) == (308, 6, False)
    assert (prepared.report.unusable, prepared.report.unread) == ({}, ())
    for one in prepared.utterances:
        assert one.duration_s == pytest.approx(duration_s[one.audio_path], abs=0.002)


@pytest.mark.evidence
@pytest.mark.parametrize(
    ("folder", "hint"),
    [
        ("urdu", "This looks like urdu."),
        ("", "Did you mean --root {}/turev-db?"),
        ("turev-db/Sound Source", "Did you mean --root {}/turev-db?"),
    ],
    ids=["another corpus", "one level too high", "one level too low"],
)
def test_the_wrong_folder_is_refused_with_the_right_one(evidence: Path, folder: str, hint: str) -> None:
    audio = evidence / "audio"

    with pytest.raises(WrongLayout) as caught:
        prepare(corpus_card("turev-db"), parse, audio / folder)

    assert caught.value.hint == hint.format(audio)
