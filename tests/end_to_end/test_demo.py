"""`voxemo demo` as a user runs it: a speech LLM that hears, ten prompts, and a scoreboard one can trust."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from voxemo.audio.load import load_audio
from voxemo.catalog.lookup import prompt_names
from voxemo.core.types import REFERENCE
from voxemo.demo.corpus import FOLDER
from voxemo.demo.measure import measure, vector
from voxemo.demo.tiny.answers import cues_in, describe
from voxemo.store.journal import read_journal
from voxemo.store.layout import RunPaths
from voxemo.store.manifest import read_manifest
from voxemo.store.tables import PLAN, read_table

# What these tests share takes long to make: one process makes it, once.
pytestmark = pytest.mark.xdist_group("demo")

Command = Callable[..., str]

N_CLIPS, N_PROMPTS = 504, 10


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    # Threads that wait for each other make operations this small many times slower on a busy machine.
    workspace = home / "demo-workspace" / "workspace"
    return os.environ | {"VOXEMO_HOME": str(workspace), "COLUMNS": "140", "OMP_NUM_THREADS": "1"}


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-c", "from voxemo.cli.main import run; run()", *map(str, words)]


@pytest.fixture(scope="module")
def voxemo(home: Path, environment: dict[str, str]) -> Command:
    """Run a command in a process of its own, as a user does, and return what it printed."""

    def call(*words: str | Path) -> str:
        done = subprocess.run(command(*words), cwd=home, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.fixture(scope="module")
def shown(voxemo: Command) -> str:
    return voxemo("demo")


@pytest.fixture(scope="module")
def run(shown: str, home: Path) -> Path:
    (folder,) = (home / "demo-workspace" / "runs").iterdir()
    return folder


@pytest.fixture(scope="module")
def scores(run: Path) -> pl.DataFrame:
    """Mean over folds, strict reading, the protocol's failure policies."""
    return pl.read_parquet(RunPaths(run).scores).filter(
        (pl.col("reading") == "strict")
        & (pl.col("fold_id") == "mean")
        & pl.col("class_label").is_null()
        & (
            pl.col("failure_policy")
            == pl.when(pl.col("form") == "hard").then(pl.lit("wrong")).otherwise(pl.lit("uniform"))
        )
    )


def value(scores: pl.DataFrame, system: str, metric: str, form: str) -> float:
    chosen = scores.filter((pl.col("system_id") == system) & (pl.col("metric") == metric) & (pl.col("form") == form))
    return float(chosen["value"].item())


@pytest.fixture(scope="module")
def texts(run: Path) -> dict[tuple[str, str, str], str]:
    """Answer of each utterance, variant and form."""
    responses = read_journal(RunPaths(run).responses).responses
    plan = read_table(RunPaths(run).plan, PLAN)
    return {
        (row["utterance_id"], row["variant_id"], row["form"]): responses[row["request_id"]].text
        for row in plan.iter_rows(named=True)
    }


# --- what a newcomer sees ----------------------------------------------------------------------------------------


def test_it_ends_with_a_table_and_the_path_of_the_report(shown: str, home: Path) -> None:
    assert "Demo (synthetic speech) · test · expressed labels" in shown
    assert "soft labels, votes counted 'all'" in shown
    assert "say nothing about people's speech" in shown
    assert "demo-workspace/report/scoreboard.md" in shown
    board = (home / "demo-workspace" / "report" / "scoreboard.md").read_text(encoding="utf-8")
    assert "voxemo-tiny" in board
    assert "no speaker shared" in board
    index = home / "demo-workspace" / "site" / "index.html"
    assert index.resolve().as_uri() in shown
    assert "voxemo-tiny" in index.read_text(encoding="utf-8")


def test_everything_was_asked_and_answered(run: Path, texts: dict[tuple[str, str, str], str]) -> None:
    manifest = read_manifest(run)

    assert manifest.counts["planned"] == manifest.counts["answered"] == len(texts) == N_CLIPS * N_PROMPTS
    assert manifest.training_overlap == "none known"


