"""Many runs in one go: corpora times models, each model loaded once."""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from voxemo.backends.base import Backend
from voxemo.backends.registry import create_backend
from voxemo.core.cards import Document, Text
from voxemo.core.errors import RunError
from voxemo.core.types import AudioCondition, Form, Generation, LabelSource
from voxemo.steps.kept_backend import KeptBackend
from voxemo.steps.plan import PlanOptions
from voxemo.steps.run import ProgressBar, RunResult, finish_run, plan_line
from voxemo.store.layout import Workspace


class StudyPart(Document):
    """One table of a study file: every corpus with every model, under the same options as `voxemo run` has."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    corpus: tuple[Text, ...] = Field(min_length=1)
    model: tuple[Text, ...] = Field(min_length=1)
    split: Text = "protocol"
    form: tuple[Form, ...] | None = None
    prompt: tuple[Text, ...] | None = None
    fold: tuple[Text, ...] | None = None
    label_source: LabelSource | None = Field(default=None, alias="label-source")
    backend: Text | None = None
    limit: int | None = Field(default=None, ge=1)
    max_new_tokens: int = Field(default=512, ge=1, alias="max-new-tokens")
    audio: AudioCondition = "clean"


class StudyFile(Document):
    """A study file: ``[[run]]`` tables."""

    run: tuple[StudyPart, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRun:
    """One run of a study."""

    corpus: str
    model: str
    split_id: str = "protocol"
    options: PlanOptions = field(default_factory=PlanOptions)


def read_study(path: Path) -> list[StudyRun]:
    """Read a study file, in TOML.

    Raises:
        RunError: it cannot be read, or says something that there is not; the message names the place.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise RunError(f"The study file {path} cannot be read: {cause}.") from cause
    try:
        study = StudyFile.model_validate(content)
    except ValidationError as cause:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in cause.errors())
        raise RunError(
            f"The study file {path} is not one: {problems}. It has [[run]] tables with the lists `corpus` and `model`, "
            "and the options of `voxemo run` by the same names."
        ) from cause
    return [run for part in study.run for run in part_runs(part)]


def part_runs(part: StudyPart) -> list[StudyRun]:
    """Every corpus with every model of a part."""
    options = PlanOptions(
        forms=part.form,
        variants=part.prompt,
        folds=part.fold,
        label_source=part.label_source,
        backend=part.backend,
        audio_condition=part.audio,
        limit=part.limit,
        generation=Generation(max_new_tokens=part.max_new_tokens),
    )
    return [
        StudyRun(corpus=corpus, model=model, split_id=part.split, options=options)
        for model in part.model
        for corpus in part.corpus
    ]


def run_study(
    workspace: Workspace,
    runs: Path,
    study: Sequence[StudyRun],
    *,
    backend_options: dict[str, Any] | None = None,
    make_backend: Callable[..., Backend] = create_backend,
    command: str | None = None,
    bar: ProgressBar,
    on_plan: Callable[[Path], None] = lambda run: None,
    resamples: int = 1000,
) -> list[RunResult]:
    """Plan every run, then answer, read and score one after the other; again, it goes on where it stopped.

    All are planned before anything is asked, so that a corpus that is not prepared costs no hours. Runs of one model
    come after each other, and the model is loaded once.

    Raises:
        VoxEmoError: as the steps do; RunError when requests could not be asked.
    """
    planned: dict[Path, None] = {}
    for one in sorted(study, key=lambda run: [other.model for other in study].index(run.model)):
        run = plan_line(
            workspace,
            runs,
            corpus=one.corpus,
            model=one.model,
            split_id=one.split_id,
            options=one.options,
            command=command,
            bar=bar,
        )
        on_plan(run)
        planned[run] = None
    kept = KeptBackend(make_backend)
    return [
        finish_run(workspace, run, backend_options=backend_options, make_backend=kept, bar=bar, resamples=resamples)
        for run in planned
    ]
