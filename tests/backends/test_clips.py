import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.backends.local.clips import FittedClip, RefusedClip, fit_clip
from voxemo.core.cards import AudioLimits


@given(n_samples=st.integers(0, 60_000), beyond=st.sampled_from(["truncate", "window"]))
def test_a_fitted_clip_keeps_its_samples_and_the_limits_and_names_every_change(n_samples: int, beyond: str) -> None:
    samples = np.arange(1, n_samples + 1, dtype=np.float32)

    clip = fit_clip(samples, AudioLimits(max_s=2.0, min_s=0.1, beyond=beyond))

    assert isinstance(clip, FittedClip)
    assert 1_600 <= clip.samples.size <= 32_000
    kept = min(n_samples, 32_000)
    assert np.array_equal(clip.samples[:kept], samples[:kept])
    assert not clip.samples[kept:].any()
    assert clip.handling == ("padded" if n_samples < 1_600 else "truncated" if n_samples > 32_000 else None)
    assert clip.samples.dtype == np.float32


def test_a_clip_beyond_the_limit_is_refused_where_the_card_says_error() -> None:
    limits = AudioLimits(max_s=30.0, beyond="error")

    refused = fit_clip(np.zeros(45 * 16_000, np.float32), limits)

    assert refused == RefusedClip("the clip is 45.0 s long; the model's card refuses more than 30 s")
    assert isinstance(fit_clip(np.zeros(30 * 16_000, np.float32), limits), FittedClip)


def test_a_clip_of_any_length_is_kept_whole_without_a_limit() -> None:
    samples = np.ones(700_000, np.float32)

    clip = fit_clip(samples, AudioLimits())

    assert isinstance(clip, FittedClip)
    assert clip.samples is samples
    assert clip.handling is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(bad: float) -> None:
    samples = np.zeros(16_000, np.float32)
    samples[7] = bad

    assert isinstance(fit_clip(samples, AudioLimits()), RefusedClip)
