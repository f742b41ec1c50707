"""Fixtures of the tests of training."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from schools import Load, School, make_school
from tiny_checkpoints import BUILDERS, tiny_card
from voxemo.backends.local.loading import LoadedModel, load_model


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine make operations this small many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family to a folder with a tiny checkpoint. Not to be changed."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: build(root / name) for name, build in BUILDERS.items()}


@pytest.fixture(params=sorted(BUILDERS))
def family_id(request: pytest.FixtureRequest) -> str:
    """Every family that can be fine-tuned."""
    return str(request.param)


@pytest.fixture(scope="session")
def load_tiny(tiny_folders: dict[str, Path]) -> Load:
    """Load the tiny checkpoint of a family."""

    def load(family_id: str) -> LoadedModel:
        card = tiny_card(tiny_folders[family_id], family_id)
        return load_model(card, device="cpu", dtype=None, trust_remote_code=False)

    return load


@pytest.fixture
def school(load_tiny: Load, family_id: str) -> School:
    """A model of each family with lessons."""
    return make_school(load_tiny(family_id))


@pytest.fixture
def qwen_school(load_tiny: Load) -> School:
    """The same with one family, for what does not depend on it."""
    return make_school(load_tiny("qwen2-audio"))
