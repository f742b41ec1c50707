import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from voxemo_example.toy import TOY

from file_host import FileHost, file_host, free_port
from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard, Download
from voxemo.core.errors import NoConnection
from voxemo.corpora import download as dl

Command = Callable[..., Any]
CARDS = lookup.builtin_corpus_cards()
CONTENT = b"RIFF" * 1000


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileHost]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(dl, "PAUSES_S", (0.0,))
    with file_host() as running:
        yield running


@pytest.fixture
def card_with(tmp_path: Path) -> Callable[..., str]:
    """Write a card of an openly downloadable corpus into the current folder; returns its file name."""

    def write(*downloads: Download, audio_files: tuple[str, ...] = ("*/clips/*.wav",)) -> str:
        card = TOY[0].model_dump(mode="json", exclude_none=True)
        card["access"] |= {"kind": "open", "downloads": [d.model_dump(exclude_defaults=True) for d in downloads]}
        card["audio_files"] = audio_files
        (tmp_path / "card.json").write_text(json.dumps(card), encoding="utf-8")
        return "card.json"

    return write


# --- before anything is fetched ----------------------------------------------------------------------------------


def test_without_the_flag_the_licence_and_the_exact_command_are_shown_and_nothing_is_fetched(
    voxemo: Command, tmp_path: Path
) -> None:
    done = voxemo("download", "subesco", "--to", "my corpora/subesco")

    assert (done.code, done.err) == (1, "")
    for said in (
        "licence: CC-BY-4.0",
        "homepage: https://zenodo.org/records/4526477",
        "SUBESCO.zip of the record https://doi.org/10.5281/zenodo.4526477",
        "size: 1.66 GB",
        "checksums: published for every file",
    ):
        assert said in done.out
    assert done.out.endswith("  voxemo download subesco --to 'my corpora/subesco' --accept-license\n")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_needed_only_to_fetch(voxemo: Command) -> None:
    assert "voxemo download urdu --to FOLDER --accept-license" in voxemo("download", "urdu").out

    fetching = voxemo("download", "urdu", "--accept-license")

    assert (fetching.code, fetching.out) == (1, "")
    assert "say where the corpus goes: --to FOLDER" in fetching.err


def test_files_without_a_published_checksum_are_counted(voxemo: Command) -> None:
    assert "published for 2 of 3 files" in voxemo("download", "shemo", "--to", "x").out
    assert "none is published" in voxemo("download", "emov-db", "--to", "x").out


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.corpus_id)
def test_every_corpus_says_how_to_get_it(voxemo: Command, card: CorpusCard) -> None:
    done = voxemo("download", card.corpus_id, "--to", "x")

    assert (done.code, done.err) == (1, "")
    assert card.access.license in done.out
    assert card.access.homepage in done.out
    if not card.access.downloads:
        assert card.access.how in done.out
        assert all(pattern in done.out for pattern in card.audio_files)
        assert done.out.endswith(f"  voxemo prepare {card.corpus_id} --root FOLDER\n")


def test_a_corpus_that_has_to_be_asked_for_is_not_fetched_whatever_is_accepted(voxemo: Command, tmp_path: Path) -> None:
    done = voxemo("download", "iemocap", "--to", "x", "--accept-license")

    assert (done.code, done.err) == (1, "")
    assert "IEMOCAP is not downloaded by voxemo. Its provider has to be asked" in done.out
    assert "5531 utterances, 10 speakers" in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("corpus", "n_files"), [("emns", 2), ("msp-podcast", 0)])
def test_the_same_as_json(voxemo: Command, corpus: str, n_files: int) -> None:
    done = voxemo("download", corpus, "--to", "x", "--json")

    shown = json.loads(done.out)
    access = lookup.corpus_card(corpus).access
    assert done.code == 1
    assert (shown["license"], shown["how"], shown["access"]) == (access.license, access.how, access.kind)
    assert (len(shown["files"]), shown["fetched"], shown["root"]) == (n_files, [], None)
    assert shown["next"] == (f"voxemo download {corpus} --to x --accept-license" if n_files else None)


def test_a_corpus_made_by_a_program_is_not_offered_to_be_prepared(voxemo: Command) -> None:
    done = voxemo("download", "toy", "--to", "x")

    assert (done.code, done.err) == (1, "")
    assert "how to get it: `voxemo_example.toy.make_toy_corpus` makes it." in done.out
    assert "prepare" not in done.out


