"""Does a bundle hold? Every score is computed again from what is in it, by the code that scores a run.

A bundle comes from strangers. Nothing in it is trusted: files are checked against the index, tables against each other,
and only what fits together reaches the scorer. Needs no workspace.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import polars as pl
from pydantic import TypeAdapter, ValidationError

from voxemo.catalog import lookup
from voxemo.core.cards import BundleIndex, PartFacts, RunManifest
from voxemo.core.errors import BundleError, listing
from voxemo.core.ids import canonical_json
from voxemo.core.types import CORRECTED, LIKELIHOOD, AnalysisKind, Response
from voxemo.parsing.reasons import PARSER_VERSION
from voxemo.scoring.table import SCORER_VERSION
from voxemo.splits.checks import is_test_partition
from voxemo.steps.parse import READINGS, prediction_rows
from voxemo.steps.plan import implied_deviations, implied_fields, label_table_version, plan_changes, request_id
from voxemo.steps.score import score_table, scored_table
from voxemo.steps.tested_parts import Parts, answered_less, asks_labelled_alone
from voxemo.steps.truth import Truth
from voxemo.store.bundles import (
    ANALYSES,
    CONFUSIONS,
    GOLD,
    GOLD_COLUMNS,
    INDEX,
    LIMITS,
    MANIFEST,
    NEEDED,
    PARTS,
    PLAN,
    PREDICTIONS,
    PRIORS,
    PROMPTS,
    RESPONSE_COLUMNS,
    RESPONSES,
    SCORES,
    TRAIT_COLUMNS,
    TRAITS,
    UNIT_COUNTS,
    UNIT_SUMS,
    VOTE_COLUMNS,
    VOTES,
    Limits,
    read_bundle,
    read_document,
    read_lines,
    read_rows,
    sha256,
)
from voxemo.store.provenance import package_versions
from voxemo.store.tables import ANALYSES as ANALYSIS_COLUMNS
from voxemo.store.tables import CONFUSIONS as CONFUSION_COLUMNS
from voxemo.store.tables import PLAN as PLAN_COLUMNS
from voxemo.store.tables import PREDICTIONS as PREDICTION_COLUMNS
from voxemo.store.tables import SCORES as SCORE_COLUMNS
from voxemo.store.tables import UNIT_COUNTS as UNIT_COUNT_COLUMNS
from voxemo.store.tables import UNIT_SUMS as UNIT_SUM_COLUMNS
from voxemo.store.tables import Schema

TOLERANCE = 1e-9
"""Machines round differently in the last digits; no score that anybody prints changes by this."""

MAX_LABELS = 100
MAX_TRAINING_LABELS = 100_000_000
TRAIT_KINDS: tuple[AnalysisKind, ...] = ("speaker_gender", "speaker_age", "language")
SCORED_WITH = ("voxemo", "python", "numpy", "polars")

_PARTS: TypeAdapter[dict[str, dict[str, PartFacts]]] = TypeAdapter(dict[str, dict[str, PartFacts]])

NUMBERS = ("value", "ci_low", "ci_high")
MEASURED = (*NUMBERS, "ci_unit", "n", "n_failed")
"""Columns of a score row that are computed; the others say what the row is about."""
ABOUT = tuple(name for name in SCORE_COLUMNS if name not in (*MEASURED, "scorer_version"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a bundle is found to be."""

    kind: Literal["wrong", "note"]
    """``wrong``: the bundle does not hold. ``note``: what its reader should know."""
    code: str
    """What it is, for programs."""
    file: str | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDifference:
    """One number of one score row that is not what comes out, or a row that only one side has."""

    partition: str | None
    fold_id: str | None
    system_id: str | None
    form: str | None
    reading: str | None
    vote_rule: str | None
    class_label: str | None
    metric: str | None
    failure_policy: str | None
    column: str
    """The column that differs; ``row`` where a side has no such row, or another one stands in its place."""
    stated: float | str | None
    recomputed: float | str | None

    @property
    def only_here(self) -> bool:
        """Whether the row comes out and is not stated."""
        return self.column == "row" and self.stated is None

    @property
    def size(self) -> float:
        """How far apart two numbers are; infinite where they are no two numbers."""
        if isinstance(self.stated, str) or isinstance(self.recomputed, str):
            return float("inf")
        if self.stated is None or self.recomputed is None:
            return float("inf")
        return abs(self.stated - self.recomputed)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """What `verify` found."""

    bundle: str
    run_id: str
    sha256: str
    """Hash of the bundle's index, which holds those of all other files: names this very content."""
    redacted: str | None
    """Why the answers' texts are left out; None where they are in the bundle."""
    n_scores: int
    """Score rows in the bundle."""
    n_scores_hold: int
    """Of these, rows that come out the same; 0 where they could not be computed."""
    n_texts_read: int
    """Answers that were read again and compared with the predictions."""
    findings: tuple[Finding, ...]
    differences: tuple[RowDifference, ...]

    @property
    def holds(self) -> bool:
        """Whether the bundle is whole and every score of it comes out the same."""
        return all(finding.kind != "wrong" for finding in self.findings)


