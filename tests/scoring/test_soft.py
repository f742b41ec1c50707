import numpy as np
import pytest
from scipy.spatial.distance import cosine, jensenshannon
from scipy.stats import entropy
from sklearn.metrics import f1_score

from voxemo.scoring import soft


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Vote shares with zeros and ties, and free distributions, over six labels."""
    rng = np.random.default_rng(7)
    votes = rng.multinomial(5, rng.dirichlet(np.ones(6), size=300))
    return votes / 5, rng.dirichlet(np.full(6, 0.3), size=300)


@pytest.mark.parametrize("floor", [1e-10, 1e-6, 1e-3])
def test_kullback_leibler_equals_scipy_on_the_clipped_and_renormalised_prediction(pair, floor):
    gold, predicted = pair
    raised = np.clip(predicted, floor, None)

    expected = entropy(gold, raised / raised.sum(axis=1, keepdims=True), axis=1)

    np.testing.assert_allclose(soft.kullback_leibler(gold, predicted, floor=floor), expected, rtol=1e-12)


def test_a_certain_and_wrong_prediction_costs_the_logarithm_of_the_floor():
    gold, predicted = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])

    assert soft.kullback_leibler(gold, predicted, floor=1e-6)[0] == pytest.approx(-np.log(1e-6), rel=1e-6)


def test_jensen_shannon_equals_the_square_of_scipys_distance(pair):
    gold, predicted = pair

    np.testing.assert_allclose(
        soft.jensen_shannon(gold, predicted), jensenshannon(gold, predicted, axis=1) ** 2, atol=1e-12
    )


def test_cosine_similarity_equals_one_minus_scipys_distance(pair):
    expected = [1 - cosine(g, p) for g, p in zip(*pair, strict=True)]

    np.testing.assert_allclose(soft.cosine_similarity(*pair), expected, rtol=1e-12)


def test_total_variation_is_the_largest_difference_in_probability_of_any_set_of_labels():
    gold, predicted = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.2, 0.6]])

    assert soft.total_variation(gold, predicted)[0] == pytest.approx((0.5 + 0.3) - (0.2 + 0.2))


def test_mean_squared_error_is_the_mean_over_labels():
    gold, predicted = np.array([[1.0, 0.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0, 0.0]])

    assert soft.mean_squared_error(gold, predicted).tolist() == [0.5]


@pytest.mark.parametrize(
    ("gold", "predicted", "plain", "tie_aware"),
    [
        ([0.5, 0.3, 0.2], [0.6, 0.2, 0.2], 1.0, 1.0),
        ([0.4, 0.4, 0.2], [0.0, 1.0, 0.0], 0.0, 0.5),
        ([0.4, 0.4, 0.2], [1.0, 0.0, 0.0], 1.0, 0.5),
        ([0.0, 1.0, 0.0], [1 / 3, 1 / 3, 1 / 3], 0.0, 1 / 3),
        ([0.4, 0.4, 0.2], [0.4, 0.4, 0.2], 1.0, 0.5),
        ([0.4, 0.4, 0.2], [0.0, 0.0, 1.0], 0.0, 0.0),
    ],
    ids=["no tie", "second of a tie", "first of a tie", "uniform answer", "same tie", "outside the tie"],
)
def test_top1_gives_ties_to_the_first_label_and_the_tie_aware_form_shares_the_credit(gold, predicted, plain, tie_aware):
    gold, predicted = np.array([gold]), np.array([predicted])

    assert [plain] == soft.top1(gold, predicted).tolist()
    assert soft.top1_tie_aware(gold, predicted)[0] == pytest.approx(tie_aware)


def test_a_tie_is_a_tie_whatever_the_order_of_summing():
    uneven = np.array([[0.3 + 0.2 + 0.1, 0.1 + 0.2 + 0.3]]) / 1.2
    assert uneven[0, 0] != uneven[0, 1]

    assert soft.top1(np.array([[1.0, 0.0]]), uneven).tolist() == [1.0]


def test_tie_aware_top1_is_the_mean_of_random_tie_breaks():
    rng = np.random.default_rng(0)
    gold, predicted = np.array([[0.3, 0.3, 0.3, 0.1]]), np.array([[0.1, 0.4, 0.4, 0.1]])

    broken = [
        soft.top1(gold + 1e-6 * rng.random(gold.shape), predicted + 1e-6 * rng.random(gold.shape))[0]
        for _ in range(3000)
    ]

    assert soft.top1_tie_aware(gold, predicted)[0] == pytest.approx(np.mean(broken), abs=0.03)


# --- label sets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_labels", range(2, 17))
def test_a_uniform_row_has_an_empty_label_set_however_it_was_computed(n_labels):
    rows = [
        np.full(n_labels, 1 / n_labels),
        np.full(n_labels, (5 / n_labels) / 5),
        np.full(n_labels, sum([1 / n_labels] * 5) / 5),
        np.full(n_labels, 1 / n_labels) / np.full(n_labels, 1 / n_labels).sum(),
    ]

    assert not soft.label_sets(np.array(rows)).any()


@pytest.mark.parametrize(("n_labels", "passes"), [(4, False), (5, False), (6, True), (8, True)])
def test_one_vote_of_five_is_in_the_set_only_when_it_beats_chance_strictly(n_labels, passes):
    row = np.zeros(n_labels)
    row[[0, 1]] = 0.2, 0.8

    assert passes == soft.label_sets(row)[0]


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_set_f1_equals_scikit_learn(pair, average):
    gold, predicted = pair
    counts = [outcome.sum(axis=0).astype(float) for outcome in soft.set_outcomes(gold, predicted)]
    ours = {"macro": soft.macro_f1_of_sets, "micro": soft.micro_f1_of_sets}[average](*counts)

    expected = f1_score(gold > 1 / 6, predicted > 1 / 6, average=average, zero_division=0)

    assert expected == pytest.approx(ours)


def test_set_f1_is_zero_where_every_set_is_empty():
    nothing = np.zeros(6)

    assert soft.macro_f1_of_sets(nothing, nothing, nothing) == 0
    assert soft.micro_f1_of_sets(nothing, nothing, nothing) == 0


# --- failed answers ----------------------------------------------------------------------------------------------

GOLD = np.array([[0.2, 0.8, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0]])
PREDICTED = np.array([[0.1, 0.9, 0.0, 0.0], [np.nan, np.inf, -np.inf, 5.0]])
FAILED = np.array([False, True])


@pytest.mark.parametrize(
    ("policy", "stand_in", "counted"),
    [
        ("uniform", [0.25, 0.25, 0.25, 0.25], [True, True]),
        ("wrong", [0.0, 1.0, 0.0, 0.0], [True, True]),
        ("excluded", [0.25, 0.25, 0.25, 0.25], [True, False]),
    ],
)
def test_a_failed_distribution_is_read_as_its_policy_says(policy, stand_in, counted):
    settled, counts = soft.settle_failures(GOLD, PREDICTED, FAILED, policy)

    assert [PREDICTED[0].tolist(), stand_in] == settled.tolist()
    assert counted == counts.tolist()


@pytest.mark.parametrize("policy", ["uniform", "wrong", "excluded"])
def test_without_failures_no_policy_changes_anything(policy):
    settled, counts = soft.settle_failures(GOLD, GOLD, np.array([False, False]), policy)

    np.testing.assert_array_equal(GOLD, settled)
    assert counts.all()
