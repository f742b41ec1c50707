"""The disclosure checklist: what is missing, what cannot all be true, and the form to fill in."""

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from voxemo.core.disclosure import (
    SECTIONS,
    Disclosure,
    checklist,
    contradictions,
    missing_points,
    open_points,
    template,
)
from voxemo.core.schemas import json_schema

FULL: dict[str, Any] = {
    "run": {"run": "ours", "made": "2026-03", "protocol": "zero-shot", "software": "ours 1"},
    "model": {
        "model": "m",
        "repository": "a/m",
        "revision": "abc",
        "dtype": "bfloat16",
        "training_data": "undisclosed",
        "training_overlap": "undisclosed",
    },
    "corpus": {
        "corpus": "c",
        "version": "1",
        "n_utterances": 400,
        "n_speakers": 38,
        "complete": True,
        "left_out": "none",
    },
    "split": {
        "split": "EmoBox fold 1",
        "identity": "abc",
        "seed": "none",
        "folds": "1 of 1",
        "test_partitions": ["test"],
        "n_tested": 100,
        "n_shared_speakers": 0,
        "speaker_independent": True,
    },
    "labels": {"names": ["angry", "sad"], "source": "expressed", "votes": "no votes"},
    "decoding": {"do_sample": False, "max_new_tokens": 512},
    "audio": {"handling": "16 kHz mono", "condition": "clean"},
    "scoring": {
        "parser": "last word",
        "scorer": "ours",
        "failure_policy": "wrong",
        "ties": "first",
        "n_asked": 100,
        "n_answered": 100,
        "n_read": 90,
        "n_repaired": 4,
        "n_failed": 6,
    },
    "checks": {"hears": "not checked"},
    "machine": {"hardware": "one GPU", "batch_size": "8", "packages": {"torch": "2.8"}},
    "seeds": {},
    "deviations": [],
    "prompts": [{"name": "direct", "form": "hard", "text": "Angry or Sad?"}],
}


def changed(**parts: Any) -> Disclosure:
    """The full disclosure with some points changed, by section."""
    content = {**FULL}
    for name, part in parts.items():
        content[name] = {**FULL[name], **part} if isinstance(part, dict) and name in SECTIONS else part
    return Disclosure.model_validate(content)


POINTS = [(section, point) for section in SECTIONS for point in FULL[section]]


def test_a_full_disclosure_lacks_nothing_and_contradicts_nothing() -> None:
    assert (missing_points(changed()), contradictions(changed())) == ([], [])


@pytest.mark.parametrize(("section", "point"), POINTS)
@pytest.mark.parametrize("empty", ["", None])
def test_a_point_left_empty_is_missing(section: str, point: str, empty: str | None) -> None:
    assert missing_points(changed(**{section: {point: empty}})) == [f"{section}.{point}"]


@pytest.mark.parametrize("name", ["seeds", "deviations", "prompts"])
def test_seeds_deviations_and_prompts_may_be_missing_too(name: str) -> None:
    content = {key: value for key, value in FULL.items() if key != name}

    assert missing_points(Disclosure.model_validate(content)) == [name]


def test_a_prompt_without_its_text_is_missing() -> None:
    document = changed(prompts=[*FULL["prompts"], {"name": "other", "form": "hard"}])

    assert missing_points(document) == ["prompts.2.text"]


def test_sampling_asks_for_a_temperature_and_training_for_its_recipe() -> None:
    assert missing_points(changed(decoding={"do_sample": True})) == ["decoding.temperature"]
    assert missing_points(changed(run={"protocol": "SFT"})) == ["model.trained"]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"decoding": {"temperature": 0.7}}, "greedy decoding draws nothing"),
        ({"decoding": {"top_k": 50}}, "greedy decoding draws nothing"),
        ({"decoding": {"do_sample": True, "temperature": 0}}, "that is greedy decoding"),
        ({"decoding": {"top_p": 1.5}}, "top_p is 1.5"),
        ({"decoding": {"max_new_tokens": 0}}, "it is 1 or more"),
        ({"split": {"n_shared_speakers": 3}}, "split.speaker_independent is true, but split.n_shared_speakers is 3"),
        ({"split": {"n_shared_speakers": "unknown"}}, "it was not counted"),
        ({"split": {"speaker_independent": False}}, "split.speaker_independent is false"),
        ({"split": {"n_shared_speakers": 39, "speaker_independent": False}}, "corpus.n_speakers is 38"),
        ({"split": {"test_partitions": ["a", "a"]}}, "twice"),
        ({"labels": {"names": ["angry", "sad", "Angry"]}}, "'angry' more than once"),
        ({"labels": {"names": ["angry"]}}, "to choose takes two"),
        ({"labels": {"names": ["angry", "sad", "fear"]}}, "does not name the label 'fear'"),
        ({"scoring": {"n_failed": 7}}, "is 101, but scoring.n_answered is 100"),
        ({"scoring": {"n_failed": 5}}, "is 99, but scoring.n_answered is 100"),
        ({"scoring": {"n_answered": 101}}, "scoring.n_asked is 100"),
        ({"scoring": {"n_answered": 90, "n_read": 80}}, "partial does not say why"),
        ({"scoring": {"n_answered": None, "n_read": 99}}, "counts 109 answers"),
        ({"scoring": {"n_repaired": -1}}, "a count is 0 or more"),
        ({"prompts": 2 * FULL["prompts"]}, "2 texts called 'direct'"),
        ({"model": {"trained": "on c"}}, "run.protocol is zero-shot"),
    ],
)
def test_what_cannot_all_be_true_is_said(parts: dict[str, Any], words: str) -> None:
    found = contradictions(changed(**parts))

    assert any(words in text for text in found), found


