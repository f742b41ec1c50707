"""Trained models on disk: a card and the weights that it names, and where they lie on this machine."""

import hashlib
from pathlib import Path

from voxemo.core.cards import ModelCard
from voxemo.core.errors import RunError
from voxemo.store.files import read_json, write_atomically, write_json, write_text
from voxemo.store.layout import MODEL_CARD, Workspace


def write_model(folder: Path, card: ModelCard, weights: bytes) -> None:
    """Write a trained model's weights and card, atomically each.

    Args:
        folder: made if needed.
        card: its training record names the weights file.
        weights: content of that file.
    """
    if card.training is None:
        raise ValueError(f"the card of {card.model_id} has no training record")
    # Weights first: a card never names weights that are not there.
    write_atomically(folder / card.training.artefact, lambda file: file.write(weights))
    write_text(folder / MODEL_CARD, card.model_dump_json(indent=2) + "\n")


def remember_model(workspace: Workspace, card: ModelCard, folder: Path) -> None:
    """Note where a trained model's files lie on this machine."""
    inside = folder.resolve().is_relative_to(workspace.root.resolve())
    # Relative to the workspace where it lies in it, so that a workspace can be moved.
    place = folder.resolve().relative_to(workspace.root.resolve()) if inside else folder.resolve()
    write_json(workspace.model_root(card.sha256()), {"folder": str(place)})


def checkpoint_revision(folder: Path) -> str:
    """What identifies a checkpoint on disk: one hash over the names and contents of its files.

    Reads every file; a 7B checkpoint takes as long as its disk needs for 15 GB.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        # Download tools keep notes in hidden folders; they change, the checkpoint does not.
        if any(part.startswith(".") for part in name.parts) or not path.is_file():
            continue
        # The card of a merged model lies beside its checkpoint, and names this very hash.
        if name.as_posix() == MODEL_CARD:
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{name.as_posix()} {content}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def known_folder(workspace: Workspace, card: ModelCard) -> Path | None:
    """Where a model's files lie on this machine, if the workspace knows: trained models and local checkpoints."""
    return _known(workspace, card.sha256())


def base_folder(workspace: Workspace, card: ModelCard) -> Path | None:
    """Where the base of a fine-tuned model lies on this machine, if the workspace knows: of local checkpoints."""
    base = card.training.base_model_sha256 if card.training is not None else None
    return None if base is None else _known(workspace, base)


def _known(workspace: Workspace, card_sha256: str) -> Path | None:
    path = workspace.model_root(card_sha256)
    return workspace.root / read_json(path)["folder"] if path.is_file() else None


def model_folder(workspace: Workspace, card: ModelCard) -> Path:
    """Folder of a trained model's files.

    Raises:
        RunError: it is not known in this workspace, or no longer there.
    """
    folder = known_folder(workspace, card)
    if folder is None or not folder.is_dir():
        raise RunError(
            f"The files of {card.model_id} (card {card.sha256()[:8]}) are not where this workspace knows them. "
            "Train it again, or run `voxemo plan` again with --model PATH, a card that tells where they lie now."
        )
    return folder
