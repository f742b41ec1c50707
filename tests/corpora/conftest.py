"""A made-up corpus, small enough to read, with every kind of label."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from voxemo.core.cards import CorpusCard

TOY = {
    "corpus_id": "toy",
    "name": "Toy",
    "version": "1",
    "year": 2020,
    "languages": ["en"],
    "setting": "acted",
    "elicitation": "scripted",
    "recording": "studio",
    "label_sources": ["expressed", "perceived"],
    "gold": "expressed",
    "layout": "verified",
    "audio_files": ["speech/*.wav"],
    "labels": {
        "names": ["angry", "happy"],
        "raw": {"A": "angry", "H": "happy"},
        "dropped": {"X": "nobody agreed"},
    },
    "perception": {
        "given": "voice only",
        "consensus": "plurality",
        "votes_released": True,
        "vote_rules": {"all": "every answer", "fast": "quick answers"},
        "default_vote_rule": "all",
    },
    "expected": {"n_utterances": 2, "n_speakers": 2, "per_label": {"angry": 1, "happy": 1}},
    "split": {"policy": "stratified_random", "seed": 1, "source": "made up", "why": "made up"},
    "access": {
        "kind": "open",
        "license": "none",
        "homepage": "none",
        "how": "It is made up.",
        "redistributable": True,
    },
    "citation": "none",
    "sources": {"labels": "made up"},
}


@pytest.fixture
def toy_card() -> CorpusCard:
    """Gold labels are the intended ones; listeners judged too."""
    return CorpusCard.model_validate(TOY)


@pytest.fixture
def heard_card() -> CorpusCard:
    """The same corpus with the listeners' labels as gold."""
    return CorpusCard.model_validate(TOY | {"gold": "perceived"})


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """Writes a short wav of noise below ``tmp_path``; the seed decides its samples."""

    def write(name: str, *, seconds: float = 0.1, seed: int = 0, rate: int = 16_000, channels: int = 1) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.random.default_rng(seed).uniform(-0.1, 0.1, (round(seconds * rate), channels))
        sf.write(path, samples, rate)
        return path

    return write
