import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from voxemo.scoring.ranks import RankInterval, rank_intervals
from voxemo.scoring.significance import detectable_difference, joint_degrees, student_quantile


def drawn(values: list[float], seed: int, spread: float = 0.05) -> np.ndarray:
    return np.random.default_rng(seed).normal(values, spread, size=(300, len(values)))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.integers(0, 99))
def test_a_rank_lies_within_its_interval_and_among_the_systems(values: list[float], seed: int) -> None:
    found = rank_intervals(np.array(values), drawn(values, seed), direction="higher")

    assert all(1 <= one.low <= one.rank <= one.high <= len(values) for one in found)
    assert min(one.rank for one in found) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.integers(0, 99))
def test_lower_is_better_is_higher_is_better_of_the_negative(values: list[float], seed: int) -> None:
    draws = drawn(values, seed)

    assert rank_intervals(np.array(values), draws, direction="lower") == rank_intervals(
        -np.array(values), -draws, direction="higher"
    )


def test_systems_far_apart_have_one_rank_and_systems_alike_share_theirs() -> None:
    values = [0.9, 0.5, 0.5, 0.1]
    draws = drawn(values, 0, spread=0.01)

    found = rank_intervals(np.array(values), draws, direction="higher")

    assert found == [RankInterval(1, 1, 1), RankInterval(2, 2, 3), RankInterval(2, 2, 3), RankInterval(4, 4, 4)]


@pytest.mark.parametrize("degrees", [1, 2, 3, 7, 30, 500])
@pytest.mark.parametrize("p", [0.001, 0.05, 0.4, 1.0])
def test_quantiles_are_those_of_scipy(p: float, degrees: int) -> None:
    assert student_quantile(p, degrees) == pytest.approx(stats.t.ppf(1 - p / 2, degrees), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("n_units", [12, 40, 400])
def test_the_detectable_difference_is_found_in_the_share_of_tests_that_it_names(n_units: int) -> None:
    error = 1 / np.sqrt(n_units)
    shift = detectable_difference(error, degrees=n_units - 1)

    # Differences of speakers, drawn 4,000 times with that true mean.
    samples = np.random.default_rng(1).normal(shift, 1.0, size=(4000, n_units))
    found = stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05

    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_degrees_of_a_mean_lie_between_those_of_its_least_certain_part_and_of_all() -> None:
    assert joint_degrees([0.1, 0.3], [20, 10]) == pytest.approx((0.01 + 0.09) ** 2 / (0.0001 / 20 + 0.0081 / 10))
    assert joint_degrees([0.0, 0.0], [20, 10]) == 10
