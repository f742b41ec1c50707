"""What is in a bundle, read from its bytes, and what is found about it.

Tables have their columns here; whether they fit together is found in ``verify_tables``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import TypeAdapter, ValidationError

from voxemo.core.cards import BundleIndex, PartFacts, RunManifest
from voxemo.core.errors import BundleError, listing
from voxemo.core.types import AnalysisKind
from voxemo.steps.tested_parts import Parts
from voxemo.steps.truth import Truth
from voxemo.store.bundles import (
    ANALYSES,
    CONFUSIONS,
    GOLD,
    GOLD_COLUMNS,
    INDEX,
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
    read_document,
    read_lines,
    read_rows,
    sha256,
)
from voxemo.store.tables import ANALYSES as ANALYSIS_COLUMNS
from voxemo.store.tables import CONFUSIONS as CONFUSION_COLUMNS
from voxemo.store.tables import PLAN as PLAN_COLUMNS
from voxemo.store.tables import PREDICTIONS as PREDICTION_COLUMNS
from voxemo.store.tables import SCORES as SCORE_COLUMNS
from voxemo.store.tables import UNIT_COUNTS as UNIT_COUNT_COLUMNS
from voxemo.store.tables import UNIT_SUMS as UNIT_SUM_COLUMNS

TRAIT_KINDS: tuple[AnalysisKind, ...] = ("speaker_gender", "speaker_age", "language")

_PARTS: TypeAdapter[dict[str, dict[str, PartFacts]]] = TypeAdapter(dict[str, dict[str, PartFacts]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a bundle is found to be."""

    kind: Literal["wrong", "note"]
    """``wrong``: the bundle does not hold. ``note``: what its reader should know."""
    code: str
    """What it is, for programs."""
    file: str | None
    text: str


def wrong(code: str, file: str | None, text: str) -> Finding:
    """A finding for which the bundle does not hold."""
    return Finding(kind="wrong", code=code, file=file, text=text)


def note(code: str, file: str | None, text: str) -> Finding:
    """A finding that its reader should know."""
    return Finding(kind="note", code=code, file=file, text=text)


def read_index(bundle: str, files: Mapping[str, bytes]) -> BundleIndex:
    """The index of a bundle.

    Raises:
        BundleError: there is none, or it does not follow its schema.
    """
    if INDEX not in files:
        raise BundleError(bundle, f"it has no {INDEX}", hint="`voxemo bundle RUN` makes a bundle.")
    try:
        return BundleIndex.model_validate(read_document(INDEX, files[INDEX]))
    except ValidationError as cause:
        raise BundleError(bundle, f"its {INDEX} does not follow the schema ({_first_error(cause)})") from cause


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def changed_files(index: BundleIndex, files: Mapping[str, bytes]) -> Iterator[Finding]:
    """Every file is listed, there, and has the hash that the index says."""
    there = files.keys() - {INDEX}
    for name in sorted(index.files.keys() - there):
        yield wrong("file_missing", name, f"{name} is listed and not there")
    for name in sorted(there - index.files.keys()):
        yield wrong("file_unlisted", name, f"{name} is there and not listed")
    for name in sorted(there & index.files.keys()):
        if sha256(files[name]) != index.files[name]:
            yield wrong("file_changed", name, f"{name} is not the file that was packed: its hash is another")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
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


def read_contents(index: BundleIndex, files: Mapping[str, bytes]) -> Contents:
    """Every table and document of a bundle.

    Raises:
        BundleError: one is missing or cannot be read as what it should be.
    """
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
    return Contents(
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


def bundled_truth(content: Contents) -> Truth:
    """What the answers are judged by; of contents without misfits (``verify_tables``)."""
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
