import hashlib
import json
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pooch
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from voxemo_example.toy import TOY

from archives import tar_of, tree, zip_of
from file_host import FileHost, file_host, free_port
from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard, Download
from voxemo.core.errors import ChecksumMismatch, DownloadError, NoConnection
from voxemo.corpora import download as dl
from voxemo.corpora.download_folder import STORE, SUMS, read_sums
from voxemo.corpora.unpack import Report
from voxemo.steps.download import download_corpus

CONTENT = bytes(range(256)) * 300
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
ARCHIVE = zip_of({"a.wav": b"a"})


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


# --- transfer ----------------------------------------------------------------------------------------------------


def test_a_file_is_fetched_whole_and_noted_as_sha256sum_would(host: FileHost, tmp_path: Path) -> None:
    url = host.serve("a.wav", CONTENT)

    done = get(tmp_path, Download(url=url))

    assert done == dl.Downloaded(root=tmp_path, fetched=("a.wav",), kept=(), not_compared=(), n_unpacked=0, packed=())
    assert tree(tmp_path) == {"a.wav": CONTENT}
    assert (tmp_path / STORE / SUMS).read_text() == f"{SHA256}  a.wav\n"
    assert {path.name for path in (tmp_path / STORE).iterdir()} == {SUMS}


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
    assert (caught.value.host, caught.value.url, caught.value.places) == ("127.0.0.1", url, (str(place),))
    place.parent.mkdir()
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


def test_what_a_failed_download_left_empty_is_taken_away_and_nothing_else(tmp_path: Path) -> None:
    wanted = Download(url=f"http://127.0.0.1:{free_port()}/a.zip")
    (tmp_path / "there").mkdir()

    for folder in ("there", "new/folder"):
        with pytest.raises(NoConnection):
            get(tmp_path / folder, wanted)

    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


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


def test_an_address_with_a_password_is_not_fetched_and_the_password_not_shown(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="with a user name or password in it") as caught:
        get(tmp_path, Download(url="https://me:secret@example.org/a.wav"))

    assert "secret" not in str(caught.value)


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


@pytest.mark.parametrize("name", [SUMS, "x.zip"])
def test_a_file_with_the_name_of_one_in_the_hidden_folder_is_its_own(host: FileHost, tmp_path: Path, name: str) -> None:
    first, second = host.serve("x.zip", ARCHIVE), host.serve(f"other/{name}", CONTENT)

    get(tmp_path, Download(url=first), Download(url=second, unpack=False, folder="other"))

    assert tree(tmp_path) == {"a.wav": b"a", f"other/{name}": CONTENT}
    assert sorted(read_sums(tmp_path)) == [f"{STORE}/x.zip", f"other/{name}"]


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
    (tmp_path / STORE / SUMS).write_text("\n".join(lines))

    assert read_sums(tmp_path) == {"a b.wav": SHA256}


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


