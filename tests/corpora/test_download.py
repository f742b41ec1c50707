import hashlib
import io
import json
import os
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pooch
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from file_host import FileHost, file_host, free_port
from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard, Download
from voxemo.core.errors import ChecksumMismatch, DownloadError, NoConnection, UnsafeArchive
from voxemo.corpora import download as dl
from voxemo.corpora.unpack import STORE, Report
from voxemo.corpora.unpack import unpack as unpack_archive
from voxemo.demo.toy import TOY
from voxemo.steps.download import download_corpus

CONTENT = bytes(range(256)) * 300
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def running_host() -> Iterator[FileHost]:
    with file_host() as host:
        yield host


@pytest.fixture
def host(running_host: FileHost, monkeypatch: pytest.MonkeyPatch) -> FileHost:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running_host.files.clear()
    running_host.requests.clear()
    return running_host


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been waited. Reads are short, so that small files are cut between two of them."""
    waited: list[float] = []
    monkeypatch.setattr(dl, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(dl, "time", SimpleNamespace(sleep=waited.append))
    return waited


def card_of(*downloads: Download, audio_files: Sequence[str] = ("*.wav",)) -> CorpusCard:
    access = TOY[0].access.model_copy(update={"kind": "open", "downloads": downloads})
    return TOY[0].model_copy(update={"access": access, "audio_files": tuple(audio_files)})


def quiet(_title: str, _unit: str) -> AbstractContextManager[Report]:
    return nullcontext(lambda _done, _total: None)


def get(folder: Path, *downloads: Download, audio_files: Sequence[str] = ("*.wav",)) -> dl.Downloaded:
    return download_corpus(card_of(*downloads, audio_files=audio_files), folder, watch=quiet)


def zip_of(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


def tar_of(files: dict[str, bytes], mode: str = "w", others: Sequence[tarfile.TarInfo] = ()) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        for info in others:
            archive.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, without what the download keeps for itself."""
    files = (path for path in folder.rglob("*") if path.is_file() and STORE not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def kept(folder: Path) -> set[str]:
    return {path.name for path in (folder / STORE).iterdir()}


# --- transfer ----------------------------------------------------------------------------------------------------


def test_a_file_is_fetched_whole_and_noted_as_sha256sum_would(host: FileHost, tmp_path: Path) -> None:
    url = host.serve("a.wav", CONTENT)

    done = get(tmp_path, Download(url=url))

    assert done == dl.Downloaded(root=tmp_path, fetched=("a.wav",), kept=(), n_unpacked=0, packed=())
    assert tree(tmp_path) == {"a.wav": CONTENT}
    assert (tmp_path / STORE / dl.SUMS).read_text() == f"{SHA256}  a.wav\n"
    assert kept(tmp_path) == {dl.SUMS}


def test_a_cut_download_goes_on_where_it_was_cut(host: FileHost, tmp_path: Path) -> None:
    url = host.serve("a.wav", CONTENT, etag='"one"', cuts=[1000, 20_000])

    get(tmp_path, Download(url=url))

    assert tree(tmp_path) == {"a.wav": CONTENT}
    assert host.ranges_asked() == [None, "bytes=1000-", "bytes=21000-"]
    assert [headers.get("if-range") for _, headers in host.requests] == [None, '"one"', '"one"']


def test_a_later_call_goes_on_where_the_last_one_gave_up(host: FileHost, tmp_path: Path) -> None:
    wanted = Download(url=host.serve("a.wav", CONTENT, cuts=[1000, 0, 0, 0, 0]))

    with pytest.raises(NoConnection, match="cut again and again"):
        get(tmp_path, wanted)
    assert tree(tmp_path) == {}
    get(tmp_path, wanted)

    assert tree(tmp_path) == {"a.wav": CONTENT}
    assert host.ranges_asked() == [None, *["bytes=1000-"] * 5]


def test_a_server_without_ranges_sends_the_file_again(host: FileHost, tmp_path: Path) -> None:
    url = host.serve("a.wav", CONTENT, ranges=False, cuts=[1000, 20_000])

    get(tmp_path, Download(url=url))

    assert tree(tmp_path) == {"a.wav": CONTENT}
    assert host.ranges_asked() == [None, "bytes=1000-", "bytes=20000-"]


def test_a_file_that_changed_in_between_is_fetched_anew(host: FileHost, tmp_path: Path) -> None:
    wanted = Download(url=host.serve("a.wav", b"old" * 1000, etag='"one"', cuts=[1000, 0, 0, 0, 0]))
    with pytest.raises(NoConnection):
        get(tmp_path, wanted)
    host.serve("a.wav", CONTENT, etag='"two"')

    get(tmp_path, wanted)

    assert tree(tmp_path) == {"a.wav": CONTENT}


def test_a_file_of_another_size_is_fetched_anew_where_the_server_names_no_version(
    host: FileHost, tmp_path: Path
) -> None:
    wanted = Download(url=host.serve("a.wav", b"old" * 1000, cuts=[1000, 0, 0, 0, 0]))
    with pytest.raises(NoConnection):
        get(tmp_path, wanted)
    host.serve("a.wav", CONTENT)

    get(tmp_path, wanted)

    assert tree(tmp_path) == {"a.wav": CONTENT}


def test_a_part_of_another_address_is_not_continued(host: FileHost, tmp_path: Path) -> None:
    first = Download(url=host.serve("old/a.wav", b"old" * 1000, cuts=[1000, 0, 0, 0, 0]))
    with pytest.raises(NoConnection):
        get(tmp_path, first)

    get(tmp_path, Download(url=host.serve("new/a.wav", CONTENT)))

    assert tree(tmp_path) == {"a.wav": CONTENT}


def test_a_part_that_a_server_sends_from_elsewhere_is_thrown_away(host: FileHost, tmp_path: Path) -> None:
    url = host.serve("a.wav", CONTENT, shift=-7, cuts=[1000])

    get(tmp_path, Download(url=url))

    assert tree(tmp_path) == {"a.wav": CONTENT}
    assert host.ranges_asked() == [None, "bytes=1000-", None]


@pytest.mark.parametrize("there", [CONTENT, CONTENT + b"more"], ids=["whole", "too long"])
def test_a_part_with_nothing_left_to_fetch_is_taken_if_it_is_whole(
    host: FileHost, tmp_path: Path, there: bytes
) -> None:
    url = host.serve("a.wav", CONTENT)
    (tmp_path / STORE).mkdir()
    (tmp_path / STORE / "a.wav.part").write_bytes(there)
    (tmp_path / STORE / "a.wav.part.json").write_text(json.dumps({"url": url}))

    get(tmp_path, Download(url=url))

    assert tree(tmp_path) == {"a.wav": CONTENT}


def test_a_file_of_unannounced_length_is_taken_to_the_end(host: FileHost, tmp_path: Path) -> None:
    get(tmp_path, Download(url=host.serve("a.wav", CONTENT, length=False)))

    assert tree(tmp_path) == {"a.wav": CONTENT}


@settings(max_examples=25)
@given(
    cuts=st.lists(st.integers(0, 3000), max_size=6), ranges=st.booleans(), etag=st.sampled_from(["", '"x"', 'W/"x"'])
)
def test_a_download_cut_anywhere_and_often_gives_the_same_bytes(cuts: list[int], ranges: bool, etag: str) -> None:
    with file_host() as host, tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setattr(dl, "time", SimpleNamespace(sleep=lambda _seconds: None))
        patch.setattr(dl, "CHUNK_BYTES", 300)
        wanted = Download(url=host.serve("a.wav", CONTENT[:2500], ranges=ranges, etag=etag, cuts=cuts))
        while True:
            try:
                get(Path(folder), wanted)
                break
            except NoConnection:
                assert tree(Path(folder)) == {}

        assert tree(Path(folder)) == {"a.wav": CONTENT[:2500]}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(host: FileHost, tmp_path: Path, pauses: list[float], status: int) -> None:
    get(tmp_path, Download(url=host.serve("a.wav", CONTENT, statuses=[status, status])))

    assert tree(tmp_path) == {"a.wav": CONTENT}
    assert pauses == list(dl.PAUSES_S[:2])


def test_the_pause_that_a_server_asks_for_is_kept_within_reason(
    host: FileHost, tmp_path: Path, pauses: list[float]
) -> None:
    url = host.serve("a.wav", CONTENT, statuses=[429], headers={"Retry-After": "17"})
    get(tmp_path, Download(url=url))
    later = host.serve("b.wav", CONTENT, statuses=[429], headers={"Retry-After": "86400"})
    get(tmp_path, Download(url=later))

    assert pauses == [17.0, dl.LONGEST_PAUSE_S]


def test_a_server_that_stays_busy_is_given_up_with_its_answer(
    host: FileHost, tmp_path: Path, pauses: list[float]
) -> None:
    with pytest.raises(NoConnection, match="it answers 503 Service Unavailable"):
        get(tmp_path, Download(url=host.serve("a.wav", CONTENT, statuses=[503] * 10)))

    assert pauses == list(dl.PAUSES_S)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_tried_again_and_names_the_place_for_a_copy(
    host: FileHost, tmp_path: Path, status: int
) -> None:
    url = host.serve("a.zip", b"", statuses=[status] * 10)

    with pytest.raises(DownloadError, match=f"answers {status} .*{STORE}/a.zip is used"):
        get(tmp_path, Download(url=url))

    assert len(host.requests) == 1


def test_without_a_connection_the_error_says_what_to_fetch_by_hand_and_where_to_put_it(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/a.zip"

    with pytest.raises(NoConnection) as caught:
        get(tmp_path, Download(url=url))

    place = tmp_path / STORE / "a.zip"
    assert (caught.value.host, caught.value.url, caught.value.place) == ("127.0.0.1", url, str(place))
    place.write_bytes(zip_of({"a.wav": CONTENT}))
    done = get(tmp_path, Download(url=url))
    assert (done.fetched, done.kept, tree(tmp_path)) == ((), (f"{STORE}/a.zip",), {"a.wav": CONTENT})


@pytest.mark.parametrize(
    ("raised", "why"),
    [
        (requests.exceptions.ConnectTimeout, "it does not answer in time"),
        (requests.exceptions.ReadTimeout, "it does not answer in time"),
        (requests.exceptions.SSLError, "its certificate is not accepted"),
        (requests.exceptions.ProxyError, "the proxy does not let it through"),
        (requests.exceptions.ConnectionError, "it cannot be reached"),
    ],
)
def test_the_reason_for_no_connection_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: type[Exception], why: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(requests.Session, "get", fail)

    with pytest.raises(NoConnection) as caught:
        get(tmp_path, Download(url="https://example.org/a.wav"))

    assert caught.value.why == why


def test_a_folder_that_is_a_file_is_an_error_that_names_the_place(host: FileHost, tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("")

    with pytest.raises(DownloadError, match=r"clips/a\.wav cannot be written"):
        get(tmp_path, Download(url=host.serve("a.wav", CONTENT), folder="clips"))


def test_a_file_that_the_disk_cannot_hold_is_not_begun(
    host: FileHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dl.shutil, "disk_usage", lambda _path: SimpleNamespace(free=len(CONTENT) - 1))

    with pytest.raises(DownloadError, match=r"no room for a\.wav"):
        get(tmp_path, Download(url=host.serve("a.wav", CONTENT)))


def test_a_folder_that_cannot_be_made_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(DownloadError, match="Give another with --to"):
        get(tmp_path / "file" / "corpus", Download(url="https://example.org/a.wav"))


def test_a_corpus_without_anything_to_download_is_an_error_that_says_how_to_get_it(tmp_path: Path) -> None:
    card = lookup.corpus_card("iemocap")

    with pytest.raises(DownloadError) as caught:
        download_corpus(card, tmp_path / "corpus", watch=quiet)

    assert card.access.how in str(caught.value)
    assert not (tmp_path / "corpus").exists()


# --- addresses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["https://zenodo.org/a.zip", "http://localhost:8000/a.zip", "http://127.0.0.1/a.zip", "http://[::1]:80/a.zip"],
)
def test_encrypted_addresses_and_those_of_this_machine_are_fetched(url: str) -> None:
    dl.check_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://zenodo.org/a.zip",
        "ftp://zenodo.org/a.zip",
        "file:///etc/passwd",
        "http://127.0.0.1.example.org/a.zip",
        "http://localhost@example.org/a.zip",
        "http://10.0.0.1/a.zip",
        "a.zip",
    ],
)
def test_other_addresses_are_not_fetched(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="only https addresses"):
        get(tmp_path, Download(url=url))


