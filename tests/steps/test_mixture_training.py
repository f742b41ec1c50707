"""Training on several corpora at once, with tiny checkpoints."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file

from transfer_world import small_world, tiny_base
from voxemo.catalog import lookup
from voxemo.core.errors import RunError, TrainingError
from voxemo.steps.fine_tune import Machine, TuneResult, fine_tune, fine_tune_mixture
from voxemo.steps.mixtures import MIXED, MIXED_FOLD, Mixture, Source
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.split import split_corpus
from voxemo.store.files import read_json
from voxemo.store.layout import MODEL_CARD, TRAINING_PACE, Workspace
from voxemo.training.adapters import WEIGHTS_FILE
from voxemo.training.loop import Pace
from voxemo.training.lora import LoraRecipe
from voxemo.training.state import Epoch

# What these tests share takes long to make: one process makes it, once.
pytestmark = pytest.mark.xdist_group("mixture")

RECIPE = LoraRecipe(rank=2, alpha=4, learning_rate=1e-2, n_epochs=2, batch_size=8)


@dataclass(frozen=True, slots=True)
class World:
    workspace: Workspace
    base: Path

    def mixed(self, *sources: Source, name: str = "mixed", **given: Any) -> TuneResult:
        mixture = Mixture(mixture_id="several", sources=sources)
        machine = Machine(device="cpu", pace=Pace(micro_batch_size=8))
        return fine_tune_mixture(
            self.workspace, mixture, model=str(self.base), name=name, recipe=RECIPE, machine=machine, **given
        )


@pytest.fixture(scope="module")
def world(quick_training: None, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    workspace = small_world(folder)
    for corpus in ("north", "south"):
        split_corpus(workspace, corpus)
    return World(workspace, tiny_base(folder))


def weights(result: TuneResult, version: str = "last") -> bytes:
    (folder,) = result.folders.values()
    return (folder / version / WEIGHTS_FILE).read_bytes()


def test_a_mixture_of_one_corpus_learns_what_the_corpus_alone_teaches(world: World) -> None:
    machine = Machine(device="cpu", pace=Pace(micro_batch_size=8))
    alone = fine_tune(world.workspace, "north", model=str(world.base), name="alone", recipe=RECIPE, machine=machine)

    assert weights(world.mixed(Source(corpus="north"))) == weights(alone)


def test_the_record_names_every_corpus_with_its_share_and_what_was_taught(world: World) -> None:
    result = world.mixed(
        Source(corpus="north", weight=3.0), Source(corpus="south", weight=1.0, labels=("angry", "sad")), name="three"
    )
    (card,) = result.cards.values()
    record = card.training
    assert record is not None

    assert [(one.corpus_id, one.weight, one.label_names) for one in record.sources] == [
        ("north", 0.75, ("angry", "happy", "sad")),
        ("south", 0.25, ("angry", "sad")),
    ]
    assert record.corpora == ("north", "south")
    assert record.n_utterances == sum(one.n_utterances for one in record.sources)
    assert record.recipe["n_left_out_unlabelled"] > 0
    assert card.training_corpora == ("north", "south")
    assert "north (0.750 of each epoch, split protocol), south" in card.training_data


def test_other_weights_are_another_training_under_one_name(world: World) -> None:
    world.mixed(Source(corpus="north"), Source(corpus="south"), name="again")

    assert world.mixed(Source(corpus="north"), Source(corpus="south"), name="again").epochs == {}
    with pytest.raises(TrainingError, match="trained on fold 1 of several otherwise before"):
        world.mixed(Source(corpus="north", weight=2.0), Source(corpus="south", weight=1.0), name="again")


WEIGHED = (Source(corpus="north", weight=2.0), Source(corpus="south", weight=1.0))


def test_an_interrupted_mixture_goes_on_to_the_same_bits(world: World) -> None:
    def interrupt(fold_id: str, epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.mixed(*WEIGHED, name="interrupted", on_epoch=interrupt)
    resumed = world.mixed(*WEIGHED, name="interrupted")
    whole = world.mixed(*WEIGHED, name="whole")

    assert weights(resumed) == weights(whole)
    learned = [read_json(next(iter(one.folders.values())) / TRAINING_PACE)["n_utterances"] for one in (resumed, whole)]
    assert learned[0] == learned[1] / 2


# As a user's script would start it; `voxemo transfer` trains in one process.
TOGETHER = """
import sys
from pathlib import Path
from voxemo.steps.fine_tune import Machine, fine_tune_mixture
from voxemo.steps.mixtures import MIXED, MIXED_FOLD, Mixture, Source
from voxemo.store.files import read_json
from voxemo.store.layout import MODEL_CARD, TRAINING_PACE, Workspace
from voxemo.training.loop import Pace
from voxemo.training.lora import LoraRecipe
from voxemo.training.state import Epoch

sources = (Source(corpus="north", weight=2.0), Source(corpus="south", weight=1.0))
recipe = LoraRecipe(rank=2, alpha=4, learning_rate=1e-2, n_epochs=2, batch_size=8)
fine_tune_mixture(
    Workspace(Path(sys.argv[1])), Mixture(mixture_id="several", sources=sources), model=sys.argv[2], name="both",
    recipe=recipe, machine=Machine(device="cpu", pace=Pace(micro_batch_size=8)),
)
"""


def test_two_processes_learn_of_a_mixture_what_one_does(world: World, tmp_path: Path) -> None:
    alone = world.mixed(*WEIGHED, name="alone-of-two")
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, str(script), str(world.workspace.root), str(world.base)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = world.workspace.model_folder("both", "several", MIXED, MIXED_FOLD)
    card = lookup.model_card(str(folder / MODEL_CARD))
    one, two = load(weights(alone)), load_file(folder / "last" / WEIGHTS_FILE)

    assert card.training is not None
    assert card.training.recipe["n_processes"] == 2
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-4, rtol=2e-3)


def test_a_mixture_is_not_asked_about_a_corpus_that_it_holds(world: World, tmp_path: Path) -> None:
    result = world.mixed(Source(corpus="north"), Source(corpus="south"), name="held")
    (folder,) = result.folders.values()

    with pytest.raises(RunError, match=r"mixture that holds north \(north, south\)"):
        plan_run(
            world.workspace, tmp_path, corpus="north", model=str(folder / "model.json"), options=PlanOptions(limit=1)
        )


def test_a_corpus_with_nothing_to_learn_is_named(world: World) -> None:
    with pytest.raises(TrainingError, match="fold 1 of south trains on has a label"):
        world.mixed(Source(corpus="north"), Source(corpus="south", language="xx"), name="nothing")
