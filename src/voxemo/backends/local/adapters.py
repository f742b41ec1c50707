"""LoRA adapters on the language decoder of a loaded model: where they go, how they are read, and that they act.

The audio tower has projections of the same names; adapters there are no part of the protocol (PROTOCOL section 6), so
that where an adapter went is checked and never assumed. At evaluation an adapter stays beside the weights, as it was
trained: merged into weights of bfloat16, what it adds would be rounded away in part.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors

from voxemo.core.cards import ModelCard
from voxemo.core.errors import BackendError, MissingDependency, listing

try:
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer, LoraModel
except ModuleNotFoundError as missing:
    raise MissingDependency("A fine-tuned model", package=str(missing.name), extra="hf") from missing

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
TARGET_MODULES = r"(?:.*\.)?language_model(?:\.model)?\.layers\.\d+\.self_attn\.(?:q|k|v|o)_proj"
"""The decoder's attention projections, in the module layouts of transformers 4 and 5. The bare names would match the
audio tower as well."""
ADAPTER_NAME = "default"
PROBE_TOKENS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """An adapter that is attached to a model."""

    model: Any
    """The model, whose projections have been replaced in place."""
    wrapped: Any
    """peft's view of it, a ``LoraModel``."""
    parameters: Mapping[str, torch.nn.Parameter]
    """What is learned, by its name in adapter files of peft; all else is frozen."""

    @property
    def layers(self) -> list[Any]:
        """The adapted projections, in the order of the model."""
        return [module for module in self.model.modules() if isinstance(module, LoraLayer)]

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of what is learned, on the CPU."""
        return {name: parameter.detach().cpu().clone() for name, parameter in self.parameters.items()}

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take over learned weights.

        Raises:
            ValueError: they are of another adapter: other names or shapes.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        own = {name: tuple(parameter.shape) for name, parameter in self.parameters.items()}
        if shapes != own:
            differing = sorted(name for name in shapes.keys() | own.keys() if shapes.get(name) != own.get(name))
            raise ValueError(f"the weights {listing(differing)} have other shapes, or are on one side only")
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name])

    def detach(self) -> None:
        """Give the model its own projections back."""
        self.wrapped.unload()


def attach_adapter(model: Any, *, rank: int, alpha: int, seed: int = 0) -> Adapter:
    """Put a fresh adapter on q, k, v and o of every decoder layer of a model, in place, and freeze all else.

    Args:
        model: a Qwen2-Audio or Audio Flamingo 3.
        rank: of the two matrices that are learned for each projection.
        alpha: what they give is scaled by ``alpha / rank``.
        seed: of the first matrix's values; the second begins with zeros, so that the model answers as before.

    Raises:
        BackendError: something else than the decoder's attention was met.
    """
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=TARGET_MODULES, bias="none")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        wrapped = LoraModel(model, config, ADAPTER_NAME)
    parameters = {
        f"base_model.{name}".replace(f".{ADAPTER_NAME}.", "."): parameter
        for name, parameter in wrapped.named_parameters()
        if parameter.requires_grad
    }
    for parameter in parameters.values():
        # Steps of a learning rate of 1e-5 are lost in half precision.
        parameter.data = parameter.data.float()
    _check_places(model, parameters)
    return Adapter(model, wrapped, parameters)


def _check_places(model: Any, parameters: Mapping[str, torch.nn.Parameter]) -> None:
    adapted = {name for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    astray = sorted(name for name in adapted if not re.fullmatch(TARGET_MODULES, name) or "audio" in name)
    n_due = len(PROJECTIONS) * model.config.get_text_config().num_hidden_layers
    if astray or len(adapted) != n_due or len(parameters) != 2 * n_due:
        raise BackendError(
            f"An adapter belongs on the {n_due} attention projections of the language decoder of "
            f"{type(model).__name__}, but {len(adapted)} modules were adapted{_named(astray)}. The installed "
            "transformers names its modules otherwise than expected; use the tested versions."
        )


def _named(modules: list[str]) -> str:
    return f", among them {listing(modules)}" if modules else ""


def load_adapter(model: Any, card: ModelCard, folder: Path | str | None) -> Adapter:
    """Put the trained adapter of a card on its base model, and check that it acts.

    Args:
        model: the base, loaded.
        card: that `voxemo train` wrote.
        folder: where the card lies.

    Raises:
        BackendError: the weights are not there, are not those that the card names, or change nothing.
    """
    record = card.training
    assert record is not None
    if folder is None:
        raise BackendError(f"The card of {card.model_id} has an adapter; give the folder in which its files lie.")
    what = f"The adapter {record.artefact!r} of {card.model_id} (fold {record.fold_id} of {record.corpus_id})"
    try:
        content = (Path(folder) / record.artefact).read_bytes()
    except OSError as cause:
        raise BackendError(
            f"{what} cannot be read: {cause.strerror}. It lies beside the card; train the model again if it is lost."
        ) from cause
    if hashlib.sha256(content).hexdigest() != record.artefact_sha256:
        raise BackendError(
            f"{what} is not the one that the card names: it was changed or replaced. Train the model again."
        )
    adapter = attach_adapter(model, rank=record.recipe["rank"], alpha=record.recipe["alpha"])
    try:
        adapter.load(read_tensors(content))
    except (ValueError, SafetensorError) as cause:
        raise BackendError(f"{what} does not fit its base model {record.base_model_id}: {cause}.") from cause
    model.requires_grad_(False)
    check_acts(adapter, model_id=card.model_id)
    return adapter


def check_acts(adapter: Adapter, *, model_id: str) -> float:
    """The largest difference that an adapter makes to the decoder's output for a few tokens.

    Raises:
        BackendError: it makes none, or its output is not finite: answers would be the base's, or noise.
    """
    model = adapter.model
    tokens = torch.arange(PROBE_TOKENS, device=model.device)[None]
    with torch.inference_mode():
        adapted = model.lm_head(model.model.language_model(input_ids=tokens, use_cache=False).last_hidden_state)
        adapter.wrapped.disable_adapter_layers()
        try:
            plain = model.lm_head(model.model.language_model(input_ids=tokens, use_cache=False).last_hidden_state)
        finally:
            adapter.wrapped.enable_adapter_layers()
    difference = float((adapted.float() - plain.float()).abs().max())
    # Attention on a processor turns some numbers that are none into zeros: logits alone would not show them.
    is_sound = isfinite(difference) and all(bool(torch.isfinite(p).all()) for p in adapter.parameters.values())
    if not is_sound or difference == 0:
        raise BackendError(
            f"The adapter of {model_id} changes the logits of its base by {difference:g}: its answers would be "
            f"{'the base model again' if is_sound else 'noise'}. Train it longer or at another learning rate."
        )
    return difference


def trainable_share(adapter: Adapter) -> float:
    """Share of the parameters that are learned, in 0 to 1; those of the adapter count among all."""
    n_trained: int = sum(parameter.numel() for parameter in adapter.parameters.values())
    n_all: int = sum(parameter.numel() for parameter in adapter.model.parameters())
    return n_trained / n_all
