import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.crema_d import ANSWERS, CODES, TABULATED, parse
from voxemo.corpora.prepare import check_counts, describe
from voxemo.corpora.tree import CorpusTree

# Every column of the provider's tables that the parser needs, and some that it does not.
TABULATED_HEADER = ("", *CODES, "fileName", "numResponses", "agreement", "emoVote", "meanEmoResp")
ANSWERS_HEADER = ("", "localid", "ans", "queryType", "clipNum", "clipName", "respEmo", "respLevel", "dispEmo")
ACTORS_TABLE = '"ActorID","Age","Sex","Race","Ethnicity"\n9001,34,"Female","Unspecified","Not Hispanic"\n'
CLIP = "9001_IEO_SAD_HI"
AUDIO = {f"AudioWAV/{CLIP}.wav": ""}


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue()


def vote_row(kind: int, number: int, clip: str, counts: Mapping[str, int], plurality: str) -> tuple[object, ...]:
    n = sum(counts.values())
    return (f"{kind}{number:05d}", *(counts[code] for code in CODES), clip, n, max(counts.values()) / n, plurality, 50)


def counts(**given: int) -> dict[str, int]:
    return dict.fromkeys(CODES, 0) | given


def answer_rows(answers: Iterable[tuple[int, str, str]]) -> list[tuple[object, ...]]:
    return [
        (str(i), "r1", f"{code}_50", kind, 1, clip, code, 50, "S") for i, (kind, clip, code) in enumerate(answers, 1)
    ]


def test_only_votes_on_the_voice_are_counted() -> None:
    rows = [
        vote_row(1, 7, CLIP, counts(S=4, N=1), "S"),
        vote_row(2, 7, CLIP, counts(A=9), "A"),
        vote_row(3, 7, CLIP, counts(F=9), "F"),
    ]
    answers = answer_rows([(1, CLIP, "S"), (1, CLIP, "S"), (1, CLIP, "N"), (2, CLIP, "A"), (3, CLIP, "F")])
    tree = CorpusTree(AUDIO | {TABULATED: table(TABULATED_HEADER, rows), ANSWERS: table(ANSWERS_HEADER, answers)})

    (one,) = parse(tree)

    assert one.votes_raw == {"filtered": counts(S=4, N=1), "all": {"S": 2, "N": 1}}
    assert (one.expressed_raw, one.perceived_raw) == ("SAD", "S")


def test_a_tie_of_the_listeners_gives_no_perceived_label() -> None:
    rows = [vote_row(1, 7, CLIP, counts(S=3, N=3), "N:S"), vote_row(2, 7, CLIP, counts(S=3), "S")]

    (one,) = parse(CorpusTree(AUDIO | {TABULATED: table(TABULATED_HEADER, rows)}))

    assert one.perceived_raw is None
    assert one.votes_raw["filtered"] == counts(S=3, N=3)


def test_recordings_alone_are_enough_and_the_report_says_what_is_missing() -> None:
    parsed = list(parse(CorpusTree(AUDIO)))

    (one,) = parsed
    assert (one.speaker_gender, one.speaker_age, one.perceived_raw, one.votes_raw) == (None, None, None, {})
    report = describe(corpus_card("crema-d"), parsed).report
    assert report.voted == {"all": 0, "filtered": 0}
    assert report.labelled == {"expressed": 1, "perceived": 0}


def test_actors_and_sentences_are_known() -> None:
    (one,) = parse(CorpusTree(AUDIO | {"VideoDemographics.csv": ACTORS_TABLE}))

    assert (one.speaker_id, one.speaker_gender, one.speaker_age) == ("9001", "female", 34)
    assert one.transcript == "It's eleven o'clock."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            ANSWERS,
            '"",localid,clipName\n1,r1,x\n',
            "expected columns 'queryType', 'respEmo' in 'finishedResponses.csv'",
        ),
        (ANSWERS, "version https://git-lfs.github.com/spec/v1\n", "found a Git LFS pointer. Run `git lfs pull`"),
        (
            ANSWERS,
            table(ANSWERS_HEADER, answer_rows([(1, "7", "S")])),
            f"clips such as '{CLIP}' in '{ANSWERS}', found '7'",
        ),
        (ANSWERS, table(ANSWERS_HEADER, answer_rows([(2, CLIP, "S")])), "found no row whose 'queryType' starts with 1"),
        (TABULATED, table(TABULATED_HEADER, [vote_row(2, 7, CLIP, counts(S=3), "S")]), "no row whose '' starts with 1"),
        (TABULATED, table(TABULATED_HEADER, [vote_row(1, 7, CLIP, counts(S=1), "S")]).replace(",1,", ",one,"), "'one'"),
        (
            "VideoDemographics.csv",
            ACTORS_TABLE.replace("34", "NA"),
            "whole numbers in 'VideoDemographics.csv', found 'NA'",
        ),
    ],
    ids=["columns", "lfs pointer", "other clip names", "no voice answers", "no voice votes", "no number", "no age"],
)
def test_a_table_in_another_form_is_refused(name: str, content: str, message: str) -> None:
    with pytest.raises(WrongLayout) as caught:
        list(parse(CorpusTree(AUDIO | {name: content})))

    assert message in str(caught.value)


