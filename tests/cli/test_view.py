"""`voxemo view` as a user meets it: an address, a page behind it, and Ctrl-C."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toy import answered
from voxemo.reports.viewer import server
from voxemo.store.layout import Workspace


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_it_prints_an_address_and_ends_cleanly_at_ctrl_c(workspace: Workspace, as_json: bool) -> None:
    run = answered(workspace, forms=("hard",), variants=("direct",))
    words = ["view", str(run), "--workspace", str(workspace.root), "--no-browser", *(["--json"] if as_json else [])]
    process = subprocess.Popen(
        [sys.executable, "-c", "from voxemo.cli.main import run; run()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if as_json:
            lines = [line]
            while not lines[-1].startswith("}"):
                lines.append(process.stdout.readline())
            address = json.loads("".join(lines))["address"]
        else:
            address = line.split()[-1]
        with urllib.request.urlopen(address) as got:
            page = got.read().decode()
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()

    assert run.name in page
    assert (process.returncode, err) == (0, "")
    assert "Interrupted" not in out


def test_a_run_that_is_none_is_said(voxemo: Callable[..., Any], tmp_path: Path) -> None:
    done = voxemo("view", tmp_path)

    assert done.code == 1
    assert "no run folder" in done.err


def test_the_address_with_its_token_is_not_among_the_words_that_a_browser_is_started_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    started: list[str] = []

    def start(address: str) -> bool:
        path = Path(address.removeprefix("file://"))
        assert path.parent.stat().st_mode & 0o077 == 0
        assert "http://127.0.0.1:1/secret/" in path.read_text()
        started.append(address)
        return True

    monkeypatch.setattr(server.webbrowser, "open", start)
    with server.shown_in_browser("http://127.0.0.1:1/secret/") as shown:
        assert shown

    assert "secret" not in started[0]
    assert not Path(started[0].removeprefix("file://")).exists()


def test_without_a_display_no_browser_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(server.webbrowser, "open", lambda address: pytest.fail("a browser was started"))

    with server.shown_in_browser("http://127.0.0.1:1/secret/") as shown:
        assert not shown
