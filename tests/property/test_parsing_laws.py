"""Laws of both readings, over any text and any label set."""

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from label_sets import EVERY_LABEL, label_set_of
from voxemo.catalog.lookup import prompt, prompt_names
from voxemo.core.labels import LabelSet
from voxemo.core.reasons import REASONS
from voxemo.core.types import ParsedPrediction, Reading
from voxemo.parsing.fields import MAX_RAW_CHARS
from voxemo.parsing.hard import parse_hard
from voxemo.parsing.repair import REPAIRS
from voxemo.parsing.soft import parse_distribution
from voxemo.parsing.spans import read_parts
from voxemo.prompts.render import render_prompt

READINGS: tuple[Reading, ...] = ("strict", "lenient")

label_sets = st.lists(st.sampled_from(EVERY_LABEL), min_size=2, max_size=14, unique=True).map(
    lambda names: label_set_of(*names)
)
any_text = st.text(alphabet=st.characters(exclude_categories=()))
one_line = st.text(alphabet=st.characters(exclude_categories=()), max_size=40).map(
    lambda text: " ".join(text.splitlines())
)
finishes = st.sampled_from(["stop", "length", "error"])
probabilities = st.floats(min_value=0, max_value=1)

# Pieces that answers are made of, so that random text comes near to every rule.
PIECES = (
    *(
        "FINAL LABEL:",
        "FINAL LABEL",
        "final label",
        "**",
        "\n",
        " ",
        ":",
        ".",
        ",",
        "(",
        ")",
        "/",
        '"',
        "'",
        "`",
        "```json",
    ),
    *(
        "Happy",
        "Sad",
        "anger",
        "Wut",
        "悲伤",
        "Proud",
        "not",
        "or",
        "Emotion:",
        "<b>",
        "\u202e",
        "\ud800",
        "\x00",
        "😊",
    ),
    *("EMOTION DISTRIBUTION:", "emotion distribution", "{", "}", "[", "]", "{}", ": 0.5", ": 1e999", ": NaN", ": -1"),
    *('"Happy": 1', "'Sad': 0.5", "Angry: 30%", '"Happy": "0.5"', "\\", "=", ";", "1", "0", "-", "e9", "true", "null"),
)
answer_like = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
answers = st.one_of(any_text, answer_like, answer_like.map(lambda text: "EMOTION DISTRIBUTION: {" + text))


def parse_both_forms(text: str, label_set: LabelSet, reading: Reading, finish: str) -> tuple[ParsedPrediction, ...]:
    return (
        parse_hard(text, label_set, reading=reading, finish=finish),
        parse_distribution(text, label_set, reading=reading, finish=finish),
    )


@st.composite
def gold_answers(draw: st.DrawFn, form: str) -> tuple[str, LabelSet, str, list[float]]:
    """An answer that fills in the response format of its own prompt, with what it says."""
    label_set = draw(label_sets)
    variant, template = prompt(draw(st.sampled_from(prompt_names())))
    text = render_prompt(variant, template, form=form, label_set=label_set)
    label = draw(st.sampled_from(label_set.names))
    shares = draw(st.lists(probabilities, min_size=len(label_set), max_size=len(label_set)).filter(any))
    values = {
        "EMOTION DISTRIBUTION": json.dumps(dict(zip(label_set.display, shares, strict=True))),
        "FINAL LABEL": label.capitalize(),
    }
    lines = []
    for line in text.partition("Response format:\n")[2].split("\n"):
        name = line.partition(":")[0]
        lines.append(f"{name}: {values.get(name) or draw(one_line)}")
    return "\n".join(lines), label_set, label, shares


@st.composite
def damaged_gold_answers(draw: st.DrawFn) -> tuple[str, LabelSet]:
    """A gold answer with a few pieces put in or taken out, anywhere."""
    text, label_set, _, _ = draw(gold_answers(form=draw(st.sampled_from(["hard", "distribution"]))))
    for piece in draw(st.lists(st.sampled_from(PIECES), max_size=3)):
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        text = text[:first] + piece + text[draw(st.sampled_from([first, last])) :]
    return text, label_set


questions = st.one_of(st.tuples(answers, label_sets), damaged_gold_answers())
"""An answer, and the label set that was asked for."""


@settings(deadline=None)
@given(gold=gold_answers(form="hard"), reading=st.sampled_from(READINGS))
def test_reading_a_hard_gold_answer_gives_it_back(gold: Any, reading: Reading) -> None:
    text, label_set, label, _ = gold

    prediction = parse_hard(text, label_set, reading=reading)

    assert (prediction.status, prediction.label) == ("ok", label)


@settings(deadline=None)
@given(gold=gold_answers(form="distribution"), reading=st.sampled_from(READINGS))
def test_reading_a_gold_distribution_gives_it_back(gold: Any, reading: Reading) -> None:
    text, label_set, label, shares = gold

    prediction = parse_distribution(text, label_set, reading=reading)

    assert (prediction.status, prediction.label_status, prediction.label) == ("ok", "ok", label)
    assert prediction.distribution is not None
    for read, share in zip(prediction.distribution, shares, strict=True):
        assert math.isclose(read * sum(shares), share, rel_tol=1e-9, abs_tol=1e-300)


