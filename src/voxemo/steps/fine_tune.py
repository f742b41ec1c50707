"""A split's training part and a speech LLM to a fine-tuned model per fold: an adapter and a card that a run takes."""

import csv
import io
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from voxemo.backends.base import Question
from voxemo.backends.local.adapters import Adapter, attach_adapter, check_acts, trainable_share
from voxemo.backends.local.engine import LocalBackend
from voxemo.backends.local.families import FAMILIES
from voxemo.backends.local.hearing import Hearing
from voxemo.backends.local.loading import LoadedModel, load_model
from voxemo.catalog import lookup
from voxemo.core.cards import ModelCard, TrainingRecord, TrainingSource
from voxemo.core.errors import TrainingError
from voxemo.core.ids import sha256_json
from voxemo.core.labels import LabelSet
from voxemo.core.types import Generation
from voxemo.parsing.hard import parse_hard
from voxemo.prompts.sft import training_pair
from voxemo.scoring.hard import FAILED, group_confusions, unweighted_accuracy
from voxemo.steps.corpora import find_card
from voxemo.steps.fold_models import find_model, untrained_card
from voxemo.steps.mixtures import MIXED, MIXED_FOLD, Mixture, Training
from voxemo.steps.run import ProgressBar
from voxemo.steps.train import TrainingCorpus, TrainResult, read_training_corpus
from voxemo.store.files import remove, write_atomically, write_json, write_text
from voxemo.store.layout import MODEL_CARD, TRAINING_PACE, Workspace
from voxemo.store.models import known_folder, remember_model
from voxemo.store.provenance import package_versions
from voxemo.store.workspace import read_split
from voxemo.training.adapters import WEIGHTS_FILE, adapter_sha256, sft_card, write_adapter
from voxemo.training.embeddings import Embeddings, embedding_key, encoder_sha256, hear_all
from voxemo.training.lessons import Lesson, LessonWriter
from voxemo.training.loop import Learner, Pace, Validation, train_adapter
from voxemo.training.lora import LoraRecipe
from voxemo.training.processes import Processes, joined, own_device, usual_dtype
from voxemo.training.state import Epoch, TrainingState

