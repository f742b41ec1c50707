"""The order of a training on several corpora: weights, and nothing but the seed and the epoch."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.core.errors import TrainingError
from voxemo.steps.mixtures import Mixture, Source
from voxemo.training.lora import LoraRecipe, apportioned, mixed_batch, mixed_epoch

corpora = st.lists(st.tuples(st.integers(1, 40), st.floats(0.1, 10)), min_size=1, max_size=5)


@given(n=st.integers(0, 500), weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=8))
def test_shares_add_up_and_none_is_off_by_a_whole(n: int, weights: list[float]) -> None:
    shares = apportioned(n, weights)

    assert sum(shares) == n
    assert all(abs(share - n * weight / sum(weights)) < 1 for share, weight in zip(shares, weights, strict=True))


@given(mixture=corpora, seed=st.integers(0, 1000), epoch=st.integers(0, 50))
def test_an_epoch_has_each_corpus_by_its_weight_and_its_utterances_alike(
    mixture: list[tuple[int, float]], seed: int, epoch: int
) -> None:
    sizes, weights = [size for size, _ in mixture], [weight for _, weight in mixture]
    order = mixed_epoch(sizes, weights, seed=seed, epoch=epoch)

    assert len(order) == sum(sizes)
    assert order == mixed_epoch(sizes, weights, seed=seed, epoch=epoch)
    start, times = 0, Counter(order)
    for size, share in zip(sizes, apportioned(sum(sizes), weights), strict=True):
        own = [times[place] for place in range(start, start + size)]
        assert sum(own) == share
        assert max(own) - min(own) <= 1
        start += size


@given(mixture=corpora, batch_size=st.integers(1, 20), seed=st.integers(0, 1000))
def test_the_batches_of_an_epoch_are_the_epoch(mixture: list[tuple[int, float]], batch_size: int, seed: int) -> None:
    sizes, weights = [size for size, _ in mixture], [weight for _, weight in mixture]
    recipe = LoraRecipe(batch_size=batch_size)
    per_epoch = recipe.steps(sum(sizes))
    batches = [
        mixed_batch(step, sizes=sizes, weights=weights, recipe=recipe, seed=seed)
        for step in range(per_epoch, 2 * per_epoch)
    ]

    assert [place for batch in batches for place in batch] == mixed_epoch(sizes, weights, seed=seed, epoch=1)


@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_weights_by_size_give_every_utterance_its_one_turn(sizes: list[int], seed: int) -> None:
    assert sorted(mixed_epoch(sizes, [float(size) for size in sizes], seed=seed, epoch=3)) == list(range(sum(sizes)))


@pytest.mark.parametrize(
    "sources",
    [
        (),
        (Source(corpus="a", weight=1.0), Source(corpus="b")),
        (Source(corpus="a", weight=0.0), Source(corpus="b", weight=1.0)),
        (Source(corpus="a", weight=float("nan")),),
        (Source(corpus="a"), Source(corpus="a")),
    ],
    ids=["nothing", "some without", "zero", "no number", "twice"],
)
def test_a_mixture_that_means_nothing_is_refused(sources: tuple[Source, ...]) -> None:
    with pytest.raises(TrainingError):
        Mixture(mixture_id="mix", sources=sources)
