"""What must never be in the repository."""

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
AUDIO = {".wav", ".flac", ".mp3", ".ogg", ".m4a", ".mp4", ".webm", ".avi", ".opus"}
MADE_BY_US = "src/voxemo/demo/shipped/"


def tracked() -> list[Path]:
    try:
        done = subprocess.run(["git", "-C", str(REPOSITORY), "ls-files"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [REPOSITORY / line for line in done.stdout.splitlines()]


def test_audio_in_the_repository_is_empty_or_made_by_us() -> None:
    full = [
        path
        for path in tracked()
        if path.suffix in AUDIO
        and path.exists()
        and path.stat().st_size > 0
        and not path.relative_to(REPOSITORY).as_posix().startswith(MADE_BY_US)
    ]

    assert full == []


def test_no_file_is_a_pickle_or_a_lock_file() -> None:
    bad = [path for path in tracked() if path.suffix in {".pkl", ".pickle", ".pt", ".joblib"} or path.name == "uv.lock"]

    assert bad == []


def test_no_source_file_unpickles_or_trusts_remote_code_by_default() -> None:
    for path in (REPOSITORY / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import pickle" not in text, path
        assert "trust_remote_code=True" not in text, path
        assert "allow_pickle=True" not in text, path