VARIANT = "direct"
"""The prompt that is trained on (PROTOCOL section 4)."""
PARTITIONS = ("train", "valid")
SUFFIX = "-sft"
CURVE, LOSSES = "curve.csv", "losses.csv"
VALIDATION_TOKENS = 64
"""Longest answer in validation; the answer to learn has some six tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a training is run on; nothing of it is part of the recipe but the dtype."""

    device: str | None = None
    dtype: str | None = None
    """``bfloat16`` where the device has it, else ``float32``, when None."""
    trust_remote_code: bool = False
    pace: Pace = field(default_factory=Pace)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A corpus's share of a training."""

    data: TrainingCorpus
    fold_id: str
    weight: float | None = None

    def names(self, partition: str) -> tuple[str, ...]:
        """Utterances of a partition of the fold."""
        fold = next(fold for fold in self.data.split.folds if fold.fold_id == self.fold_id)
        return fold.partitions.get(partition, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    """The model that adapters are trained for, loaded, with what it hears."""

    card: ModelCard
    """As a run names it."""
    loaded: LoadedModel
    dtype: str
    stop_ids: frozenset[int]
    embeddings: Embeddings


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
    recipe, machine = recipe or LoraRecipe(), machine or Machine()
    data = read_training_corpus(workspace, corpus, split_id=split_id, folds=folds)
    named, model_id, dtype = _what_is_trained(workspace, model, name, machine)
    trainings = {
        fold_id: _Training(
            workspace.model_folder(model_id, data.card.corpus_id, split_id, fold_id),
            _identity(data, fold_id, named, recipe, seed=seed, dtype=dtype),
            (_Part(data=data, fold_id=fold_id),),
        )
        for fold_id in data.folds
    }
    return _train_all(workspace, trainings, named, model_id, recipe, seed=seed, machine=machine, bar=bar, tell=on_epoch)


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
    recipe, machine = recipe or LoraRecipe(), machine or Machine()
    named, model_id, dtype = _what_is_trained(workspace, model, name, machine)
    parts = []
    for one in mixture.sources:
        folds = None if one.fold_id is None else (one.fold_id,)
        data = read_training_corpus(
            workspace, one.corpus, split_id=one.split_id, folds=folds, labels=one.labels, language=one.language
        )
        parts.append(_Part(data=data, fold_id=data.folds[0], weight=one.weight))
    identities = [
        {
            **_identity(part.data, part.fold_id, named, recipe, seed=seed, dtype=dtype),
            "weight": part.weight,
            "labels": part.data.label_names,
            "language": part.data.language,
        }
        for part in parts
    ]
    common = {key: identities[0][key] for key in ("recipe", "seed", "dtype")}
    folder = workspace.model_folder(model_id, mixture.mixture_id, MIXED, MIXED_FOLD)
    splits = sha256_json([one["split"] for one in identities])
    training = _Training(
        folder,
        {**common, "split": splits, "sources": identities},
        tuple(parts),
        mixture_id=mixture.mixture_id,
    )
    trainings = {MIXED_FOLD: training}
    return _train_all(workspace, trainings, named, model_id, recipe, seed=seed, machine=machine, bar=bar, tell=on_epoch)


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
    workspace: Workspace,
    trainings: "dict[str, _Training]",
    named: ModelCard,
    model_id: str,
    recipe: LoraRecipe,
    *,
    seed: int,
    machine: Machine,
    bar: ProgressBar,
    tell: Callable[[str, Epoch], None],
) -> TuneResult:
    device = own_device(machine.device)
    dtype = machine.dtype or usual_dtype(device)
    finished = {fold_id: card for fold_id, one in trainings.items() if (card := one.finished()) is not None}
    epochs: dict[str, list[Epoch]] = {}
    refused: dict[str, str] = {}
    n_trained, share = 0, 0.0
    with joined(device) as processes:
        # Nobody writes a card before all have read which there are.
        processes.wait()
        if len(finished) < len(trainings):
            loaded = _load(workspace, named, machine, device=device, dtype=dtype)
            parts = [part for fold_id, one in trainings.items() if fold_id not in finished for part in one.parts]
            ready, refused = _hear(workspace, named, loaded, parts, dtype, processes, bar)
        for fold_id, training in trainings.items():
            if fold_id in finished:
                continue
            card, epochs[fold_id], n_trained, share = _train_fold(
                fold_id,
                ready,
                training,
                model_id,
                recipe,
                seed=seed,
                pace=machine.pace,
                processes=processes,
                bar=bar,
                on_epoch=tell,
            )
            finished[fold_id] = card
            processes.wait()
    cards = {fold_id: finished[fold_id] for fold_id in trainings}
    for fold_id, card in cards.items():
        if processes.is_first:
            remember_model(workspace, card, trainings[fold_id].folder)
    return TuneResult(
        cards=cards,
        folders={fold_id: one.folder for fold_id, one in trainings.items()},
        epochs=epochs,
        n_trained=n_trained,
        share=share,
        refused=refused,
    )


# --- before training ---------------------------------------------------------------------------------------------


def _what_is_trained(
    workspace: Workspace, model: str, name: str | None, machine: Machine
) -> tuple[ModelCard, str, str]:
    """Card of the base, name of the model that comes out, and dtype."""
    base = find_model(workspace, model)
    _check_base(base)
    model_id = name or f"{base.model_id}{SUFFIX}"
    _check_name(model_id)
    dtype = machine.dtype or usual_dtype(own_device(machine.device))
    return untrained_card(workspace, base), model_id, dtype


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


