import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from site_world import scored
from toy import licensed
from voxemo.reports import figures
from voxemo.store.layout import Workspace


@pytest.fixture
def run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(figures, "can_draw", lambda: False)
    return scored(workspace)


def test_report_writes_a_site_and_says_where_to_open_it(voxemo: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    done = voxemo("report", run, "--html", "site")

    assert done.code == 0
    assert (tmp_path / "site" / "index.html").as_uri() in done.out
    assert "pages of 1 runs in site" in done.out
    assert "UA %" not in done.out


def test_report_writes_a_site_and_tables_where_both_are_asked_for(
    voxemo: Callable[..., Any], run: Path, tmp_path: Path
) -> None:
    done = voxemo("report", run, "--html", "site", "--out", "tables", "--json")

    told = json.loads(done.out)
    assert told["site"]["n_runs"] == 1
    assert told["rows"]
    assert (tmp_path / "tables" / "scoreboard.md").is_file()


def test_report_says_of_which_corpora_the_site_shows_no_answer_and_why(voxemo: Callable[..., Any], run: Path) -> None:
    shown = voxemo("report", run, "--html", "site")
    redacted = voxemo("report", run, "--html", "site", "--redact")
    licensed(run, redistributable=False)
    closed = voxemo("report", run, "--html", "site")

    assert "not shown" not in shown.out
    assert "failed answers are counted and not shown: asked for" in redacted.out
    assert "may not be passed on" in closed.out


def test_report_refuses_a_folder_that_is_not_its_own(voxemo: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.txt").touch()

    done = voxemo("report", run, "--html", "site")

    assert done.code == 1
    assert "no site of ours" in done.err
