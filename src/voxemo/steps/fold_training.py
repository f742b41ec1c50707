"""One adapter: what it is trained on, its lessons, its validation, and the files and the card that come out."""

import csv
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from voxemo.backends.base import Question
from voxemo.backends.local.adapters import Adapter, attach_adapter, check_acts, trainable_share
from voxemo.backends.local.engine import LocalBackend
from voxemo.backends.local.loading import LoadedModel
from voxemo.catalog import lookup
from voxemo.core.cards import ModelCard, TrainingRecord, TrainingSource
from voxemo.core.errors import TrainingError
from voxemo.core.ids import sha256_json
from voxemo.core.labels import LabelSet
from voxemo.core.types import Generation
from voxemo.parsing.hard import parse_hard
from voxemo.prompts.sft import training_pair
from voxemo.scoring.hard import FAILED, group_confusions, unweighted_accuracy
from voxemo.steps.mixtures import MIXED, MIXED_FOLD
from voxemo.steps.run import ProgressBar
from voxemo.steps.train import TrainingCorpus
from voxemo.store.files import remove, write_atomically, write_json, write_text
from voxemo.store.layout import MODEL_CARD, TRAINING_PACE
from voxemo.store.provenance import package_versions
from voxemo.training.adapters import WEIGHTS_FILE, adapter_sha256, sft_card, write_adapter
from voxemo.training.embeddings import Embeddings, embedding_key
from voxemo.training.lessons import Lesson, LessonWriter
from voxemo.training.loop import Learner, Pace, Validation, train_adapter
from voxemo.training.lora import LoraRecipe
from voxemo.training.processes import Processes
from voxemo.training.state import Epoch, TrainingState