def _identity(
    data: TrainingCorpus, fold_id: str, base: ModelCard, recipe: LoraRecipe, *, seed: int, dtype: str
) -> dict[str, Any]:
    """All that a trained adapter depends on."""
    return {
        "recipe": asdict(recipe),
        "seed": seed,
        "dtype": dtype,
        "base": base.sha256(),
        "split": data.facts["sha256"],
        "fold": fold_id,
        "corpus_card": data.card.sha256(),
        "utterances": data.prepared.report["utterances_sha256"],
    }


@dataclass(frozen=True, slots=True)
class _Training:
    """The training of one fold: its folder, and what it depends on."""

    folder: Path
    identity: dict[str, Any]
    parts: tuple[_Part, ...]
    mixture_id: str | None = None
    """None of a single corpus."""

    @property
    def sha256(self) -> str:
        return sha256_json(self.identity)

    @property
    def checkpoint(self) -> Path:
        """Named by what it depends on: one of another recipe is never gone on from."""
        return self.folder / f"checkpoint-{self.sha256[:8]}.safetensors"

    def finished(self) -> ModelCard | None:
        """The card of this very training, if it has come to its end.

        Raises:
            TrainingError: another training of the same data has this name.
        """
        path = self.folder / MODEL_CARD
        if not path.is_file():
            return None
        card = lookup.model_card(str(path))
        record = card.training
        if record is not None and record.recipe.get("training_sha256") == self.sha256:
            return card
        if record is None or record.split_sha256 != self.identity["split"]:
            # Of a split that is no more: no run takes it.
            return None
        given = {**self.identity["recipe"], **{key: self.identity[key] for key in ("seed", "dtype")}}
        before = {**record.recipe, "seed": record.seed}
        differing = [
            f"{key} {before.get(key)} and now {value}" for key, value in given.items() if before.get(key) != value
        ]
        raise TrainingError(
            f"{card.model_id} was trained on fold {record.fold_id} of {record.corpus_id} otherwise before "
            f"({'; '.join(differing) or 'another base model, corpus or mixture'}). Give this training a --name of its "
            "own, or remove the other one's folder."
        )


def _load(workspace: Workspace, named: ModelCard, machine: Machine, *, device: str | None, dtype: str) -> LoadedModel:
    folder = known_folder(workspace, named)
    card = named if folder is None else named.model_copy(update={"repository": str(folder)})
    return load_model(card, device=device, dtype=dtype, trust_remote_code=machine.trust_remote_code)


def _hear(
    workspace: Workspace,
    named: ModelCard,
    loaded: LoadedModel,
    parts: Sequence[_Part],
    dtype: str,
    processes: Processes,
    bar: ProgressBar,
) -> tuple[_Base, dict[str, str]]:
    """What the model hears of every clip that is trained on or validated with."""
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
    keys = {_key(wanted[name], name, named): name for name in ordered}
    with bar("hearing", "clips") as on_progress:
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
    ready = _Base(
        card=named,
        loaded=loaded,
        dtype=dtype,
        stop_ids=frozenset(stop if isinstance(stop, list) else [stop]),
        embeddings=embeddings,
    )
    return ready, {keys[key]: reason for key, reason in refused.items()}


def _key(data: TrainingCorpus, name: str, base: ModelCard) -> str:
    return embedding_key(str(data.utterances[name].audio_sha256), base.audio)


# --- one fold ----------------------------------------------------------------------------------------------------