def verify_bundle(path: Path, *, limits: Limits = LIMITS) -> VerifyResult:
    """Check a bundle and compute every score of it again.

    Raises:
        BundleError: it is no bundle, or not safe to read. What is merely wrong in it is a finding.
    """
    return verify_files(path.name, read_bundle(path, limits=limits))


def verify_files(bundle: str, files: Mapping[str, bytes]) -> VerifyResult:
    """Check a bundle's files by name, as `verify_bundle` does.

    Raises:
        BundleError: there is no index, or it does not follow its schema.
    """
    index = _index(bundle, files)
    findings = list(_whole(index, files))
    differences: tuple[RowDifference, ...] = ()
    n_scores = n_hold = n_read = 0
    scored = False
    try:
        content = _contents(index, files)
        n_scores = content.scores.height
        findings += _planned(content)
        misfits = list(_misfits(content))
        findings += misfits
        if not misfits:
            findings += _implied(content.manifest)
            findings += _whole_parts(content)
            n_read, of_texts = _read_again(content)
            findings += of_texts
            n_hold, differences, of_scores = _scored_again(content)
            findings += of_scores
            scored = True
    except BundleError as error:
        findings.append(_wrong("unreadable", None, f"{error.place}: {error.why}"))
    if not scored:
        findings.append(_wrong("not_scored", SCORES, "scores were not computed again: what they rest on does not fit"))
    return VerifyResult(
        bundle=bundle,
        run_id=index.run_id,
        sha256=sha256(files[INDEX]),
        redacted=index.redacted,
        n_scores=n_scores,
        n_scores_hold=n_hold,
        n_texts_read=n_read,
        findings=tuple(findings),
        differences=differences,
    )


def _wrong(code: str, file: str | None, text: str) -> Finding:
    return Finding(kind="wrong", code=code, file=file, text=text)


def _note(code: str, file: str | None, text: str) -> Finding:
    return Finding(kind="note", code=code, file=file, text=text)


# --- files -------------------------------------------------------------------------------------------------------


def _index(bundle: str, files: Mapping[str, bytes]) -> BundleIndex:
    if INDEX not in files:
        raise BundleError(bundle, f"it has no {INDEX}", hint="`voxemo bundle RUN` makes a bundle.")
    try:
        return BundleIndex.model_validate(read_document(INDEX, files[INDEX]))
    except ValidationError as cause:
        raise BundleError(bundle, f"its {INDEX} does not follow the schema ({_first_error(cause)})") from cause


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _whole(index: BundleIndex, files: Mapping[str, bytes]) -> Iterator[Finding]:
    """Every file is listed, there, and has the hash that the index says."""
    there = files.keys() - {INDEX}
    for name in sorted(index.files.keys() - there):
        yield _wrong("file_missing", name, f"{name} is listed and not there")
    for name in sorted(there - index.files.keys()):
        yield _wrong("file_unlisted", name, f"{name} is there and not listed")
    for name in sorted(there & index.files.keys()):
        if sha256(files[name]) != index.files[name]:
            yield _wrong("file_changed", name, f"{name} is not the file that was packed: its hash is another")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    """The tables of a bundle, each as its columns say; not yet known to fit together."""

    index: BundleIndex
    manifest: RunManifest
    prompts: tuple[Any, ...]
    plan: pl.DataFrame
    predictions: pl.DataFrame
    responses: tuple[dict[str, Any], ...]
    gold: pl.DataFrame
    votes: pl.DataFrame
    traits: pl.DataFrame
    priors: dict[str, Any]
    parts: Parts
    scores: pl.DataFrame
    confusions: pl.DataFrame
    analyses: pl.DataFrame
    unit_counts: pl.DataFrame
    unit_sums: pl.DataFrame

    @property
    def requests(self) -> pl.DataFrame:
        """The plan's requests, each once."""
        return self.plan.unique("request_id", keep="first", maintain_order=True)


