"""A user's own table of utterances, as CSV, JSON Lines or Parquet: read strictly, and written.

The columns are the fields of ``ParsedUtterance`` that a table can hold; ``COLUMNS`` says what each may contain. A
column that is none of them is an error, because a typo in its name would lose its content in silence; columns whose
name starts with ``x_`` are the user's own and not read.
"""

import csv
import difflib
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any

import polars as pl

from voxemo.catalog.lookup import Parser
from voxemo.core.errors import ManifestError, listing
from voxemo.core.types import LabelSource, ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nfc

ENDINGS = (".csv", ".jsonl", ".parquet")
AUDIO_ENDINGS = (".aac", ".aiff", ".avi", ".flac", ".m4a", ".mkv", ".mp3", ".mp4", ".ogg", ".opus", ".wav", ".webm")

IGNORED_PREFIX = "x_"
VOTES_PREFIX = "votes."
VOTES_FORM = "votes.<rule>.<code>"

VOTE_RULE = re.compile(r"[a-z0-9][a-z0-9_-]*")
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
PARTITION = re.compile(r"train|valid|test|test1|test2|unassigned|fold:[A-Za-z0-9_-]+(:valid)?")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
OLDEST = 120

Row = tuple[int | None, Mapping[str, Any]]
"""Line (or row of a Parquet table), from 1, and column to what stands there; None where there are no lines."""


SAVE_AS = "Save it as CSV UTF-8, with commas."

PARTITION_WORDS = {
    "train": "train",
    "training": "train",
    "dev": "valid",
    "devel": "valid",
    "development": "valid",
    "val": "valid",
    "valid": "valid",
    "validation": "valid",
    "test": "test",
    "testing": "test",
}
"""What others call a partition, in lower case, to its name here."""

GENDER_WORDS = {"female": "female", "f": "female", "male": "male", "m": "male"}
"""What others write for a gender, in lower case, to the word for it here."""

COLUMN_WORDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("audio", "file", "filename", "file_name", "path", "wav"), ("audio_path",)),
    **dict.fromkeys(("category", "class", "emotion", "label"), ("expressed", "perceived")),
    **dict.fromkeys(("actor", "speaker"), ("speaker_id",)),
    **dict.fromkeys(("gender", "sex"), ("speaker_gender",)),
    **dict.fromkeys(("fold", "partition", "set", "split", "subset"), ("provider_partition",)),
    **dict.fromkeys(("sentence", "text", "transcription"), ("transcript",)),
    **dict.fromkeys(("id", "name", "utterance", "utterance_id"), ("stem",)),
    "age": ("speaker_age",),
    "end": ("end_s",),
    "lang": ("language",),
    "session": ("session_id",),
    "start": ("start_s",),
}
"""What others call a column, in lower case, to the columns here that may be meant."""


class _Unfit(Exception):
    """A value that is not what its column holds: what was expected, and what may have been meant."""

    def __init__(self, expected: str, hint: str = "") -> None:
        super().__init__(expected)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a table of utterances says."""

    name: str
    """Bare name of the file."""
    utterances: tuple[ParsedUtterance, ...]
    """In the table's order."""
    lines: tuple[int | None, ...] | None = None
    """Line (row, in Parquet) of each utterance; None where they come from no file of lines."""
    ignored: tuple[str, ...] = ()
    """Columns that were not read, because their name starts with ``x_``."""


# --- values ------------------------------------------------------------------------------------------------------


