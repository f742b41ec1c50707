"""Which model card answers which fold, and how a model met the corpus that it is tested on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard, ModelCard
from voxemo.core.errors import RunError, UnknownName
from voxemo.store.layout import MODEL_CARD, Workspace
from voxemo.store.models import checkpoint_revision, remember_model

SUPERVISED_BACKENDS = ("acoustic-baseline",)
"""Backends whose models are trained on a split and have one card per fold."""

SERVED_BACKENDS = ("endpoint",)
"""Backends whose cards name a model as its server does, never a folder of this machine."""

CHECKPOINT_BACKENDS = ("local", "vllm")
"""Backends that run the same checkpoints by the same cards, so that a run may name another one than its card."""

EVERY_FOLD = "all"
"""Stands for every fold where a model is the same on all of them."""

TrainingKind = Literal["zero_shot", "supervised", "sft", "transfer"]


def find_model(workspace: Workspace, model: str) -> ModelCard:
    """The card of a model by name or path: the catalog's, else one that was trained in the workspace under that name.

    A name of the second kind has a card for each fold; this is the first one.

    Raises:
        UnknownName: no card, file or trained model answers to the name.
    """
    if not lookup.is_path(model) and model not in lookup.model_names():
        trained = workspace.trained_models(model)
        if not trained:
            raise UnknownName("model", model, sorted({*lookup.model_names(), *workspace.trained_names()}))
        return lookup.model_card(str(trained[0]))
    return lookup.model_card(model)


def trained_card(
    workspace: Workspace, model_id: str, *, corpus_id: str, split_id: str, split_sha256: str, fold_id: str
) -> ModelCard | None:
    """The card that `train` wrote for a fold of this very split; None if there is none.

    A split made again from other data has another hash: what was trained on the old one may have heard the new one's
    test clips.
    """
    path = workspace.model_folder(model_id, corpus_id, split_id, fold_id) / MODEL_CARD
    if not path.is_file():
        return None
    card = lookup.model_card(str(path))
    if card.training is None or card.training.split_sha256 != split_sha256:
        return None
    remember_model(workspace, card, path.parent)
    return card


def card_on(card: ModelCard, backend: str | None) -> ModelCard:
    """The card of a model as another backend runs its checkpoint; the same card for its own, or for None.

    It is another system, with another ``model_id``: engines round differently, and the same checkpoint may answer
    otherwise.

    Raises:
        RunError: not both backends run checkpoints by the same cards.
    """
    if backend is None or backend == card.backend:
        return card
    if not {card.backend, backend} <= set(CHECKPOINT_BACKENDS):
        raise RunError(
            f"{card.model_id} is run by the backend {card.backend!r}, and cannot be run by {backend!r} instead. Only "
            f"{' and '.join(map(repr, CHECKPOINT_BACKENDS))} run the same checkpoints; for others write a card."
        )
    changes = {"model_id": f"{card.model_id}-{backend}", "name": f"{card.name} ({backend})", "backend": backend}
    return card.model_copy(update=changes)


def fold_cards(
    workspace: Workspace,
    model: str,
    *,
    corpus_id: str,
    split_id: str,
    split_sha256: str,
    folds: Sequence[str],
    backend: str | None = None,
) -> dict[str, ModelCard]:
    """The card of each fold for a model that is trained per fold; one for every fold for any other.

    Args:
        workspace: knows trained models.
        model: name of a model card, or path to one.
        corpus_id: of the corpus that is asked about.
        split_id: of the split.
        split_sha256: of the split.
        folds: ids of the folds that are asked.
        backend: runs the model in place of the card's own; see `card_on`.

    Raises:
        RunError: a fold's model has not been trained on this split, or was trained on clips that would be tested.
    """
    card = card_on(find_model(workspace, model), backend)
    if has_adapter(card) and card.backend != "local":
        raise RunError(
            f"{card.model_id} has an adapter, which the backend {card.backend!r} does not take. Merge it into its base "
            "(voxemo train merge CARD --out FOLDER), and give the card of the merged model."
        )
    if card.training is not None and lookup.is_path(model):
        return _given_card(workspace, card, Path(model).parent, corpus_id, split_sha256, folds)
    if card.training is None and card.backend not in SUPERVISED_BACKENDS:
        return {EVERY_FOLD: untrained_card(workspace, card)}
    base = model if card.training is None else card.training.base_model_id
    named = "" if card.training is None else f" --name {model}"
    cards: dict[str, ModelCard] = {}
    for fold_id in folds:
        trained = trained_card(
            workspace,
            card.model_id,
            corpus_id=corpus_id,
            split_id=split_id,
            split_sha256=split_sha256,
            fold_id=fold_id,
        )
        if trained is None:
            raise RunError(
                f"{model} has not been trained on fold {fold_id} of {corpus_id}, split {split_id} as it is now. "
                f"Run: voxemo train {corpus_id} --model {base} --split {split_id}{named}"
                + (", or give the path of a card that was trained on another corpus." if named else "")
            )
        cards[fold_id] = trained
    return cards


def untrained_card(workspace: Workspace, card: ModelCard) -> ModelCard:
    """The card of a model that learns nothing here, as a run names it.

    Raises:
        RunError: it names a folder that is not there.
    """
    if card.backend in SERVED_BACKENDS:
        return _served_card(card)
    if (folder := lookup.checkpoint_folder(card.repository)) is not None:
        return _local_checkpoint(workspace, card, folder)
    if card.repository is not None and card.repository.startswith(("/", "./", "../", "~")):
        raise RunError(
            f"The card of {card.model_id} names the checkpoint folder {card.repository!r}, which is not there. "
            "Mend `repository` on the card: a folder on this machine, or a hub id."
        )
    return card


def _given_card(
    workspace: Workspace, card: ModelCard, folder: Path, corpus_id: str, split_sha256: str, folds: Sequence[str]
) -> dict[str, ModelCard]:
    """A trained card given by path: all folds of another corpus, or the one fold that it was trained for."""
    record = card.training
    assert record is not None
    remember_model(workspace, card, folder)
    if corpus_id in record.corpora and record.sources:
        raise RunError(
            f"{card.model_id} was trained on a mixture that holds {corpus_id} ({', '.join(record.corpora)}): what it "
            "is tested on would be known to it. Train a mixture without that corpus."
        )
    if record.corpus_id != corpus_id:
        return {EVERY_FOLD: card}
    if record.split_sha256 != split_sha256:
        raise RunError(
            f"{card.model_id} was trained on another split of {corpus_id} ({record.split_id}, "
            f"{record.split_sha256[:8]}): clips that it was trained on would be tested. Train it on this one."
        )
    if record.fold_id not in folds:
        raise RunError(f"{card.model_id} was trained for fold {record.fold_id}; asked for were {', '.join(folds)}.")
    return {record.fold_id: card}


def _local_checkpoint(workspace: Workspace, card: ModelCard, folder: Path) -> ModelCard:
    """The card of a checkpoint on this machine's disk as a run may name it: by content, not by path."""
    assert card.repository is not None
    shipped = card.repository.startswith(lookup.IN_PACKAGE)
    named = card.model_copy(
        update={
            "repository": card.repository if shipped else folder.resolve().name,
            "revision": card.revision or checkpoint_revision(folder),
        }
    )
    remember_model(workspace, named, folder)
    return named


