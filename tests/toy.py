"""The toy corpus in tests: a prepared workspace (a fixture, through ``tests/conftest.py``) and scripted runs on it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from voxemo_example.toy import make_toy_corpus

from voxemo.backends.base import Backend, Question
from voxemo.backends.scripted import ScriptedBackend
from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.types import Utterance
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.prepare import prepare_corpus
from voxemo.steps.split import split_corpus
from voxemo.store.files import read_json, write_json
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.workspace import read_prepared, write_prepared


@pytest.fixture(scope="session")
def toy_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Workspace with the toy corpus prepared and split both ways. Do not change it; copy it."""
    folder = tmp_path_factory.mktemp("toy")
    make_toy_corpus(folder / "corpus")
    workspace = Workspace(folder / "workspace")
    prepare_corpus(workspace, "toy", folder / "corpus")
    split_corpus(workspace, "toy")
    split_corpus(workspace, "toy", policy="speaker-disjoint")
    return workspace


@pytest.fixture
def workspace(toy_workspace: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the prepared workspace that a test may change."""
    shutil.copytree(toy_workspace.root, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


def licensed(run: Path, **access: Any) -> CorpusCard:
    """Make the toy corpus of a run one that may not be passed on, in its manifest; gives the card as it is then."""
    card = lookup.corpus_card("toy")
    closed = card.model_copy(update={"access": card.access.model_copy(update=access)})
    path = RunPaths(run).manifest
    write_json(
        path,
        {
            **read_json(path),
            "corpus_card": closed.model_dump(mode="json"),
            "corpus_card_sha256": closed.sha256(),
        },
    )
    return closed


def toy_answer(question: Question) -> str:
    """Right for some two thirds of the clips, by a hash; unreadable for a tenth."""
    draw = int(hashlib.sha256(f"{question.utterance_id}{question.variant_id}".encode()).hexdigest(), 16) % 100
    truth = question.utterance_id.split("_")[1].capitalize()
    if draw < 10:
        return "I hear something."
    label = truth if draw < 75 else question.label_set.display[draw % len(question.label_set.display)]
    if question.form == "hard":
        return f"FINAL LABEL: {label}"
    shares = {name: 0.7 if name == label else 0.1 for name in question.label_set.display}
    return f"EMOTION DISTRIBUTION: {json.dumps(shares)}\nFINAL LABEL: {label}"


def make(answer: Callable[[Question], str] = toy_answer) -> Callable[..., Backend]:
    return lambda card, generation, **options: ScriptedBackend(answer)


def planned(workspace: Workspace, **given: Any) -> Path:
    split_id = given.pop("split_id", "protocol")
    return plan_run(
        workspace,
        workspace.root.parent / "runs",
        corpus="toy",
        model="scripted",
        split_id=split_id,
        options=PlanOptions(**given),
    )


def answered(workspace: Workspace, **given: Any) -> Path:
    run = planned(workspace, **given)
    infer_run(workspace, run, make_backend=make())
    parse_run(run)
    return run


def without_votes(workspace: Workspace) -> None:
    """Make the workspace's toy corpus one whose votes are not released."""
    rewrite(workspace, votes=lambda table: table.clear())


def rewrite(
    workspace: Workspace,
    *,
    votes: Callable[[pl.DataFrame], pl.DataFrame] = lambda table: table,
    utterance: Callable[[Utterance], Utterance] = lambda one: one,
) -> None:
    """Prepare the toy corpus again, as it were, with other votes, or other facts about its utterances."""
    card = lookup.corpus_card("toy")
    prepared = read_prepared(workspace, card)
    root = Path(read_json(workspace.corpus_root("toy"))["folder"])
    write_prepared(
        workspace,
        card,
        root,
        utterances=tuple(utterance(one) for one in prepared.utterances),
        votes=votes(prepared.votes),
        report={name: value for name, value in prepared.report.items() if not name.endswith("sha256")},
    )
