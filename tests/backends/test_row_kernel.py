"""The kernel gives what PyTorch's attention gives, and compiles for GPUs that are not here."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("triton", reason="the kernel needs Triton")

# (n_heads, n_kv_heads, head_dim): of Qwen2-Audio, of Audio Flamingo 3, and of voxemo-tiny.
SHAPES = {"qwen2-audio": (32, 32, 128), "audio-flamingo-3": (28, 4, 128), "voxemo-tiny": (3, 1, 64)}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2**-7)])
@pytest.mark.parametrize(("n_heads", "n_kv_heads"), [(2, 2), (7, 1), (6, 2)])
@pytest.mark.parametrize("sliding_window", [None, 1, 16, 40])
def test_it_attends_as_pytorch_does(
    interpreted: None, dtype: torch.dtype, tolerance: float, n_heads: int, n_kv_heads: int, sliding_window: int | None
) -> None:
    from voxemo.backends.local.row_kernel import difference_from_plain

    assert (
        difference_from_plain(
            n_heads=n_heads,
            n_kv_heads=n_kv_heads,
            head_dim=32,
            dtype=dtype,
            device=torch.device("cpu"),
            sliding_window=sliding_window,
        )
        <= tolerance
    )


class Overwritten:
    """The kernel, after which something is put on a page.

    Args:
        attend: the kernel.
        spoil: what is done to a layer's keys, shape (n_pages, n_heads, PAGE, head_dim), given those before.
    """

    def __init__(self, attend: Any, spoil: Callable[[torch.Tensor, torch.Tensor], None]) -> None:
        self._attend, self._spoil = attend, spoil

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        def run(*given: Any, **options: Any) -> None:
            keys = given[3]
            before = keys.clone()
            self._attend[grid](*given, **options)
            self._spoil(keys, before)

        return run


def store_nothing(keys: torch.Tensor, before: torch.Tensor) -> None:
    keys.copy_(before)


def store_elsewhere(keys: torch.Tensor, before: torch.Tensor) -> None:
    keys[-1, 0, 0, 0] += 1


@pytest.mark.parametrize("spoil", [store_nothing, store_elsewhere])
def test_a_kernel_that_stores_nothing_or_too_much_differs(
    interpreted: None, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[torch.Tensor, torch.Tensor], None]
) -> None:
    from voxemo.backends.local import row_kernel, row_step

    monkeypatch.setattr(row_kernel, "_attend", Overwritten(row_kernel._attend, spoil))

    difference = row_kernel.difference_from_plain(
        n_heads=2, n_kv_heads=1, head_dim=32, dtype=torch.bfloat16, device=torch.device("cpu")
    )

    assert difference > row_step.tolerance(torch.bfloat16)


COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from voxemo.backends.local import row_kernel

sizes = dict(zip(("n_heads", "n_kv_heads", "head_dim"), map(int, sys.argv[1:])), page_size=row_kernel.PAGE)
types = {name: "*i64" for name in ("order_ptr", "pages_ptr", "n_shared_ptr", "n_own_ptr")}
types |= {"n_columns": "i32", "window": "i32", "scale": "fp32"}
names = row_kernel._attend.arg_names
options = {"num_warps": row_kernel.WARPS, "num_stages": row_kernel.STAGES}
for dtype, capability in (("fp16", 75), ("bf16", 80), ("bf16", 90), ("fp32", 90), ("bf16", 100)):
    source = ASTSource(
        row_kernel._attend,
        {name: "constexpr" if name in sizes else types.get(name, f"*{dtype}") for name in names},
        constexprs=sizes,
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    print(len(compiled.asm["cubin"]))
"""


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_it_compiles_for_gpus(shape: tuple[int, int, int]) -> None:
    """In a process of its own, since what is interpreted cannot be compiled."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", COMPILE, *map(str, shape)]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert all(int(size) > 0 for size in done.stdout.split())
    assert len(done.stdout.split()) == 5


# --- whether it is used ------------------------------------------------------------------------------------------


def model_on(device: str, head_dim: int = 128) -> Any:
    config = SimpleNamespace(head_dim=head_dim, num_attention_heads=4, num_key_value_heads=2)
    language_model = SimpleNamespace(config=config)
    return SimpleNamespace(
        model=SimpleNamespace(language_model=language_model), device=torch.device(device), dtype=torch.bfloat16
    )


@pytest.mark.parametrize(("difference", "said"), [(0.004, None), (0.5, r"differs .* by 0\.5"), (math.nan, "by nan")])
def test_it_is_compared_with_pytorch_before_it_is_used(
    interpreted: None, monkeypatch: pytest.MonkeyPatch, difference: float, said: str | None
) -> None:
    from voxemo.backends.local import row_kernel, row_step

    monkeypatch.setattr(row_kernel, "difference_from_plain", lambda **_: difference)

    why_not = row_step._why_no_kernel(model_on("cuda"))

    assert why_not is None if said is None else re.search(said, why_not or "")


def test_where_it_cannot_be_used_the_record_says_why(interpreted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from voxemo.backends.local import row_kernel, row_step

    def fails(**_: Any) -> float:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(row_kernel, "difference_from_plain", fails)

    reasons = [row_step._why_no_kernel(model) for model in (model_on("cpu"), model_on("cuda", 96), model_on("cuda"))]

    assert reasons == [
        "no CUDA device",
        "the kernel wants heads of a power of two, not of 96",
        "the kernel does not run here: RuntimeError",
    ]