def test_an_unknown_corpus_is_an_error(voxemo: Command) -> None:
    done = voxemo("download", "ravdes", "--to", "x")

    assert done.code == 1
    assert "Did you mean 'ravdess'?" in done.err


# --- with the licence accepted -----------------------------------------------------------------------------------


def test_an_accepted_corpus_is_fetched_and_the_next_command_has_the_right_root(
    voxemo: Command, host: FileHost, card_with: Callable[..., str]
) -> None:
    url = host.serve("a b.wav", CONTENT, cuts=[100])
    card = card_with(Download(url=url, folder="repository main/data/clips"), audio_files=("clips/*.wav",))

    done = voxemo("download", card, "--to", "corpus", "--accept-license")

    assert done.code == 0
    assert "files fetched: 1; there already, and whole: 0" in done.out
    words = shlex.split(done.out.splitlines()[-1])
    assert words == ["voxemo", "prepare", "card.json", "--root", "corpus/repository main/data"]
    assert (Path(words[-1]) / "clips" / "a b.wav").read_bytes() == CONTENT


def test_a_second_call_says_that_all_is_there(voxemo: Command, host: FileHost, card_with: Callable[..., str]) -> None:
    card = card_with(Download(url=host.serve("a.wav", CONTENT)), audio_files=("*.wav",))
    voxemo("download", card, "--to", "corpus", "--accept-license")

    done = voxemo("download", card, "--to", "corpus", "--accept-license", "--json")

    assert json.loads(done.out) | {"how": "", "homepage": "", "license": ""} == {
        "corpus_id": "toy",
        "access": "open",
        "license": "",
        "redistributable": True,
        "homepage": "",
        "how": "",
        "files": ["a.wav"],
        "fetched": [],
        "not_compared": [],
        "n_unpacked": 0,
        "packed": [],
        "root": "corpus",
        "next": "voxemo prepare card.json --root corpus",
    }
    assert (done.code, len(host.requests)) == (0, 1)


def test_a_file_that_could_not_be_compared_with_its_record_is_not_called_whole(
    voxemo: Command, card_with: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_record(*_: object) -> None:
        raise NoConnection("doi.org", "it cannot be reached", url="https://doi.org/x", places=())

    monkeypatch.setattr(dl, "_files_of_record", no_record)
    card = card_with(Download(doi="10.5281/zenodo.7", files=("a.wav",)), audio_files=("*.wav",))
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.wav").write_bytes(CONTENT)

    done = voxemo("download", card, "--to", "corpus", "--accept-license")

    assert done.code == 0
    assert "files fetched: 0; there already, and whole: 0" in done.out
    assert "not compared: no connection to the record of a.wav" in done.out


def test_an_archive_that_has_to_be_unpacked_by_hand_is_named_with_the_command_that_follows(
    voxemo: Command, host: FileHost, card_with: Callable[..., str]
) -> None:
    card = card_with(Download(url=host.serve("a.rar", b"Rar!")))

    done = voxemo("download", card, "--to", "corpus", "--accept-license")

    assert done.code == 1
    assert "    corpus/a.rar\n" in done.out
    assert done.out.endswith("    voxemo prepare card.json --root corpus\n")


def test_files_that_are_not_what_the_card_expects_are_not_called_a_success(
    voxemo: Command, host: FileHost, card_with: Callable[..., str]
) -> None:
    card = card_with(Download(url=host.serve("other.wav", CONTENT)))

    done = voxemo("download", card, "--to", "corpus", "--accept-license")

    assert done.code == 1
    assert "No audio like '*/clips/*.wav' is in it" in done.out


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_failed_download_is_an_error_for_people_and_programs(
    voxemo: Command, host: FileHost, card_with: Callable[..., str], as_json: bool
) -> None:
    card = card_with(Download(url=f"http://127.0.0.1:{free_port()}/a.zip"))

    done = voxemo("download", card, "--to", "corpus", "--accept-license", *(["--json"] if as_json else []))

    assert done.code == 1
    assert "NoConnection: There is no connection to 127.0.0.1" in done.err
    assert "put it at corpus/.voxemo-download/a.zip" in done.err
    if as_json:
        assert json.loads(done.out)["error"] == "NoConnection"