def test_a_redirect_is_followed(host: FileHost, tmp_path: Path) -> None:
    host.serve("there.wav", CONTENT)
    url = host.serve("a.wav", b"", statuses=[302], headers={"Location": host.url("there.wav")})

    get(tmp_path, Download(url=url))

    assert tree(tmp_path) == {"a.wav": CONTENT}


def test_a_redirect_to_an_address_that_is_not_encrypted_is_not_followed(host: FileHost, tmp_path: Path) -> None:
    url = host.serve("a.wav", b"", statuses=[302], headers={"Location": "http://example.org/a.wav"})

    with pytest.raises(DownloadError, match=r"http://example\.org/a\.wav is not fetched"):
        get(tmp_path, Download(url=url))


def test_the_name_of_a_file_is_the_last_part_of_its_address_or_given() -> None:
    assert dl.file_name(Download(url="https://example.org/x/a%20b.zip?download=1")) == "a b.zip"
    assert dl.file_name(Download(url="https://example.org/x/download", name="a.zip")) == "a.zip"


# --- checksums ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_a_file_with_the_published_checksum_is_taken(host: FileHost, tmp_path: Path, algorithm: str) -> None:
    checksum = f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}"

    get(tmp_path, Download(url=host.serve("a.wav", CONTENT), checksum=checksum))

    assert tree(tmp_path) == {"a.wav": CONTENT}


