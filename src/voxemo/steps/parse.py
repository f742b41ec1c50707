"""Answers to predictions. Needs no model and no audio, and may be repeated at any time."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from voxemo.catalog import lookup
from voxemo.core.cards import RunManifest
from voxemo.core.labels import LabelSet
from voxemo.core.types import CORRECTED, LIKELIHOOD, ParsedPrediction, Reading, Response
from voxemo.parsing.hard import parse_hard
from voxemo.parsing.likelihood import read_likelihoods
from voxemo.parsing.reasons import PARSER_VERSION
from voxemo.parsing.soft import parse_distribution
from voxemo.steps.failures import failure_report
from voxemo.steps.plan import check_plan, label_table_version
from voxemo.store.files import remove, write_json
from voxemo.store.journal import read_journal
from voxemo.store.layout import RunPaths
from voxemo.store.manifest import write_manifest
from voxemo.store.tables import PREDICTIONS, frame, write_table

FIELDS = tuple(one.name for one in fields(ParsedPrediction))
READINGS: tuple[Reading, ...] = ("strict", "lenient")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseResult:
    """What `parse` read."""

    run: Path
    counts: dict[str, int]
    """As in the manifest: planned, answered, duplicates, ``<reading>.<status>``, ``audio.truncated`` and so on."""
    reasons: dict[str, int]
    """Reason code to number of failed answers, strict reading."""
    damaged: tuple[str, ...]
    removed: tuple[str, ...]
    """Scores of earlier predictions, which no longer hold."""


def read_response(response: Response, form: str, label_set: LabelSet, reading: Reading) -> ParsedPrediction:
    """What one answer says. An answer that the model or the audio failed to give is a failed prediction."""
    parse = parse_distribution if form == "distribution" else parse_hard
    return parse(response.text, label_set, reading=reading, finish=response.finish)


def read_systems(
    response: Response, variant_id: str, form: str, label_set: LabelSet, reading: Reading
) -> Iterator[tuple[str, ParsedPrediction]]:
    """System id and prediction of every system that one response speaks for: one, but two where labels were weighed."""
    if form != "likelihood":
        yield variant_id, read_response(response, form, label_set, reading)
        return
    weighed, finish = response.label_logprobs, response.finish
    yield f"{LIKELIHOOD}{variant_id}", read_likelihoods(weighed, label_set, finish=finish)
    if response.silent_logprobs is not None:
        corrected = read_likelihoods(weighed, label_set, finish=finish, silent=response.silent_logprobs)
        yield f"{CORRECTED}{variant_id}", corrected


def prediction_rows(
    requests: pl.DataFrame, responses: Mapping[str, Response], label_set: LabelSet
) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Rows of ``predictions.parquet`` by both readings, in the order of the requests.

    Args:
        requests: of a plan, each once.
        responses: request id to answer; requests without one have no rows.
        label_set: what answers are read as.

    Yields:
        Whether the row is the first that a reading makes of its answer, and the row.
    """
    columns = requests.select("request_id", "utterance_id", "variant_id", "form").iter_rows()
    for request_id, utterance_id, variant_id, form in columns:
        response = responses.get(request_id)
        if response is None:
            continue
        for reading in READINGS:
            systems = read_systems(response, variant_id, form, label_set, reading)
            for place, (system_id, prediction) in enumerate(systems):
                yield (
                    place == 0,
                    {
                        "request_id": request_id,
                        "utterance_id": utterance_id,
                        "system_id": system_id,
                        "form": form,
                        "reading": reading,
                        **{name: getattr(prediction, name) for name in FIELDS},
                    },
                )


def parse_run(run: Path) -> ParseResult:
    """Read every answer of a run by both readings; write ``predictions.parquet``, ``failures.json`` and the counts.

    Raises:
        RunError: the plan was changed.
    """
    manifest, plan = check_plan(run)
    paths = RunPaths(run)
    # Measured before reading: an answer that comes in between is then one that `score` asks to parse first.
    n_bytes = journal_bytes(run)
    journal = read_journal(paths.responses)
    label_set = manifest.corpus_card.label_set(lookup.label_table(), names=manifest.label_names)
    requests = plan.unique("request_id", keep="first", maintain_order=True)
    counts = dict.fromkeys((f"{r}.{s}" for r in READINGS for s in ("ok", "repaired", "failed")), 0)
    reasons: dict[str, int] = {}

    def rows() -> Iterator[dict[str, Any]]:
        for is_first, row in prediction_rows(requests, journal.responses, label_set):
            # An answer counts once, however many systems read it.
            if is_first:
                counts[f"{row['reading']}.{row['status']}"] += 1
                if row["reading"] == "strict" and row["reason"] is not None:
                    reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
            yield row

    # Scores of other answers than these would pass for this run's.
    derived = (paths.scores, paths.confusions, paths.analyses, paths.unit_counts, paths.unit_sums)
    removed = [old.name for old in derived if remove(old)]
    table = frame(rows(), PREDICTIONS)
    handled = Counter(r.audio_handling for r in journal.responses.values() if r.audio_handling is not None)
    write_table(paths.predictions, table, PREDICTIONS)
    write_json(paths.failures, failure_report(table, journal.responses))
    totals = {
        "planned": requests.height,
        "answered": table["request_id"].n_unique(),
        "duplicates": journal.n_duplicates,
        "damaged_lines": len(journal.damaged),
        "journal_bytes": n_bytes,
        **counts,
        **{f"audio.{what}": n for what, n in sorted(handled.items())},
    }
    write_manifest(run, with_counts(manifest, totals))
    return ParseResult(
        run=run,
        counts=totals,
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        damaged=journal.damaged,
        removed=tuple(removed),
    )


def journal_bytes(run: Path) -> int:
    """Size of all answers of a run; it grows with every answer, so it tells whether `parse` has seen them all."""
    return sum(path.stat().st_size for path in RunPaths(run).responses.glob("*.jsonl"))


def with_counts(manifest: RunManifest, counts: dict[str, int]) -> RunManifest:
    """The manifest with the counts, and the versions of the parser and the label table that gave them."""
    known = {"parser_version": PARSER_VERSION, "label_table": label_table_version(lookup.label_table())}
    return manifest.model_copy(update={"counts": counts, **known})
