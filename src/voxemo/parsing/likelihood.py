"""Label likelihoods as a distribution: nothing is asked for and nothing is parsed.

A model gives the log-probability of the whole answer that names a label, ``FINAL LABEL: Angry`` and the end of its
turn, summed over tokens and not divided by their number: so they are probabilities of answers, a longer word pays for
its length as it would when written, and a label that begins another one is told from it by where the answer ends. The
distribution is their softmax: what the model would answer if it had to name one of the labels.
"""

import math
from collections.abc import Sequence

from voxemo.core.labels import LabelSet
from voxemo.core.types import ParsedPrediction
from voxemo.parsing.reasons import UNANSWERED


def read_likelihoods(
    logprobs: Sequence[float] | None,
    label_set: LabelSet,
    *,
    finish: str,
    silent: Sequence[float] | None = None,
) -> ParsedPrediction:
    """Read the likelihoods of one response.

    Args:
        logprobs: of each label, in label-set order; None where the backend gave none.
        label_set: of the question.
        finish: of the response.
        silent: the same for silence; then only what the audio adds to it counts, as in calibration by a content-free
            input (Zhao et al. 2021).

    Returns:
        The softmax over the labels and the likeliest label, ties to the first; or a failure.

    >>> read_likelihoods([-1.0, -3.0], LabelSet(("angry", "sad")), finish="stop").label
    'angry'
    >>> read_likelihoods([-1.0, -3.0], LabelSet(("angry", "sad")), finish="stop", silent=[-1.0, -4.0]).label
    'sad'
    """
    if finish in UNANSWERED:
        return ParsedPrediction(status="failed", reason=UNANSWERED[finish])
    scores = list(logprobs or ())
    if silent is not None:
        scores = [score - of_silence for score, of_silence in zip(scores, silent, strict=True)]
    if len(scores) != len(label_set.names) or not all(map(math.isfinite, scores)):
        return ParsedPrediction(status="failed", reason="no_scores")
    highest = max(scores)
    weights = [math.exp(score - highest) for score in scores]
    total = sum(weights)
    return ParsedPrediction(
        status="ok",
        label=label_set.names[scores.index(highest)],
        distribution=tuple(weight / total for weight in weights),
    )
