"""Fine-tuning as a user has it: a corpus and a speech LLM in, a model that a run takes out, whatever happens."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from tiny_checkpoints import build_qwen2_audio, tiny_card
from voxemo.catalog import lookup
from voxemo.core.cards import ModelCard
from voxemo.core.errors import RunError, TrainingError, UnknownName
from voxemo.core.types import Generation
from voxemo.steps import fine_tune as step
from voxemo.steps import fold_training
from voxemo.steps.fine_tune import Machine, TuneResult, fine_tune
from voxemo.steps.merge import merge_model
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.run import finish_run
from voxemo.steps.split import split_corpus
from voxemo.store.files import read_json
from voxemo.store.layout import MODEL_CARD, TRAINING_PACE, RunPaths, Workspace
from voxemo.store.manifest import read_manifest
from voxemo.store.tables import SCORES, read_table
from voxemo.training.adapters import WEIGHTS_FILE
from voxemo.training.loop import Pace
from voxemo.training.lora import LoraRecipe, recipe_of
from voxemo.training.state import Epoch

RECIPE = LoraRecipe(rank=4, alpha=8, learning_rate=1e-2, n_epochs=2, batch_size=32)
NAME = "tiny-qwen2-audio-sft"


pytestmark = pytest.mark.usefixtures("quick_training")


@pytest.fixture(scope="module")
def base_card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path to the card of a tiny random Qwen2-Audio on disk."""
    folder = tmp_path_factory.mktemp("base")
    card = tiny_card(build_qwen2_audio(folder / "checkpoint"), "qwen2-audio")
    (folder / "tiny.json").write_text(card.model_dump_json())
    return folder / "tiny.json"


