"""Small corpora to train on and test on: clips of the toy corpus under other names, with other labels and languages."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import soundfile

from tiny_checkpoints import build_audio_flamingo3, build_qwen2_audio, tiny_card
from voxemo.corpora.new_card import CardFacts
from voxemo.steps.new_corpus import new_corpus
from voxemo.steps.prepare import prepare_corpus
from voxemo.store.layout import Workspace

SAMPLE_RATE_HZ = 16_000


def add_corpus(
    workspace: Workspace,
    folder: Path,
    corpus_id: str,
    *,
    labels: Sequence[str],
    language: str,
    seed: int,
    n_voices: int = 2,
    n_takes: int = 4,
) -> None:
    """Prepare a corpus of short tones as a user's own; the same seed gives the same samples."""
    rng = np.random.default_rng(seed)
    clips = folder / corpus_id / "clips"
    clips.mkdir(parents=True)
    rows = []
    for voice in range(n_voices):
        for label in labels:
            for take in range(n_takes):
                name = f"{corpus_id}_{voice}_{label}_{take}.wav"
                hz = 120 + 60 * voice + 40 * list(labels).index(label)
                phase = 2 * np.pi * hz * np.arange(SAMPLE_RATE_HZ // 4) / SAMPLE_RATE_HZ
                samples = 0.2 * np.sin(phase) + rng.normal(0, 0.01, len(phase))
                soundfile.write(clips / name, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
                rows.append({"audio_path": name, "expressed": label, "speaker_id": f"{corpus_id}{voice}"})
    pl.DataFrame(rows).write_csv(folder / corpus_id / "labels.csv")
    facts = CardFacts(year=2026, languages=(language,), setting="acted", license="CC0-1.0", citation="Nobody, 2026.")
    made = new_corpus(
        corpus_id, manifest=folder / corpus_id / "labels.csv", out=folder / corpus_id / "card", facts=facts
    )
    prepare_corpus(workspace, str(made.place), clips)


def tiny_base(folder: Path, family: str = "qwen2-audio") -> Path:
    """Path to the card of a tiny random checkpoint on disk."""
    build = {"qwen2-audio": build_qwen2_audio, "audio-flamingo-3": build_audio_flamingo3}[family]
    card = tiny_card(build(folder / f"checkpoint-{family}"), family)
    path = folder / f"{card.model_id}.json"
    path.write_text(card.model_dump_json())
    return path


NORTH = ("angry", "happy", "sad")
SOUTH = ("angry", "neutral", "sad")


def small_world(folder: Path) -> Workspace:
    """A workspace with an English corpus, a German one that shares two labels with it, and a copy of the first."""
    workspace = Workspace(folder / "home")
    add_corpus(workspace, folder, "north", labels=NORTH, language="en", seed=1)
    add_corpus(workspace, folder, "south", labels=SOUTH, language="de", seed=2)
    add_corpus(workspace, folder, "mirror", labels=NORTH, language="en", seed=1)
    return workspace