@pytest.mark.parametrize(
    "parts",
    [
        {"decoding": {"temperature": 0, "top_p": 1}},
        {"partial": "the service stopped", "scoring": {"n_answered": 90, "n_read": 80}},
        {"scoring": {"n_answered": 90, "n_failed": 6}, "partial": "ten were not answered and count as failed"},
        {
            "corpus": {"n_speakers": "unknown"},
            "split": {"n_shared_speakers": "unknown", "speaker_independent": "unknown"},
        },
        {"prompts": [*FULL["prompts"], {"name": "direct", "form": "distribution", "text": "Sad? Angry?"}]},
    ],
)
def test_what_can_be_true_is_no_contradiction(parts: dict[str, Any]) -> None:
    assert contradictions(changed(**parts)) == []


def test_the_checklist_shows_every_point_that_is_asked_for_filled_in_or_missing() -> None:
    empty, full = checklist(Disclosure()), checklist(changed())

    assert [section.title for section in empty] == [section.title for section in full]
    shown = {point.name: point for section in empty for point in section.points}
    assert len([point for point in shown.values() if point.value is None and point.asks]) >= len(POINTS) - 3
    assert all(point.value is not None for section in full for point in section.points)


def test_what_is_said_beside_the_points_stands_in_the_checklist() -> None:
    document = changed(audio={"also": {"fan": "broken"}}, seeds={"sampling": 3}, deviations=["none of yours"])

    lines = {(section.title, point.name, point.value) for section in checklist(document) for point in section.points}
    assert {("Audio", "fan", "broken"), ("Seeds", "sampling", "3")} <= lines
    assert ("Deviations from the protocol", "", "none of yours") in lines


KNOWN: dict[str, Any] = {
    "checks": {"hears": "yes"},
    "model": {"training_data": "public", "training_overlap": "none known"},
}


@pytest.mark.parametrize(
    ("section", "point", "value"),
    [
        ("model", "revision", "not pinned"),
        ("model", "training_overlap", "Undisclosed: it may hold the corpus"),
        ("corpus", "n_speakers", "unknown"),
        ("split", "speaker_independent", "unknown"),
        ("machine", "batch_size", "not known"),
    ],
)
def test_a_point_that_says_it_is_not_known_is_open_and_not_missing(section: str, point: str, value: str) -> None:
    settled = changed(**KNOWN)
    document = changed(**{**KNOWN, section: {**KNOWN.get(section, {}), point: value}})

    assert (open_points(settled), open_points(document)) == ([], [f"{section}.{point}"])
    assert missing_points(document) == []
    shown = [one for part in checklist(document) for one in part.points if one.is_open]
    assert [one.value for one in shown] == [value]


@pytest.mark.parametrize("value", ["none", "not applicable", "notably clean", "no"])
def test_an_answer_that_says_no_is_not_open(value: str) -> None:
    assert open_points(changed(**{**KNOWN, "checks": {"hears": value}})) == []


def test_the_template_is_a_disclosure_whose_every_point_is_missing() -> None:
    document = Disclosure.model_validate(tomllib.loads(template()))

    assert set(missing_points(Disclosure())) - set(missing_points(document)) == {"prompts"}
    assert contradictions(document) == []


def test_the_template_says_of_every_point_what_it_asks() -> None:
    lines = template().splitlines()

    points = [index for index, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    assert len(points) > len(POINTS)
    assert all(lines[index - 1].startswith("# ") for index in points if not lines[index].startswith("schema_version"))


@given(name=st.text(max_size=40))
def test_any_name_can_stand_in_the_template(name: str) -> None:
    run = tomllib.loads(template(name))["run"]["run"]

    assert run == name.encode("utf-8", "replace").decode()


def test_a_full_disclosure_fits_the_published_schema_and_a_stranger_does_not() -> None:
    schema = Draft202012Validator(json_schema("disclosure"))

    schema.validate(json.loads(json.dumps(FULL)))
    assert not schema.is_valid({**FULL, "weather": "fine"})
    assert not schema.is_valid({**FULL, "split": {**FULL["split"], "n_shared_speakers": "some"}})
