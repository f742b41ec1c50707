"""The files of a corpus as parsers see them: a folder on disk, or in tests a mapping from path to content.

Reading only, and nothing about any single corpus. Names are compared in Unicode's composed form (NFC), because some
archives and file systems store accents apart from their letters; paths are handed out as they are stored, so that they
can be opened.
"""

import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from voxemo.audio.load import LFS_POINTER
from voxemo.core.errors import CorpusError, CorpusNotFound, WrongLayout, listing

GLOB_TOKEN = re.compile(r"\*|\?|\[!?\]?[^]]*\]|.", re.DOTALL)


def nfc(text: str) -> str:
    r"""Write text with composed accents, so that equal names are equal strings.

    >>> nfc("e\u0301") == "\u00e9"
    True
    """
    return unicodedata.normalize("NFC", text)


class CorpusTree:
    """A corpus folder, listed once and read on demand.

    Hidden files (a leading dot, as ``._x.wav`` beside every file of some archives) and ``__MACOSX`` are not there.
    Linked folders are followed; a link that leads back to a folder above it is not.

    Args:
        root: a folder, or a mapping from POSIX path to content.
        corpus_id: what errors call the corpus.

    Raises:
        CorpusNotFound: there is no such folder.

    >>> tree = CorpusTree({"b/2.wav": "", "b/1.wav": "", "b/._1.wav": "", "notes.txt": "two files"})
    >>> [str(path) for path in tree.glob("*/*.wav")]
    ['b/1.wav', 'b/2.wav']
    >>> tree.read_text("notes.txt")
    'two files'
    """

    def __init__(self, root: Path | Mapping[str, str | bytes], *, corpus_id: str = "this corpus") -> None:
        self.corpus_id = corpus_id
        self.root = None if isinstance(root, Mapping) else Path(root)
        """The folder as it was given; None for a mapping."""
        self._contents = root if isinstance(root, Mapping) else {}
        if self.root is not None and not self.root.is_dir():
            hint = "This is a file: unpack it and give the folder." if self.root.is_file() else ""
            raise CorpusNotFound(corpus_id, str(self.root), hint)

    @cached_property
    def _stored(self) -> list[tuple[str, str]]:
        """Every file as (composed name, stored name), sorted."""
        if self.root is not None:
            stored: Iterator[str] = _walk(self.root, self.corpus_id)
        else:
            stored = (path for path in self._contents if not any(map(_is_hidden, path.split("/"))))
        return sorted((nfc(path), path) for path in stored)

    @cached_property
    def _stored_name(self) -> dict[str, str]:
        return dict(self._stored)

    def files(self) -> tuple[PurePosixPath, ...]:
        """Every file, relative to the root, sorted."""
        return tuple(PurePosixPath(stored) for _, stored in self._stored)

    def glob(self, pattern: str) -> tuple[PurePosixPath, ...]:
        """Files that match, relative to the root, sorted.

        Args:
            pattern: ``*`` and ``?`` stay within one folder's or file's name, ``[MF]`` is one of these characters,
                ``[!MF]`` one that is none of them, and ``**`` stands for any number of folders. Case counts.
        """
        matches = _compiled(pattern).fullmatch
        return tuple(PurePosixPath(stored) for composed, stored in self._stored if matches(composed))

    def has(self, pattern: str) -> bool:
        """Tell whether any file matches the pattern of ``glob``."""
        matches = _compiled(pattern).fullmatch
        return any(matches(composed) for composed, _ in self._stored)

    def top_level(self) -> tuple[str, ...]:
        """Names in the root, sorted; those of folders end in a slash."""
        return self._entries("")

    def _entries(self, folder: str) -> tuple[str, ...]:
        below = (composed.removeprefix(folder) for composed, _ in self._stored if composed.startswith(folder))
        return tuple(sorted({name.partition("/")[0] + ("/" if "/" in name else "") for name in below}))

    def nearest(self, name: str) -> PurePosixPath | None:
        """The file nearest to the root whose path ends so; None where there is none.

        Args:
            name: the last parts of the path, as a pattern of ``glob``.
        """
        return min(self.glob(f"**/{name}"), key=_depth, default=None)

    def exists(self, path: str | PurePosixPath) -> bool:
        """Tell whether there is such a file."""
        return nfc(str(path)) in self._stored_name

    def read_text(self, path: str | PurePosixPath, *, encoding: str = "utf-8-sig") -> str:
        """Read a text file, by default UTF-8 with or without a byte order mark.

        Raises:
            WrongLayout: there is no such file, it is a Git LFS pointer, or not in this encoding.
        """
        stored = self._stored_name.get(nfc(str(path)))
        if stored is None:
            raise self.wrong_layout(f"the file {str(path)!r}", self._what_is_near(nfc(str(path))))
        content = (self.root / stored).read_bytes() if self.root is not None else self._contents[stored]
        if isinstance(content, str):
            content = content.encode(encoding.removesuffix("-sig"))
        if content.startswith(LFS_POINTER):
            hint = "Run `git lfs pull` in the corpus's repository."
            raise self.wrong_layout(f"the content of {str(path)!r}", "a Git LFS pointer", hint)
        try:
            return content.decode(encoding)
        except UnicodeDecodeError as cause:
            found = f"a byte that is not at position {cause.start}"
            raise self.wrong_layout(f"{str(path)!r} to be text in {encoding.removesuffix('-sig')}", found) from cause

    def read_csv(
        self, path: str | PurePosixPath, *, delimiter: str = ",", columns: Sequence[str] | None = None
    ) -> list[dict[str, str]]:
        """Read a table with a header row; blank lines are skipped.

        Args:
            path: the table.
            delimiter: what stands between two fields.
            columns: those to keep, all of which must be there; None keeps whatever the table has.

        Raises:
            WrongLayout: as ``read_text``; or there is no header, two columns share a name, a named column is missing,
                or a row has more or fewer fields than the header.
        """
        reader = csv.reader(io.StringIO(self.read_text(path), newline=""), delimiter=delimiter)
        try:
            header = next(reader, [])
            if not header or len(set(header)) < len(header):
                raise self.wrong_layout(
                    f"different column names in line 1 of {str(path)!r}", listing(header) or "no line"
                )
            missing = [name for name in columns or () if name not in header]
            if missing:
                raise self.wrong_layout(
                    f"{'columns' if len(missing) > 1 else 'a column'} {listing(missing, most=len(missing))} "
                    f"in {str(path)!r}",
                    f"the columns {listing(header, most=len(header))}",
                )
            kept = [(name, i) for i, name in enumerate(header) if columns is None or name in columns]
            rows = []
            for fields in reader:
                if fields and len(fields) != len(header):
                    place = f"line {reader.line_num} of {str(path)!r}"
                    raise self.wrong_layout(f"{len(header)} fields in {place}", f"{len(fields)} fields")
                if fields:
                    rows.append({name: fields[i] for name, i in kept})
        except csv.Error as cause:
            raise self.wrong_layout(f"a table in {str(path)!r}", f"{cause} in line {reader.line_num}") from cause
        return rows

    def read_json(self, path: str | PurePosixPath) -> Any:
        """Read a JSON file.

        Raises:
            WrongLayout: as ``read_text``; or it is no JSON.
        """
        try:
            return json.loads(self.read_text(path))
        except (ValueError, RecursionError) as cause:
            raise self.wrong_layout(f"JSON in {str(path)!r}", f"{cause}") from cause

    def _what_is_near(self, path: str) -> str:
        folder = path.rpartition("/")[0]
        beside = self._entries(folder + "/") if folder else self.top_level()
        if beside:
            return f"{listing(beside)}" + (f" in {folder!r}" if folder else "")
        return listing(self.top_level()) or "an empty folder"

    def wrong_layout(self, expected: str, found: str, hint: str = "") -> WrongLayout:
        """The error to raise where this corpus's files or tables are not as expected."""
        return WrongLayout(self.corpus_id, expected=expected, found=found, hint=hint)

    def check_folder(self, path: PurePosixPath, told: str, *, by: str, found: str | None = None) -> None:
        """Compare the folder that a file's name tells with the one above it.

        Args:
            path: of the file.
            told: the folder, as the file's name tells it.
            by: what tells it, such as ``its letter says``.
            found: the folder, where it is not the one that the file itself lies in.

        Raises:
            WrongLayout: they differ.
        """
        found = path.parent.name if found is None else found
        if found != told:
            hint = "They differ in capitals only." if found.casefold() == told.casefold() else ""
            raise self.wrong_layout(f"{path.name!r} in the folder {told!r}, as {by}", f"it in {found!r}", hint)


