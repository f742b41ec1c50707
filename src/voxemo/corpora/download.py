"""Openly downloadable corpora: a provider's files fetched or continued, checked, and unpacked where they belong.

What to fetch stands on the cards; this module knows no single corpus. pooch finds the files of archived records and
their checksums; the transfer is here, because pooch starts a cut download from the beginning.

Everything that is not the corpus lies in ``.voxemo-download`` below its folder (``download_folder``). Parsers do not
look into hidden folders. Once a corpus is prepared, that folder can be deleted.
"""

import hashlib
import ipaddress
import json
import re
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urljoin, urlsplit

from voxemo import __version__
from voxemo.core.cards import CorpusCard, Download
from voxemo.core.errors import ChecksumMismatch, DownloadError, NoConnection
from voxemo.corpora.download_folder import STORE, add_sum, key_of, read_sums, set_aside
from voxemo.corpora.tree import CorpusTree, nfc
from voxemo.corpora.unpack import ARCHIVES, FOREIGN_ARCHIVES, Report, no_room, unpack

if TYPE_CHECKING:
    import requests

TIMEOUT_S = (10.0, 60.0)
"""To connect, and between two pieces of the answer."""
PAUSES_S = (1.0, 2.0, 4.0)
"""Before each new attempt that follows one without any progress; after the last, it is an error."""
LONGEST_PAUSE_S = 120.0
"""What a host may ask for with Retry-After."""
CHUNK_BYTES = 1 << 16
"""Read at a time; what a cut connection loses is less than this."""
TRANSIENT = (408, 429, 500, 502, 503, 504)
HEADERS = {"User-Agent": f"voxemo/{__version__}"}

MANY_FILES = 40
"""Records of more files show one progress bar over files, not one for each."""

State = Literal["fetched", "whole", "not compared"]
"""How a file came to lie at its place: over the network, or it was there, known to be the right one or not."""

Watch = Callable[[str, str], AbstractContextManager[Report]]
"""Opens the display of one piece of work, by title and unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file of a provider."""

    name: str
    url: str
    checksum: str | None
    """``algorithm:digits`` as the provider publishes it; None where nothing is published or known."""
    record_is_out_of_reach: bool = False
    """A checksum is published, but cannot be asked for: a file of this name may be any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """What lies in the corpus's folder after a download."""

    root: Path | None
    """Folder to prepare the corpus from; None where no file fits the card's ``audio_files``."""
    fetched: tuple[str, ...]
    """Files that came over the network, relative to the folder."""
    kept: tuple[str, ...]
    """Files that were there and whole."""
    not_compared: tuple[str, ...]
    """Files that were there, of a record that could not be asked for their checksums."""
    n_unpacked: int
    """Files that the archives hold."""
    packed: tuple[str, ...]
    """Archives of a kind that has to be unpacked by other means."""


