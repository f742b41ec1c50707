"""Fixtures that many tests share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from hostile import hostile
from toy import toy_workspace, workspace

__all__ = ["evidence", "hostile", "toy_workspace", "workspace"]

# Shared machines pause; a law is about what holds, never about how long it takes.
settings.register_profile("voxemo", deadline=None)
settings.load_profile("voxemo")

# librosa compiles functions at their first call and keeps them on disk. Two test processes that write and read the same
# files at the same time can crash, so each has its own.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"numba-{os.getuid()}-{worker}")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def evidence() -> Path:
    """Real listings, votes and audio; absent from a plain clone, present in CI."""
    folder = Path(os.environ.get("VOXEMO_EVIDENCE", REPOSITORY.parent / "shared" / "corpora"))
    if not (folder / "listings").is_dir():
        reason = f"no evidence folder at {folder}: set VOXEMO_EVIDENCE to the folder with listings/, votes/ and audio/"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="module")
def quick_training() -> Iterator[None]:
    """One thread, as the processes that tests start have; and short answers, which random weights never end."""
    import torch

    from voxemo.steps import fold_training

    threads, tokens = torch.get_num_threads(), fold_training.VALIDATION_TOKENS
    torch.set_num_threads(1)
    fold_training.VALIDATION_TOKENS = 4
    yield
    torch.set_num_threads(threads)
    fold_training.VALIDATION_TOKENS = tokens