def _words(value: Any) -> str:
    """Text as it stands; whole numbers too, because tables often hold ids as numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _Unfit("text")
    return value


def _line(value: Any) -> str:
    text = _words(value)
    if any(ord(character) < 32 for character in text):
        raise _Unfit("text in one line")
    return text


def _text(value: Any) -> str:
    text = _line(value)
    if text != text.strip():
        raise _Unfit("text without blanks around it")
    return text


def _number(value: Any) -> float:
    try:
        known = not isinstance(value, bool) and (not isinstance(value, str) or NUMBER.fullmatch(value))
        number = float(value) if known else math.nan
    except (TypeError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise _Unfit("a number from 0 up")
    return number


def _age(value: Any) -> int:
    expected = f"a whole number from 0 to {OLDEST}"
    try:
        number = _number(value)
    except _Unfit as cause:
        raise _Unfit(expected) from cause
    if number != int(number) or number > OLDEST:
        raise _Unfit(expected)
    return int(number)


def _path(value: Any) -> str:
    text = _line(value)
    parts = text.split("/")
    if "\\" in text or PureWindowsPath(text).drive or text.startswith("/") or {"", ".", ".."} & set(parts):
        raise _Unfit("a path relative to the corpus folder (--root), with forward slashes and without '.' or '..'")
    return text


def _gender(value: Any) -> str:
    if value not in ("female", "male"):
        raise _Unfit("'female', 'male' or nothing", _meant(str(value), GENDER_WORDS))
    return str(value)


def _meant(text: str, words: Mapping[str, str]) -> str:
    word = words.get(text.lower())
    return "" if word is None else f"Write {word!r}."


def _matching(
    pattern: re.Pattern[str], expected: str, words: Mapping[str, str] = MappingProxyType({})
) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = _text(value)
        if not pattern.fullmatch(text):
            raise _Unfit(expected, _meant(text, words))
        return text

    return read


COLUMNS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "audio_path": ("audio_path", _path),
    "stem": ("stem", _text),
    "expressed": ("expressed_raw", _text),
    "perceived": ("perceived_raw", _text),
    "speaker_id": ("speaker_id", _text),
    "speaker_gender": ("speaker_gender", _gender),
    "speaker_age": ("speaker_age", _age),
    "language": ("language", _matching(LANGUAGE, "a BCP-47 language such as 'en' or 'zh-TW'")),
    "transcript": ("transcript", _words),
    "session_id": ("session_id", _text),
    "start_s": ("start_s", _number),
    "end_s": ("end_s", _number),
    "provider_partition": (
        "provider_partition",
        _matching(
            PARTITION,
            "'train', 'valid', 'test', 'test1', 'test2', 'fold:<n>', 'fold:<n>:valid' or 'unassigned'",
            PARTITION_WORDS,
        ),
    ),
    "excluded_reason": ("excluded_reason", _text),
}
"""Column to the field of ``ParsedUtterance`` that it fills, and what reads its values. Empty means not known."""


# --- rows of each kind of file -----------------------------------------------------------------------------------


def _csv_rows(path: Path) -> tuple[list[str], Iterator[Row]]:
    reader = csv.reader(io.StringIO(_file_text(path), newline=""), strict=True)
    header = next(_csv_lines(path, reader), [])
    if len(header) == 1 and any(other in header[0] for other in ";\t"):
        raise ManifestError(
            path.name, line=1, expected="columns separated by commas", found=repr(header[0]), hint=SAVE_AS
        )
    return header, _csv_records(path, header, reader)


def _csv_lines(path: Path, reader: Any) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as cause:
        raise ManifestError(
            path.name, line=max(reader.line_num, 1), expected="fields separated by commas", found=str(cause)
        ) from cause


def _csv_records(path: Path, header: list[str], reader: Any) -> Iterator[Row]:
    line = reader.line_num + 1
    for fields in _csv_lines(path, reader):
        if fields:
            if len(fields) != len(header):
                raise ManifestError(
                    path.name, line=line, expected=f"{len(header)} fields, as in line 1", found=f"{len(fields)} fields"
                )
            yield line, dict(zip(header, fields, strict=True))
        line = reader.line_num + 1  # a quoted field may span lines, so a record begins where the last one ended


def _jsonl_rows(path: Path) -> tuple[list[str], Iterator[Row]]:
    rows: list[Row] = []
    for line, text in enumerate(_file_text(path).split("\n"), start=1):
        if text.strip():
            try:
                pairs = json.loads(text, object_pairs_hook=_Pairs)
                # JSON can name halves of characters, which no file can hold.
                json.dumps(pairs, ensure_ascii=False).encode()
            except (ValueError, RecursionError) as cause:
                raise ManifestError(path.name, line=line, expected="a JSON object", found=str(cause)) from cause
            if not isinstance(pairs, _Pairs):
                raise ManifestError(path.name, line=line, expected="a JSON object", found=text.strip()[:60])
            row = dict(pairs)
            if len(row) < len(pairs):
                double = sorted({name for i, (name, _) in enumerate(pairs) if name in dict(pairs[:i])})
                raise ManifestError(path.name, line=line, expected="each name once", found=f"{listing(double)} twice")
            rows.append((line, row))
    return list(dict.fromkeys(name for _, row in rows for name in row)), iter(rows)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as its pairs, so that a name given twice is seen."""