def _contents(index: BundleIndex, files: Mapping[str, bytes]) -> _Contents:
    missing = [name for name in NEEDED if name not in files]
    if missing:
        raise BundleError(index.run_id, f"it lacks {listing(missing, most=len(missing))}")
    try:
        manifest = RunManifest.model_validate(read_document(MANIFEST, files[MANIFEST]))
    except ValidationError as cause:
        raise BundleError(MANIFEST, f"it does not follow the schema ({_first_error(cause)})") from cause
    priors = read_document(PRIORS, files[PRIORS])
    if not isinstance(priors, dict):
        raise BundleError(PRIORS, "expected an object")
    return _Contents(
        index=index,
        manifest=manifest,
        prompts=tuple(read_document(PROMPTS, line) for line in files[PROMPTS].splitlines()),
        plan=read_rows(PLAN, files[PLAN], PLAN_COLUMNS),
        predictions=read_rows(PREDICTIONS, files[PREDICTIONS], PREDICTION_COLUMNS),
        responses=tuple(read_lines(RESPONSES, files[RESPONSES], RESPONSE_COLUMNS)),
        gold=read_rows(GOLD, files[GOLD], GOLD_COLUMNS),
        votes=read_rows(VOTES, files[VOTES], VOTE_COLUMNS),
        traits=read_rows(TRAITS, files[TRAITS], TRAIT_COLUMNS),
        priors=priors,
        parts=_parts(files[PARTS]),
        scores=read_rows(SCORES, files[SCORES], SCORE_COLUMNS),
        confusions=read_rows(CONFUSIONS, files[CONFUSIONS], CONFUSION_COLUMNS),
        analyses=read_rows(ANALYSES, files[ANALYSES], ANALYSIS_COLUMNS),
        unit_counts=read_rows(UNIT_COUNTS, files[UNIT_COUNTS], UNIT_COUNT_COLUMNS),
        unit_sums=read_rows(UNIT_SUMS, files[UNIT_SUMS], UNIT_SUM_COLUMNS),
    )


def _parts(content: bytes) -> Parts:
    try:
        return _PARTS.validate_python(read_document(PARTS, content))
    except ValidationError as cause:
        raise BundleError(PARTS, f"expected facts of every test part ({_first_error(cause)})") from cause


# --- what was planned --------------------------------------------------------------------------------------------


def _planned(content: _Contents) -> Iterator[Finding]:
    """The run is the one that was planned, and the manifest counts what is there."""
    manifest, plan, index = content.manifest, content.plan, content.index
    for change in plan_changes(manifest, plan):
        yield _wrong("plan_changed", MANIFEST, f"changed after planning: {change}")
    if index.run_id != manifest.run_id or not manifest.run_id.endswith(f".{manifest.plan_sha256[:8]}"):
        yield _wrong("run_id", MANIFEST, f"the run is called {manifest.run_id!r}, which its plan and index deny")
    columns = [name for name in PLAN_COLUMNS if name not in ("request_id", "fold_id", "partition")]
    misnamed = [
        asked
        for asked, *values in content.requests.select("request_id", *columns).iter_rows()
        if asked != request_id(dict(zip(columns, values, strict=True)), manifest.generation)
    ]
    if misnamed:
        yield _wrong("request_id", PLAN, f"{len(misnamed)} requests have an id that their content does not give")
    if list(content.prompts) != [prompt.model_dump(mode="json") for prompt in manifest.prompts]:
        yield _wrong("prompts", PROMPTS, "the prompts are not those of the manifest")
    n_requests = content.requests.height
    counted = _counts(content)
    stated = {name: manifest.counts.get(name) for name in counted}
    if manifest.n_requests != n_requests or stated != counted:
        wrong = sorted(name for name in counted if stated[name] != counted[name])
        yield _wrong("counts", MANIFEST, f"the manifest counts other answers than there are ({', '.join(wrong)})")
    if manifest.partial is not None:
        yield _note("partial", MANIFEST, f"the run does not answer everything: {manifest.partial}")
    for deviation in manifest.deviations:
        yield _note("deviation", MANIFEST, f"differs from the standard protocol: {deviation}")
    if index.scorer_version != SCORER_VERSION:
        yield _note(
            "scorer_version",
            SCORES,
            f"scored by version {index.scorer_version} of the formulas, recomputed by version {SCORER_VERSION}: scores "
            "may differ for that reason alone",
        )
    here = package_versions()
    others = [f"{name} {index.made_with.get(name)} (here {here[name]})" for name in SCORED_WITH]
    if any(index.made_with.get(name) != here[name] for name in SCORED_WITH):
        yield _note("other_versions", INDEX, f"scored with {', '.join(others)}")


