"""The benchmarks for a GPU run on a CPU in a tiny shape, so that they still work once a GPU is to be had."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


def printed(script: str, *words: str) -> str:
    """What the script prints."""
    # Warnings stay warnings there: they go to people who measure, on whatever versions they have.
    done = subprocess.run(
        [sys.executable, str(BENCH / script), "--shape", "tiny", "--device", "cpu", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_engine_is_timed_stage_by_stage_beside_plain_generate_and_the_floor() -> None:
    shown = printed("engine_7b.py", "--clips", "1")
    for workload in ("notes: 1 clips, 5 prompts", "mixed: 1 clips, 10 prompts"):
        assert workload in shown
    per_clip = [float(figure) for figure in re.findall(r"  engine: ([\d.]+) s per clip", shown)]
    stages = [float(figure) for figure in re.findall(r"    [a-z ]+: (-?[\d.]+) s per clip", shown)]
    assert len(per_clip) == 2
    half = len(stages) // 2
    for seconds, parts in zip(per_clip, (stages[:half], stages[half:]), strict=True):
        # All of the time is in a stage or around them, to the printed digits.
        assert sum(parts) == pytest.approx(seconds, abs=5e-4)
        assert min(parts) >= -5e-4  # "around them" is a difference of rounded figures
    assert len(re.findall(r"plain generate, batch size (?:1|64): [\d.]+ s per clip", shown)) == 4
    floors = [float(figure) for figure in re.findall(r"floor: ([\d.]+) s per clip", shown)]
    assert all(0 < floor < seconds for floor, seconds in zip(floors, per_clip, strict=True))


def test_training_is_timed_beside_the_plain_loop() -> None:
    shown = printed("training_7b.py")
    assert re.search(r"voxemo: [\d.]+ utterances/s, \d+ tokens/s, [\d.]+% of the matrix rate", shown)
    assert re.search(r"plain loop: [\d.]+ utterances/s", shown)
