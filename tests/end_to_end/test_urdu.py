"""The line on the 400 real clips of URDU and the part of TurEV-DB, through the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

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


def test_the_built_in_speech_llm_answers_real_recordings_in_a_form_that_can_be_read(
    voxemo: Command, prepared: dict[str, object], home: Path
) -> None:
    words = ("run", "--corpus", "urdu", "--model", "voxemo-tiny", "--prompt", "direct", "--prompt", "caption", "--json")
    run = home / json.loads(voxemo(*words))["run"]

    counts = read_manifest(run).counts
    predictions = pl.read_parquet(RunPaths(run).predictions).filter(pl.col("reading") == "strict")
    assert counts["planned"] == counts["answered"] == 200
    # It never heard a person, so its labels may be wrong; they are labels all the same.
    assert (predictions["status"] != "failed").mean() >= 0.9
    assert predictions["label"].n_unique() > 2
