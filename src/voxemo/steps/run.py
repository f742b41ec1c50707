"""The whole line on one machine: train what is missing and plan; then ask, read and score."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxemo.backends.base import Backend
from voxemo.backends.registry import create_backend
from voxemo.core.errors import RunError
from voxemo.steps.corpora import find_card
from voxemo.steps.fold_models import SUPERVISED_BACKENDS, find_model, trained_card
from voxemo.steps.infer import InferResult, infer_run
from voxemo.steps.parse import ParseResult, parse_run
from voxemo.steps.plan import PlanOptions, plan_run, planned_prompts
from voxemo.steps.prepare import Progress
from voxemo.steps.score import ScoreResult, score_run
from voxemo.steps.split import split_corpus
from voxemo.steps.train import train_model
from voxemo.store.layout import Workspace
from voxemo.store.workspace import SPLIT_POLICIES, read_split, split_ids

ProgressBar = Callable[[str, str], AbstractContextManager[Progress]]
"""Called with a title and a unit; gives the function to call with (done, total)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What each step of the line did."""

    run: Path
    infer: InferResult
    parse: ParseResult
    score: ScoreResult


def plan_line(
    workspace: Workspace,
    runs: Path,
    *,
    corpus: str,
    model: str,
    split_id: str,
    options: PlanOptions | None,
    command: str | None,
    bar: ProgressBar,
) -> Path:
    """Plan a run of a prepared corpus.

    A split that can be generated is made when it is missing, and a supervised model is trained when it is.
    """
    card = find_card(workspace, corpus)
    make_missing_split(workspace, corpus, split_id)
    # Before minutes of training, so that a wrong word costs none.
    planned_prompts(card, find_model(workspace, model), options or PlanOptions())
    _train_missing(workspace, corpus, model, split_id, options, bar)
    return plan_run(workspace, runs, corpus=corpus, model=model, split_id=split_id, options=options, command=command)


def make_missing_split(workspace: Workspace, corpus: str, split_id: str) -> None:
    """Make a split that is not there and can be generated; one that cannot is missed where it is read."""
    there = split_ids(workspace, find_card(workspace, corpus).corpus_id)
    if split_id not in there and split_id in SPLIT_POLICIES and split_id != "emobox":
        split_corpus(workspace, corpus, policy=split_id)


def finish_run(
    workspace: Workspace,
    run: Path,
    *,
    backend_options: dict[str, Any] | None,
    make_backend: Callable[..., Backend] = create_backend,
    bar: ProgressBar,
    resamples: int = 1000,
) -> RunResult:
    """Ask, read and score a planned run.

    Raises:
        RunError: requests could not be asked; what was answered is kept.
    """
    with bar("asking", "answers") as on_progress:
        inferred = infer_run(
            workspace, run, backend_options=backend_options, make_backend=make_backend, on_progress=on_progress
        )
    if inferred.transient:
        raise RunError(
            f"{len(inferred.transient)} requests of {run.name} could not be asked, the first: "
            f"{inferred.transient[0]}. Mend the cause and run the same command again."
        )
    parsed = parse_run(run)
    return RunResult(run=run, infer=inferred, parse=parsed, score=score_run(workspace, run, resamples=resamples))


def _train_missing(
    workspace: Workspace, corpus: str, model: str, split_id: str, options: PlanOptions | None, bar: ProgressBar
) -> None:
    card = find_model(workspace, model)
    if card.backend not in SUPERVISED_BACKENDS or card.training is not None:
        return
    corpus_id = find_card(workspace, corpus).corpus_id
    split, facts = read_split(workspace, corpus_id, split_id)
    asked = (options.folds if options is not None else None) or tuple(fold.fold_id for fold in split.folds)
    missing = tuple(
        fold_id
        for fold_id in asked
        if trained_card(
            workspace,
            card.model_id,
            corpus_id=corpus_id,
            split_id=split_id,
            split_sha256=facts["sha256"],
            fold_id=fold_id,
        )
        is None
    )
    if missing:
        with bar("training", "clips") as on_progress:
            train_model(workspace, corpus, model=model, split_id=split_id, folds=missing, on_progress=on_progress)
