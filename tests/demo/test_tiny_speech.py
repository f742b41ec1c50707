"""What `voxemo-tiny` learns from: its sentences, and what is to be heard at every moment."""

import re

import numpy as np
import pytest
import torch

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.demo.design import sentences, voices
from voxemo.demo.measure import nuclei
from voxemo.demo.tiny.contour import LEVEL_DB, PITCH_SEMITONES, VALUES, YES_OR_NO, contour
from voxemo.demo.tiny.learn_hearing import contour_loss
from voxemo.demo.tiny.sentences import SLOT, _facts, draw_sentences

LANGUAGES = sorted({voice.language for voice in voices("training")})
COLUMNS = (*YES_OR_NO, *VALUES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_slot_has_words_and_every_list_is_used(language: str) -> None:
    facts = _facts()[language]
    used = set(SLOT.findall(" ".join([*facts["openings"], *facts["endings"]])))

    assert used == set(facts) - {"openings", "endings"}
    assert all(len(set(words)) == len(words) > 1 for name, words in facts.items() if name in used)


@pytest.mark.parametrize("language", LANGUAGES)
def test_most_words_of_the_corpus_are_learned(language: str) -> None:
    known = set(re.findall(r"\w+", str(_facts()[language]).casefold()))
    tested = {word for one in sentences("corpus") if one.language == language for word in re.findall(r"\w+", one.text)}

    assert np.mean([word.casefold() in known for word in tested]) > 0.9


def test_sentences_are_many_and_the_same_each_time() -> None:
    drawn = [one.text for voice in voices("training") for one in draw_sentences(voice, 12, seed=3)]

    assert len(set(drawn)) > 0.95 * len(drawn)
    assert drawn == [one.text for voice in voices("training") for one in draw_sentences(voice, 12, seed=3)]
    assert drawn != [one.text for voice in voices("training") for one in draw_sentences(voice, 12, seed=4)]
    assert all(text.endswith(".") and "{" not in text and "  " not in text for text in drawn)


def spoken(bursts_s: list[tuple[float, float]], *, duration_s: float, pitch_hz: float) -> np.ndarray:
    """A buzz at a pitch that swells and fades within each burst."""
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    buzz = sum(np.sin(2 * np.pi * pitch_hz * n * time_s) / n for n in range(1, 15))
    swell = sum(
        np.where((time_s > start) & (time_s < end), np.sin(np.pi * (time_s - start) / (end - start)), 0.0)
        for start, end in bursts_s
    )
    return (0.2 * buzz * swell).astype(np.float32)


def test_the_contour_says_when_there_is_speech_how_high_and_how_loud() -> None:
    bursts = [(0.2, 0.5), (0.7, 1.0), (1.3, 1.6)]
    samples = spoken(bursts, duration_s=1.9, pitch_hz=150.0)

    found = dict(zip(COLUMNS, contour(samples).T, strict=True))

    assert len(found["active"]) == np.ceil(len(samples) / 320)
    assert nuclei(samples) == pytest.approx([0.35, 0.85, 1.45], abs=0.05)
    assert found["nucleus"].sum() == 9
    for start, end in bursts:
        middle = round((start + end) / 2 / 0.02)
        assert found["active"][middle] == found["voiced"][middle] == 1
    assert found["active"][30] == found["voiced"][30] == found["nucleus"][30] == 0
    voiced = found["voiced"] == 1
    semitones = found["pitch"][voiced] * PITCH_SEMITONES[1] + PITCH_SEMITONES[0]
    assert semitones == pytest.approx(12 * np.log2(1.5), abs=0.2)
    louder = contour(2 * samples)[:, len(YES_OR_NO)]
    assert (louder - found["level"])[voiced] * LEVEL_DB[1] == pytest.approx(20 * np.log10(2), abs=0.01)


def test_pitch_counts_only_where_there_is_one() -> None:
    true = torch.zeros(4, len(COLUMNS))
    said = torch.zeros(4, len(COLUMNS))
    said[:, COLUMNS.index("pitch")] = 3.0

    unvoiced = contour_loss(said, true)
    true[:, COLUMNS.index("voiced")] = 1.0

    assert unvoiced == contour_loss(torch.zeros_like(said), torch.zeros_like(true))
    assert contour_loss(said, true) > unvoiced + 1
