"""Bundles as files: one zip with the same bytes for the same content, and the reading of zips that strangers made.

A bundle holds JSON and JSON lines only. Nothing of it is ever written to disk or executed, its names are those of a
fixed list, and whatever is larger than it may be is refused before it is unpacked.
"""

import hashlib
import io
import json
import math
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from voxemo.core.errors import BundleError
from voxemo.store.files import write_atomically
from voxemo.store.tables import Schema

INDEX = "bundle.json"
"""Lists every other file with its hash."""
MANIFEST = "manifest.json"
PLAN = "plan.jsonl"
PROMPTS = "prompts.jsonl"
PREDICTIONS = "predictions.jsonl"
RESPONSES = "responses.jsonl"
GOLD = "gold.jsonl"
VOTES = "votes.jsonl"
TRAITS = "traits.jsonl"
PRIORS = "priors.json"
PARTS = "parts.json"
"""How large the test parts of the split are, by which a limited run is told from a whole one."""
SCORES = "scores.jsonl"
CONFUSIONS = "confusions.jsonl"
ANALYSES = "analyses.jsonl"
UNIT_COUNTS = "unit_counts.jsonl"
UNIT_SUMS = "unit_sums.jsonl"
FAILURES = "failures.json"

JUDGED_BY = (GOLD, VOTES, TRAITS, PRIORS, PARTS)
COMPUTED = (SCORES, CONFUSIONS, ANALYSES, UNIT_COUNTS, UNIT_SUMS)
NEEDED = (INDEX, MANIFEST, PLAN, PROMPTS, PREDICTIONS, RESPONSES, *JUDGED_BY, *COMPUTED)
FURTHER = (FAILURES,)
FOLDERS = ("checks", "workers")

GOLD_COLUMNS: Schema = {"utterance_id": pl.String, "label": pl.String, "speaker": pl.String}
VOTE_COLUMNS: Schema = {"utterance_id": pl.String, "rule": pl.String, "votes": pl.List(pl.Float64)}
TRAIT_COLUMNS: Schema = {"utterance_id": pl.String, "kind": pl.String, "group": pl.String}
RESPONSE_COLUMNS: Schema = {
    "request_id": pl.String,
    "text": pl.String,
    "finish": pl.String,
    "error_kind": pl.String,
    "n_prompt_tokens": pl.Int64,
    "n_new_tokens": pl.Int64,
    "latency_s": pl.Float64,
    "attempt": pl.Int64,
    "label_logprobs": pl.List(pl.Float64),
    "silent_logprobs": pl.List(pl.Float64),
    "audio_handling": pl.String,
}

_FOLDER_FILE = re.compile(rf"({'|'.join(FOLDERS)})/[A-Za-z0-9_][A-Za-z0-9._-]{{0,99}}\.json")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can say; the time of packing would make every bundle another."""
_CHUNK_ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a bundle may be. A run of the whole benchmark over its largest corpus takes a tenth of it."""

    zip_bytes: int = 2**30
    total_bytes: int = 4 * 2**30
    """Unpacked."""
    files: int = 2000
    ratio: int = 200
    """Bytes unpacked per byte packed, of files over ``small_bytes``; ours have some 30, zip bombs 1,000."""
    small_bytes: int = 2**20


LIMITS = Limits()


def is_bundle_name(name: str) -> bool:
    """Whether a bundle may hold a file of this name.

    >>> [is_bundle_name(name) for name in ("scores.jsonl", "checks/parity.json", "../scores.jsonl", "checks/../a.json")]
    [True, True, False, False]
    """
    return name in NEEDED or name in FURTHER or _FOLDER_FILE.fullmatch(name) is not None


def sha256(content: bytes) -> str:
    """SHA-256 of a file's content, as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


# --- zips --------------------------------------------------------------------------------------------------------


def write_bundle(path: Path, files: Mapping[str, bytes]) -> None:
    """Write files into one zip, atomically: sorted by name, without times, users or permissions of this machine.

    Raises:
        RunError: it cannot be written.
    """
    content, entries = _zipped(files)
    # Answers that repeat a word without end pack like a bomb, and would be refused as one.
    swelling = {entry.filename for entry in entries if _swells(entry, LIMITS)}
    if swelling:
        content, _ = _zipped(files, stored=swelling)
    write_atomically(path, lambda file: file.write(content.getbuffer()))


def _zipped(files: Mapping[str, bytes], *, stored: Collection[str] = ()) -> tuple[io.BytesIO, list[zipfile.ZipInfo]]:
    """The zip and its entries; the files named in ``stored`` are not compressed."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name in sorted(files):
            if not is_bundle_name(name):
                raise ValueError(f"{name!r} is no name of a bundle's file")
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            # Unix on every platform, else the bytes would tell where it was packed.
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            kind = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            packed.writestr(entry, files[name], compress_type=kind, compresslevel=6)
        return content, packed.infolist()


def _swells(entry: zipfile.ZipInfo, limits: Limits) -> bool:
    return entry.file_size > max(limits.small_bytes, limits.ratio * entry.compress_size)


