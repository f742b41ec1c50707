"""A loaded model that is kept for whoever asks for it next."""

import gc
from collections.abc import Callable
from typing import Any

from voxemo.backends.base import Backend
from voxemo.backends.registry import create_backend
from voxemo.core.cards import ModelCard
from voxemo.core.types import Generation
from voxemo.steps.fold_models import SERVED_BACKENDS


class KeptBackend:
    """Makes backends, and gives the last one again for the same card and settings. Holds one at a time, as a GPU does.

    Args:
        make_backend: makes the backend of a card.
    """

    def __init__(self, make_backend: Callable[..., Backend] = create_backend) -> None:
        self._make = make_backend
        self._key: tuple[str, Generation, str] | None = None
        self._backend: Backend | None = None

    def __call__(self, card: ModelCard, generation: Generation, **options: Any) -> Backend:
        """Load the model of a card, or give the one that is loaded."""
        key = card.sha256(), generation, repr(sorted(options.items()))
        # A served model is not loaded here, and its record of tokens and cost counts from when it was made.
        if self._backend is None or key != self._key or card.backend in SERVED_BACKENDS:
            self._key = self._backend = None
            # A model's own cycles would keep its memory while the next one is loaded.
            gc.collect()
            self._backend = self._make(card, generation, **options)
            self._key = key
        return self._backend
