"""What is scored: the answers of one system to one test partition of one fold, as arrays.

The step that scores makes these from columns; labels are numbers in label-set order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voxemo.scoring.arrays import BoolArray, FloatArray, IntArray
from voxemo.scoring.hard import FAILED

Ids: TypeAlias = npt.NDArray[Any]
"""Names of speakers or utterances, one per row, as an array of strings or objects."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HardFold:
    """Hard answers to one test partition.

    Raises:
        ValueError: the arrays have different lengths.
    """

    fold_id: str
    gold: IntArray
    """True label numbers, shape (n_utterances,)."""
    predicted: IntArray
    """Predicted label numbers, shape (n_utterances,), -1 for a failed answer."""
    speakers: Ids | None = None
    """Speaker ids, shape (n_utterances,); None, in it or instead of it, where not known."""
    utterances: Ids | None = None
    """Utterance ids, shape (n_utterances,); needed only to pair the utterances of two systems."""

    def __post_init__(self) -> None:
        _check_lengths(self, self.gold, self.predicted)

    @property
    def n_rows(self) -> int:
        """Rows of the arrays."""
        return len(self.gold)

    @property
    def n(self) -> int:
        """Utterances."""
        return len(self.gold)

    @property
    def n_failed(self) -> int:
        """Utterances whose answer failed."""
        return int((self.predicted == FAILED).sum())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HardReference:
    """A reference that draws hard answers from one distribution; it is scored by its expected confusions.

    Raises:
        ValueError: the arrays have different lengths.
    """

    fold_id: str
    gold: IntArray
    """True label numbers, shape (n_utterances,)."""
    distribution: FloatArray
    """Chance of each answer, shape (n_labels,)."""
    speakers: Ids | None = None
    utterances: Ids | None = None

    def __post_init__(self) -> None:
        _check_lengths(self, self.gold)

    @property
    def n_rows(self) -> int:
        """Rows of the arrays."""
        return len(self.gold)

    @property
    def n(self) -> int:
        """Utterances."""
        return len(self.gold)

    @property
    def n_failed(self) -> int:
        """Always 0: a reference does not fail."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SoftFold:
    """Distribution answers to one test partition, on the utterances that have a soft label.

    Raises:
        ValueError: the arrays do not fit together, a row that counts is no distribution, or weights come without
            utterance ids.
    """

    fold_id: str
    gold: FloatArray
    """Soft labels, shape (n_rows, n_labels)."""
    predicted: FloatArray
    """Distributions of the same shape; rows of failed answers may hold anything."""
    failed: BoolArray
    """Which answers failed, shape (n_rows,)."""
    speakers: Ids | None = None
    """Speaker ids, shape (n_rows,); None, in it or instead of it, where not known."""
    utterances: Ids | None = None
    """Utterance ids, shape (n_rows,); None when every row is another utterance."""
    weights: FloatArray | None = None
    """Weight of each row, shape (n_rows,), where an utterance has several rows; its weights sum to 1."""

    def __post_init__(self) -> None:
        _check_lengths(self, self.gold, self.predicted, self.failed, *([] if self.weights is None else [self.weights]))
        if self.gold.shape != self.predicted.shape:
            raise ValueError(f"fold {self.fold_id}: gold is {self.gold.shape}, predicted is {self.predicted.shape}")
        if self.weights is not None and self.utterances is None:
            raise ValueError(f"fold {self.fold_id}: weights need utterances, to know which rows belong together")
        _check_distributions(self.fold_id, "gold", self.gold)
        _check_distributions(self.fold_id, "predicted", self.predicted, skip=self.failed)

    @property
    def n_rows(self) -> int:
        """Rows of the arrays."""
        return len(self.gold)

    @property
    def n(self) -> int:
        """Utterances."""
        return self.n_rows if self.weights is None else round(float(self.weights.sum()))

    @property
    def n_failed(self) -> int:
        """Utterances whose answer failed."""
        weights = np.ones(self.n_rows) if self.weights is None else self.weights
        return round(float(weights[self.failed].sum()))


def _check_lengths(fold: "AnyFold", *arrays: npt.NDArray[Any]) -> None:
    given = [*arrays, *(ids for ids in (fold.speakers, fold.utterances) if ids is not None)]
    lengths = [len(array) for array in given]
    if len(set(lengths)) > 1:
        raise ValueError(f"fold {fold.fold_id}: arrays of one length are needed, got {lengths}")


def _check_distributions(fold_id: str, name: str, rows: FloatArray, *, skip: BoolArray | None = None) -> None:
    # NaN fails both comparisons, so undefined rows are caught too.
    with np.errstate(invalid="ignore"):
        good = (np.abs(rows.sum(axis=1) - 1) < 1e-6) & (rows.min(axis=1, initial=0.0) >= 0)
    bad = ~good if skip is None else ~good & ~skip
    if bad.any():
        raise ValueError(
            f"fold {fold_id}: {bad.sum()} rows of {name} are no distributions, the first is row {bad.argmax()}"
        )


AnyHardFold: TypeAlias = HardFold | HardReference
AnyFold: TypeAlias = AnyHardFold | SoftFold


def on_shared_utterances(systems: Sequence[Sequence[AnyFold]]) -> list[list[AnyFold]]:
    """The answers of several systems to the utterances that all of them were asked about in the same fold.

    Args:
        systems: folds of each, with utterance ids.

    Returns:
        Folds of each, their rows in the order given; folds of which nothing is shared are left out.

    Raises:
        ValueError: a fold has no utterance ids.

    >>> def fold(*names):
    ...     gold = np.zeros(len(names), dtype=np.int64)
    ...     return HardFold(fold_id="1", gold=gold, predicted=gold, utterances=np.array(names))
    >>> [[one.utterances.tolist() for one in of] for of in on_shared_utterances([[fold("a", "b")], [fold("b", "c")]])]
    [[['b']], [['b']]]
    """
    shared = set.intersection(*({(fold.fold_id, name) for fold in of for name in _names(fold)} for of in systems))
    kept = [
        [(fold, np.array([(fold.fold_id, name) in shared for name in _names(fold)], dtype=bool)) for fold in of]
        for of in systems
    ]
    return [[_rows_of(fold, rows) for fold, rows in of if rows.any()] for of in kept]


def _names(fold: AnyFold) -> list[str]:
    if fold.utterances is None:
        raise ValueError(f"fold {fold.fold_id}: utterance ids are needed to find those that systems share")
    return [str(name) for name in fold.utterances]


def _rows_of(fold: AnyFold, rows: BoolArray) -> AnyFold:
    by_row = ("gold", "predicted", "failed", "speakers", "utterances", "weights")
    cut: dict[str, Any] = {name: of[rows] for name in by_row if (of := getattr(fold, name, None)) is not None}
    return replace(fold, **cut)