def read_bundle(path: Path, *, limits: Limits = LIMITS) -> dict[str, bytes]:
    """Read every file of a bundle, by name, into memory.

    Raises:
        BundleError: it is missing or damaged, holds something that no bundle holds, or is larger than ``limits``.
    """
    name = path.name
    try:
        n_bytes = path.stat().st_size
        if n_bytes > limits.zip_bytes:
            raise BundleError(name, f"it has {n_bytes:,} bytes, and at most {limits.zip_bytes:,} are read")
        with zipfile.ZipFile(path) as packed:
            entries = packed.infolist()
            _check_entries(name, entries, limits)
            return {entry.filename: _unpacked(name, packed, entry) for entry in entries}
    except FileNotFoundError as cause:
        raise BundleError(name, "there is no such file", hint="`voxemo bundle RUN` makes one.") from cause
    # What zipfile raises over damaged or strange zips: RuntimeError and NotImplementedError for those that it cannot
    # read, ValueError, EOFError and OverflowError for fields that contradict each other.
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
        OverflowError,
    ) as cause:
        raise BundleError(name, f"it is no zip that can be read ({cause})") from cause
    except OSError as cause:
        raise BundleError(
            name, f"it cannot be opened ({cause.strerror or cause})", hint="Give access to it."
        ) from cause


def _check_entries(bundle: str, entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(entries) > limits.files:
        raise BundleError(bundle, f"it holds {len(entries):,} files, and at most {limits.files:,} are read")
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        # zipfile cuts names at a zero byte; what the file says is what counts.
        if not is_bundle_name(name) or entry.orig_filename != name:
            raise BundleError(bundle, f"it holds {name!r}, which no bundle holds")
        if name in seen:
            raise BundleError(bundle, f"it holds {name!r} twice")
        seen.add(name)
        # 0: made where files have no kinds.
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            raise BundleError(bundle, f"{name!r} in it is no plain file")
        if entry.flag_bits & 0x1:
            raise BundleError(bundle, f"{name!r} in it is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleError(bundle, f"{name!r} in it is packed in a way that bundles are not")
        if _swells(entry, limits):
            raise BundleError(
                bundle, f"{name!r} in it unpacks from {entry.compress_size:,} to {entry.file_size:,} bytes"
            )
    total = sum(entry.file_size for entry in entries)
    if total > limits.total_bytes:
        raise BundleError(bundle, f"it unpacks to {total:,} bytes, and at most {limits.total_bytes:,} are read")


def _unpacked(bundle: str, packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    # A zip may claim less than it unpacks to: no more than claimed is ever read.
    with packed.open(entry) as file:
        content = file.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise BundleError(bundle, f"{entry.filename!r} in it has another size than it says")
    return content


# --- documents and tables ----------------------------------------------------------------------------------------


def document_bytes(value: Any) -> bytes:
    """A JSON file: indented, in ASCII, so that no text of a model can break it."""
    return json.dumps(value, indent=2, allow_nan=False).encode("ascii") + b"\n"


def table_bytes(table: pl.DataFrame, schema: Schema) -> bytes:
    """A table as JSON lines, a row each, columns in the schema's order. Numbers come back exactly as they are."""
    return lines_bytes(table.select(list(schema)).iter_rows(named=True))


def lines_bytes(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as JSON lines."""
    lines = (json.dumps(row, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n" for row in rows)
    return b"".join(lines)


def read_document(name: str, content: bytes) -> Any:
    """Read a JSON file of a bundle.

    Raises:
        BundleError: it is no JSON, or holds numbers that JSON has not.
    """
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as cause:
        raise BundleError(name, f"it is no JSON file that can be read ({cause})") from cause


def read_rows(name: str, content: bytes, schema: Schema) -> pl.DataFrame:
    """Read a table of a bundle.

    Raises:
        BundleError: a line is no object with exactly the schema's columns, each of its type or null; or a text is no
            Unicode.
    """
    pieces = [pl.DataFrame(schema=dict(schema))]
    rows = read_lines(name, content, schema)
    while chunk := list(islice(rows, _CHUNK_ROWS)):
        try:
            pieces.append(pl.DataFrame(chunk, schema=dict(schema)))
        except UnicodeEncodeError as cause:
            raise BundleError(name, "it holds a text that is no Unicode") from cause
    return pl.concat(pieces)


def read_lines(name: str, content: bytes, schema: Schema) -> Iterator[dict[str, Any]]:
    """The rows of a table of a bundle, one by one; texts may hold lone surrogates, as answers of models do.

    Raises:
        BundleError: as `read_rows`.
    """
    checks = {column: _CHECKS[pl.Schema({column: kind})[column]] for column, kind in schema.items()}
    for number, line in enumerate(io.BytesIO(content), start=1):
        yield _row(f"{name}, line {number}", line, checks)


def _row(place: str, line: bytes, checks: Mapping[str, Callable[[Any], bool]]) -> dict[str, Any]:
    row = read_document(place, line)
    if not isinstance(row, dict) or row.keys() != checks.keys():
        raise BundleError(place, f"expected an object with the fields {', '.join(checks)}")
    for column, fits in checks.items():
        if row[column] is not None and not fits(row[column]):
            raise BundleError(place, f"{column!r} has a value of another kind than expected")
    return row


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**53 if isinstance(value, int) else math.isfinite(value)


_CHECKS: dict[pl.DataType | type[pl.DataType], Callable[[Any], bool]] = {
    pl.String(): _is_text,
    pl.Int64(): _is_count,
    pl.Float64(): _is_number,
    pl.List(pl.String): lambda value: isinstance(value, list) and all(map(_is_text, value)),
    pl.List(pl.Float64): lambda value: isinstance(value, list) and all(map(_is_number, value)),
}
