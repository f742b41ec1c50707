"""The processes that train one model together, started by ``torchrun``; one alone where there are no others."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import distributed


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that train together."""

    rank: int = 0
    """From 0; the first one writes files."""
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes files and speaks to people."""
        return self.rank == 0

    def add_up(self, tensor: torch.Tensor) -> None:
        """Replace a tensor by its sum over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(tensor)

    def sum_of(self, counts: npt.NDArray[np.float64], *, device: Any) -> npt.NDArray[np.float64]:
        """The sum of counts over all processes; ``device`` is this one's."""
        total = torch.from_numpy(counts).to(device)
        self.add_up(total)
        summed: npt.NDArray[np.float64] = total.cpu().numpy()
        return summed

    def wait(self) -> None:
        """Wait for all others to come to the same place."""
        if self.size > 1:
            distributed.barrier()


ALONE = Processes()


def expected_processes() -> int:
    """How many processes ``torchrun`` has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def own_device(asked: str | None) -> str | None:
    """The device of this process: a GPU of its own where several processes share a machine with GPUs.

    Args:
        asked: torch's name of a device; None for the best there is.
    """
    if expected_processes() > 1 and asked in (None, "cuda") and torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return asked


def usual_dtype(device: str | None) -> str:
    """The dtype of the recipe: ``bfloat16`` where the device has it, else ``float32``.

    Args:
        device: torch's name; None for the best there is.
    """
    on_gpu = torch.cuda.is_available() if device is None else device.startswith("cuda")
    return "bfloat16" if on_gpu and torch.cuda.is_bf16_supported() else "float32"


@contextmanager
def joined(device: str | None) -> Iterator[Processes]:
    """Meet the other processes that ``torchrun`` has started, and part from them at the end.

    Args:
        device: of this process, as `own_device` gives it.
    """
    size = expected_processes()
    if size == 1:
        yield ALONE
        return
    on_gpu = torch.cuda.is_available() if device is None else device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(device or "cuda:0")
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
