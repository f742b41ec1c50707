"""A run of another backend than its model's card names."""

from pathlib import Path
from typing import Any

import pytest

from toy import planned
from voxemo.catalog import lookup
from voxemo.core.errors import RunError
from voxemo.steps.fold_models import card_on
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.study import read_study
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.manifest import read_manifest
from voxemo.store.tables import PLAN, read_table


def plan_tiny(workspace: Workspace, **given: Any) -> Path:
    return plan_run(
        workspace,
        workspace.root.parent / "runs",
        corpus="toy",
        model="voxemo-tiny",
        options=PlanOptions(forms=("hard",), variants=("direct",), folds=("1",), limit=2, **given),
    )


def test_a_model_on_another_backend_is_another_system_in_everything_that_a_run_keeps(workspace: Workspace) -> None:
    own, other = plan_tiny(workspace), plan_tiny(workspace, backend="vllm")

    (card,) = read_manifest(other).model_cards.values()
    (own_card,) = read_manifest(own).model_cards.values()
    assert (card.model_id, card.backend) == ("voxemo-tiny-vllm", "vllm")
    assert card.name == f"{own_card.name} (vllm)"
    changed = {"model_id", "name", "backend"}
    assert card.model_dump(exclude=changed) == own_card.model_dump(exclude=changed)
    ids = [set(read_table(RunPaths(run).plan, PLAN)["request_id"]) for run in (own, other)]
    assert not ids[0] & ids[1], "answers of one must never be taken for answers of the other"


def test_naming_the_cards_own_backend_changes_nothing(workspace: Workspace) -> None:
    assert plan_tiny(workspace) == plan_tiny(workspace, backend="local")


def test_a_card_of_vllm_can_be_run_by_the_local_backend() -> None:
    card = lookup.model_card("qwen2-audio-7b-instruct")

    there = card_on(card, "vllm")

    assert card_on(there, "local").backend == "local"
    assert card_on(there, None) is there


@pytest.mark.parametrize("backend", ["endpoint", "vlm"])
def test_a_backend_that_reads_cards_otherwise_cannot_take_the_place(workspace: Workspace, backend: str) -> None:
    with pytest.raises(RunError, match=f"'local', and cannot be run by '{backend}' instead. Only 'local' and 'vllm'"):
        plan_tiny(workspace, backend=backend)
    with pytest.raises(RunError, match="scripted is run by the backend 'scripted'"):
        planned(workspace, backend="vllm")


def test_a_study_names_the_backend_of_each_of_its_parts(tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    part = '[[run]]\ncorpus = ["toy"]\nmodel = ["voxemo-tiny"]\n'
    study.write_text(f'{part}{part}backend = "vllm"\n', encoding="utf-8")

    assert [run.options.backend for run in read_study(study).runs] == [None, "vllm"]