def download(card: CorpusCard, folder: Path, *, watch: Watch) -> Downloaded:
    """Fetch everything that a card names, check it, and unpack it. What is there and whole is not fetched again.

    Args:
        card: a card with ``access.downloads``.
        folder: where the corpus goes; made if it is missing. A file that was got by hand is used when it lies at the
            place that the errors of this module name.
        watch: opens a progress display.

    Raises:
        DownloadError: a file cannot be fetched or unpacked, or there is no room for it.
        NoConnection: a host cannot be reached.
        ChecksumMismatch: a file differs from what its provider published, or was changed after it was fetched.
        UnsafeArchive: an archive would write outside the folder.
    """
    states: dict[str, State] = {}
    packed: list[str] = []
    n_unpacked = 0
    with _made(folder), _session() as session:
        sums = read_sums(folder)
        for wanted in card.access.downloads:
            files = remote_files(wanted, folder, sums=sums)
            archives = []
            with closing(_watched(files, watch)) as watched:
                for remote, report in watched:
                    place = place_of(wanted, remote.name, folder)
                    key = key_of(place, folder)
                    states[key] = fetch(remote, place, folder, sums=sums, session=session, report=report)
                    if _is_archive(wanted, remote.name):
                        archives.append((place, wanted.folder))
                    elif remote.name.casefold().endswith(FOREIGN_ARCHIVES):
                        packed.append(key)
            archives += [(folder / inner, into) for inner, into in wanted.inner.items()]
            for archive, into in archives:
                with watch(f"unpacking {archive.name}", "files") as report:
                    n_unpacked += unpack(archive, folder, into=into, report=report)
    return Downloaded(
        root=find_root(card, folder),
        fetched=tuple(key for key, state in states.items() if state == "fetched"),
        kept=tuple(key for key, state in states.items() if state == "whole"),
        not_compared=tuple(key for key, state in states.items() if state == "not compared"),
        n_unpacked=n_unpacked,
        packed=tuple(packed),
    )


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make the folder of a corpus and the hidden one in it; what is still empty in the end is taken away again."""
    store = folder / STORE
    new = [path for path in (store, *store.parents) if not path.exists()]
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise DownloadError(
            f"The folder {folder} cannot be made ({cause.strerror}). Give another with --to."
        ) from cause
    try:
        yield
    finally:
        for path in new:
            if any(path.iterdir()):
                break
            path.rmdir()


def _watched(files: Sequence[RemoteFile], watch: Watch) -> Generator[tuple[RemoteFile, Report]]:
    """Every file with the function that reports its bytes."""
    if len(files) <= MANY_FILES:
        for remote in files:
            with watch(remote.name, "MB") as report:
                yield remote, _in_megabytes(report)
        return
    with watch(f"{len(files)} files", "files") as report:
        for n_done, remote in enumerate(files):
            report(n_done, len(files))
            yield remote, lambda _done, _total: None
        report(len(files), len(files))


def _in_megabytes(report: Report) -> Report:
    # Rounded up, so that a small file does not look like none.
    return lambda done, total: report(-(-done // 10**6), -(-total // 10**6))


def find_root(card: CorpusCard, folder: Path) -> Path | None:
    """The folder to prepare a corpus from: this one, or the nearest below it where files are named as on the card.

    Archives of a repository or a record often hold everything in one more folder.
    """
    tree = CorpusTree(folder, corpus_id=card.corpus_id)
    for depth in range(3):
        for pattern in card.audio_files:
            if found := tree.glob("*/" * depth + pattern):
                return folder.joinpath(*found[0].parts[:depth])
    return None


# --- what to fetch, and where it goes ----------------------------------------------------------------------------


def file_name(wanted: Download) -> str:
    """Name of the file at a card's address.

    >>> file_name(Download(url="https://example.org/a%20b.zip?download=1"))
    'a b.zip'
    """
    return wanted.name or unquote(urlsplit(wanted.url or "").path).rpartition("/")[2]


def _is_archive(wanted: Download, name: str) -> bool:
    return wanted.unpack and name.casefold().endswith(ARCHIVES)


def place_of(wanted: Download, name: str, folder: Path) -> Path:
    """Where a file is kept: an archive in the hidden folder, anything else among the corpus's files."""
    return folder / STORE / name if _is_archive(wanted, name) else folder / wanted.folder / name


def remote_files(wanted: Download, folder: Path, *, sums: Mapping[str, str]) -> tuple[RemoteFile, ...]:
    """The files that a card's entry means.

    A record is asked over the network for its addresses and checksums, except where all files that the card names are
    there already and known to be whole. Where it cannot be reached, files that are all there are taken as they are.

    Raises:
        NoConnection: the record cannot be reached, and not all of its files are there.
        DownloadError: there is no such record, or it lacks a file that the card names.
    """
    if wanted.url is not None:
        return (RemoteFile(name=file_name(wanted), url=wanted.url, checksum=wanted.checksum),)
    places = {name: place_of(wanted, name, folder) for name in wanted.files}
    there = tuple(
        RemoteFile(name=name, url=_address_of(wanted), checksum=None, record_is_out_of_reach=True)
        for name, place in places.items()
        if place.is_file()
    )
    complete = bool(there) and len(there) == len(places)
    if complete and all(key_of(place, folder) in sums for place in places.values()):
        return there
    try:
        return _files_of_record(wanted, folder)
    except NoConnection as cause:
        if complete:
            return there
        missing = {name: str(place) for name, place in places.items() if not place.is_file()}
        raise NoConnection(
            cause.host, cause.why, url=cause.url, places=tuple(missing.values()), files=tuple(missing)
        ) from cause


def _address_of(wanted: Download) -> str:
    return f"https://doi.org/{wanted.doi}"


