"""Answers in the manner of real speech LLMs, made up for the purpose, and how both readings take them.

Each file holds one answer a line: what was answered (``name``, ``form``, ``labels``, ``finish``, ``text``) and what is
read (``strict`` and ``lenient``: the fields of ParsedPrediction that are not at their default).
"""

import json
from dataclasses import asdict
from typing import Any

import pytest

from golden_files import GOLDEN, check_golden
from label_sets import label_set_of
from voxemo.core.reasons import REASONS
from voxemo.core.types import ParsedPrediction, Reading
from voxemo.parsing.hard import parse_hard
from voxemo.parsing.repair import REPAIRS
from voxemo.parsing.soft import parse_distribution

FILES = sorted(path.name for path in (GOLDEN / "responses").glob("*.jsonl"))
READINGS: tuple[Reading, ...] = ("strict", "lenient")


def answers(file: str) -> list[dict[str, Any]]:
    lines = (GOLDEN / "responses" / file).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def read(answer: dict[str, Any], reading: Reading) -> dict[str, Any]:
    parse = parse_distribution if answer["form"] == "distribution" else parse_hard
    prediction = parse(
        answer["text"], label_set_of(*answer["labels"].split()), reading=reading, finish=answer["finish"]
    )
    default = asdict(ParsedPrediction(status=prediction.status)) | {"status": None}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(prediction).items()
        if value != default[name]
    }


CASES = [(file, at, answer["name"]) for file in FILES for at, answer in enumerate(answers(file))]


@pytest.mark.parametrize("file", FILES)
def test_file_is_as_the_parser_writes_it(file: str) -> None:
    lines = [
        json.dumps({**answer, **{reading: read(answer, reading) for reading in READINGS}}) + "\n"
        for answer in answers(file)
    ]

    check_golden(f"responses/{file}", "".join(lines))


@pytest.mark.parametrize(("file", "at"), [case[:2] for case in CASES], ids=[f"{case[0]}-{case[2]}" for case in CASES])
@pytest.mark.parametrize("reading", READINGS)
def test_answer_is_read_as_known(file: str, at: int, reading: Reading) -> None:
    answer = answers(file)[at]

    assert read(answer, reading) == answer[reading]


def test_names_of_answers_are_unique() -> None:
    names = [name for _, _, name in CASES]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("reason", sorted(REASONS.keys() - {"no_scores"}))  # which no text can give
def test_every_reason_has_an_answer_that_fails_for_it(reason: str) -> None:
    predictions = [answer[reading] for file in FILES for answer in answers(file) for reading in READINGS]

    assert reason in {p.get("reason") for p in predictions} | {p.get("label_reason") for p in predictions}


@pytest.mark.parametrize("repair", REPAIRS)
def test_every_repair_has_an_answer_that_needs_it(repair: str) -> None:
    predictions = [answer["lenient"] for file in FILES for answer in answers(file)]

    assert repair in {name for p in predictions for name in p.get("repairs", ())}
