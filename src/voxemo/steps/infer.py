"""Plan to answers: the one step that needs the model and the audio."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from voxemo.backends.base import Backend, Question
from voxemo.backends.registry import create_backend
from voxemo.backends.scripted import ScriptedBackend, check_answers, read_answers
from voxemo.core.cards import RunManifest
from voxemo.core.errors import AnswerFileError, RunError
from voxemo.core.ids import sha256_text
from voxemo.core.types import Response, Utterance
from voxemo.steps.plan import check_plan
from voxemo.steps.prepare import Progress
from voxemo.steps.questions import QuestionMaker, load_ahead, open_backend
from voxemo.steps.worker_record import WorkerRecord
from voxemo.store.journal import Journal, JournalWriter, read_journal
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.workspace import read_prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class InferResult:
    """What one call of `infer` did."""

    run: Path
    n_planned: int
    n_before: int
    """Requests that had an answer already."""
    n_answered: int
    """Requests that this call answered, unusable audio included."""
    n_unusable: int
    """Requests about audio that `prepare` found unusable; they count as failed answers."""
    n_unused: int
    """Answers of a given file to requests that already have one; the first answer stays."""
    n_pending: int
    """Requests of the whole run that still have no answer."""
    transient: tuple[str, ...]
    """``utterance: error`` of requests that could not be asked now."""
    damaged: tuple[str, ...]
    """Journal lines that could not be read and were asked again."""
    seconds: float
    """Time spent asking, without loading the model."""
    stages_s: Mapping[str, float] = field(default_factory=dict)
    """The same by stage, for backends that tell; empty for others."""
    lost_workers: tuple[str, ...] = ()
    """Why workers of a cluster were lost on the way; others answered what they left."""


def infer_run(
    workspace: Workspace,
    run: Path,
    *,
    shard: tuple[int, int] = (1, 1),
    model_sha256: str | None = None,
    limit: int | None = None,
    answers: Path | None = None,
    backend_options: dict[str, Any] | None = None,
    make_backend: Callable[..., Backend] = create_backend,
    on_progress: Progress | None = None,
) -> InferResult:
    """Ask every question of a run that has no answer yet, and append the answers to the run's journal.

    Args:
        workspace: knows where the corpus's audio and trained models lie.
        run: the run folder.
        shard: (i, n): only the i-th of n shares of the clips; all prompts of a clip are in one share.
        model_sha256: only what this one of the run's models is asked; a run has several where each fold has its own.
        limit: ask at most so many requests now.
        answers: a JSONL file of answers made elsewhere, instead of a model.
        backend_options: passed to the backend (``device``, ``batch_size``, ...).
        make_backend: makes the backend of a card; tests give their own.
        on_progress: called with (done, total) of this call.

    Raises:
        RunError: the plan was changed, the corpus is not the one planned for, or the disk is full.
        AnswerFileError: the answer file does not fit the run.
        BackendError: the model cannot be loaded, or does not do what its card declares. What else a model raises ends
            the call too; everything answered before is kept.
    """
    manifest, plan = check_plan(run)
    utterances = run_utterances(workspace, manifest)
    paths, worker, started = RunPaths(run), _worker_name(shard), datetime.now(UTC)
    journal = read_journal(paths.responses, texts=False)
    requests = plan.unique("request_id", keep="first", maintain_order=True)
    given = _answers(answers, requests, manifest) if answers is not None else None
    due = _due(requests, journal, utterances, given, shard=shard, model_sha256=model_sha256, limit=limit, worker=worker)
    n_now = due.pending.height + len(due.unusable)

    cards = {card.sha256(): card for card in manifest.model_cards.values()}
    maker = QuestionMaker(workspace, manifest, utterances, asked=requests["utterance_id"].unique())
    transient: list[str] = []
    n_answered = done = len(due.unusable)
    n_replaced = 0
    seconds = 0.0
    stages: dict[str, float] = {}
    with JournalWriter(paths.responses, worker) as writer:
        writer.append(due.unusable)
        if on_progress:
            on_progress(done, n_now)
        for answering, rows in groupby(due.pending.iter_rows(named=True), key=lambda row: row["model_sha256"]):
            if given is not None:
                backend: Backend = ScriptedBackend(given)
            else:
                backend = open_backend(workspace, cards[answering], manifest, backend_options, make_backend)
            record = WorkerRecord(paths, backend, worker=worker, shard=shard, model_sha256=answering, started=started)
            batches = ([maker.of(row) for row in batch] for batch in _batches(rows, backend.questions_per_call))
            # Who gives answers from a file needs no audio on this machine.
            for questions in batches if given is not None else load_ahead(batches):
                responses = _check_responses(questions, backend.answer(questions))
                kept = [maker.settle(q, r, worker) for q, r in zip(questions, responses, strict=True)]
                writer.append(kept)
                record.note(len(kept))
                done += len(kept)
                for question, response in zip(questions, kept, strict=True):
                    if response.error_kind == "transient":
                        transient.append(f"{question.utterance_id}: {response.error}")
                    else:
                        n_answered += 1
                        n_replaced += question.request_id in due.settled
                if on_progress:
                    on_progress(done, n_now)
            seconds += record.seconds
            for stage, spent_s in record.stages_s.items():
                stages[stage] = stages.get(stage, 0.0) + spent_s
    return InferResult(
        run=run,
        n_planned=requests.height,
        n_before=len(journal.responses) - n_replaced,
        n_answered=n_answered,
        n_unusable=len(due.unusable),
        n_unused=due.n_unused,
        n_pending=requests.height - len(journal.responses) + n_replaced - n_answered,
        transient=tuple(transient),
        damaged=journal.damaged,
        seconds=seconds,
        stages_s=stages,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """What one call has to do."""

    pending: pl.DataFrame
    """Requests to ask, clip by clip."""
    unusable: list[Response]
    """Answers that no model is asked for: their audio was found unusable."""
    settled: set[str]
    """Requests that such an answer was written for before."""
    n_unused: int
    """Given answers to requests that have one already."""


def _due(
    requests: pl.DataFrame,
    journal: Journal,
    utterances: dict[str, Utterance],
    given: Mapping[tuple[str, str, str], str] | None,
    *,
    shard: tuple[int, int],
    model_sha256: str | None,
    limit: int | None,
    worker: str,
) -> _Due:
    settled = {name for name, response in journal.responses.items() if response.finish == "no_audio"}
    # Who answered elsewhere may have had the clip whole, so their answer takes the place of a failed one.
    known = journal.responses.keys() - (settled if given is not None else set())
    pending = requests.filter(~pl.col("request_id").is_in(list(known)))
    n_unused = len(given.keys() - set(_triples(pending))) if given is not None else 0
    if shard != (1, 1):
        pending = _shard(pending, *shard)
    if model_sha256 is not None:
        pending = pending.filter(pl.col("model_sha256") == model_sha256)
    if given is None:
        unusable, pending = _unusable(pending, utterances, worker)
    else:
        is_given = pl.Series([triple in given for triple in _triples(pending)], dtype=pl.Boolean)
        unasked = pending.filter(~is_given & ~pl.col("request_id").is_in(list(settled)))
        unusable, _ = _unusable(unasked, utterances, worker)
        pending = pending.filter(is_given)
    # Clip by clip, so that a backend meets all questions about a clip together.
    pending = pending.sort("model_sha256", "utterance_id", maintain_order=True)
    return _Due(
        pending=pending if limit is None else pending.head(limit),
        unusable=unusable,
        settled=settled,
        n_unused=n_unused,
    )


def run_utterances(workspace: Workspace, manifest: RunManifest) -> dict[str, Utterance]:
    """Every benchmark utterance of a run's corpus, by id, as it was planned for.

    Raises:
        RunError: the prepared corpus is another version.
    """
    prepared = read_prepared(workspace, manifest.corpus_card)
    if prepared.report["utterances_sha256"] != manifest.utterances_sha256:
        raise RunError(
            f"{manifest.run_id} was planned for another version of {manifest.corpus_card.corpus_id} than the one "
            "prepared in this workspace. Point --workspace to the one it was planned with, or plan a new run."
        )
    return {utterance.utterance_id: utterance for utterance in prepared.benchmark}


def _shard(pending: pl.DataFrame, index: int, of: int) -> pl.DataFrame:
    if not 1 <= index <= of:
        raise RunError(f"There is no shard {index}/{of}; shards count from 1/{of} to {of}/{of}.")
    keys = pending.select(pl.coalesce("audio_sha256", "utterance_id")).to_series()
    return pending.filter(pl.Series([int(sha256_text(key), 16) % of == index - 1 for key in keys], dtype=pl.Boolean))


def _worker_name(shard: tuple[int, int]) -> str:
    return "main" if shard == (1, 1) else f"shard{shard[0]:04d}of{shard[1]:04d}"


def _triples(requests: pl.DataFrame) -> list[tuple[str, str, str]]:
    return list(requests.select("utterance_id", "variant_id", "form").iter_rows())


def _answers(path: Path, requests: pl.DataFrame, manifest: RunManifest) -> dict[tuple[str, str, str], str]:
    """The answers of a file, checked against the run.

    A file speaks for a model that is not run here. Under the name of one that is, its answers would be taken for that
    model's.
    """
    others = [card.model_id for card in manifest.model_cards.values() if card.backend != "scripted"]
    if others:
        raise AnswerFileError(
            f"{manifest.run_id} is a run of {others[0]}, which voxemo asks itself. Plan a run with a card of the model "
            "that gave these answers: a copy of the card `scripted` with a model_id and facts of its own."
        )
    given = read_answers(path)
    check_answers(given, set(_triples(requests)))
    return given


def _unusable(
    pending: pl.DataFrame, utterances: dict[str, Utterance], worker: str
) -> tuple[list[Response], pl.DataFrame]:
    reasons = {name: u.unusable_reason for name, u in utterances.items() if u.unusable_reason is not None}
    broken = pending.filter(pl.col("utterance_id").is_in(list(reasons)))
    responses = [
        Response(
            request_id=row["request_id"],
            finish="no_audio",
            error=f"unusable audio: {reasons[row['utterance_id']]}",
            error_kind="permanent",
            worker=worker,
        )
        for row in broken.iter_rows(named=True)
    ]
    return responses, pending.filter(~pl.col("utterance_id").is_in(list(reasons)))


def _batches(rows: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def _check_responses(questions: Sequence[Question], responses: Sequence[Response]) -> Sequence[Response]:
    if [q.request_id for q in questions] != [r.request_id for r in responses]:
        raise RunError(
            f"The backend gave {len(responses)} answers to {len(questions)} questions, or in another order. "
            "This is an error of the backend; nothing of this batch was kept."
        )
    return responses