@settings(deadline=None)
@given(question=questions, reading=st.sampled_from(READINGS), finish=finishes)
def test_any_text_gives_a_prediction_that_keeps_its_types_promises(
    question: tuple[str, LabelSet], reading: Reading, finish: str
) -> None:
    text, label_set = question

    hard, soft = parse_both_forms(text, label_set, reading, finish)

    assert (hard.status == "failed") == (hard.label is None)
    assert hard.distribution is hard.label_status is hard.label_reason is None
    assert (soft.status == "failed") == (soft.distribution is None)
    assert (soft.label_status == "failed") == (soft.label is None)
    assert (soft.label_status == "failed") == (soft.label_reason is not None)
    assert soft.label_reason in {None, *REASONS}
    # The label beside a distribution is read as the hard form is.
    assert (soft.label, soft.label_status, soft.label_reason, soft.raw_label) == (
        hard.label,
        hard.status,
        hard.reason,
        hard.raw_label,
    )
    for prediction in (hard, soft):
        assert prediction.label in {None, *label_set.names}
        assert (prediction.status == "failed") == (prediction.reason is not None)
        assert (prediction.status == "repaired") == bool(prediction.repairs)
        assert prediction.reason in {None, *REASONS}
        assert set(prediction.repairs) <= set(REPAIRS)
        assert len(set(prediction.repairs)) == len(prediction.repairs)
        assert reading == "lenient" or not prediction.repairs
        if prediction.raw_label is not None:
            assert len(prediction.raw_label) <= MAX_RAW_CHARS
            prediction.raw_label.encode()
        if prediction.distribution is not None:
            assert len(prediction.distribution) == len(label_set)
            assert math.isclose(sum(prediction.distribution), 1, abs_tol=1e-9)
            assert all(share >= 0 for share in prediction.distribution)


@settings(deadline=None)
@given(question=questions, finish=finishes)
def test_where_the_strict_reading_succeeds_the_lenient_one_says_the_same(
    question: tuple[str, LabelSet], finish: str
) -> None:
    text, label_set = question

    strict_hard, strict_soft = parse_both_forms(text, label_set, "strict", finish)
    hard, soft = parse_both_forms(text, label_set, "lenient", finish)

    if strict_hard.status == "ok":
        assert hard == strict_hard
    if strict_soft.status == "ok":
        assert (soft.status, soft.distribution, soft.repairs) == ("ok", strict_soft.distribution, ())


@settings(deadline=None)
@given(question=questions, reading=st.sampled_from(READINGS), data=st.data())
def test_permuting_the_label_set_permutes_the_distribution_and_changes_nothing_else(
    question: tuple[str, LabelSet], reading: Reading, data: st.DataObject
) -> None:
    text, label_set = question
    order = data.draw(st.permutations(range(len(label_set))))
    permuted = label_set_of(*(label_set.names[at] for at in order))

    hard, soft = parse_both_forms(text, label_set, reading, "stop")
    other_hard, other_soft = parse_both_forms(text, permuted, reading, "stop")

    assert other_hard == hard
    assert (other_soft.status, other_soft.reason, other_soft.label) == (soft.status, soft.reason, soft.label)
    if soft.distribution is not None:
        assert other_soft.distribution == tuple(soft.distribution[at] for at in order)


@settings(deadline=None)
@given(
    label_set=label_sets,
    entries=st.lists(st.tuples(st.sampled_from(EVERY_LABEL), st.floats() | st.booleans() | st.none()), max_size=6),
)
def test_a_distribution_is_read_if_and_only_if_every_entry_is_allowed(label_set: LabelSet, entries: Any) -> None:
    body = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in entries)
    names = [name for name, _ in entries]
    numbers = [value for _, value in entries]
    allowed = (
        set(names) <= set(label_set.names)
        and len(set(names)) == len(names)
        and all(isinstance(number, float) and math.isfinite(number) and number >= 0 for number in numbers)
        and 0 < sum(numbers) < math.inf
    )

    prediction = parse_distribution(f"EMOTION DISTRIBUTION: {{{body}}}", label_set)

    assert (prediction.status == "ok") == allowed


@settings(deadline=None)
@given(
    label_set=label_sets,
    dress=st.sampled_from(["**{}**", "`{}`", "<b>{}</b>", "“{}”", "({})", "{}!", "😊 {}", "\u200f{}"]),
)
def test_a_dressed_label_is_repaired_to_itself(label_set: LabelSet, dress: str) -> None:
    for name in label_set.names:
        prediction = parse_hard("FINAL LABEL: " + dress.format(name), label_set, reading="lenient")

        assert (prediction.label, prediction.status) == (name, "repaired")


@settings(deadline=None)
@given(
    text=st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    label_set=label_sets,
    reading=st.sampled_from(READINGS),
)
def test_a_line_that_names_two_labels_is_never_read_as_one(text: str, label_set: LabelSet, reading: Reading) -> None:
    one, other = label_set.names[:2]
    line = " ".join(f"{one} {text} {other}".splitlines())

    prediction = parse_hard(f"FINAL LABEL: {line}", label_set, reading=reading)

    assert prediction.label is None or "FINAL LABEL" in text.upper()


@settings(max_examples=300)
@given(text=answers, label_set=label_sets, reading=st.sampled_from(READINGS))
def test_the_marked_part_alone_says_what_the_whole_answer_says(
    text: str, label_set: LabelSet, reading: Reading
) -> None:
    hard, stated = parse_both_forms(text, label_set, reading, "stop")
    parts = {part.what: part for part in read_parts(text, "distribution", label_set, reading=reading)}

    for part in parts.values():
        assert 0 <= part.start < part.end <= len(text)
    assert ("label" in parts and parts["label"].understood) == (hard.label is not None)
    assert ("distribution" in parts and parts["distribution"].understood) == (stated.distribution is not None)
    if hard.label is not None:
        alone = "FINAL LABEL: " + text[parts["label"].start : parts["label"].end]
        assert parse_hard(alone, label_set, reading=reading).label == hard.label
    if stated.distribution is not None:
        alone = "EMOTION DISTRIBUTION: " + text[parts["distribution"].start : parts["distribution"].end]
        assert parse_distribution(alone, label_set, reading=reading).distribution == stated.distribution
