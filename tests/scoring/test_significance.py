import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from voxemo.scoring.bootstrap import resample_totals
from voxemo.scoring.significance import difference_p, student_p


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

    p = difference_p(draws, value=float((a - b).mean()), n_units=n_speakers)

    assert p == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.02)


@given(st.floats(-1, 1), st.integers(2, 100), st.integers(0, 1000))
def test_the_sign_of_a_difference_does_not_matter(value: float, n_units: int, seed: int) -> None:
    draws = np.random.default_rng(seed).normal(value, 0.1, 50)

    assert difference_p(-draws, value=-value, n_units=n_units) == difference_p(draws, value=value, n_units=n_units)


def test_no_difference_is_no_surprise_and_one_that_never_varies_is_no_chance() -> None:
    assert difference_p(np.zeros(10), value=0.0, n_units=9) == 1.0
    assert difference_p(np.full(10, 0.2), value=0.2, n_units=9) == 0.0


@pytest.mark.parametrize(("value", "n_units", "n_draws"), [(0.1, 1, 10), (math.nan, 9, 10), (0.1, 9, 0)])
def test_what_cannot_vary_has_no_p_value(value: float, n_units: int, n_draws: int) -> None:
    assert math.isnan(difference_p(np.zeros(n_draws), value=value, n_units=n_units))
