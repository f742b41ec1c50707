"""Make the model `voxemo-tiny` again: ``python -m voxemo.demo.tiny.train FOLDER``, with the extras ``demo`` and ``hf``.

Everything is trained from scratch: speech is made of the training pool's voices and sentences, the tower learns to hear
it, the language model to answer about it. The same seed gives the same weights on one machine with the same versions
and number of processors. What is shipped lies in ``checkpoint/``.
"""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.demo.design import Voice
from voxemo.demo.tiny.answers import Heard, describe
from voxemo.demo.tiny.architecture import make_model, make_processor
from voxemo.demo.tiny.batches import OnStep, Schedule
from voxemo.demo.tiny.learn_answering import learn_answering, tower_outputs
from voxemo.demo.tiny.learn_hearing import Features, Targets, learn_hearing
from voxemo.demo.tiny.questions import tokenizer_texts
from voxemo.demo.tiny.speech import Reading, read_aloud, shares_of_votes, speakers
from voxemo.demo.tiny.tokenizer import train_tokenizer

LOGGER = logging.getLogger(__name__)
TRAINING_RECORD = "training.json"
HEARING = Schedule(n_steps=4000, batch_size=32, peak=1e-3)
ANSWERING = Schedule(n_steps=2700, batch_size=32, peak=1.6e-3)
SAID_EVERY = 100
"""Steps between two lines of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is learned, of what, and how."""

    seed: int = 2026
    speakers_per_voice: int = 8
    n_sentences: int = 12
    """Sentences that each speaker reads with every emotion."""
    hearing: Schedule = HEARING
    answering: Schedule = ANSWERING


def train(
    folder: Path,
    plan: Plan,
    *,
    who: Sequence[Voice] | None = None,
    device: str = "cpu",
) -> None:
    """Train the model and write its checkpoint.

    Args:
        folder: gets weights at half precision, configuration, tokenizer, processor and ``training.json``.
        plan: what to do.
        who: speakers; by default the plan's.
        device: torch's name.

    Raises:
        MissingDependency: espeakng-loader is not installed.
    """
    started = time.monotonic()
    chosen = speakers(plan.speakers_per_voice, seed=plan.seed) if who is None else who
    readings = []
    for reading in read_aloud(chosen, n_sentences=plan.n_sentences, seed=plan.seed):
        readings.append(reading)
        if len(readings) % 1000 == 0:
            LOGGER.info(f"speech: {len(readings)} clips, {time.monotonic() - started:.0f} s")
    heard = what_is_heard(readings, seed=plan.seed)
    tokenizer = train_tokenizer(tokenizer_texts(heard, seed=plan.seed))
    processor = make_processor(tokenizer)
    torch.manual_seed(plan.seed)
    model = make_model(tokenizer).to(device)
    features = Features.of(readings, processor.feature_extractor)
    learn_hearing(
        model,
        features,
        Targets.of(readings),
        plan.hearing,
        rng=np.random.default_rng([plan.seed, 1]),
        device=device,
        on_step=_say("hearing", plan.hearing, started),
    )
    learn_answering(
        model,
        processor,
        heard,
        tower_outputs(model, features, device),
        plan.answering,
        rng=np.random.default_rng([plan.seed, 2]),
        device=device,
        on_step=_say("answering", plan.answering, started),
    )
    write_checkpoint(folder, model, processor)
    record = {
        "plan": asdict(plan),
        "n_clips": len(readings),
        "hours": round(sum(len(reading.samples) for reading in readings) / SAMPLE_RATE_HZ / 3600, 2),
        "n_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "device": device,
        "n_threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers", "espeakng-loader")},
    }
    (folder / TRAINING_RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _say(title: str, schedule: Schedule, started: float) -> OnStep:
    def say(done: int, loss: float) -> None:
        if done % SAID_EVERY == 0 or done == schedule.n_steps:
            passed_s = time.monotonic() - started
            LOGGER.info(f"{title}: {done} of {schedule.n_steps} steps, loss {loss:.3f}, {passed_s:.0f} s")

    return say


def what_is_heard(readings: Sequence[Reading], *, seed: int) -> list[Heard]:
    """What there is to say about each clip."""
    shares = shares_of_votes(readings, seed=seed)
    return [
        Heard(label=reading.label, shares=share, transcript=reading.transcript, cues=describe(reading.measures))
        for reading, share in zip(readings, shares, strict=True)
    ]


def write_checkpoint(folder: Path, model: Any, processor: Any) -> None:
    """Write a model as checkpoints of its class are, at half precision."""
    tokenizer = processor.tokenizer
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.to("cpu", torch.float16).save_pretrained(folder)
    processor.save_pretrained(folder)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the model `voxemo-tiny`.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=Plan().seed)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(given.folder, replace(Plan(), seed=given.seed), device=given.device)


if __name__ == "__main__":
    main()
