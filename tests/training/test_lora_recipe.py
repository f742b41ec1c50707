"""The recipe, the order of a training and when it gives up: all that needs no model."""

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.core.errors import TrainingError
from voxemo.training.lora import (
    WATCHED_STEPS,
    LoraRecipe,
    batch_of_step,
    check_course,
    differences_from_paper,
    recipe_of,
    share_of,
    together,
)


def test_the_default_is_the_papers_recipe() -> None:
    recipe = LoraRecipe()

    assert (recipe.rank, recipe.alpha, recipe.dropout) == (8, 16, 0.05)
    assert (recipe.learning_rate, recipe.warmup_share, recipe.batch_size, recipe.n_epochs) == (1e-5, 0.1, 16, 10)
    assert differences_from_paper(asdict(recipe)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"rank": 0},
        {"n_epochs": 0},
        {"learning_rate": float("nan")},
        {"dropout": 1.0},
        {"course": "up"},
        {"keep": "all"},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_recipe_that_means_nothing_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        LoraRecipe(**wrong)


def test_a_card_gives_its_recipe_back_from_among_other_facts() -> None:
    recipe = LoraRecipe(rank=4, course="cosine")

    assert recipe_of({**asdict(recipe), "n_steps": 7}) == recipe


@given(
    course=st.sampled_from(["linear", "cosine", "constant"]),
    warmup_share=st.floats(0, 0.99),
    n_steps=st.integers(1, 300),
)
def test_the_rate_rises_to_its_highest_value_once_and_never_again(
    course: Any, warmup_share: float, n_steps: int
) -> None:
    recipe = LoraRecipe(course=course, warmup_share=warmup_share, learning_rate=1.0)
    rates = [recipe.rate(step, n_steps=n_steps) for step in range(n_steps)]
    top = rates.index(max(rates))

    assert all(0 < rate <= 1 for rate in rates)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


@given(
    n_utterances=st.integers(1, 70), batch_size=st.integers(1, 20), epoch=st.integers(0, 3), seed=st.integers(0, 2**32)
)
def test_an_epoch_has_every_utterance_once(n_utterances: int, batch_size: int, epoch: int, seed: int) -> None:
    recipe = LoraRecipe(batch_size=batch_size)
    steps = recipe.steps(n_utterances)
    batches = [
        batch_of_step(epoch * steps + place, n_utterances=n_utterances, recipe=recipe, seed=seed)
        for place in range(steps)
    ]

    assert sorted(index for batch in batches for index in batch) == list(range(n_utterances))
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    recipe = LoraRecipe(batch_size=40)
    orders = {
        tuple(batch_of_step(step, n_utterances=40, recipe=recipe, seed=seed)) for step in (0, 1) for seed in (0, 1)
    }

    assert len(orders) == 4


@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=40),
    n_processes=st.integers(1, 5),
    size=st.integers(1, 7),
)
def test_processes_and_micro_batches_divide_a_batch_without_loss(
    lengths: list[int], n_processes: int, size: int
) -> None:
    batch = list(range(len(lengths)))
    shares = [share_of(batch, lengths, rank=rank, n_processes=n_processes) for rank in range(n_processes)]
    read = [index for share in shares for few in together(share, size=size) for index in few]

    assert sorted(read) == batch
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for share in shares:
        own = [lengths[index] for index in share]
        assert own == sorted(own, reverse=True)


@pytest.mark.parametrize(("loss", "gradient"), [(float("nan"), 1.0), (float("inf"), 1.0), (1.0, float("nan"))])
def test_a_loss_that_is_no_number_stops_the_training_at_its_step(loss: float, gradient: float) -> None:
    with pytest.raises(TrainingError, match=r"At step 3 .* --learning-rate"):
        check_course([2.0, 1.0, loss], gradient)


def test_a_loss_that_grows_and_stays_stops_the_training_and_one_bad_batch_does_not() -> None:
    falling = [3.0 - 0.01 * step for step in range(2 * WATCHED_STEPS)]

    check_course([*falling, 30.0], 1.0)
    with pytest.raises(TrainingError, match="diverges"):
        check_course([*falling, *[8.0] * WATCHED_STEPS], 1.0)
