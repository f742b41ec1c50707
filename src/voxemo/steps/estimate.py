"""What a study comes to before anything of it is run: requests, hours of audio, tokens, and hours of a GPU."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from voxemo.core.cards import CorpusCard, ModelCard
from voxemo.core.errors import RunError, UnknownName
from voxemo.core.types import Split, Utterance
from voxemo.splits import policies
from voxemo.splits.checks import is_test_partition
from voxemo.steps.corpora import find_card
from voxemo.steps.fold_models import find_model
from voxemo.steps.mixtures import MIXED, MIXED_FOLD, Source, Training
from voxemo.steps.plan import PlanOptions, eligible_utterances, planned_labels, planned_prompts
from voxemo.steps.study import unprepared
from voxemo.steps.study_run import StudyRun
from voxemo.store.files import read_json
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.manifest import read_manifest
from voxemo.store.workspace import read_prepared, read_split, split_ids

CHARACTERS_PER_TOKEN = 4
"""Of English prompts, about; no tokenizer is loaded for an estimate."""
TRAINED_PROMPTS = ("direct",)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEstimate:
    """What one run comes to. None is what cannot be known from what is here."""

    run: StudyRun
    kind: str
    """``zero-shot``, ``sft`` or ``transfer``."""
    n_prompts: int
    n_utterances: int | None
    """Test utterances, each fold's counted."""
    audio_h: float | None
    """Of the test utterances, once each: all prompts of a clip share what is heard."""
    prompt_tokens: int | None
    """Audio and text of all requests, about; None also where the card names no audio tokens per second."""
    gpu_h: float | None
    """At the last measured rate of the base model; None where none was measured."""
    known_from: str
    """``prepared``, ``card``, or what is missing."""

    @property
    def n_requests(self) -> int | None:
        """Questions to ask."""
        return None if self.n_utterances is None else self.n_prompts * self.n_utterances


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEstimate:
    """What a study comes to."""

    runs: tuple[RunEstimate, ...]
    trainings: tuple["TrainingEstimate", ...]
    """Adapters to train: one for each fold that is trained on; folds as far as cards tell."""
    missing: Mapping[str, str]
    """Corpus to what is missing and what its card tells about getting it."""
    rates: Mapping[str, tuple[float, str]]
    """Model to (requests per second, device) as last measured."""
    training_rates: Mapping[str, tuple[float, str]]
    """Model to (utterances learned per second, device) as last measured."""

    @property
    def n_trainings(self) -> int:
        """Adapters to train."""
        return len(self.trainings)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingEstimate:
    """What one adapter comes to."""

    model: str
    """Id of the base model."""
    source: str
    """The corpus, or the id of the mixture."""
    fold_id: str
    n_learned: int | None
    """Utterances read in training, each epoch's counted; None where the split has not been made."""
    gpu_h: float | None
    """At the last measured rate of the base model; None where none was measured."""


class _Adapter(NamedTuple):
    """What tells the adapters of trainings apart; two trainings may share some."""

    model: str
    name: str | None
    source: str
    split_id: str
    fold_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    n_utterances: int | None
    audio_h: float | None
    known_from: str


def estimate(workspace: Workspace, runs: Path, study: Sequence[StudyRun]) -> StudyEstimate:
    """Count what a study would ask; nothing is written.

    Prepared corpora are counted, with the split that is there or that would be made. Of others the card tells what it
    can: a corpus whose every utterance is tested once has as many as it has utterances.

    Args:
        workspace: holds what is prepared.
        runs: earlier runs, whose workers measured how fast they answered.
        study: what to run.

    Raises:
        UnknownName: a corpus, model or prompt that there is not.
    """
    rates, training_rates = measured_rates(runs), measured_training_rates(workspace)
    missing = unprepared(workspace, study)
    cards = {corpus: find_card(workspace, corpus) for corpus in missing}
    sizes: dict[tuple[str, str, PlanOptions], _Size] = {}
    estimates = []
    for one in study:
        key = (one.corpus, one.split_id, one.options)
        if key not in sizes:
            sizes[key] = _size(workspace, one, prepared=one.corpus not in missing)
        estimates.append(_run_estimate(workspace, one, sizes[key], rates))
    adapters: dict[_Adapter, Training] = {}
    for training in dict.fromkeys(one.training for one in study if one.training is not None):
        for adapter in _adapters(workspace, training):
            adapters.setdefault(adapter, training)
    return StudyEstimate(
        runs=tuple(estimates),
        trainings=tuple(
            _training_estimate(workspace, training, adapter, missing, training_rates)
            for adapter, training in adapters.items()
        ),
        missing={corpus: _what_is_missing(cards[corpus], reason) for corpus, reason in missing.items()},
        rates=rates,
        training_rates=training_rates,
    )


