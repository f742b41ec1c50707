"""Name of a backend to a loaded model: the built-in ones, then plugins."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from voxemo.backends.base import Backend
from voxemo.catalog.lookup import BACKENDS_GROUP, load_plugin, plugins
from voxemo.core.cards import ModelCard
from voxemo.core.errors import BackendError, DuplicateName, PluginError, UnknownName
from voxemo.core.types import Generation

BUILTIN = {
    "acoustic-baseline": "voxemo.backends.acoustic",
    "endpoint": "voxemo.backends.endpoint.engine",
    "local": "voxemo.backends.local.engine",
    "vllm": "voxemo.backends.vllm_offline",
}
"""Backend name to the module whose ``create`` makes it; imported only when it is asked for."""


def backend_names() -> tuple[str, ...]:
    """Every backend that a model card can name."""
    return tuple(sorted({*BUILTIN, "scripted", *plugins(BACKENDS_GROUP)}))


def create_backend(card: ModelCard, generation: Generation, **options: Any) -> Backend:
    """Load the model of a card.

    Args:
        card: names the backend.
        generation: how answers are decoded.
        options: settings of this machine, such as ``device`` or ``batch_size``; None means not given.

    Raises:
        UnknownName: no backend of that name.
        BackendError: the backend does not know an option, or cannot load the model.
        MissingDependency: an extra is not installed.
    """
    if card.backend == "scripted":
        raise BackendError(
            f"The model {card.model_id!r} has no weights here: its answers come from a file. "
            "Run: voxemo infer RUN --answers FILE"
        )
    point = plugins(BACKENDS_GROUP)
    if card.backend in BUILTIN:
        if card.backend in point:
            raise DuplicateName("backend", card.backend, ["voxemo itself", point[card.backend].value])
        create: Callable[..., Backend] = import_module(BUILTIN[card.backend]).create
    elif card.backend in point:
        create = load_plugin(BACKENDS_GROUP, card.backend)
        if not callable(create):
            raise PluginError(BACKENDS_GROUP, card.backend, "expected a function (ModelCard, Generation) -> Backend")
    else:
        raise UnknownName("backend", card.backend, backend_names())
    given = {name: value for name, value in options.items() if value is not None}
    parameters = inspect.signature(create).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    stray = [name for name in given if name not in parameters and not takes_any]
    if stray:
        raise BackendError(f"The backend {card.backend!r} of {card.model_id} has no option {stray[0]!r}.")
    return create(card, generation, **given)
