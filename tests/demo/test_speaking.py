"""Speaking, measuring and listening: what makes the corpus `demo`."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.core.errors import MissingDependency
from voxemo.demo import synthesis
from voxemo.demo.build import listen
from voxemo.demo.design import Clip, Pool, Prosody, design, labels, plain_readings, sentences, voices
from voxemo.demo.listeners import LISTENERS, Experience, learn, vote
from voxemo.demo.measure import MEASURES, measure
from voxemo.demo.synthesis import SynthesisFailed, request, synthesise

RATE_HZ = 16_000
N_MEASURES = len(MEASURES)


def plain(text: int = 0, **settings: float) -> Clip:
    voice = voices("corpus")[0]
    own = [sentence for sentence in sentences("corpus") if sentence.language == voice.language]
    return Clip(name="v01_en_x_01", voice=voice, sentence=own[text], label="neutral", prosody=Prosody(**settings))


# --- speaking ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["corpus", "training"])
def test_every_voice_makes_the_same_sound_again_in_any_company(pool: Pool) -> None:
    clips = list(plain_readings(voices(pool), sentences(pool), n_sentences=1))

    forth = {clip.name: samples for clip, samples in synthesise(clips, jobs=1)}
    back = {clip.name: samples for clip, samples in synthesise(clips[::-1], jobs=2)}

    assert len(forth) == len(voices(pool))
    assert [name for name, samples in back.items() if not np.array_equal(forth[name], samples)] == []


@pytest.mark.parametrize(
    ("setting", "value", "least", "most"),
    [
        ("pitch", 4.0, 3.0, 5.0),
        ("range", 0.8, 0.2, 1.5),
        ("rise", 5.0, 3.0, 7.0),
        ("tremble", 1.0, 0.3, 1.2),
        ("level", 6.0, 5.5, 6.5),
        ("brightness", 6.0, 2.0, 7.0),
        ("rate", 0.5, 0.2, 0.8),
        ("pause", 0.4, 0.25, 0.6),
    ],
)
def test_each_setting_is_heard_as_what_it_is(setting: str, value: float, least: float, most: float) -> None:
    habit, changed = (measure(samples) for _, samples in synthesise([plain(), plain(**{setting: value})], jobs=1))

    assert least <= getattr(changed, setting) - getattr(habit, setting) <= most


def test_a_voice_that_espeak_does_not_know_is_an_error_that_names_it() -> None:
    clip = plain()

    with pytest.raises(SynthesisFailed, match=r"xx\+nobody"):
        list(synthesise([replace(clip, voice=replace(clip.voice, espeak="xx+nobody"))]))


def test_without_the_package_the_error_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "find_spec", lambda name: None)

    with pytest.raises(MissingDependency, match=r"\[demo\]"):
        list(synthesise([plain()]))


def test_the_synthesiser_is_never_loaded_into_this_process() -> None:
    list(synthesise([plain()]))

    assert "espeakng_loader" not in sys.modules


def test_special_characters_of_a_sentence_are_no_markup() -> None:
    clip = plain()
    odd = replace(clip, sentence=replace(clip.sentence, opening="Salt & pepper", ending="cost <5 euros."))

    assert "&amp;" in request(odd)["ssml"]
    assert "&lt;5" in request(odd)["ssml"]


# --- measuring ---------------------------------------------------------------------------------------------------


@given(hz=st.floats(80, 400), level_db=st.floats(-40, -10))
def test_a_harmonic_tone_has_its_own_pitch_and_level(hz: float, level_db: float) -> None:
    time_s = np.arange(RATE_HZ) / RATE_HZ
    tone = sum(np.sin(2 * np.pi * hz * number * time_s) / number for number in (1, 2, 3, 4))
    tone = tone / np.sqrt(np.mean(tone**2)) * 10 ** (level_db / 20)

    found = measure(tone.astype(np.float32))

    assert found.pitch == pytest.approx(12 * np.log2(hz / 100), abs=0.2)
    assert found.level == pytest.approx(level_db, abs=0.2)
    assert found.pause == 0


# --- listening ---------------------------------------------------------------------------------------------------


def experience() -> Experience:
    rng = np.random.default_rng(0)
    return Experience(labels=labels(), centres=rng.normal(0, 2, (6, N_MEASURES)), spread=np.ones(N_MEASURES))


def test_listeners_know_no_label() -> None:
    clips = list(design(voices("corpus")[:2], sentences("corpus"), n_sentences=2, seed=3, manner="corpus"))
    rng = np.random.default_rng(1)
    sound = rng.normal(0, 1.5, (len(clips), N_MEASURES))
    shifted = [
        replace(clip, label=other.label, name=clip.name.replace(clip.label, other.label))
        for clip, other in zip(clips, clips[1:] + clips[:1], strict=True)
    ]
    nothing = {voice.voice_id: np.zeros(N_MEASURES) for voice in voices("corpus")}

    told, relabelled = (
        listen(some, {clip.name: row for clip, row in zip(some, sound, strict=True)}, nothing, experience(), seed=1)
        for some in (clips, shifted)
    )

    assert [clip.label for clip in clips] != [clip.label for clip in shifted]
    assert told == relabelled


@given(seed=st.integers(0, 2**32 - 1))
def test_every_listener_answers_each_clip_alike_in_any_order(seed: int) -> None:
    heard = np.random.default_rng(seed).normal(0, 2, (8, N_MEASURES))
    keys = [f"v01/{number}" for number in range(8)]

    forth = vote(heard, keys, experience(), seed=seed)
    back = vote(heard[::-1], keys[::-1], experience(), seed=seed)

    assert {len(answers) for answers in forth} == {len(LISTENERS)}
    assert forth == back[::-1]


def test_listeners_differ_and_mostly_name_the_nearest_emotion() -> None:
    known = experience()
    heard = np.repeat(known.centres, 50, axis=0)

    answers = np.array(vote(heard, [str(number) for number in range(len(heard))], known, seed=1))

    assert (answers == np.repeat(known.labels, 50)[:, np.newaxis]).mean() > 0.8
    assert len({tuple(column) for column in answers.T}) == len(LISTENERS)


def test_experience_is_the_centre_of_each_emotion_and_the_spread_around_it() -> None:
    heard = np.array([[0.0, 1.0], [2.0, 1.0], [10.0, 5.0], [12.0, 5.0]])

    learned = learn(heard, ["sad", "sad", "angry", "angry"])

    assert learned.labels == ("angry", "sad")
    np.testing.assert_allclose(learned.centres, [[11.0, 5.0], [1.0, 1.0]])
    np.testing.assert_allclose(learned.spread, [1.0, 0.0])
