"""A toy corpus of tones with emotion-like prosody, made on the spot, for tests of what is done with any corpus.

It is no speech: it has audio to decode, speakers to divide, and listeners who disagree. The corpus `demo` is for tests
in which it matters what a model hears.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from voxemo.catalog.lookup import read_document
from voxemo.core.cards import CorpusCard
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

N_VOICES = 12
CLIPS_PER_LABEL = 5
N_LISTENERS = 10
SAMPLE_RATE_HZ = 16_000

# Pitch (semitones over the voice's own), level (dB) and rate (tones per second). The spread is as wide as the
# distances between the centres, so that nothing can tell them all apart.
CENTRES = {
    "angry": (3.0, -14.0, 5.6),
    "happy": (5.0, -17.0, 5.0),
    "neutral": (0.0, -21.0, 4.4),
    "sad": (-2.0, -25.0, 3.4),
}
SPREAD = (2.2, 3.5, 0.8)

_NAME = re.compile(r"(?P<voice>t\d\d)_(?P<label>[a-z]+)_(?P<take>\d)")


def load_card() -> CorpusCard:
    """The corpus card of the toy corpus."""
    return read_document(Path(__file__).with_name("toy.toml"), CorpusCard)


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every clip with its intended label, voice and the listeners' votes."""
    votes: dict[str, dict[str, float]] = {}
    for row in tree.read_csv("votes.csv", columns=("clip", "label", "votes")):
        votes.setdefault(row["clip"], {})[row["label"]] = float(row["votes"])
    for path in tree.glob("clips/*.wav"):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            continue
        counts = votes[path.stem]
        leaders = [label for label, n in counts.items() if n == max(counts.values())]
        yield ParsedUtterance(
            stem=path.stem,
            audio_path=str(path),
            speaker_id=match["voice"],
            expressed_raw=match["label"],
            perceived_raw=leaders[0] if len(leaders) == 1 else None,
            votes_raw={"all": counts},
        )


def make_toy_corpus(folder: Path, *, seed: int = 2026) -> None:
    """Write the toy corpus: 12 voices x 4 labels x 5 takes as wav files, and ``votes.csv``.

    Args:
        folder: made if needed; files of an earlier call are replaced.
        seed: gives the same prosody and votes on any machine.
    """
    rng = np.random.default_rng(seed)
    clips = folder / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["clip", "label", "votes"])
    bias = rng.normal(0, 0.5, (N_LISTENERS, len(CENTRES)))
    for voice in range(N_VOICES):
        base_hz = float(rng.uniform(95, 240))
        tilt = float(rng.uniform(0.7, 1.6))
        for label, centre in CENTRES.items():
            for take in range(CLIPS_PER_LABEL):
                prosody = np.asarray(centre) + rng.normal(0, 1, 3) * SPREAD
                name = f"t{voice:02d}_{label}_{take}"
                samples = _tones(prosody, base_hz=base_hz, tilt=tilt, rng=rng)
                soundfile.write(clips / f"{name}.wav", samples, SAMPLE_RATE_HZ, subtype="PCM_16")
                for heard, n in zip(CENTRES, _votes(prosody, bias, rng), strict=True):
                    writer.writerow([name, heard, int(n)])
    (folder / "votes.csv").write_text(table.getvalue(), encoding="utf-8")


def _tones(
    prosody: npt.NDArray[np.float64], *, base_hz: float, tilt: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """A row of harmonic tones with the asked-for pitch, level and rate; about 1.2 s."""
    semitones, level_db, rate = prosody
    pieces = []
    for _ in range(max(2, round(1.2 * max(rate, 1.5)))):
        n = int(SAMPLE_RATE_HZ / max(rate, 1.5))
        time_s = np.arange(n) / SAMPLE_RATE_HZ
        hz = base_hz * 2 ** ((semitones + rng.normal(0, 1.0)) / 12)
        glide = hz * (1 + rng.normal(0, 0.05) * time_s / time_s[-1])
        phase = 2 * np.pi * np.cumsum(glide) / SAMPLE_RATE_HZ
        voiced = sum(np.sin(k * phase) / k**tilt for k in range(1, 12))
        pieces.append(voiced * np.hanning(n))
    samples = np.concatenate(pieces) + rng.normal(0, 0.01, sum(len(piece) for piece in pieces))
    rms = float(np.sqrt(np.mean(samples**2)))
    return np.asarray(np.clip(samples / rms * 10 ** (level_db / 20), -1, 1))


def _votes(
    prosody: npt.NDArray[np.float64], bias: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Each listener hears the prosody with some error and names the nearest label, given a taste of their own."""
    heard = prosody + rng.normal(0, 0.7, (N_LISTENERS, 3)) * SPREAD
    scaled = (heard[:, None, :] - np.asarray(list(CENTRES.values()))[None]) / SPREAD
    answers = np.argmax(bias - 0.5 * np.sum(scaled**2, axis=2), axis=1)
    return np.bincount(answers, minlength=len(CENTRES))


TOY = (load_card(), parse)
"""What the entry point ``voxemo.corpora: toy`` names."""