def test_the_same_command_again_asks_nothing_and_shows_the_same(voxemo: Command, shown: str, home: Path) -> None:
    board = (home / "demo-workspace" / "report" / "scoreboard.csv").read_bytes()

    again = voxemo("demo")

    assert again.splitlines()[-20:] == shown.splitlines()[-20:]
    assert (home / "demo-workspace" / "report" / "scoreboard.csv").read_bytes() == board


# --- what the card promises --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", prompt_names())
def test_it_names_most_emotions_right_under_every_prompt(scores: pl.DataFrame, name: str) -> None:
    assert value(scores, name, "unweighted_accuracy", "hard") >= 0.60
    assert value(scores, name, "unweighted_accuracy", "hard") < 0.95, "its corpus has no clear answer to every clip"


@pytest.mark.parametrize("name", prompt_names())
def test_its_answers_can_be_read_in_every_form(run: Path, name: str) -> None:
    predictions = pl.read_parquet(RunPaths(run).predictions).filter(
        (pl.col("system_id") == name) & (pl.col("reading") == "strict")
    )

    for _, part in predictions.group_by("form"):
        assert part.height == N_CLIPS
        assert (part["status"] != "failed").mean() >= 0.95


@pytest.mark.parametrize("name", prompt_names())
def test_its_distributions_are_nearer_to_the_votes_than_the_prior(scores: pl.DataFrame, name: str) -> None:
    prior = value(scores, f"{REFERENCE}train_prior", "jsd", "distribution")

    assert value(scores, name, "jsd", "distribution") < 0.75 * prior


@pytest.mark.parametrize("name", [name for name in prompt_names() if "caption" in name])
def test_its_captions_agree_with_what_is_measured(texts: dict[tuple[str, str, str], str], name: str) -> None:
    agreed = []
    for (utterance, variant, _), text in texts.items():
        if variant == name:
            said = cues_in(text.partition("ACOUSTIC CAPTION: ")[2].partition("\n")[0])
            found = describe(vector(measure(load_audio(FOLDER / "clips" / f"{utterance.partition('/')[2]}.opus"))))
            agreed.append([said.get(cue) == found[cue] for cue in ("pitch", "level", "rate")])

    assert (np.mean(agreed, axis=0) >= 0.7).all(), np.mean(agreed, axis=0)


@pytest.mark.parametrize("name", [name for name in prompt_names() if "transcript" in name])
def test_its_transcripts_hold_most_words_of_sentences_that_it_never_heard(
    texts: dict[tuple[str, str, str], str], name: str
) -> None:
    table = pl.read_csv(FOLDER / "utterances.csv").select("clip", "transcript")
    spoken = dict(table.iter_rows())
    found = total = 0
    for (utterance, variant, _), text in texts.items():
        if variant == name:
            said = Counter(text.partition("ASR TRANSCRIPT: ")[2].partition("\n")[0].split())
            words = Counter(spoken[utterance.partition("/")[2]].split())
            found += (said & words).total()
            total += words.total()

    assert found / total > 0.5


# --- killed and gone on ------------------------------------------------------------------------------------------


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)


def test_a_killed_run_goes_on_and_gives_the_answers_of_an_unbroken_one(
    voxemo: Command, environment: dict[str, str], home: Path, texts: dict[tuple[str, str, str], str]
) -> None:
    words = ("--corpus", "demo", "--model", "voxemo-tiny", "--limit", "16")
    run = home / json.loads(voxemo("plan", *words, "--json"))["run"]
    responses = RunPaths(run).responses
    infer = ("infer", run, "--batch-size", "4")
    process = subprocess.Popen(command(*infer), cwd=home, env=environment, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(read_journal(responses).responses) >= 200, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = read_journal(responses)
    assert 200 <= len(before.responses) < 640

    resumed = json.loads(voxemo(*infer, "--json"))

    after = read_journal(responses)
    assert resumed["n_before"] == len(before.responses)
    assert (len(after.responses), after.n_duplicates) == (640, 0)
    assert all(after.responses[name] == response for name, response in before.responses.items())
    plan = read_table(RunPaths(run).plan, PLAN)
    same = [
        after.responses[row["request_id"]].text == texts[row["utterance_id"], row["variant_id"], row["form"]]
        for row in plan.iter_rows(named=True)
    ]
    # Other neighbours in a batch change no answer.
    assert all(same)
