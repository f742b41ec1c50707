"""Audformat databases that the library itself writes, read as corpora."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import audformat
import pandas as pd
import pytest

from voxemo.catalog.lookup import label_table
from voxemo.core.errors import (
    CorpusError,
    CorpusNotFound,
    DuplicateName,
    ManifestError,
    MissingDependency,
    UnknownName,
    UnmappedLabel,
    WrongLayout,
)
from voxemo.corpora.audformat_database import AudformatCorpus, read_audformat
from voxemo.steps.prepare import PrepareResult, prepare_audformat, prepare_corpus
from voxemo.steps.split import split_corpus
from voxemo.store.layout import Workspace
from voxemo.store.workspace import read_prepared

# audformat, which the tests write databases with, calls pandas in ways that pandas is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:.*(PDEP|deprecated):DeprecationWarning")

FILES = [f"wav/{speaker}_{label}.wav" for speaker in ("s1", "s2") for label in ("anger", "joy", "dull")]
CODES = ["anger", "happiness", "boredom"] * 2


def database(**header: Any) -> audformat.Database:
    given = {
        "source": "https://example.org/acted",
        "usage": audformat.define.Usage.RESEARCH,
        "languages": ["deu"],
        "license": audformat.define.License.CC0_1_0,
        "author": "A. Author",
    }
    return audformat.Database("Acted Speech", **{**given, **header})


def add_labels(
    db: audformat.Database,
    table_id: str = "emotion",
    *,
    index: Any = None,
    values: list[Any] | None = None,
    column: str = "emotion",
    labels: Any = ("anger", "happiness", "boredom"),
    scheme: str = "emotion",
    rater: str | None = None,
    split: str | None = None,
) -> None:
    if scheme not in db.schemes:
        db.schemes[scheme] = audformat.Scheme(labels=list(labels) if isinstance(labels, tuple) else labels)
    if table_id not in db:
        db[table_id] = audformat.Table(audformat.filewise_index(FILES) if index is None else index, split_id=split)
    if rater is not None and rater not in db.raters:
        db.raters[rater] = audformat.Rater()
    db[table_id][column] = audformat.Column(scheme_id=scheme, rater_id=rater)
    db[table_id][column].set(CODES if values is None else values)


@pytest.fixture
def save(tmp_path: Path, record: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a database with its audio, two seconds a file."""

    def write(db: audformat.Database, **storage: Any) -> Path:
        for seed, name in enumerate(db.files):
            record(f"db/{name}", seconds=2, seed=seed, rate=8000)
        db.save(str(tmp_path / "db"), **storage)
        return tmp_path / "db"

    return write


def read(folder: Path, **given: Any) -> AudformatCorpus:
    return read_audformat(folder, words=label_table(), **{"label_source": "expressed", **given})


def prepared(folder: Path, **given: Any) -> tuple[Workspace, PrepareResult]:
    workspace = Workspace(folder.parent / "workspace")
    return workspace, prepare_audformat(workspace, folder, **{"label_source": "expressed", **given})


# --- what is read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage_format", ["csv", "parquet"])
def test_a_filewise_table_becomes_whole_files_with_their_codes(save: Callable[..., Path], storage_format: str) -> None:
    db = database()
    add_labels(db)

    corpus = read(save(db, storage_format=storage_format))

    assert [(one.audio_path, one.expressed_raw) for one in corpus.utterances] == list(zip(FILES, CODES, strict=True))
    assert corpus.utterances[0].stem == "wav/s1_anger"
    assert {(one.start_s, one.end_s, one.provider_partition) for one in corpus.utterances} == {(None, None, None)}


def test_a_segmented_table_keeps_its_times_and_an_open_end_is_the_end_of_the_file(save: Callable[..., Path]) -> None:
    db = database()
    index = audformat.segmented_index(
        ["wav/a.wav"] * 3, ["0s", "0.5s", "1.25s"], [pd.Timedelta("0.5s"), pd.Timedelta("1.25s"), pd.NaT]
    )
    add_labels(db, index=index, values=["anger", "boredom", "anger"])

    utterances = read(save(db)).utterances

    assert [(one.stem, one.start_s, one.end_s) for one in utterances] == [
        ("wav/a_0-0.5", None, 0.5),
        ("wav/a_0.5-1.25", 0.5, 1.25),
        ("wav/a_1.25-end", 1.25, None),
    ]


def test_files_that_differ_in_their_ending_alone_are_told_apart(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db, index=audformat.filewise_index(["wav/a.wav", "wav/a.flac"]), values=["anger", "boredom"])

    assert [one.stem for one in read(save(db)).utterances] == ["wav/a.wav", "wav/a.flac"]


