import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.cache_utils import DynamicCache

from voxemo.backends.local.cache import empty_cache, rows_of

pieces = st.lists(st.integers(1, 67), min_size=1, max_size=6)


def states(n_tokens: int, *, seed: int, n_rows: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    keys, values = torch.randn(2, n_rows, 2, n_tokens, 4, generator=generator)
    return keys, values


@given(pieces, st.integers(0, 200))
def test_it_holds_what_transformers_own_cache_holds(lengths: list[int], room: int) -> None:
    ours, theirs = empty_cache(2, room=room), DynamicCache()

    for number, n_tokens in enumerate(lengths):
        for layer in (0, 1):
            keys, values = states(n_tokens, seed=10 * number + layer)
            found, expected = ours.update(keys, values, layer), theirs.update(keys, values, layer)
            assert torch.equal(found[0], expected[0])
            assert torch.equal(found[1], expected[1])

    assert ours.get_seq_length() == theirs.get_seq_length() == sum(lengths)


@given(pieces, st.lists(st.integers(0, 2), min_size=1, max_size=5))
def test_rows_go_on_without_each_other_and_leave_the_first_cache_as_it_was(lengths: list[int], rows: list[int]) -> None:
    cache = empty_cache(1)
    cache.update(*states(7, seed=0), 0)
    before = cache.layers[0].keys.clone()
    chosen = rows_of(cache, rows, n_more=sum(lengths))
    place = chosen.layers[0].keys.data_ptr()

    for number, n_tokens in enumerate(lengths, start=1):
        chosen.update(*states(n_tokens, seed=number, n_rows=len(rows)), 0)

    assert torch.equal(cache.layers[0].keys, before)
    assert torch.equal(chosen.layers[0].keys[..., :7, :], before[rows])
    assert chosen.get_seq_length() == 7 + sum(lengths)
    assert chosen.layers[0].keys.data_ptr() == place, "what has room for all is never copied"
