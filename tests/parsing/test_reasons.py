# ruff: noqa: RUF001 - signs that look alike are what is tested
"""Reasons of failures."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from voxemo import parsing
from voxemo.core.reasons import REASONS
from voxemo.parsing.reasons import UNANSWERED, absence_reason, is_refusal


def codes(tree: ast.AST) -> Iterator[str]:
    """Codes that a module gives: to the error, to a failed prediction, or back to who asks for the reason."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "UnreadableError":
            yield from words(node)
        elif isinstance(node, ast.keyword) and node.arg == "reason":
            yield from words(node.value)
        elif isinstance(node, ast.FunctionDef) and node.name.endswith("_reason"):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from words(inner.value)


def words(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from (*words(node.body), *words(node.orelse))
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "UnreadableError":
        yield from (word for argument in node.args for word in words(argument))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def test_every_code_that_parsing_gives_has_words_and_every_code_with_words_is_given() -> None:
    modules = Path(parsing.__file__).parent.glob("*.py")
    given = {code for path in modules for code in codes(ast.parse(path.read_text(encoding="utf-8")))}

    assert given | set(UNANSWERED.values()) == set(REASONS)


@pytest.mark.parametrize("reason", REASONS)
def test_reason_has_a_meaning_of_one_sentence(reason: str) -> None:
    assert REASONS[reason].endswith(".")
    assert REASONS[reason].count(". ") == 0


@pytest.mark.parametrize(
    "text",
    ["I'm sorry, but", "**I cannot** tell", "> As an AI, I", "  Unfortunately the audio", "无法判断", "I’m unable"],
)
def test_openings_that_decline_are_refusals(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize("text", ["", "The man says: I'm sorry", "ASR TRANSCRIPT: I cannot come", "It is happy"])
def test_the_same_words_further_on_are_none(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("", "length", "empty"),
        (" \n", "stop", "empty"),
        ("I cannot", "length", "cut_off"),
        ("I cannot", "stop", "refusal"),
        ("Happy", "stop", "no_field"),
    ],
)
def test_a_missing_field_has_the_reason_that_says_most(text: str, finish: str, reason: str) -> None:
    assert absence_reason(text, finish) == reason