# --- the real names and votes ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listed(evidence: Path) -> pl.DataFrame:
    return pl.read_csv(evidence / "listings" / "crema-d.csv.gz", schema_overrides={"speaker": pl.String}).sort("path")


@pytest.fixture(scope="module")
def real_votes(evidence: Path) -> pl.DataFrame:
    return pl.read_csv(evidence / "votes" / "crema-d.csv.gz")


@pytest.mark.evidence
def test_the_full_listing_gives_the_counts_of_the_card(listed: pl.DataFrame) -> None:
    card = corpus_card("crema-d")

    parsed = list(parse(CorpusTree(dict.fromkeys(listed["path"], ""))))

    assert len(parsed) == 7442
    assert [(one.audio_path, one.expressed_raw, one.speaker_id) for one in parsed] == listed.select(
        "path", "label", "speaker"
    ).rows()
    assert all(one.transcript for one in parsed)
    check_counts(card, describe(card, parsed).report)


@pytest.mark.evidence
def test_real_votes_in_the_providers_form_are_read_back(listed: pl.DataFrame, real_votes: pl.DataFrame) -> None:
    kinds = {"voice": 1, "face": 2, "audiovisual": 3}
    voice = {row["utterance"]: row for row in real_votes.filter(pl.col("modality") == "voice").iter_rows(named=True)}
    numbers = {clip: number for number, clip in enumerate(voice, 1)}
    rows = [
        vote_row(
            kinds[row["modality"]],
            numbers[row["utterance"]],
            row["utterance"],
            {c: row[c] for c in CODES},
            row["emo_vote"],
        )
        for row in real_votes.iter_rows(named=True)
    ]

    tree = CorpusTree(dict.fromkeys(listed["path"], "") | {TABULATED: table(TABULATED_HEADER, rows)})
    prepared = describe(corpus_card("crema-d"), list(parse(tree)))

    assert prepared.report.voted == {"all": 0, "filtered": 7442}
    assert prepared.report.labelled == {"expressed": 7442, "perceived": 7442 - 644}
    found = {(vote.utterance_id, vote.raw_label): vote.n for vote in prepared.votes}
    assert found == {(f"crema-d/{clip}", c): row[c] for clip, row in voice.items() for c in CODES if row[c]}
    totals = {clip: sum(row[c] for c in CODES) for clip, row in voice.items()}
    assert (min(totals.values()), max(totals.values())) == (4, 12)


@pytest.mark.evidence
def test_every_answer_counts_by_the_rule_all(evidence: Path, listed: pl.DataFrame) -> None:
    shares = pl.read_csv(evidence / "votes" / "crema-d.emosuperb-voice.csv.gz")
    names = {"A": "angry", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}
    answers = [
        (kind, row["utterance"], code)
        for row in shares.iter_rows(named=True)
        for code, name in names.items()
        for kind, n in ((1, round(row[name] * row["min_votes"])), (2, code == "N"), (3, code == "A"))
        for _ in range(n)
    ]

    tree = CorpusTree(dict.fromkeys(listed["path"], "") | {ANSWERS: table(ANSWERS_HEADER, answer_rows(answers))})
    parsed = {one.stem: one.votes_raw["all"] for one in parse(tree)}

    assert len(parsed) == 7442
    for row in shares.iter_rows(named=True):
        votes = parsed[row["utterance"]]
        for code, name in names.items():
            assert votes.get(code, 0) / sum(votes.values()) == pytest.approx(row[name], abs=1e-4)
