"""A metric of one's own: gets the same intervals, folds and failure policies as the built-in ones."""

import numpy as np

from voxemo.scoring.hard import weighted_accuracy
from voxemo.scoring.table import Metric


def error_rate(confusions: np.ndarray) -> np.ndarray:
    """Share of utterances without the right label; a failed answer is an error."""
    return 1 - weighted_accuracy(confusions)


ERROR_RATE = Metric(
    name="example_error_rate",
    kind="confusion",
    compute=error_rate,
    direction="lower",
    low=0.0,
    high=1.0,
    description="One minus weighted accuracy.",
    reference="the example plugin",
)
