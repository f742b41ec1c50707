"""A split's training part and a speech LLM to a fine-tuned model per fold: an adapter and a card that a run takes."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from voxemo.backends.local.families import FAMILIES
from voxemo.backends.local.hearing import Hearing
from voxemo.backends.local.loading import LoadedModel, load_model
from voxemo.catalog import lookup
from voxemo.core.cards import ModelCard
from voxemo.core.errors import TrainingError
from voxemo.core.ids import sha256_json
from voxemo.steps.corpora import find_card
from voxemo.steps.fold_models import find_model, untrained_card
from voxemo.steps.fold_training import (
    PARTITIONS,
    AdapterTraining,
    Base,
    Machine,
    Part,
    TrainedFold,
    TrainingJob,
    audio_key,
    train_fold,
)
from voxemo.steps.mixtures import MIXED, MIXED_FOLD, Mixture, Training
from voxemo.steps.run import ProgressBar
from voxemo.steps.train import TrainingCorpus, TrainResult, read_training_corpus
from voxemo.store.layout import Workspace
from voxemo.store.models import known_folder, remember_model
from voxemo.store.workspace import read_split
from voxemo.training.embeddings import Embeddings, encoder_sha256, hear_all
from voxemo.training.lora import LoraRecipe
from voxemo.training.processes import Processes, joined, own_device, usual_dtype
from voxemo.training.state import Epoch

__all__ = ["Machine", "TuneResult", "fine_tune", "fine_tune_mixture", "run_training"]

SUFFIX = "-sft"


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneResult(TrainResult):
    """What was trained, with how it went."""

    epochs: dict[str, list[Epoch]]
    """By fold; empty for folds that had been trained before."""
    n_trained: int
    """Parameters that were learned."""
    share: float
    """Of all parameters, in 0 to 1."""
    refused: dict[str, str]
    """Utterance to the reason, for clips that could not be heard by this process."""


def fine_tune(
    workspace: Workspace,
    corpus: str,
    *,
    model: str,
    name: str | None = None,
    split_id: str = "protocol",
    folds: tuple[str, ...] | None = None,
    recipe: LoraRecipe | None = None,
    seed: int = 0,
    machine: Machine | None = None,
    bar: ProgressBar = lambda title, unit: nullcontext(lambda done, total: None),
    on_epoch: Callable[[str, Epoch], None] = lambda fold_id, epoch: None,
) -> TuneResult:
    """Train an adapter on each fold's training part and write adapters and cards into the workspace.

    Interrupted at any moment, the same call goes on where it stopped; what is trained already is left as it is.
    Started by ``torchrun``, its processes share the work.

    Args:
        workspace: holds the prepared corpus and the split, and is shared by all processes.
        corpus: name of the corpus.
        model: card of a speech LLM of the local backend.
        name: that the fine-tuned model gets; the base's with ``-sft`` when None.
        split_id: the split.
        folds: only these; all by default.
        recipe: the paper's when None.
        seed: of the adapter's first values, the order of utterances and the dropout.
        machine: device, dtype and how the work is divided.
        bar: makes a progress bar for a stage.
        on_epoch: called with the fold after each epoch.

    Raises:
        TrainingError: the model cannot be trained, a recipe makes no sense, a training diverges, or another training
            of that name is there.
        BackendError: the model cannot be loaded.
    """
    data = read_training_corpus(workspace, corpus, split_id=split_id, folds=folds)
    named, model_id = _what_is_trained(workspace, model, name)
    job = _job(model_id, recipe, seed, machine, bar, on_epoch)
    trainings = {
        fold_id: AdapterTraining(
            workspace.model_folder(model_id, data.card.corpus_id, split_id, fold_id),
            _identity(data, fold_id, named, job),
            (Part(data=data, fold_id=fold_id),),
        )
        for fold_id in data.folds
    }
    return _train_all(workspace, trainings, named, job)


def fine_tune_mixture(
    workspace: Workspace,
    mixture: Mixture,
    *,
    model: str,
    name: str | None = None,
    recipe: LoraRecipe | None = None,
    seed: int = 0,
    machine: Machine | None = None,
    bar: ProgressBar = lambda title, unit: nullcontext(lambda done, total: None),
    on_epoch: Callable[[str, Epoch], None] = lambda fold_id, epoch: None,
) -> TuneResult:
    """Train one adapter on several corpora together; else as ``fine_tune``.

    Each corpus is asked about with its own labels. An epoch has as many utterances as all corpora together, divided by
    their weights (``training.lora.mixed_epoch``). Validation UA is the mean over the corpora, each counting the same.

    Raises:
        TrainingError: as ``fine_tune``; or a corpus of the mixture has nothing to learn.
    """
    named, model_id = _what_is_trained(workspace, model, name)
    job = _job(model_id, recipe, seed, machine, bar, on_epoch)
    parts = []
    for one in mixture.sources:
        folds = None if one.fold_id is None else (one.fold_id,)
        data = read_training_corpus(
            workspace, one.corpus, split_id=one.split_id, folds=folds, labels=one.labels, language=one.language
        )
        parts.append(Part(data=data, fold_id=data.folds[0], weight=one.weight))
    identities = [
        {
            **_identity(part.data, part.fold_id, named, job),
            "weight": part.weight,
            "labels": part.data.label_names,
            "language": part.data.language,
        }
        for part in parts
    ]
    common = {key: identities[0][key] for key in ("recipe", "seed", "dtype")}
    folder = workspace.model_folder(model_id, mixture.mixture_id, MIXED, MIXED_FOLD)
    splits = sha256_json([one["split"] for one in identities])
    training = AdapterTraining(
        folder,
        {**common, "split": splits, "sources": identities},
        tuple(parts),
        mixture_id=mixture.mixture_id,
    )
    trainings = {MIXED_FOLD: training}
    return _train_all(workspace, trainings, named, job)


def run_training(
    workspace: Workspace,
    training: Training,
    *,
    machine: Machine | None = None,
    bar: ProgressBar = lambda title, unit: nullcontext(lambda done, total: None),
    on_epoch: Callable[[str, Epoch], None] = lambda fold_id, epoch: None,
) -> TuneResult:
    """Do one training of a study, or find it done.

    Raises:
        TrainingError, BackendError: as ``fine_tune`` and ``fine_tune_mixture``.
    """
    given: dict[str, Any] = {
        "model": training.model,
        "name": training.name,
        "recipe": training.recipe,
        "seed": training.seed,
        "machine": machine,
        "bar": bar,
        "on_epoch": on_epoch,
    }
    if isinstance(training.source, Mixture):
        return fine_tune_mixture(workspace, training.source, **given)
    folds = training.folds
    if folds is None and not training.every_fold:
        corpus_id = find_card(workspace, training.source).corpus_id
        folds = (read_split(workspace, corpus_id, training.split_id)[0].folds[0].fold_id,)
    return fine_tune(workspace, training.source, split_id=training.split_id, folds=folds, **given)


def _train_all(
    workspace: Workspace, trainings: Mapping[str, AdapterTraining], named: ModelCard, job: TrainingJob
) -> TuneResult:
    finished = {fold_id: card for fold_id, one in trainings.items() if (card := one.finished()) is not None}
    trained: dict[str, TrainedFold] = {}
    refused: dict[str, str] = {}
    with joined(own_device(job.machine.device)) as processes:
        # Nobody writes a card before all have read which there are.
        processes.wait()
        if len(finished) < len(trainings):
            parts = [part for fold_id, one in trainings.items() if fold_id not in finished for part in one.parts]
            base, refused = _hear(workspace, named, parts, job, processes)
        for fold_id, training in trainings.items():
            if fold_id in finished:
                continue
            trained[fold_id] = train_fold(fold_id, training, job, base=base, processes=processes)
            processes.wait()
    finished |= {fold_id: one.card for fold_id, one in trained.items()}
    cards = {fold_id: finished[fold_id] for fold_id in trainings}
    for fold_id, card in cards.items():
        if processes.is_first:
            remember_model(workspace, card, trainings[fold_id].folder)
    return TuneResult(
        cards=cards,
        folders={fold_id: one.folder for fold_id, one in trainings.items()},
        epochs={fold_id: one.epochs for fold_id, one in trained.items()},
        n_trained=max((one.n_trained for one in trained.values()), default=0),
        share=max((one.share for one in trained.values()), default=0.0),
        refused=refused,
    )


# --- before training ---------------------------------------------------------------------------------------------


def _what_is_trained(workspace: Workspace, model: str, name: str | None) -> tuple[ModelCard, str]:
    """Card of the base as a run names it, and name of the model that comes out."""
    base = find_model(workspace, model)
    _check_base(base)
    model_id = name or f"{base.model_id}{SUFFIX}"
    _check_name(model_id)
    return untrained_card(workspace, base), model_id


def _job(
    model_id: str,
    recipe: LoraRecipe | None,
    seed: int,
    machine: Machine | None,
    bar: ProgressBar,
    on_epoch: Callable[[str, Epoch], None],
) -> TrainingJob:
    machine = machine or Machine()
    return TrainingJob(
        model_id=model_id,
        recipe=recipe or LoraRecipe(),
        seed=seed,
        dtype=machine.dtype or usual_dtype(own_device(machine.device)),
        machine=machine,
        bar=bar,
        on_epoch=on_epoch,
    )


def _check_base(base: ModelCard) -> None:
    if base.training is not None:
        raise TrainingError(f"{base.model_id} is trained already. Train its base, {base.training.base_model_id}.")
    if base.backend != "local" or base.family not in FAMILIES:
        raise TrainingError(
            f"{base.model_id} (backend {base.backend!r}, family {base.family!r}) cannot be fine-tuned here. Speech "
            f"LLMs of these families can: {', '.join(FAMILIES)}."
        )


def _check_name(name: str) -> None:
    if name in lookup.model_names():
        raise TrainingError(f"{name!r} is the name of a model of the catalog. Give the trained one another --name.")
    if not name or set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789._-") or not name[0].isalnum():
        raise TrainingError(f"A model cannot be called {name!r}: use a-z, 0-9, dots, hyphens and underscores.")


def _identity(data: TrainingCorpus, fold_id: str, base: ModelCard, job: TrainingJob) -> dict[str, Any]:
    """All that a trained adapter depends on."""
    return {
        "recipe": asdict(job.recipe),
        "seed": job.seed,
        "dtype": job.dtype,
        "base": base.sha256(),
        "split": data.facts["sha256"],
        "fold": fold_id,
        "corpus_card": data.card.sha256(),
        "utterances": data.prepared.report["utterances_sha256"],
    }


def _load(workspace: Workspace, named: ModelCard, job: TrainingJob) -> LoadedModel:
    folder = known_folder(workspace, named)
    card = named if folder is None else named.model_copy(update={"repository": str(folder)})
    return load_model(
        card, device=own_device(job.machine.device), dtype=job.dtype, trust_remote_code=job.machine.trust_remote_code
    )


def _hear(
    workspace: Workspace, named: ModelCard, parts: Sequence[Part], job: TrainingJob, processes: Processes
) -> tuple[Base, dict[str, str]]:
    """The model, with what it hears of every clip that is trained on or validated with."""
    loaded = _load(workspace, named, job)
    extractor = loaded.processor.feature_extractor
    embeddings = Embeddings(workspace.embeddings(encoder_sha256(loaded.model, extractor)))
    wanted = {
        name: part.data
        for part in parts
        for partition in PARTITIONS
        for name in part.names(partition)
        if part.data.gold[name] is not None and name in part.data.clips
    }
    ordered = sorted(wanted, key=lambda name: (-(wanted[name].utterances[name].duration_s or 0.0), name))
    keys = {audio_key(wanted[name], name, named): name for name in ordered}
    with job.bar("hearing", "clips") as on_progress:
        refused = hear_all(
            {key: wanted[name].clips[name] for key, name in keys.items()},
            Hearing(loaded.model, extractor),
            embeddings,
            family=loaded.family,
            limits=named.audio,
            processes=processes,
            on_progress=on_progress,
        )
    stop = loaded.model.generation_config.eos_token_id or loaded.processor.tokenizer.eos_token_id
    ready = Base(
        card=named,
        loaded=loaded,
        stop_ids=frozenset(stop if isinstance(stop, list) else [stop]),
        embeddings=embeddings,
    )
    return ready, {keys[key]: reason for key, reason in refused.items()}
