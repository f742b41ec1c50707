"""What a run's answers say about parts of the utterances, and what runs are paired by; written beside the scores.

Strict reading, and failed answers as the benchmark counts them: a hard one is wrong, a distribution is uniform. Every
formula is in ``scoring``; the systems come cut into folds from the step that scores.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from voxemo.core.types import REFERENCE, AnalysisKind, Utterance
from voxemo.scoring.arrays import BoolArray, FloatArray, IntArray, uniform
from voxemo.scoring.bootstrap import Units, resampling_units
from voxemo.scoring.calibration import ALL, calibration, confidences
from voxemo.scoring.folds import HardFold, Ids, SoftFold
from voxemo.scoring.groups import NO_GROUP, Grouping, bin_names, bin_numbers, divide, score_groups
from voxemo.scoring.hard import FAILED
from voxemo.scoring.paired import PAIRED_MEANS
from voxemo.scoring.table import METRICS
from voxemo.store.tables import ANALYSES, UNIT_COUNTS, UNIT_SUMS, frame

HARD_METRICS = tuple(METRICS[name] for name in ("unweighted_accuracy", "weighted_accuracy", "macro_f1"))
SOFT_METRICS = tuple(METRICS[name] for name in ("jsd", "top1_accuracy"))
AGREEMENT_BINS = 5

Traits = Mapping[AnalysisKind, Mapping[str, str]]
"""Kind to utterance to the name of its group; an utterance whose group is not known is not in it."""
HardSystems = Mapping[str, Sequence[HardFold]]
SoftSystems = Mapping[tuple[str, str], Sequence[SoftFold]]
"""By (system, form)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """The tables of one test partition."""

    analyses: pl.DataFrame
    unit_counts: pl.DataFrame
    unit_sums: pl.DataFrame


def speaker_traits(utterances: Iterable[Utterance]) -> Traits:
    """Groups by what the corpus says of speakers and language: gender, age in decades (``30-39``), language.

    A kind of which the corpus says nothing is left out; so is the language of a corpus that has one.
    """
    known = tuple(utterances)
    found: dict[AnalysisKind, dict[str, str]] = {
        "speaker_gender": {u.utterance_id: u.speaker_gender for u in known if u.speaker_gender is not None},
        "speaker_age": {u.utterance_id: _decade(u.speaker_age) for u in known if u.speaker_age is not None},
        "language": {u.utterance_id: u.language for u in known},
    }
    if len(set(found["language"].values())) < 2:
        del found["language"]
    return {kind: groups for kind, groups in found.items() if groups}


def _decade(age: int) -> str:
    start = age // 10 * 10
    return f"{start}-{start + 9}"


def agreement(votes: Mapping[str, FloatArray]) -> dict[str, str]:
    """Groups by how far listeners agree: the share of votes on the likeliest label, in bins of a fifth.

    ``0.8-1.0`` is clear, ``0.4-0.6`` and less ambiguous; a share on an edge belongs to the lower bin, so that
    four of five votes are not in one bin with five of five.

    Args:
        votes: utterance to its votes within the label set, none of them all 0.
    """
    if not votes:
        return {}
    counts = np.stack(list(votes.values()))
    names = bin_names(AGREEMENT_BINS)
    numbers = bin_numbers(counts.max(axis=1) / counts.sum(axis=1), n_bins=AGREEMENT_BINS)
    return {utterance: names[number] for utterance, number in zip(votes, numbers.tolist(), strict=True)}