def test_a_file_with_another_checksum_is_set_aside_and_never_unpacked(host: FileHost, tmp_path: Path) -> None:
    good, bad = zip_of({"a.wav": b"good"}), zip_of({"a.wav": b"bad"})
    published = f"md5:{hashlib.md5(good).hexdigest()}"
    wanted = Download(url=host.serve("a.zip", bad), checksum=published)

    with pytest.raises(ChecksumMismatch) as caught:
        get(tmp_path, wanted)

    aside = tmp_path / STORE / "a.zip.wrong"
    assert (caught.value.expected, caught.value.found) == (published, f"md5:{hashlib.md5(bad).hexdigest()}")
    assert caught.value.set_aside == str(aside)
    assert aside.read_bytes() == bad
    assert tree(tmp_path) == {}
    host.serve("a.zip", good)
    get(tmp_path, wanted)
    assert tree(tmp_path) == {"a.wav": b"good"}


def test_a_file_put_there_by_hand_must_fit_the_published_checksum(host: FileHost, tmp_path: Path) -> None:
    wanted = Download(url=host.serve("a.wav", CONTENT), checksum=f"md5:{MD5}")
    (tmp_path / "a.wav").write_bytes(b"something else")

    with pytest.raises(ChecksumMismatch):
        get(tmp_path, wanted)
    assert host.requests == []
    get(tmp_path, wanted)

    assert tree(tmp_path) == {"a.wav": CONTENT}