def _files_of_record(wanted: Download, folder: Path) -> tuple[RemoteFile, ...]:
    import pooch
    import requests
    from pooch.downloaders import doi_to_repository

    url = _address_of(wanted)
    try:
        record = doi_to_repository(wanted.doi, headers=HEADERS, timeout=TIMEOUT_S, hooks={"response": _check_redirect})
        shelf = pooch.create(path=folder / STORE, base_url=f"doi:{wanted.doi}/", registry={})
        record.populate_registry(shelf)
        names = {nfc(name): name for name in shelf.registry}
        missing = [name for name in wanted.files if nfc(name) not in names]
        chosen = [names[nfc(name)] for name in wanted.files if nfc(name) in names] or list(shelf.registry)
        found = tuple(
            RemoteFile(name=nfc(name), url=record.download_url(name), checksum=shelf.registry[name].lower())
            for name in chosen
        )
    except requests.HTTPError as cause:
        raise DownloadError(
            f"The record {url} cannot be read: {cause}. Look in a browser whether it has moved."
        ) from cause
    except requests.RequestException as cause:
        raise NoConnection(urlsplit(url).hostname or url, _why(cause), url=url, places=()) from cause
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise DownloadError(
            f"The record {url} does not list its files in a form that is known here ({cause!r}). "
            f"Download them by hand and put them into {folder / STORE}."
        ) from cause
    unsafe = [file.name for file in found if file.name in ("", ".", "..") or re.search(r"[/\\:\x00-\x1f]", file.name)]
    if missing or unsafe:
        what = f"lacks the file {missing[0]!r}" if missing else f"has a file with the name {unsafe[0]!r}"
        raise DownloadError(
            f"The record {url} {what}. Its files are not those that the card of this corpus was written for: "
            "look at the record, and please report it."
        )
    return found


# --- checksums ---------------------------------------------------------------------------------------------------


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def fetch(
    remote: RemoteFile,
    place: Path,
    folder: Path,
    *,
    sums: dict[str, str],
    session: "requests.Session",
    report: Report,
) -> State:
    """Have a file at its place; tells whether it had to be fetched, or was there and whole.

    A file that is there already has to be the one noted in ``SHA256SUMS``, or else fit the published checksum. Where
    neither exists, it is taken as it is, and noted; where the checksum is published but out of reach, it is not
    noted, so that it is compared as soon as the record can be asked, and another copy may take its place.

    Args:
        remote: what to fetch.
        place: where it goes, below ``folder``.
        folder: the corpus's folder.
        sums: what ``read_sums`` gave; a file that counts as whole is added to it and to ``SHA256SUMS``.
        session: what asks the host.
        report: called with (bytes there, bytes in all).

    Raises:
        ChecksumMismatch: it is another file. It is set aside, so that the next call fetches it.
        NoConnection: the host cannot be reached.
        DownloadError: the host refuses, or the file cannot be written.
    """
    key = key_of(place, folder)
    fresh = not place.is_file()
    noted = None if fresh else sums.get(key)
    if fresh:
        _transfer(remote, place, folder, session, report)
    sha256 = _digest(place, "sha256")
    expected = f"sha256:{noted}" if noted is not None else remote.checksum
    if expected is not None:
        algorithm, _, digits = expected.partition(":")
        found = sha256 if algorithm == "sha256" else _digest(place, algorithm)
        if found != digits:
            aside = set_aside(place, folder)
            raise ChecksumMismatch(remote.name, expected=expected, found=f"{algorithm}:{found}", set_aside=str(aside))
    size = place.stat().st_size
    report(size, size)
    if noted is None:
        if remote.record_is_out_of_reach:
            return "not compared"
        add_sum(folder, key, sha256)
        sums[key] = sha256
    return "fetched" if fresh else "whole"


# --- over the network --------------------------------------------------------------------------------------------