def _implied(manifest: RunManifest) -> Iterator[Finding]:
    """The manifest says what follows from its cards and settings, and hides no deviation that does."""
    for name, value in implied_fields(manifest).items():
        if (stated := getattr(manifest, name)) != value:
            yield _wrong("manifest_field", MANIFEST, f"{name} is {stated!r}; from the cards follows {value!r}")
    for deviation in implied_deviations(manifest):
        if deviation not in manifest.deviations:
            yield _wrong("deviation_hidden", MANIFEST, f"differs from the standard protocol unsaid: {deviation}")
    if manifest.partial is None and not manifest.corpus_complete:
        yield _wrong("partial_hidden", MANIFEST, "part of the corpus is missing, and it does not say so")


def _whole_parts(content: _Contents) -> Iterator[Finding]:
    """Every test part of the split is answered in full, or the manifest says that the run is partial."""
    manifest, parts = content.manifest, content.parts
    if manifest.split.n_folds != len(parts):
        yield _wrong("parts", PARTS, f"the split has {len(parts)} folds, {manifest.split.n_folds} by the manifest")
    less = answered_less(content.plan, parts)
    if less and manifest.partial is None:
        yield _wrong("partial_hidden", MANIFEST, f"the run is partial, and it does not say so ({_few(less)})")
    every_label = manifest.label_names == manifest.corpus_card.labels.names
    if not less and every_label and asks_labelled_alone(content.plan, parts):
        yield _note("labelled_alone", PLAN, "utterances without a gold label are not asked")


def _few(texts: Sequence[str]) -> str:
    return "; ".join([*texts[:3], *([f"{len(texts) - 3} more"] if len(texts) > 3 else [])])


def _counts(content: _Contents) -> dict[str, int]:
    """What `parse` counts of requests and predictions."""
    predictions = content.predictions
    first = predictions.unique(["request_id", "reading"], keep="first", maintain_order=True)
    by_status = first.group_by("reading", "status").len().rows()
    found = {(reading, status): n for reading, status, n in by_status}
    return {
        "planned": content.requests.height,
        "answered": predictions["request_id"].n_unique(),
        **{f"{r}.{s}": found.get((r, s), 0) for r in READINGS for s in ("ok", "repaired", "failed")},
    }


# --- what fits together ------------------------------------------------------------------------------------------


def _misfits(content: _Contents) -> Iterator[Finding]:
    """Whatever keeps the tables from being scored: what does not fit the plan, the label set or the other tables."""
    manifest = content.manifest
    labels = manifest.label_names
    known = set(manifest.corpus_card.labels.names)
    if not 2 <= len(labels) <= MAX_LABELS or len(set(labels)) < len(labels) or not set(labels) <= known:
        yield _wrong("label_set", MANIFEST, "the label set is none of the corpus card's, or has labels twice")
        return
    if not manifest.model_cards:
        yield _wrong("no_model", MANIFEST, "the manifest names no model")
    yield from _plan_misfits(content)
    yield from _prediction_misfits(content)
    yield from _response_misfits(content)
    yield from _truth_misfits(content)
    if content.scores.select(pl.struct(ABOUT).n_unique()).item() < content.scores.height:
        yield _wrong("score_twice", SCORES, "two score rows are about the same")


