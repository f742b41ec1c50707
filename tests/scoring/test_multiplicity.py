import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.scoring.arrays import FloatArray
from voxemo.scoring.multiplicity import holm

p_values = st.lists(st.floats(0, 1), max_size=30).map(np.array)
some_p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array)


def test_a_hand_worked_family_is_adjusted_step_by_step() -> None:
    # Sorted: 0.005 x 4 = 0.02, 0.01 x 3 = 0.03, 0.03 x 2 = 0.06, 0.04 x 1 = 0.04, raised to the 0.06 before it.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_single_test_keeps_its_p_value() -> None:
    assert holm(np.array([0.2])).tolist() == [0.2]


@given(p_values)
def test_adjusting_never_lowers_a_p_value_and_never_exceeds_bonferroni_or_one(values: FloatArray) -> None:
    adjusted = holm(values)

    assert (adjusted >= values).all()
    assert (adjusted <= np.minimum(values * len(values), 1)).all()


@given(some_p_values)
def test_the_smallest_p_value_is_adjusted_as_bonferroni_does(values: FloatArray) -> None:
    assert holm(values).min() == min(values.min() * len(values), 1)


@given(some_p_values)
def test_a_smaller_p_value_stays_the_smaller_and_equal_ones_stay_equal(values: FloatArray) -> None:
    adjusted = holm(values)

    for value, own in zip(values, adjusted, strict=True):
        assert (adjusted[values > value] >= own).all()
        assert (adjusted[values == value] == own).all()


@given(some_p_values, st.randoms(use_true_random=False))
def test_the_order_of_the_tests_does_not_matter(values: FloatArray, random: object) -> None:
    order = np.arange(len(values))
    random.shuffle(order)  # type: ignore[attr-defined]

    assert holm(values[order]).tolist() == holm(values)[order].tolist()


@given(some_p_values, st.floats(0, 1))
def test_one_more_test_never_makes_the_others_surer(values: FloatArray, other: float) -> None:
    assert (holm(np.append(values, other))[:-1] >= holm(values)).all()


@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.nan])
def test_what_is_no_p_value_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm(np.array([0.5, wrong]))
