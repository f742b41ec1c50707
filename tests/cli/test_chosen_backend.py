import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voxemo.store.layout import Workspace

FEW = ("--fold", "1", "--limit", 2, "--prompt", "direct", "--form", "hard")


def test_a_run_is_planned_for_the_backend_that_was_asked_for(voxemo: Callable[..., Any], workspace: Workspace) -> None:
    words = ("--corpus", "toy", "--model", "voxemo-tiny", "--backend", "vllm", *FEW)

    done = voxemo("plan", *words, "--workspace", workspace.root, "--json")

    assert done.code == 0, done.err
    manifest = json.loads((Path(json.loads(done.out)["run"]) / "manifest.json").read_text(encoding="utf-8"))
    assert {card["backend"] for card in manifest["model_cards"].values()} == {"vllm"}


def test_a_run_on_a_backend_that_is_not_installed_ends_with_how_to_get_it(
    voxemo: Callable[..., Any], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    words = ("--corpus", "toy", "--model", "voxemo-tiny", "--backend", "vllm", *FEW)

    done = voxemo("run", *words, "--workspace", workspace.root)

    assert done.code == 1
    assert "needs the package 'vllm'" in done.err
    assert "docs/guides/vllm.md" in done.err


def test_a_study_file_says_the_backend_itself(voxemo: Callable[..., Any], workspace: Workspace) -> None:
    Path("study.toml").write_text('[[run]]\ncorpus = ["toy"]\nmodel = ["scripted"]\n', encoding="utf-8")

    done = voxemo("run", "--study", "study.toml", "--backend", "vllm", "--workspace", workspace.root)

    assert done.code != 0
    assert "write there what --backend should say" in " ".join(done.err.split())
