"""Fixtures of the tests that ``make test-vllm`` runs. The folder is not called vllm: it would be importable as that."""

import gc
from collections.abc import Iterator

import pytest

from vllm_parity import expected

__all__ = ["expected"]


@pytest.fixture(scope="session", autouse=True)
def engines_end_with_the_tests() -> Iterator[None]:
    """An engine that is only dropped at exit complains into streams that pytest has closed."""
    yield
    gc.collect()