def _train_fold(
    fold_id: str,
    base: _Base,
    training: _Training,
    model_id: str,
    recipe: LoraRecipe,
    *,
    seed: int,
    pace: Pace,
    processes: Processes,
    bar: ProgressBar,
    on_epoch: Callable[[str, Epoch], None],
) -> tuple[ModelCard, list[Epoch], int, float]:
    lessons = [
        {partition: _lessons(part.data, part.names(partition), base) for partition in PARTITIONS}
        for part in training.parts
    ]
    for part, learned in zip(training.parts, lessons, strict=True):
        if not learned["train"]:
            raise TrainingError(
                f"None of the {len(part.names('train'))} utterances that fold {part.fold_id} of "
                f"{part.data.card.corpus_id} trains on has a label and a clip that can be heard. `voxemo check` says "
                "what is wrong with them."
            )
    mixture = _mixture(training, lessons)
    validators = [
        _validator(part.data, one["valid"], base, processes)
        for part, one in zip(training.parts, lessons, strict=True)
        if one["valid"]
    ]
    adapter = attach_adapter(base.loaded.model, rank=recipe.rank, alpha=recipe.alpha, seed=seed)
    n_trained = sum(parameter.numel() for parameter in adapter.parameters.values())
    share = trainable_share(adapter)
    state = _read_state(training.checkpoint)
    # All read before the first one writes the next.
    processes.wait()

    def keep(state: TrainingState) -> None:
        if processes.is_first:
            write_atomically(training.checkpoint, lambda file: file.write(state.to_bytes()))

    n_before, begun = (state.step if state is not None else 0), time.monotonic()
    try:
        with bar(training.mixture_id or f"fold {fold_id}", "steps") as on_step:
            state = train_adapter(
                Learner(adapter, base.embeddings, dropout=recipe.dropout, pace=pace),
                [lesson for one in lessons for lesson in one["train"]],
                recipe,
                seed=seed,
                mixture=mixture,
                state=state,
                keep=keep,
                valid=[lesson for one in lessons for lesson in one["valid"]],
                validate=_together(validators) if validators else None,
                processes=processes,
                checkpoint_every=pace.checkpoint_every,
                on_step=on_step,
                on_epoch=lambda epoch: on_epoch(fold_id, epoch),
            )
        seconds = time.monotonic() - begun
        card = _finish(base, training, model_id, recipe, state, adapter, lessons, seed=seed, processes=processes)
        if processes.is_first:
            n_learned = (state.step - n_before) * recipe.batch_size
            _note_pace(training.folder, base, n_learned, seconds, n_processes=processes.size)
    finally:
        adapter.detach()
    return card, state.epochs, n_trained, share


def _note_pace(folder: Path, base: _Base, n_learned: int, seconds: float, *, n_processes: int) -> None:
    """Keep how fast it went, validation among it, for estimates of other trainings."""
    if n_learned == 0:
        return
    pace = {
        "base_model_id": base.card.model_id,
        "device": base.loaded.model.device.type,
        "dtype": base.dtype,
        "n_processes": n_processes,
        "ended_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "n_utterances": n_learned,
        "seconds": round(seconds, 3),
        "utterances_per_s": round(n_learned / seconds, 3),
    }
    write_json(folder / TRAINING_PACE, pace)


def _mixture(training: "_Training", lessons: Sequence[dict[str, list[Lesson]]]) -> list[tuple[int, float]]:
    """Lessons and weight of each corpus of a mixture; nothing where every utterance has its one turn."""
    stated = [part.weight for part in training.parts]
    return [(len(one["train"]), weight) for one, weight in zip(lessons, stated, strict=True) if weight is not None]


def _together(validators: Sequence[Callable[[], Validation]]) -> Callable[[], Validation]:
    """Validation over corpora: the mean of their UAs, each counting the same."""
    if len(validators) == 1:
        return validators[0]

    def validate() -> Validation:
        found = [one() for one in validators]
        ua = sum(one.ua for one in found) / len(found)
        return Validation(ua=ua, n=sum(one.n for one in found), n_failed=sum(one.n_failed for one in found))

    return validate


def _read_state(path: Path) -> TrainingState | None:
    return TrainingState.from_bytes(path.read_bytes()) if path.is_file() else None


def _prompt(data: TrainingCorpus, label: str) -> tuple[str, str]:
    variant, template = lookup.prompt(VARIANT)
    return training_pair(label, variant=variant, template=template, label_set=_label_set(data))