def tune(workspace: Workspace, base: Path, **given: Any) -> TuneResult:
    pace = Pace(micro_batch_size=given.pop("size", 16), checkpoint_every=given.pop("every", 3))
    fields = {"model": str(base), "folds": ("1",), "recipe": RECIPE, "machine": Machine(device="cpu", pace=pace)}
    return fine_tune(workspace, "toy", **(fields | given))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A workspace in which fold 1 of the toy corpus was trained on. Not to be changed."""

    workspace: Workspace
    result: TuneResult

    @property
    def card(self) -> ModelCard:
        return self.result.cards["1"]

    @property
    def folder(self) -> Path:
        return self.result.folders["1"]


@pytest.fixture(scope="module")
def trained(toy_workspace: Workspace, base_card: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    root = tmp_path_factory.mktemp("trained") / "workspace"
    shutil.copytree(toy_workspace.root, root)
    workspace = Workspace(root)
    return Trained(workspace=workspace, result=tune(workspace, base_card))


@pytest.fixture
def after(trained: Trained, tmp_path: Path) -> Workspace:
    """A copy of that workspace that a test may change."""
    shutil.copytree(trained.workspace.root, tmp_path / "after")
    return Workspace(tmp_path / "after")


def adapter(folder: Path, version: str) -> bytes:
    return (folder / version / WEIGHTS_FILE).read_bytes()


def run_of(workspace: Workspace, runs: Path, model: str, **given: Any) -> Path:
    options = PlanOptions(limit=4, generation=Generation(max_new_tokens=4), **given)
    return plan_run(workspace, runs, corpus="toy", model=model, options=options)


def asked(workspace: Workspace, run: Path) -> pl.DataFrame:
    finish_run(
        workspace,
        run,
        backend_options={"device": "cpu"},
        bar=lambda title, unit: nullcontext(lambda done, total: None),
        resamples=10,
    )
    return read_table(RunPaths(run).scores, SCORES)


# --- what comes out ----------------------------------------------------------------------------------------------


def test_the_card_says_what_was_trained_on_what_and_how(trained: Trained) -> None:
    record = trained.card.training
    assert record is not None

    assert (trained.card.model_id, record.base_model_id, record.kind) == (NAME, "tiny-qwen2-audio", "sft")
    assert (record.corpus_id, record.split_id, record.fold_id, record.partitions) == (
        "toy",
        "protocol",
        "1",
        ("train", "valid"),
    )
    assert record.utterances_sha256 is not None
    assert recipe_of(record.recipe) == RECIPE
    assert (record.recipe["dtype"], record.recipe["n_trained_parameters"]) == ("float32", trained.result.n_trained)
    assert len(record.recipe["epochs"]) == RECIPE.n_epochs
    assert trained.card.training_corpora == ("toy",)
    assert lookup.model_card(str(trained.folder / MODEL_CARD)) == trained.card


def test_the_folder_holds_best_and_last_the_curve_and_no_checkpoint(trained: Trained) -> None:
    assert sorted(path.name for path in trained.folder.iterdir()) == [
        "best",
        "curve.csv",
        "last",
        "losses.csv",
        MODEL_CARD,
        TRAINING_PACE,
    ]
    pace = read_json(trained.folder / TRAINING_PACE)
    assert pace["n_utterances"] == trained.card.training.recipe["n_steps"] * RECIPE.batch_size  # type: ignore[union-attr]
    assert pace["base_model_id"] == "tiny-qwen2-audio"
    assert pace["seconds"] > 0
    rows = list(csv.DictReader((trained.folder / "curve.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["valid_loss"]) < float(rows[0]["valid_loss"])
    record = trained.card.training
    assert record is not None
    assert len((trained.folder / "losses.csv").read_text().splitlines()) == 1 + record.recipe["n_steps"]


def test_nothing_that_is_kept_names_a_path_of_this_machine(trained: Trained, base_card: Path) -> None:
    for path in trained.folder.rglob("*.json"):
        assert str(base_card.parent) not in path.read_text()
    assert trained.card.repository == "checkpoint"


def test_trained_again_it_is_left_as_it_is(after: Workspace, base_card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*given: Any, **options: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(step, "load_model", load)
    result = tune(after, base_card)

    assert result.epochs == {}
    assert list(result.cards) == ["1"]


def test_another_training_does_not_take_the_place_of_one_that_is_there(after: Workspace, base_card: Path) -> None:
    with pytest.raises(TrainingError, match=r"learning_rate 0\.01 and now 0\.001.*--name"):
        tune(after, base_card, recipe=LoraRecipe(rank=4, alpha=8, learning_rate=1e-3, n_epochs=2, batch_size=32))


def test_a_split_that_was_made_again_is_trained_again(after: Workspace, base_card: Path, trained: Trained) -> None:
    split_corpus(after, "toy", seed=5)
    seeded = "protocol-seed5"
    one_epoch = LoraRecipe(rank=4, alpha=8, learning_rate=1e-2, n_epochs=1, batch_size=32)
    result = tune(after, base_card, split_id=seeded, recipe=one_epoch)

    assert result.cards["1"].training != trained.card.training
    assert len(trained.workspace.trained_models(NAME)) == 1
    assert len(after.trained_models(NAME)) == 2


def test_clips_are_heard_once_for_all_folds_and_trainings(
    after: Workspace, base_card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    plain = step.Hearing.embed
    monkeypatch.setattr(step.Hearing, "embed", lambda self, clips: heard.append(len(clips)) or plain(self, clips))
    monkeypatch.setattr(fold_training, "_validator", lambda *given: None)
    one_epoch = LoraRecipe(rank=4, alpha=8, learning_rate=1e-2, n_epochs=1, batch_size=32)
    tune(after, base_card, name="other", recipe=one_epoch, seed=4)

    assert heard == []


@pytest.mark.parametrize(
    ("model", "said"),
    [("acoustic-baseline", "Speech LLMs of these families"), ("gemma-3n-e2b-it", "Speech LLMs of these families")],
)
def test_a_model_that_has_no_decoder_to_adapt_is_refused(workspace: Workspace, model: str, said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        fine_tune(workspace, "toy", model=model)


@pytest.mark.parametrize("name", ["voxemo-tiny", "Upper", "../out", "-x"])
def test_a_name_that_is_taken_or_no_name_is_refused(workspace: Workspace, base_card: Path, name: str) -> None:
    with pytest.raises(TrainingError, match=re.escape(repr(name))):
        tune(workspace, base_card, name=name)


def test_a_fine_tuned_model_is_not_the_base_of_another(trained: Trained) -> None:
    with pytest.raises(TrainingError, match="is trained already"):
        tune(trained.workspace, trained.folder / MODEL_CARD)


# --- in a run ----------------------------------------------------------------------------------------------------


def test_a_run_by_card_asks_the_direct_prompt_and_is_of_kind_sft(trained: Trained, tmp_path: Path) -> None:
    run = run_of(trained.workspace, tmp_path / "runs", str(trained.folder / MODEL_CARD))
    scores = asked(trained.workspace, run)
    manifest = read_manifest(run)

    assert manifest.protocol == "sft"
    assert [(prompt.variant_id, prompt.form) for prompt in manifest.prompts] == [("direct", "hard")]
    assert any("fine-tuning: rank = 4 (protocol: 8)" in text for text in manifest.deviations)
    assert set(scores["training"].unique()) >= {"sft"}
    worker = json.loads(next(RunPaths(run).workers.glob("*.json")).read_text())
    assert worker["effective"]["adapter"]["merged"] is False


def test_a_run_by_name_takes_the_card_of_each_fold_and_asks_for_those_that_are_missing(
    trained: Trained, tmp_path: Path
) -> None:
    run = run_of(trained.workspace, tmp_path / "runs", NAME, folds=("1",))

    assert read_manifest(run).model_cards == {"1": trained.card}
    with pytest.raises(RunError, match=f"voxemo train toy --model tiny-qwen2-audio --split protocol --name {NAME}"):
        run_of(trained.workspace, tmp_path / "runs", NAME)


def test_a_name_that_was_never_trained_is_unknown_and_near_ones_are_told(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=f"Did you mean '{NAME}'"):
        run_of(trained.workspace, tmp_path / "runs", "tiny-qwen2-audio-stf")


def test_a_model_trained_on_another_split_is_not_asked_about_its_own_training_clips(
    trained: Trained, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="trained on another split"):
        plan_run(
            trained.workspace,
            tmp_path / "runs",
            corpus="toy",
            model=str(trained.folder / MODEL_CARD),
            split_id="speaker-disjoint",
        )


def test_a_backend_that_takes_no_adapters_is_given_none(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has an adapter, which the backend 'vllm' does not take\. Merge it"):
        run_of(trained.workspace, tmp_path / "runs", str(trained.folder / MODEL_CARD), backend="vllm")


def test_a_merged_model_answers_in_a_run_as_the_adapter_does(after: Workspace, tmp_path: Path) -> None:
    (card,) = after.trained_models(NAME)
    merged = merge_model(after, card, tmp_path / "merged")
    scores = {
        name: asked(after, run_of(after, tmp_path / "runs", str(path))).drop("run_id", "model_id")
        for name, path in (("adapter", card), ("merged", tmp_path / "merged" / MODEL_CARD))
    }

    assert merged.card.model_id == f"{NAME}-merged"
    assert scores["adapter"].equals(scores["merged"])


# --- accidents ---------------------------------------------------------------------------------------------------


VOXEMO = [sys.executable, "-c", "from voxemo.cli.main import run; run()"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]


def command(workspace: Workspace, base: Path, *, name: str) -> list[str]:
    """The training of ``RECIPE`` on the command line."""
    words = f"train toy --model {base} --fold 1 --name {name} --rank 4 --alpha 8 --learning-rate 1e-2 --epochs 2"
    pace = f"--batch-size 32 --micro-batch-size 16 --checkpoint-every 3 --device cpu --workspace {workspace.root}"
    return [*words.split(), *pace.split()]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def test_a_training_whose_process_is_killed_goes_on_to_the_same_bits(
    after: Workspace, base_card: Path, trained: Trained
) -> None:
    folder = after.model_folder("killed", "toy", "protocol", "1")
    words = [*VOXEMO, *command(after, base_card, name="killed")]
    with subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.poll() is None and not list(folder.glob("checkpoint-*.safetensors")):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / MODEL_CARD).exists()

    result = tune(after, base_card, name="killed")

    assert len(result.epochs["1"]) == RECIPE.n_epochs
    assert adapter(folder, "last") == adapter(trained.folder, "last")
    assert not list(folder.glob("checkpoint-*"))


@pytest.mark.parametrize("dies_in", ["write_adapter", "write_text"], ids=["adapters", "curve and card"])
def test_a_training_that_dies_while_it_writes_its_results_has_them_the_next_time(
    after: Workspace, base_card: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    def die(*given: Any) -> None:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(fold_training, dies_in, die)
        with pytest.raises(OSError, match=r"^$"):
            tune(after, base_card, name="died")
    result = tune(after, base_card, name="died")

    assert adapter(result.folders["1"], "best") == adapter(trained.folder, "best")


def test_two_processes_of_torchrun_learn_what_one_does(after: Workspace, base_card: Path, trained: Trained) -> None:
    done = subprocess.run(
        [*TORCHRUN, *VOXEMO, *command(after, base_card, name="both")],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = after.model_folder("both", "toy", "protocol", "1")
    card = lookup.model_card(str(folder / MODEL_CARD))
    alone, both = (load_file(one / "last" / WEIGHTS_FILE) for one in (trained.folder, folder))

    assert card.training is not None
    assert card.training.recipe["n_processes"] == 2
    assert done.stdout.count("fold 1, epoch 1:") == 1
    for name, tensor in alone.items():
        torch.testing.assert_close(both[name], tensor, atol=2e-4, rtol=2e-3)


def test_a_checkpoint_that_is_damaged_is_named(after: Workspace, base_card: Path) -> None:
    folder = after.model_folder("torn", "toy", "protocol", "1")
    with pytest.raises(KeyboardInterrupt):
        tune(after, base_card, name="torn", on_epoch=interrupt)
    (path,) = folder.glob("checkpoint-*")
    path.write_bytes(path.read_bytes()[:100])

    with pytest.raises(TrainingError, match="checkpoint of the training is damaged"):
        tune(after, base_card, name="torn")


def interrupt(fold_id: str, epoch: Epoch) -> None:
    if epoch.epoch == 2:
        raise KeyboardInterrupt
