"""Hostile text through every command: no byte of it acts on the terminal, and none of it passes for a line of ours."""

import csv
import io
import json
import os
import re
import shutil
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from voxemo_example.toy import make_toy_corpus

from hostile import (
    CORPUS_ID,
    FILE_NAME,
    FORGED,
    HOSTILE,
    NAME,
    ON_CARDS,
    OWN,
    RESAMPLES,
    HostileWorld,
    acting,
    acting_elements,
    forged,
    formulas,
    hostile_answer,
    rendered,
)
from latex_check import problems
from toy import make
from transfer_world import tiny_base
from voxemo.cli import common
from voxemo.core.disclosure import Disclosure
from voxemo.reports.disclosure import run_disclosure
from voxemo.steps.bundle import bundle_run
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.score import score_run
from voxemo.store import bundles

# What these tests share takes long to make: one process makes it, once.
pytestmark = pytest.mark.xdist_group("hostile")

Command = Callable[..., "Outcome"]  # noqa: F821 the fixture of conftest


@pytest.fixture(scope="module")
def world(hostile: HostileWorld, tmp_path_factory: pytest.TempPathFactory) -> HostileWorld:
    return forged(hostile, tmp_path_factory.mktemp("verbs"))


@pytest.fixture
def told(voxemo: Command, world: HostileWorld, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command in the world; what it tells was looked at."""
    monkeypatch.setenv("VOXEMO_HOME", str(world.workspace.root))
    # Wide, so that what begins a line is not where the terminal ended.
    monkeypatch.setenv("COLUMNS", "20000")

    def call(*words: str | Path) -> Any:
        done = voxemo(*words)
        assert done.code in (0, 1), done.err
        assert acting(done.out + done.err) == set()
        if "--json" in words:
            json.loads(done.out)
        assert not [line for line in (done.out + done.err).splitlines() if line.startswith(FORGED)]
        return done

    return call


# --- verbs ----------------------------------------------------------------------------------------------------------

VERBS = {
    "list": "list corpus",
    "show a card by its path": "show corpus {corpus}",
    "show a card by its name": f"show corpus {CORPUS_ID}",
    "show a model": "show model {model}",
    "show a prompt": f"show prompt direct --corpus {CORPUS_ID} --form sft",
    "show a transfer": f"show transfer {CORPUS_ID}:toy",
    "new": "new corpus other --manifest {table} --root {audio} --out {out}",
    "check": "check {corpus} --root {audio}",
    "check after prepare": f"check {CORPUS_ID} --root {{audio}} --quick",
    "prepare": "prepare {corpus} --root {audio}",
    "split": f"split {CORPUS_ID}",
    "plan": f"plan --corpus {CORPUS_ID} --model {{model}} --runs {{out}}",
    "dry run": f"run --corpus {CORPUS_ID} --model {{model}} --runs {{out}} --dry-run",
    "dry transfer": f"transfer --source {CORPUS_ID} --target {CORPUS_ID} --model {{model}} --runs {{out}} --dry-run",
    "infer": "infer {run}",
    "parse": "parse {run}",
    "score": f"score {{run}} --resamples {RESAMPLES}",
    "report": "report {run}",
    "compare": f"compare {{run}} {{run}} --prompt direct --out {{out}}.csv --resamples {RESAMPLES}",
    "rank": f"compare {{run}} {{run}} {{run}} --prompt direct --resamples {RESAMPLES}",
    "disclose": "disclose {run}",
    "bundle": f"bundle {{sound}} --out {{out}}.zip --resamples {RESAMPLES} --redact",
}


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("verb", VERBS)
def test_nothing_that_a_verb_tells_acts(
    told: Command, hostile: HostileWorld, world: HostileWorld, tmp_path: Path, verb: str, as_json: bool
) -> None:
    table = world.corpus_card.with_name("table.jsonl")
    places = {
        "table": table,
        "corpus": world.corpus_card,
        "audio": world.audio,
        "model": world.model_card,
        "run": world.run,
        # What voxemo says in its manifest is its own, else no bundle would hold.
        "sound": hostile.run,
    }
    words = [word.format(**places, out=tmp_path / FILE_NAME) for word in VERBS[verb].split()]

    done = told(*words, *(["--json"] if as_json else []))

    # The same run thrice has no rank; everything else does what it is asked to.
    assert done.code == (1 if verb == "rank" else 0), done.err


def test_the_files_of_a_comparison_have_no_formula_and_no_markup_but_their_own(
    told: Command, hostile: HostileWorld, world: HostileWorld, tmp_path: Path
) -> None:
    compare = ("compare", hostile.run, world.run, "--prompt", "direct", "--resamples", str(RESAMPLES), "--out")
    for name in ("a.csv", "a.md"):
        assert told(*compare, tmp_path / name).code == 0

    table, page = (tmp_path / name for name in ("a.csv", "a.md"))
    assert acting(table.read_text(encoding="utf-8")) == set()
    assert formulas(table.read_text(encoding="utf-8")) == []
    made = rendered(page.read_text(encoding="utf-8"))
    assert set(made.tags) <= OWN
    assert made.attributes == []


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "surrogate"])
def test_a_form_filled_in_with_hostile_text_does_not_act(
    told: Command, hostile: HostileWorld, tmp_path: Path, name: str, as_json: tuple[str, ...]
) -> None:
    """Every point that takes a text gets one; what takes only certain words keeps its own."""
    form: Any = run_disclosure(hostile.run).model_dump(mode="json", exclude_none=True)
    filled = 0
    for path in leaves(form):
        # A prompt keeps its lines, in a fence: that is what was asked.
        text = HOSTILE[name].replace("\n", " ") if path[-1] == "text" else HOSTILE[name]
        made = replaced(form, path, text)
        if is_disclosure(made):
            form, filled = made, filled + 1
    for section in ("run", "scoring"):
        form[section]["also"] = {HOSTILE[name]: HOSTILE[name]}
    (tmp_path / "form.json").write_text(json.dumps(form), encoding="utf-8")

    assert filled > 20
    told("disclose", tmp_path / "form.json", *as_json)
    told("disclose", tmp_path / "form.json", "--out", "form.md", *as_json)
    page = Path("form.md").read_text(encoding="utf-8")
    made = rendered(page)
    assert acting(page) == set()
    assert set(made.tags) <= OWN
    assert made.attributes == []


def is_disclosure(document: Any) -> bool:
    try:
        Disclosure.model_validate(document)
    except ValidationError:
        return False
    return True


ONE_NAME = re.sub(r"[/\\\\]", "-", NAME)
"""A file's name, which has no folders."""


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize(
    "source", [None, {"url": f"https://127.0.0.1/{NAME}"}, {"doi": "10.5281/zenodo.1", "files": [ONE_NAME]}]
)
def test_how_to_get_a_corpus_does_not_act(
    told: Command, world: HostileWorld, tmp_path: Path, source: dict[str, Any] | None, as_json: tuple[str, ...]
) -> None:
    card = json.loads(world.corpus_card.read_text(encoding="utf-8"))
    if source is not None:
        card["access"] |= {"kind": "open", "downloads": [source]}
    place = tmp_path / "card.json"
    place.write_text(json.dumps(card), encoding="utf-8")

    done = told("download", place, "--to", FILE_NAME, *as_json)

    assert (done.code, "Error" in done.err) == (1, False)
    assert told("download", place, *as_json).code == 1


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_what_is_told_of_the_listening_page_does_not_act(
    told: Command, world: HostileWorld, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    monkeypatch.setattr("voxemo.reports.viewer.server.serve", lambda app, listening: None)

    assert told("view", world.run, "--no-browser", *(["--json"] if as_json else [])).code == 0


# --- corpus folders -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy corpus with clips of every hostile name beside its own, one of which is broken."""
    root = tmp_path_factory.mktemp("folder")
    make_toy_corpus(root)
    clip = root / "clips" / "t00_sad_1.wav"
    for number, text in enumerate(ON_CARDS.values()):
        name = text[:60].replace("/", "-").replace("\0", "")
        shutil.copy(clip, root / "clips" / f"{number} {name}.wav")
    Path(os.fsdecode(os.fsencode(root / "clips") + b"/\xff\x1b[31m\nFINAL ROW.wav")).write_bytes(clip.read_bytes())
    clip.write_bytes(b"")
    return root


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("verb", ["check", "prepare"])
def test_file_names_do_not_act(told: Command, folder: Path, verb: str, as_json: tuple[str, ...]) -> None:
    done = told(verb, "toy", "--root", folder, *as_json)

    assert "<script>alert(1)" in done.out
    assert (f"\\n{FORGED}" if as_json else "unread" if verb == "check" else "no rule of this corpus reads") in done.out


@pytest.mark.parametrize("quick", [(), ("--quick",)], ids=["prepare", "check"])
@pytest.mark.parametrize("what", ["code", "column"])
@pytest.mark.parametrize("name", ["colour", "bidirectional", "newline", "delete", "rich", "title"])
def test_label_tables_do_not_act(told: Command, tmp_path: Path, name: str, what: str, quick: tuple[str, ...]) -> None:
    text = HOSTILE[name]
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "t00_sad_1.wav").write_bytes(b"")
    table = io.StringIO()
    header = ["clip", "label", "votes", *([text] if what == "column" else [])]
    row = ["t00_sad_1", text if what == "code" else "sad", "3", *(["1"] if what == "column" else [])]
    csv.writer(table).writerows([header[1:] if what == "column" else header, row[1:] if what == "column" else row])
    (tmp_path / "votes.csv").write_text(table.getvalue(), encoding="utf-8")

    assert told("check" if quick else "prepare", "toy", "--root", tmp_path, *quick).code == 1


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize(
    "row",
    [
        {"audio_path": NAME, "expressed": "sad"},
        {"audio_path": "a.wav", "expressed": f" {NAME}"},
        {"audio_path": "a.wav", NAME: "sad"},
        {"audio_path": "a.wav", "expressed": "sad", "speaker_gender": NAME},
        {"audio_path": "a.wav", "expressed": "sad", f"votes.all.{NAME}": NAME},
        [NAME],
    ],
    ids=["path", "code", "column", "gender", "votes", "no object"],
)
def test_tables_of_utterances_do_not_act(told: Command, tmp_path: Path, row: Any, as_json: tuple[str, ...]) -> None:
    (tmp_path / "table.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")

    assert told("new", "corpus", "mine", "--manifest", tmp_path / "table.jsonl", *as_json).code == 1


# --- errors and bars ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "X",
        "show X y",
        "show corpus X",
        "show corpus a X",
        "check X --root X",
        "split X --policy X",
        "train X --model X",
        "run --corpus X --model X",
        "run --study X",
        "transfer X --model X",
        "infer X --shard X",
        "infer X",
        "parse X",
        "compare X X --metric X",
        "report X --html X",
        "disclose X",
        "verify X",
        "view X",
        "doctor X",
    ],
)
def test_errors_that_quote_what_was_typed_do_not_act(told: Command, words: str) -> None:
    for text in (NAME.replace("\0", ""), FILE_NAME):
        assert told(*(text if word == "X" else word for word in words.split())).code == 1


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("verb", ["show corpus", "run --study", "transfer --model a", "disclose", "parse", "compare b"])
def test_errors_that_quote_a_file_do_not_act(
    told: Command, world: HostileWorld, tmp_path: Path, verb: str, as_json: tuple[str, ...]
) -> None:
    """Names of fields stand in a message as they are, values mostly in quotes."""
    card = json.loads(world.corpus_card.read_text(encoding="utf-8"))
    manifest = json.loads((world.run / "manifest.json").read_text(encoding="utf-8"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "manifest.json").write_text(json.dumps({**manifest, NAME: NAME, "protocol": NAME}))
    if verb in ("parse", "compare b"):
        place = tmp_path / "b"
    elif verb == "show corpus":
        place = tmp_path / "card.json"
        place.write_text(
            json.dumps(card | {NAME: NAME, "gold": NAME, "labels": card["labels"] | {"raw": {NAME: NAME}}})
        )
    else:
        # In TOML as in JSON, but for characters beyond 16 bits.
        text = json.dumps(FILE_NAME)
        place = tmp_path / "file.toml"
        place.write_text(f"{text} = {text}\n[[run]]\n{text} = 1\ncorpus = [{text}]\n")

    assert told(*verb.split(), place, *as_json).code == 1


def test_a_bug_whose_message_quotes_a_file_does_not_act(told: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise ValueError(NAME)

    monkeypatch.setattr("voxemo.cli.catalog._models", fail)
    with pytest.raises(AssertionError, match="This is a bug in voxemo") as ended:
        told("list", "model")

    assert acting(str(ended.value)) == set()


def test_the_title_of_a_bar_does_not_act(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server names the files that are fetched. The bar's own codes are there, and no others."""
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20000")
    with common.progress(NAME, unit="MB") as update:
        update(1, 2)

    text = shown.getvalue()
    assert "[bold red]x[/] [link=https://example.org]y[/link] [/nothing]" in text
    assert acting(text, keep="\n\r\x1b") == set()
    assert "\x1b]" not in text
    assert not [line for line in text.splitlines() if line.startswith(FORGED)]


# --- bundles --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packed(hostile: HostileWorld, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a bundle of a small run."""
    folder = tmp_path_factory.mktemp("packed")
    options = PlanOptions(limit=1, folds=("1",), variants=("direct",), forms=("hard", "distribution"))
    run = plan_run(hostile.workspace, folder, corpus=CORPUS_ID, model=str(hostile.model_card), options=options)
    infer_run(hostile.workspace, run, make_backend=make(hostile_answer))
    parse_run(run)
    score_run(hostile.workspace, run, resamples=2)
    return bundles.read_bundle(bundle_run(hostile.workspace, run, folder / "a.zip", resamples=2).path)


def test_a_bundle_with_hostile_answers_is_sound_json_and_holds(told: Command, hostile: HostileWorld) -> None:
    """Some answers have a megabyte of a single letter, which packs like a bomb."""
    assert told("bundle", hostile.run, "--out", "a.zip", "--resamples", str(RESAMPLES)).code == 0
    assert told("verify", "a.zip").code == 0

    for name, content in bundles.read_bundle(Path("a.zip")).items():
        text = content.decode("ascii")
        for document in text.splitlines() if name.endswith("l") else [text]:
            json.loads(document)
        assert acting(text) <= {"\x7f"}


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of the texts in a JSON value; of a list, those in its first item."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value[:1]):
            yield from leaves(item, (*path, number))


def replaced(value: Any, path: tuple[str | int, ...], text: str) -> Any:
    made = deepcopy(value)
    at = made
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = text
    return made


MOST_LEAVES = 4
"""Fields of a file that are tried; of those that have more, evenly chosen ones."""


@pytest.mark.parametrize("name", [*bundles.NEEDED, *bundles.FURTHER, "workers/0001.json"])
def test_a_bundle_whose_texts_are_hostile_is_told_of_without_acting(
    told: Command, packed: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    """Texts of a document, or of a table's first row, are changed one at a time, under a hash that fits."""
    head, _, rest = packed[name].partition(b"\n") if name.endswith(".jsonl") else (packed[name], b"", b"")
    document = json.loads(head)
    paths = list(leaves(document))
    assert paths
    for number, path in enumerate(paths[:: 1 + len(paths) // MOST_LEAVES]):
        files = packed | {name: bundles.lines_bytes([replaced(document, path, NAME)]) + rest}
        index = json.loads(files[bundles.INDEX])
        if name != bundles.INDEX:
            index["files"] = {one: bundles.sha256(files[one]) for one in files if one != bundles.INDEX}
        bundles.write_bundle(tmp_path / "forged.zip", files | {bundles.INDEX: bundles.document_bytes(index)})

        told("verify", tmp_path / "forged.zip", *(["--json"] if number % 2 else []))


# --- studies and transfers ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose card, and the name of its file, are hostile."""
    folder = tmp_path_factory.mktemp("base")
    texts = dict.fromkeys(("name", "license", "training_data", "reference", "support_note"), NAME)
    path = folder / f"{FILE_NAME}.json"
    path.write_text(json.dumps(json.loads(tiny_base(folder).read_text()) | texts), encoding="utf-8")
    return path


def test_a_study_and_a_matrix_of_hostile_files_are_told_and_written(
    told: Command, base: Path, tmp_path: Path, quick_training: None
) -> None:
    """Sweep, transfer and hearing, with a card and files whose names are hostile."""
    matrix = tmp_path / f"{FILE_NAME}.toml"
    matrix.write_text(f'source = ["{CORPUS_ID}"]\ntarget = ["{CORPUS_ID}", "demo"]\n')
    quick = "rank = [1, 2]\nepochs = [1]\nlimit = 1\nmax-new-tokens = 2\n"
    (tmp_path / "study.toml").write_text(
        f'[[train]]\ncorpus = ["{CORPUS_ID}"]\nmodel = [{json.dumps(str(base))}]\n{quick}'
        f"[[transfer]]\nmatrix = {json.dumps(str(matrix))}\nmodel = [{json.dumps(str(base))}]\n"
        f"{quick.replace('[1, 2]', '[1]')}"
    )
    words = ("run", "--study", "study.toml", "--skip-unprepared", "--device", "cpu")

    assert told(*words, "--dry-run").code == told(*words, "--dry-run", "--json").code == 0
    done = told(*words)
    assert done.code == 0, done.err
    assert "Sweep, the best validation UA first" in done.out
    assert "Transfer <b>=1+1 \\x1b[31m" in done.out

    written = [path for path in (tmp_path / "runs").iterdir() if path.is_file()]
    assert {path.suffix for path in written} >= {".md", ".csv", ".tex", ".svg"}
    for path in written:
        assert acting(path.name) == set()
        assert urllib.parse.quote(path.name, safe="").replace("%", "").isascii()
        if path.suffix in (".png", ".pdf"):
            continue
        text = path.read_text(encoding="utf-8")
        assert acting(text) == set()
        if path.suffix == ".md":
            page = rendered(text)
            assert (page.attributes, set(page.tags) - OWN) == ([], set())
        elif path.suffix == ".csv":
            assert formulas(text) == []
        elif path.suffix == ".tex":
            assert problems(text) == []
        else:
            assert acting_elements(text) == set()

    zero_shot = next(path for path in (tmp_path / "runs").iterdir() if ".zero-shot." in path.name)
    told("doctor", "hearing", zero_shot, "-n", "2", "--device", "cpu")
    told("doctor", "parity", zero_shot, "-n", "1", "--device", "cpu", "--json")
