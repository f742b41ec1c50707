"""What a worker of a cluster does, in this process."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from toy import make, planned
from voxemo.backends.base import Backend
from voxemo.backends.registry import create_backend
from voxemo.catalog import lookup
from voxemo.cluster.on_ray import KeptBackend, Worker
from voxemo.cluster.shares import Share, cut
from voxemo.core.cards import ModelCard, TrainingRecord
from voxemo.core.errors import BackendError, RunError
from voxemo.core.types import Generation
from voxemo.steps.infer import InferResult, infer_run
from voxemo.steps.plan import plan_run
from voxemo.store.journal import read_journal
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.models import write_model
from voxemo.store.workspace import read_split


def worker(workspace: Workspace, run: Path, make_backend: Any) -> Worker:
    return Worker(workspace, run, None, make_backend, on_gpu=True)


def pretend_to_train(workspace: Workspace) -> None:
    """Cards of a model for each fold of the toy corpus; there is nothing in their weights."""
    base, corpus = lookup.model_card("acoustic-baseline"), lookup.corpus_card("toy")
    split, facts = read_split(workspace, "toy", "protocol")
    for fold in split.folds:
        record = TrainingRecord(
            kind="supervised",
            base_model_id=base.model_id,
            corpus_id="toy",
            corpus_card_sha256=corpus.sha256(),
            split_id="protocol",
            split_sha256=facts["sha256"],
            fold_id=fold.fold_id,
            partitions=("train",),
            label_source=corpus.gold,
            label_names=corpus.labels.names,
            n_utterances=len(fold.partitions["train"]),
            seed=1,
            recipe={},
            package_versions={},
            artefact="weights.npz",
            artefact_sha256="0" * 64,
        )
        folder = workspace.model_folder(base.model_id, "toy", "protocol", fold.fold_id)
        write_model(folder, base.model_copy(update={"training": record}), b"nothing")


def test_models_of_folds_are_each_loaded_once_and_answer_as_on_one_machine(
    workspace: Workspace, tmp_path: Path
) -> None:
    pretend_to_train(workspace)
    run = plan_run(workspace, tmp_path / "runs", corpus="toy", model="acoustic-baseline")
    alone = Path(shutil.copytree(run, tmp_path / "alone"))
    infer_run(workspace, alone, make_backend=make())
    loaded: list[str] = []

    def load(card: ModelCard, generation: Generation, **options: Any) -> Backend:
        loaded.append(card.sha256())
        return make()(card, generation)

    at_work = worker(workspace, run, load)
    plan = pl.read_parquet(RunPaths(run).plan)
    shares = cut(plan, n_workers=12)
    results = [at_work.answer(share) for share in shares]

    journal, expected = (read_journal(RunPaths(folder).responses) for folder in (run, alone))
    assert len(shares) == 12
    assert all(isinstance(result, InferResult) for result in results)
    assert len(loaded) == 4
    assert set(loaded) == set(plan["model_sha256"])
    assert journal.n_duplicates == 0
    assert {name: response.text for name, response in journal.responses.items()} == {
        name: response.text for name, response in expected.responses.items()
    }


def test_a_model_of_ours_is_kept_and_a_served_one_counts_its_tokens_anew() -> None:
    made: list[object] = []

    def load(card: ModelCard, generation: Generation, **options: Any) -> Any:
        made.append(object())
        return made[-1]

    ours = lookup.model_card("voxemo-tiny")
    other = ours.model_copy(update={"model_id": "other"})
    served = ours.model_copy(update={"backend": "endpoint"})
    kept = KeptBackend(load)

    def n_made(*cards: Any) -> int:
        made.clear()
        for card in cards:
            kept(card, Generation())
        return len(made)

    assert n_made(ours, ours, ours) == 1
    assert n_made(other, other, ours) == 2
    assert n_made(served, served, served) == 3


def test_a_model_that_could_not_be_loaded_is_tried_again() -> None:
    tried: list[str] = []

    def load(card: ModelCard, generation: Generation, **options: Any) -> Any:
        tried.append(card.model_id)
        if len(tried) == 1:
            raise BackendError("no memory")
        return object()

    kept = KeptBackend(load)
    card = lookup.model_card("voxemo-tiny")

    with pytest.raises(BackendError):
        kept(card, Generation())

    assert kept(card, Generation()) is kept(card, Generation())
    assert len(tried) == 2


def test_an_error_of_ours_is_a_value_and_a_node_without_the_shared_disk_says_so(
    workspace: Workspace, tmp_path: Path
) -> None:
    run = planned(workspace, forms=("hard",))
    refusing = worker(workspace, run, create_backend)
    share = Share(lookup.model_card("scripted").sha256(), (1, 2))

    assert worker(workspace, run, make()).arrive() is None
    assert isinstance(refusing.answer(share), BackendError)
    for folder, at in ((tmp_path / "elsewhere", workspace), (run, Workspace(tmp_path / "elsewhere"))):
        found = worker(at, folder, make()).arrive()
        assert isinstance(found, RunError)
        assert "does not see the" in str(found)
        assert "on a disk that all nodes have at the same path" in str(found)