VARIANT = "direct"
"""The prompt that is trained on (PROTOCOL section 4)."""
PARTITIONS = ("train", "valid")
CURVE, LOSSES = "curve.csv", "losses.csv"
VALIDATION_TOKENS = 64
"""Longest answer in validation; the answer to learn has some six tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A corpus's share of a training."""

    data: TrainingCorpus
    fold_id: str
    weight: float | None = None

    def names(self, partition: str) -> tuple[str, ...]:
        """Utterances of a partition of the fold."""
        fold = next(fold for fold in self.data.split.folds if fold.fold_id == self.fold_id)
        return fold.partitions.get(partition, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The model that adapters are trained for, loaded, with what it hears."""

    card: ModelCard
    """As a run names it."""
    loaded: LoadedModel
    stop_ids: frozenset[int]
    embeddings: Embeddings


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a training is run on; nothing of it is part of the recipe but the dtype."""

    device: str | None = None
    dtype: str | None = None
    """``bfloat16`` where the device has it, else ``float32``, when None."""
    trust_remote_code: bool = False
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """What all adapters of one call have in common."""

    model_id: str
    """Name of the model that comes out."""
    recipe: LoraRecipe
    seed: int
    dtype: str
    """Of the frozen weights and of what is computed; the adapter is learned in float32."""
    machine: Machine
    bar: ProgressBar
    on_epoch: Callable[[str, Epoch], None]
    """Called with the fold after each epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedFold:
    """What one training came to."""

    card: ModelCard
    epochs: list[Epoch]
    n_trained: int
    """Parameters that were learned."""
    share: float
    """Of all parameters, in 0 to 1."""


@dataclass(frozen=True, slots=True)
class AdapterTraining:
    """The training of one fold: its folder, and what it depends on."""

    folder: Path
    identity: dict[str, Any]
    parts: tuple[Part, ...]
    mixture_id: str | None = None
    """None of a single corpus."""

    @property
    def sha256(self) -> str:
        """Hash of all that the adapter depends on."""
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


def audio_key(data: TrainingCorpus, name: str, base: ModelCard) -> str:
    """What names the embeddings of an utterance's clip."""
    return embedding_key(str(data.utterances[name].audio_sha256), base.audio)


def train_fold(
    fold_id: str, training: AdapterTraining, job: TrainingJob, *, base: Base, processes: Processes
) -> TrainedFold:
    """Train one adapter, or go on where its checkpoint stands, and write adapters, curve and card.

    Args:
        fold_id: shown with its progress.
        training: what it is trained on, and where it goes.
        job: how.
        base: the loaded model, with what it hears of every clip of the training.
        processes: that share the work.

    Raises:
        TrainingError: nothing can be learned from, the training diverges, or its checkpoint is damaged.
    """
    recipe, pace = job.recipe, job.machine.pace
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
    adapter = attach_adapter(base.loaded.model, rank=recipe.rank, alpha=recipe.alpha, seed=job.seed)
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
        with job.bar(training.mixture_id or f"fold {fold_id}", "steps") as on_step:
            state = train_adapter(
                Learner(adapter, base.embeddings, dropout=recipe.dropout, pace=pace),
                [lesson for one in lessons for lesson in one["train"]],
                recipe,
                seed=job.seed,
                mixture=mixture,
                state=state,
                keep=keep,
                valid=[lesson for one in lessons for lesson in one["valid"]],
                validate=_together(validators) if validators else None,
                processes=processes,
                checkpoint_every=pace.checkpoint_every,
                on_step=on_step,
                on_epoch=lambda epoch: job.on_epoch(fold_id, epoch),
            )
        seconds = time.monotonic() - begun
        card = _finish(training, job, state, adapter, lessons, base=base, processes=processes)
        if processes.is_first:
            n_learned = (state.step - n_before) * recipe.batch_size
            _note_pace(training.folder, base, job.dtype, n_learned, seconds, n_processes=processes.size)
    finally:
        adapter.detach()
    return TrainedFold(card=card, epochs=state.epochs, n_trained=n_trained, share=share)


def _note_pace(folder: Path, base: Base, dtype: str, n_learned: int, seconds: float, *, n_processes: int) -> None:
    """Keep how fast it went, validation among it, for estimates of other trainings."""
    if n_learned == 0:
        return
    pace = {
        "base_model_id": base.card.model_id,
        "device": base.loaded.model.device.type,
        "dtype": dtype,
        "n_processes": n_processes,
        "ended_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "n_utterances": n_learned,
        "seconds": round(seconds, 3),
        "utterances_per_s": round(n_learned / seconds, 3),
    }
    write_json(folder / TRAINING_PACE, pace)


def _mixture(training: "AdapterTraining", lessons: Sequence[dict[str, list[Lesson]]]) -> list[tuple[int, float]]:
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


def _lessons(data: TrainingCorpus, names: Sequence[str], base: Base) -> list[Lesson]:
    """Lessons of the utterances that have a label and were heard."""
    model, processor = base.loaded.model, base.loaded.processor
    writer = LessonWriter(processor, stop_ids=base.stop_ids, audio_token=model.config.audio_token_id)
    # All utterances of a label have one prompt and one answer.
    written = {label: writer.write(*_prompt(data, label)) for label in data.label_names}
    lessons = []
    for name in names:
        label, key = data.gold[name], audio_key(data, name, base.card)
        if label is not None and key in base.embeddings:
            lessons.append(Lesson(utterance_id=name, audio_key=key, words=written[label]))
    return lessons


def _validator(
    data: TrainingCorpus, lessons: Sequence[Lesson], base: Base, processes: Processes
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
    training: AdapterTraining,
    job: TrainingJob,
    state: TrainingState,
    adapter: Adapter,
    lessons: Sequence[dict[str, list[Lesson]]],
    *,
    base: Base,
    processes: Processes,
) -> ModelCard:
    """Choose the epoch, check that its adapter acts, and write adapters, curve and card; the card last."""
    recipe = job.recipe
    takes_best = recipe.keep == "best" and state.best_epoch is not None
    kept = "best" if takes_best else "last"
    versions = {"last": state.weights, **({"best": state.best} if state.best_epoch is not None else {})}
    adapter.load(versions[kept])
    effect = check_acts(adapter, model_id=job.model_id)
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
        seed=job.seed,
        recipe={
            **asdict(recipe),
            "dtype": job.dtype,
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
    card = sft_card(base.card, job.model_id, record)
    if processes.is_first:
        for version, weights in versions.items():
            write_adapter(training.folder / version, weights, recipe, base.card)
        write_text(training.folder / CURVE, _table(state.epochs))
        write_text(training.folder / LOSSES, "".join(f"{line}\n" for line in ("loss", *state.losses)))
        write_text(training.folder / MODEL_CARD, card.model_dump_json(indent=2) + "\n")
        for path in training.folder.glob("checkpoint-*.safetensors"):
            remove(path)
    return card


def _origin(training: "AdapterTraining", lessons: Sequence[dict[str, list[Lesson]]]) -> dict[str, Any]:
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
