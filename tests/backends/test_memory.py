"""How much is answered together follows from the model's size and from the memory that is free."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from voxemo.backends.local import memory
from voxemo.backends.local.cache import empty_cache, rows_of
from voxemo.backends.local.memory import Room, clips_together, is_out_of_memory, plan_room
from voxemo.backends.local.paged_rows import PagedRows, head_dim

GIB = 2**30
# Of the language models in Qwen2-Audio-7B and Audio Flamingo 3.
LARGE = {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "head_dim": 128,
}
GROUPED = {
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "head_dim": None,
}


def model(config: dict[str, Any], device: str) -> Any:
    language_model = SimpleNamespace(config=SimpleNamespace(**config))
    return SimpleNamespace(
        model=SimpleNamespace(language_model=language_model), dtype=torch.bfloat16, device=torch.device(device)
    )


def language_model(config: dict[str, Any]) -> Any:
    """Without memory: tensors of the device "meta" have only shapes."""
    types = ["full_attention"] * config["num_hidden_layers"]
    return SimpleNamespace(
        config=SimpleNamespace(**config, layer_types=types, sliding_window=None),
        dtype=torch.bfloat16,
        device=torch.device("meta"),
    )


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_free(n_bytes: int | None) -> None:
        monkeypatch.setattr(memory, "_free_bytes", lambda device: n_bytes)

    return set_free


def page_bytes(config: dict[str, Any]) -> int:
    """As the layers' own tensors say."""
    rows = PagedRows(language_model(config), n_rows=4, n_pages=10)
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in rows.layers) // 10


def copied_bytes(config: dict[str, Any], *, n_shared: int, n_own: int) -> int:
    """Of a prefix about one clip and of the copy that a prompt goes on from, as their own tensors say."""
    own = language_model(config)
    prefix = empty_cache(own.config.num_hidden_layers)
    shape = (1, own.config.num_key_value_heads, n_shared, head_dim(own.config))
    states = torch.empty(shape, dtype=own.dtype, device="meta")
    for number in range(own.config.num_hidden_layers):
        prefix.update(states, states, number)
    copy = rows_of(prefix, [0], n_more=n_own)
    stores = [store for cache in (prefix, copy) for layer in cache.layers for store in (layer.keys, layer.values)]
    return sum(store.untyped_storage().nbytes() for store in stores)


@given(
    config=st.sampled_from([LARGE, GROUPED]),
    device=st.sampled_from(["cuda", "cpu"]),
    free_bytes=st.integers(0, 200 * GIB),
    batch_size=st.none() | st.integers(1, 400),
    n_shared=st.integers(1, 16_000),
    n_own=st.integers(1, 400),
)
def test_what_is_planned_fits_into_what_is_free(
    config: dict[str, Any], device: str, free_bytes: int, batch_size: int | None, n_shared: int, n_own: int
) -> None:
    with patch.object(memory, "_free_bytes", lambda device: free_bytes):
        room = plan_room(model(config, device), batch_size)
    n_clips = clips_together(model(config, device), room, n_shared=n_shared, n_own=n_own)

    assert 1 <= n_clips <= 48
    assert room.n_rows >= 1
    of_pages = room.n_pages * page_bytes(config)
    of_clips = n_clips * copied_bytes(config, n_shared=n_shared, n_own=n_own)
    # One clip and a few pages are tried however little is free.
    assert of_pages <= 0.7 * free_bytes or room.n_pages == 8
    assert of_clips <= 0.25 * free_bytes or n_clips == 1
    if room.n_pages > 8 and n_clips > 1:
        assert of_pages + of_clips <= 0.9 * free_bytes


@given(st.integers(1, 2000), st.integers(0, 2000), st.integers(1, 400))
def test_the_longer_clips_are_the_fewer_are_read_together(n_shared: int, n_more: int, n_own: int) -> None:
    room = Room(n_rows=320, n_pages=2600, reading_bytes=12 * GIB)
    large = model(LARGE, "cuda")

    assert clips_together(large, room, n_shared=n_shared, n_own=n_own) >= clips_together(
        large, room, n_shared=n_shared + n_more, n_own=n_own
    )


def test_a_7b_model_on_a_card_of_80_gb_gets_320_rows_and_clips_by_their_length(free: Any) -> None:
    # What is free beside weights of 16.8 GB.
    free(62_000_000_000)

    room = plan_room(model(LARGE, "cuda"), None)

    assert (room.n_rows, room.n_pages) == (320, 2586)
    assert plan_room(model(GROUPED, "cuda"), None).n_rows == 320
    # Clips of 5, 15 and 30 s, with 40 tokens of text before them and prompts of 200.
    found = [
        clips_together(model(LARGE, "cuda"), room, n_shared=40 + 25 * seconds, n_own=200) for seconds in (5, 15, 30)
    ]
    assert found == [40, 20, 11]


def test_a_given_number_of_rows_is_kept_and_shares_what_there_is(free: Any) -> None:
    free(4 * GIB)

    room = plan_room(model(LARGE, "cuda"), 64)

    assert (room.n_rows, room.n_pages) == (64, 179)


def test_the_smallest_room_has_a_row_and_some_pages(free: Any) -> None:
    free(0)

    assert plan_room(model(LARGE, "cuda"), None) == Room(n_rows=1, n_pages=8, reading_bytes=0)


def test_a_device_that_does_not_tell_gets_few_rows(free: Any) -> None:
    free(None)

    room = plan_room(model(GROUPED, "mps"), None)

    assert room.n_rows == 8
    assert clips_together(model(GROUPED, "mps"), room, n_shared=800, n_own=200) == 48


def test_this_machine_says_how_much_is_free() -> None:
    found = plan_room(model(GROUPED, "cpu"), None)

    assert 1 <= found.n_rows <= 48
    assert found.n_pages >= 8
    assert found.reading_bytes


@pytest.mark.parametrize(
    ("cause", "is_it"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (torch.AcceleratorError("CUDA error: out of memory", 2), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
            True,
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("expected scalar type Float but found BFloat16"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_runs_out_in_many_words(cause: Exception, is_it: bool) -> None:
    assert is_out_of_memory(cause) == is_it


def test_halves_come_down_to_one() -> None:
    room = Room(n_rows=5, n_pages=9)

    assert [room := room.halved() for _ in range(4)] == [
        Room(n_rows=n, n_pages=p) for n, p in ((3, 5), (2, 3), (1, 2), (1, 1))
    ]


def test_what_is_kept_for_later_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [3 * GIB]
    monkeypatch.setattr(torch.cuda, "empty_cache", kept.clear)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10 * GIB - sum(kept), 80 * GIB))
    model_on_gpu = model(LARGE, "cuda")

    room = plan_room(model_on_gpu, None)

    assert room.reading_bytes == 2 * GIB
