"""How much is answered together follows from the model's size and from the memory that is free."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from voxemo.backends.local import memory
from voxemo.backends.local.memory import Room, is_out_of_memory, plan_room

GIB = 2**30
# Of the language models in Qwen2-Audio-7B and Audio Flamingo 3.
LARGE = {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "hidden_size": 4096,
    "head_dim": 128,
}
GROUPED = {
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "hidden_size": 3584,
    "head_dim": None,
}


def model(config: dict[str, Any], device: str) -> Any:
    language_model = SimpleNamespace(config=SimpleNamespace(**config))
    return SimpleNamespace(
        model=SimpleNamespace(language_model=language_model), dtype=torch.bfloat16, device=torch.device(device)
    )


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_free(n_bytes: int | None) -> None:
        monkeypatch.setattr(memory, "_free_bytes", lambda device: n_bytes)

    return set_free


def test_a_large_model_gets_as_many_rows_as_its_keys_and_values_leave_room_for(free: Any) -> None:
    free(60 * GIB)

    # A page of 32 tokens holds 16 MiB of keys and values; three quarters of what is free are for pages.
    assert plan_room(model(LARGE, "cuda"), None) == Room(n_rows=180, n_pages=2880)
    assert plan_room(model(GROUPED, "cuda"), None).n_rows == 320


def test_a_given_number_of_rows_is_kept_and_shares_what_there_is(free: Any) -> None:
    free(4 * GIB)

    assert plan_room(model(LARGE, "cuda"), 64) == Room(n_rows=64, n_pages=192)


def test_the_smallest_room_has_a_row_and_some_pages(free: Any) -> None:
    free(0)

    assert plan_room(model(LARGE, "cuda"), None) == Room(n_rows=1, n_pages=16)


def test_a_device_that_does_not_tell_gets_few_rows(free: Any) -> None:
    free(None)

    assert plan_room(model(GROUPED, "mps"), None).n_rows == 8


def test_this_machine_says_how_much_is_free() -> None:
    found = plan_room(model(GROUPED, "cpu"), None)

    assert 1 <= found.n_rows <= 48
    assert found.n_pages >= 16


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
