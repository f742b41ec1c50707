"""Speech to learn from: many speakers made of the training pool's voices, what they say, and how it sounds.

No voice, no phrase and no clip of it occurs in the corpus `demo`.
"""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import joblib
import numpy as np
import numpy.typing as npt
import soundfile

from voxemo.audio.load import SAMPLE_RATE_HZ, Waveform
from voxemo.demo.build import COMPRESSION, N_PLAIN, against_plain, plain_voices
from voxemo.demo.design import Voice, design, normal, plain_readings, sentences, uniform, voices
from voxemo.demo.listeners import learn, vote
from voxemo.demo.measure import Array, measure, vector
from voxemo.demo.synthesis import synthesise
from voxemo.demo.tiny.contour import contour
from voxemo.demo.tiny.sentences import draw_sentences

COMPRESSED = 1 / 3
"""Share of the clips that go through the corpus's lossy codec and back."""
FULL_SCALE = np.float32(2**15 - 1)
SITTINGS = 3
"""Times that each simulated listener hears each clip: ten votes each."""
SPREAD = {"size": 0.03, "words_per_minute": 5.0, "range": 5.0, "level_db": 0.5}
"""Standard deviations of a speaker's habits around those of their voice."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """One clip to learn from."""

    name: str
    language: str
    label: str
    transcript: str
    samples: npt.NDArray[np.int16]
    """Mono at 16 kHz, shape (n_samples,)."""
    measures: Array
    """What was measured, in the order of ``MEASURES``."""
    against_plain: Array
    """The same against the speaker's plain reading."""
    contour: npt.NDArray[np.float32]
    """What was measured moment by moment, as ``contour`` has it."""

    @property
    def waveform(self) -> Waveform:
        """Samples from -1 to 1."""
        return np.asarray(self.samples, np.float32) / FULL_SCALE


def speakers(per_voice: int, *, seed: int) -> tuple[Voice, ...]:
    """So many speakers of each training voice, with habits around its own: "x01a", "x01b", ..."""
    found = []
    for voice in voices("training"):
        for number in range(per_voice):
            voice_id = f"{voice.voice_id}{chr(ord('a') + number)}"
            habits = {name: getattr(voice, name) + sd * normal(seed, voice_id, name) for name, sd in SPREAD.items()}
            whole = {name: round(habits[name]) for name in ("words_per_minute", "range")}
            found.append(replace(voice, voice_id=voice_id, **{**habits, **whole}))
    return tuple(found)


def hear(speaker: Voice, *, n_sentences: int, seed: int) -> list[Reading]:
    """Let one speaker read sentences, each with every emotion, and measure every clip against a plain reading."""
    texts = draw_sentences(speaker, n_sentences, seed=seed)
    clips = list(design([speaker], texts, n_sentences=n_sentences, seed=seed, manner="training"))
    plain = list(plain_readings([speaker], sentences("training"), n_sentences=N_PLAIN))
    sound = {
        clip.name: through_codec(samples) if uniform(seed, clip.name, "codec") < COMPRESSED else samples
        for clip, samples in synthesise([*clips, *plain], jobs=1, leave_out_failed=True)
    }
    clips, plain = ([clip for clip in part if clip.name in sound] for part in (clips, plain))
    heard = {name: vector(measure(samples)) for name, samples in sound.items()}
    relative = against_plain(heard, clips, plain_voices(heard, plain))
    return [
        Reading(
            name=clip.name,
            language=clip.voice.language,
            label=clip.label,
            transcript=clip.sentence.text,
            samples=np.round(sound[clip.name] * FULL_SCALE).astype(np.int16),
            measures=heard[clip.name],
            against_plain=row,
            contour=contour(sound[clip.name]),
        )
        for clip, row in zip(clips, relative, strict=True)
    ]


def read_aloud(who: Sequence[Voice], *, n_sentences: int, seed: int) -> Iterator[Reading]:
    """Let all speakers read, several at a time on as many processors; some 35 clips a second on two.

    Raises:
        MissingDependency: espeakng-loader is not installed.
    """
    each = joblib.Parallel(n_jobs=-1, return_as="generator")(
        joblib.delayed(hear)(speaker, n_sentences=n_sentences, seed=seed) for speaker in who
    )
    return chain.from_iterable(each)


def shares_of_votes(readings: Sequence[Reading], *, seed: int) -> list[dict[str, float]]:
    """For each clip, emotion to the share of the simulated listeners' votes; emotions that nobody named are left out.

    They are the corpus's listeners, who know the emotions from these very clips, and hear every clip several times.
    """
    heard = np.stack([reading.against_plain for reading in readings])
    experience = learn(heard, [reading.label for reading in readings])
    votes: list[Counter[str]] = [Counter() for _ in readings]
    for sitting in range(SITTINGS):
        keys = [f"{reading.name}/{sitting}" for reading in readings]
        for counter, said in zip(votes, vote(heard, keys, experience, seed=seed), strict=True):
            counter.update(said)
    return [{label: n / counter.total() for label, n in sorted(counter.items())} for counter in votes]


def through_codec(samples: Waveform) -> Waveform:
    """Encode as the corpus's clips are, and decode again."""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return np.asarray(decoded, np.float32)
