"""Archives unpacked where nothing in them can reach outside a folder."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from lzma import LZMAError
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from voxemo.core.errors import DownloadError, UnsafeArchive
from voxemo.corpora.download_folder import STORE, set_aside
from voxemo.corpora.tree import nfc

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
FOREIGN_ARCHIVES = (".rar", ".7z")
"""Kinds that Python's standard library cannot unpack."""

FOLDER_ENDINGS = ("/", "\\")
"""End the name of a folder in a zip archive; some Windows programs write backslashes, against the format."""

COPIED_BYTES = 1 << 20
"""Copied at a time."""

Report = Callable[[int, int], None]
"""Called with (done, total)."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One file in an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, root: Path, *, into: str = "", report: Report) -> int:
    """Unpack a zip or tar archive; returns the number of files it holds.

    The whole archive is looked through before anything is written. Names are kept as they are stored; zip names without
    the UTF-8 mark are read as code page 437, as the format says. Files that are there with the stored size stay as they
    are; of two entries with one name the last counts. Times, owners and rights are not restored. What macOS adds
    (``__MACOSX``) is left out.

    Args:
        archive: the archive.
        root: the corpus's folder.
        into: folder below ``root`` that receives the content. If this is the name of the archive's only top folder,
            the content goes there and not one folder deeper.
        report: called with (files there, files in all).

    Raises:
        UnsafeArchive: an entry has an absolute path or one with ``..``, is a link, a device or the like, or would be
            written through a link. No corpus's archive needs links, so none is followed or made.
        DownloadError: it is damaged (it is set aside then), of another kind, missing, or there is no room for it.
    """
    try:
        with _entries(archive) as entries:
            placed = dict(_paths(archive, entries, root, _target(root, into, entries)))
            todo = [(path, entry) for path, entry in placed.items() if not _is_there(path, entry)]
            # Neither kind of archive yields more of an entry than it declares, so these sizes can be relied on.
            needed, free = sum(entry.size for _, entry in todo), shutil.disk_usage(root).free
            if needed > free:
                raise no_room(f"the content of {archive.name}", needed, free)
            for n_done, (path, entry) in enumerate(todo, start=len(placed) - len(todo)):
                report(n_done, len(placed))
                path.parent.mkdir(parents=True, exist_ok=True)
                with entry.open() as source, path.open("wb") as file:
                    shutil.copyfileobj(source, file, COPIED_BYTES)
            report(len(placed), len(placed))
            return len(placed)
    except FileNotFoundError as cause:
        raise DownloadError(
            f"There is no archive {archive} to unpack: the one around it holds something else by now. "
            "Look into it, and please report it."
        ) from cause
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, ValueError) as cause:
        raise _damaged(archive, root, cause) from cause
    except (OSError, RuntimeError) as cause:
        # gzip and bz2 tell of damage by an OSError without a number; RuntimeError is what zipfile says of passwords
        # and of compression that this Python was built without.
        if isinstance(cause, OSError) and cause.errno is None:
            raise _damaged(archive, root, cause) from cause
        reason = cause.strerror if isinstance(cause, OSError) else cause
        raise DownloadError(
            f"{archive.name} cannot be unpacked into {root} ({reason}). Mend that and run the same command again, or "
            "unpack it by hand."
        ) from cause


def _damaged(archive: Path, root: Path, cause: Exception) -> DownloadError:
    aside = set_aside(archive, root)
    return DownloadError(
        f"{archive.name} cannot be unpacked ({cause}): it is damaged, or the host sent a page in its place. It now "
        f"lies at {aside}. Run the same command again to fetch it anew, or put a good copy at {archive}."
    )


@contextmanager
def _entries(archive: Path) -> Iterator[list[_Entry]]:
    """The files of an archive; links, devices and the like are refused."""
    if archive.name.casefold().endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            infos = [info for info in file.infolist() if not info.filename.endswith(FOLDER_ENDINGS)]
            for info in infos:
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG):
                    raise UnsafeArchive(archive.name, info.filename, "which is a link or a device")
            yield _wanted([_Entry(info.filename, info.file_size, partial(file.open, info)) for info in infos])
        return
    with tarfile.open(archive) as tar:
        members = [member for member in tar.getmembers() if not member.isdir()]
        for member in members:
            if not member.isreg():
                raise UnsafeArchive(archive.name, member.name, "which is a link or a device")
        yield _wanted([_Entry(member.name, member.size, partial(_open_member, tar, member)) for member in members])


def _open_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    source = tar.extractfile(member)
    assert source is not None, "only regular files are entries"
    return source


def _wanted(entries: list[_Entry]) -> list[_Entry]:
    return [entry for entry in entries if "__MACOSX" not in _parts(entry.name)]


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name.replace("\\", "/")).parts


def _target(root: Path, into: str, entries: list[_Entry]) -> Path:
    tops = {nfc(_parts(entry.name)[0]) for entry in entries if len(_parts(entry.name)) > 1}
    flat = any(len(_parts(entry.name)) == 1 for entry in entries)
    target = root / into
    return target.parent if into and not flat and tops == {nfc(target.name)} else target


def _paths(archive: Path, entries: list[_Entry], root: Path, target: Path) -> Iterator[tuple[Path, _Entry]]:
    """Where each entry goes: below the target and through no link, or an error."""
    looked_at: set[Path] = set()
    for entry in entries:
        parts, windows = _parts(entry.name), PureWindowsPath(entry.name)
        if not parts or ".." in parts or parts[0].startswith("/") or windows.drive or windows.root:
            raise UnsafeArchive(archive.name, entry.name, "which points outside its folder")
        path = target.joinpath(*parts)
        # Where the file system does not tell cases apart, another case is the same folder.
        if path.relative_to(root).parts[0].casefold() == STORE:
            raise UnsafeArchive(archive.name, entry.name, "which would replace what voxemo notes about this download")
        for step in (path, *path.parents):
            if step in looked_at or step == root:
                break
            looked_at.add(step)
            if step.is_symlink():
                raise UnsafeArchive(archive.name, entry.name, f"which would be written through the link {step.name!r}")
        yield path, entry


def _is_there(path: Path, entry: _Entry) -> bool:
    return path.is_file() and path.stat().st_size == entry.size


def no_room(name: str, needed: int, free: int) -> DownloadError:
    """The error to raise where ``needed`` bytes do not fit into ``free`` ones."""
    return DownloadError(
        f"There is no room for {name}: it needs {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free. "
        "Make room, or give another folder, and run the same command again."
    )