@pytest.mark.parametrize("dtype", ["int", "float"])
def test_ages_may_be_a_column_of_any_kind_of_number(save: Callable[..., Path], dtype: str) -> None:
    db = database()
    add_labels(db)
    db.schemes["age"] = audformat.Scheme(dtype)
    db["emotion"]["age"] = audformat.Column(scheme_id="age")
    db["emotion"]["age"].set([31, None, 500, 31, 31, 31])

    assert [one.speaker_age for one in read(save(db)).utterances] == [31, None, None, 31, 31, 31]


def test_codes_with_blanks_around_them_are_read_without(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db, labels=("anger ", " boredom"), values=["anger ", " boredom"] * 3)

    workspace, result = prepared(save(db))

    assert result.report["per_label"] == {"angry": 3, "bored": 3}
    again = prepare_corpus(workspace, "acted-speech", workspace.root.parent / "db")
    assert again.report["per_label"] == {"angry": 3, "bored": 3}


def test_the_names_in_a_scheme_say_what_its_codes_mean(save: Callable[..., Path]) -> None:
    db = database()
    labels = {"W": "anger", "F": {"german": "Freude"}, "L": {"english": "boredom"}}
    add_labels(db, labels=labels, values=["W", "F", "L"] * 2)

    _, result = prepared(save(db))

    assert dict(result.card.labels.raw) == {"F": "happy", "L": "bored", "W": "angry"}


def test_speakers_come_from_another_table_and_what_is_said_of_them_from_their_scheme(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db)
    db.schemes["speaker"] = audformat.Scheme(
        labels={
            "s1": {"gender": "female", "age": 31, "language": "deu"},
            "s2": {"gender": "male", "age": 40, "language": "tur"},
        }
    )
    db.schemes["transcription"] = audformat.Scheme(labels={"a01": "Der Lappen liegt auf dem Eisschrank."})
    db["files"] = audformat.Table(audformat.filewise_index(FILES))
    db["files"]["speaker"] = audformat.Column(scheme_id="speaker")
    db["files"]["speaker"].set([Path(name).stem[:2] for name in FILES])
    db["files"]["transcription"] = audformat.Column(scheme_id="transcription")
    db["files"]["transcription"].set(["a01"] * 6)

    first, *_, last = read(save(db)).utterances

    assert (first.speaker_id, first.speaker_gender, first.speaker_age, first.language) == ("s1", "female", 31, "de")
    assert (last.speaker_id, last.speaker_gender, last.speaker_age, last.language) == ("s2", "male", 40, "tr")
    assert first.transcript == "Der Lappen liegt auf dem Eisschrank."


def test_what_is_said_of_speakers_may_stand_in_a_table_of_its_own(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db)
    db["speakers"] = audformat.MiscTable(pd.Index(["s1", "s2"], name="speaker", dtype="string"))
    db["speakers"]["gender"] = audformat.Column()
    db["speakers"]["gender"].set(["female", None])
    db.schemes["speaker"] = audformat.Scheme("str", labels="speakers")
    db["emotion"]["speaker"] = audformat.Column(scheme_id="speaker")
    db["emotion"]["speaker"].set([Path(name).stem[:2] for name in FILES])

    utterances = read(save(db)).utterances

    assert [one.speaker_gender for one in utterances] == ["female"] * 3 + [None] * 3


def test_tables_of_a_gold_standard_are_preferred_and_their_splits_are_the_partitions(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db)
    for split, kind, part in (
        ("train", "train", slice(0, 3)),
        ("dev", "dev", slice(3, 4)),
        ("test", "test", slice(4, 6)),
    ):
        db.splits[split] = audformat.Split(kind)
        index = audformat.filewise_index(FILES[part])
        add_labels(db, f"emotion.categories.{split}.gold_standard", index=index, values=CODES[part], split=split)

    corpus = read(save(db))

    parts = {one.audio_path: one.provider_partition for one in corpus.utterances}
    assert [parts[name] for name in FILES] == ["train"] * 3 + ["valid"] + ["test"] * 2
    assert all("gold_standard" in name for name in corpus.columns)


