"""vLLM's own OpenAI-compatible server, asked by the backend ``endpoint``, against what the local engine answers."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from vllm_parity import FAMILIES, GENERATION, Expected, need_vllm, questions, said
from voxemo.backends.registry import create_backend
from voxemo.catalog.lookup import model_card

need_vllm()


@pytest.fixture(scope="module", params=FAMILIES)
def family_id(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def address(expected: Expected, family_id: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server of a tiny checkpoint, started as the guide says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--model", str(expected.checkpoint(family_id)), "--served-model-name", "tiny", "--dtype", "float32"]
    command += ["--generation-config", "vllm", "--limit-mm-per-prompt", '{"audio": 1}']
    command += ["--max-model-len", "4096", "--enforce-eager", "--block-size", "32"]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ})
        try:
            wait_for(f"http://127.0.0.1:{port}/v1/models", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers, or is gone."""
    while server.poll() is None:
        try:
            with urlopen(url):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"the server ended: {log.read_text()[-3000:]}")


def test_every_answer_over_the_server_is_token_for_token_the_local_engines(
    address: str, expected: Expected, family_id: str, tmp_path: Path
) -> None:
    card = model_card(str(expected.card_file(family_id, tmp_path, backend="endpoint", repository="tiny")))
    backend = create_backend(card, GENERATION, base_url=address, concurrency=16)

    answers = backend.answer(questions(expected.clip))

    assert said(answers) == expected.said(family_id)
    assert backend.effective()["owned_by"] == "vllm"
    assert backend.effective()["warnings"] == []