def nearest_copies(paths: Iterable[PurePosixPath], *, n_parts: int = 1) -> tuple[PurePosixPath, ...]:
    """Of files that occur more than once below a root, keep the copy nearest to it; sorted.

    Some archives hold the whole corpus again in an inner folder.

    Args:
        paths: relative to the root.
        n_parts: how many last parts of a path make it the same file: 1 where the bare name tells, 2 where the folder
            is needed too.

    >>> copies = [PurePosixPath("again/a/1.wav"), PurePosixPath("a/1.wav"), PurePosixPath("a/2.wav")]
    >>> [str(path) for path in nearest_copies(copies)]
    ['a/1.wav', 'a/2.wav']
    """
    nearest: dict[tuple[str, ...], PurePosixPath] = {}
    for path in sorted(paths, key=_depth):
        nearest.setdefault(tuple(map(nfc, path.parts[-n_parts:])), path)
    return tuple(sorted(nearest.values()))


def _depth(path: PurePosixPath) -> tuple[int, PurePosixPath]:
    return len(path.parts), path


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _walk(root: Path, corpus_id: str) -> Iterator[str]:
    """Paths of all files, links to nothing included: a corpus whose content was never fetched consists of those."""
    pending: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(str(root), "", frozenset())]
    while pending:
        folder, prefix, above = pending.pop()
        try:
            lineage = above | {_identity(folder)}
            with os.scandir(folder) as entries:
                for entry in entries:
                    if _is_hidden(entry.name):
                        continue
                    if not entry.is_dir():
                        yield prefix + entry.name
                    elif not (entry.is_symlink() and _identity(entry.path) in lineage):
                        pending.append((entry.path, f"{prefix}{entry.name}/", lineage))
        except OSError as cause:
            raise CorpusError(
                f"The folder {prefix or '.'!r} of {corpus_id} cannot be read ({cause.strerror}). Check its permissions."
            ) from cause


def _identity(folder: str) -> tuple[int, int]:
    status = Path(folder).stat()
    return status.st_dev, status.st_ino


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = ["(?:[^/]+/)*" if part == "**" else GLOB_TOKEN.sub(_token, part) + "/" for part in nfc(pattern).split("/")]
    return re.compile("".join(parts).removesuffix("/"))


def _token(match: re.Match[str]) -> str:
    token = match[0]
    if token in "*?":
        return "[^/]*" if token == "*" else "[^/]"
    if token.startswith("[") and len(token) > 1:
        negated = token[1] == "!"
        members = token[2 if negated else 1 : -1].replace("\\", r"\\").replace("[", r"\[").replace("]", r"\]")
        return f"[^/{members}]" if negated else f"[{members.replace('^', chr(92) + '^')}]"
    return re.escape(token)
