"""Whether the fast engine answers as the model's own ``generate`` does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tiny_checkpoints import BUILDERS, tiny_card
from toy import planned
from voxemo.backends.local.engine import LocalBackend
from voxemo.cli.doctor import parity_lines
from voxemo.core.errors import RunError
from voxemo.core.types import Generation, Response
from voxemo.reports.disclosure import disclosure_markdown, run_disclosure
from voxemo.steps.parity import check_parity
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.store.files import read_json
from voxemo.store.layout import RunPaths, Workspace

pytestmark = pytest.mark.usefixtures("quick_training")

OPTIONS = PlanOptions(generation=Generation(max_new_tokens=10))


def planned_for(workspace: Workspace, folder: Path, family: str) -> Path:
    path = folder / "card.json"
    path.write_text(tiny_card(BUILDERS[family](folder / "model"), family).model_dump_json(), encoding="utf-8")
    return plan_run(workspace, folder / "runs", corpus="toy", model=str(path), options=OPTIONS)


def change_answers(monkeypatch: pytest.MonkeyPatch, change: Callable[[list[Response]], list[Response]]) -> None:
    """Let the engine, and not plain generate, answer otherwise."""
    answer = LocalBackend.answer
    monkeypatch.setattr(LocalBackend, "answer", lambda self, questions: change(answer(self, questions)))


@pytest.mark.parametrize("family", sorted(BUILDERS))
def test_the_engine_is_exact_in_float32_and_the_run_keeps_it(workspace: Workspace, tmp_path: Path, family: str) -> None:
    run = planned_for(workspace, tmp_path, family)

    check = check_parity(workspace, run, n_clips=2, backend_options={"device": "cpu", "batch_size": 4})

    assert (check.n_clips, check.n_questions, check.n_answers_differ, check.n_labels_differ) == (2, 20, 0, 0)
    assert (check.dtype, check.batch_size, check.first_tokens, check.examples) == ("float32", 4, (), ())
    assert check.is_exact_where_due
    assert read_json(RunPaths(run).parity_check)["n_questions"] == 20
    assert not RunPaths(run).responses.exists()


def test_answers_that_differ_are_counted_and_shown_from_the_token_on_that_differs(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned_for(workspace, tmp_path, "qwen2-audio")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")

    def wrong(answers: list[Response]) -> list[Response]:
        whole, late, *others = answers
        tokens = tokenizer(late.text, add_special_tokens=False)["input_ids"]
        late = replace(late, text=tokenizer.decode(tokens[:4]) + " Sad")
        return [replace(whole, text="FINAL LABEL: Sad"), late, *others]

    change_answers(monkeypatch, wrong)
    check = check_parity(workspace, run, n_clips=1, backend_options={"device": "cpu", "batch_size": 4})

    assert not check.is_exact_where_due
    assert (check.n_answers_differ, check.n_labels_differ) == (2, 1)
    assert check.examples[0].fast == "FINAL LABEL: Sad"
    assert [one.first_token for one in check.examples] == [1, 5]
    assert check.first_tokens == (1, 5)
    assert read_json(RunPaths(run).parity_check)["first_tokens"] == [1, 5]
    lines = "\n".join(parity_lines(check))
    assert "answers whose tokens differ: 2 of 10; labels that differ: 1\n" in lines
    assert "the first token that differs: number 3 (median; 1 to 5)\n" in lines
    assert ", from token 5 on:\n" in lines
    assert "2 of 10 answers and 1 labels differ, the first at token 1 (float32," in disclosure_markdown(
        run_disclosure(run)
    )


@pytest.mark.parametrize("family", sorted(BUILDERS))
def test_in_bfloat16_flips_are_counted_and_none_is_an_error(
    workspace: Workspace, tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned_for(workspace, tmp_path, family)
    # Rounding decides different answers on different processors; one differs on all of them.
    change_answers(monkeypatch, lambda answers: [replace(answers[0], text="FINAL LABEL: Sad"), *answers[1:]])

    check = check_parity(
        workspace, run, n_clips=1, backend_options={"device": "cpu", "batch_size": 4, "dtype": "bfloat16"}
    )

    assert (check.dtype, check.n_questions) == ("bfloat16", 10)
    assert check.is_exact_where_due
    assert len(check.first_tokens) == check.n_answers_differ >= 1
    assert (check.examples[0].fast, check.examples[0].first_token) == ("FINAL LABEL: Sad", 1)
    kept = read_json(RunPaths(run).parity_check)
    assert (kept["dtype"], kept["first_tokens"]) == ("bfloat16", list(check.first_tokens))
    assert "(bfloat16, cpu, batch size 4)" in disclosure_markdown(run_disclosure(run))
    assert not any("NOT EXACT" in line for line in parity_lines(check))


def test_only_a_local_model_has_an_engine_to_compare(workspace: Workspace) -> None:
    with pytest.raises(RunError, match="run by the backend 'scripted'; only the local backend"):
        check_parity(workspace, planned(workspace))
