"""Many runs in one go: corpora times models, each model loaded once; trainings, sweeps and transfers among them."""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from voxemo.backends.base import Backend
from voxemo.backends.registry import create_backend
from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard, Document, Text
from voxemo.core.errors import NotPrepared, RunError, UnknownName
from voxemo.core.types import AudioCondition, Form, Generation, LabelSource
from voxemo.steps.corpora import find_card
from voxemo.steps.fold_models import find_model
from voxemo.steps.kept_backend import KeptBackend
from voxemo.steps.mixtures import Training
from voxemo.steps.plan import PlanOptions
from voxemo.steps.run import ProgressBar, RunResult, finish_run, make_missing_split, plan_line
from voxemo.steps.study_run import StudyRun
from voxemo.steps.train import TrainResult
from voxemo.steps.transfer import (
    MatrixFile,
    TransferMatrix,
    TransferOptions,
    expand,
    expand_languages,
    is_language_matrix,
    read_matrix,
    without_unprepared,
)
from voxemo.store.layout import MODEL_CARD, Workspace
from voxemo.store.workspace import prepared_cards, read_prepared
from voxemo.training.lora import LoraRecipe

__all__ = ["Study", "StudyRun", "read_study", "run_all", "run_study"]

Trainer = Callable[[Training], TrainResult]


class _Table(Document):
    """A table of a study file: what `voxemo run` has as options, by the same names."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    model: tuple[Text, ...] = Field(min_length=1)
    form: tuple[Form, ...] | None = None
    prompt: tuple[Text, ...] | None = None
    label_source: LabelSource | None = Field(default=None, alias="label-source")
    backend: Text | None = None
    limit: int | None = Field(default=None, ge=1)
    max_new_tokens: int = Field(default=512, ge=1, alias="max-new-tokens")
    audio: AudioCondition = "clean"

    def options(self, folds: tuple[str, ...] | None = None) -> PlanOptions:
        """The options of every run of the table."""
        return PlanOptions(
            forms=self.form,
            variants=self.prompt,
            folds=folds,
            label_source=self.label_source,
            backend=self.backend,
            audio_condition=self.audio,
            limit=self.limit,
            generation=Generation(max_new_tokens=self.max_new_tokens),
        )


class StudyPart(_Table):
    """Every corpus with every model."""

    corpus: tuple[Text, ...] = Field(min_length=1)
    split: Text = "protocol"
    fold: tuple[Text, ...] | None = None


class RecipeLists(Document):
    """Values of the recipe to train by, in lists that are multiplied out; the paper's where nothing is said."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    rank: tuple[int, ...] = ()
    alpha: tuple[int, ...] = ()
    dropout: tuple[float, ...] = ()
    learning_rate: tuple[float, ...] = Field(default=(), alias="learning-rate")
    warmup_share: tuple[float, ...] = Field(default=(), alias="warmup")
    weight_decay: tuple[float, ...] = Field(default=(), alias="weight-decay")
    batch_size: tuple[int, ...] = Field(default=(), alias="batch-size")
    n_epochs: tuple[int, ...] = Field(default=(), alias="epochs")
    seed: tuple[int, ...] = Field(default=(0,), min_length=1)

    def recipes(self) -> Iterator[tuple[LoraRecipe, int]]:
        """Every recipe with every seed."""
        names = [one.name for one in fields(LoraRecipe) if getattr(self, one.name, ())]
        for values in product(*(getattr(self, name) for name in names)):
            # A misspelt value is refused by the recipe, with its name.
            recipe = LoraRecipe(**dict(zip(names, values, strict=True)))
            yield from ((recipe, seed) for seed in self.seed)


class TrainPart(StudyPart, RecipeLists):
    """Fine-tune every model on every corpus by every recipe, and run what comes out."""

    name: Text | None = None
    """That the trained models' names begin with; the base's with ``-sft`` when None."""


class TransferPart(_Table, RecipeLists):
    """A matrix of transfers for every model, by every recipe."""

    matrix: Text
    """Built-in name, path to a matrix file, or languages such as ``leave-one-out:en``."""
    split: Text | None = None
    splits: dict[Text, Text] = Field(default_factory=dict)
    name: Text | None = None


