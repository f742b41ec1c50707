"""Label sets that the parsing tests share."""

import pytest

from label_sets import label_set_of
from voxemo.core.labels import LabelSet


@pytest.fixture(scope="session")
def basic_labels() -> LabelSet:
    return label_set_of("angry", "happy", "neutral", "sad")
