"""A trained adapter as files that other tools read, as a model card that a run takes, and merged into its base."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import save

from voxemo.backends.local.adapters import PROBE_TOKENS, TARGET_MODULES, check_acts, load_adapter
from voxemo.backends.local.loading import load_model
from voxemo.core.cards import ModelCard, TrainingRecord
from voxemo.core.errors import TrainingError
from voxemo.store.files import write_atomically, write_json, write_text
from voxemo.store.layout import MODEL_CARD
from voxemo.store.models import checkpoint_revision
from voxemo.training.lora import LoraRecipe

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
MERGED_SUFFIX = "-merged"


def write_adapter(folder: Path, weights: Mapping[str, torch.Tensor], recipe: LoraRecipe, base: ModelCard) -> None:
    """Write an adapter as peft reads it.

    Args:
        folder: made if needed.
        weights: by their names in such files.
        recipe: that they were trained by.
        base: the model that they belong to; named by hub id or folder name, never by a path.
    """
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=TARGET_MODULES,
        bias="none",
        inference_mode=True,
        base_model_name_or_path=base.repository,
        revision=base.revision,
    )
    values = {name: sorted(value) if isinstance(value, set) else value for name, value in config.to_dict().items()}
    write_atomically(folder / WEIGHTS_FILE, lambda file: file.write(_content(weights)))
    write_json(folder / CONFIG_FILE, values)


def adapter_sha256(weights: Mapping[str, torch.Tensor]) -> str:
    """Hash of the file that `write_adapter` makes of weights."""
    return hashlib.sha256(_content(weights)).hexdigest()


def _content(weights: Mapping[str, torch.Tensor]) -> bytes:
    return save({name: tensor.contiguous() for name, tensor in weights.items()}, metadata={"format": "pt"})


def sft_card(base: ModelCard, model_id: str, record: TrainingRecord) -> ModelCard:
    """The card of a fine-tuned model."""
    known = base.training_corpora
    corpora = known if known == "undisclosed" else tuple(sorted({*known, *record.corpora}))
    parts = ", ".join(
        f"{one.corpus_id} ({one.weight:.3f} of each epoch, split {one.split_id})" for one in record.sources
    )
    on = parts or f"{record.corpus_id}, split {record.split_id}"
    return base.model_copy(
        update={
            "model_id": model_id,
            "name": f"{base.name}, fine-tuned",
            "training_corpora": corpora,
            "training_data": f"{base.training_data} Then fine-tuned on {on}.",
            "training": record,
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A checkpoint with its adapter merged in."""

    card: ModelCard
    folder: Path
    effect: float
    """Largest difference that the adapter makes to the logits of a few tokens."""
    rounding: float
    """Largest difference between them before and after merging, in the dtype of the checkpoint."""


def merge_adapter(card: ModelCard, folder: Path, out: Path, *, base_repository: str) -> Merged:
    """Write the base model with a trained adapter merged into its weights, and a card beside it.

    Merging is done in float32; the checkpoint has the dtype of the card, or float32 where it names none.

    Args:
        card: of the fine-tuned model.
        folder: where it lies.
        out: folder to write; there must be none yet.
        base_repository: where the base model is found on this machine, or its hub id.

    Raises:
        TrainingError: the card has no adapter, or ``out`` is there already.
        BackendError: base or adapter cannot be loaded.
    """
    record = card.training
    if record is None or record.kind != "sft" or record.merged:
        raise TrainingError(f"{card.model_id} has no adapter to merge. Give a card that `voxemo train` wrote.")
    if out.exists():
        raise TrainingError(f"{out} is there already; nothing in it was changed. Give another --out, or remove it.")
    base = card.model_copy(update={"training": None, "repository": base_repository})
    loaded = load_model(base, device="cpu", dtype="float32", trust_remote_code=False)
    adapter = load_adapter(loaded.model, card, folder)
    effect = check_acts(adapter, model_id=card.model_id)
    before = _probe(loaded.model)
    merged = adapter.wrapped.merge_and_unload(safe_merge=True)
    dtype = getattr(torch, card.dtype or "float32")
    rounding = float((_probe(merged.to(dtype)).float() - before).abs().max())
    temporary = out.with_name(f".{out.name}.merging")
    merged.save_pretrained(temporary)
    loaded.processor.save_pretrained(temporary)
    config = temporary / "config.json"
    made = card.model_copy(
        update={
            "model_id": f"{card.model_id}{MERGED_SUFFIX}",
            "name": f"{card.name}, merged",
            "repository": out.name,
            "revision": checkpoint_revision(temporary),
            "training": record.model_copy(
                update={
                    "merged": True,
                    "artefact": config.name,
                    "artefact_sha256": hashlib.sha256(config.read_bytes()).hexdigest(),
                }
            ),
        }
    )
    write_text(temporary / MODEL_CARD, made.model_dump_json(indent=2) + "\n")
    # Last, so that a folder of that name is whole.
    temporary.replace(out)
    return Merged(card=made, folder=out, effect=effect, rounding=rounding)


def _probe(model: Any) -> torch.Tensor:
    tokens = torch.arange(PROBE_TOKENS)[None]
    with torch.inference_mode():
        hidden = model.model.language_model(input_ids=tokens, use_cache=False).last_hidden_state
        logits: torch.Tensor = model.lm_head(hidden)
    return logits