def analyse_partition(
    *,
    partition: str,
    label_names: Sequence[str],
    labels: Mapping[str, int],
    hard: HardSystems,
    soft: Mapping[str, SoftSystems],
    certain: SoftSystems,
    traits: Traits,
    agreements: Mapping[str, Mapping[str, str]],
    resamples: int,
) -> Analysed:
    """Scores of groups, calibration and mean distributions of every system; confusions and divergences by speaker.

    Args:
        partition: name of the test partition.
        label_names: the label set, in order.
        labels: utterance to gold label number; utterances without one are not in it.
        hard: hard answers of every system.
        soft: counting rule to distributions of every system, against the votes.
        certain: distributions of every system on the utterances with a gold label, each against certainty in that
            label. They give the calibration, and the mean distributions where there are no votes.
        traits: groups that hold under every counting rule.
        agreements: counting rule to groups by agreement, for the rules of ``soft``.
        resamples: bootstrap resamples of every interval.
    """
    place = {"partition": partition}
    tested = _tested([*hard.values(), *certain.values()])
    rows: list[dict[str, Any]] = []
    unit_sums = [pl.DataFrame(schema=dict(UNIT_SUMS))]
    by_rule: dict[str | None, Traits] = {None: traits, **{rule: {"agreement": of} for rule, of in agreements.items()}}
    for rule, kinds in by_rule.items():
        for kind, grouping in _groupings(tested, kinds).items():
            for system_id, folds in hard.items():
                own = {**place, "kind": kind, "system_id": system_id, "form": "hard", "vote_rule": rule}
                scores = score_groups(
                    folds,
                    grouping,
                    tested.rows(folds),
                    label_names=label_names,
                    metrics=HARD_METRICS,
                    policy="wrong",
                    resamples=resamples,
                )
                rows += ({**own, "class_label": None, **asdict(score)} for score in scores)
    for rule, systems in soft.items():
        # Not the same utterances: some have votes and no majority, and where no vote is left there may be a gold label.
        voted = _tested(systems.values())
        for kind, grouping in _groupings(voted, {**traits, "agreement": agreements[rule]}).items():
            for (system_id, form), soft_folds in systems.items():
                own = {**place, "kind": kind, "system_id": system_id, "form": form, "vote_rule": rule}
                scores = score_groups(
                    soft_folds,
                    grouping,
                    voted.rows(soft_folds),
                    label_names=label_names,
                    metrics=SOFT_METRICS,
                    policy="uniform",
                    resamples=resamples,
                )
                rows += ({**own, "class_label": None, **asdict(score)} for score in scores)
        rows += _mean_distributions(systems, labels, label_names, vote_rule=rule, **place)
        unit_sums.append(_unit_sums(systems, voted, vote_rule=rule, **place))
    if not soft:
        rows += _mean_distributions(certain, labels, label_names, vote_rule=None, **place)
    rows += _calibrations(certain, tested, resamples=resamples, **place)
    analyses = frame(rows, ANALYSES).with_columns(pl.col("value", "ci_low", "ci_high").fill_nan(None))
    return Analysed(
        analyses=analyses,
        unit_counts=_unit_counts(hard, tested, label_names, partition=partition),
        unit_sums=pl.concat(unit_sums),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tested:
    """The utterances that any system was tested on."""

    names: Ids
    numbers: Mapping[str, int]
    """Utterance to its place in the arrays."""
    speakers: Ids
    """None where not known."""

    def rows(self, folds: Sequence[HardFold] | Sequence[SoftFold]) -> list[IntArray]:
        """Number of the utterance of each row of each fold."""
        return [
            np.fromiter((self.numbers[name] for name in _ids(fold.utterances)), dtype=np.int64, count=fold.n_rows)
            for fold in folds
        ]

    @property
    def units(self) -> Units:
        """What intervals over all of them resample."""
        return resampling_units(speakers=self.speakers, utterances=self.names)


def _tested(systems: Iterable[Sequence[HardFold] | Sequence[SoftFold]]) -> _Tested:
    speaker_of: dict[str, str | None] = {}
    for folds in systems:
        for fold in folds:
            speaker_of.update(zip(_ids(fold.utterances), _ids(fold.speakers), strict=True))
    names = sorted(speaker_of)
    return _Tested(
        names=np.asarray(names, dtype=object),
        numbers={name: number for number, name in enumerate(names)},
        speakers=np.asarray([speaker_of[name] for name in names], dtype=object),
    )


def _ids(ids: Ids | None) -> Ids:
    assert ids is not None, "folds cut from a run name their utterances and speakers"
    return ids


def _groupings(tested: _Tested, kinds: Traits) -> dict[AnalysisKind, Grouping]:
    """The tested utterances divided by each kind; a kind that is known of none of them is left out."""
    made: dict[AnalysisKind, Grouping] = {}
    for kind, group_of in kinds.items():
        found = [group_of.get(name) for name in tested.names]
        names = sorted({group for group in found if group is not None})
        if not names:
            continue
        number = {name: place for place, name in enumerate(names)}
        groups = np.array([NO_GROUP if group is None else number[group] for group in found], dtype=np.int64)
        made[kind] = divide(groups, names=names, speakers=tested.speakers, utterances=tested.names)
    return made


# --- distributions -----------------------------------------------------------------------------------------------


def _mean_distributions(
    systems: SoftSystems,
    labels: Mapping[str, int],
    label_names: Sequence[str],
    *,
    partition: str,
    vote_rule: str | None,
) -> list[dict[str, Any]]:
    """What each system answers on average, to each true label and to all; and the truth itself, once."""
    rows: list[dict[str, Any]] = []

    def add(system_id: str, form: str, folds: Sequence[SoftFold], distributions: FloatArray, failed: BoolArray) -> None:
        true = np.array([labels.get(name, -1) for fold in folds for name in _ids(fold.utterances)], dtype=np.int64)
        groups = [(name, true == number) for number, name in enumerate(label_names)]
        for group, members in [(ALL, np.ones(len(true), dtype=bool)), *groups]:
            if not members.any():
                continue
            same = {
                "kind": "mean_distribution",
                "partition": partition,
                "system_id": system_id,
                "form": form,
                "vote_rule": vote_rule,
                "group": group,
                "metric": "probability",
                "ci_low": None,
                "ci_high": None,
                "n": int(members.sum()),
                "n_failed": int(failed[members].sum()),
            }
            mean = distributions[members].mean(axis=0).tolist()
            rows.extend({**same, "class_label": c, "value": p} for c, p in zip(label_names, mean, strict=True))

    for (system_id, form), folds in systems.items():
        predicted, failed = _settled(folds, len(label_names))
        add(system_id, form, folds, predicted, failed)
    if systems:
        longest = max(systems.values(), key=lambda folds: sum(fold.n_rows for fold in folds))
        gold = np.concatenate([fold.gold for fold in longest])
        add(f"{REFERENCE}gold", "distribution", longest, gold, np.zeros(len(gold), dtype=bool))
    return rows


def _settled(folds: Sequence[SoftFold], n_labels: int) -> tuple[FloatArray, BoolArray]:
    """Distributions of all folds, failed ones as uniform; and which failed."""
    failed = np.concatenate([fold.failed for fold in folds])
    predicted = np.concatenate([fold.predicted for fold in folds])
    return np.where(failed[:, None], uniform(n_labels), predicted), failed


def _calibrations(certain: SoftSystems, tested: _Tested, *, partition: str, resamples: int) -> list[dict[str, Any]]:
    """Confidence against accuracy of the answers that could be read; a vote or a mean can always be read."""
    rows: list[dict[str, Any]] = []
    units = tested.units.codes
    for (system_id, form), folds in certain.items():
        answered = ~np.concatenate([fold.failed for fold in folds])
        predicted = np.concatenate([fold.predicted for fold in folds])[answered]
        gold = np.concatenate([fold.gold for fold in folds])[answered].argmax(axis=1)
        confidence, correct = confidences(predicted, gold)
        of_rows = units[np.concatenate(tested.rows(folds))[answered]]
        n_failed = int((~answered).sum())
        for score in calibration(confidence, correct, of_rows, resamples=resamples):
            own = asdict(score)
            if score.group == ALL:
                own |= {"n": score.n + n_failed}
            rows.append(
                {
                    "kind": "calibration",
                    "partition": partition,
                    "system_id": system_id,
                    "form": form,
                    "vote_rule": None,
                    "class_label": None,
                    **own,
                    "n_failed": n_failed if score.group == ALL else 0,
                }
            )
    return rows


# --- counts and sums by unit -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _NamedUnits:
    """Every speaker, or every utterance where fewer than five are known.

    An utterance of an unknown speaker among known ones is a unit of its own, and its kind says so.
    """

    codes: IntArray
    """Unit number of each tested utterance."""
    kinds: pl.Series
    names: pl.Series

    def columns(self, units: IntArray) -> dict[str, pl.Series]:
        """Kind and name of units by number."""
        return {"unit_kind": self.kinds.gather(units), "unit": self.names.gather(units)}


def _named_units(tested: _Tested) -> _NamedUnits:
    units = tested.units
    unknown = np.array([units.kind == "utterance" or name is None for name in tested.speakers], dtype=bool)
    first = np.unique(units.codes, return_index=True)[1]
    return _NamedUnits(
        codes=units.codes,
        kinds=pl.Series(np.where(unknown, "utterance", "speaker")[first], dtype=pl.String),
        names=pl.Series(np.where(unknown, tested.names, tested.speakers)[first], dtype=pl.String),
    )


def _unit_counts(hard: HardSystems, tested: _Tested, label_names: Sequence[str], *, partition: str) -> pl.DataFrame:
    """True against predicted labels of every unit."""
    units, n_labels = _named_units(tested), len(label_names)
    gold_names, predicted_names = pl.Series(label_names), pl.Series([*label_names, "failed"])
    parts = [pl.DataFrame(schema=dict(UNIT_COUNTS))]
    for system_id, folds in hard.items():
        for fold, rows in zip(folds, tested.rows(folds), strict=True):
            columns = np.where(fold.predicted == FAILED, n_labels, fold.predicted)
            cells, n = np.unique(
                (units.codes[rows] * n_labels + fold.gold) * (n_labels + 1) + columns, return_counts=True
            )
            unit, cell = np.divmod(cells, n_labels * (n_labels + 1))
            gold, predicted = np.divmod(cell, n_labels + 1)
            parts.append(
                pl.DataFrame(
                    {
                        "partition": pl.repeat(partition, len(n), eager=True),
                        "fold_id": pl.repeat(fold.fold_id, len(n), eager=True),
                        "system_id": pl.repeat(system_id, len(n), eager=True),
                        **units.columns(unit),
                        "gold": gold_names.gather(gold),
                        "predicted": predicted_names.gather(predicted),
                        "n": n,
                    }
                )
            )
    return pl.concat(parts, how="vertical_relaxed")


def _unit_sums(soft: SoftSystems, voted: _Tested, *, partition: str, vote_rule: str) -> pl.DataFrame:
    """Each metric of ``PAIRED_MEANS``, added up over the utterances of every unit."""
    units = _named_units(voted)
    parts = [pl.DataFrame(schema=dict(UNIT_SUMS))]
    for (system_id, form), folds in soft.items():
        for fold, rows in zip(folds, voted.rows(folds), strict=True):
            codes = units.codes[rows]
            predicted, _ = _settled([fold], fold.gold.shape[1])
            n = np.bincount(codes)
            held = np.flatnonzero(n)
            for metric in PAIRED_MEANS:
                sums = np.bincount(codes, weights=METRICS[metric].compute(fold.gold, predicted))
                same = {
                    "partition": partition,
                    "fold_id": fold.fold_id,
                    "system_id": system_id,
                    "form": form,
                    "vote_rule": vote_rule,
                }
                parts.append(
                    pl.DataFrame(
                        {
                            **{name: pl.repeat(value, len(held), eager=True) for name, value in same.items()},
                            **units.columns(held),
                            "metric": pl.repeat(metric, len(held), eager=True),
                            "n": n[held],
                            "sum": sums[held],
                        }
                    )
                )
    return pl.concat(parts, how="vertical_relaxed")
