"""Whether the fast engine answers as the model's own ``generate`` does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tiny_checkpoints import BUILDERS, tiny_card
from toy import planned
from voxemo.backends.base import Question
from voxemo.backends.local.engine import LocalBackend
from voxemo.core.errors import RunError
from voxemo.core.types import Generation, Response
from voxemo.steps.parity import check_parity
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.store.files import read_json
from voxemo.store.layout import RunPaths, Workspace

OPTIONS = PlanOptions(generation=Generation(max_new_tokens=10))


def planned_for(workspace: Workspace, folder: Path, family: str) -> Path:
    path = folder / "card.json"
    path.write_text(tiny_card(BUILDERS[family](folder / "model"), family).model_dump_json(), encoding="utf-8")
    return plan_run(workspace, folder / "runs", corpus="toy", model=str(path), options=OPTIONS)


@pytest.mark.parametrize("family", sorted(BUILDERS))
def test_the_engine_is_exact_in_float32_and_the_run_keeps_it(workspace: Workspace, tmp_path: Path, family: str) -> None:
    run = planned_for(workspace, tmp_path, family)

    check = check_parity(workspace, run, n_clips=2, backend_options={"device": "cpu", "batch_size": 4})

    assert (check.n_clips, check.n_questions, check.n_answers_differ, check.n_labels_differ) == (2, 20, 0, 0)
    assert (check.dtype, check.batch_size, check.same_characters, check.examples) == ("float32", 4, None, ())
    assert check.is_exact_where_due
    assert read_json(RunPaths(run).parity_check)["n_questions"] == 20
    assert not RunPaths(run).responses.exists()


def test_answers_that_differ_are_counted_and_shown(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned_for(workspace, tmp_path, "qwen2-audio")
    answer = LocalBackend.answer

    def wrong(self: Any, questions: Sequence[Question]) -> list[Response]:
        return [
            Response(request_id=one.request_id, text="FINAL LABEL: Sad") if place == 0 else one
            for place, one in enumerate(answer(self, questions))
        ]

    monkeypatch.setattr(LocalBackend, "answer", wrong)
    check = check_parity(workspace, run, n_clips=1, backend_options={"device": "cpu", "batch_size": 4})

    assert not check.is_exact_where_due
    assert (check.n_answers_differ, check.n_labels_differ) == (1, 1)
    assert check.examples[0].fast == "FINAL LABEL: Sad"


def test_only_a_local_model_has_an_engine_to_compare(workspace: Workspace) -> None:
    with pytest.raises(RunError, match="run by the backend 'scripted'; only the local backend"):
        check_parity(workspace, planned(workspace))
