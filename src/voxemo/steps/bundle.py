"""A run as one file to hand in: all that its scores can be computed again from, nothing that tells of a machine.

Never audio, never transcripts. Answers may quote a corpus, so their texts go only where the corpus may be passed on.
"""

import re
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Any

import polars as pl

from voxemo.core.cards import BundleIndex, RunManifest
from voxemo.core.errors import RunError
from voxemo.core.ids import canonical_json
from voxemo.core.quoting import texts_withheld, unquoted
from voxemo.core.types import FAILURE_POLICIES, REFERENCE, FailurePolicy, Response
from voxemo.scoring.table import SCORER_VERSION
from voxemo.steps.plan import check_plan, implied_deviations
from voxemo.steps.score import load_scored
from voxemo.steps.tested_parts import parts_of
from voxemo.steps.truth import Truth
from voxemo.steps.verify import verify_files
from voxemo.steps.verify_plan import SCORED_WITH
from voxemo.store import bundles
from voxemo.store.files import read_json
from voxemo.store.journal import read_journal
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.provenance import package_versions
from voxemo.store.tables import ANALYSES, CONFUSIONS, PLAN, PREDICTIONS, SCORES, UNIT_COUNTS, UNIT_SUMS, read_table
from voxemo.store.workspace import read_split

REMOVED = "(removed)"

_MACHINE_OPTIONS = frozenset(
    {"--workspace", "--root", "--runs", "--out", "--emobox", "--audformat", "--answers", "--base-url", "--html"}
)
"""Options whose value is a place on a machine, of which the manifest keeps the last part."""

_PATH = re.compile(r"(?<![\w./:~\\-])(?:~?(?:/[^\s/'\"<>|,;:()\[\]{}]+){2,}/?|~/[^\s'\"]+|[A-Za-z]:\\[^\s'\"]+)")
"""Two or more folders from the root, a path from somebody's home, or one of Windows; no part of an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleResult:
    """What `bundle` wrote."""

    path: Path
    run_id: str
    sha256: str
    """Hash of the bundle's index: names this very content, however it was packed."""
    redacted: str | None
    """Why the answers' texts are left out; None where they are in it."""
    n_files: int
    n_bytes: int
    n_scores: int


def bundle_run(
    workspace: Workspace, run: Path, out: Path | None = None, *, redact: bool = False, resamples: int = 1000
) -> BundleResult:
    """Pack a scored run into one zip; the same run gives the same bytes.

    What is packed is verified first, from the bundle alone: nobody hands in what would not hold.

    Args:
        workspace: holds the gold labels, votes and split.
        run: the run folder; every request answered, parsed and scored.
        out: the file; ``<run id>.bundle.zip`` in the current folder when None.
        redact: leave the answers' texts out whatever the corpus's licence says.
        resamples: that the run was scored with.

    Raises:
        RunError: the run is not finished, or its scores are not those of its predictions.
    """
    files, index = bundle_files(workspace, run, redact=redact, resamples=resamples)
    verified = verify_files(run.name, files)
    wrong = [finding.text for finding in verified.findings if finding.kind == "wrong"]
    if wrong:
        only_intervals = verified.differences and all(d.column.startswith("ci_") for d in verified.differences)
        hint = (
            f"Give --resamples as `voxemo score` was given it (here: {resamples}), or run" if only_intervals else "Run"
        )
        raise RunError(f"{run.name} would not hold as a bundle: {'; '.join(wrong)}. {hint}: voxemo score {run}")
    path = out or Path(f"{index.run_id}.bundle.zip")
    bundles.write_bundle(path, files)
    return BundleResult(
        path=path,
        run_id=index.run_id,
        sha256=verified.sha256,
        redacted=index.redacted,
        n_files=len(files),
        n_bytes=path.stat().st_size,
        n_scores=verified.n_scores,
    )


