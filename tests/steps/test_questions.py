"""Clips are loaded ahead of the model, never far ahead of it, and no error is lost on the way."""

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from voxemo.audio.load import Waveform
from voxemo.backends.base import Question
from voxemo.core.errors import AudioError
from voxemo.core.labels import LabelSet
from voxemo.steps.questions import load_ahead

PATIENCE_S = 30.0


class Clips:
    """Clips that tell when they are loaded; those called "bad" cannot be."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.changed = threading.Condition()

    def question(self, clip: str, prompt: str = "Which emotion is it?") -> Question:
        return Question(
            request_id=f"{clip}/{prompt}",
            utterance_id=clip,
            variant_id="direct",
            form="hard",
            prompt=prompt,
            label_set=LabelSet(("angry", "happy")),
            audio_key=clip,
            load_audio=lambda: self.load(clip),
        )

    def load(self, clip: str) -> Waveform:
        with self.changed:
            self.loaded.append(clip)
            self.changed.notify_all()
        if clip == "bad":
            raise AudioError("bad.wav", "it is damaged")
        return np.full(3, len(self.loaded), dtype=np.float32)

    def wait_for(self, *clips: str) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: set(clips) <= set(self.loaded), PATIENCE_S)


@pytest.fixture
def clips() -> Clips:
    return Clips()


@pytest.fixture
def no_thread_is_left() -> Callable[[], bool]:
    before = set(threading.enumerate())

    def ended() -> bool:
        until = time.monotonic() + PATIENCE_S
        while set(threading.enumerate()) - before and time.monotonic() < until:
            time.sleep(0.01)
        return not set(threading.enumerate()) - before

    return ended


def test_the_next_batch_is_loaded_while_one_is_asked_and_no_other(clips: Clips) -> None:
    batches = load_ahead([clips.question(f"{batch}{number}") for number in "ab"] for batch in "123")

    first = next(batches)

    # Nobody has called for a clip yet.
    assert [question.utterance_id for question in first] == ["1a", "1b"]
    assert clips.wait_for("1a", "1b", "2a", "2b")
    time.sleep(0.05)
    assert {clip for clip in clips.loaded if clip.startswith("3")} == set()

    for question in (question for batch in batches for question in batch):
        question.load_audio()
    assert sorted(clips.loaded) == ["1a", "1b", "2a", "2b", "3a", "3b"]


def test_a_clip_is_loaded_once_for_all_its_questions(clips: Clips) -> None:
    questions = [clips.question("a"), clips.question("a", "And now?"), clips.question("b")]
    batches = load_ahead([questions])
    one, other, third = next(batches)

    assert one.load_audio() is other.load_audio() is one.load_audio()
    assert one.prompt != other.prompt
    assert third.load_audio() is not one.load_audio()
    assert sorted(clips.loaded) == ["a", "b"]


def test_a_clip_that_fails_does_so_where_it_is_asked_for(clips: Clips) -> None:
    batches = load_ahead([[clips.question("bad"), clips.question("good")]])
    bad, good = next(batches)

    assert good.load_audio().shape == (3,)
    for _ in range(2):
        with pytest.raises(AudioError, match=r"bad\.wav: it is damaged"):
            bad.load_audio()


def test_who_stops_early_leaves_no_thread(clips: Clips, no_thread_is_left: Callable[[], bool]) -> None:
    batches = load_ahead([clips.question(str(number))] for number in range(100))
    next(batches)
    batches.close()  # type: ignore[attr-defined]

    assert no_thread_is_left()
    assert len(clips.loaded) <= 2


def test_nothing_asked_is_nothing_loaded(no_thread_is_left: Callable[[], bool]) -> None:
    assert list(load_ahead([])) == []
    assert no_thread_is_left()
