"""How much is answered together: planned from the memory that is free, and less where that was too much."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import psutil
import torch

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.local.clips import FittedClip
from voxemo.backends.local.decoding import name_of
from voxemo.backends.local.page_table import PAGE
from voxemo.backends.local.paged_rows import head_dim
from voxemo.core.errors import BackendError

Asked = TypeVar("Asked")

MOST_ROWS = {"cuda": 320, "cpu": 48}
"""Beyond so many, more rows no longer make an answer cheaper."""
ROWS_UNPLANNED = 8
"""Where a device does not say how much memory is free."""
PAGES_PER_ROW = 8
"""What rows are planned by: 256 tokens, a prompt and an answer of ordinary length; a row that finds no page waits."""
MOST_PAGES_PER_ROW = 128
"""Beyond it, pages would stay empty."""
SHARE_FOR_PAGES = {"cuda": 0.7, "cpu": 0.25}
SHARE_FOR_READING = {"cuda": 0.2, "cpu": 0.25}
"""Of the memory that is free. The rest is for hearing, logits and what is recorded, and on a CPU for others."""
CLIPS_TOGETHER = 48
"""Most clips heard and read together, prompt by prompt: more would save little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is answered together."""

    n_rows: int
    n_pages: int
    """Pages of keys and values for all rows."""
    reading_bytes: int | None = None
    """What is left for reading prompts; None where the device does not say how much is free."""

    def halved(self) -> "Room":
        """Half of the rows and pages, for when they did not fit."""
        return replace(self, n_rows=half(self.n_rows), n_pages=half(self.n_pages))


def half(number: int) -> int:
    """Half of a number, rounded up.

    >>> half(5), half(1)
    (3, 1)
    """
    return (number + 1) // 2


def plan_room(model: Any, batch_size: int | None) -> Room:
    """How much a loaded model can answer together in the memory that is free now.

    Args:
        model: loaded onto its device.
        batch_size: rows; planned when None.
    """
    page_bytes = PAGE * _token_bytes(model)
    free_bytes = _free_bytes(model.device)
    if free_bytes is None:
        n_rows = batch_size or ROWS_UNPLANNED
        return Room(n_rows=n_rows, n_pages=n_rows * PAGES_PER_ROW)
    n_pages = int(free_bytes * SHARE_FOR_PAGES[model.device.type]) // page_bytes
    n_rows = batch_size or max(1, min(MOST_ROWS[model.device.type], n_pages // PAGES_PER_ROW))
    return Room(
        n_rows=n_rows,
        # A few at least: what is missing is made when a question does not fit.
        n_pages=max(PAGES_PER_ROW, min(n_pages, n_rows * MOST_PAGES_PER_ROW)),
        reading_bytes=int(free_bytes * SHARE_FOR_READING[model.device.type]),
    )


def clips_together(model: Any, room: Room, *, n_shared: int, n_own: int) -> int:
    """Clips that can be read together in the memory that is left for it, 1 to `CLIPS_TOGETHER`.

    Args:
        model: loaded.
        room: as planned.
        n_shared: tokens that prompts about the longest clip share.
        n_own: tokens of the longest prompt after these.
    """
    if room.reading_bytes is None:
        return CLIPS_TOGETHER
    return max(1, min(CLIPS_TOGETHER, room.reading_bytes // reading_bytes(model, n_shared=n_shared, n_own=n_own)))


def reading_bytes(model: Any, *, n_shared: int, n_own: int) -> int:
    """Bytes that reading a prompt about a clip takes.

    Keys and values of what prompts share are there twice, since each prompt goes on from a copy of them. Beside them
    are the activations of one layer: its input, queries, keys, values, outputs and the two halves of its feed-forward
    part with their product.
    """
    config = model.model.language_model.config
    activations: int = (8 * config.hidden_size + 3 * config.intermediate_size) * model.dtype.itemsize
    return (2 * n_shared + n_own) * _token_bytes(model) + max(n_shared, n_own) * activations


def _token_bytes(model: Any) -> int:
    """Of the keys and values of one token."""
    config = model.model.language_model.config
    n_numbers: int = 2 * config.num_hidden_layers * config.num_key_value_heads * head_dim(config)
    return n_numbers * int(model.dtype.itemsize)


def _free_bytes(device: torch.device) -> int | None:
    if device.type == "cuda":
        # What PyTorch keeps of a model that is gone, or of loading this one, would count as taken.
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available) if device.type == "cpu" else None


OUT_OF_MEMORY = re.compile(
    r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|(can't|not enough|cannot) .*memory", re.IGNORECASE
)
"""How CUDA, cuBLAS and allocators of the CPU say it where torch raises no error of a class of its own."""


def is_out_of_memory(cause: BaseException) -> bool:
    """Whether a device or this machine had no memory for something.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"))
    True
    """
    if isinstance(cause, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return isinstance(cause, RuntimeError) and OUT_OF_MEMORY.search(str(cause)) is not None


def answer_in_halves(
    asked: Sequence[Asked],
    answer: Callable[[Sequence[Asked]], None],
    *,
    clip_of: Callable[[Asked], FittedClip],
    model_id: str,
    model: Any,
) -> int:
    """Answer together; one half after the other where that does not fit into memory, and so on down to one.

    Args:
        asked: what is answered together, one or more.
        answer: answers it. It may be called again for what it has answered in part.
        clip_of: the clip that a single one is about, for the message.
        model_id: of the model's card.
        model: the loaded model.

    Returns:
        Batches that did not fit and were halved.

    Raises:
        BackendError: a single one does not fit.
    """
    try:
        answer(asked)
        return 0
    except (RuntimeError, MemoryError) as cause:
        if not is_out_of_memory(cause):
            raise
        if len(asked) == 1:
            raise no_room(clip_of(asked[0]), model_id=model_id, model=model) from cause
    # Outside the handler: the exception's traceback holds the tensors that did not fit.
    torch.cuda.empty_cache()
    middle = (len(asked) + 1) // 2
    return 1 + sum(
        answer_in_halves(half, answer, clip_of=clip_of, model_id=model_id, model=model)
        for half in (asked[:middle], asked[middle:])
    )


def no_room(clip: FittedClip, *, model_id: str, model: Any) -> BackendError:
    """The error about a clip that does not fit into memory even alone.

    Args:
        clip: the one.
        model_id: of the model's card.
        model: the loaded model.
    """
    seconds = clip.samples.size / SAMPLE_RATE_HZ
    return BackendError(
        f"{model_id} ran out of memory on {model.device} with a single clip of {seconds:.1f} s. Use a device with more "
        f"memory, or a smaller dtype than {name_of(model.dtype)}."
    )