class StudyFile(Document):
    """A study file: ``[[run]]``, ``[[train]]`` and ``[[transfer]]`` tables."""

    run: tuple[StudyPart, ...] = ()
    train: tuple[TrainPart, ...] = ()
    transfer: tuple[TransferPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What a study file asks for."""

    single: tuple[StudyRun, ...] = ()
    matrices: tuple[TransferMatrix, ...] = ()

    @property
    def runs(self) -> tuple[StudyRun, ...]:
        """Every run once, those of the matrices too."""
        return tuple(dict.fromkeys([*self.single, *(run for matrix in self.matrices for run in matrix.runs)]))


# --- reading ------------------------------------------------------------------------------------------------------


def study_names() -> tuple[str, ...]:
    """The built-in studies."""
    return lookup.builtin_names("studies")


def read_study(path: Path, *, workspace: Workspace | None = None) -> Study:
    """Read a study file, in TOML; or a built-in study, by its name.

    Args:
        path: of the file.
        workspace: knows the cards of users' own corpora.

    Raises:
        RunError: it cannot be read, or says something that there is not; the message names the place.
        UnknownName: a matrix, or a corpus of one, that there is not.
    """
    if str(path) in study_names() and not path.exists():
        path = lookup.CATALOG / "studies" / f"{path}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise RunError(f"The study file {path} cannot be read: {cause}.") from cause
    try:
        study = StudyFile.model_validate(content)
    except ValidationError as cause:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in cause.errors())
        raise RunError(
            f"The study file {path} is not one: {problems}. It has [[run]] and [[train]] tables with the lists "
            "`corpus` and `model`, [[transfer]] tables with `matrix` and `model`, and the options of `voxemo run` by "
            "the same names."
        ) from cause
    if not (study.run or study.train or study.transfer):
        raise RunError(f"The study file {path} asks for nothing: it has no [[run]], [[train]] or [[transfer]] table.")

    def card_of(corpus: str) -> CorpusCard:
        return lookup.corpus_card(corpus) if workspace is None else find_card(workspace, corpus)

    return Study(
        single=(
            *(run for part in study.run for run in part_runs(part)),
            *(run for part in study.train for run in training_runs(part)),
        ),
        matrices=tuple(
            _matrix(part, model, recipe, seed, card_of, workspace)
            for part in study.transfer
            for model in part.model
            for recipe, seed in part.recipes()
        ),
    )


def part_runs(part: StudyPart) -> list[StudyRun]:
    """Every corpus with every model of a part."""
    return [
        StudyRun(corpus=corpus, model=model, split_id=part.split, options=part.options(part.fold))
        for model in part.model
        for corpus in part.corpus
    ]


def training_runs(part: TrainPart) -> list[StudyRun]:
    """Every corpus with every model by every recipe and seed, each under a name of its own."""
    runs = []
    for model in part.model:
        for recipe, seed in part.recipes():
            for corpus in part.corpus:
                training = Training(
                    model=model,
                    source=corpus,
                    split_id=part.split,
                    folds=part.fold,
                    recipe=recipe,
                    seed=seed,
                    name=training_name(_stem(model, part.name), recipe, seed=seed),
                )
                options = part.options(part.fold)
                runs.append(
                    StudyRun(corpus=corpus, model=model, split_id=part.split, options=options, training=training)
                )
    return runs


def _stem(model: str, name: str | None) -> str:
    return name or f"{lookup.model_card(model).model_id}-sft"


SHORT = {"rank": "r", "alpha": "a", "learning_rate": "lr", "n_epochs": "e", "batch_size": "b", "dropout": "d"}


def training_name(stem: str, recipe: LoraRecipe, *, seed: int) -> str:
    """Name of a training of a sweep: the stem, and whatever is not the paper's.

    >>> training_name("tiny-sft", LoraRecipe(rank=4, learning_rate=1e-4), seed=1)
    'tiny-sft-r4-lr0.0001-s1'
    >>> training_name("tiny-sft", LoraRecipe(), seed=0)
    'tiny-sft'
    """
    standard = LoraRecipe()
    changed = [
        f"{SHORT.get(one.name, one.name)}{getattr(recipe, one.name)}"
        for one in fields(LoraRecipe)
        if getattr(recipe, one.name) != getattr(standard, one.name)
    ]
    return "-".join([stem, *changed, *([f"s{seed}"] if seed else [])])


def _matrix(
    part: TransferPart,
    model: str,
    recipe: LoraRecipe,
    seed: int,
    card_of: Callable[[str], CorpusCard],
    workspace: Workspace | None,
) -> TransferMatrix:
    name = training_name(_stem(model, part.name), recipe, seed=seed)
    options = TransferOptions(recipe=recipe, seed=seed, name=name, plan=part.options())
    if is_language_matrix(part.matrix):
        return expand_languages(part.matrix, language_cards(workspace), model=model, options=options)
    matrix = read_matrix(part.matrix)
    changes = {"split": part.split or matrix.split, "splits": {**matrix.splits, **part.splits}}
    return expand(part.matrix, matrix.model_copy(update=changes), model=model, find_card=card_of, options=options)


def language_cards(workspace: Workspace | None) -> tuple[CorpusCard, ...]:
    """The corpora that matrices of languages are made of.

    Those that are prepared in the workspace; all of the benchmark's where there is no workspace.
    """
    if workspace is None:
        return lookup.builtin_corpus_cards()
    return tuple(find_card(workspace, corpus) for corpus in prepared_cards(workspace))


def unprepared_corpora(workspace: Workspace) -> tuple[str, ...]:
    """Corpora of the benchmark that are not prepared in the workspace."""
    there = prepared_cards(workspace)
    return tuple(card.corpus_id for card in lookup.builtin_corpus_cards() if card.corpus_id not in there)


def matrix_for(
    workspace: Workspace,
    name: str | None,
    *,
    model: str,
    options: TransferOptions,
    sources: Sequence[str] = (),
    targets: Sequence[str] = (),
    split: str | None = None,
) -> TransferMatrix:
    """A matrix by its name, or of corpora that are named one by one.

    Args:
        workspace: knows what is prepared, and the cards of users' own corpora.
        name: built-in, a path, or languages; None where sources and targets are given.
        model: of the base.
        options: of every training and run.
        sources: to train on.
        targets: to test on.
        split: of every corpus, instead of the matrix's own.

    Raises:
        UnknownName, CardError, RunError: as the message says.
    """
    if name is not None and is_language_matrix(name):
        if split is not None:
            raise RunError("Matrices of languages take the split 'protocol' of every corpus; leave out the split.")
        return expand_languages(name, language_cards(workspace), model=model, options=options)
    if name is None:
        # Test parts stand for corpora as in the paper's matrix.
        partitions = read_matrix("paper").partitions
        title = f"{'-'.join(sources)}-to-{'-'.join(targets)}"
        matrix = MatrixFile(source=tuple(sources), target=tuple(targets), partitions=partitions)
    else:
        title, matrix = name, read_matrix(name)
    if split is not None:
        matrix = matrix.model_copy(update={"split": split, "splits": {}})
    return expand(title, matrix, model=model, find_card=lambda one: find_card(workspace, one), options=options)


# --- running ------------------------------------------------------------------------------------------------------


def unprepared(workspace: Workspace, study: Sequence[StudyRun]) -> dict[str, str]:
    """Corpora of a study that this workspace cannot run, with what is missing; in order of the study."""
    corpora = [corpus for run in study for corpus in (run.corpus, *(run.training.corpora if run.training else ()))]
    missing: dict[str, str] = {}
    for corpus in dict.fromkeys(corpora):
        try:
            read_prepared(workspace, find_card(workspace, corpus))
        except NotPrepared:
            missing[corpus] = "not prepared"
        except (UnknownName, RunError) as cause:
            missing[corpus] = str(cause)
    return missing


def only_prepared(study: Study, missing: Mapping[str, str]) -> Study:
    """What is left of a study without the corpora that are missing; its matrices keep their refused pairs."""
    left = [
        run
        for run in study.single
        if run.corpus not in missing and not (run.training and set(run.training.corpora) & set(missing))
    ]
    return Study(single=tuple(left), matrices=tuple(without_unprepared(matrix, missing) for matrix in study.matrices))


def run_study(workspace: Workspace, runs: Path, study: Sequence[StudyRun], **given: Any) -> list[RunResult]:
    """As ``run_all``, each run folder once."""
    found = run_all(workspace, runs, study, **given)
    return list({result.run: result for result in found.values()}.values())


def run_all(
    workspace: Workspace,
    runs: Path,
    study: Sequence[StudyRun],
    *,
    backend_options: dict[str, Any] | None = None,
    make_backend: Callable[..., Backend] = create_backend,
    train: Trainer | None = None,
    command: str | None = None,
    bar: ProgressBar,
    on_plan: Callable[[Path], None] = lambda run: None,
    resamples: int = 1000,
) -> dict[StudyRun, RunResult]:
    """Plan every run, then answer, read and score one after the other; again, it goes on where it stopped.

    All that can be planned is planned before anything is asked or trained, so that a corpus that is not prepared costs
    no hours. Then come the runs of models that are there, then the trainings, then the runs of what they gave. Runs of
    one model come after each other, and the model is loaded once.

    Args:
        workspace: holds corpora, splits and trained models.
        runs: folder that run folders go into.
        study: what to run.
        backend_options: of this machine.
        make_backend: makes the backend of a card.
        train: does a training, or finds it done; needed where the study has trainings.
        command: the command line, for manifests.
        bar: makes progress bars.
        on_plan: called with each run folder.
        resamples: of every interval.

    Raises:
        VoxEmoError: as the steps do; RunError when requests could not be asked.
    """
    ready = [one for one in study if one.training is None]
    trained = [one for one in study if one.training is not None]
    _check(workspace, trained)

    def plan(several: Sequence[StudyRun]) -> dict[StudyRun, Path]:
        order = list(dict.fromkeys(one.model for one in several))
        planned: dict[StudyRun, Path] = {}
        for one in sorted(several, key=lambda run: order.index(run.model)):
            planned[one] = plan_line(
                workspace,
                runs,
                corpus=one.corpus,
                model=one.model,
                split_id=one.split_id,
                options=one.options,
                command=command,
                bar=bar,
            )
            on_plan(planned[one])
        return planned

    def finish(planned: dict[StudyRun, Path]) -> dict[StudyRun, RunResult]:
        kept = KeptBackend(make_backend)
        done: dict[Path, RunResult] = {}
        for run in planned.values():
            if run not in done:
                done[run] = finish_run(
                    workspace, run, backend_options=backend_options, make_backend=kept, bar=bar, resamples=resamples
                )
        return {one: done[run] for one, run in planned.items()}

    results = finish(plan(ready))
    if trained:
        if train is None:
            raise RunError("The study has trainings, and nothing was given to do them.")
        trainings = dict.fromkeys(one.training for one in trained if one.training is not None)
        models = {training: train(training) for training in trainings}
        given = {
            one: replace(one, model=_trained_model(one, models[one.training]))
            for one in trained
            if one.training is not None
        }
        finished = finish(plan(list(given.values())))
        results |= {one: finished[with_model] for one, with_model in given.items()}
    return results


def _check(workspace: Workspace, trained: Sequence[StudyRun]) -> None:
    """Refuse what cannot be trained or asked afterwards, and make splits that are missing."""
    parts = [(one.corpus, one.split_id) for one in trained]
    for training in dict.fromkeys(one.training for one in trained if one.training is not None):
        find_model(workspace, training.model)
        if isinstance(training.source, str):
            parts.append((training.source, training.split_id))
        else:
            parts += [(source.corpus, source.split_id) for source in training.source.sources]
    for corpus, split_id in dict.fromkeys(parts):
        read_prepared(workspace, find_card(workspace, corpus))
        make_missing_split(workspace, corpus, split_id)


def _trained_model(one: StudyRun, result: TrainResult) -> str:
    """In domain the name, so that each fold is tested by its own model; else the card of the first fold."""
    assert one.training is not None
    fold_id, card = next(iter(result.cards.items()))
    return card.model_id if one.training.source == one.corpus else str(result.folders[fold_id] / MODEL_CARD)
