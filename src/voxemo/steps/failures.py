"""Why answers of a run could not be read, with a few of them to look at.

Answers are whatever a model wrote: they are kept as they are, and whoever shows them escapes them.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from voxemo.core.types import Response
from voxemo.parsing.reasons import PARSER_VERSION

N_EXAMPLES = 3
LONGEST_TEXT = 400
FORMS = ("hard", "distribution")


def failure_report(predictions: pl.DataFrame, responses: Mapping[str, Response]) -> dict[str, Any]:
    """The content of ``failures.json``: counts by form, prompt and reason, strict reading, each with examples.

    Args:
        predictions: of the run, by ``store.tables.PREDICTIONS``, in the order of the plan.
        responses: request id to answer.

    Returns:
        ``parser_version`` and ``failures``, each with ``form``, ``reading``, ``reason``, ``system_id``, ``n`` and up to
        three ``examples`` (``request_id``, ``utterance_id``, ``text``, cut at 400 characters), the first of the plan;
        hard answers first, prompts in the order of the plan, the most frequent reason first.
    """
    failed = predictions.filter(
        pl.col("reading") == "strict", pl.col("status") == "failed", pl.col("form").is_in(FORMS)
    )
    order = {system: place for place, system in enumerate(predictions["system_id"].unique(maintain_order=True))}
    groups = (
        failed.group_by("form", "system_id", "reason", maintain_order=True)
        .agg(
            n=pl.len(),
            request_id=pl.col("request_id").head(N_EXAMPLES),
            utterance_id=pl.col("utterance_id").head(N_EXAMPLES),
        )
        .sort(
            pl.col("form") == "distribution",
            pl.col("system_id").replace_strict(order, return_dtype=pl.Int64),
            "n",
            "reason",
            descending=[False, False, True, False],
        )
    )
    return {
        "parser_version": PARSER_VERSION,
        "failures": [
            {
                "form": group["form"],
                "reading": "strict",
                "reason": group["reason"],
                "system_id": group["system_id"],
                "n": group["n"],
                "examples": [
                    {"request_id": request_id, "utterance_id": utterance_id, "text": _cut(responses[request_id].text)}
                    for request_id, utterance_id in zip(group["request_id"], group["utterance_id"], strict=True)
                ],
            }
            for group in groups.iter_rows(named=True)
        ],
    }


def _cut(text: str) -> str:
    # A lone surrogate is no character that a file can hold.
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8")