def _parquet_rows(path: Path) -> tuple[list[str], Iterator[Row]]:
    try:
        table = pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as cause:
        raise ManifestError(path.name, expected="a Parquet table", found=f"a file that is none ({cause})") from cause
    return table.columns, enumerate(table.iter_rows(named=True), start=1)


def _file_text(path: Path) -> str:
    hint = SAVE_AS if path.suffix.lower() == ".csv" else "Save it as UTF-8."
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if "\0" in text:  # UTF-16 without its mark
            raise ManifestError(path.name, expected="text in UTF-8", found="a zero byte", hint=hint)
        return text
    except UnicodeDecodeError as cause:
        found = f"a byte that is not at position {cause.start}"
        raise ManifestError(path.name, expected="text in UTF-8", found=found, hint=hint) from cause
    except OSError as cause:
        raise ManifestError(path.name, expected="a file", found=cause.strerror or "none") from cause


_READERS = dict(zip(ENDINGS, (_csv_rows, _jsonl_rows, _parquet_rows), strict=True))


# --- reading -----------------------------------------------------------------------------------------------------


def read_manifest(path: Path, *, root: Path | None = None) -> Manifest:
    """Read a table of utterances.

    Args:
        path: ``.csv`` (commas, UTF-8, a header), ``.jsonl`` (an object a line) or ``.parquet``. Of the columns in
            ``COLUMNS``, ``audio_path`` is needed, and ``expressed`` or ``perceived``. Votes stand in columns
            ``votes.<rule>.<code>``: how many listeners gave the code, empty for none. ``stem`` is by default the audio
            path without its ending.
        root: folder of the audio; where a path is absolute, the error then says what it is below that folder.

    Raises:
        ManifestError: no such file, an unknown or missing column, or a value that its column cannot hold. Names file,
            line, column, what was expected and what was found.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ManifestError(path.name, expected=f"a file ending in {', '.join(ENDINGS)}", found=repr(path.suffix))
    if not path.is_file():
        raise ManifestError(path.name, expected="a table of utterances", found=f"no such file ({path})")
    return _manifest(path.name, *_READERS[ending](path), root=root)


def check_utterances(name: str, utterances: Iterable[ParsedUtterance]) -> tuple[ParsedUtterance, ...]:
    """Hold utterances from elsewhere to what a table of them may say, so that they can be written and read again.

    Args:
        name: of the file they come from, for messages.
        utterances: at least one.

    Raises:
        ManifestError: as ``read_manifest``, without a line.
    """
    rows = manifest_rows(utterances)
    return _manifest(name, list(rows[0]), ((None, row) for row in rows)).utterances


def _manifest(name: str, header: Sequence[str], rows: Iterable[Row], *, root: Path | None = None) -> Manifest:
    _check_header(name, header)
    read: list[tuple[int | None, ParsedUtterance]] = []
    unfit: list[ManifestError] = []
    for line, row in rows:
        try:
            read.append((line, _utterance(name, line, row, root)))
        except ManifestError as error:
            unfit.append(error)
    if unfit:
        raise unfit[0] if len(unfit) == 1 else unfit[0].among(len(unfit))
    if not read:
        raise ManifestError(name, expected="a row for each utterance", found="no row")
    _refuse_double_stems(name, read)
    _refuse_missing_labels(name, read, header)
    _refuse_part_of_a_partition(name, read)
    return Manifest(
        name=name,
        utterances=tuple(one for _, one in read),
        lines=tuple(line for line, _ in read),
        ignored=tuple(column for column in header if column.startswith(IGNORED_PREFIX)),
    )


def _check_header(table: str, header: Sequence[str]) -> None:
    double = sorted({name for i, name in enumerate(header) if name in header[:i]})
    if double:
        raise ManifestError(table, expected="each column once", found=f"{listing(double)} twice")
    for name in header:
        if name.startswith(VOTES_PREFIX):
            rule, _, code = name.removeprefix(VOTES_PREFIX).partition(".")
            if not (VOTE_RULE.fullmatch(rule) and code and code == code.strip()):
                expected = f"{VOTES_FORM}, with a rule of lower-case letters, digits, '_' and '-'"
                raise ManifestError(table, column=name, expected=expected, found=repr(name))
        elif name not in COLUMNS and not name.startswith(IGNORED_PREFIX):
            word = name.strip().lower()
            near = [VOTES_FORM] if word.startswith("vote") else COLUMN_WORDS.get(word)
            near = near or difflib.get_close_matches(word, COLUMNS, n=1)
            meant = " or ".join(map(repr, near))
            hint = f"Did you mean {meant}?" if near else f"There are: {', '.join([*COLUMNS, VOTES_FORM])}."
            raise ManifestError(
                table,
                column=name,
                expected="a column that voxemo knows",
                found=repr(name),
                hint=f"{hint} Columns of your own start with {IGNORED_PREFIX!r}.",
            )
    if "audio_path" not in header:
        raise ManifestError(table, expected="a column 'audio_path'", found=listing(header) or "no column")
    if not {"expressed", "perceived"} & set(header):
        raise ManifestError(
            table,
            expected="a column 'expressed' (what the speaker intended) or 'perceived' (what listeners heard)",
            found=listing(header, most=len(header)),
        )


def _utterance(table: str, line: int | None, row: Mapping[str, Any], root: Path | None) -> ParsedUtterance:
    fields: dict[str, Any] = {}
    votes: dict[str, dict[str, float]] = {}
    for name, value in row.items():
        if value is None or value == "" or name.startswith(IGNORED_PREFIX):
            continue
        try:
            if name in COLUMNS:
                field, read = COLUMNS[name]
                fields[field] = read(value)
            elif n := _number(value):
                rule, _, code = name.removeprefix(VOTES_PREFIX).partition(".")
                votes.setdefault(rule, {})[code] = n
        except _Unfit as cause:
            hint = _below(root, value) if name == "audio_path" else cause.hint
            raise ManifestError(
                table, line=line, column=name, expected=str(cause), found=repr(value), hint=hint
            ) from cause
    if "audio_path" not in fields:
        raise ManifestError(table, line=line, column="audio_path", expected="a path", found="nothing")
    start_s, end_s = fields.get("start_s"), fields.get("end_s")
    if end_s is not None and end_s <= (start_s or 0.0):
        expected = f"an end after the start ({start_s or 0:g} s)"
        raise ManifestError(table, line=line, column="end_s", expected=expected, found=f"{end_s:g}")
    return ParsedUtterance(**{"stem": _default_stem(fields["audio_path"]), **fields}, votes_raw=votes)


def _below(root: Path | None, value: Any) -> str:
    """What to write instead of an absolute path, where it leads into the folder of the audio."""
    if root is not None and isinstance(value, str):
        for folder in (root.absolute(), root.resolve()):
            if Path(value).is_absolute() and Path(value).is_relative_to(folder):
                return f"Below --root that is {Path(value).relative_to(folder).as_posix()!r}: write that."
    return ""


def _default_stem(audio_path: str) -> str:
    return str(PurePosixPath(audio_path).with_suffix(""))


def stems_of(audio_paths: Iterable[str]) -> dict[str, str]:
    """A name for each file: its path without the ending, or with it where two files differ in nothing else."""
    stems = {path: _default_stem(path) for path in audio_paths}
    n_files = Counter(map(nfc, stems.values()))
    return {path: stem if n_files[nfc(stem)] == 1 else path for path, stem in stems.items()}


def _refuse_double_stems(table: str, read: Iterable[tuple[int | None, ParsedUtterance]]) -> None:
    first: dict[str, int | None] = {}
    for line, one in read:
        stem = nfc(one.stem)
        if stem in first:
            earlier = first[stem]
            raise ManifestError(
                table,
                line=line,
                column="stem",
                expected="a name of its own for every utterance",
                found=f"{stem!r} twice" if earlier is None else f"{stem!r}, as in line {earlier}",
                hint="By default it is the audio path without its ending; give segments of one file a column 'stem'.",
            )
        first[stem] = line


def _refuse_missing_labels(
    table: str, read: Iterable[tuple[int | None, ParsedUtterance]], header: Sequence[str]
) -> None:
    kept = [(line, one) for line, one in read if one.excluded_reason is None]
    if not any(one.expressed_raw or one.perceived_raw for _, one in kept):
        raise ManifestError(table, expected="labels in 'expressed' or 'perceived'", found="none in any row")
    # Listeners may tie; what a speaker intended is always known.
    without = [line for line, one in kept if one.expressed_raw is None]
    if without and "perceived" not in header:
        hint = f"Rows without one: {len(without)}. A row may say in 'excluded_reason' why it is left out."
        raise ManifestError(table, line=without[0], column="expressed", expected="a label", found="nothing", hint=hint)


def _refuse_part_of_a_partition(table: str, read: Iterable[tuple[int | None, ParsedUtterance]]) -> None:
    kept = [(line, one.provider_partition) for line, one in read if one.excluded_reason is None]
    without = [line for line, partition in kept if partition is None]
    if without and len(without) < len(kept):
        raise ManifestError(
            table,
            line=without[0],
            column="provider_partition",
            expected="a partition, as other rows have one",
            found=f"nothing, in {len(without)} of {len(kept)} rows",
            hint="'unassigned' is for utterances in no part.",
        )


# --- as a corpus's parser ----------------------------------------------------------------------------------------


def manifest_parser(
    manifest: Manifest,
    *,
    skip_missing: bool = False,
    hint: str = "--partial goes on without them, and every run says so.",
) -> Parser:
    """The parser of a corpus that a table describes.

    Args:
        manifest: the table.
        skip_missing: leave out utterances whose audio the folder lacks, so that the counts tell; by default they are
            an error.
        hint: what to do where some of the audio is missing, for that error.

    Returns:
        A function from the corpus's tree to its utterances. It raises ManifestError when audio files are missing.
    """

    def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
        # The table may write accents in one piece where the file system stores them apart.
        stored = {nfc(str(path)): str(path) for path in tree.files()}
        rows = list(zip(manifest.lines or repeat(None), manifest.utterances, strict=False))
        missing = [(line, one.audio_path) for line, one in rows if nfc(one.audio_path) not in stored]
        if missing and not skip_missing:
            _refuse_missing(manifest.name, missing, len(rows), stored, hint)
        for _, one in rows:
            if (path := stored.get(nfc(one.audio_path))) is not None:
                yield one if one.audio_path == path else replace(one, audio_path=path)

    return parse


def _refuse_missing(
    table: str, missing: Sequence[tuple[int | None, str]], n_rows: int, stored: Iterable[str], hint: str
) -> None:
    line, path = missing[0]
    same = next((other for other in stored if other.casefold() == path.casefold()), None)
    if same is not None:
        hint = f"Did you mean {same!r}?"
    elif len(missing) == n_rows:
        hint = "None of the table's files is there: check --root, to which the paths are relative."
    else:
        hint = f"{len(missing)} of {n_rows} files are missing; {hint}"
    raise ManifestError(
        table, line=line, column="audio_path", expected="a file below the corpus folder", found=repr(path), hint=hint
    )


# --- a first table -----------------------------------------------------------------------------------------------


def list_audio(tree: CorpusTree, *, label_source: LabelSource) -> tuple[ParsedUtterance, ...]:
    """Every audio file of a folder, with the name of the folder that it lies in as its label: a table to be edited.

    Where all of them lie in one folder, its name tells no emotion, and no file is labelled.

    Raises:
        WrongLayout: there is no audio, or a name is not in UTF-8.
    """
    paths = [path for path in tree.files() if path.suffix.lower() in AUDIO_ENDINGS]
    if not paths:
        found = listing(tree.top_level()) or "an empty folder"
        raise tree.wrong_layout(f"audio files ({', '.join(AUDIO_ENDINGS)})", found)
    unwritable = [str(path) for path in paths if str(path).encode(errors="replace").decode() != str(path)]
    if unwritable:
        shown = listing([path.encode(errors="backslashreplace").decode() for path in unwritable])
        raise tree.wrong_layout("file names in UTF-8", shown)
    root = "" if tree.root is None else tree.root.resolve().name
    flat = len({path.parent for path in paths}) == 1
    stems = stems_of(map(str, paths))
    return tuple(
        ParsedUtterance(
            stem=stems[str(path)],
            audio_path=str(path),
            expressed_raw=label if label_source == "expressed" else None,
            perceived_raw=label if label_source == "perceived" else None,
        )
        for path in paths
        for label in [None if flat else (path.parent.name or root).strip()]
    )


# --- writing -----------------------------------------------------------------------------------------------------


def manifest_rows(utterances: Iterable[ParsedUtterance], *, also: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Utterances as rows of a table, every column that is used in every row; what is not known is None.

    Args:
        utterances: at least one.
        also: columns to write even where no utterance uses them.
    """
    rows = []
    for one in utterances:
        row: dict[str, Any] = {column: getattr(one, field) for column, (field, _) in COLUMNS.items()}
        votes = {
            f"{VOTES_PREFIX}{rule}.{code}": n for rule, counts in one.votes_raw.items() for code, n in counts.items()
        }
        rows.append(row | {name: n for name, n in votes.items() if n})
    used = {*also, *(name for row in rows for name, value in row.items() if value is not None)}
    if all(row["stem"] == _default_stem(row["audio_path"]) for row in rows):
        used.discard("stem")
    columns = [name for name in COLUMNS if name in used] + sorted(used - set(COLUMNS))
    return [{name: row.get(name) for name in columns} for row in rows]


def manifest_bytes(utterances: Iterable[ParsedUtterance], ending: str, *, also: Iterable[str] = ()) -> bytes:
    """Utterances as the content of a ``.csv``, ``.jsonl`` or ``.parquet`` file that ``read_manifest`` reads back.

    Args:
        utterances: at least one.
        ending: of the file.
        also: columns to write even where no utterance uses them.
    """
    rows = manifest_rows(utterances, also=also)
    out = io.BytesIO()
    if ending == ".parquet":
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(out)
    elif ending == ".jsonl":
        for row in rows:
            content = {name: value for name, value in row.items() if value is not None}
            out.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")
    else:
        text = io.StringIO(newline="")
        # Python's writer leaves a carriage return bare, which its reader takes for the end of the row.
        returns = any("\r" in value for row in rows for value in row.values() if isinstance(value, str))
        writer = csv.DictWriter(
            text, list(rows[0]), lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
        )
        writer.writeheader()
        writer.writerows(rows)
        out.write(text.getvalue().encode())
    return out.getvalue()
