"""Predictions and gold labels to scores. Works on columns; every formula is in ``scoring``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from voxemo.catalog import lookup
from voxemo.core.cards import RunManifest
from voxemo.core.errors import PluginError, RunError
from voxemo.core.types import ENSEMBLE, FAILURE_POLICIES, MEAN_DISTRIBUTION, REFERENCE, FailurePolicy
from voxemo.scoring import baselines, ensembles
from voxemo.scoring.arrays import one_hot
from voxemo.scoring.evaluate import Score, score_hard, score_soft
from voxemo.scoring.folds import AnyHardFold, HardFold, HardReference, SoftFold
from voxemo.scoring.table import METRICS, SCORER_VERSION, Metric
from voxemo.steps.analyse import SoftSystems, agreement, analyse_partition
from voxemo.steps.fold_models import training_kind
from voxemo.steps.parse import READINGS, journal_bytes
from voxemo.steps.plan import check_plan
from voxemo.steps.truth import FloatArray, IntArray, Truth, read_truth
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.tables import (
    ANALYSES,
    CONFUSIONS,
    PREDICTIONS,
    SCORES,
    UNIT_COUNTS,
    UNIT_SUMS,
    frame,
    read_table,
    write_table,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """What `score` wrote."""

    run: Path
    scores: pl.DataFrame
    n_scored: int
    """Test utterances with a gold label."""
    n_without_gold: int
    """Test utterances without one (ties among listeners); answered, not scored."""
    n_without_soft_label: dict[str, int]
    """Counting rule to test utterances that no vote within the label set is left for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredTable:
    """A run's answers beside the truth: what hard and soft folds are cut from."""

    manifest: RunManifest
    rows: pl.DataFrame
    """Plan rows joined with predictions, by reading; ``gold`` and ``predicted`` are label numbers, -1 for none."""
    truth: Truth

    @property
    def votes(self) -> Mapping[str, Mapping[str, FloatArray]]:
        """Counting rule to utterance to votes within the label set; utterances with none left are not in it."""
        return self.truth.votes

    @property
    def labels(self) -> dict[str, int]:
        """Utterance to gold label number; utterances without one are not in it."""
        return self.truth.label_numbers(self.manifest.label_names)

    @property
    def n_labels(self) -> int:
        """Size of the label set."""
        return len(self.manifest.label_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTables:
    """What is computed of a run's answers, by the schemas of ``store.tables``."""

    scores: pl.DataFrame
    confusions: pl.DataFrame
    analyses: pl.DataFrame
    unit_counts: pl.DataFrame
    unit_sums: pl.DataFrame


def metrics() -> dict[str, Metric]:
    """Every metric: the built-in ones and those of plugins.

    Raises:
        PluginError: an entry point gives something else than a Metric, or claims a built-in name.
    """
    found = dict(METRICS)
    for name in lookup.plugins(lookup.METRICS_GROUP):
        metric = lookup.load_plugin(lookup.METRICS_GROUP, name)
        if not isinstance(metric, Metric) or metric.name != name:
            raise PluginError(lookup.METRICS_GROUP, name, f"expected a Metric named {name!r}")
        if name in METRICS:
            raise PluginError(lookup.METRICS_GROUP, name, "voxemo itself has a metric of that name")
        found[name] = metric
    return found


def score_run(
    workspace: Workspace,
    run: Path,
    *,
    policies: Sequence[FailurePolicy] = FAILURE_POLICIES,
    resamples: int = 1000,
    allow_incomplete: bool = False,
) -> ScoreResult:
    """Score a parsed run by every metric, reading and failure policy, with reference rows and intervals.

    Analyses, and counts and sums by speaker, are written beside the scores (``steps.analyse``).

    Args:
        workspace: holds the gold labels, votes and the split.
        run: the run folder; `parse` must have run.
        policies: what a failed answer is worth; all three by default, side by side.
        resamples: bootstrap resamples of every interval.
        allow_incomplete: score the answers there are; otherwise a run with unanswered requests is refused.

    Raises:
        RunError: unanswered requests, or gold labels of another version of the corpus than the one planned.
    """
    table = load_scored(workspace, run, allow_incomplete=allow_incomplete)
    made = score_table(table, policies=policies, resamples=resamples)
    paths = RunPaths(run)
    write_table(paths.scores, made.scores, SCORES)
    write_table(paths.confusions, made.confusions, CONFUSIONS)
    write_table(paths.analyses, made.analyses, ANALYSES)
    write_table(paths.unit_counts, made.unit_counts, UNIT_COUNTS)
    write_table(paths.unit_sums, made.unit_sums, UNIT_SUMS)
    tested = table.rows.unique("utterance_id")
    names = set(tested["utterance_id"])
    n_scored = tested.filter(pl.col("gold") >= 0).height
    return ScoreResult(
        run=run,
        scores=made.scores,
        n_scored=n_scored,
        n_without_gold=tested.height - n_scored,
        n_without_soft_label={rule: len(names - known.keys()) for rule, known in table.votes.items()},
    )


def score_table(
    table: ScoredTable, *, policies: Sequence[FailurePolicy] = FAILURE_POLICIES, resamples: int = 1000
) -> ScoreTables:
    """Everything that is computed of a run's answers; the same table gives the same, wherever it was read from."""
    writer = _RowWriter(table.manifest, metrics(), policies, resamples)
    confusions: list[dict[str, Any]] = []
    labels = table.labels
    agreements = {rule: agreement(votes) for rule, votes in table.votes.items()}
    analysed = []
    for partition in sorted(table.rows["partition"].unique()):
        for reading in READINGS:
            hard = hard_systems(table, partition=partition, reading=reading)
            soft: dict[str, SoftSystems] = {
                rule: soft_systems(table, partition=partition, reading=reading, rule=rule) for rule in table.votes
            }
            place = {"partition": partition, "reading": reading}
            for system_id, folds in hard.items():
                writer.hard(folds, **place, system_id=system_id)
                confusions += _confusions(folds, table.manifest.label_names, system_id=system_id, **place)
            for rule, systems in soft.items():
                for (system_id, form), soft_folds in systems.items():
                    prior = _prior_folds(table, soft_folds, rule)
                    writer.soft(soft_folds, prior, **place, system_id=system_id, form=form, vote_rule=rule)
            if not table.votes:
                writer.failures(table.rows, **place)
            if reading == "strict":
                analysed.append(
                    analyse_partition(
                        partition=partition,
                        label_names=table.manifest.label_names,
                        labels=labels,
                        hard=hard,
                        soft=soft,
                        certain=soft_systems(table, partition=partition, reading=reading, rule=None),
                        traits=table.truth.traits,
                        agreements=agreements,
                        resamples=resamples,
                    )
                )
        _references(table, writer, partition)
    return ScoreTables(
        scores=frame(writer.rows, SCORES),
        confusions=frame(confusions, CONFUSIONS),
        analyses=pl.concat([part.analyses for part in analysed]),
        unit_counts=pl.concat([part.unit_counts for part in analysed]),
        unit_sums=pl.concat([part.unit_sums for part in analysed]),
    )


def load_scored(workspace: Workspace, run: Path, *, allow_incomplete: bool = False) -> ScoredTable:
    """Read a parsed run and the truth it is judged by.

    Raises:
        RunError: as `score_run`.
    """
    manifest, plan = check_plan(run)
    predictions = read_table(RunPaths(run).predictions, PREDICTIONS)
    if manifest.counts.get("journal_bytes") != journal_bytes(run):
        raise RunError(f"Answers of {manifest.run_id} came in after they were last read. Run: voxemo parse {run}")
    n_planned, n_answered = plan["request_id"].n_unique(), predictions["request_id"].n_unique()
    if n_answered < n_planned and not allow_incomplete:
        raise RunError(
            f"{n_planned - n_answered} of {n_planned} requests of {manifest.run_id} have no answer yet. "
            "Run `voxemo infer` and `voxemo parse` on it, or score what is there with --incomplete."
        )
    if not n_answered:
        raise RunError(f"{manifest.run_id} has no answer to score yet. Run `voxemo infer` and `voxemo parse` on it.")
    return scored_table(manifest, plan, predictions, read_truth(workspace, manifest))


def scored_table(manifest: RunManifest, plan: pl.DataFrame, predictions: pl.DataFrame, truth: Truth) -> ScoredTable:
    """Put a run's predictions beside the truth.

    Args:
        manifest: of the run.
        plan: its requests, by ``store.tables.PLAN``.
        predictions: what was answered to them, by ``store.tables.PREDICTIONS``.
        truth: of the utterances that the plan asks about, or of more.
    """
    position = {name: number for number, name in enumerate(manifest.label_names)}
    labels = truth.label_numbers(manifest.label_names)
    rows = (
        plan.select("request_id", "utterance_id", "fold_id", "partition", "form")
        .join(
            predictions.select("request_id", "system_id", "reading", "status", "label", "distribution"),
            on="request_id",
            how="inner",
            maintain_order="left",
        )
        .with_columns(
            gold=pl.col("utterance_id").replace_strict(labels, default=-1, return_dtype=pl.Int64),
            speaker=pl.col("utterance_id").replace_strict(truth.speakers, default=None, return_dtype=pl.String),
            predicted=pl.when(pl.col("status") == "failed")
            .then(-1)
            .otherwise(pl.col("label").replace_strict(position, default=-1, return_dtype=pl.Int64)),
        )
    )
    return ScoredTable(manifest=manifest, rows=rows, truth=truth)


# --- systems as folds --------------------------------------------------------------------------------------------


def hard_systems(table: ScoredTable, *, partition: str, reading: str) -> dict[str, list[HardFold]]:
    """Hard answers of every prompt variant and, where all of the paper's five were asked, of their vote.

    Where labels were weighed by their likelihood, the likeliest is the answer of a system of its own.

    Only utterances with a gold label are in the folds.
    """
    rows = table.rows.filter(
        (pl.col("partition") == partition)
        & (pl.col("reading") == reading)
        & pl.col("form").is_in(["hard", "likelihood"])
        & (pl.col("gold") >= 0)
    )
    systems = {
        system: [_hard_fold(fold_id, part, part["predicted"].to_numpy()) for fold_id, part in _cut(part, "fold_id")]
        for system, part in _cut(rows, "system_id")
    }
    voted = _five_answers(rows)
    if voted is not None:
        systems[ENSEMBLE] = [
            _hard_fold(fold_id, part, ensembles.vote_label(_five(part), n_labels=table.n_labels))
            for fold_id, part in _cut(voted, "fold_id")
        ]
    return systems


def soft_systems(
    table: ScoredTable, *, partition: str, reading: str, rule: str | None
) -> dict[tuple[str, str], list[SoftFold]]:
    """Distributions by (system, form): stated or likely ones of every variant, and the vote of the five hard answers.

    Only utterances with a soft label by the counting rule are in the folds. Without a rule the truth is certainty in
    the gold label, on the utterances that have one.
    """
    known = pl.col("gold") >= 0 if rule is None else pl.col("utterance_id").is_in(list(table.votes[rule]))
    rows = table.rows.filter((pl.col("partition") == partition) & (pl.col("reading") == reading) & known)
    systems = {
        (system, form): [
            _soft_fold(table, rule, fold_id, part, *_stated(part, table.n_labels))
            for fold_id, part in _cut(part, "fold_id")
        ]
        for form in ("distribution", "likelihood")
        for system, part in _cut(rows.filter(pl.col("form") == form), "system_id")
    }
    stated = rows.filter(pl.col("form") == "distribution")
    averaged = _five_answers(stated.with_columns(row=pl.int_range(pl.len())), values="row")
    if averaged is not None:
        systems[MEAN_DISTRIBUTION, "distribution"] = [
            _soft_fold(
                table, rule, fold_id, part, _mean_of_five(stated, part, table.n_labels), np.zeros(part.height, bool)
            )
            for fold_id, part in _cut(averaged, "fold_id")
        ]
    voted = _five_answers(rows.filter(pl.col("form") == "hard"))
    if voted is not None:
        # By eq. 2 a failed answer spreads its vote, so a vote itself never fails.
        systems[ENSEMBLE, "vote"] = [
            _soft_fold(
                table,
                rule,
                fold_id,
                part,
                ensembles.vote(_five(part), n_labels=table.n_labels),
                np.zeros(part.height, dtype=bool),
            )
            for fold_id, part in _cut(voted, "fold_id")
        ]
    return systems


def _cut(rows: pl.DataFrame, column: str) -> list[tuple[str, pl.DataFrame]]:
    return [(str(key[0]), part) for key, part in rows.partition_by(column, as_dict=True, maintain_order=True).items()]


def _mean_of_five(stated: pl.DataFrame, part: pl.DataFrame, n_labels: int) -> FloatArray:
    """Mean of the five stated distributions; a failed one counts as uniform, as in the vote."""
    predicted, failed = _stated(stated, n_labels)
    rows = part.select(lookup.prompt_names()).to_numpy()
    return ensembles.mean_distribution(predicted[rows], failed[rows])


def _five_answers(rows: pl.DataFrame, *, values: str = "predicted") -> pl.DataFrame | None:
    """One row per fold and utterance with a column per variant; None unless the paper's five were all asked."""
    names = lookup.prompt_names()
    if not set(names) <= set(rows["system_id"].unique()):
        return None
    index = ["fold_id", "utterance_id", "gold", "speaker"]
    wide = rows.filter(pl.col("system_id").is_in(names)).pivot(
        "system_id", index=index, values=values, maintain_order=True
    )
    # An utterance that is not yet answered under all five has no vote.
    whole = wide.drop_nulls(list(names))
    return whole if whole.height else None


def _five(rows: pl.DataFrame) -> IntArray:
    return rows.select(lookup.prompt_names()).to_numpy()


def _hard_fold(fold_id: str, rows: pl.DataFrame, predicted: IntArray) -> HardFold:
    return HardFold(
        fold_id=fold_id,
        gold=rows["gold"].to_numpy(),
        predicted=predicted,
        speakers=_ids(rows["speaker"]),
        utterances=_ids(rows["utterance_id"]),
    )


def _soft_fold(
    table: ScoredTable,
    rule: str | None,
    fold_id: str,
    rows: pl.DataFrame,
    predicted: FloatArray,
    failed: npt.NDArray[np.bool_],
) -> SoftFold:
    return SoftFold(
        fold_id=fold_id,
        gold=_soft_gold(table, rule, rows),
        predicted=predicted,
        failed=failed,
        speakers=_ids(rows["speaker"]),
        utterances=_ids(rows["utterance_id"]),
    )


def _soft_gold(table: ScoredTable, rule: str | None, rows: pl.DataFrame) -> FloatArray:
    if rule is None:
        return one_hot(rows["gold"].to_numpy(), n_labels=table.n_labels)
    counts = table.votes[rule]
    gold, _ = baselines.soft_labels(_stack([counts[name] for name in rows["utterance_id"]], table.n_labels))
    return gold


def _stated(rows: pl.DataFrame, n_labels: int) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    failed = (rows["status"] == "failed").to_numpy()
    predicted = np.full((rows.height, n_labels), np.nan)
    if not failed.all():
        predicted[~failed] = rows["distribution"].filter(pl.Series(~failed)).explode().to_numpy().reshape(-1, n_labels)
    return predicted, failed


def _ids(column: pl.Series) -> npt.NDArray[Any]:
    return np.asarray(column.to_list(), dtype=object)


def _stack(vectors: Sequence[FloatArray], n_labels: int) -> FloatArray:
    return np.stack(vectors) if vectors else np.zeros((0, n_labels))


# --- references --------------------------------------------------------------------------------------------------


def _references(table: ScoredTable, writer: "_RowWriter", partition: str) -> None:
    """Rows of what needs no listening, and of one human rater, on the utterances that the run tests.

    What a fold's training part gives no labels or votes for is left out.
    """
    tested = (
        table.rows.filter(pl.col("partition") == partition)
        .unique(["fold_id", "utterance_id"], keep="first", maintain_order=True)
        .select("fold_id", "utterance_id", "gold", "speaker")
    )
    place = {"partition": partition, "reading": "strict"}
    with_gold = _cut(tested.filter(pl.col("gold") >= 0), "fold_id")
    hard_priors = {fold_id: _hard_prior(table, fold_id) for fold_id, _ in with_gold}
    for name in ("uniform", "train_prior", "majority"):
        guesses = {fold_id: _guess(name, prior, table.n_labels) for fold_id, prior in hard_priors.items()}
        folds: list[AnyHardFold] = [
            HardReference(
                fold_id=fold_id,
                gold=rows["gold"].to_numpy(),
                distribution=guess,
                speakers=_ids(rows["speaker"]),
                utterances=_ids(rows["utterance_id"]),
            )
            for fold_id, rows in with_gold
            if (guess := guesses[fold_id]) is not None
        ]
        if folds and len(folds) == len(with_gold):
            writer.hard(folds, policies=("wrong",), **place, system_id=f"{REFERENCE}{name}")
    for rule, counts in table.votes.items():
        voted = _cut(tested.filter(pl.col("utterance_id").is_in(list(counts))), "fold_id")
        if voted:
            _soft_references(table, writer, rule, voted, place)


def _soft_references(
    table: ScoredTable, writer: "_RowWriter", rule: str, voted: Sequence[tuple[str, pl.DataFrame]], place: Any
) -> None:
    place = {**place, "form": "distribution", "vote_rule": rule}
    blank = [
        _soft_fold(
            table, rule, fold_id, rows, np.full((rows.height, table.n_labels), np.nan), np.ones(rows.height, bool)
        )
        for fold_id, rows in voted
    ]
    prior = _prior_folds(table, blank, rule)
    for name in ("uniform", "train_prior", "majority"):
        guesses = [_guess(name, _soft_prior(table, fold.fold_id, rule), table.n_labels) for fold in blank]
        folds = [_constant(fold, guess) for fold, guess in zip(blank, guesses, strict=True) if guess is not None]
        if len(folds) == len(blank):
            writer.soft(folds, prior, policies=("uniform",), **place, system_id=f"{REFERENCE}{name}")
    raters = [_human(fold_id, rows, table.votes[rule], table.n_labels) for fold_id, rows in voted]
    human = [fold for fold in raters if fold is not None]
    if human and len(human) == len(raters):
        writer.soft(
            human, _prior_folds(table, human, rule), policies=("uniform",), **place, system_id=f"{REFERENCE}human"
        )


def _prior_folds(table: ScoredTable, folds: Sequence[SoftFold], rule: str) -> list[SoftFold] | None:
    """The train prior on the rows of the folds; None where some fold's training part has no votes."""
    priors = [_soft_prior(table, fold.fold_id, rule) for fold in folds]
    made = [_constant(fold, prior) for fold, prior in zip(folds, priors, strict=True) if prior is not None]
    return made if len(made) == len(folds) else None


def _guess(name: str, prior: FloatArray | None, n_labels: int) -> FloatArray | None:
    if name == "uniform":
        return np.full(n_labels, 1 / n_labels)
    if prior is None:
        return None
    return prior if name == "train_prior" else baselines.majority(prior)


def _hard_prior(table: ScoredTable, fold_id: str) -> FloatArray | None:
    counts = table.truth.label_counts[fold_id]
    trained = np.repeat(np.arange(table.n_labels), counts)
    return baselines.train_prior(trained, n_labels=table.n_labels) if len(trained) else None


def _soft_prior(table: ScoredTable, fold_id: str, rule: str) -> FloatArray | None:
    return table.truth.soft_priors[rule, fold_id]


def _constant(fold: SoftFold, distribution: FloatArray) -> SoftFold:
    return SoftFold(
        fold_id=fold.fold_id,
        gold=fold.gold,
        predicted=np.tile(distribution, (fold.n_rows, 1)),
        failed=np.zeros(fold.n_rows, dtype=bool),
        speakers=fold.speakers,
        utterances=fold.utterances,
        weights=fold.weights,
    )


def _human(fold_id: str, rows: pl.DataFrame, counts: Mapping[str, FloatArray], n_labels: int) -> SoftFold | None:
    """One rater against the others; None where only shares of votes are published."""
    votes = _stack([counts[name] for name in rows["utterance_id"]], n_labels)
    if (votes != np.rint(votes)).any():
        return None
    rater = baselines.human_rater(votes)
    return SoftFold(
        fold_id=fold_id,
        gold=rater.gold,
        predicted=rater.predicted,
        failed=np.zeros(len(rater.gold), dtype=bool),
        speakers=_ids(rows["speaker"])[rater.utterance],
        utterances=_ids(rows["utterance_id"])[rater.utterance],
        weights=rater.weights,
    )


# --- rows --------------------------------------------------------------------------------------------------------


class _RowWriter:
    """Collects score rows; holds what is the same in every row of a run."""

    def __init__(
        self, manifest: RunManifest, chosen: Mapping[str, Metric], policies: Sequence[FailurePolicy], resamples: int
    ) -> None:
        card = next(iter(manifest.model_cards.values()))
        kind = training_kind(card, manifest.corpus_card.corpus_id)
        self.rows: list[dict[str, Any]] = []
        self._metrics, self._policies, self._resamples = chosen, policies, resamples
        self._label_names = manifest.label_names
        self._same = {
            "run_id": manifest.run_id,
            "model_id": card.model_id,
            "training": kind,
            "source_corpus_id": card.training.corpus_id if card.training is not None else None,
            "corpus_id": manifest.corpus_card.corpus_id,
            "split_id": manifest.split.split_id,
            "audio_condition": manifest.audio_condition,
            "label_source": manifest.label_source,
            "tie_break": manifest.tie_break,
            "scorer_version": SCORER_VERSION,
        }

    def hard(
        self, folds: Sequence[AnyHardFold], *, policies: Sequence[FailurePolicy] | None = None, **place: Any
    ) -> None:
        """Every hard metric under every failure policy."""
        scores = score_hard(
            folds,
            label_names=self._label_names,
            policies=policies or self._policies,
            metrics=self._metrics,
            resamples=self._resamples,
        )
        for policy, of_policy in scores.items():
            self._add(of_policy, policy=policy, form="hard", vote_rule=None, **place)

    def soft(
        self,
        folds: Sequence[SoftFold],
        prior: Sequence[SoftFold] | None,
        *,
        policies: Sequence[FailurePolicy] | None = None,
        **place: Any,
    ) -> None:
        """Every soft metric under every failure policy, with skill against the train prior."""
        scores = score_soft(
            folds,
            label_names=self._label_names,
            policies=policies or self._policies,
            metrics=self._metrics,
            prior=prior,
            resamples=self._resamples,
        )
        for policy, of_policy in scores.items():
            self._add(of_policy, policy=policy, **place)

    def failures(self, rows: pl.DataFrame, *, partition: str, reading: str) -> None:
        """How many stated distributions failed, on a corpus without votes to score them against."""
        stated = rows.filter(
            (pl.col("partition") == partition) & (pl.col("reading") == reading) & (pl.col("form") == "distribution")
        )
        for variant, part in _cut(stated, "system_id"):
            folds = [(fold_id, of_fold.height, _n_failed(of_fold)) for fold_id, of_fold in _cut(part, "fold_id")]
            rates = [n_failed / n for _, n, n_failed in folds]
            n, n_failed = part.height, _n_failed(part)
            numbers = [
                *((fold_id, n_failed / n, n, n_failed) for fold_id, n, n_failed in folds),
                ("mean", sum(rates) / len(rates), n, n_failed),
                ("pooled", n_failed / n, n, n_failed),
            ]
            scores = [
                Score(
                    fold_id=fold_id,
                    class_label=None,
                    metric=metric,
                    value=value,
                    ci_low=None,
                    ci_high=None,
                    ci_unit=None,
                    n=n,
                    n_failed=n_failed,
                )
                for fold_id, rate, n, n_failed in numbers
                for metric, value in (("coverage", 1 - rate), ("failure_rate", rate))
            ]
            place = {"partition": partition, "reading": reading, "system_id": variant}
            self._add(scores, policy="uniform", form="distribution", vote_rule=None, **place)

    def _add(self, scores: Sequence[Score], *, policy: FailurePolicy, **place: Any) -> None:
        same = {**self._same, **place, "failure_policy": policy}
        self.rows.extend({**same, **asdict(score)} for score in scores)


def _n_failed(rows: pl.DataFrame) -> int:
    return int((rows["status"] == "failed").sum())


def _confusions(
    folds: Sequence[HardFold], label_names: Sequence[str], *, system_id: str, partition: str, reading: str
) -> list[dict[str, Any]]:
    """Counts of true against predicted labels, failed answers as ``failed``; cells of zero are left out."""
    names = [*label_names, "failed"]
    return [
        {
            "system_id": system_id,
            "reading": reading,
            "partition": partition,
            "fold_id": fold.fold_id,
            "gold": names[gold],
            "predicted": names[predicted],
            "n": n,
        }
        for fold in folds
        for (gold, predicted), n in sorted(_pairs(fold).items())
    ]


def _pairs(fold: HardFold) -> dict[tuple[int, int], int]:
    pairs, counts = np.unique(np.stack([fold.gold, fold.predicted]), axis=1, return_counts=True)
    return {(int(gold), int(predicted)): int(n) for (gold, predicted), n in zip(pairs.T, counts, strict=True)}
