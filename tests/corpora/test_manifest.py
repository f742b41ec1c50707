"""A user's own table of utterances: the same content in any form, and every slip named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.core.errors import ManifestError, WrongLayout
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.manifest import (
    COLUMN_WORDS,
    COLUMNS,
    ENDINGS,
    list_audio,
    manifest_bytes,
    manifest_parser,
    read_manifest,
)
from voxemo.corpora.tree import CorpusTree

words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
codes = st.sampled_from(["A", "H.x", "0", "angry"])
seconds = st.floats(0, 1e6, allow_nan=False)


@st.composite
def utterances(draw: st.DrawFn) -> list[ParsedUtterance]:
    stems = draw(st.lists(words.filter(lambda word: word not in "."), min_size=1, max_size=4, unique=True))
    partitioned = draw(st.booleans())
    rows = []
    for number, stem in enumerate(stems):
        start_s = draw(st.none() | seconds)
        rows.append(
            ParsedUtterance(
                stem=stem,
                audio_path=f"clips/{number} {draw(st.sampled_from(['a', 'é', '語']))}.wav",
                expressed_raw=draw(words),
                perceived_raw=draw(st.none() | words),
                votes_raw=draw(
                    st.dictionaries(
                        st.sampled_from(["all", "fast-1"]),
                        st.dictionaries(codes, st.integers(1, 9).map(float) | st.floats(1e-3, 1.0), min_size=1),
                    )
                ),
                speaker_id=draw(st.none() | words),
                speaker_gender=draw(st.sampled_from([None, "female", "male"])),
                speaker_age=draw(st.none() | st.integers(0, 120)),
                language=draw(st.sampled_from([None, "en", "zh-TW"])),
                transcript=draw(
                    st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
                ),
                session_id=draw(st.none() | words),
                start_s=start_s,
                end_s=None if draw(st.booleans()) else (start_s or 0.0) + draw(st.floats(0.1, 99)),
                provider_partition=draw(st.sampled_from(["train", "test", "fold:a:valid"])) if partitioned else None,
            )
        )
    return rows


@pytest.mark.parametrize("ending", ENDINGS)
@given(rows=utterances())
def test_what_is_written_is_read_back_the_same_from_every_form(
    tmp_path_factory: pytest.TempPathFactory, ending: str, rows: list[ParsedUtterance]
) -> None:
    path = tmp_path_factory.mktemp("law") / f"table{ending}"
    path.write_bytes(manifest_bytes(rows, ending))

    assert read_manifest(path).utterances == tuple(rows)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes rows as a table of the given form."""

    def made(rows: list[dict[str, Any]], ending: str = ".csv") -> Path:
        path = tmp_path / f"own{ending}"
        if ending == ".jsonl":
            path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
        elif ending == ".parquet":
            pl.DataFrame(rows).write_parquet(path)
        else:
            pl.DataFrame(rows).write_csv(path)
        return path

    return made