def _label_set(data: TrainingCorpus) -> LabelSet:
    return data.card.label_set(lookup.label_table(), names=data.label_names)


def _lessons(data: TrainingCorpus, names: Sequence[str], base: _Base) -> list[Lesson]:
    """Lessons of the utterances that have a label and were heard."""
    model, processor = base.loaded.model, base.loaded.processor
    writer = LessonWriter(processor, stop_ids=base.stop_ids, audio_token=model.config.audio_token_id)
    # All utterances of a label have one prompt and one answer.
    written = {label: writer.write(*_prompt(data, label)) for label in data.label_names}
    lessons = []
    for name in names:
        label, key = data.gold[name], _key(data, name, base.card)
        if label is not None and key in base.embeddings:
            lessons.append(Lesson(utterance_id=name, audio_key=key, words=written[label]))
    return lessons


def _validator(
    data: TrainingCorpus, lessons: Sequence[Lesson], base: _Base, processes: Processes
) -> Callable[[], Validation]:
    """Asks the model about the validation part as a run would, and reads the answers as the benchmark does."""
    label_set = _label_set(data)
    names = [lesson.utterance_id for lesson in lessons]
    gold = np.array([label_set.names.index(str(data.gold[name])) for name in names])
    own = range(processes.rank, len(names), processes.size)
    prompt, _ = _prompt(data, label_set.names[0])
    questions = [
        Question(
            request_id=names[place],
            utterance_id=names[place],
            variant_id=VARIANT,
            form="hard",
            prompt=prompt,
            label_set=label_set,
            audio_key=lessons[place].audio_key,
            load_audio=data.clips[names[place]],
        )
        for place in own
    ]
    backend = LocalBackend(base.card, Generation(max_new_tokens=VALIDATION_TOKENS), batch_size=16, loaded=base.loaded)

    def validate() -> Validation:
        predicted = []
        for start in range(0, len(questions), backend.questions_per_call):
            for response in backend.answer(questions[start : start + backend.questions_per_call]):
                label = parse_hard(response.text, label_set, finish=response.finish).label
                predicted.append(FAILED if label is None else label_set.names.index(label))
        counts = group_confusions(
            gold[list(own)],
            np.array(predicted, dtype=np.int64),
            np.zeros(len(predicted), dtype=np.int64),
            n_labels=len(label_set.names),
            n_groups=1,
        )[0]
        table = processes.sum_of(counts, device=base.loaded.model.device)
        return Validation(ua=float(unweighted_accuracy(table)), n=int(table.sum()), n_failed=int(table[:, -1].sum()))

    return validate