@pytest.fixture
def out_of_reach(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No record can be asked, until this is undone."""

    def no_network(*_: object, **__: object) -> None:
        raise requests.ConnectionError

    monkeypatch.setattr(pooch.downloaders, "doi_to_url", no_network)
    return monkeypatch


@pytest.mark.usefixtures("out_of_reach")
def test_without_a_connection_to_the_record_the_missing_files_and_their_places_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"a")

    with pytest.raises(NoConnection, match=r"There is no connection to doi\.org") as caught:
        get(tmp_path, Download(doi=RECORD, files=("a.wav", "b.wav", "c.zip")))

    assert caught.value.files == ("b.wav", "c.zip")
    assert caught.value.places == (str(tmp_path / "b.wav"), str(tmp_path / STORE / "c.zip"))
    assert f"download 'b.wav', 'c.zip' of the record https://doi.org/{RECORD} by hand" in str(caught.value)
    with pytest.raises(NoConnection, match=r"goes on where it stopped\.$"):
        get(tmp_path, Download(doi=RECORD))


@pytest.mark.usefixtures("out_of_reach")
def test_without_a_connection_to_the_record_files_put_there_by_hand_are_taken_and_not_called_whole(
    tmp_path: Path,
) -> None:
    wanted = Download(doi=RECORD, files=("a.wav", "b.wav"))
    for name in wanted.files:
        (tmp_path / name).write_bytes(b"any")

    done = get(tmp_path, wanted)

    assert (done.kept, done.not_compared, read_sums(tmp_path)) == ((), ("a.wav", "b.wav"), {})
    (tmp_path / "a.wav").write_bytes(b"another")
    assert get(tmp_path, wanted).not_compared == ("a.wav", "b.wav")


def test_a_file_that_could_not_be_compared_is_compared_as_soon_as_its_record_is_there(
    tmp_path: Path, zenodo: Callable[[dict[str, bytes]], None]
) -> None:
    wanted = Download(doi=RECORD, files=("a.wav",))
    zenodo({"a.wav": b"a"})
    (tmp_path / "a.wav").write_bytes(b"not a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dl, "_files_of_record", _no_record)
        assert get(tmp_path, wanted).not_compared == ("a.wav",)

    with pytest.raises(ChecksumMismatch):
        get(tmp_path, wanted)
    (tmp_path / "a.wav").write_bytes(b"a")

    assert get(tmp_path, wanted).kept == ("a.wav",)


def _no_record(*_: object) -> None:
    raise NoConnection("doi.org", "it cannot be reached", url="https://doi.org/x", places=())


@pytest.mark.usefixtures("out_of_reach")
@pytest.mark.parametrize("bad", [b"<html>Please log in</html>", zip_of({"b.wav": b"b"})], ids=["page", "other archive"])
@pytest.mark.parametrize(
    "wanted", [Download(url="https://example.org/x.zip"), Download(doi=RECORD, files=("x.zip",))], ids=["url", "record"]
)
def test_a_bad_archive_put_there_by_hand_can_be_replaced_by_a_good_one(
    tmp_path: Path, wanted: Download, bad: bytes
) -> None:
    place = tmp_path / STORE / "x.zip"
    place.parent.mkdir()
    for content in (bad, ARCHIVE, ARCHIVE):
        place.write_bytes(content)
        with suppress(ChecksumMismatch, DownloadError):
            done = get(tmp_path, wanted)

    assert (tmp_path / "a.wav").read_bytes() == b"a"
    assert (*done.kept, *done.not_compared) == (f"{STORE}/x.zip",)


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


def test_a_record_is_not_looked_up_over_an_address_that_is_not_encrypted(
    host: FileHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = host.serve("doi", b"", statuses=[302], headers={"Location": "http://zenodo.org/records/7"})
    ask = requests.get
    monkeypatch.setattr(requests, "get", lambda _url, **how: ask(there, **how))

    with pytest.raises(DownloadError, match=r"http://zenodo\.org/records/7 is not fetched"):
        get(tmp_path, Download(doi=RECORD))


@pytest.mark.parametrize("name", ["../a.wav", "a/b.wav", "..", "a\\b.wav", "C:a.wav", "a\nb.wav"])
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


@pytest.mark.parametrize("by_hand", [False, True], ids=["fetched", "put there by hand"])
def test_a_page_in_place_of_an_archive_is_replaced_by_the_next_call(
    host: FileHost, tmp_path: Path, by_hand: bool
) -> None:
    wanted = Download(url=host.serve("x.zip", b"<html>Please log in</html>"))
    with pytest.raises(DownloadError, match=r"cannot be unpacked.*put a good copy at .*/x\.zip"):
        get(tmp_path, wanted)
    if by_hand:
        (tmp_path / STORE / "x.zip").write_bytes(ARCHIVE)
    else:
        host.serve("x.zip", ARCHIVE)

    assert get(tmp_path, wanted).fetched == (() if by_hand else (f"{STORE}/x.zip",))
    assert tree(tmp_path) == {"a.wav": b"a"}


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
    url = host.serve("x.zip", ARCHIVE)

    with pytest.raises(DownloadError, match=r"no archive .*gone\.tar"):
        get(tmp_path, Download(url=url, inner={"gone.tar": ""}))


def test_an_archive_of_another_kind_is_named_and_left_packed(host: FileHost, tmp_path: Path) -> None:
    done = get(tmp_path, Download(url=host.serve("x.rar", b"Rar!")))

    assert (done.packed, done.root, tree(tmp_path)) == (("x.rar",), None, {"x.rar": b"Rar!"})


def test_an_archive_is_not_unpacked_where_the_card_says_so(host: FileHost, tmp_path: Path) -> None:
    get(tmp_path, Download(url=host.serve("x.zip", ARCHIVE), unpack=False, folder="as/it/is"))

    assert tree(tmp_path) == {"as/it/is/x.zip": ARCHIVE}


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