ROW = {"audio_path": "a/1.wav", "expressed": "A"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_ids_that_are_numbers_are_text_and_whole_ages_may_be_written_as_fractions(write: Write, ending: str) -> None:
    one = read_manifest(write([{**ROW, "speaker_id": 7, "speaker_age": 30.0}], ending)).utterances[0]

    assert (one.stem, one.speaker_id, one.speaker_age) == ("a/1", "7", 30)


@pytest.mark.parametrize("ending", ENDINGS)
def test_votes_are_counted_per_rule_and_code_and_none_is_zero(write: Write, ending: str) -> None:
    rows = [
        {**ROW, "votes.all.A": 2, "votes.all.H": 0, "votes.fast.A": None},
        {**ROW, "audio_path": "a/2.wav", "votes.all.A": None, "votes.all.H": None, "votes.fast.A": 1},
    ]

    first, second = read_manifest(write(rows, ending)).utterances

    assert first.votes_raw == {"all": {"A": 2}}
    assert second.votes_raw == {"fast": {"A": 1}}


def test_columns_of_the_users_own_are_listed_and_not_read(write: Write) -> None:
    manifest = read_manifest(write([{**ROW, "x_microphone": "left"}]))

    assert manifest.ignored == ("x_microphone",)
    assert manifest.utterances[0].audio_path == "a/1.wav"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("audio_path", "/a/1.wav", "a path relative to the corpus folder"),
        ("audio_path", "../1.wav", "a path relative to the corpus folder"),
        ("audio_path", "a\\1.wav", "with forward slashes"),
        ("audio_path", "C:/1.wav", "a path relative to the corpus folder"),
        ("audio_path", None, "a path, found nothing"),
        ("expressed", " A", "text without blanks around it"),
        ("expressed", None, "a label, found nothing"),
        ("stem", "a\nb", "text in one line"),
        ("stem", "other", r"a name of its own for every utterance, found 'other', as in (line|row)"),
        ("speaker_gender", "F", r"'female', 'male' or nothing, found 'F'\. Write 'female'"),
        ("speaker_gender", "x", "'female', 'male' or nothing, found 'x'.$"),
        ("speaker_age", "old", "a whole number from 0 to 120, found 'old'"),
        ("speaker_age", "-1", "a whole number from 0 to 120"),
        ("speaker_age", "30.5", "a whole number from 0 to 120"),
        ("language", "English", "a BCP-47 language"),
        ("start_s", "0:30", "a number from 0 up, found '0:30'"),
        ("start_s", "0,5", "a number from 0 up, found '0,5'"),
        ("start_s", "nan", "a number from 0 up"),
        ("end_s", "0", r"an end after the start \(0 s\)"),
        ("votes.all.A", "-1", "a number from 0 up"),
        ("provider_partition", "dev", r"'train', 'valid', 'test'.*found 'dev'\. Write 'valid'"),
        ("provider_partition", None, "a partition, as other rows have one"),
    ],
)
def test_a_bad_value_names_file_line_column_and_what_was_expected(
    write: Write, ending: str, column: str, value: str | None, expected: str
) -> None:
    good = {**ROW, "stem": "other"}
    good.setdefault(column, "train" if column == "provider_partition" else "")
    bad = {**good, "audio_path": "a/2.wav", "stem": "second", column: value}

    with pytest.raises(ManifestError) as caught:
        read_manifest(write([good, bad], ending))

    assert caught.value.line == {".csv": 3, ".jsonl": 2, ".parquet": 2}[ending]
    assert caught.value.column == column
    assert str(caught.value).startswith(f"own{ending}, {'row' if ending == '.parquet' else 'line'}")
    with pytest.raises(ManifestError, match=expected):
        raise caught.value


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
def test_a_table_from_a_spreadsheet_is_read_with_its_lines(tmp_path: Path, end: str) -> None:
    lines = ["audio_path,expressed,transcript", 'a.wav,A,"two', 'lines"', "", "b.wav,A,one"]
    (tmp_path / "own.csv").write_bytes(b"\xef\xbb\xbf" + end.join(lines).encode())

    manifest = read_manifest(tmp_path / "own.csv")

    assert manifest.lines == (2, 5)
    assert [one.transcript for one in manifest.utterances] == [f"two{end}lines", "one"]


@pytest.mark.parametrize("value", [True, [1], {"a": 1}, 1e400], ids=str)
def test_json_values_that_no_cell_can_hold_are_refused(write: Write, value: Any) -> None:
    with pytest.raises(ManifestError, match="column 'start_s': expected a number from 0 up"):
        read_manifest(write([{**ROW, "start_s": value}], ".jsonl"))


