import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxemo.scoring.bootstrap import percentile_interval, resample_totals, resampling_units


def units(speakers: list[str | None]):
    return resampling_units(speakers=np.array(speakers, dtype=object), utterances=np.arange(len(speakers)))


def test_five_speakers_are_resampled_as_wholes():
    found = units(["a", "b", "c", "d", "e", "a"])

    assert (found.kind, found.n_units) == ("speaker", 5)
    assert found.codes.tolist() == [0, 1, 2, 3, 4, 0]


@pytest.mark.parametrize("speakers", [["a", "b", "c", "d", "a", "b"], [None] * 6, ["a", None, None, None, None, None]])
def test_under_five_known_speakers_utterances_are_resampled(speakers):
    found = units(speakers)

    assert (found.kind, found.n_units) == ("utterance", 6)


def test_an_utterance_of_an_unknown_speaker_among_known_ones_is_a_unit_of_its_own():
    found = units([None, "a", "b", "c", "d", "e", None])

    assert (found.kind, found.n_units) == ("speaker", 7)
    assert found.codes[0] != found.codes[-1]


def test_rows_of_one_utterance_are_one_unit():
    found = resampling_units(speakers=np.full(3, None, dtype=object), utterances=np.array(["u2", "u1", "u2"]))

    assert found.codes.tolist() == [1, 0, 1]


def test_no_rows_are_no_units():
    assert units([]).n_units == 0


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_each_resample_weighs_every_unit_and_keeps_their_number(n_units, seed):
    drawn = resample_totals(np.eye(n_units), resamples=7, rng=np.random.default_rng(seed))

    assert drawn.shape == (7, n_units)
    assert (drawn > 0).all()
    np.testing.assert_allclose(drawn.sum(axis=1), n_units)


@pytest.mark.parametrize("n_units", [5, 20])
def test_a_resampled_mean_varies_as_much_as_the_mean_is_estimated_to(n_units):
    values = np.random.default_rng(1).random((n_units, 1))

    means = resample_totals(values, resamples=20_000, rng=np.random.default_rng(3)) / n_units

    assert means.mean() == pytest.approx(values.mean(), abs=0.005)
    assert means.var() == pytest.approx(values.var(ddof=1) / n_units, rel=0.05)


@pytest.mark.parametrize("n_units", [20, 1500], ids=["few units", "many units"])
def test_units_that_are_alike_are_weighed_together_by_the_same_law(n_units):
    alike = np.repeat([[0.0, 1.0], [1.0, 0.0]], [n_units // 4, n_units - n_units // 4], axis=0)
    unlike = np.column_stack([alike, np.arange(n_units)])

    together, apart = (
        resample_totals(statistics, resamples=20_000, rng=np.random.default_rng(3))[:, 0]
        for statistics in (alike, unlike)
    )

    levels = [0.025, 0.25, 0.5, 0.75, 0.975]
    np.testing.assert_allclose(np.quantile(together, levels), np.quantile(apart, levels), rtol=0.03)


def test_no_unit_of_two_gets_all_the_weight():
    drawn = resample_totals(np.eye(2), resamples=1000, rng=np.random.default_rng(0))

    assert (drawn > 0).all()
    assert np.quantile(drawn[:, 0], [0.025, 0.975]) == pytest.approx([0, 2], abs=0.01)


def test_one_seed_gives_the_same_bytes_and_another_gives_others():
    statistics = np.random.default_rng(0).random((50, 3))

    first, again, other = (
        resample_totals(statistics, resamples=20, rng=np.random.default_rng(seed)).tobytes() for seed in (1, 1, 2)
    )

    assert first == again != other


def test_working_in_blocks_gives_the_same_draws(monkeypatch):
    statistics = np.arange(30.0).reshape(10, 3)
    whole = resample_totals(statistics, resamples=100, rng=np.random.default_rng(1))
    monkeypatch.setattr("voxemo.scoring.bootstrap._BLOCK_CELLS", 70)

    in_blocks = resample_totals(statistics, resamples=100, rng=np.random.default_rng(1))
    np.testing.assert_allclose(in_blocks, whole, rtol=1e-12)


def test_no_units_have_empty_resamples():
    assert resample_totals(np.empty((0, 2)), resamples=3, rng=np.random.default_rng(0)).tolist() == [[0, 0]] * 3


def test_the_interval_leaves_undefined_resamples_out():
    values = np.append(np.linspace(0, 1, 101), [np.nan] * 50)

    assert percentile_interval(values, value=0.5, level=0.95) == pytest.approx((0.025, 0.975))


@pytest.mark.parametrize("values", [np.array([]), np.array([np.nan, np.nan])])
def test_an_interval_of_nothing_is_undefined(values):
    assert np.isnan(percentile_interval(values, value=0.5, level=0.95)).all()


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array), st.floats(0, 1), st.floats(0.5, 0.99))
def test_the_value_lies_inside_the_interval_and_the_interval_inside_what_was_seen(draws, value, level):
    low, high = percentile_interval(draws, value=value, level=level)

    assert low - 1e-12 <= value <= high + 1e-12
    assert min(draws.min(), value) <= low + 1e-12
    assert high - 1e-12 <= max(draws.max(), value)


def test_resamples_on_one_side_of_the_value_are_shifted_to_it():
    draws = np.linspace(0.2, 0.6, 401)

    # Their middle is at 0.4, nine tenths reach from 0.22 to 0.58; 0.68 is beyond every resample and the value.
    assert percentile_interval(draws, value=0.5, level=0.9) == pytest.approx((0.32, 0.6))