def test_a_file_that_was_altered_later_is_noticed(host: FileHost, tmp_path: Path) -> None:
    wanted = Download(url=host.serve("a.wav", CONTENT))
    get(tmp_path, wanted)
    (tmp_path / "a.wav").write_bytes(b"altered")

    with pytest.raises(ChecksumMismatch) as caught:
        get(tmp_path, wanted)

    assert caught.value.expected == f"sha256:{SHA256}"


def test_a_second_call_fetches_nothing_and_puts_back_what_was_deleted(host: FileHost, tmp_path: Path) -> None:
    wanted = Download(url=host.serve("a.zip", zip_of({"a.wav": b"a", "b.wav": b"b"})))
    get(tmp_path, wanted)
    (tmp_path / "b.wav").unlink()
    host.requests.clear()

    done = get(tmp_path, wanted)

    assert host.requests == []
    assert (done.fetched, done.kept, done.n_unpacked) == ((), (f"{STORE}/a.zip",), 2)
    assert tree(tmp_path) == {"a.wav": b"a", "b.wav": b"b"}


def test_a_torn_line_of_sums_does_not_count_and_the_last_whole_one_does(tmp_path: Path) -> None:
    (tmp_path / STORE).mkdir()
    lines = [f"{'0' * 64}  a b.wav", f"{SHA256}  a b.wav", f"{SHA256[:20]}"]
    (tmp_path / STORE / dl.SUMS).write_text("\n".join(lines))

    assert dl.read_sums(tmp_path) == {"a b.wav": SHA256}


# --- records -----------------------------------------------------------------------------------------------------


@pytest.fixture
def zenodo(host: FileHost, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, bytes]], None]:
    """A Zenodo record with these files; pooch asks for it as always, only elsewhere."""
    monkeypatch.setattr(pooch.downloaders, "doi_to_url", lambda doi, **_: f"https://zenodo.org/records/{doi[-1]}")
    monkeypatch.setattr(pooch.downloaders.ZenodoRepository, "base_api_url", host.url("api"))

    def publish(files: dict[str, bytes]) -> None:
        listed = [
            {
                "key": name,
                "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
                "links": {"self": host.serve(f"files/{number}", content)},
            }
            for number, (name, content) in enumerate(files.items())
        ]
        host.serve("api/7", json.dumps({"id": 7, "files": listed}).encode())

    return publish


RECORD = "10.5281/zenodo.7"


def test_all_files_of_a_record_are_fetched_and_compared_with_its_checksums(
    host: FileHost, tmp_path: Path, zenodo: Callable[[dict[str, bytes]], None]
) -> None:
    zenodo({"a.wav": b"a", "b.wav": b"b"})
    get(tmp_path / "good", Download(doi=RECORD))
    host.serve("files/1", b"not b")

    with pytest.raises(ChecksumMismatch, match=r"b\.wav is not the expected file"):
        get(tmp_path / "bad", Download(doi=RECORD))

    assert tree(tmp_path / "good") == {"a.wav": b"a", "b.wav": b"b"}


def test_only_the_named_files_of_a_record_are_fetched_however_accents_are_stored(
    tmp_path: Path, zenodo: Callable[[dict[str, bytes]], None]
) -> None:
    zenodo({unicodedata.normalize("NFD", "Oréau.wav"): b"a", "video.zip": b"large"})

    done = get(tmp_path, Download(doi=RECORD, files=("Oréau.wav",)))

    assert done.fetched == ("Oréau.wav",)
    assert tree(tmp_path) == {"Oréau.wav": b"a"}


def test_a_second_call_does_not_even_ask_for_the_record(
    host: FileHost, tmp_path: Path, zenodo: Callable[[dict[str, bytes]], None]
) -> None:
    zenodo({"a.zip": zip_of({"a.wav": b"a"})})
    wanted = Download(doi=RECORD, files=("a.zip",))
    get(tmp_path, wanted)
    host.requests.clear()

    assert get(tmp_path, wanted).kept == (f"{STORE}/a.zip",)
    assert host.requests == []


def test_a_file_put_there_by_hand_is_compared_with_the_record(
    tmp_path: Path, zenodo: Callable[[dict[str, bytes]], None]
) -> None:
    zenodo({"a.wav": b"a"})
    (tmp_path / "a.wav").write_bytes(b"not a")

    with pytest.raises(ChecksumMismatch):
        get(tmp_path, Download(doi=RECORD, files=("a.wav",)))


def test_without_a_connection_to_the_record_files_put_there_by_hand_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise requests.ConnectionError

    monkeypatch.setattr(pooch.downloaders, "doi_to_url", no_network)
    wanted = Download(doi=RECORD, files=("a.wav", "b.wav"))
    (tmp_path / "a.wav").write_bytes(b"a")

    with pytest.raises(NoConnection, match=r"There is no connection to doi\.org"):
        get(tmp_path, wanted)
    (tmp_path / "b.wav").write_bytes(b"b")

    assert get(tmp_path, wanted).kept == ("a.wav", "b.wav")


