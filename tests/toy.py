"""Fixtures of a prepared toy corpus, made once; each test works on a copy. Used through ``tests/conftest.py``."""

import shutil
from pathlib import Path

import pytest

from voxemo.demo.toy import make_toy_corpus
from voxemo.steps.prepare import prepare_corpus
from voxemo.steps.split import split_corpus
from voxemo.store.layout import Workspace


@pytest.fixture(scope="session")
def toy_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Workspace with the toy corpus prepared and split both ways. Do not change it; copy it."""
    folder = tmp_path_factory.mktemp("toy")
    make_toy_corpus(folder / "corpus")
    workspace = Workspace(folder / "workspace")
    prepare_corpus(workspace, "toy", folder / "corpus")
    split_corpus(workspace, "toy")
    split_corpus(workspace, "toy", policy="speaker-disjoint")
    return workspace


@pytest.fixture
def workspace(toy_workspace: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the prepared workspace that a test may change."""
    shutil.copytree(toy_workspace.root, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")
