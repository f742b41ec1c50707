"""Training pairs."""

import pytest

from label_sets import CREMA_D, label_set_of
from voxemo.catalog.lookup import prompt
from voxemo.core.labels import LabelSet
from voxemo.parsing.hard import parse_hard
from voxemo.prompts.render import render_prompt
from voxemo.prompts.sft import training_pair


@pytest.mark.parametrize("label", CREMA_D)
def test_target_is_the_final_label_that_the_strict_reading_maps_back(label: str) -> None:
    variant, template = prompt("direct")
    label_set = label_set_of(*CREMA_D)

    asked, target = training_pair(label, variant=variant, template=template, label_set=label_set)

    assert asked == render_prompt(variant, template, form="hard", label_set=label_set)
    assert target == f"FINAL LABEL: {label.capitalize()}"
    assert parse_hard(target, label_set).label == label


def test_a_label_with_braces_is_written_as_it_is() -> None:
    variant, template = prompt("direct")

    _, target = training_pair("{label}", variant=variant, template=template, label_set=LabelSet(("{label}", "sad")))

    assert target == "FINAL LABEL: {label}"


def test_a_label_outside_the_label_set_is_refused_by_name() -> None:
    variant, template = prompt("direct")

    with pytest.raises(ValueError, match="'bored' is not in the label set"):
        training_pair("bored", variant=variant, template=template, label_set=label_set_of(*CREMA_D))