def test_a_record_without_a_file_that_the_card_names_is_refused(
    tmp_path: Path, zenodo: Callable[[dict[str, bytes]], None]
) -> None:
    zenodo({"a.wav": b"a"})

    with pytest.raises(DownloadError, match=r"lacks the file 'b\.wav'"):
        get(tmp_path, Download(doi=RECORD, files=("a.wav", "b.wav")))


def test_a_record_that_does_not_exist_is_an_error(
    host: FileHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_found(_doi: str, **_: object) -> None:
        requests.get(host.url("nothing"), timeout=5).raise_for_status()

    monkeypatch.setattr(pooch.downloaders, "doi_to_url", not_found)

    with pytest.raises(DownloadError, match="cannot be read: 404"):
        get(tmp_path, Download(doi=RECORD))


@pytest.mark.parametrize("name", ["../a.wav", "a/b.wav", "..", "a\\b.wav", "C:a.wav"])
def test_a_record_with_a_file_name_that_leads_elsewhere_is_refused(
    tmp_path: Path, zenodo: Callable[[dict[str, bytes]], None], name: str
) -> None:
    zenodo({name: b"a"})

    with pytest.raises(DownloadError, match="has a file with the name"):
        get(tmp_path / "corpus", Download(doi=RECORD))

    assert tree(tmp_path) == {}


def test_a_record_in_an_unknown_form_is_an_error_that_says_what_to_do(
    host: FileHost, tmp_path: Path, zenodo: Callable[[dict[str, bytes]], None]
) -> None:
    host.serve("api/7", b'{"message": "moved"}')

    with pytest.raises(DownloadError, match="Download them by hand"):
        get(tmp_path, Download(doi=RECORD))


def test_a_dataverse_record_is_read_too(host: FileHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooch.downloaders, "doi_to_url", lambda _doi, **_: host.url("dataset.xhtml"))
    file = {"filename": "a.wav", "id": 5, "md5": MD5}
    host.serve(
        "api/datasets/:persistentId", json.dumps({"data": {"latestVersion": {"files": [{"dataFile": file}]}}}).encode()
    )
    host.serve("api/access/datafile/5", CONTENT)

    get(tmp_path, Download(doi="10.5683/SP2/X"))

    assert tree(tmp_path) == {"a.wav": CONTENT}


def test_many_files_share_one_progress_display_and_few_have_their_own(
    host: FileHost, tmp_path: Path, zenodo: Callable[[dict[str, bytes]], None]
) -> None:
    shown: dict[str, list[tuple[int, int]]] = {}

    def watch(title: str, unit: str) -> AbstractContextManager[Report]:
        calls = shown.setdefault(f"{title} in {unit}", [])
        return nullcontext(lambda done, total: calls.append((done, total)))

    many = dl.MANY_FILES + 1
    zenodo({f"{number}.wav": b"x" for number in range(many)})
    large = host.serve("large.wav", bytes(2_500_000))
    dl.download(card_of(Download(doi=RECORD), Download(url=large)), tmp_path, watch=watch)

    assert list(shown) == [f"{many} files in files", "large.wav in MB"]
    assert shown[f"{many} files in files"] == [(n, many) for n in range(many + 1)]
    assert shown["large.wav in MB"][-1] == (3, 3)


# --- archives ----------------------------------------------------------------------------------------------------

FILES = {"a/1.wav": b"one", "a/b/2.wav": b"two" * 5000, "note.txt": b"", "Colère.wav": b"three"}
ARCHIVES = {
    "x.zip": zip_of(FILES),
    "x.tar": tar_of(FILES),
    "x.tar.gz": tar_of(FILES, "w:gz"),
    "x.TGZ": tar_of(FILES, "w:gz"),
    "x.tar.xz": tar_of(FILES, "w:xz"),
    "x.tar.bz2": tar_of(FILES, "w:bz2"),
}


def unpack(archive: Path, root: Path, into: str = "") -> int:
    (root / STORE).mkdir(parents=True, exist_ok=True)
    return unpack_archive(archive, root, into=into, report=lambda _done, _total: None)


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def zip_with_link(name: str, to: str) -> bytes:
    made = io.BytesIO(zip_of({"a.wav": b"a"}))
    with zipfile.ZipFile(made, "a") as archive:
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, to)
    return made.getvalue()


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_unpacked_with_its_names_as_they_are(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(ARCHIVES[name])

    assert unpack(tmp_path / name, tmp_path / "corpus") == 4
    assert tree(tmp_path / "corpus") == FILES


NAMES = st.lists(
    st.sampled_from(["a", "b.wav", "é", "_", "__MACOSX", "..", "", ".", "C:", "~"]), min_size=1, max_size=4
)


@settings(max_examples=60)
@given(
    parts=st.lists(NAMES, max_size=5),
    slash=st.sampled_from(["/", "\\"]),
    as_zip=st.booleans(),
    into=st.sampled_from(["", "a"]),
)
def test_whatever_an_archive_names_is_below_the_folder_or_nothing_is_written(
    parts: list[list[str]], slash: str, as_zip: bool, into: str
) -> None:
    files = {slash.join(names): b"x" for names in parts}
    with tempfile.TemporaryDirectory() as folder:
        outside, root = Path(folder), Path(folder) / "corpus"
        archive = outside / ("x.zip" if as_zip else "x.tar")
        archive.write_bytes(zip_of(files) if as_zip else tar_of(files))
        before = tree(outside)
        try:
            unpack(archive, root, into)
        except UnsafeArchive:
            assert tree(outside) == before
        except DownloadError:
            pass  # a file and a folder of one name, or a name that is no file's
        strays = set(tree(outside)) - set(before)
        assert all(name.startswith("corpus/") for name in strays)


@pytest.mark.parametrize(
    "name",
    [
        "/evil.wav",
        "//evil.wav",
        "../evil.wav",
        "a/../../evil.wav",
        "..\\evil.wav",
        "C:\\evil.wav",
        "C:evil.wav",
        "\\\\host\\x.wav",
    ],
)
@pytest.mark.parametrize("make", [zip_of, tar_of], ids=["zip", "tar"])
def test_an_entry_that_points_outside_is_refused_before_anything_is_written(
    tmp_path: Path, make: Callable[[dict[str, bytes]], bytes], name: str
) -> None:
    archive = tmp_path / ("x.zip" if make is zip_of else "x.tar")
    archive.write_bytes(make({"good.wav": b"good", name: b"evil"}))

    with pytest.raises(UnsafeArchive, match="points outside") as caught:
        unpack(archive, tmp_path / "corpus")

    assert caught.value.archive == archive.name
    assert set(tree(tmp_path)) == {archive.name}


@pytest.mark.parametrize("name", [f"{STORE}/{dl.SUMS}", f"./{STORE}/x.tar", f"a/../{STORE}/x"])
def test_an_entry_that_would_replace_the_notes_of_the_download_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.tar").write_bytes(tar_of({"good.wav": b"good", name: b"evil"}))

    with pytest.raises(UnsafeArchive):
        unpack(tmp_path / "x.tar", tmp_path / "corpus")

    assert (tree(tmp_path / "corpus"), kept(tmp_path / "corpus")) == ({}, set())


@pytest.mark.parametrize(
    "content",
    [
        tar_of({"a.wav": b"a"}, others=[link("l", "/etc")]),
        tar_of({"l/evil.wav": b"evil"}, others=[link("l", "..")]),
        tar_of({"l": b"evil"}, others=[link("l", "../outside.wav", tarfile.LNKTYPE)]),
        tar_of({"a.wav": b"a"}, others=[link("l", "a.wav")]),
        tar_of({"a.wav": b"a"}, others=[link("fifo", "", tarfile.FIFOTYPE)]),
        tar_of({"a.wav": b"a"}, others=[link("tty", "", tarfile.CHRTYPE)]),
        zip_with_link("l", "/etc"),
    ],
    ids=[
        "link",
        "link and a file through it",
        "hard link and a file over it",
        "harmless link",
        "fifo",
        "device",
        "zip",
    ],
)
def test_links_and_devices_are_refused_before_anything_is_written(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "outside.wav").write_bytes(b"outside")
    archive = tmp_path / ("x.zip" if content.startswith(b"PK") else "x.tar")
    archive.write_bytes(content)

    with pytest.raises(UnsafeArchive, match="a link or a device"):
        unpack(archive, tmp_path / "corpus")

    assert set(tree(tmp_path)) == {archive.name, "outside.wav"}
    assert not any(path.is_symlink() for path in (tmp_path / "corpus").rglob("*"))


@pytest.mark.parametrize("where", ["a", "a/1.wav", "into"])
def test_nothing_is_written_through_a_link_that_is_there_already(tmp_path: Path, where: str) -> None:
    (tmp_path / "x.tar").write_bytes(ARCHIVES["x.tar"])
    (tmp_path / "elsewhere").mkdir()
    into = "into" if where == "into" else ""
    planted = tmp_path / "corpus" / where
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.symlink_to(tmp_path / "elsewhere", target_is_directory=True)

    with pytest.raises(UnsafeArchive, match="through the link"):
        unpack(tmp_path / "x.tar", tmp_path / "corpus", into)

    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.zip", ARCHIVES["x.zip"][:-30]),
        ("x.zip", b"<html>Please log in</html>"),
        ("x.zip", ARCHIVES["x.zip"].replace(b"PK\x03\x04", b"PK\x00\x00", 1)),
        ("x.tar", b"<html>Please log in</html>"),
        ("x.tar.gz", ARCHIVES["x.tar.gz"][:-30]),
        ("x.tar.gz", ARCHIVES["x.tar.gz"][:60] + b"????" + ARCHIVES["x.tar.gz"][64:]),
        ("x.tar.xz", ARCHIVES["x.tar.xz"][:-40]),
        ("x.tar.bz2", ARCHIVES["x.tar.bz2"][:40] + b"????" + ARCHIVES["x.tar.bz2"][44:]),
    ],
    ids=["short zip", "page", "zip entry", "page as tar", "short gz", "broken gz", "short xz", "broken bz2"],
)
def test_a_damaged_archive_is_set_aside(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DownloadError, match="it is damaged, or the host sent a page"):
        unpack(tmp_path / name, tmp_path / "corpus")

    assert not (tmp_path / name).exists()
    assert (tmp_path / "corpus" / STORE / f"{name}.wrong").read_bytes() == content