def _run_estimate(
    workspace: Workspace, one: StudyRun, size: _Size, rates: Mapping[str, tuple[float, str]]
) -> RunEstimate:
    corpus, model = find_card(workspace, one.corpus), find_model(workspace, one.model)
    kind = "zero-shot"
    if one.training is not None:
        kind = "sft" if one.training.source == one.corpus else "transfer"
    options = one.options
    texts = [prompt.text for prompt in planned_prompts(corpus, model, options)]
    if one.training is not None and options.variants is None and options.forms is None:
        direct = PlanOptions(variants=TRAINED_PROMPTS, forms=("hard",), labels=options.labels)
        texts = [prompt.text for prompt in planned_prompts(corpus, model, direct)]
    n = None if size.n_utterances is None else len(texts) * size.n_utterances
    rate = rates.get(model.model_id)
    return RunEstimate(
        run=one,
        kind=kind,
        n_prompts=len(texts),
        n_utterances=size.n_utterances,
        audio_h=size.audio_h,
        prompt_tokens=_prompt_tokens(model, texts, size),
        gpu_h=None if n is None or rate is None else n / rate[0] / 3600,
        known_from=size.known_from,
    )


def _prompt_tokens(model: ModelCard, texts: Sequence[str], size: _Size) -> int | None:
    if size.n_utterances is None or size.audio_h is None or model.audio.tokens_per_s is None:
        return None
    heard = size.audio_h * 3600 * model.audio.tokens_per_s
    read = size.n_utterances * sum(map(len, texts)) / CHARACTERS_PER_TOKEN
    return round(heard * len(texts) + read)


# --- how much there is --------------------------------------------------------------------------------------------


def _size(workspace: Workspace, one: StudyRun, *, prepared: bool) -> _Size:
    card = find_card(workspace, one.corpus)
    if not prepared:
        return _size_of_card(card, one)
    corpus = read_prepared(workspace, card)
    label_source = one.options.label_source or card.gold
    labels = planned_labels(card, one.options)
    utterances = eligible_utterances(corpus, label_source, labels, one.options)
    split = _split(workspace, card, corpus.benchmark, one.split_id)
    if split is None:
        return _Size(n_utterances=None, audio_h=None, known_from=f"the split {one.split_id!r} has not been made")
    tested = [
        name
        for fold in split.folds
        if one.options.folds is None or fold.fold_id in one.options.folds
        for part, names in fold.partitions.items()
        if is_test_partition(part) and (one.options.partitions is None or part in one.options.partitions)
        for name in [name for name in names if name in utterances][: one.options.limit]
    ]
    seconds = sum(utterances[name].duration_s or 0.0 for name in tested)
    return _Size(n_utterances=len(tested), audio_h=seconds / 3600, known_from="prepared")


def _split(workspace: Workspace, card: CorpusCard, utterances: Sequence[Utterance], split_id: str) -> Split | None:
    if split_id in split_ids(workspace, card.corpus_id):
        return read_split(workspace, card.corpus_id, split_id)[0]
    if split_id in ("protocol", "speaker-disjoint"):
        return policies.make_split(card, utterances, policy=split_id)
    return None


def _size_of_card(card: CorpusCard, one: StudyRun) -> _Size:
    """What a card alone tells: of folds that test every utterance once, all of them."""
    tests_all = card.split.policy in ("leave_one_speaker_out", "speaker_k_fold")
    if one.split_id == "emobox" and card.emobox is not None:
        tests_all = card.emobox.n_folds > 1
    whole = one.options == PlanOptions(generation=one.options.generation)
    if not (tests_all and whole):
        return _Size(n_utterances=None, audio_h=None, known_from="not prepared")
    n = card.expected.n_utterances
    if one.split_id == "emobox" and card.emobox is not None:
        n = card.emobox.n_utterances
    return _Size(n_utterances=n, audio_h=card.expected.hours, known_from="card")


def _adapters(workspace: Workspace, training: Training) -> Iterator["_Adapter"]:
    if not isinstance(training.source, str):
        yield _Adapter(training.model, training.name, training.source.mixture_id, MIXED, MIXED_FOLD)
        return
    n_folds = _n_folds(workspace, training.source, training.split_id) if training.every_fold else 1
    for fold_id in training.folds or map(str, range(1, n_folds + 1)):
        yield _Adapter(training.model, training.name, training.source, training.split_id, fold_id)


