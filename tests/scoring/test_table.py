import numpy as np
import pytest

from voxemo.scoring.baselines import uniform
from voxemo.scoring.table import METRICS, Metric

PAPER = {
    "weighted_accuracy",
    "unweighted_accuracy",
    "micro_f1",
    "macro_f1",
    "soft_macro_f1",
    "soft_micro_f1",
    "top1_accuracy",
    "kld",
    "jsd",
    "tvd",
    "cosine",
    "mse",
}
N_LABELS = 5


def values(metric: Metric, *, perfect: bool) -> np.ndarray:
    """The metric of perfect or of arbitrary answers, straight from ``compute``."""
    rng = np.random.default_rng(1)
    gold = np.eye(N_LABELS)
    predicted = gold if perfect else np.vstack([rng.dirichlet(np.ones(N_LABELS), size=4), np.eye(N_LABELS)[:1]])
    if metric.kind == "row":
        return metric.compute(gold, predicted)
    if metric.kind == "sets":
        wrong = np.zeros(N_LABELS) if perfect else rng.integers(0, 9, N_LABELS).astype(float)
        return metric.compute(np.full(N_LABELS, 3.0), wrong, wrong)
    confusions = np.hstack([np.eye(N_LABELS) * 7, np.zeros((N_LABELS, 1))])
    return metric.compute(confusions if perfect else confusions + rng.integers(0, 9, confusions.shape))


def test_the_table_has_every_metric_of_the_paper_by_its_own_name():
    assert set(METRICS) >= PAPER
    assert all(name == metric.name for name, metric in METRICS.items())
    assert {name for name, metric in METRICS.items() if "paper" in metric.reference} == PAPER


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_perfect_answers_have_the_best_value_and_others_stay_in_range(metric):
    assert values(metric, perfect=True) == pytest.approx(metric.best, abs=5e-3 if "1e-3" in metric.name else 1e-5)
    others = values(metric, perfect=False)
    assert (others >= metric.low).all()
    assert metric.high is None or (others <= metric.high).all()


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_the_direction_says_which_answers_are_better(metric):
    perfect, other = np.mean(values(metric, perfect=True)), np.mean(values(metric, perfect=False))

    assert perfect > other if metric.direction == "higher" else perfect < other


@pytest.mark.parametrize("metric", [m for m in METRICS.values() if m.kind == "row"], ids=lambda m: m.name)
def test_row_metrics_give_one_value_for_each_utterance_and_none_for_none(metric):
    gold = np.tile(uniform(N_LABELS), (3, 1))

    assert metric.compute(gold, gold).shape == (3,)
    assert metric.compute(gold[:0], gold[:0]).shape == (0,)


@pytest.mark.parametrize(
    "changes",
    [{"kind": "sets"}, {"direction": "higher", "high": None}],
    ids=["no row metric", "no best value"],
)
def test_a_skill_score_needs_a_row_metric_with_a_finite_best_value(changes):
    fields = {
        "name": "mine",
        "kind": "row",
        "compute": np.add,
        "direction": "lower",
        "low": 0.0,
        "high": None,
        "description": "",
        "reference": "",
    }
    with pytest.raises(ValueError, match="skill"):
        Metric(**(fields | changes), skill=True)