def bundle_files(
    workspace: Workspace, run: Path, *, redact: bool = False, resamples: int = 1000
) -> tuple[dict[str, bytes], BundleIndex]:
    """A bundle's files by name, index included, and the index; nothing is written.

    Raises:
        RunError: the run is not finished.
    """
    table = load_scored(workspace, run)
    manifest, plan = check_plan(run)
    paths = RunPaths(run)
    scores = read_table(paths.scores, SCORES)
    withheld = texts_withheld(manifest.corpus_card, redact=redact)
    truth, tested = table.truth, sorted(set(plan["utterance_id"]))
    codes = speaker_codes({truth.speakers.get(name) for name in tested})
    predictions = read_table(paths.predictions, PREDICTIONS)
    if withheld is not None:
        # What stood in a label field may be a whole sentence of the corpus.
        predictions = predictions.with_columns(raw_label=pl.lit(None, dtype=pl.String))
    files = {
        bundles.MANIFEST: bundles.document_bytes(_shared_manifest(manifest).model_dump(mode="json")),
        bundles.PLAN: bundles.table_bytes(plan, PLAN),
        bundles.PROMPTS: bundles.lines_bytes(prompt.model_dump(mode="json") for prompt in manifest.prompts),
        bundles.PREDICTIONS: bundles.table_bytes(predictions, PREDICTIONS),
        bundles.RESPONSES: bundles.lines_bytes(_responses(paths, plan, with_texts=withheld is None)),
        bundles.GOLD: bundles.lines_bytes(_gold(truth, tested, codes)),
        bundles.VOTES: bundles.lines_bytes(_votes(truth, tested)),
        bundles.TRAITS: bundles.lines_bytes(_traits(truth, tested)),
        bundles.PRIORS: bundles.document_bytes(_priors(truth, manifest.split.folds)),
        bundles.PARTS: bundles.document_bytes(_parts(workspace, manifest, truth)),
        bundles.SCORES: bundles.table_bytes(scores, SCORES),
        bundles.CONFUSIONS: bundles.table_bytes(read_table(paths.confusions, CONFUSIONS), CONFUSIONS),
        bundles.ANALYSES: bundles.table_bytes(read_table(paths.analyses, ANALYSES), ANALYSES),
        bundles.UNIT_COUNTS: bundles.table_bytes(
            _coded(read_table(paths.unit_counts, UNIT_COUNTS), codes), UNIT_COUNTS
        ),
        bundles.UNIT_SUMS: bundles.table_bytes(_coded(read_table(paths.unit_sums, UNIT_SUMS), codes), UNIT_SUMS),
        **_failures(paths, quoting=withheld is None),
        **_worker_files(paths),
        **_check_files(paths, quoting=withheld is None),
    }
    versions = package_versions()
    index = BundleIndex(
        run_id=manifest.run_id,
        redacted=withheld,
        resamples=resamples,
        failure_policies=_policies(scores),
        scorer_version=SCORER_VERSION,
        made_with={name: versions[name] for name in SCORED_WITH},
        files={name: bundles.sha256(files[name]) for name in sorted(files)},
    )
    return {**files, bundles.INDEX: bundles.document_bytes(index.model_dump(mode="json"))}, index


def speaker_codes(speakers: set[str | None]) -> dict[str, str]:
    """A code for each speaker, in the order of their names.

    Resamples are drawn in that order, so the codes keep it: intervals come out the same to the last digit.

    >>> speaker_codes({"zoe", "anna", None})
    {'anna': 's1', 'zoe': 's2'}
    """
    named = sorted(speaker for speaker in speakers if speaker is not None)
    width = len(str(len(named)))
    return {speaker: f"s{number:0{width}d}" for number, speaker in enumerate(named, start=1)}


def _policies(scores: pl.DataFrame) -> tuple[FailurePolicy, ...]:
    # References have the policies of their own; only systems tell what `score` was asked for.
    used = set(scores.filter(~pl.col("system_id").str.starts_with(REFERENCE))["failure_policy"])
    return tuple(policy for policy in FAILURE_POLICIES if policy in used)


# --- what is judged by -------------------------------------------------------------------------------------------


