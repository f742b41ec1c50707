"""The device that a model lies on: made the current one, and waited for."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def current_device(device: torch.device) -> AbstractContextManager[Any]:
    """Have a GPU be the current one, on which Triton runs kernels and torch makes streams, whatever its number."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def wait_for(device: torch.device) -> None:
    """Return when all that a GPU was asked to do is done; a CPU does it before it is told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