def test_an_archive_that_is_damaged_is_fetched_again_by_the_next_call(host: FileHost, tmp_path: Path) -> None:
    wanted = Download(url=host.serve("x.zip", b"<html>Please log in</html>"))
    with pytest.raises(DownloadError, match="cannot be unpacked"):
        get(tmp_path, wanted)
    host.serve("x.zip", ARCHIVES["x.zip"])

    assert get(tmp_path, wanted).fetched == (f"{STORE}/x.zip",)
    assert tree(tmp_path) == FILES


def test_an_archive_that_the_disk_cannot_hold_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.zip").write_bytes(ARCHIVES["x.zip"])
    monkeypatch.setattr(dl.shutil, "disk_usage", lambda _path: SimpleNamespace(free=100))

    with pytest.raises(DownloadError, match=r"no room for the content of x\.zip"):
        unpack(tmp_path / "x.zip", tmp_path / "corpus")

    assert tree(tmp_path / "corpus") == {}


def test_an_archive_whose_content_cannot_be_written_is_kept(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(ARCHIVES["x.zip"])
    (tmp_path / "corpus" / "a" / "1.wav").mkdir(parents=True)

    with pytest.raises(DownloadError, match="or unpack it by hand"):
        unpack(tmp_path / "x.zip", tmp_path / "corpus")

    assert (tmp_path / "x.zip").exists()


def test_an_archive_with_a_password_is_kept_and_left_to_a_person(tmp_path: Path) -> None:
    content = bytearray(zip_of({"a.wav": b"a"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(content)

    with pytest.raises(DownloadError, match=r"password.*or unpack it by hand"):
        unpack(tmp_path / "x.zip", tmp_path / "corpus")

    assert (tmp_path / "x.zip").exists()


def test_names_in_a_dos_code_page_become_what_the_format_says(tmp_path: Path) -> None:
    stored = zip_of({"Col?re/D?go?t.wav": b"a"})
    dos = "Colère/Dégoût.wav".encode("cp437")
    (tmp_path / "x.zip").write_bytes(stored.replace(b"Col?re/D?go?t.wav", dos))

    unpack(tmp_path / "x.zip", tmp_path / "corpus")

    assert tree(tmp_path / "corpus") == {"Colère/Dégoût.wav": b"a"}


def test_accents_stay_as_they_are_stored(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "Oréau/é.wav")
    (tmp_path / "x.tar").write_bytes(tar_of({name: b"a"}))

    unpack(tmp_path / "x.tar", tmp_path / "corpus")

    assert list(tree(tmp_path / "corpus")) == [name]


def test_what_macos_adds_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(zip_of({"x/a.wav": b"a", "__MACOSX/x/._a.wav": b"fork"}))

    assert unpack(tmp_path / "x.zip", tmp_path / "corpus", into="x") == 1
    assert tree(tmp_path / "corpus") == {"x/a.wav": b"a"}


@pytest.mark.parametrize(
    ("names", "unpacked"),
    [
        (["bea_Amused/1.wav"], ["bea_Amused/1.wav"]),
        (["1.wav", "2.wav"], ["bea_Amused/1.wav", "bea_Amused/2.wav"]),
        (["bea_Amused/1.wav", "read.me"], ["bea_Amused/bea_Amused/1.wav", "bea_Amused/read.me"]),
        (["other/1.wav"], ["bea_Amused/other/1.wav"]),
    ],
    ids=["has the folder", "flat", "has the folder and more", "another folder"],
)
def test_an_archive_goes_into_its_folder_once(tmp_path: Path, names: list[str], unpacked: list[str]) -> None:
    (tmp_path / "x.tar").write_bytes(tar_of(dict.fromkeys(names, b"a")))

    unpack(tmp_path / "x.tar", tmp_path / "corpus", into="bea_Amused")

    assert sorted(tree(tmp_path / "corpus")) == unpacked


def test_files_that_are_there_stay_and_cut_ones_are_written_again(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(ARCHIVES["x.tar"])
    unpack(tmp_path / "x.tar", tmp_path / "corpus")
    first, second = tmp_path / "corpus/a/1.wav", tmp_path / "corpus/a/b/2.wav"
    os.utime(first, (0, 0))
    second.write_bytes(b"tw")

    unpack(tmp_path / "x.tar", tmp_path / "corpus")

    assert first.stat().st_mtime == 0
    assert tree(tmp_path / "corpus") == FILES


def test_archives_in_an_archive_go_where_the_card_says(host: FileHost, tmp_path: Path) -> None:
    train, dev = tar_of({"train_splits/1.mp4": b"1", "train.csv": b"t"}, "w:gz"), tar_of({"dev/2.mp4": b"2"}, "w:gz")
    url = host.serve(
        "raw.tar.gz", tar_of({"Raw/train.tar.gz": train, "Raw/dev.tar.gz": dev, "Raw/dev.csv": b"d"}, "w:gz")
    )
    inner = {"Raw/train.tar.gz": "Raw/train", "Raw/dev.tar.gz": "Raw"}

    done = get(tmp_path, Download(url=url, inner=inner), audio_files=["train/train_splits/*.mp4"])

    unpacked = {name: content for name, content in tree(tmp_path).items() if not name.endswith(".gz")}
    assert unpacked == {
        "Raw/train/train_splits/1.mp4": b"1",
        "Raw/train/train.csv": b"t",
        "Raw/dev/2.mp4": b"2",
        "Raw/dev.csv": b"d",
    }
    assert (done.root, done.n_unpacked) == (tmp_path / "Raw", 6)


def test_an_inner_archive_that_is_not_there_is_an_error(host: FileHost, tmp_path: Path) -> None:
    url = host.serve("x.zip", ARCHIVES["x.zip"])

    with pytest.raises(DownloadError, match=r"no archive .*gone\.tar"):
        get(tmp_path, Download(url=url, inner={"gone.tar": ""}))


def test_an_archive_of_another_kind_is_named_and_left_packed(host: FileHost, tmp_path: Path) -> None:
    done = get(tmp_path, Download(url=host.serve("x.rar", b"Rar!")))

    assert (done.packed, done.root, tree(tmp_path)) == (("x.rar",), None, {"x.rar": b"Rar!"})


def test_an_archive_is_not_unpacked_where_the_card_says_so(host: FileHost, tmp_path: Path) -> None:
    get(tmp_path, Download(url=host.serve("x.zip", ARCHIVES["x.zip"]), unpack=False, folder="as/it/is"))

    assert tree(tmp_path) == {"as/it/is/x.zip": ARCHIVES["x.zip"]}


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_root_to_prepare_is_found_below_folders_that_archives_add(tmp_path: Path, depth: int) -> None:
    root = tmp_path.joinpath(*["repository-main", "data"][:depth])
    (root / "wav").mkdir(parents=True)
    (root / "wav" / "a.wav").touch()

    assert dl.find_root(card_of(audio_files=["other/*.wav", "wav/*.wav"]), tmp_path) == root


# --- cards -------------------------------------------------------------------------------------------------------

HOSTS = {
    "data.mendeley.com",
    "enterface.net",
    "github.com",
    "huggingface.co",
    "mostwiedzy.pl",
    "raw.githubusercontent.com",
    "www.openslr.org",
}
RECORDS = ("10.5281/zenodo.", "10.5683/SP2/")
CARDS = lookup.builtin_corpus_cards()


@pytest.mark.parametrize("card", [card for card in CARDS if card.access.downloads], ids=lambda card: card.corpus_id)
def test_a_card_names_encrypted_addresses_of_known_hosts_and_each_file_once(card: CorpusCard) -> None:
    places = []
    for wanted in card.access.downloads:
        if wanted.url is not None:
            dl.check_address(wanted.url)
            assert urlsplit(wanted.url).hostname in HOSTS
            places.append(dl.place_of(wanted, dl.file_name(wanted), Path("corpus")))
        else:
            assert (wanted.doi or "").startswith(RECORDS)
            places += [dl.place_of(wanted, name, Path("corpus")) for name in wanted.files]

    assert all(place.name for place in places)
    assert len(places) == len(set(places))


@pytest.mark.parametrize("card", [card for card in CARDS if card.access.downloads], ids=lambda card: card.corpus_id)
def test_a_card_says_what_its_addresses_were_confirmed_by(card: CorpusCard) -> None:
    assert "addresses" in card.sources["access"]
    assert "not tried" in card.sources["access"]


@pytest.mark.parametrize(
    "card", [card for card in CARDS if card.access.kind == "open"], ids=lambda card: card.corpus_id
)
def test_an_open_corpus_is_downloaded_or_says_what_a_person_does(card: CorpusCard) -> None:
    followed = ("Download", "Clone", "Take", "Run", "Load")

    assert card.access.downloads or (card.access.how.startswith(followed) and card.access.homepage.startswith("http"))


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../x", "C:/x", "a\\b"])
def test_a_card_cannot_name_a_folder_outside_the_corpus(path: str) -> None:
    with pytest.raises(ValidationError, match="no path below"):
        Download(url="https://example.org/a.zip", folder=path)
    with pytest.raises(ValidationError, match="no path below"):
        Download(url="https://example.org/a.zip", inner={"a.zip": path})


@pytest.mark.parametrize("name", ["../a.zip", "a\\b.zip"])
def test_a_card_cannot_name_a_file_with_a_path(name: str) -> None:
    with pytest.raises(ValidationError, match="no bare file name"):
        Download(url="https://example.org/a.zip", name=name)
    with pytest.raises(ValidationError, match="no bare file name"):
        Download(doi=RECORD, files=(name,))
