"""A user's own corpus on the command line."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import audformat
import pytest

from voxemo.store.files import read_json
from voxemo.store.layout import Workspace

Command = Callable[..., Any]


@pytest.fixture
def audio(toy_workspace: Workspace, tmp_path: Path) -> Path:
    """The toy corpus's clips in a folder for each label, four voices and two takes."""
    clips = Path(read_json(toy_workspace.corpus_root("toy"))["folder"]) / "clips"
    for path in clips.glob("t0[0-3]_*_[01].wav"):
        folder = tmp_path / "audio" / path.stem.split("_")[1]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    return tmp_path / "audio"


def test_the_whole_line_works_on_a_folder_of_audio_without_any_python(voxemo: Command, audio: Path) -> None:
    made = voxemo("new", "corpus", "mine", "--root", audio, "--language", "en", "--license", "CC0-1.0")
    command = made.out.splitlines()[-1].removeprefix("Next: voxemo ").split(" ")
    prepared = voxemo(*command)
    divided = voxemo("split", "mine")
    run = voxemo("run", "--corpus", "mine", "--model", "acoustic-baseline")
    report = voxemo("report", *(audio.parent / "runs").iterdir())

    assert [done.code for done in (made, prepared, divided, run, report)] == [0] * 5
    assert command == ["prepare", "mine/card.toml", "--root", str(audio)]
    assert "note: the card still holds placeholders: citation, setting" in prepared.out
    assert "mine" in report.out
    assert voxemo("prepare", "mine", "--root", audio).code == 0


def test_the_command_that_renews_a_card_is_complete_and_keeps_what_was_written_into_it(
    voxemo: Command, audio: Path, tmp_path: Path
) -> None:
    asked = voxemo("new", "corpus", "mine", "--root", audio, "--out", "my own/mine", "--language", "en")
    (command,) = [line for line in asked.out.splitlines() if line.endswith("--replace")]
    card = tmp_path / "my own" / "mine" / "card.toml"
    text = re.sub("\ncitation = .*", '\ncitation = "Me, 2026."', card.read_text(encoding="utf-8"))
    card.write_text(text, encoding="utf-8")

    renewed = voxemo(*shlex.split(command)[1:])

    assert (renewed.code, renewed.err) == (0, "")
    assert "renewed: nothing" in renewed.out
    assert card.read_text(encoding="utf-8") == text
    assert list(tmp_path.rglob("card.toml")) == [card]
    again = voxemo("new", "corpus", "mine", "--root", audio, "--out", "my own/mine")
    assert "renew it from its table: --manifest my own/mine/manifest.csv --replace" in again.err


def test_what_new_corpus_made_is_json_on_request(voxemo: Command, audio: Path) -> None:
    made = json.loads(voxemo("new", "corpus", "mine", "--root", audio, "--drop", "sad=too few", "--json").out)

    assert made["made"]["card"]["labels"]["raw"] == {"angry": "angry", "happy": "happy", "neutral": "neutral"}
    assert made["next"].startswith("voxemo prepare mine/card.toml --root ")


def test_codes_whose_meaning_is_open_are_shown_and_may_be_named(voxemo: Command, audio: Path) -> None:
    (audio / "angry").rename(audio / "W")

    asked = voxemo("new", "corpus", "mine", "--root", audio)
    named = voxemo(
        "new",
        "corpus",
        "mine",
        "--manifest",
        "mine/manifest.csv",
        "--map",
        "W=angry",
        "--replace",
    )

    assert "CODES WHOSE MEANING IS OPEN" in asked.out
    assert "    W: 8 utterances" in asked.out
    next_line = f"Next: voxemo new corpus mine --manifest mine/manifest.csv --root {audio} --map W=LABEL --replace"
    assert asked.out.splitlines()[-1] == next_line
    assert "W = angry" in named.out
    assert voxemo("prepare", "mine/card.toml", "--root", audio).code == 0


def test_ones_own_corpora_are_listed_and_shown(voxemo: Command, audio: Path) -> None:
    voxemo("new", "corpus", "mine", "--root", audio)
    voxemo("prepare", "mine/card.toml", "--root", audio)

    rows = {row["corpus"]: row for row in json.loads(voxemo("list", "corpus", "--json").out)}

    assert rows["mine"]["utterances"] == str(len(list(audio.rglob("*.wav"))))
    assert "corpus_id: mine" in voxemo("show", "corpus", "mine").out
    assert "Angry, Happy, Neutral, Sad" in voxemo("show", "prompt", "direct", "--corpus", "mine").out
    assert voxemo("show", "transfer", "mine:emodb").out.startswith("mine to emodb: ")


@pytest.mark.filterwarnings("ignore:.*(PDEP|deprecated):DeprecationWarning")
def test_an_audformat_database_becomes_a_corpus(voxemo: Command, audio: Path) -> None:
    names = [path.relative_to(audio).as_posix() for path in sorted(audio.rglob("*.wav"))]
    database = audformat.Database("tones", languages=["eng"])
    database.schemes["emotion"] = audformat.Scheme(labels=["angry", "happy", "neutral", "sad"])
    database["emotion"] = audformat.Table(audformat.filewise_index(names))
    database["emotion"]["emotion"] = audformat.Column(scheme_id="emotion")
    database["emotion"]["emotion"].set([name.partition("/")[0] for name in names])
    database.save(str(audio))

    refused = voxemo("prepare", "--audformat", audio)
    done = voxemo("prepare", "--audformat", audio, "--label-source", "expressed", "--map", "sad=sad")
    named = voxemo("prepare", "--audformat", audio, "--label-source", "expressed", "--name", "mine")

    assert refused.code == 1
    assert "--label-source expressed" in refused.err
    assert done.code == 0
    assert "wrote home/corpora/tones/card.json" in done.out
    assert "note: the card still holds placeholders: setting, year" in done.out
    assert named.out.startswith("tones (mine): ")
    assert voxemo("split", "tones").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("new", "model", "mine"), "no kind called 'model'"),
        (("new", "corpus", "mine"), "--manifest FILE"),
        (("new", "corpus", "mine", "--root", "audio", "--map", "W"), "expected CODE=VALUE"),
        (("new", "corpus", "mine", "--root", "audio", "--label-source", "felt"), "expressed or perceived"),
        (("prepare", "toy"), "Say where toy lies: --root FOLDER"),
        (("prepare",), "give a corpus and --root FOLDER, or --audformat FOLDER"),
        (("prepare", "toy", "--root", "audio", "--table", "emotion"), "--table: only with --audformat"),
        (("prepare", "toy", "--audformat", "audio"), "--audformat takes neither a corpus nor --subset"),
        (("prepare", "toy", "--root", "audio", "--subset", "papers"), "Did you mean 'paper'"),
        (("prepare", "toy", "--root", "audio", "--subset", "paper"), "Which utterances of toy the paper counts"),
    ],
)
def test_words_that_do_not_fit_are_answered(
    voxemo: Command, toy_workspace: Workspace, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "audio").symlink_to(read_json(toy_workspace.corpus_root("toy"))["folder"])

    done = voxemo(*words)

    assert done.code == 1
    assert message in done.err.replace("\n", " ")
