"""What the local engine answers, written to a folder: vLLM is compared with it in an environment of its own.

``python tests/vllm_parity.py FOLDER`` writes tiny checkpoints, clips and the local engine's answers to all ten prompts.
It needs the ordinary environment; reading them needs neither torch nor transformers.
"""

import json
import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxemo.backends.base import Question, Waveform
from voxemo.catalog.lookup import prompt, prompt_names
from voxemo.core.labels import LabelSet
from voxemo.core.types import Generation, Response
from voxemo.prompts.render import render_prompt

FOLDER_VARIABLE = "VOXEMO_VLLM_EXPECTED"
FAMILIES = ("audio-flamingo-3", "qwen2-audio")
GENERATION = Generation(max_new_tokens=24)
LABELS = LabelSet(("angry", "happy", "neutral", "sad"))
SECONDS = (0.02, 0.4, 3.0, 9.7, 31.0, 45.0)
"""One below the least length, one beyond a window of 30 s, one beyond what Qwen2-Audio hears by half."""
TEN_PROMPTS = tuple(
    render_prompt(*prompt(name), label_set=LABELS, form=form)
    for name in prompt_names()
    for form in ("hard", "distribution")
)


def clip(seconds: float) -> Waveform:
    """Noise with an envelope, in steps of 16 bits, so that it reaches a server sample for sample."""
    n_samples = round(seconds * 16_000)
    envelope = np.sin(np.linspace(0, 3 + seconds, n_samples))
    samples = 0.1 * envelope * np.random.default_rng(n_samples).standard_normal(n_samples)
    return (np.rint(samples * 32_768) / 32_768).astype(np.float32)


def questions(load: Callable[[float], Waveform] = clip) -> list[Question]:
    """All ten prompts about every clip, in no order."""
    asked = [question(seconds, text, load) for seconds in SECONDS for text in TEN_PROMPTS]
    random.Random(0).shuffle(asked)
    return asked


def question(seconds: float, text: str, load: Callable[[float], Waveform] = clip, **changes: Any) -> Question:
    """One prompt about one clip, with any field replaced."""
    fields: dict[str, Any] = {
        "request_id": f"{seconds}/{text}",
        "utterance_id": f"toy/{seconds}",
        "variant_id": "direct",
        "form": "hard",
        "prompt": text,
        "label_set": LABELS,
        "audio_key": f"{seconds}",
        "load_audio": lambda: load(seconds),
    }
    return Question(**(fields | changes))


def said(responses: Sequence[Response]) -> list[list[object]]:
    """What must be equal between two engines: everything but the time it took."""
    return [[r.request_id, r.text, r.finish, r.n_prompt_tokens, r.n_new_tokens, r.audio_handling] for r in responses]


def need_vllm() -> None:
    """Skip a module of tests where ``make test-vllm`` does not run it."""
    if find_spec("vllm") is None or FOLDER_VARIABLE not in os.environ:
        pytest.skip("for vLLM's own environment: run `make test-vllm`", allow_module_level=True)


@dataclass(frozen=True, slots=True)
class Expected:
    """What `write_expected` wrote."""

    folder: Path

    def checkpoint(self, family_id: str) -> Path:
        return self.folder / family_id

    def clip(self, seconds: float) -> Waveform:
        samples: Waveform = np.load(self.folder / f"{seconds}.npy")
        return samples

    def said(self, family_id: str) -> list[list[object]]:
        """Of `questions`, in their order."""
        content: list[list[object]] = json.loads((self.folder / f"{family_id}.json").read_text(encoding="utf-8"))
        return content

    def card_file(self, family_id: str, folder: Path, **changes: str) -> Path:
        """A model card of a tiny checkpoint, as a user would write it."""
        fields = {
            "model_id": f"tiny-{family_id}",
            "name": f"Tiny random {family_id}",
            "backend": "local",
            "family": family_id,
            "repository": str(self.checkpoint(family_id)),
            "dtype": "float32",
            "training_data": "None: the weights are random.",
            "license": "Apache-2.0",
            "reference": "none",
            "support": "tested",
            **changes,
        }
        limits = {"audio-flamingo-3": 'max_s = 600.0\nbeyond = "window"', "qwen2-audio": "max_s = 30.0"}[family_id]
        lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items()]
        path = folder / f"{fields['model_id']}.toml"
        path.write_text("\n".join([*lines, "training_corpora = []", "[audio]", limits, ""]), encoding="utf-8")
        return path


def write_expected(folder: Path) -> None:
    """Write checkpoints, clips and the local engine's answers."""
    from tiny_checkpoints import BUILDERS, tiny_card
    from voxemo.backends.local.engine import LocalBackend

    for seconds in SECONDS:
        np.save(folder / f"{seconds}.npy", clip(seconds))
    for family_id in FAMILIES:
        card = tiny_card(BUILDERS[family_id](folder / family_id), family_id)
        answers = said(LocalBackend(card, GENERATION, device="cpu").answer(questions()))
        (folder / f"{family_id}.json").write_text(json.dumps(answers), encoding="utf-8")


@pytest.fixture(scope="session")
def expected() -> Expected:
    """What the local engine answers; written by ``make test-vllm``."""
    return Expected(Path(os.environ[FOLDER_VARIABLE]))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    write_expected(place)
