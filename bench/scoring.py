"""How fast predictions are scored, beside scikit-learn and SciPy on the same numbers.

Run: python bench/scoring.py [--rows N] [--labels C] [--sample N] [--unnamed N]

Every metric of the table is computed, hard and soft, per fold, as mean and pooled. The references compute the same
metrics on a sample of the rows; their share of the table is named in each line, since they do not define all of it.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support, recall_score

from voxemo.core.types import FAILURE_POLICIES
from voxemo.scoring.evaluate import HardFold, Score, SoftFold, score_hard, score_soft
from voxemo.scoring.soft import label_sets

FAILED_SHARE = 0.05
Fold = TypeVar("Fold", HardFold, SoftFold)


def hard_fold(n_rows: int, n_labels: int, rng: np.random.Generator) -> HardFold:
    """Answers of which about half are right and a few failed."""
    gold = rng.integers(n_labels, size=n_rows)
    predicted = np.where(rng.random(n_rows) < 0.5, gold, rng.integers(n_labels, size=n_rows))
    predicted[rng.random(n_rows) < FAILED_SHARE] = -1
    return HardFold(fold_id="1", gold=gold, predicted=predicted, speakers=_speakers(n_rows, rng))


def soft_fold(n_rows: int, n_labels: int, rng: np.random.Generator) -> SoftFold:
    """Shares of ten votes against free distributions, a few of them failed."""
    votes = rng.multinomial(10, rng.dirichlet(np.ones(n_labels), size=n_rows))
    return SoftFold(
        fold_id="1",
        gold=votes / 10,
        predicted=rng.dirichlet(np.ones(n_labels), size=n_rows),
        failed=rng.random(n_rows) < FAILED_SHARE,
        speakers=_speakers(n_rows, rng),
    )


def without_speakers(fold: Fold) -> Fold:
    """The same answers with named utterances only, as in a corpus that does not say who speaks."""
    names = np.array([f"utterance{row}" for row in range(fold.n_rows)], dtype=object)
    return replace(fold, speakers=None, utterances=names)


def _speakers(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(1000, size=n_rows).astype(str).astype(object)


def sklearn_hard(fold: HardFold, n_labels: int) -> None:
    """WA, UA, both F1 and the per-class values; a failed answer is a label of its own."""
    gold, predicted = fold.gold, np.where(fold.predicted < 0, n_labels, fold.predicted)
    labels = range(n_labels)
    accuracy_score(gold, predicted)
    recall_score(gold, predicted, labels=labels, average="macro", zero_division=0)
    f1_score(gold, predicted, labels=labels, average="micro", zero_division=0)
    f1_score(gold, predicted, labels=labels, average="macro", zero_division=0)
    precision_recall_fscore_support(gold, predicted, labels=labels, zero_division=0)


def scipy_soft(fold: SoftFold) -> None:
    """Both set F1, top-1, KLD at three floors, JSD, TVD, cosine and MSE; tie-aware top-1 has no reference."""
    gold = fold.gold
    predicted = np.where(fold.failed[:, None], 1 / gold.shape[1], fold.predicted)
    for average in ("macro", "micro"):
        f1_score(label_sets(gold), label_sets(predicted), average=average, zero_division=0)
    accuracy_score(gold.argmax(axis=1), predicted.argmax(axis=1))
    for floor in (1e-10, 1e-6, 1e-3):
        entropy(gold, np.maximum(predicted, floor), axis=1).mean()
    (jensenshannon(gold, predicted, axis=1) ** 2).mean()
    (np.abs(gold - predicted).sum(axis=1) / 2).mean()
    lengths = np.linalg.norm(gold, axis=1) * np.linalg.norm(predicted, axis=1)
    ((gold * predicted).sum(axis=1) / lengths).mean()
    ((gold - predicted) ** 2).mean()


def seconds(work: Callable[[], object], *, repeats: int = 3) -> float:
    """Shortest of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print seconds and rows per second, and how many times the references take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--labels", type=int, default=8)
    parser.add_argument("--sample", type=int, default=100_000)
    parser.add_argument("--unnamed", type=int, default=20_000, help="rows of the case without speakers")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    names = tuple(f"label{c}" for c in range(options.labels))

    def hard(fold: HardFold, *, resamples: int = 0) -> list[Score]:
        return score_hard([fold], label_names=names, policies=["wrong"], resamples=resamples)["wrong"]

    def soft(fold: SoftFold, prior: SoftFold | None = None, *, resamples: int = 0) -> list[Score]:
        priors = None if prior is None else [prior]
        return score_soft([fold], label_names=names, policies=["uniform"], prior=priors, resamples=resamples)["uniform"]

    def prior_of(fold: SoftFold) -> SoftFold:
        guess = np.broadcast_to(fold.gold.mean(axis=0), fold.gold.shape)
        return replace(fold, predicted=guess, failed=np.zeros(fold.n_rows, dtype=bool))

    hard_rows, soft_rows = hard_fold(options.rows, options.labels, rng), soft_fold(options.rows, options.labels, rng)
    prior = prior_of(soft_rows)
    print(f"{options.rows:,} predictions over {options.labels} labels")
    for name, work in (
        ("hard, all metrics", lambda: hard(hard_rows)),
        ("soft, all metrics", lambda: soft(soft_rows)),
        ("soft, all metrics and skill", lambda: soft(soft_rows, prior)),
        ("hard, with 1,000 speaker resamples", lambda: hard(hard_rows, resamples=1000)),
        ("soft, with 1,000 speaker resamples", lambda: soft(soft_rows, resamples=1000)),
    ):
        taken = seconds(work)
        print(f"  {name:<36} {taken:7.2f} s {options.rows / taken:14,.0f} rows/s")

    hard_unnamed = without_speakers(hard_fold(options.unnamed, options.labels, rng))
    soft_unnamed = without_speakers(soft_fold(options.unnamed, options.labels, rng))
    priors = [prior_of(soft_unnamed)]
    print(f"without speakers, {options.unnamed:,} predictions under three failure policies, 1,000 utterance resamples")
    under_all: dict[str, Callable[[], Any]] = {
        "hard": lambda: score_hard([hard_unnamed], label_names=names, policies=FAILURE_POLICIES),
        "soft and skill": lambda: score_soft(
            [soft_unnamed], label_names=names, policies=FAILURE_POLICIES, prior=priors
        ),
    }
    for name, work in under_all.items():
        print(f"  {name:<36} {seconds(work):7.2f} s")

    hard_sample, soft_sample = (
        hard_fold(options.sample, options.labels, rng),
        soft_fold(options.sample, options.labels, rng),
    )
    print(f"beside the references, {options.sample:,} predictions")
    for name, ours, theirs in (
        ("hard, scikit-learn", lambda: hard(hard_sample), lambda: sklearn_hard(hard_sample, options.labels)),
        ("soft, SciPy and scikit-learn", lambda: soft(soft_sample), lambda: scipy_soft(soft_sample)),
    ):
        mine, reference = seconds(ours), seconds(theirs)
        print(f"  {name:<36} {mine:7.3f} s against {reference:7.3f} s: {reference / mine:5.1f} times as fast")


if __name__ == "__main__":
    main()