def test_a_column_of_splits_gives_the_partitions(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db)
    db.schemes["split"] = audformat.Scheme(labels=["train", "dev", "test"])
    db["files"] = audformat.Table(audformat.filewise_index(FILES[:5]))
    db["files"]["split"] = audformat.Column(scheme_id="split")
    db["files"]["split"].set(["train", "train", "dev", "test", "test"])

    workspace, result = prepared(save(db))

    utterances = read_prepared(workspace, result.card).utterances
    assert sorted(str(one.provider_partition) for one in utterances) == sorted(
        ["train", "train", "valid", "test", "test", "unassigned"]
    )
    assert result.card.split.policy == "provider"


def test_raters_of_one_question_are_votes_and_their_plurality_is_what_was_perceived(save: Callable[..., Path]) -> None:
    db = database()
    answers = {
        "r1": ["anger", "happiness", "boredom", "anger", "happiness", None],
        "r2": ["anger", "boredom", "boredom", "anger", "happiness", None],
        "r3": ["anger", None, "anger", "anger", "boredom", None],
    }
    for rater, values in answers.items():
        add_labels(db, values=values, column=f"emotion.{rater}", rater=rater)

    workspace, result = prepared(save(db), label_source=None)

    utterances = {one.utterance_id.partition("/")[2]: one for one in read_prepared(workspace, result.card).utterances}
    assert [utterances[str(Path(name).with_suffix(""))].perceived for name in FILES] == [
        "angry",
        None,
        "bored",
        "angry",
        "happy",
        None,
    ]
    assert result.card.perception is not None
    assert "plurality" in result.card.perception.consensus
    assert result.report["voted"] == {"all": 5}


def test_votes_stand_beside_intended_labels(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db)
    for rater in ("r1", "r2"):
        add_labels(db, "answers", values=["boredom"] * 6, column=rater, rater=rater)

    workspace, result = prepared(save(db), table="emotion")

    assert result.card.label_sources == ("expressed", "perceived")
    utterance = read_prepared(workspace, result.card).utterances[0]
    assert (utterance.expressed, utterance.perceived) == ("angry", "bored")


# --- what is refused ---------------------------------------------------------------------------------------------


def test_a_database_without_emotions_lists_its_columns(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db, "files", scheme="room", column="room", labels=("small", "large", "hall"), values=["small"] * 6)

    with pytest.raises(WrongLayout, match=r"a column of emotions, found the columns 'files\.room'.*--table TABLE"):
        read(save(db))


def test_two_columns_that_may_be_meant_are_named(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db)
    add_labels(db, column="emotion.listeners", scheme="emotion.heard")
    folder = save(db)

    with pytest.raises(CorpusError, match=r"'emotion\.emotion', 'emotion\.emotion\.listeners'.*--column COLUMN"):
        read(folder)
    assert read(folder, column="emotion.listeners").columns == ("emotion.emotion.listeners",)


@pytest.mark.parametrize("given", [{"table": "emotions"}, {"column": "emotions"}], ids=lambda given: next(iter(given)))
def test_a_table_or_column_that_is_not_there_gets_the_nearest_name(
    save: Callable[..., Path], given: dict[str, str]
) -> None:
    db = database()
    add_labels(db)

    with pytest.raises(UnknownName, match="Did you mean 'emotion'"):
        read(save(db), **given)


def test_whose_labels_they_are_must_be_said(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db)

    with pytest.raises(CorpusError, match=r"--label-source expressed.*--label-source perceived"):
        read(save(db), label_source=None)


def test_a_column_that_a_vote_made_is_perceived(save: Callable[..., Path]) -> None:
    db = database()
    db.raters["majority"] = audformat.Rater("vote")
    add_labels(db, rater="majority")

    utterances = read(save(db), label_source=None).utterances

    assert [one.perceived_raw for one in utterances] == CODES


def test_a_file_in_two_partitions_is_refused(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db)
    for split in ("train", "test"):
        add_labels(db, split, scheme="take", column="take", labels=("one", "two"), values=["one"] * 6)

    with pytest.raises(WrongLayout, match=r"each file in one partition, found 'wav/s1_anger\.wav' in two"):
        read(save(db))


def test_a_segment_without_length_is_refused_as_in_any_table(save: Callable[..., Path]) -> None:
    db = database()
    index = audformat.segmented_index(["wav/a.wav"] * 2, ["0s", "1s"], ["1s", "1s"])
    add_labels(db, index=index, values=["anger", "boredom"])

    with pytest.raises(ManifestError, match=r"db\.yaml, column 'end_s': expected an end after the start \(1 s\)"):
        read(save(db))


def test_a_database_whose_labels_are_all_missing_is_refused(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db, values=[None] * 6)

    with pytest.raises(WrongLayout, match=r"expected labels in 'emotion\.emotion', found none in any row"):
        read(save(db))


