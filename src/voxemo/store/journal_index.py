"""Single answers out of journals of hundreds of megabytes: where each line begins is kept, and no text.

Sixteen bytes a line in memory. Nothing is written; what a line says is looked at when it is asked for.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxemo.core.errors import RunError
from voxemo.core.ids import sha256_text
from voxemo.core.types import Response
from voxemo.store.journal import decode, encode, standing

BLOCK_BYTES = 1 << 22
"""Read at a time."""

_KEY_DIGITS = 16
_HEX_KEY = re.compile(rf"[0-9a-f]{{{_KEY_DIGITS}}}")
_OPENING, _, _ = encode(Response(request_id="#")).partition(b"#")
"""What every line that ``JournalWriter`` writes begins with."""
_NO_DIGIT = 255
_DIGITS = np.full(256, _NO_DIGIT, dtype=np.uint8)
_DIGITS[list(b"0123456789abcdef")] = range(16)

Keys = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class JournalIndex:
    """The place of every line of a run's journals, by request."""

    paths: tuple[Path, ...]
    starts: tuple[int, ...]
    """Offset of each file's first byte, were all files one."""
    keys: Keys
    """Of each line, sorted; two requests may share one."""
    offsets: Offsets
    """Of the line with that key, were all files one; ascending among equal keys."""

    @property
    def n_lines(self) -> int:
        """Lines that may be answers."""
        return len(self.keys)

    def find(self, request_id: str) -> Response | None:
        """The response to a request that counts, by the rule of ``read_journal``; also one that is asked again.

        Raises:
            RunError: a journal was removed, or may not be read.
        """
        key = _key(request_id)
        first, last = (int(np.searchsorted(self.keys, key, side=side)) for side in ("left", "right"))
        found = [
            response
            for offset in self.offsets[first:last].tolist()
            if (response := _response(self._line(offset))) is not None and response.request_id == request_id
        ]
        return min(found, key=standing, default=None)

    def _line(self, offset: int) -> bytes:
        number = bisect_right(self.starts, offset) - 1
        path = self.paths[number]
        try:
            with path.open("rb") as file:
                file.seek(offset - self.starts[number])
                return file.readline()
        except OSError as cause:
            raise RunError(f"{path} cannot be read ({cause.strerror}). Give access to it, or restore it.") from cause


def index_journals(folder: Path) -> JournalIndex:
    """Find where every line of a run's journals begins. Torn and damaged lines are no answers, as in ``read_journal``.

    Args:
        folder: the run's ``responses`` folder; it may be missing.

    Raises:
        RunError: a journal may not be read.
    """
    paths = tuple(sorted(folder.glob("*.jsonl"))) if folder.is_dir() else ()
    starts, keys, offsets = [], [], []
    start = 0
    for path in paths:
        starts.append(start)
        try:
            for of_block, places in _blocks(path):
                keys.append(of_block)
                offsets.append(places + np.uint64(start))
            start += path.stat().st_size
        except OSError as cause:
            raise RunError(
                f"{path} cannot be read ({cause.strerror}). Its answers must not be missed: give access."
            ) from cause
    every_key = np.concatenate([np.empty(0, np.uint64), *keys])
    order = np.argsort(every_key, kind="stable")
    every_offset = np.concatenate([np.empty(0, np.uint64), *offsets])
    return JournalIndex(paths, tuple(starts), every_key[order], every_offset[order])


def _blocks(path: Path) -> Iterator[tuple[Keys, Offsets]]:
    """Keys and offsets of the whole lines of one file, some at a time."""
    done = 0
    rest = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            block = rest + block
            end = block.rfind(b"\n") + 1
            if end:
                keys, places = _keys_of(block[:end])
                yield keys, places + np.uint64(done)
            done += end
            rest = block[end:]


def _keys_of(block: bytes) -> tuple[Keys, Offsets]:
    """Keys and offsets of the lines of a block, which ends with a line's end; lines that are no responses left out."""
    content = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(content == ord("\n"))
    begins = np.concatenate([[0], ends[:-1] + 1])
    # Line by line this takes ten times as long: a journal may have millions.
    head = len(_OPENING) + _KEY_DIGITS
    long_enough = ends - begins >= head
    plain = np.zeros(len(begins), dtype=bool)
    keys = np.zeros(len(begins), dtype=np.uint64)
    known = begins[long_enough]
    opening = content[known[:, None] + np.arange(len(_OPENING))] == np.frombuffer(_OPENING, dtype=np.uint8)
    digits = _DIGITS[content[known[:, None] + np.arange(len(_OPENING), head)]]
    plain[long_enough] = opening.all(axis=1) & (digits != _NO_DIGIT).all(axis=1)
    powers = np.uint64(16) ** np.arange(_KEY_DIGITS - 1, -1, -1, dtype=np.uint64)
    keys[long_enough] = (digits.astype(np.uint64) * powers).sum(axis=1, dtype=np.uint64)
    for number in np.flatnonzero(~plain):
        response = _response(block[begins[number] : ends[number] + 1])
        if response is not None:
            plain[number], keys[number] = True, _key(response.request_id)
    return keys[plain], begins[plain].astype(np.uint64)


def _response(line: bytes) -> Response | None:
    """What a line says; None where it is torn or no response."""
    if not line.endswith(b"\n"):
        return None
    try:
        return decode(line)
    except ValueError:
        return None


def _key(request_id: str) -> np.uint64:
    """Sixty-four bits of a request id: its first digits, where it is a hash as those that ``plan`` gives."""
    digits = request_id[:_KEY_DIGITS]
    if not _HEX_KEY.fullmatch(digits):
        # A damaged line may hold a lone surrogate, which has no bytes.
        digits = sha256_text(request_id.encode("utf-8", "replace").decode())[:_KEY_DIGITS]
    return np.uint64(int(digits, 16))
