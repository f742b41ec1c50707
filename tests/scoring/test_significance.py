import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from voxemo.scoring.bootstrap import resample_totals
from voxemo.scoring.significance import Precision, difference_p, precision, standard_error, student_p


@given(st.floats(0, 30), st.integers(1, 999))
def test_the_tail_of_students_distribution_is_that_of_scipy(t: float, degrees: int) -> None:
    assert student_p(t, degrees) == pytest.approx(2 * stats.t.sf(t, degrees), rel=1e-6, abs=1e-12)


@given(st.floats(0, 8), st.integers(1000, 10**6))
def test_with_many_degrees_of_freedom_it_is_the_normal_one(t: float, degrees: int) -> None:
    assert student_p(t, degrees) == pytest.approx(2 * stats.norm.sf(t))
    assert student_p(t, degrees) == pytest.approx(2 * stats.t.sf(t, degrees), abs=5e-4)


@given(st.integers(0, 1000), st.integers(3, 60))
def test_for_a_mean_over_speakers_it_is_the_paired_t_test(seed: int, n_speakers: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0.3, 1, n_speakers), rng.normal(0, 1, n_speakers)
    draws = resample_totals((a - b)[:, None], resamples=20_000, rng=rng)[:, 0] / n_speakers

    p = difference_p(draws, value=float((a - b).mean()), precision=precision(np.ones(n_speakers)))

    assert p == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.02)


@given(st.floats(-1, 1), st.integers(2, 100), st.integers(0, 1000))
def test_the_sign_of_a_difference_does_not_matter(value: float, n_units: int, seed: int) -> None:
    draws, worth = np.random.default_rng(seed).normal(value, 0.1, 50), precision(np.ones(n_units))

    assert difference_p(-draws, value=-value, precision=worth) == difference_p(draws, value=value, precision=worth)


def test_no_difference_is_no_surprise_and_one_that_never_varies_is_no_chance() -> None:
    worth = precision(np.ones(9))

    assert difference_p(np.zeros(10), value=0.0, precision=worth) == 1.0
    assert difference_p(np.full(10, 0.2), value=0.2, precision=worth) == 0.0


@pytest.mark.parametrize(("value", "n_draws"), [(math.nan, 10), (0.1, 0)])
def test_what_was_not_resampled_has_no_p_value(value: float, n_draws: int) -> None:
    assert math.isnan(difference_p(np.zeros(n_draws), value=value, precision=precision(np.ones(9))))


SIZES = st.lists(st.integers(1, 500), min_size=1, max_size=40).map(np.array)


@given(sizes=SIZES, size=st.integers(1, 50), n=st.integers(1, 200))
def test_units_of_one_size_count_as_they_are_and_unequal_ones_as_fewer(sizes, size, n) -> None:
    alike, worth = precision(np.full(n, size)), precision(sizes)

    assert (alike.n_effective, alike.degrees) == (pytest.approx(n), max(1, n - 1))
    # Of one or two units resamples vary too little whatever their weights are drawn from.
    assert alike.inflation == pytest.approx(1) if n > 2 else alike.inflation > 1
    assert 1 <= worth.n_effective <= len(sizes) * (1 + 1e-9)
    assert worth.inflation >= 1


@given(sizes=SIZES, factor=st.integers(2, 9), n_empty=st.integers(0, 5))
def test_only_shares_of_units_that_have_utterances_matter(sizes, factor, n_empty) -> None:
    assert precision(np.append(factor * sizes, np.zeros(n_empty))) == precision(sizes)


@pytest.mark.parametrize(
    "sizes", [[40, 40, 40, 40], [100, 50, 20, 20, 10, 5, 5, 5], [60] * 3 + [4] * 30, [300] + [10] * 11]
)
def test_the_standard_error_of_a_mean_over_unequal_units_is_right_on_average(sizes: list[int]) -> None:
    """Units whose means vary alike: the variance of the weighted mean is known, sum(s^2)."""
    rng, n = np.random.default_rng(5), np.array(sizes)
    worth, shares = precision(n), n / n.sum()
    squares = []
    for means in rng.normal(0, 1, (1500, len(n))):
        totals = resample_totals(np.column_stack([n * means, n]), resamples=400, rng=rng)
        squares.append(standard_error(totals[:, 0] / totals[:, 1], worth) ** 2)

    assert np.mean(squares) == pytest.approx((shares**2).sum(), rel=0.08)


@pytest.mark.parametrize("sizes", [[7], [0, 7], [0, 0], []])
def test_one_unit_tells_nothing(sizes: list[int]) -> None:
    assert precision(np.array(sizes, dtype=np.int64)) == Precision(n_effective=1.0, inflation=math.inf)
