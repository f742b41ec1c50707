import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from toy import answered, make, planned
from voxemo.backends.base import Question
from voxemo.core.reasons import REASONS
from voxemo.core.types import Response
from voxemo.parsing.reasons import PARSER_VERSION
from voxemo.steps.failures import failure_report
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.manifest import read_manifest
from voxemo.store.tables import PREDICTIONS, frame, read_table


def failures(run: Path) -> list[dict[str, Any]]:
    content = json.loads(RunPaths(run).failures.read_text(encoding="utf-8"))
    assert content.keys() == {"parser_version", "failures"}
    assert content["parser_version"] == PARSER_VERSION
    found: list[dict[str, Any]] = content["failures"]
    return found


def test_every_failed_answer_is_counted_once_under_its_reason(workspace: Workspace) -> None:
    run = answered(workspace)
    found = failures(run)

    assert sum(one["n"] for one in found) == read_manifest(run).counts["strict.failed"] > 100
    assert len({(one["form"], one["system_id"], one["reason"]) for one in found}) == len(found)
    assert {one["reason"] for one in found} <= set(REASONS)
    assert {one["reading"] for one in found} == {"strict"}
    assert [one["form"] for one in found] == sorted((one["form"] for one in found), reverse=True)


def test_examples_are_the_first_failures_of_the_plan_with_what_was_answered(workspace: Workspace) -> None:
    run = answered(workspace)
    failed = read_table(RunPaths(run).predictions, PREDICTIONS).filter(reading="strict", status="failed")

    for one in failures(run):
        same = failed.filter(form=one["form"], system_id=one["system_id"], reason=one["reason"])
        assert one["n"] == same.height
        first = same.head(3).select("request_id", "utterance_id").rows(named=True)
        assert [{name: each[name] for name in ("request_id", "utterance_id")} for each in one["examples"]] == first
        assert {each["text"] for each in one["examples"]} == {"I hear something."}


def test_parsing_again_gives_the_same_bytes(workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",))
    before = RunPaths(run).failures.read_bytes()

    parse_run(run)

    assert RunPaths(run).failures.read_bytes() == before


def test_a_run_without_failures_says_so(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",), variants=("direct",))
    infer_run(workspace, run, make_backend=make(lambda question: "FINAL LABEL: Sad"))
    parse_run(run)

    assert failures(run) == []


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "\x1b[31mred", "=SUM(A1)", r"\input{x}", "\ud800 lone", "\x00", "x" * 5000],
    ids=["script", "terminal", "formula", "tex", "lone surrogate", "zero", "long"],
)
def test_answers_are_kept_as_they_are_and_cut(workspace: Workspace, text: str) -> None:
    def answer(question: Question) -> str:
        return text

    run = planned(workspace, forms=("hard",), variants=("direct",), limit=4)
    infer_run(workspace, run, make_backend=make(answer))
    parse_run(run)

    (one,) = failures(run)

    # What is no character at all becomes a question mark.
    assert {each["text"] for each in one["examples"]} == {text[:400].replace("\ud800", "?")}


def test_the_most_frequent_reason_of_a_prompt_comes_first_and_likelihoods_are_left_out() -> None:
    kinds = [("caption", "refusal", 1), ("caption", "no_field", 4), ("direct", "empty", 2)]
    rows = [
        {
            "request_id": f"{system}-{reason}-{k}",
            "utterance_id": f"c/{k}",
            "system_id": system,
            "form": form,
            "reading": reading,
            "status": "failed",
            "reason": reason,
            **dict.fromkeys(("label", "distribution", "repairs", "raw_label", "label_status", "label_reason")),
        }
        for system, reason, n in kinds
        for k in range(n)
        for reading in ("strict", "lenient")
        for form in ("hard", "likelihood")
    ]
    table = frame(rows, PREDICTIONS)
    responses = {name: Response(request_id=name, text="?") for name in table["request_id"]}

    found = failure_report(table.filter(pl.col("form") == "hard"), responses)["failures"]

    assert found == failure_report(table, responses)["failures"]
    assert [(one["system_id"], one["reason"], one["n"], len(one["examples"])) for one in found] == [
        ("caption", "no_field", 4, 3),
        ("caption", "refusal", 1, 1),
        ("direct", "empty", 2, 2),
    ]
