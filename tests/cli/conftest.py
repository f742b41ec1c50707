"""The command line as a user meets it: words in, exit code and text out."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from voxemo.cli.main import run


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def voxemo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run a command in an empty folder with an empty workspace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXEMO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["voxemo", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            run()
        captured = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return call