def _training_estimate(
    workspace: Workspace,
    training: Training,
    adapter: "_Adapter",
    missing: Mapping[str, str],
    rates: Mapping[str, tuple[float, str]],
) -> TrainingEstimate:
    sources: Sequence[Source] = (
        (Source(corpus=training.source, split_id=training.split_id, fold_id=adapter.fold_id),)
        if isinstance(training.source, str)
        else training.source.sources
    )
    counts = [None if one.corpus in missing else _n_train(workspace, one) for one in sources]
    known = [n for n in counts if n is not None]
    n_learned = training.recipe.n_epochs * sum(known) if len(known) == len(counts) else None
    model_id = find_model(workspace, training.model).model_id
    rate = rates.get(model_id)
    return TrainingEstimate(
        model=model_id,
        source=adapter.source,
        fold_id=adapter.fold_id,
        n_learned=n_learned,
        gpu_h=None if n_learned is None or rate is None else n_learned / rate[0] / 3600,
    )


def _n_train(workspace: Workspace, source: Source) -> int | None:
    """Utterances of the training part of a fold; with labels or a language chosen, at most so many are learned."""
    card = find_card(workspace, source.corpus)
    split = _split(workspace, card, read_prepared(workspace, card).benchmark, source.split_id)
    if split is None:
        return None
    fold = next((fold for fold in split.folds if source.fold_id in (None, fold.fold_id)), None)
    return None if fold is None else len(fold.partitions.get("train", ()))


def _n_folds(workspace: Workspace, corpus: str, split_id: str) -> int:
    card = find_card(workspace, corpus)
    if split_id in split_ids(workspace, card.corpus_id):
        return len(read_split(workspace, card.corpus_id, split_id)[0].folds)
    if split_id == "emobox" and card.emobox is not None:
        return card.emobox.n_folds
    return card.split.k or 1


def _what_is_missing(card: CorpusCard, reason: str) -> str:
    facts = [
        f"{card.expected.n_utterances:,} utterances" if card.expected.n_utterances is not None else "",
        f"{card.expected.hours:g} h" if card.expected.hours is not None else "",
        f"access: {card.access.kind}",
        card.access.homepage,
    ]
    return f"{reason} ({', '.join(fact for fact in facts if fact)})"


# --- how fast it goes ---------------------------------------------------------------------------------------------


def measured_rates(runs: Path) -> dict[str, tuple[float, str]]:
    """The last measured requests per second of each model, with the device, from earlier runs' workers.

    Fine-tuned models are as fast as their base, and count as it.
    """
    last: dict[str, tuple[str, float, str]] = {}
    for model, started, rate, device in _records(runs):
        if model not in last or started > last[model][0]:
            last[model] = (started, rate, device)
    return {model: (rate, device) for model, (_, rate, device) in sorted(last.items())}


def measured_training_rates(workspace: Workspace) -> dict[str, tuple[float, str]]:
    """The last measured utterances learned per second for each base model, with the device."""
    last: dict[str, dict[str, Any]] = {}
    for path in workspace.training_paces():
        pace = read_json(path)
        before = last.get(pace["base_model_id"])
        if before is None or pace["ended_utc"] > before["ended_utc"]:
            last[pace["base_model_id"]] = pace
    return {
        model: (pace["utterances_per_s"], f"{pace['n_processes']} x {pace['device']}, {pace['dtype']}")
        for model, pace in sorted(last.items())
    }


def _records(runs: Path) -> Iterator[tuple[str, str, float, str]]:
    for folder in sorted(runs.iterdir()) if runs.is_dir() else ():
        if not RunPaths(folder).manifest.is_file():
            continue
        try:
            manifest = read_manifest(folder)
        except (RunError, UnknownName):
            # What is no run of this version was measured otherwise.
            continue
        names = {card.sha256(): _base_name(card) for card in manifest.model_cards.values()}
        for path in sorted(RunPaths(folder).workers.glob("*.json")):
            record = read_json(path)
            speed = record.get("throughput", {})
            name = names.get(record.get("model_sha256"))
            if name is not None and speed.get("requests_per_s"):
                yield name, record["started_utc"], speed["requests_per_s"], _device(record)


def _base_name(card: ModelCard) -> str:
    return card.model_id if card.training is None else str(card.training.base_model_id)


def _device(record: Mapping[str, object]) -> str:
    for part, key in (("effective", "device"), ("hardware", "processor")):
        known = record.get(part)
        if isinstance(known, dict) and known.get(key):
            return str(known[key])
    return "unknown device"
