"""Questions about made-up clips, and tiny checkpoints shared by the tests that do not change them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tiny_checkpoints import BUILDERS
from voxemo.backends.base import Question, Waveform
from voxemo.core.labels import LabelSet

Ask = Callable[..., Question]

if not torch.cuda.is_available():
    # Read by Triton when it is imported: without a GPU, kernels are interpreted.
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture
def interpreted() -> None:
    """Kernels run on the CPU, by Triton's interpreter."""
    pytest.importorskip("triton", reason="the kernel needs Triton")
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("there is a GPU, for which kernels are compiled")


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine make operations this small many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def noise() -> Callable[[float], Waveform]:
    """A clip of so many seconds: noise with an envelope, the same one for the same length."""

    def make(seconds: float) -> Waveform:
        n_samples = round(seconds * 16_000)
        envelope = np.sin(np.linspace(0, 3 + seconds, n_samples))
        return (0.1 * envelope * np.random.default_rng(n_samples).standard_normal(n_samples)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def ask(noise: Callable[[float], Waveform]) -> Ask:
    """A question about a clip of so many seconds, with any field replaced."""

    def make(seconds: float = 1.0, prompt: str = "Which emotion is it?", **changes: Any) -> Question:
        samples = noise(seconds)
        fields: dict[str, Any] = {
            "request_id": f"{seconds}/{prompt}",
            "utterance_id": f"toy/{seconds}",
            "variant_id": "direct",
            "form": "hard",
            "prompt": prompt,
            "label_set": LabelSet(("angry", "happy")),
            "audio_key": f"{seconds}",
            "load_audio": lambda: samples,
        }
        return Question(**(fields | changes))

    return make


@pytest.fixture(params=sorted(BUILDERS))
def family_id(request: pytest.FixtureRequest) -> str:
    """Every family of the local backend."""
    return str(request.param)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family to a folder with a tiny checkpoint. Not to be changed."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: build(root / name) for name, build in BUILDERS.items()}