def _served_card(card: ModelCard) -> ModelCard:
    """The card of a served model, which every run folder will hold."""
    if card.repository is not None and card.repository.startswith(("/", "./", "../", "~")):
        raise RunError(
            f"The card of {card.model_id} names the folder {card.repository!r}, and a run holds no path of a machine. "
            "Start the server so that it gives the model a name (vLLM: --served-model-name NAME), and write that as "
            "`repository`."
        )
    return card


def check_shipped(card: ModelCard) -> None:
    """Refuse a model that is installed with a package in another version than the one that was planned for.

    Raises:
        RunError: the package was changed since the run was planned.
    """
    if card.repository is None or not card.repository.startswith(lookup.IN_PACKAGE):
        return
    folder = lookup.checkpoint_folder(card.repository)
    if folder is None or checkpoint_revision(folder) != card.revision:
        raise RunError(
            f"{card.model_id} as it is installed now ({card.repository}) is not the one that this run was planned for. "
            "Plan a new run, or install the version of before."
        )


def has_adapter(card: ModelCard) -> bool:
    """Whether a model is its base with an adapter beside it."""
    return card.training is not None and card.training.kind == "sft" and not card.training.merged


def training_kind(card: ModelCard, corpus_id: str) -> TrainingKind:
    """How a model met the corpus: zero_shot, sft or supervised on it, or transfer from another."""
    if card.training is None:
        return "zero_shot"
    return card.training.kind if card.training.corpus_id == corpus_id else "transfer"


def training_overlap(card: ModelCard, corpus: CorpusCard) -> str:
    """What is known of the corpus being in the model's training data (PROTOCOL section 9)."""
    if card.training is not None and card.training.corpus_id == corpus.corpus_id:
        return f"trained on {corpus.corpus_id}, partitions {', '.join(card.training.partitions)} of the same fold only"
    if card.training_corpora == "undisclosed":
        return "undisclosed: the model's training data may hold this corpus"
    if corpus.corpus_id in card.training_corpora:
        return f"yes: the model's training data holds {corpus.corpus_id}"
    return "none known"
