"""Tiny checkpoints with lessons about made-up clips, as a training has them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from voxemo.backends.base import Waveform
from voxemo.backends.local.adapters import Adapter, attach_adapter
from voxemo.backends.local.hearing import Hearing
from voxemo.backends.local.loading import LoadedModel
from voxemo.training.lessons import Lesson, LessonWriter

Load = Callable[[str], LoadedModel]

PROMPT = "Choose exactly one emotion label from this closed set: Angry, Happy, Neutral, Sad."
TARGETS = ("FINAL LABEL: Angry", "FINAL LABEL: Happy", "FINAL LABEL: Neutral, I think", "FINAL LABEL: Sad")
SECONDS = (0.4, 1.0, 2.3, 0.7, 1.0, 3.1, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """A loaded tiny model, and what there is to learn."""

    loaded: LoadedModel
    samples: dict[str, Waveform]
    embeddings: dict[str, torch.Tensor]
    lessons: list[Lesson]

    def adapter(self, *, seed: int = 0, acts: bool = False) -> Adapter:
        """A fresh adapter in place of one that was there; one that ``acts`` changes what the model answers."""
        adapter = attach_adapter(self.loaded.model, rank=4, alpha=8, seed=seed)
        if acts:
            numbers = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for name, parameter in adapter.parameters.items():
                    if "lora_B" in name:
                        parameter.normal_(0, 0.05, generator=numbers)
        return adapter


def make_school(loaded: LoadedModel) -> School:
    rng = np.random.default_rng(0)
    samples = {
        f"clip{n}": (0.1 * rng.standard_normal(round(seconds * 16_000))).astype(np.float32)
        for n, seconds in enumerate(SECONDS)
    }
    hearing = Hearing(loaded.model, loaded.processor.feature_extractor)
    tokenizer = loaded.processor.tokenizer
    writer = LessonWriter(
        loaded.processor, stop_ids={tokenizer.eos_token_id}, audio_token=loaded.model.config.audio_token_id
    )
    return School(
        loaded=loaded,
        samples=samples,
        embeddings=dict(zip(samples, hearing.embed(list(samples.values())), strict=True)),
        lessons=[
            Lesson(utterance_id=f"toy/{key}", audio_key=key, words=writer.write(PROMPT, TARGETS[n % len(TARGETS)]))
            for n, key in enumerate(samples)
        ],
    )
