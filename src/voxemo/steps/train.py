"""A split's training part to a model card per fold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxemo.audio.load import load_audio
from voxemo.backends.base import Waveform
from voxemo.catalog import lookup
from voxemo.catalog.transfer import primary_language
from voxemo.core.cards import CorpusCard, ModelCard
from voxemo.core.errors import RunError, UnknownName
from voxemo.core.types import Split, Utterance
from voxemo.steps.corpora import find_card
from voxemo.steps.fold_models import SUPERVISED_BACKENDS
from voxemo.steps.plan import check_split
from voxemo.steps.prepare import Progress
from voxemo.store.layout import Workspace
from voxemo.store.models import remember_model, write_model
from voxemo.store.provenance import package_versions
from voxemo.store.workspace import PreparedCorpus, corpus_root, read_prepared, read_split
from voxemo.training import acoustic


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """Fold to what was trained on it."""

    cards: dict[str, ModelCard]
    folders: dict[str, Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCorpus:
    """A prepared corpus with a split, as training reads it."""

    card: CorpusCard
    prepared: PreparedCorpus
    split: Split
    facts: dict[str, Any]
    """Of the split."""
    folds: tuple[str, ...]
    """That are trained on."""
    utterances: dict[str, Utterance]
    """Of the benchmark, by id."""
    clips: dict[str, Callable[[], Waveform]]
    """Utterance to what loads its clip, for audio that `prepare` could read."""
    gold: dict[str, str | None]
    """Utterance to its label of the card's gold source; None for what is not to be learned."""
    label_names: tuple[str, ...]
    """That are learned, in the card's order."""
    language: str | None = None
    """The only one that is learned, of a corpus that has several."""


def read_training_corpus(
    workspace: Workspace,
    corpus: str,
    *,
    split_id: str,
    folds: Sequence[str] | None,
    labels: Sequence[str] | None = None,
    language: str | None = None,
) -> TrainingCorpus:
    """What there is to learn from.

    Args:
        workspace: holds the prepared corpus and the split.
        corpus: its name.
        split_id: the split.
        folds: only these; all when None.
        labels: only utterances that have one of these; all when None.
        language: only utterances in this one (a primary tag); all when None.

    Raises:
        UnknownName: a fold that the split lacks.
        NotPrepared, SplitError, RunError: as the message says.
    """
    card = find_card(workspace, corpus)
    prepared = read_prepared(workspace, card)
    split, facts = read_split(workspace, card.corpus_id, split_id)
    check_split(split, prepared, card)
    root = corpus_root(workspace, card.corpus_id)
    utterances = {u.utterance_id: u for u in prepared.benchmark}
    known = tuple(fold.fold_id for fold in split.folds)
    for fold_id in folds or ():
        if fold_id not in known:
            raise UnknownName("fold", fold_id, known)
    label_names = tuple(name for name in card.labels.names if labels is None or name in labels)

    def learned(utterance: Utterance) -> str | None:
        label: str | None = getattr(utterance, card.gold)
        spoken = language is None or primary_language(utterance.language) == language
        return label if spoken and label in label_names else None

    return TrainingCorpus(
        card=card,
        prepared=prepared,
        split=split,
        facts=facts,
        folds=tuple(fold_id for fold_id in known if folds is None or fold_id in folds),
        utterances=utterances,
        clips={name: _loader(root, u) for name, u in utterances.items() if u.unusable_reason is None},
        gold={name: learned(u) for name, u in utterances.items()},
        label_names=label_names,
        language=language,
    )


def train_model(
    workspace: Workspace,
    corpus: str,
    *,
    model: str = "acoustic-baseline",
    split_id: str = "protocol",
    folds: tuple[str, ...] | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> TrainResult:
    """Train a supervised system on each fold's training part and write its card and weights into the workspace.

    Speech LLMs are trained by ``steps.fine_tune``.

    Args:
        workspace: holds the prepared corpus and the split.
        corpus: name of the corpus.
        model: a card whose backend learns on a split.
        split_id: the split.
        folds: only these; all by default.
        seed: of everything random in training.
        on_progress: called with (clips read, clips in all).

    Raises:
        RunError: the model is not one that is trained here.
        MissingDependency: the extra ``baseline`` is not installed.
    """
    base = lookup.model_card(model)
    if base.backend not in SUPERVISED_BACKENDS:
        raise RunError(
            f"{base.model_id} (backend {base.backend!r}) is not trained by this version; "
            f"these are: {', '.join(SUPERVISED_BACKENDS)}, and speech LLMs of the backend 'local'."
        )
    data = read_training_corpus(workspace, corpus, split_id=split_id, folds=folds)
    features = acoustic.extract_features(
        {name: load for name, load in data.clips.items() if data.gold[name] is not None}, on_progress=on_progress
    )
    cards, folders = {}, {}
    for fold_id in data.folds:
        folder = workspace.model_folder(base.model_id, data.card.corpus_id, split_id, fold_id)
        cards[fold_id], weights = acoustic.train(
            base,
            data.card,
            data.split,
            fold_id,
            features=features,
            labels=data.gold,
            label_source=data.card.gold,
            seed=seed,
            split_sha256=data.facts["sha256"],
            package_versions=package_versions(),
        )
        folders[fold_id] = folder
        write_model(folder, cards[fold_id], weights)
        remember_model(workspace, cards[fold_id], folder)
    return TrainResult(cards=cards, folders=folders)


def _loader(root: Path, utterance: Utterance) -> Callable[[], Waveform]:
    return lambda: load_audio(
        root / utterance.audio_path,
        start_s=utterance.start_s,
        end_s=utterance.end_s,
        expected_sha256=utterance.audio_sha256,
        place=utterance.audio_path,
    )