def test_several_bad_rows_are_counted(write: Write) -> None:
    rows = [{**ROW, "audio_path": f"{n}.wav", "speaker_age": "x" if n > 1 else "3"} for n in range(5)]

    with pytest.raises(ManifestError, match=r"line 4.*3 rows cannot be read; this is the first"):
        read_manifest(write(rows))


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        ("speakerid", "Did you mean 'speaker_id'"),
        ("Expressed ", "Did you mean 'expressed'"),
        ("votes", r"Did you mean 'votes\.<rule>\.<code>'"),
        ("Path", "Did you mean 'audio_path'"),
        ("file", "Did you mean 'audio_path'"),
        ("age", "Did you mean 'speaker_age'"),
        ("gender", "Did you mean 'speaker_gender'"),
        ("speaker", "Did you mean 'speaker_id'"),
        ("split", "Did you mean 'provider_partition'"),
        ("emotion", "Did you mean 'expressed' or 'perceived'"),
        ("label", "Did you mean 'expressed' or 'perceived'"),
        ("zzz", "There are: audio_path, "),
    ],
)
def test_an_unknown_column_gets_the_nearest_name(write: Write, column: str, hint: str) -> None:
    with pytest.raises(ManifestError, match=f"{hint}.*Columns of your own start with 'x_'"):
        read_manifest(write([{**ROW, column: "1"}]))


