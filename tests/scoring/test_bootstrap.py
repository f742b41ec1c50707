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
def test_each_resample_draws_as_many_units_as_there_are(n_units, seed):
    drawn = resample_totals(np.eye(n_units), resamples=7, rng=np.random.default_rng(seed))

    assert drawn.shape == (7, n_units)
    assert (drawn.sum(axis=1) == n_units).all()
    np.testing.assert_array_equal(drawn, np.rint(drawn))


def test_units_are_drawn_with_equal_chance_and_as_a_multinomial():
    n_units = 20
    drawn = resample_totals(np.eye(n_units), resamples=20_000, rng=np.random.default_rng(3))

    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.05)
    np.testing.assert_allclose(drawn.var(axis=0), 1 - 1 / n_units, atol=0.06)


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

    np.testing.assert_array_equal(whole, resample_totals(statistics, resamples=100, rng=np.random.default_rng(1)))


def test_no_units_have_empty_resamples():
    assert resample_totals(np.empty((0, 2)), resamples=3, rng=np.random.default_rng(0)).tolist() == [[0, 0]] * 3


def test_the_interval_leaves_undefined_resamples_out():
    values = np.append(np.linspace(0, 1, 101), [np.nan] * 50)

    assert percentile_interval(values, level=0.95) == pytest.approx((0.025, 0.975))


@pytest.mark.parametrize("values", [np.array([]), np.array([np.nan, np.nan])])
def test_an_interval_of_nothing_is_undefined(values):
    assert np.isnan(percentile_interval(values, level=0.95)).all()
