"""A fine-tuned model to a checkpoint without an adapter."""

from pathlib import Path

from voxemo.catalog import lookup
from voxemo.store.layout import Workspace
from voxemo.store.models import base_folder, remember_model
from voxemo.training.adapters import Merged, merge_adapter


def merge_model(workspace: Workspace, card_path: Path, out: Path) -> Merged:
    """Merge the adapter of a card into its base model.

    Args:
        workspace: knows where the base model lies, where that is a folder.
        card_path: of the fine-tuned model; its adapter lies beside it.
        out: folder to write; there must be none yet.

    Raises:
        TrainingError: the card has no adapter, or ``out`` is there already.
        BackendError: base or adapter cannot be loaded.
    """
    card = lookup.model_card(str(card_path))
    folder = base_folder(workspace, card)
    base_repository = str(folder) if folder is not None else str(card.repository)
    merged = merge_adapter(card, card_path.parent, out, base_repository=base_repository)
    remember_model(workspace, merged.card, out)
    return merged