def _plan_misfits(content: _Contents) -> Iterator[Finding]:
    plan, manifest = content.plan, content.manifest
    needed = [name for name in PLAN_COLUMNS if name != "audio_sha256"]
    if not plan.height:
        yield _wrong("plan_empty", PLAN, "the plan asks nothing")
        return
    if any(plan[name].null_count() for name in needed):
        yield _wrong("plan_gaps", PLAN, "requests lack what a request needs")
        return
    if plan.select(pl.struct("request_id", "fold_id", "partition").n_unique()).item() < plan.height:
        yield _wrong("plan_twice", PLAN, "requests stand twice in one test part")
    per_request = plan.group_by("request_id").agg(pl.struct("utterance_id", "variant_id", "form").n_unique())
    if (per_request.to_series(1) > 1).any():
        yield _wrong("plan_twice", PLAN, "one request id stands for different questions")
    if set(plan["fold_id"]) != set(manifest.split.folds) or set(plan["partition"]) != set(manifest.split.partitions):
        yield _wrong("plan_folds", PLAN, "folds or test parts are not those of the manifest")
    if set(plan["audio_condition"]) != {manifest.audio_condition}:
        yield _wrong(
            "plan_audio", PLAN, f"requests hear something else than the manifest says ({manifest.audio_condition})"
        )
    if not all(map(is_test_partition, set(plan["partition"]))):
        yield _wrong("plan_folds", PLAN, "parts are asked that are no test parts")
    prompts = {(prompt.variant_id, prompt.form, prompt.prompt_sha256) for prompt in manifest.prompts}
    if not set(plan.select("variant_id", "form", "prompt_sha256").unique().iter_rows()) <= prompts:
        yield _wrong("plan_prompts", PLAN, "prompts are asked that the manifest lacks")
    if not manifest.model_cards.keys() <= {"all", *manifest.split.folds}:
        yield _wrong("plan_folds", MANIFEST, "a model answers a fold that the run does not have")


def _prediction_misfits(content: _Contents) -> Iterator[Finding]:
    predictions, n_labels = content.predictions, len(content.manifest.label_names)
    asked, answered = set(content.plan["request_id"]), set(predictions["request_id"])
    if missing := asked - answered:
        yield _wrong("predictions_missing", PREDICTIONS, f"{len(missing)} of {len(asked)} requests have no prediction")
    if extra := answered - asked:
        yield _wrong("predictions_unplanned", PREDICTIONS, f"{len(extra)} requests were answered and never planned")
    key = ["request_id", "system_id", "reading"]
    if predictions.select(pl.struct(key).n_unique()).item() < predictions.height:
        yield _wrong("predictions_twice", PREDICTIONS, "an answer has two predictions by one reading")
    variant = pl.col("variant_id")
    joined = predictions.join(
        content.requests.select("request_id", "variant_id", asked_form="form", asked_utterance="utterance_id"),
        on="request_id",
        maintain_order="left",
    ).with_columns(
        right_system=pl.when(pl.col("asked_form") == "likelihood")
        .then(
            (pl.col("system_id") == pl.lit(LIKELIHOOD) + variant) | (pl.col("system_id") == pl.lit(CORRECTED) + variant)
        )
        .otherwise(pl.col("system_id") == variant)
    )
    strays = joined.filter(
        ~pl.all_horizontal(
            pl.col("right_system").fill_null(False),
            pl.col("asked_form").eq_missing(pl.col("form")),
            pl.col("asked_utterance").eq_missing(pl.col("utterance_id")),
            pl.col("reading").is_in(READINGS).fill_null(False),
            pl.col("status").is_in(["ok", "repaired", "failed"]).fill_null(False),
        )
    )
    if strays.height:
        yield _wrong("predictions_stray", PREDICTIONS, f"{strays.height} predictions are not about what was asked")
    per_system = predictions.group_by("request_id", "system_id").len()
    if (per_system["len"] != len(READINGS)).any():
        yield _wrong("predictions_missing", PREDICTIONS, "answers lack one of the two readings")
    usable = predictions.filter(pl.col("status") != "failed")
    labelled = usable.filter(pl.col("form") != "distribution")
    strangers = ~labelled["label"].is_in(list(content.manifest.label_names)).fill_null(False)
    if strangers.any():
        yield _wrong("predictions_label", PREDICTIONS, f"{strangers.sum()} predictions are no label of the label set")
    shares = usable.filter(pl.col("form") != "hard")["distribution"]
    if not _are_distributions(shares, n_labels):
        yield _wrong("predictions_distribution", PREDICTIONS, "predictions are no distributions over the label set")