def test_an_intended_label_that_is_missing_leaves_the_utterance_out(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db, values=[*CODES[:5], None])

    _, result = prepared(save(db))

    assert result.report["excluded"] == {"the database gives no label": 1}


def test_codes_that_nobody_knows_are_refused_with_the_options_that_say_what_they_mean(
    save: Callable[..., Path],
) -> None:
    db = database()
    add_labels(db, labels=("W", "F", "L"), values=["W", "F", "L"] * 2)
    folder = save(db)

    with pytest.raises(UnmappedLabel, match=r"'F'.*'L', 'W'.*--map F=angry.*--drop F="):
        prepared(folder)

    _, result = prepared(folder, mapped={"W": "anger", "F": "happy"}, dropped={"L": "too few"})
    assert dict(result.card.labels.raw) == {"F": "happy", "W": "angry"}
    assert result.report["per_label"] == {"angry": 2, "happy": 2}
    assert result.report["excluded"] == {"label dropped: too few": 2}


def test_the_name_of_a_built_in_corpus_is_refused(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db)
    folder = save(db)

    with pytest.raises(DuplicateName, match="'urdu' has two origins: voxemo itself and the audformat database"):
        prepared(folder, name="urdu")


def test_a_folder_without_a_header_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database", encoding="utf-8")

    with pytest.raises(WrongLayout, match=r"the file 'db\.yaml', found 'notes\.txt'"):
        read(tmp_path)
    with pytest.raises(CorpusNotFound, match="--audformat"):
        read(tmp_path / "nowhere")


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "audformat", None)

    with pytest.raises(MissingDependency, match="extra 'audformat'"):
        read(tmp_path)


def test_missing_audio_is_an_error_unless_a_part_will_do(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db)
    folder = save(db)
    (folder / FILES[0]).unlink()

    with pytest.raises(ManifestError, match=r"found 'wav/s1_anger\.wav'\. 1 of 6 files are missing; --partial"):
        prepared(folder)
    assert prepared(folder, partial=True)[1].report["differences"]["utterances"] == (6, 5)


# --- what could run code -----------------------------------------------------------------------------------------


def test_a_header_that_would_run_code_is_refused(tmp_path: Path) -> None:
    bait = tmp_path / "bait"
    (tmp_path / "db.yaml").write_text(
        f"name: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.PosixPath ['{bait}']]\n",
        encoding="utf-8",
    )

    with pytest.raises(WrongLayout, match="a header in plain YAML"):
        read(tmp_path)
    assert not bait.exists()


def test_a_pickled_table_is_never_opened(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db)
    folder = save(db, storage_format="csv")
    (folder / "db.emotion.pkl").write_bytes(b"not even a pickle, and newer than the table")

    assert len(read(folder).utterances) == 6
    assert (folder / "db.emotion.pkl").read_bytes().startswith(b"not even")

    (folder / "db.emotion.csv").unlink()
    with pytest.raises(WrongLayout, match=r"only 'db\.emotion\.pkl', which could run code.*storage_format='csv'"):
        read(folder)


# --- the corpus that comes of it ---------------------------------------------------------------------------------


def test_the_card_says_what_the_header_says(save: Callable[..., Path]) -> None:
    db = database(description="Six short sentences.")
    db.media["microphone"] = audformat.Media("audio", sampling_rate=8000, channels=1)
    add_labels(db)

    card = prepared(save(db))[1].card

    assert (card.corpus_id, card.name, card.languages) == ("acted-speech", "Acted Speech", ("de",))
    assert card.access.license == "CC0-1.0"
    assert "A. Author" in card.citation
    assert "Six short sentences." in card.citation
    assert (card.expected.sample_rates_hz, card.expected.n_channels) == ((8000,), (1,))
    assert "year" in card.known_issues[0].text


def test_the_corpus_is_found_by_its_name_and_its_card_may_be_edited(save: Callable[..., Path]) -> None:
    db = database()
    add_labels(db)
    folder = save(db)
    workspace, first = prepared(folder)

    assert split_corpus(workspace, "acted-speech").split.policy == "stratified_random"

    path = workspace.corpus_card("acted-speech")
    path.write_text(path.read_text(encoding="utf-8").replace("A. Author", "B. Editor"), encoding="utf-8")
    for way in ("acted-speech", str(path)):
        again = prepare_corpus(workspace, way, folder)
        assert "B. Editor" in again.card.citation
        assert again.report["utterances_sha256"] == first.report["utterances_sha256"]
