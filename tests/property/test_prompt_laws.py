"""Laws of prompts, over any label set."""

from hypothesis import given, settings
from hypothesis import strategies as st

from label_sets import EVERY_LABEL
from voxemo.catalog.lookup import prompt, prompt_names
from voxemo.core.labels import LabelSet
from voxemo.parsing.hard import parse_hard
from voxemo.prompts.render import prompt_sha256, render_prompt
from voxemo.prompts.sft import training_pair

FORMS = ("hard", "distribution")

label_sets = st.lists(st.sampled_from(EVERY_LABEL), min_size=2, unique=True).map(lambda names: LabelSet(tuple(names)))
odd_names = st.text(alphabet="{}[]:%s a-z\\<>\"'", min_size=1).map(str.lower)
odd_label_sets = st.lists(odd_names, min_size=2, unique=True).map(lambda names: LabelSet(tuple(names)))


@settings(deadline=None)
@given(label_set=odd_label_sets, variant_id=st.sampled_from(prompt_names()), form=st.sampled_from(FORMS))
def test_label_names_of_any_signs_stand_in_the_prompt_as_they_are(
    label_set: LabelSet, variant_id: str, form: str
) -> None:
    text = render_prompt(*prompt(variant_id), form=form, label_set=label_set)

    assert text.count(", ".join(label_set.display)) >= 2
    assert text.endswith(f"<one label from {', '.join(label_set.display)}>")


@settings(deadline=None)
@given(label_set=label_sets, variant_id=st.sampled_from(prompt_names()), form=st.sampled_from(FORMS))
def test_a_prompt_has_one_line_for_each_instruction_and_each_field(
    label_set: LabelSet, variant_id: str, form: str
) -> None:
    variant, template = prompt(variant_id)
    n_fields = 1 + sum(block != "direct" for block in variant.blocks) + (form == "distribution")
    n_instructions = 2 + len(variant.blocks) + (form == "distribution")

    lines = render_prompt(variant, template, form=form, label_set=label_set).split("\n")

    assert lines.index(template.response_header) == n_instructions
    assert len(lines) == n_instructions + 1 + n_fields


@settings(deadline=None)
@given(first=label_sets, second=label_sets)
def test_prompts_are_the_same_exactly_when_the_label_sets_are(first: LabelSet, second: LabelSet) -> None:
    variant, template = prompt("direct")
    hashes = [
        prompt_sha256(render_prompt(variant, template, form="hard", label_set=label_set))
        for label_set in (first, second)
    ]

    assert (hashes[0] == hashes[1]) == (first.names == second.names)


@settings(deadline=None)
@given(label_set=label_sets, data=st.data())
def test_the_target_of_training_is_read_back_as_its_label(label_set: LabelSet, data: st.DataObject) -> None:
    label = data.draw(st.sampled_from(label_set.names))
    variant, template = prompt("direct")

    _, target = training_pair(label, variant=variant, template=template, label_set=label_set)

    assert parse_hard(target, label_set).label == label