def _are_distributions(column: pl.Series, n_labels: int) -> bool:
    if column.null_count():
        return False
    if (column.list.len() != n_labels).any() or column.explode(empty_as_null=False).null_count():
        return False
    return bool(((column.list.sum() - 1).abs() < 1e-6).all() and (column.list.min() >= 0).all())


def _response_misfits(content: _Contents) -> Iterator[Finding]:
    names = [row["request_id"] for row in content.responses]
    if len(set(names)) < len(names):
        yield _wrong("responses_twice", RESPONSES, "a request has two answers")
    asked = set(content.plan["request_id"])
    if set(names) != asked:
        yield _wrong("responses", RESPONSES, f"answers are there to {len(asked & set(names))} of {len(asked)} requests")
    texts = [row["text"] for row in content.responses]
    if content.index.redacted is None and None in texts:
        yield _wrong("texts_missing", RESPONSES, f"{texts.count(None)} answers have no text, and nothing says why")
    if content.index.redacted is not None and any(text is not None for text in texts):
        yield _wrong("texts_left", RESPONSES, "texts are in a bundle that says they are left out")
    if not {row["finish"] for row in content.responses} <= set(get_args(get_type_hints(Response)["finish"])):
        yield _wrong("responses_finish", RESPONSES, "answers end in a way that no answer ends")
    weighing = set(content.plan.filter(pl.col("form") == "likelihood")["request_id"])
    for row in content.responses:
        weighed, silent = row["label_logprobs"], row["silent_logprobs"]
        if row["request_id"] not in weighing and (weighed is not None or silent is not None):
            yield _wrong("responses_likelihood", RESPONSES, "likelihoods are there of requests that ask for a text")
            return
        gaps = None in (weighed or ()) or None in (silent or ())
        if gaps or (silent is not None and len(silent) != len(weighed or ())):
            yield _wrong("responses_likelihood", RESPONSES, "likelihoods are there of some labels alone")
            return


def _truth_misfits(content: _Contents) -> Iterator[Finding]:
    gold, votes, priors = content.gold, content.votes, content.priors
    tested = set(content.plan["utterance_id"])
    labels = content.manifest.label_names
    if set(gold["utterance_id"]) != tested or gold["utterance_id"].n_unique() < gold.height:
        yield _wrong("gold_utterances", GOLD, "gold labels are not those of the tested utterances, each once")
    if not gold["label"].drop_nulls().is_in(list(labels)).all():
        yield _wrong("gold_label", GOLD, "gold labels are outside the label set")
    rules = priors.get("rules")
    folds = priors.get("label_counts")
    soft = priors.get("soft_priors")
    if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules) or len(set(rules)) < len(rules):
        yield _wrong("priors", PRIORS, "expected 'rules', the names of the counting rules")
        return
    if not set(votes["utterance_id"]) <= tested or not set(votes["rule"]) <= set(rules):
        yield _wrong("votes", VOTES, "votes are about other utterances, or by a counting rule that is not known")
    if votes.select(pl.struct("utterance_id", "rule").n_unique()).item() < votes.height:
        yield _wrong("votes", VOTES, "an utterance has two rows of votes by one rule")
    counts = votes["votes"]
    if counts.null_count() or any(
        len(row) != len(labels) or None in row or min(row) < 0 or not 0 < sum(row) < 1e9 for row in counts.to_list()
    ):
        yield _wrong("votes", VOTES, "votes are no counts of every label")
    traits = content.traits
    if not set(traits["utterance_id"]) <= tested or not set(traits["kind"]) <= set(TRAIT_KINDS):
        yield _wrong("traits", TRAITS, "groups are of other utterances, or of a kind that is not known")
    if traits["group"].null_count() or traits.select(pl.struct("utterance_id", "kind").n_unique()).item() < len(traits):
        yield _wrong("traits", TRAITS, "an utterance has no group, or two of one kind")
    if not isinstance(folds, dict) or folds.keys() != set(content.manifest.split.folds):
        yield _wrong("priors", PRIORS, "expected 'label_counts' of every fold")
    elif not all(_are_counts(row, len(labels)) for row in folds.values()):
        yield _wrong("priors", PRIORS, "'label_counts' are no counts of every label")
    wanted = {f"{rule}/{fold_id}" for rule in rules for fold_id in content.manifest.split.folds}
    if not isinstance(soft, dict) or soft.keys() != wanted:
        yield _wrong("priors", PRIORS, "expected 'soft_priors' of every counting rule and fold")
    elif not all(row is None or _is_distribution(row, len(labels)) for row in soft.values()):
        yield _wrong("priors", PRIORS, "'soft_priors' are no distributions over the labels")


