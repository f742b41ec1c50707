"""Archives of every kind, whole, damaged and hostile."""

import contextlib
import io
import os
import shutil
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import tar_of, tree, zip_of
from voxemo.core.errors import DownloadError, UnsafeArchive
from voxemo.corpora.download_folder import STORE, SUMS
from voxemo.corpora.unpack import unpack as unpack_archive

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


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info, b""


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


@pytest.mark.parametrize("name", [f"{STORE}/{SUMS}", f"./{STORE}/x.tar", f"{STORE.upper()}/{SUMS}"])
def test_an_entry_that_would_replace_the_notes_of_the_download_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.tar").write_bytes(tar_of({"good.wav": b"good", name: b"evil"}))

    with pytest.raises(UnsafeArchive, match="what voxemo notes"):
        unpack(tmp_path / "x.tar", tmp_path / "corpus")

    assert [path.name for path in (tmp_path / "corpus").rglob("*")] == [STORE]


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


def pax(**headers: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo("a.wav")
    info.pax_headers = {name.replace("_", "."): value for name, value in headers.items()}
    return info, b"a"


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
        ("x.tar", tar_of({}, others=[pax(path="a\0b.wav")])),
        ("x.tar", tar_of({}, others=[pax(GNU_sparse_map="0,x", GNU_sparse_size="3")])),
    ],
    ids=[
        "short zip",
        "page",
        "zip entry",
        "page as tar",
        "short gz",
        "broken gz",
        "short xz",
        "broken bz2",
        "name with a zero byte",
        "map of a sparse file",
    ],
)
def test_a_damaged_archive_is_set_aside(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DownloadError, match="it is damaged, or the host sent a page"):
        unpack(tmp_path / name, tmp_path / "corpus")

    assert not (tmp_path / name).exists()
    assert (tmp_path / "corpus" / STORE / f"{name}.wrong").read_bytes() == content


@pytest.mark.parametrize("declared", [10, 4_000_000_000], ids=["less", "more"])
def test_an_entry_that_lies_about_its_size_writes_no_more_than_it_declares(tmp_path: Path, declared: int) -> None:
    content = bytearray(zip_of({"a.wav": bytes(1_000_000)}))
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, declared)
    (tmp_path / "x.zip").write_bytes(content)

    with contextlib.suppress(DownloadError):
        unpack(tmp_path / "x.zip", tmp_path / "corpus")

    assert sum(map(len, tree(tmp_path / "corpus").values())) <= min(declared, 1_000_000)


def test_an_archive_that_the_disk_cannot_hold_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.zip").write_bytes(ARCHIVES["x.zip"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=100))

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


def test_folders_are_told_from_files_where_a_zip_has_backslashes(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(zip_of({"a\\": b"", "a\\1.wav": b"one"}))

    assert unpack(tmp_path / "x.zip", tmp_path / "corpus") == 1
    assert tree(tmp_path / "corpus") == {"a/1.wav": b"one"}


def test_of_two_entries_with_one_name_the_last_counts_however_often_it_is_unpacked(tmp_path: Path) -> None:
    earlier = (tarfile.TarInfo("./a.wav"), b"old")
    (tmp_path / "x.tar").write_bytes(tar_of({"a.wav": b"newer"}, others=[earlier]))

    for _ in range(2):
        assert unpack(tmp_path / "x.tar", tmp_path / "corpus") == 1
        assert tree(tmp_path / "corpus") == {"a.wav": b"newer"}


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
