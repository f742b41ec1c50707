"""A run of the toy corpus to listen to, with hostile answers and a formula for a speaker; served in a thread."""

import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import polars as pl
import uvicorn

from toy import make, toy_answer
from voxemo.backends.base import Question
from voxemo.reports.viewer.app import make_app
from voxemo.reports.viewer.server import listen
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.view import OpenRun, open_run
from voxemo.store.files import read_json, write_json
from voxemo.store.layout import Workspace
from voxemo.store.tables import UTTERANCES, read_table, write_table

HOSTILE_ANSWER = (
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">\n"
    "\x1b[31mred\x1b[0m \u202etxt.exe \ud800\nFINAL LABEL: Happy"
)
FORMULA = '=HYPERLINK("http://evil.example","x")'
TOKEN = "a-token-that-is-known-to-the-tests"


def answer(question: Question) -> str:
    """Hostile for happy clips under one prompt, else the toy corpus's own."""
    if question.form == "hard" and question.variant_id == "direct" and "_happy_" in question.utterance_id:
        return HOSTILE_ANSWER
    return toy_answer(question)


def make_run(toy: Workspace, folder: Path) -> tuple[Workspace, Path]:
    """Copy the toy workspace and its clips, and answer a run of all test parts."""
    shutil.copytree(toy.root, folder / "workspace")
    workspace = Workspace(folder / "workspace")
    shutil.copytree(read_json(toy.corpus_root("toy"))["folder"], folder / "corpus")
    write_json(workspace.corpus_root("toy"), {"folder": str(folder / "corpus")})
    run = plan_run(workspace, folder / "runs", corpus="toy", model="scripted", options=PlanOptions())
    infer_run(workspace, run, make_backend=make(answer))
    parse_run(run)
    table = read_table(workspace.utterances("toy"), UTTERANCES)
    # After the fact: a speaker's name is no part of what was asked.
    named = pl.when(pl.col("speaker_id") == "t00").then(pl.lit(FORMULA)).otherwise("speaker_id").alias("speaker_id")
    write_table(workspace.utterances("toy"), table.with_columns(named), UTTERANCES)
    return workspace, run


def names_of(run: OpenRun, **words: str) -> list[str]:
    return list(run.selection(words)["utterance_id"])


def clip_file(workspace: Workspace, utterance_id: str) -> Path:
    folder = Path(read_json(workspace.corpus_root("toy"))["folder"])
    return folder / "clips" / f"{utterance_id.partition('/')[2]}.wav"


@dataclass(frozen=True, slots=True)
class Answer:
    """Of the server."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Served:
    """A listening page that runs."""

    run: OpenRun
    workspace: Workspace
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/{TOKEN}/"

    def get(
        self, path: str, *, root: str | None = None, method: str = "GET", headers: Any = None, **words: str
    ) -> Answer:
        address = f"{self.address if root is None else root}{path}" + (f"?{urlencode(words)}" if words else "")
        request = urllib.request.Request(address, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as got:
                return Answer(got.status, {k.lower(): v for k, v in got.headers.items()}, got.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, {k.lower(): v for k, v in refused.headers.items()}, refused.read())


@contextmanager
def served(toy: Workspace, folder: Path) -> Iterator[Served]:
    """Serve a run made in the folder until the block ends."""
    with serving(*make_run(toy, folder)) as running:
        yield running


@contextmanager
def serving(workspace: Workspace, run: Path) -> Iterator[Served]:
    """Serve a run until the block ends."""
    opened = open_run(workspace, run)
    with listen(0) as listening:
        port = listening.getsockname()[1]
        settings = uvicorn.Config(
            make_app(opened, token=TOKEN, port=port), lifespan="off", ws="none", log_level="error", access_log=False
        )
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Served(opened, workspace, port)
        finally:
            server.should_exit = True
            thread.join()
