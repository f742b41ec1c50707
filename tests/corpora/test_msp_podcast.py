import json
from typing import Any

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.parsers.msp_podcast import parse
from voxemo.corpora.prepare import check_layout, describe
from voxemo.corpora.tree import CorpusTree

NAMES = ("MSP-PODCAST_9801_0001.wav", "MSP-PODCAST_9801_0002_0001.wav", "MSP-PODCAST_9802_0001_0001.wav")
COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
ROWS = (
    (NAMES[0], "H", 4.0, 3.0, 4.0, 9001, "Male", "Train"),
    (NAMES[1], "X", 4.0, 3.0, 4.0, "Unknown", "Unknown", "Development"),
    (NAMES[2], "S", 4.0, 3.0, 4.0, 9002, "Female", "Test2"),
)
RATINGS = {
    NAMES[0]: {"WORKER00000001": "Happy", "WORKER00000002": "Happy", "WORKER00000003": "Other-Amused; a bit"},
    NAMES[1]: {"WORKER00000001": "Sad", "WORKER00000002": "Angry"},
}
VOTES = {NAMES[0]: {"Happy": 2, "Other": 1}, NAMES[1]: {"Angry": 1, "Sad": 1}}


def table(*rows: tuple[Any, ...]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


CONSENSUS_CSV = table(COLUMNS, *ROWS)
CONSENSUS_JSON = json.dumps({row[0]: dict(zip(COLUMNS[1:], row[1:], strict=True)) for row in ROWS})
FLAT = [(name, worker, word) for name, given in RATINGS.items() for worker, word in given.items()]
DETAILED = {
    "recent columns": (
        "labels_detailed.csv",
        # In another order than the documents name them, since the real order was not seen.
        table(
            ("EmoAct", "EmoClass_Second", "EmoClass_Major", "FileName", "Workers"),
            *((4.0, "Sad", word, name, worker) for name, worker, word in FLAT),
        ),
    ),
    "old column": (
        "labels_detailed.csv",
        table(
            ("FileName", "EmoDetail"),
            *(
                (name, f'"{worker}; {word.partition(";")[0]}; Sad,Concerned; A:2.000000; V:4.000000; D:4.000000;"')
                for name, worker, word in FLAT
            ),
        ),
    ),
    "json": (
        "labels_detailed.json",
        json.dumps(
            {
                name: {worker: {"EmoClass_Major": word, "EmoClass_Second": "Sad"} for worker, word in given.items()}
                for name, given in RATINGS.items()
            }
        ),
    ),
}


def corpus(files: dict[str, str], *, audio: str = "Audios", names: tuple[str, ...] = NAMES) -> CorpusTree:
    return CorpusTree({f"{audio}/{name}": "" for name in names} | files)


def facts(parsed: list[ParsedUtterance]) -> list[tuple[str | None, ...]]:
    return [(one.perceived_raw, one.speaker_id, one.speaker_gender, one.provider_partition) for one in parsed]


FACTS = [("H", "9001", "male", "train"), ("X", None, None, "valid"), ("S", "9002", "female", "test2")]


@pytest.mark.parametrize("audio", ["Audios", "Audio"])
@pytest.mark.parametrize("folder", ["Labels", "label"])
@pytest.mark.parametrize("name", ["labels_consensus", "labels_concensus"])
@pytest.mark.parametrize(("ending", "content"), [("csv", CONSENSUS_CSV), ("json", CONSENSUS_JSON)], ids=["csv", "json"])
def test_the_spellings_of_all_releases_are_read_alike(
    audio: str, folder: str, name: str, ending: str, content: str
) -> None:
    tree = corpus({f"{folder}/{name}.{ending}": content}, audio=audio)

    check_layout(corpus_card("msp-podcast"), tree)
    parsed = list(parse(tree))

    assert [one.audio_path for one in parsed] == [f"{audio}/{name}" for name in NAMES]
    assert facts(parsed) == FACTS


@pytest.mark.parametrize("form", DETAILED)
def test_primary_emotions_are_counted_in_every_form_of_the_detailed_table(form: str) -> None:
    name, content = DETAILED[form]

    parsed = list(parse(corpus({"Labels/labels_consensus.csv": CONSENSUS_CSV, f"Labels/{name}": content})))

    assert [dict(one.votes_raw) for one in parsed] == [{"all": VOTES[NAMES[0]]}, {"all": VOTES[NAMES[1]]}, {}]


def test_labels_alone_are_enough_and_ratings_of_other_recordings_are_passed_over() -> None:
    name, content = DETAILED["recent columns"]
    files = {"Labels/labels_consensus.csv": table(COLUMNS, ROWS[0])}

    (without,) = parse(corpus(files))
    (with_votes,) = parse(corpus(files | {f"Labels/{name}": content}))

    assert without.votes_raw == {}
    assert with_votes.votes_raw == {"all": VOTES[NAMES[0]]}


def test_recordings_without_agreement_and_of_other_emotions_are_left_out_by_the_card() -> None:
    rows = (*ROWS[:2], (NAMES[2], "O", 4.0, 3.0, 4.0, 9002, "Female", "Test2"))
    parsed = list(parse(corpus({"Labels/labels_consensus.csv": table(COLUMNS, *rows)})))

    report = describe(corpus_card("msp-podcast"), parsed).report

    assert report.n_utterances == 1
    assert sorted(report.excluded) == [
        "label dropped: no agreement between the raters",
        "label dropped: other: none of the eight classes",
    ]


@pytest.mark.parametrize(
    "row",
    [(), (("MSP-PODCAST_test3_0001.wav", "", "", "", "", "", "", "Test3"),)],
    ids=["not in the table", "in the table"],
)
def test_test3_is_left_out_with_a_reason_whether_or_not_the_table_names_it(row: tuple[tuple[Any, ...], ...]) -> None:
    files = {"Labels/labels_consensus.csv": table(COLUMNS, *ROWS, *row)}

    *_, one = parse(corpus(files, names=(*NAMES, "MSP-PODCAST_test3_0001.wav")))

    assert (one.stem, one.excluded_reason) == ("MSP-PODCAST_test3_0001", "Test3, whose labels are hidden")
    assert (one.perceived_raw, one.speaker_id, one.provider_partition) == (None, None, None)


def test_a_row_without_audio_is_yielded_with_the_path_where_it_should_be() -> None:
    tree = corpus({"Labels/labels_consensus.csv": CONSENSUS_CSV}, names=NAMES[:1])

    assert [one.audio_path for one in parse(tree)] == [f"Audios/{name}" for name in NAMES]


def consensus(*rows: tuple[Any, ...]) -> dict[str, str]:
    return {"Labels/labels_consensus.csv": table(COLUMNS, *rows)}


def detailed(content: str) -> dict[str, str]:
    return consensus(*ROWS) | {"Labels/labels_detailed.csv": content}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected the table 'Labels/labels_consensus.csv' or 'labels_consensus.json', found 'Audios/'"),
        (
            {"Labels/labels_consensus.csv": ""},
            "expected a table in 'Labels/labels_consensus.csv', found what cannot be read as one (empty CSV)",
        ),
        (
            consensus((*ROWS[0], "more")),
            "expected a table in 'Labels/labels_consensus.csv', found what cannot be read as one (found more",
        ),
        (consensus(), "labels of the recordings in 'Audios' in the consensus table, found no row"),
        (consensus(("MSP-PODCAST_0_1.wav", *ROWS[0][1:])), "found 'MSP-PODCAST_0_1.wav'"),
        (consensus(("MSP-PODCAST_0000_9999.wav", *ROWS[0][1:])), "found labels of 'MSP-PODCAST_0000_9999.wav'"),
        (consensus((*ROWS[0][:-1], "Dev")), "'Test1', 'Test2', 'Test3', found 'Dev'"),
        ({"Labels/labels_consensus.json": "[]"}, "expected an object as 'Labels/labels_consensus.json', found []"),
        (
            {"Labels/labels_consensus.json": json.dumps({NAMES[0]: {"EmoClass": "H"}})},
            f"the key 'SpkrID' in '{NAMES[0]}' in 'Labels/labels_consensus.json', found the keys 'EmoClass'",
        ),
        (
            detailed("FileName,Worker,Emotion\n"),
            "expected the columns 'FileName', 'EmoClass_Major' or 'FileName', 'EmoDetail' in "
            "'Labels/labels_detailed.csv', found 'FileName', 'Worker', 'Emotion'",
        ),
        (detailed("FileName,EmoClass_Major\nx.wav,Sad\n"), "in 'Labels/labels_detailed.csv', found none of them"),
        (detailed(f"FileName,EmoDetail\n{NAMES[0]},Sad\n"), "in 'Labels/labels_detailed.csv', found ratings without"),
        (
            consensus(*ROWS) | {"Labels/labels_detailed.json": json.dumps({NAMES[0]: {"WORKER00000001": "Sad"}})},
            f"expected an object as the ratings of '{NAMES[0]}' in 'Labels/labels_detailed.json', found 'Sad'",
        ),
    ],
    ids=[
        "no table",
        "empty table",
        "more fields than columns",
        "no row",
        "other names",
        "other recordings",
        "other partitions",
        "no object",
        "other keys",
        "other rating columns",
        "ratings of others",
        "no emotion",
        "no rating",
    ],
)
def test_tables_in_another_form_are_refused_with_what_was_found(files: dict[str, str], message: str) -> None:
    with pytest.raises(WrongLayout) as caught:
        list(parse(corpus(files)))

    assert message in str(caught.value)
