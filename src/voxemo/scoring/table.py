"""Every metric by name, with what it means. A plugin's metric is a record of the same type.

The order is the order of reports.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from voxemo.scoring import hard, soft
from voxemo.scoring.arrays import FloatArray

SCORER_VERSION = "1"
"""Raised whenever a score of the same answers changes."""

MetricKind: TypeAlias = Literal["confusion", "per_class_confusion", "row", "sets"]

HARD_KINDS: frozenset[MetricKind] = frozenset({"confusion", "per_class_confusion"})
SOFT_KINDS: frozenset[MetricKind] = frozenset({"row", "sets"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric: how it is computed, and how to read it."""

    name: str
    kind: MetricKind
    """What ``compute`` takes and returns:

    - ``confusion``: tables (..., n_labels, n_labels + 1), last column failed answers, to (...);
    - ``per_class_confusion``: the same to (..., n_labels);
    - ``row``: gold and predicted distributions, both (n_utterances, n_labels), to (n_utterances,), whose mean is
      the score;
    - ``sets``: hits, false alarms and misses of the thresholded label sets, each (..., n_labels), to (...).

    NaN means undefined.
    """
    compute: Callable[..., FloatArray]
    direction: Literal["higher", "lower"]
    """Which values are better."""
    low: float
    high: float | None
    """Highest possible value; None when unbounded."""
    description: str
    reference: str
    skill: bool = False
    """Also reported as a skill score 1 - d / d_prior, d the distance to the best possible value.

    For row metrics whose best value is finite.
    """

    def __post_init__(self) -> None:
        if self.skill and not (self.kind == "row" and math.isfinite(self.best)):
            raise ValueError(f"metric {self.name!r} has a skill score, so it needs kind 'row' and a finite best value")

    @property
    def best(self) -> float:
        """Value of a perfect prediction; infinite when values have no bound on that side."""
        if self.direction == "lower":
            return self.low
        return math.inf if self.high is None else self.high


_PAPER = "VoxEmo paper, sec. 3.4"
_OURS = "this project"

_ALL = (
    Metric(
        name="unweighted_accuracy",
        kind="confusion",
        compute=hard.unweighted_accuracy,
        direction="higher",
        low=0.0,
        high=1.0,
        description="Mean of the classes' recalls (UA); a class absent from the truth is left out.",
        reference=_PAPER,
    ),
    Metric(
        name="weighted_accuracy",
        kind="confusion",
        compute=hard.weighted_accuracy,
        direction="higher",
        low=0.0,
        high=1.0,
        description="Share of utterances with the right label (WA).",
        reference=_PAPER,
    ),
    Metric(
        name="macro_f1",
        kind="confusion",
        compute=hard.macro_f1,
        direction="higher",
        low=0.0,
        high=1.0,
        description="Mean F1 over every class of the corpus's label set.",
        reference=_PAPER,
    ),
    Metric(
        name="micro_f1",
        kind="confusion",
        compute=hard.micro_f1,
        direction="higher",
        low=0.0,
        high=1.0,
        description="F1 of the hits, false alarms and misses of all classes together.",
        reference=_PAPER,
    ),
    Metric(
        name="recall",
        kind="per_class_confusion",
        compute=hard.recall,
        direction="higher",
        low=0.0,
        high=1.0,
        description="Share of a class's utterances that got its label.",
        reference=_OURS,
    ),
    Metric(
        name="precision",
        kind="per_class_confusion",
        compute=hard.precision,
        direction="higher",
        low=0.0,
        high=1.0,
        description="Share of a label's answers that are right.",
        reference=_OURS,
    ),
    Metric(
        name="f1",
        kind="per_class_confusion",
        compute=hard.f1,
        direction="higher",
        low=0.0,
        high=1.0,
        description="Harmonic mean of a class's precision and recall.",
        reference=_OURS,
    ),
    Metric(
        name="soft_macro_f1",
        kind="sets",
        compute=soft.macro_f1_of_sets,
        direction="higher",
        low=0.0,
        high=1.0,
        description="Mean F1 over labels, of the sets of labels strictly above 1/C.",
        reference=_PAPER,
    ),
    Metric(
        name="soft_micro_f1",
        kind="sets",
        compute=soft.micro_f1_of_sets,
        direction="higher",
        low=0.0,
        high=1.0,
        description="F1 of all labels together, of the sets of labels strictly above 1/C.",
        reference=_PAPER,
    ),
    Metric(
        name="top1_accuracy",
        kind="row",
        compute=soft.top1,
        direction="higher",
        low=0.0,
        high=1.0,
        description="Share of utterances whose likeliest label is the listeners'; ties go to the first label.",
        reference=_PAPER,
    ),
    Metric(
        name="top1_tie_aware",
        kind="row",
        compute=soft.top1_tie_aware,
        direction="higher",
        low=0.0,
        high=1.0,
        description="Top-1 accuracy expected if every tie were broken at random.",
        reference=_OURS,
    ),
    Metric(
        name="kld",
        kind="row",
        compute=soft.kullback_leibler,
        direction="lower",
        low=0.0,
        high=None,
        description="Kullback-Leibler divergence KL(votes || prediction), natural log, prediction floored at 1e-10.",
        reference=f"{_PAPER}; the floor is ours",
        skill=True,
    ),
    Metric(
        name="kld_1e-6",
        kind="row",
        compute=partial(soft.kullback_leibler, floor=1e-6),
        direction="lower",
        low=0.0,
        high=None,
        description="The same with a floor of 1e-6.",
        reference=_OURS,
    ),
    Metric(
        name="kld_1e-3",
        kind="row",
        compute=partial(soft.kullback_leibler, floor=1e-3),
        direction="lower",
        low=0.0,
        high=None,
        description="The same with a floor of 1e-3.",
        reference=_OURS,
    ),
    Metric(
        name="jsd",
        kind="row",
        compute=soft.jensen_shannon,
        direction="lower",
        low=0.0,
        high=float(np.log(2)),
        description="Jensen-Shannon divergence, natural log, not its square root.",
        reference=_PAPER,
        skill=True,
    ),
    Metric(
        name="tvd",
        kind="row",
        compute=soft.total_variation,
        direction="lower",
        low=0.0,
        high=1.0,
        description="Total variation distance: half the summed absolute difference.",
        reference=_PAPER,
        skill=True,
    ),
    Metric(
        name="cosine",
        kind="row",
        compute=soft.cosine_similarity,
        direction="higher",
        low=0.0,
        high=1.0,
        description="Cosine similarity.",
        reference=_PAPER,
        skill=True,
    ),
    Metric(
        name="mse",
        kind="row",
        compute=soft.mean_squared_error,
        direction="lower",
        low=0.0,
        high=1.0,
        description="Squared error, averaged over the labels.",
        reference=_PAPER,
        skill=True,
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""Name to metric."""
