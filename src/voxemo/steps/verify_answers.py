"""Do a bundle's predictions say what its answers say, read again?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from voxemo.catalog import lookup
from voxemo.core.types import Response
from voxemo.parsing.reasons import PARSER_VERSION
from voxemo.steps.bundle_contents import Contents, Finding, note, wrong
from voxemo.steps.parse import prediction_rows
from voxemo.steps.plan import label_table_version
from voxemo.steps.verify_scores import TOLERANCE
from voxemo.store.bundles import (
    MANIFEST,
    PREDICTIONS,
    RESPONSES,
)
from voxemo.store.tables import PREDICTIONS as PREDICTION_COLUMNS


def answers_read_again(content: Contents) -> tuple[int, list[Finding]]:
    """Read what answers there are by this version's parser, and compare with the predictions."""
    findings = []
    manifest = content.manifest
    readable = content.requests
    if content.index.redacted is not None:
        findings.append(
            note("redacted", RESPONSES, f"texts are left out, and not read again: {content.index.redacted}")
        )
        readable = readable.filter(pl.col("form") == "likelihood")
    table = lookup.label_table()
    here = (PARSER_VERSION, label_table_version(table))
    others = (manifest.parser_version, manifest.label_table) != here
    if others:
        findings.append(
            note(
                "parser_version",
                MANIFEST,
                f"read by parser {manifest.parser_version} with the label table {manifest.label_table}, here by "
                f"{here[0]} with {here[1]}: predictions may differ for that reason alone",
            )
        )
    label_set = manifest.corpus_card.label_set(table, names=manifest.label_names)
    responses = {row["request_id"]: _response(row) for row in content.responses}
    # A stranger's text may hold what no table can; such rows are compared as they are, not as a table.
    wanted = [row for _, row in prediction_rows(readable, responses, label_set)]
    names = set(readable["request_id"])
    stated = {
        (row["request_id"], row["system_id"], row["reading"]): row
        for row in content.predictions.iter_rows(named=True)
        if row["request_id"] in names
    }
    n_other = sum(
        not _same_prediction(row, stated.pop((row["request_id"], row["system_id"], row["reading"]), None))
        for row in wanted
    ) + len(stated)
    if n_other:
        findings.append(
            wrong("predictions_differ", PREDICTIONS, f"{n_other} predictions are not what the answers say, read again")
        )
    return readable.height, findings


def _response(row: Mapping[str, Any]) -> Response:
    return Response(
        request_id=row["request_id"],
        text=row["text"] or "",
        finish=row["finish"],
        label_logprobs=None if row["label_logprobs"] is None else tuple(row["label_logprobs"]),
        silent_logprobs=None if row["silent_logprobs"] is None else tuple(row["silent_logprobs"]),
    )


def _same_prediction(found: Mapping[str, Any], stated: Mapping[str, Any] | None) -> bool:
    if stated is None:
        return False
    for name in PREDICTION_COLUMNS:
        ours, theirs = found[name], stated[name]
        if name == "distribution" and ours is not None and theirs is not None:
            same = len(ours) == len(theirs) and np.allclose(ours, theirs, rtol=0, atol=TOLERANCE)
        else:
            same = (list(ours) if isinstance(ours, tuple) else ours) == theirs
        if not same:
            return False
    return True