def _gold(truth: Truth, tested: Sequence[str], codes: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name in tested:
        speaker = truth.speakers.get(name)
        yield {
            "utterance_id": name,
            "label": truth.gold.get(name),
            "speaker": None if speaker is None else codes[speaker],
        }


def _coded(by_unit: pl.DataFrame, codes: Mapping[str, str]) -> pl.DataFrame:
    code = pl.col("unit").replace_strict(dict(codes), default=None, return_dtype=pl.String)
    return by_unit.with_columns(unit=pl.when(pl.col("unit_kind") == "speaker").then(code).otherwise(pl.col("unit")))


def _traits(truth: Truth, tested: Sequence[str]) -> Iterator[dict[str, Any]]:
    for kind, groups in truth.traits.items():
        for name in tested:
            if name in groups:
                yield {"utterance_id": name, "kind": kind, "group": groups[name]}


def _votes(truth: Truth, tested: Sequence[str]) -> Iterator[dict[str, Any]]:
    for rule, known in truth.votes.items():
        for name in tested:
            if name in known:
                yield {"utterance_id": name, "rule": rule, "votes": known[name].tolist()}


def _priors(truth: Truth, folds: Sequence[str]) -> dict[str, Any]:
    """What training parts hold, as counts and means: no utterance of them is named."""
    soft = {(rule, fold): truth.soft_priors[rule, fold] for rule in truth.votes for fold in folds}
    return {
        "rules": list(truth.votes),
        "label_counts": {fold: truth.label_counts[fold].tolist() for fold in folds},
        "soft_priors": {f"{rule}/{fold}": None if p is None else p.tolist() for (rule, fold), p in soft.items()},
    }


def _parts(workspace: Workspace, manifest: RunManifest, truth: Truth) -> dict[str, Any]:
    split, _ = read_split(workspace, manifest.corpus_card.corpus_id, manifest.split.split_id)
    folds = parts_of(split, truth.gold)
    return {fold: {part: facts.model_dump(mode="json") for part, facts in of.items()} for fold, of in folds.items()}


# --- what was answered -------------------------------------------------------------------------------------------


def _responses(paths: RunPaths, plan: pl.DataFrame, *, with_texts: bool) -> Iterator[dict[str, Any]]:
    """Answers in the order of the plan. Errors are left out: they name files and servers."""
    responses = read_journal(paths.responses).responses
    for request_id in plan["request_id"].unique(maintain_order=True):
        yield _response_row(responses[request_id], with_text=with_texts)


def _response_row(response: Response, *, with_text: bool) -> dict[str, Any]:
    row = {name: getattr(response, name) for name in bundles.RESPONSE_COLUMNS}
    return row if with_text else {**row, "text": None}


def _failures(paths: RunPaths, *, quoting: bool) -> dict[str, bytes]:
    """Why answers could not be read, where `parse` has written it."""
    if not paths.failures.is_file():
        return {}
    return {bundles.FAILURES: bundles.document_bytes(unquoted(read_json(paths.failures), quoting=quoting))}


# --- no trace of a machine or its user ---------------------------------------------------------------------------


def _shared_manifest(manifest: RunManifest) -> RunManifest:
    """The manifest without places of a machine. Cards and prompts are hashed and stay: plans never put a path there."""
    command = None if manifest.command is None else shared_command(manifest.command)
    # Made of names alone, and to be found again as they are by whoever verifies.
    implied = implied_deviations(manifest)
    deviations = tuple(one if one in implied else without_paths(one) for one in manifest.deviations)
    return manifest.model_copy(update={"command": command, "deviations": deviations})


def shared_command(command: str) -> str:
    """A command line without places of a machine and without names of this one or its user.

    One that no shell takes apart, as no command of voxemo's own is, is left out whole.

    >>> shared_command("voxemo run --corpus urdu --workspace anna --runs=january")
    "voxemo run --corpus urdu --workspace '(removed)' --runs='(removed)'"
    """
    private = _private_names()
    words: list[str] = []
    try:
        given = shlex.split(command)
    except ValueError:
        return REMOVED
    for word in given:
        flag, equals, value = word.partition("=")
        if words and words[-1] in _MACHINE_OPTIONS:
            words.append(REMOVED)
        elif equals and flag in _MACHINE_OPTIONS:
            words.append(f"{flag}={REMOVED}")
        else:
            words.append(REMOVED if {word, value} & private else without_paths(word))
    return " ".join(
        f"{flag}={shlex.quote(value)}" if equals and flag.startswith("-") else shlex.quote(word)
        for word in words
        for flag, equals, value in [word.partition("=")]
    )


def without_paths(text: str) -> str:
    """A text with absolute paths and the name of this machine taken out.

    >>> without_paths("cannot read /home/anna/clips/1.wav, see https://example.org/a/b")
    'cannot read (removed), see https://example.org/a/b'
    """
    text = _PATH.sub(REMOVED, text)
    for name in _machine_names():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", REMOVED, text)
    return text


def _machine_names() -> frozenset[str]:
    # "localhost" tells nothing, and names of two letters are words.
    return frozenset(name for name in {socket.gethostname()} if len(name) > 2 and name != "localhost")


def _private_names() -> frozenset[str]:
    try:
        user = {getuser()}
    # A container's user may have a number and no name.
    except (OSError, KeyError):
        user = set()
    return _machine_names() | user


def _without_traces(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_traces(item) for key, item in value.items() if key not in ("host", "worker")}
    if isinstance(value, list):
        return [_without_traces(item) for item in value]
    return without_paths(value) if isinstance(value, str) else value


def _worker_files(paths: RunPaths) -> dict[str, bytes]:
    """What workers learned, numbered: their names may be those of machines."""
    facts = sorted((_without_traces(read_json(path)) for path in paths.workers.glob("*.json")), key=canonical_json)
    return {f"workers/{number:04d}.json": bundles.document_bytes(one) for number, one in enumerate(facts, start=1)}


def _check_files(paths: RunPaths, *, quoting: bool) -> dict[str, bytes]:
    return {
        f"checks/{path.name}": bundles.document_bytes(_without_traces(unquoted(read_json(path), quoting=quoting)))
        for path in sorted(paths.checks.glob("*.json"))
    }
