"""The line on the 400 real clips of URDU and the part of TurEV-DB, through the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tiny_checkpoints import build_qwen2_audio, tiny_card
from voxemo.catalog import lookup
from voxemo.store.journal import read_journal
from voxemo.store.layout import RunPaths
from voxemo.store.manifest import read_manifest

pytestmark = pytest.mark.evidence

Command = Callable[..., str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("urdu")


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    # Threads that wait for each other make operations this small many times slower on a busy machine.
    return os.environ | {"VOXEMO_HOME": str(home / "workspace"), "COLUMNS": "140", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def voxemo(home: Path, environment: dict[str, str]) -> Command:
    """Run a command in a process of its own, as a user does, and return what it printed."""

    def call(*words: str | Path, code: int = 0) -> str:
        done = subprocess.run(command(*words), cwd=home, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    return call


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-c", "from voxemo.cli.main import run; run()", *map(str, words)]


@pytest.fixture(scope="module")
def prepared(voxemo: Command, evidence: Path) -> dict[str, object]:
    report: dict[str, object] = json.loads(voxemo("prepare", "urdu", "--root", evidence / "audio" / "urdu", "--json"))
    voxemo("split", "urdu")
    voxemo("split", "urdu", "--policy", "speaker-disjoint")
    return report


def test_prepare_counts_what_the_card_expects(prepared: dict[str, object]) -> None:
    assert (prepared["n_utterances"], prepared["n_speakers"]) == (400, 29)
    assert prepared["per_label"] == {"angry": 100, "happy": 100, "neutral": 100, "sad": 100}
    assert prepared["differences"] == {}
    assert prepared["unusable"] == {}


def test_the_baseline_is_scored_on_both_splits_with_the_overlap_named_and_the_difference_bounded(
    voxemo: Command, prepared: dict[str, object]
) -> None:
    runs = {}
    for split in ("protocol", "speaker-disjoint"):
        words = ("run", "--corpus", "urdu", "--model", "acoustic-baseline", "--split", split, "--json")
        runs[split] = json.loads(voxemo(*words))["run"]

    board = voxemo("report", *runs.values())
    difference = json.loads(voxemo("compare", *runs.values(), "--json"))["comparisons"][0]["difference"]

    assert "21 of 21 test speakers also in train or valid" in board
    assert "no speaker shared" in board
    assert "published" in board
    assert difference["ci_unit"] == "speaker"
    assert difference["ci_low"] < difference["value"] < difference["ci_high"]
    # What the two splits must agree on: hearing the clips beats every row that does not.
    assert min(difference["value_a"], difference["value_b"]) > 0.4


def test_a_part_of_a_corpus_is_reported_as_incomplete_and_goes_on_only_when_told(
    voxemo: Command, evidence: Path
) -> None:
    words = ("prepare", "turev-db", "--root", evidence / "audio" / "turev-db")

    refused = voxemo(*words, code=1)
    report = json.loads(voxemo(*words, "--partial", "--json"))

    assert "308 utterances, its card expects 1735" in refused
    assert "28 utterances of speaker 1157" in refused
    assert report["n_utterances"] == 308


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)


def test_a_tiny_qwen2_audio_is_killed_half_way_resumes_and_scores(
    voxemo: Command, environment: dict[str, str], prepared: dict[str, object], home: Path
) -> None:
    checkpoint = build_qwen2_audio(home / "tiny")
    card = home / "tiny.json"
    card.write_text(tiny_card(checkpoint, "qwen2-audio").model_dump_json(), encoding="utf-8")
    words = ("--corpus", "urdu", "--model", card, "--form", "both", "--max-new-tokens", "8")
    run = home / json.loads(voxemo("plan", *words, "--json"))["run"]
    responses = RunPaths(run).responses

    process = subprocess.Popen(
        command("infer", run, "--batch-size", "20"), cwd=home, env=environment, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: len(read_journal(responses).responses) >= 400, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = read_journal(responses)
    assert 400 <= len(before.responses) < 1000

    resumed = json.loads(voxemo("infer", run, "--batch-size", "20", "--json"))
    after = read_journal(responses)

    assert resumed["n_before"] == len(before.responses)
    assert len(after.responses) == 1000
    assert after.n_duplicates == 0
    assert all(after.responses[name] == response for name, response in before.responses.items())

    voxemo("parse", run)
    voxemo("score", run, "--resamples", "50")
    counts = read_manifest(run).counts
    scores = pl.read_parquet(RunPaths(run).scores)
    assert counts["planned"] == counts["answered"] == 1000
    # Random weights say nothing readable: every failure is counted, none is hidden.
    assert counts["strict.failed"] > 900
    failed = scores.filter(
        pl.col("metric") == "failure_rate", pl.col("reading") == "strict", pl.col("fold_id") == "mean"
    )
    assert set(failed["system_id"]) >= set(lookup.prompt_names())
    assert failed["value"].min() is not None

    # The same questions asked without interruption, in other batches: the same answers.
    few = home / json.loads(voxemo("plan", *words, "--limit", "4", "--json"))["run"]
    voxemo("infer", few, "--batch-size", "3")
    uninterrupted = read_journal(RunPaths(few).responses).responses
    assert len(uninterrupted) == 40
    assert {name: r.text for name, r in uninterrupted.items()} == {
        name: after.responses[name].text for name in uninterrupted
    }

    assert str(home) not in RunPaths(run).manifest.read_text(encoding="utf-8")