def _are_counts(row: Any, n_labels: int) -> bool:
    if not isinstance(row, list) or len(row) != n_labels:
        return False
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in row)
    return whole and sum(row) <= MAX_TRAINING_LABELS


def _is_distribution(row: Any, n_labels: int) -> bool:
    if not isinstance(row, list) or len(row) != n_labels:
        return False
    numbers = all(isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1 for share in row)
    return numbers and abs(sum(row) - 1) < 1e-6


def _truth(content: _Contents) -> Truth:
    priors, labels = content.priors, content.manifest.label_names
    rules: Sequence[str] = priors["rules"]
    votes: dict[str, dict[str, Any]] = {rule: {} for rule in rules}
    for name, rule, counts in content.votes.iter_rows():
        votes[rule][name] = np.asarray(counts, dtype=np.float64)
    traits: dict[AnalysisKind, dict[str, str]] = {}
    for kind in TRAIT_KINDS:
        of_kind = content.traits.filter(pl.col("kind") == kind)
        if of_kind.height:
            traits[kind] = dict(of_kind.select("utterance_id", "group").iter_rows())
    soft = {(rule, fold): priors["soft_priors"][f"{rule}/{fold}"] for rule in rules for fold in priors["label_counts"]}
    return Truth(
        gold={name: label for name, label, _ in content.gold.iter_rows() if label in labels},
        speakers={name: speaker for name, _, speaker in content.gold.iter_rows()},
        votes=votes,
        label_counts={fold: np.asarray(row, dtype=np.int64) for fold, row in priors["label_counts"].items()},
        soft_priors={key: None if row is None else np.asarray(row, dtype=np.float64) for key, row in soft.items()},
        traits=traits,
    )


# --- texts -------------------------------------------------------------------------------------------------------