def check_address(url: str) -> None:
    """Refuse an address that is not encrypted, unless it is on this machine, and one with a password in it.

    Raises:
        DownloadError: anyone on the way could change what such an address gives; or it would be shown in messages.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if "@" in parts.netloc:
        raise DownloadError(
            f"An address of {host} with a user name or password in it is not fetched: messages would show it. "
            "Download the file by hand."
        )
    if parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(host)):
        return
    raise DownloadError(
        f"{url} is not fetched: only https addresses are, so that nobody on the way can change a file. "
        "Look at the corpus's homepage for another address."
    )


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_redirect(response: "requests.Response", **_options: Any) -> None:
    if response.is_redirect:
        check_address(urljoin(response.url, response.headers["location"]))


def _session() -> "requests.Session":
    import requests

    session = requests.Session()
    session.headers.update(HEADERS)
    # What is compressed on the way has neither a length to check nor a place to go on from.
    session.headers["Accept-Encoding"] = "identity"
    session.hooks["response"].append(_check_redirect)
    return session


def _why(cause: Exception) -> str:
    import requests

    if isinstance(cause, requests.Timeout):
        return "it does not answer in time"
    if isinstance(cause, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(cause, requests.exceptions.ProxyError):
        return "the proxy does not let it through"
    if isinstance(cause, requests.exceptions.ChunkedEncodingError):
        return "the connection is cut again and again"
    return "it cannot be reached"


def _transfer(remote: RemoteFile, place: Path, folder: Path, session: "requests.Session", report: Report) -> None:
    check_address(remote.url)
    part = folder / STORE / f"{remote.name}.part"
    try:
        ResumingTransfer(remote.url, part, place, session=session, report=report).run()
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(part, place)
    except OSError as cause:
        raise DownloadError(
            f"{place} cannot be written ({cause.strerror or cause}). Make room or give access, and run the same "
            "command again: it goes on where it stopped."
        ) from cause


class ResumingTransfer:
    """A transfer that goes on where the last one was cut, in this call or in an earlier one.

    A cut file stays as ``NAME.part``; ``NAME.part.json`` beside it tells which version of which address it is part of
    (ETag or date, and size). It is continued with a range request, and begun anew when the server does not do ranges or
    has another version by now.

    Args:
        url: where the file is.
        part: the ``.part`` file, which is whole in the end.
        place: where the file will lie then, for messages.
        session: what asks the host.
        report: called with (bytes there, bytes in all); the second is the first where the host does not tell.
    """

    def __init__(self, url: str, part: Path, place: Path, *, session: "requests.Session", report: Report) -> None:
        self._url = url
        self._part = part
        self._note = part.with_name(part.name + ".json")
        self._place = place
        self._session = session
        self._report = report

    def run(self) -> None:
        """Fetch the file whole.

        Raises:
            NoConnection: the host cannot be reached, or several attempts in a row bring nothing new.
            DownloadError: the host refuses, or the disk is full.
        """
        import requests

        most, failures = self._size(), 0
        why = "the connection is cut again and again"
        while True:
            pause_s = 0.0
            try:
                if self._attempt():
                    break
            except _NotNow as busy:
                why, pause_s = str(busy), busy.pause_s
            except requests.RequestException as cause:
                why = _why(cause)
            # A long file over a bad line may be cut many times; what ends it are attempts that bring nothing new.
            failures = 0 if self._size() > most else failures + 1
            most = max(most, self._size())
            if failures > len(PAUSES_S):
                raise NoConnection(urlsplit(self._url).hostname or "", why, url=self._url, places=(str(self._place),))
            time.sleep(max(pause_s, PAUSES_S[max(failures - 1, 0)]))
        self._note.unlink(missing_ok=True)

    def _attempt(self) -> bool:
        """Ask once for what is missing; tells whether the file is whole then."""
        url, have, note = self._url, self._size(), self._read_note()
        if note.get("url") != url:
            have = self._start_over()
        asked = {"Range": f"bytes={have}-"} if have else {}
        if have and note.get("version"):
            asked["If-Range"] = note["version"]
        with self._session.get(url, headers=asked, stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code in TRANSIENT:
                raise _NotNow(response)
            if response.status_code == 416 and have:
                if have == _total_of_range(response):
                    return True
                self._start_over()
                return False
            if response.status_code not in (200, 206):
                raise DownloadError(
                    f"{urlsplit(url).hostname} answers {response.status_code} {response.reason} for {url}. Look at the "
                    f"corpus's homepage whether it has moved. A copy that you put at {self._place} is used."
                )
            if response.status_code == 206:
                total = _total_of_range(response)
                if _start_of_range(response) != have or note.get("size") not in (None, total):
                    self._start_over()
                    return False
            else:
                have = self._start_over()
                total = _length(response)
            self._write_note(response, total)
            self._check_room(have, total)
            with self._part.open("ab") as part:
                for chunk in response.iter_content(CHUNK_BYTES):
                    part.write(chunk)
                    have += len(chunk)
                    self._report(have, total or have)
        return total is None or have == total

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    def _start_over(self) -> int:
        self._part.unlink(missing_ok=True)
        return 0

    def _read_note(self) -> dict[str, Any]:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _write_note(self, response: "requests.Response", total: int | None) -> None:
        tag = response.headers.get("ETag", "")
        # A weak tag promises the same meaning, not the same bytes.
        version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
        self._note.write_text(json.dumps({"url": self._url, "version": version, "size": total}), encoding="utf-8")

    def _check_room(self, have: int, total: int | None) -> None:
        free = shutil.disk_usage(self._part.parent).free
        if total is not None and total - have > free:
            raise no_room(self._place.name, total - have, free)


class _NotNow(Exception):
    """An answer that another attempt may not get."""

    def __init__(self, response: "requests.Response") -> None:
        super().__init__(f"it answers {response.status_code} {response.reason}")
        asked = response.headers.get("Retry-After", "")
        self.pause_s = min(float(asked), LONGEST_PAUSE_S) if asked.isdigit() else 0.0


def _length(response: "requests.Response") -> int | None:
    # Of a body that was compressed on the way all the same, the length says nothing about the file.
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and "Content-Encoding" not in response.headers else None


def _start_of_range(response: "requests.Response") -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _total_of_range(response: "requests.Response") -> int | None:
    match = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None
