"""Composition of prompts beyond the built-in cards."""

import hashlib

import pytest

from label_sets import CREMA_D, label_set_of
from voxemo.catalog.lookup import prompt
from voxemo.core.cards import PromptTemplate, PromptVariant
from voxemo.core.labels import LabelSet
from voxemo.prompts.render import prompt_sha256, render_prompt

BRACES = LabelSet(("{label}", "{labels}", "{0}"))


@pytest.fixture
def template() -> PromptTemplate:
    return prompt("direct")[1]


@pytest.fixture
def variant() -> PromptVariant:
    return prompt("direct")[0]


@pytest.mark.parametrize("form", ["hard", "distribution"])
def test_labels_with_braces_are_shown_as_they_are(form: str, variant: PromptVariant, template: PromptTemplate) -> None:
    text = render_prompt(variant, template, form=form, label_set=BRACES)

    assert text.endswith("FINAL LABEL: <one label from {label}, {labels}, {0}>")


def test_the_json_of_the_distributions_format_keeps_its_braces(
    variant: PromptVariant, template: PromptTemplate
) -> None:
    text = render_prompt(variant, template, form="distribution", label_set=BRACES)

    assert 'EMOTION DISTRIBUTION: {"Label1": prob1, "Label2": prob2, ...}' in text.split("\n")


def test_labels_stand_in_the_order_of_the_label_set(variant: PromptVariant, template: PromptTemplate) -> None:
    text = render_prompt(variant, template, form="hard", label_set=LabelSet(("sad", "angry")))

    assert "closed set: Sad, Angry." in text


def test_instructions_stand_in_the_order_of_the_variants_blocks(
    variant: PromptVariant, template: PromptTemplate
) -> None:
    backwards = variant.model_copy(update={"blocks": ("reasoning", "caption", "transcript")})

    lines = render_prompt(backwards, template, form="hard", label_set=label_set_of(*CREMA_D)).split("\n")

    assert lines[2:5] == [template.blocks[name] for name in backwards.blocks]
    assert lines[6:9] == [template.formats[name] for name in backwards.blocks]


def test_a_block_without_a_format_line_gets_none(variant: PromptVariant, template: PromptTemplate) -> None:
    bare = template.model_copy(update={"formats": {}})
    with_caption = variant.model_copy(update={"blocks": ("caption",)})

    lines = render_prompt(with_caption, bare, form="hard", label_set=label_set_of(*CREMA_D)).split("\n")

    assert lines[-2:] == [template.response_header, lines[-1]]


def test_the_id_of_a_prompt_is_the_hash_of_its_utf8_bytes() -> None:
    assert prompt_sha256("Gefühl") == hashlib.sha256("Gefühl".encode()).hexdigest()
