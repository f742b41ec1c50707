"""The answer journal: append-only JSONL files that survive a kill or a full disk at any byte.

A writer opens a file of its own and writes whole lines, a batch at a time, each batch forced to disk. A reader takes
whole lines only. After a failed write the writer never touches the torn file again: it opens a new one.
"""

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from voxemo.core.errors import RunError
from voxemo.core.types import Response

_DEFAULTS = {f.name: f.default for f in fields(Response)}


def encode(response: Response) -> bytes:
    """One line of the journal. Fields at their default are left out; lone surrogates are kept as escapes."""
    content = {name: value for name, default in _DEFAULTS.items() if (value := getattr(response, name)) != default}
    return json.dumps(content, allow_nan=False).encode("ascii") + b"\n"


def decode(line: bytes) -> Response:
    """Read one line of the journal.

    Raises:
        ValueError: the line is not a response.
    """
    try:
        content: Any = json.loads(line)
    except RecursionError as cause:
        raise ValueError("nested too deep for a response") from cause
    if not isinstance(content, dict) or not isinstance(content.get("request_id"), str):
        raise ValueError("not a response object")
    if not isinstance(content.get("text", ""), str):
        raise ValueError("the text of a response is a string")
    for name in ("label_logprobs", "silent_logprobs"):
        if isinstance(content.get(name), list):
            content[name] = tuple(content[name])
    try:
        return Response(**content)
    except TypeError as cause:
        raise ValueError(str(cause)) from cause


class JournalWriter:
    """Appends responses to a file of its own in the run's ``responses`` folder.

    Args:
        folder: the run's ``responses`` folder.
        worker: name of the worker; part of the file name.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        self._folder, self._worker = folder, worker
        self._file: BinaryIO | None = None

    def append(self, responses: Sequence[Response]) -> None:
        """Write a batch and force it to disk.

        Raises:
            RunError: the disk is full or fails. Everything appended before is safe; this batch may be lost.
        """
        if not responses:
            return
        content = b"".join(encode(response) for response in responses)
        try:
            file = self._file or self._open()
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except OSError as cause:
            self._abandon()
            what = "The disk is full" if cause.errno == errno.ENOSPC else f"Writing failed ({cause.strerror})"
            raise RunError(
                f"{what} in {self._folder}. All answers written before are safe, at most {len(responses)} are lost. "
                "Make room and run the same command again: it goes on where it stopped."
            ) from cause

    def close(self) -> None:
        """Close the file; the writer may be used again and then opens a new one."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def __enter__(self) -> "JournalWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _abandon(self) -> None:
        # Closing may fail once more on a full disk; the file is torn anyway and readers cope with that.
        try:
            self.close()
        except OSError:
            self._file = None

    def _open(self) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True)
        start = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        # Exclusive: no two writers ever share a file, whatever their names and clocks say.
        path = self._folder / f"{self._worker}-{start}-{os.getpid()}.jsonl"
        self._file = path.open("xb")
        return self._file


class JournalGrowth:
    """Counts the lines that writers on any machine add to a run's journals from now on: for progress, not for results.

    Args:
        folder: the run's ``responses`` folder; it may be made later.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n_lines = 0
        self._n_read = {path: path.stat().st_size for path in folder.glob("*.jsonl")}

    def n_lines(self) -> int:
        """Lines added so far; transient errors and answers given twice count too."""
        for path in self._folder.glob("*.jsonl"):
            start = self._n_read.get(path, 0)
            # A shared disk stumbles now and then; progress can wait for the next call.
            with suppress(OSError):
                if path.stat().st_size > start:
                    with path.open("rb") as file:
                        file.seek(start)
                        added = file.read()
                    self._n_lines += added.count(b"\n")
                    self._n_read[path] = start + len(added)
        return self._n_lines


@dataclass(frozen=True, slots=True)
class Journal:
    """What a folder of journals says."""

    responses: dict[str, Response]
    """Request id to the answer that counts: the first without an error, else the first permanent error."""
    transient: dict[str, Response]
    """Requests whose only answers are transient errors; they are asked again."""
    n_duplicates: int
    """Further answers to requests that already have one; they do not count."""
    damaged: tuple[str, ...] = field(default=())
    """``file:line`` of whole lines that are no responses, and of torn last lines."""


def standing(response: Response) -> int:
    """Which of several responses to one request counts: the first of the lowest standing, in file-name order.

    0 for an answer, 1 for a permanent error, 2 for a transient one.
    """
    if response.error is None:
        return 0
    return 1 if response.error_kind == "permanent" else 2


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as cause:
        raise RunError(
            f"{path} cannot be read ({cause.strerror}). Its answers must not be missed: give access."
        ) from cause


def read_journal(folder: Path, *, texts: bool = True) -> Journal:
    """Read every journal of a run, in file-name order. Torn and damaged lines are reported, never guessed at.

    Args:
        folder: the run's ``responses`` folder.
        texts: False leaves out what was said: who asks only what was answered needs a fifth of the memory.

    Raises:
        RunError: a journal may not be read.
    """
    answered: dict[str, Response] = {}
    permanent: dict[str, Response] = {}
    transient: dict[str, Response] = {}
    damaged: list[str] = []
    n_duplicates = 0
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        for number, line in enumerate(_lines(path), start=1):
            if not line.endswith(b"\n"):
                damaged.append(f"{path.name}:{number} (cut off)")
                continue
            try:
                response = decode(line)
            except ValueError:
                damaged.append(f"{path.name}:{number}")
                continue
            if not texts:
                response = replace(response, text="")
            home = (answered, permanent, transient)[standing(response)]
            if response.request_id in home:
                n_duplicates += home is not transient
            else:
                home[response.request_id] = response
    n_duplicates += len(answered.keys() & permanent.keys())
    return Journal(
        responses={**permanent, **answered},
        transient={key: value for key, value in transient.items() if key not in answered and key not in permanent},
        n_duplicates=n_duplicates,
        damaged=tuple(damaged),
    )
