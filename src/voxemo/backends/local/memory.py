"""Batches that do not fit into a device's memory."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.local.clips import FittedClip
from voxemo.backends.local.decoding import name_of
from voxemo.core.errors import BackendError

Asked = TypeVar("Asked")


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
    except torch.cuda.OutOfMemoryError as cause:
        check_room(len(asked), clip_of(asked[0]), cause, model_id=model_id, model=model)
    # Outside the handler: the exception's traceback holds the tensors that did not fit.
    torch.cuda.empty_cache()
    middle = (len(asked) + 1) // 2
    return 1 + sum(
        answer_in_halves(half, answer, clip_of=clip_of, model_id=model_id, model=model)
        for half in (asked[:middle], asked[middle:])
    )


def check_room(n_together: int, clip: FittedClip, cause: Exception, *, model_id: str, model: Any) -> None:
    """Give up where what did not fit into memory cannot be halved.

    Args:
        n_together: questions that were answered together.
        clip: the longest that they were about.
        cause: what ran out.
        model_id: of the model's card.
        model: the loaded model.

    Raises:
        BackendError: it was a single one.
    """
    if n_together > 1:
        return
    seconds = clip.samples.size / SAMPLE_RATE_HZ
    raise BackendError(
        f"{model_id} ran out of memory on {model.device} with a single clip of {seconds:.1f} s. Use a device with more "
        f"memory, or a smaller dtype than {name_of(model.dtype)}."
    ) from cause
