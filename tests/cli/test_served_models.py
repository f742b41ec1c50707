"""A served model from the command line: options, messages, and what the run folder keeps of them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chat_server import MODEL, ChatServer, chat_server, refused, said
from file_host import free_port
from voxemo.store.layout import Workspace

Command = Callable[..., Any]
KEY = "sk-not-for-any-file-0123456789"

CARD = f"""
model_id = "toy-listener"
name = "Toy listener"
backend = "endpoint"
repository = "{MODEL}"
training_corpora = "undisclosed"
training_data = "none"
license = "none"
reference = "these tests"
support = "untested"
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    for name in ("VOXEMO_ENDPOINT", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_server() as running:
        yield running


@pytest.fixture
def ask_model(voxemo: Command, workspace: Workspace, tmp_path: Path) -> Command:
    """`voxemo run` of the card on the toy corpus, three requests."""
    (tmp_path / "listener.toml").write_text(CARD, encoding="utf-8")
    few = ("--fold", "1", "--limit", 3, "--prompt", "direct", "--form", "hard", "--workspace", workspace.root)
    return lambda *words: voxemo("run", "--corpus", "toy", "--model", "listener.toml", *few, *words)


def files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def test_a_served_model_is_run_to_a_scoreboard_and_neither_key_nor_address_is_kept(
    ask_model: Command, server: ChatServer, tmp_path: Path
) -> None:
    server.answer = lambda asked: said("FINAL LABEL: Happy")

    done = ask_model("--base-url", server.url, "--concurrency", 2, "--price", "1,1,1")

    assert done.code == 0, done.err
    assert "toy-listener" in done.out
    assert len(server.asked) == 3
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    worker = json.loads(next((tmp_path / "runs").glob("*/workers/*.json")).read_text(encoding="utf-8"))
    assert (worker["effective"]["concurrency"], worker["effective"]["usage"]["n_answers"]) == (2, 3)
    assert not [1 for content in files(tmp_path) if KEY.encode() in content or server.url.encode() in content]
    assert KEY not in done.out + done.err


def test_a_server_that_cannot_be_reached_ends_with_what_was_tried_and_what_to_start(
    ask_model: Command, server: ChatServer
) -> None:
    address = f"http://127.0.0.1:{free_port()}/v1"

    done = ask_model("--base-url", address)

    assert done.code == 1
    assert f"BackendError: No server answers at {address}" in done.err
    assert f"api_server --model {MODEL}" in done.err


def test_a_wrong_key_names_the_variable_and_not_the_key(ask_model: Command, server: ChatServer) -> None:
    server.answer = lambda asked: refused(401, f"Incorrect API key provided: {KEY}")

    done = ask_model("--base-url", server.url)

    assert done.code == 1
    assert "OPENAI_API_KEY" in done.err
    assert KEY not in done.out + done.err


def test_an_address_with_a_key_in_it_is_refused_before_a_run_folder_is_made(
    ask_model: Command, server: ChatServer, tmp_path: Path
) -> None:
    done = ask_model("--base-url", f"{server.url}?key={KEY}")

    assert done.code == 1
    assert "holds a user name, a password or a query" in done.err
    assert KEY not in done.out + done.err
    assert not (tmp_path / "runs").exists()


def test_options_of_another_backend_are_refused(ask_model: Command, server: ChatServer) -> None:
    done = ask_model("--base-url", server.url, "--device", "cpu")

    assert done.code == 1
    assert "The backend 'endpoint' of toy-listener has no option 'device'" in done.err
