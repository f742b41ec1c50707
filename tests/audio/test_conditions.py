"""What is heard in place of a clip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.audio.conditions import heard, noise, partners
from voxemo.core.types import AUDIO_CONDITIONS, AudioCondition

CLIP = np.sin(np.arange(8000, dtype=np.float32) / 7) * 0.3


@pytest.mark.parametrize("condition", AUDIO_CONDITIONS)
def test_what_is_heard_is_as_long_as_the_clip(condition: AudioCondition) -> None:
    found = heard(CLIP, condition, key="a")

    assert (found.shape, found.dtype) == (CLIP.shape, np.float32)
    assert heard(CLIP[:0], condition, key="a").size == 0


def test_silence_is_silent_and_clean_is_the_clip() -> None:
    assert not heard(CLIP, "silence", key="a").any()
    assert heard(CLIP, "clean", key="a") is CLIP


def test_noise_is_as_strong_as_the_clip_and_nothing_like_it() -> None:
    found = noise(CLIP, key="a")

    assert np.mean(found**2) == pytest.approx(np.mean(CLIP**2), rel=1e-4)
    assert abs(np.corrcoef(found, CLIP)[0, 1]) < 0.05
    assert np.array_equal(found, noise(CLIP, key="a"))
    assert not np.array_equal(found, noise(CLIP, key="b"))
    assert not noise(np.zeros(100, np.float32), key="a").any()


@given(st.sets(st.text(min_size=1), min_size=2, max_size=40))
def test_every_clip_is_heard_once_by_another(names: set[str]) -> None:
    found = partners(names)

    assert set(found) == set(found.values()) == names
    assert all(name != other for name, other in found.items())
    assert found == partners(sorted(names))


def test_one_alone_hears_itself() -> None:
    assert partners(["a"]) == {"a": "a"}