@pytest.mark.parametrize("column", ["votes.all", "votes..A", "votes.All.A", "votes.all."])
def test_a_column_of_votes_names_rule_and_code(write: Write, column: str) -> None:
    with pytest.raises(ManifestError, match=r"expected votes\.<rule>\.<code>"):
        read_manifest(write([{**ROW, column: 1}]))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("own.csv", "", "a column 'audio_path', found no column"),
        ("own.csv", "audio_path,expressed\n", "a row for each utterance"),
        ("own.csv", "audio_path,speaker_id\na.wav,1\n", "a column 'expressed' .* or 'perceived'"),
        ("own.csv", "audio_path,expressed\na.wav\n", "line 2: expected 2 fields, as in line 1, found 1 fields"),
        ("own.csv", 'audio_path,expressed\n"a.wav"x,A\n', "line 2: expected fields separated by commas"),
        ("own.csv", "audio_path;expressed\na.wav;A\n", "columns separated by commas.*Save it as CSV UTF-8, with comm"),
        ("own.csv", "audio_path\texpressed\na.wav\tA\n", "columns separated by commas.*Save it as CSV UTF-8"),
        ("own.csv", "audio_path,audio_path,expressed\na,b,c\n", "each column once, found 'audio_path' twice"),
        ("own.csv", b"audio_path,expressed\n\xff.wav,A\n", "text in UTF-8.*Save it as CSV UTF-8"),
        ("own.csv", "audio_path,expressed\na.wav,A\n".encode("utf-16"), "text in UTF-8.*Save it as CSV UTF-8"),
        ("own.csv", "audio_path,expressed\na.wav,A\n".encode("utf-16-le"), "found a zero byte.*Save it as CSV UTF-8"),
        ("own.jsonl", b'{"audio_path": "\xff"}', r"text in UTF-8.*Save it as UTF-8\."),
        ("own.csv", 'audio_path,perceived,transcript\na.wav,A,"x\ny"\n/b.wav,A,\n', "line 4, column 'audio_path'"),
        ("own.csv", "audio_path,perceived\na.wav,\n", "labels in 'expressed' or 'perceived', found none"),
        ("own.jsonl", '{"audio_path": "a.wav"\n', "line 1: expected a JSON object"),
        ("own.jsonl", "[1]\n", "line 1: expected a JSON object, found"),
        ("own.jsonl", '{"stem": "a", "stem": "b"}\n', "line 1: expected each name once, found 'stem' twice"),
        ("own.jsonl", '{"audio_path": "a.wav", "x_\\ud800": 1}\n', "line 1: expected .*surrogates not allowed"),
        ("own.parquet", "no table", "a Parquet table"),
        ("own.xlsx", "", r"a file ending in \.csv, \.jsonl, \.parquet"),
    ],
)
def test_a_file_that_is_no_table_says_where_it_is_not(
    tmp_path: Path, name: str, content: str | bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(ManifestError, match=expected):
        read_manifest(tmp_path / name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_whose_name_is_a_pattern_is_read(write: Write, tmp_path: Path, ending: str) -> None:
    table = write([ROW], ending).rename(tmp_path / f"own [1]*{ending}")

    assert len(read_manifest(table).utterances) == 1


def test_an_absolute_path_below_the_root_is_answered_with_the_relative_one(write: Write, tmp_path: Path) -> None:
    inside = write([{**ROW, "audio_path": str(tmp_path / "audio" / "a" / "1.wav")}])
    with pytest.raises(ManifestError, match=r"Below --root that is 'a/1\.wav'"):
        read_manifest(inside, root=tmp_path / "audio")

    with pytest.raises(ManifestError) as caught:
        read_manifest(inside, root=tmp_path / "other")
    assert caught.value.hint == ""


@pytest.mark.parametrize("column", sorted(COLUMN_WORDS))
def test_what_others_call_a_column_stands_for_columns_that_there_are(column: str) -> None:
    assert column not in COLUMNS
    assert set(COLUMN_WORDS[column]) <= set(COLUMNS)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"own\.csv: expected a table of utterances, found no such file"):
        read_manifest(tmp_path / "own.csv")


# --- as a parser -------------------------------------------------------------------------------------------------


def test_audio_that_is_missing_is_an_error_or_left_out(write: Write) -> None:
    manifest = read_manifest(write([ROW, {**ROW, "audio_path": "a/2.wav"}]))
    tree = CorpusTree({"a/1.wav": ""})

    with pytest.raises(ManifestError, match=r"line 3, column 'audio_path'.*1 of 2 files are missing; --partial"):
        list(manifest_parser(manifest)(tree))
    assert [one.stem for one in manifest_parser(manifest, skip_missing=True)(tree)] == ["a/1"]


@pytest.mark.parametrize(
    ("files", "hint"), [({"A/1.WAV": ""}, "Did you mean 'A/1.WAV'"), ({"corpus/a/1.wav": ""}, "check --root")]
)
def test_a_path_that_is_nearly_right_gets_a_hint(write: Write, files: dict[str, str], hint: str) -> None:
    with pytest.raises(ManifestError, match=hint):
        list(manifest_parser(read_manifest(write([ROW])))(CorpusTree(files)))


def test_accents_are_found_however_the_file_system_stores_them(write: Write) -> None:
    manifest = read_manifest(write([{**ROW, "audio_path": "caf\u00e9.wav"}]))

    (one,) = manifest_parser(manifest)(CorpusTree({"cafe\u0301.wav": ""}))

    assert one.audio_path == "cafe\u0301.wav"


# --- a first table -----------------------------------------------------------------------------------------------


def test_a_first_table_labels_each_file_with_its_folder() -> None:
    rows = list_audio(
        CorpusTree({"Angry/1.wav": "", "Angry/1.flac": "", "b/Sad/2.MP3": "", "b/notes.txt": ""}),
        label_source="perceived",
    )

    assert [(one.stem, one.perceived_raw) for one in rows] == [
        ("Angry/1.flac", "Angry"),
        ("Angry/1.wav", "Angry"),
        ("b/Sad/2", "Sad"),
    ]


@pytest.mark.parametrize("folder", ["", "angry/"], ids=["the folder itself", "one in it"])
def test_a_single_folder_tells_no_label_and_its_column_may_be_written_empty(folder: str) -> None:
    rows = list_audio(CorpusTree({f"{folder}1.wav": "", f"{folder}2.wav": ""}), label_source="expressed")

    assert [one.expressed_raw for one in rows] == [None, None]
    assert manifest_bytes(rows, ".csv", also=["expressed"]).decode().splitlines() == [
        "audio_path,expressed",
        f"{folder}1.wav,",
        f"{folder}2.wav,",
    ]


def test_a_folder_without_audio_gives_no_table() -> None:
    with pytest.raises(WrongLayout, match=r"audio files \(.*found 'notes\.txt'"):
        list_audio(CorpusTree({"notes.txt": ""}), label_source="expressed")