def _finish(
    base: _Base,
    training: _Training,
    model_id: str,
    recipe: LoraRecipe,
    state: TrainingState,
    adapter: Adapter,
    lessons: Sequence[dict[str, list[Lesson]]],
    *,
    seed: int,
    processes: Processes,
) -> ModelCard:
    """Choose the epoch, check that its adapter acts, and write adapters, curve and card; the card last."""
    takes_best = recipe.keep == "best" and state.best_epoch is not None
    kept = "best" if takes_best else "last"
    versions = {"last": state.weights, **({"best": state.best} if state.best_epoch is not None else {})}
    adapter.load(versions[kept])
    effect = check_acts(adapter, model_id=model_id)
    wanted = [(part.data, name) for part in training.parts for place in PARTITIONS for name in part.names(place)]
    n_unlabelled = sum(data.gold[name] is None for data, name in wanted)
    n_lessons = sum(len(some) for one in lessons for some in one.values())
    n_valid = sum(len(one["valid"]) for one in lessons)
    record = TrainingRecord(
        kind="sft",
        base_model_id=base.card.model_id,
        base_model_sha256=base.card.sha256(),
        **_origin(training, lessons),
        partitions=tuple(place for place in PARTITIONS if any(one[place] for one in lessons)),
        n_utterances=sum(len(one["train"]) for one in lessons),
        seed=seed,
        recipe={
            **asdict(recipe),
            "dtype": base.dtype,
            "device": base.loaded.model.device.type,
            "optimiser": "AdamW, betas 0.9 and 0.999",
            "prompt": f"{VARIANT} (hard)",
            "loss": "mean over the answer tokens of a batch, the end of the turn among them",
            "n_steps": state.step,
            "n_processes": processes.size,
            "n_trained_parameters": sum(parameter.numel() for parameter in adapter.parameters.values()),
            "trained_share": trainable_share(adapter),
            "kept": kept,
            "kept_epoch": state.best_epoch if takes_best else recipe.n_epochs,
            "chosen_by": _chosen_by(recipe, n_valid),
            "epochs": [asdict(epoch) for epoch in state.epochs],
            "largest_logit_change": effect,
            "n_left_out_unlabelled": n_unlabelled,
            "n_left_out_unheard": len(wanted) - n_unlabelled - n_lessons,
            "training_sha256": training.sha256,
        },
        package_versions=package_versions(),
        artefact=f"{kept}/{WEIGHTS_FILE}",
        artefact_sha256=adapter_sha256(versions[kept]),
    )
    card = sft_card(base.card, model_id, record)
    if processes.is_first:
        for version, weights in versions.items():
            write_adapter(training.folder / version, weights, recipe, base.card)
        write_text(training.folder / CURVE, _table(state.epochs))
        write_text(training.folder / LOSSES, "".join(f"{line}\n" for line in ("loss", *state.losses)))
        write_text(training.folder / MODEL_CARD, card.model_dump_json(indent=2) + "\n")
        for path in training.folder.glob("checkpoint-*.safetensors"):
            remove(path)
    return card


def _origin(training: "_Training", lessons: Sequence[dict[str, list[Lesson]]]) -> dict[str, Any]:
    """What a training record says of the data; of a mixture it names each corpus, and hashes stand for all of them."""
    n_train = [len(one["train"]) for one in lessons]
    weights = [n if part.weight is None else part.weight for part, n in zip(training.parts, n_train, strict=True)]
    sources = [
        {
            "corpus_id": part.data.card.corpus_id,
            "corpus_card_sha256": part.data.card.sha256(),
            "split_id": part.data.split.split_id,
            "split_sha256": part.data.facts["sha256"],
            "fold_id": part.fold_id,
            "utterances_sha256": part.data.prepared.report["utterances_sha256"],
            "label_source": part.data.card.gold,
            "label_names": part.data.label_names,
        }
        for part in training.parts
    ]
    if training.mixture_id is None:
        return sources[0]
    gold = {source["label_source"] for source in sources}
    hashes = ("corpus_card_sha256", "split_sha256", "utterances_sha256")
    return {
        **{key: sha256_json([source[key] for source in sources]) for key in hashes if key != "split_sha256"},
        "corpus_id": training.mixture_id,
        "split_id": MIXED,
        "split_sha256": training.identity["split"],
        "fold_id": MIXED_FOLD,
        # Of several the first: each source says its own.
        "label_source": sources[0]["label_source"] if len(gold) > 1 else gold.pop(),
        "label_names": tuple(sorted({name for source in sources for name in source["label_names"]})),
        "sources": tuple(
            TrainingSource(**source, language=part.data.language, n_utterances=n, weight=weight / sum(weights))
            for source, part, n, weight in zip(sources, training.parts, n_train, weights, strict=True)
        ),
    }


def _chosen_by(recipe: LoraRecipe, n_valid: int) -> str:
    if not n_valid:
        return "the last epoch: the split has no validation part"
    if recipe.keep == "last":
        return "the last epoch, as asked"
    return "the best validation UA, of equals the least validation loss"


def _table(epochs: Sequence[Epoch]) -> str:
    """The learning curve, a row for each epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [one.name for one in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in epochs)
    return text.getvalue()
