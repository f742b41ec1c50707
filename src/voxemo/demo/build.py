"""Make the corpus `demo` again: ``python -m voxemo.demo.build FOLDER``. Needs the extra ``demo``; a minute or two.

The same seed gives the same design on any machine, and the same sound and votes with the same versions of espeak-ng and
of the Opus encoder. What is shipped lies in ``shipped/``.
"""

import argparse
import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from voxemo.audio.load import SAMPLE_RATE_HZ, load_audio
from voxemo.demo.design import SETTINGS, Clip, design, plain_readings, sentences, voices
from voxemo.demo.listeners import LISTENERS, Experience, learn, vote
from voxemo.demo.measure import Array, measure, vector
from voxemo.demo.synthesis import synthesise

SEED = 2026
N_SENTENCES = 7
N_PLAIN = 6
N_LEARNED = 3
"""Sentences per emotion and voice of the training pool that the listeners' experience comes from."""
COMPRESSION = 0.95
"""libsndfile's scale for Opus: about 21 kbit/s here."""


def corpus_clips(seed: int = SEED) -> tuple[Clip, ...]:
    """The clips of the corpus."""
    return tuple(design(voices("corpus"), sentences("corpus"), n_sentences=N_SENTENCES, seed=seed, manner="corpus"))


def plain_voices(heard: Mapping[str, Array], plain: Iterable[Clip]) -> dict[str, Array]:
    """Voice to the median of its measures over its plain readings."""
    readings: dict[str, list[Array]] = {}
    for clip in plain:
        readings.setdefault(clip.voice.voice_id, []).append(heard[clip.name])
    return {voice_id: np.median(measures, axis=0) for voice_id, measures in readings.items()}


def against_plain(heard: Mapping[str, Array], clips: Sequence[Clip], plain: Mapping[str, Array]) -> Array:
    """Measures of clips against their voices' plain readings, shape (n_clips, n_measures)."""
    return np.stack([heard[clip.name] - plain[clip.voice.voice_id] for clip in clips])


def experience_of_other_voices(seed: int) -> Experience:
    """What the listeners know: voices that play as the corpus's do. The corpus's own they never heard before."""
    others = voices("training")
    clips = list(design(others, sentences("training"), n_sentences=N_LEARNED, seed=seed, manner="corpus"))
    plain = list(plain_readings(others, sentences("training"), n_sentences=N_PLAIN))
    heard = {clip.name: vector(measure(samples)) for clip, samples in synthesise([*clips, *plain])}
    return learn(against_plain(heard, clips, plain_voices(heard, plain)), [clip.label for clip in clips])


def plain_corpus_voices() -> dict[str, Array]:
    """The plain voices of the corpus, on sentences that do not occur in it."""
    plain = list(plain_readings(voices("corpus"), sentences("training"), n_sentences=N_PLAIN))
    return plain_voices({clip.name: vector(measure(samples)) for clip, samples in synthesise(plain)}, plain)


def listen(
    clips: Sequence[Clip], heard: Mapping[str, Array], plain: Mapping[str, Array], experience: Experience, *, seed: int
) -> list[tuple[str, ...]]:
    """Every listener's word for every clip, from its sound alone."""
    keys = [f"{clip.voice.voice_id}/{clip.name.rpartition('_')[2]}" for clip in clips]
    return vote(against_plain(heard, clips, plain), keys, experience, seed=seed)


def make_demo_corpus(folder: Path, *, seed: int = SEED) -> None:
    """Write the clips as Ogg Opus, and the tables ``utterances.csv``, ``speakers.csv`` and ``votes.csv``.

    Args:
        folder: made if needed; files of an earlier call are replaced.
        seed: of everything that is drawn.

    Raises:
        MissingDependency: espeakng-loader is not installed.
        SynthesisFailed: espeak-ng does not know one of the voices.
    """
    sound = folder / "clips"
    sound.mkdir(parents=True, exist_ok=True)
    clips = corpus_clips(seed)
    heard = {}
    for clip, samples in synthesise(clips):
        path = sound / f"{clip.name}.opus"
        soundfile.write(path, samples, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
        # Listeners hear what is shipped, not what went into the encoder.
        heard[clip.name] = vector(measure(load_audio(path)))
    votes = listen(clips, heard, plain_corpus_voices(), experience_of_other_voices(seed), seed=seed)
    _write_table(folder / "utterances.csv", utterance_rows(clips))
    _write_table(folder / "speakers.csv", ({"voice": v.voice_id, "gender": v.gender} for v in voices("corpus")))
    answers = (
        {"clip": clip.name, **dict(zip(LISTENERS, said, strict=True))} for clip, said in zip(clips, votes, strict=True)
    )
    _write_table(folder / "votes.csv", answers)


def utterance_rows(clips: Iterable[Clip]) -> list[dict[str, str]]:
    """The table of what was said and how it was meant to sound; settings with three decimals."""
    rows = [
        {
            "clip": clip.name,
            "transcript": clip.sentence.text,
            **{name: f"{getattr(clip.prosody, name):.3f}" for name in SETTINGS},
        }
        for clip in clips
    ]
    return sorted(rows, key=lambda row: row["clip"])


def _write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    listed = sorted(rows, key=lambda row: str(next(iter(row.values()))))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, listed[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(listed)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Make the corpus `demo`.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    make_demo_corpus(given.folder, seed=given.seed)


if __name__ == "__main__":
    main()
