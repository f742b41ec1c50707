"""From rows of a plan to questions that a model can be asked: prompt, labels, and a clip that loads when needed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voxemo.audio.conditions import heard, partners
from voxemo.audio.load import Waveform, load_audio
from voxemo.backends.base import Backend, Question
from voxemo.catalog import lookup
from voxemo.core.cards import ModelCard, RunManifest
from voxemo.core.errors import AudioError
from voxemo.core.types import AudioCondition, Generation, Response, Utterance
from voxemo.steps.fold_models import check_shipped
from voxemo.store.layout import Workspace
from voxemo.store.models import base_folder, known_folder, model_folder
from voxemo.store.workspace import corpus_root

LOADERS = 4
"""Threads that decode and resample; both leave Python's lock to others most of the time."""


def load_ahead(batches: Iterable[list[Question]]) -> Iterator[list[Question]]:
    """The same batches, the clips of each being decoded by threads while the one before it is asked.

    A clip that fails raises where it is loaded, as it would without threads. Each batch is to be asked before the next
    one is taken: clips of batches that were passed over may not be loaded.
    """
    with ThreadPoolExecutor(LOADERS) as pool:

        def begun(batch: list[Question]) -> list[Question]:
            clips: dict[str, Future[Waveform]] = {}
            for question in batch:
                if question.audio_key not in clips:
                    clips[question.audio_key] = pool.submit(question.load_audio)
            return [replace(question, load_audio=clips[question.audio_key].result) for question in batch]

        waiting: list[Question] = []
        try:
            for batch in batches:
                following = begun(batch)
                if waiting:
                    yield waiting
                waiting = following
            if waiting:
                yield waiting
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def open_backend(
    workspace: Workspace,
    card: ModelCard,
    manifest: RunManifest,
    options: dict[str, Any] | None,
    make_backend: Callable[..., Backend],
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> Backend:
    """Load the model that a run's card names, wherever this machine has it.

    Args:
        workspace: knows the folders of trained models and local checkpoints.
        card: of the run.
        manifest: of the run.
        options: of this machine, passed to the backend.
        make_backend: makes the backend of a card.
        changes: fields of the card to set otherwise.

    Raises:
        RunError: an installed model is not the version that was planned for.
        BackendError: the model cannot be loaded, or does not do what its card declares.
    """
    check_shipped(card)
    options = dict(options or {})
    # The run names a checkpoint of this disk by its content; only here does it get its path back.
    if card.training is None:
        where = model_folder(workspace, card) if known_folder(workspace, card) is not None else None
    elif card.training.merged:
        where = model_folder(workspace, card)
    else:
        options["folder"] = model_folder(workspace, card)
        where = base_folder(workspace, card)
    if card.repository is not None and where is not None:
        card = card.model_copy(update={"repository": str(where)})
    return make_backend(card.model_copy(update=dict(changes)), Generation(**manifest.generation), **options)


class QuestionMaker:
    """What stays the same while a run is being answered: prompts, labels, and where the audio lies.

    Args:
        workspace: knows where the corpus's audio lies.
        manifest: of the run.
        utterances: of the corpus, by id.
        asked: ids of all utterances of the run; under ``shuffled`` they trade clips among themselves.
        condition: what is heard; the run's own by default.
    """

    def __init__(
        self,
        workspace: Workspace,
        manifest: RunManifest,
        utterances: dict[str, Utterance],
        *,
        asked: Iterable[str],
        condition: AudioCondition | None = None,
    ) -> None:
        self.failed_clips: dict[str, str] = {}
        """Why a clip could not be read now, by audio key."""
        self._prompts = {(prompt.prompt_sha256, prompt.form): prompt for prompt in manifest.prompts}
        self._label_set = manifest.corpus_card.label_set(lookup.label_table(), names=manifest.label_names)
        self._utterances = utterances
        self._condition = condition or manifest.audio_condition
        # Among usable clips, whatever shard this is: every worker finds the same.
        usable = (name for name in asked if utterances[name].unusable_reason is None)
        self._partners = partners(usable) if self._condition == "shuffled" else {}
        self._workspace, self._corpus_id = workspace, manifest.corpus_card.corpus_id
        self._root: Path | None = None

    def of(self, row: dict[str, Any]) -> Question:
        """The question of one row of the plan."""
        name = row["utterance_id"]
        # Twins have the same samples, but not the same partner or noise.
        audio_key = row["audio_sha256"] if self._condition == "clean" else f"{self._condition}/{name}"
        prompt = self._prompts[row["prompt_sha256"], row["form"]]
        answer = prompt.label_answer or ""
        words = self._label_set.display if answer else ()
        return Question(
            request_id=row["request_id"],
            utterance_id=name,
            variant_id=row["variant_id"],
            form=row["form"],
            prompt=prompt.text,
            label_set=self._label_set,
            label_answers=tuple(answer.replace("{label}", word) for word in words),
            audio_key=audio_key,
            load_audio=lambda: self._load(name, audio_key=audio_key),
        )

    def _load(self, name: str, *, audio_key: str) -> Waveform:
        # Looked up at the first clip: answers from a file need no audio on this machine.
        if self._root is None:
            self._root = corpus_root(self._workspace, self._corpus_id)
        utterance = self._utterances[self._partners.get(name, name)]
        try:
            samples = load_audio(
                self._root / utterance.audio_path,
                start_s=utterance.start_s,
                end_s=utterance.end_s,
                expected_sha256=utterance.audio_sha256,
                place=utterance.audio_path,
            )
        except AudioError as cause:
            self.failed_clips[audio_key] = cause.reason
            raise
        self.failed_clips.pop(audio_key, None)
        return heard(samples, self._condition, key=name)

    def settle(self, question: Question, response: Response, worker: str) -> Response:
        """Name the worker, and let a clip be asked again that was fine at `prepare` and cannot be read now."""
        # By samples, not by name: a backend loads twins once, and then both fail.
        if response.error is not None and question.audio_key in self.failed_clips:
            return replace(
                response,
                worker=worker,
                error_kind="transient",
                error=f"audio readable at prepare, not now: {self.failed_clips[question.audio_key]}",
            )
        return replace(response, worker=worker)
