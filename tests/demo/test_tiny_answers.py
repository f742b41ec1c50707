"""What `voxemo-tiny` is taught: every answer must be one that the benchmark reads as it was meant."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.catalog import lookup
from voxemo.core.labels import LabelSet
from voxemo.core.types import Response
from voxemo.demo.design import labels
from voxemo.demo.measure import MEASURES
from voxemo.demo.tiny.answers import (
    STEPS,
    Heard,
    answer,
    caption,
    choose,
    cue_words,
    cues_in,
    describe,
    distribution,
    likeness,
    meaning,
)
from voxemo.demo.tiny.questions import FORMS, draw_label_set, draw_lesson, tokenizer_texts
from voxemo.steps.parse import read_response

measures = st.lists(st.floats(-60, 60), min_size=len(MEASURES), max_size=len(MEASURES)).map(np.array)
seeds = st.integers(0, 2**32)


@st.composite
def heard(draw: st.DrawFn) -> Heard:
    votes = draw(st.dictionaries(st.sampled_from(labels()), st.integers(1, 10), min_size=1))
    return Heard(
        label=draw(st.sampled_from(labels())),
        shares={label: n / sum(votes.values()) for label, n in votes.items()},
        transcript=draw(st.sampled_from(["He left the car at noon.", "Sie öffnete den Brief am Montag."])),
        cues=describe(draw(measures)),
    )


def read(text: str, form: str, label_set: LabelSet) -> Any:
    return read_response(Response(request_id="r", text=text, finish="stop"), form, label_set, "strict")


@given(heard(), st.sampled_from(lookup.prompt_names()), st.sampled_from(FORMS), seeds)
def test_every_answer_is_read_strictly_as_it_was_meant(one: Heard, name: str, form: str, seed: int) -> None:
    variant, _ = lookup.prompt(name)
    label_set = draw_label_set(np.random.default_rng(seed))

    text = answer(one, variant, as_distribution=form == "distribution", label_set=label_set)

    found = read(text, form, label_set)
    assert found.status == "ok"
    if form == "hard":
        assert found.label == choose(one, label_set)[0]
    else:
        stated = distribution(one, label_set)
        assert found.distribution == pytest.approx([stated[label] / STEPS for label in label_set.names])
        assert found.label == max(label_set.names, key=lambda label: stated[label])


@given(heard(), seeds)
def test_the_label_that_was_played_comes_first_wherever_the_set_has_a_word_for_it(one: Heard, seed: int) -> None:
    label_set = draw_label_set(np.random.default_rng(seed))

    ordered = choose(one, label_set)

    assert sorted(ordered) == sorted(label_set.names)
    known = [label for label in label_set.names if meaning(label) == one.label]
    if known:
        assert ordered[0] == known[0]
    else:
        assert likeness(one.shares, ordered[0]) == max(likeness(one.shares, label) for label in ordered)


@given(heard())
def test_a_distribution_over_the_corpus_labels_is_that_of_the_votes_to_half_a_step(one: Heard) -> None:
    stated = distribution(one, LabelSet(labels()))

    assert sum(stated.values()) == STEPS
    for label, steps in stated.items():
        # The floor of every label takes a little from all.
        assert abs(steps / STEPS - one.shares.get(label, 0.0)) < 1 / STEPS + 0.03


@given(measures)
def test_the_cues_of_a_caption_are_found_in_it(found: Any) -> None:
    cues = describe(found)

    assert {name: cues[name] for name in cues_in(caption(cues))} == cues_in(caption(cues)) == cues


@pytest.mark.parametrize("text", ["", ";;,,;;,", "A loud voice.", "High, rising pitch; loud", "1, 2; 3; 4; 5; 6, 7"])
def test_captions_in_another_form_have_no_cues(text: str) -> None:
    assert cues_in(text) == {}


def test_words_of_cues_go_up_with_the_measure() -> None:
    low, high = (describe(np.full(len(MEASURES), value)) for value in (-100.0, 100.0))

    assert (low["pitch"], high["pitch"]) == ("low", "high")
    assert (low["rate"], high["rate"]) == ("slow", "fast")
    assert (low["level"], high["level"]) == ("soft", "loud")


def test_label_words_of_every_corpus_mean_something_or_are_said_to_mean_nothing() -> None:
    """A word that the model takes for no emotion would never be chosen; that must be a decision, not an oversight."""
    for card in lookup.builtin_corpus_cards():
        for label in card.labels.names:
            everything = dict.fromkeys(labels(), 1.0)
            assert likeness(everything, label) > 0.01 or label in ("breath", "unknown"), label


@given(seeds)
def test_drawn_label_sets_are_of_words_that_can_be_shown(seed: int) -> None:
    label_set = draw_label_set(np.random.default_rng(seed))

    assert 2 <= len(label_set) <= 14
    assert all(name.isalpha() and name.islower() for name in label_set.names)


def test_label_sets_hold_few_or_many_of_the_emotions_that_it_hears_and_words_that_are_none() -> None:
    rng = np.random.default_rng(0)
    meant = [[meaning(name) for name in draw_label_set(rng).names] for _ in range(500)]

    n_known = Counter(len(set(names) & set(labels())) for names in meant)
    assert set(n_known) == set(range(len(labels()) + 1))
    assert sum(None in names for names in meant) > 50


def test_lessons_ask_in_all_ten_forms_and_hang_on_the_seed_alone() -> None:
    one = Heard(label="sad", shares={"sad": 1.0}, transcript="A word.", cues=describe(np.zeros(len(MEASURES))))

    drawn, again = ([draw_lesson(one, rng) for _ in range(200)] for rng in map(np.random.default_rng, (5, 5)))

    assert drawn == again
    shapes = {tuple(line.partition(":")[0] for line in lesson.answer.splitlines()) for lesson in drawn}
    assert len(shapes) == 2 * len(lookup.prompt_names())


def test_the_tokenizer_is_made_from_every_word_the_model_must_know() -> None:
    one = Heard(label="sad", shares={"sad": 1.0}, transcript="A word.", cues=describe(np.zeros(len(MEASURES))))

    texts = set(tokenizer_texts([one] * 10, seed=1))

    assert {"angry", "Joy", "0.05", "1.00", *cue_words()} <= texts