def _read_again(content: _Contents) -> tuple[int, list[Finding]]:
    """Read what answers there are by this version's parser, and compare with the predictions."""
    findings = []
    manifest = content.manifest
    readable = content.requests
    if content.index.redacted is not None:
        findings.append(
            _note("redacted", RESPONSES, f"texts are left out, and not read again: {content.index.redacted}")
        )
        readable = readable.filter(pl.col("form") == "likelihood")
    table = lookup.label_table()
    here = (PARSER_VERSION, label_table_version(table))
    others = (manifest.parser_version, manifest.label_table) != here
    if others:
        findings.append(
            _note(
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
            _wrong("predictions_differ", PREDICTIONS, f"{n_other} predictions are not what the answers say, read again")
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


# --- scores ------------------------------------------------------------------------------------------------------


def _scored_again(content: _Contents) -> tuple[int, tuple[RowDifference, ...], list[Finding]]:
    """Rows that hold, what differs, and what that means."""
    table = scored_table(content.manifest, content.plan, content.predictions, _truth(content))
    made = score_table(table, policies=content.index.failure_policies, resamples=content.index.resamples)
    findings = []
    differences = compare_scores(content.scores, made.scores)
    rows = {tuple(getattr(one, name) for name in _SHOWN) for one in differences}
    if differences:
        largest = max((one.size for one in differences if one.size != float("inf")), default=None)
        apart = "" if largest is None else f"; numbers differ by up to {largest:.2g}"
        findings.append(_wrong("scores_differ", SCORES, f"{len(rows)} score rows do not come out as stated{apart}"))
    if set(content.scores["scorer_version"]) - {content.index.scorer_version}:
        findings.append(_wrong("scorer_version", SCORES, "score rows name another version of the formulas"))
    for file, what, stated, computed, schema in (
        (CONFUSIONS, "counts of true against predicted labels", content.confusions, made.confusions, CONFUSION_COLUMNS),
        (ANALYSES, "analyses", content.analyses, made.analyses, ANALYSIS_COLUMNS),
        (UNIT_COUNTS, "counts by speaker", content.unit_counts, made.unit_counts, UNIT_COUNT_COLUMNS),
        (UNIT_SUMS, "sums by speaker", content.unit_sums, made.unit_sums, UNIT_SUM_COLUMNS),
    ):
        if not _same_table(stated, computed, schema):
            findings.append(_wrong(f"{file.partition('.')[0]}_differ", file, f"{what} do not come out as stated"))
    n_apart = len({tuple(getattr(one, name) for name in _SHOWN) for one in differences if not one.only_here})
    return content.scores.height - n_apart, differences, findings


_SHOWN = (
    "partition",
    "fold_id",
    "system_id",
    "form",
    "reading",
    "vote_rule",
    "class_label",
    "metric",
    "failure_policy",
)


def _same_table(stated: pl.DataFrame, computed: pl.DataFrame, schema: Schema) -> bool:
    """Whether two tables have the same rows in some order, numbers but for rounding."""
    fractions = [name for name, kind in schema.items() if kind == pl.Float64]
    about = [name for name in schema if name not in fractions]
    if stated.height != computed.height:
        return False
    left, right = (
        table.select(list(schema)).sort(about, nulls_last=True, maintain_order=True) for table in (stated, computed)
    )
    if not left.select(about).equals(right.select(about)):
        return False
    return all(not _apart(left[name], right[name]).any() for name in fractions)


def _apart(stated: pl.Series, computed: pl.Series) -> pl.Series:
    """Which numbers differ by more than rounding; one that is missing on one side does."""
    both = pl.DataFrame({"stated": stated, "computed": computed})
    return both.select(_differs("stated", "computed")).to_series()


def _differs(stated: str, computed: str) -> pl.Expr:
    left, right = pl.col(stated), pl.col(computed)
    bound = TOLERANCE * pl.max_horizontal(pl.lit(1.0), right.abs())
    return left.ne_missing(right) & ((left - right).abs() > bound).fill_null(True)


def compare_scores(stated: pl.DataFrame, recomputed: pl.DataFrame) -> tuple[RowDifference, ...]:
    """Where two tables of scores differ: rows that one of them lacks, and numbers apart by more than rounding."""
    ours = recomputed.select(*ABOUT, **{f"{name}_here": pl.col(name) for name in MEASURED}, here=pl.lit(True))
    joined = stated.with_columns(there=pl.lit(True)).join(
        ours, on=list(ABOUT), how="full", nulls_equal=True, coalesce=True
    )
    found = []
    both = joined.filter(pl.col("there") & pl.col("here"))
    for column in MEASURED:
        here = f"{column}_here"
        apart = _differs(column, here) if column in NUMBERS else pl.col(column).ne_missing(pl.col(here))
        for row in both.filter(apart).iter_rows(named=True):
            found.append(_difference(row, column, row[column], row[f"{column}_here"]))
    for row in joined.filter(pl.col("here").is_null()).iter_rows(named=True):
        found.append(_difference(row, "row", "stated", None))
    for row in joined.filter(pl.col("there").is_null()).iter_rows(named=True):
        found.append(_difference(row, "row", None, "comes out"))
    return tuple(sorted(found, key=lambda one: canonical_json([getattr(one, name) for name in (*_SHOWN, "column")])))


def _difference(row: Mapping[str, Any], column: str, stated: Any, recomputed: Any) -> RowDifference:
    return RowDifference(**{name: row[name] for name in _SHOWN}, column=column, stated=stated, recomputed=recomputed)
