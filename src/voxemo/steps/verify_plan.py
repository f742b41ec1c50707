"""Is a bundle's run the one that was planned, and does its manifest hide nothing?"""

from collections.abc import Iterator, Sequence

from voxemo.core.cards import RunManifest
from voxemo.scoring.table import SCORER_VERSION
from voxemo.steps.bundle_contents import Contents, Finding, note, wrong
from voxemo.steps.parse import READINGS
from voxemo.steps.plan import implied_deviations, implied_fields, plan_changes, request_id
from voxemo.steps.tested_parts import answered_less, asks_labelled_alone
from voxemo.store.bundles import (
    INDEX,
    MANIFEST,
    PARTS,
    PLAN,
    PROMPTS,
    SCORES,
)
from voxemo.store.provenance import package_versions
from voxemo.store.tables import PLAN as PLAN_COLUMNS

SCORED_WITH = ("voxemo", "python", "numpy", "polars")
"""Packages whose versions a bundle names."""


def plan_findings(content: Contents) -> Iterator[Finding]:
    """The run is the one that was planned, and the manifest counts what is there."""
    manifest, plan, index = content.manifest, content.plan, content.index
    for change in plan_changes(manifest, plan):
        yield wrong("plan_changed", MANIFEST, f"changed after planning: {change}")
    if index.run_id != manifest.run_id or not manifest.run_id.endswith(f".{manifest.plan_sha256[:8]}"):
        yield wrong("run_id", MANIFEST, f"the run is called {manifest.run_id!r}, which its plan and index deny")
    columns = [name for name in PLAN_COLUMNS if name not in ("request_id", "fold_id", "partition")]
    misnamed = [
        asked
        for asked, *values in content.requests.select("request_id", *columns).iter_rows()
        if asked != request_id(dict(zip(columns, values, strict=True)), manifest.generation)
    ]
    if misnamed:
        yield wrong("request_id", PLAN, f"{len(misnamed)} requests have an id that their content does not give")
    if list(content.prompts) != [prompt.model_dump(mode="json") for prompt in manifest.prompts]:
        yield wrong("prompts", PROMPTS, "the prompts are not those of the manifest")
    n_requests = content.requests.height
    counted = _counts(content)
    stated = {name: manifest.counts.get(name) for name in counted}
    if manifest.n_requests != n_requests or stated != counted:
        other = sorted(name for name in counted if stated[name] != counted[name])
        yield wrong("counts", MANIFEST, f"the manifest counts other answers than there are ({', '.join(other)})")
    if manifest.partial is not None:
        yield note("partial", MANIFEST, f"the run does not answer everything: {manifest.partial}")
    for deviation in manifest.deviations:
        yield note("deviation", MANIFEST, f"differs from the standard protocol: {deviation}")
    if index.scorer_version != SCORER_VERSION:
        yield note(
            "scorer_version",
            SCORES,
            f"scored by version {index.scorer_version} of the formulas, recomputed by version {SCORER_VERSION}: scores "
            "may differ for that reason alone",
        )
    here = package_versions()
    others = [f"{name} {index.made_with.get(name)} (here {here[name]})" for name in SCORED_WITH]
    if any(index.made_with.get(name) != here[name] for name in SCORED_WITH):
        yield note("other_versions", INDEX, f"scored with {', '.join(others)}")


def manifest_findings(manifest: RunManifest) -> Iterator[Finding]:
    """The manifest says what follows from its cards and settings, and hides no deviation that does."""
    for name, value in implied_fields(manifest).items():
        if (stated := getattr(manifest, name)) != value:
            yield wrong("manifest_field", MANIFEST, f"{name} is {stated!r}; from the cards follows {value!r}")
    for deviation in implied_deviations(manifest):
        if deviation not in manifest.deviations:
            yield wrong("deviation_hidden", MANIFEST, f"differs from the standard protocol unsaid: {deviation}")
    if manifest.partial is None and not manifest.corpus_complete:
        yield wrong("partial_hidden", MANIFEST, "part of the corpus is missing, and it does not say so")


def part_findings(content: Contents) -> Iterator[Finding]:
    """Every test part of the split is answered in full, or the manifest says that the run is partial."""
    manifest, parts = content.manifest, content.parts
    if manifest.split.n_folds != len(parts):
        yield wrong("parts", PARTS, f"the split has {len(parts)} folds, {manifest.split.n_folds} by the manifest")
    less = answered_less(content.plan, parts)
    if less and manifest.partial is None:
        yield wrong("partial_hidden", MANIFEST, f"the run is partial, and it does not say so ({_few(less)})")
    every_label = manifest.label_names == manifest.corpus_card.labels.names
    if not less and every_label and asks_labelled_alone(content.plan, parts):
        yield note("labelled_alone", PLAN, "utterances without a gold label are not asked")


def _few(texts: Sequence[str]) -> str:
    return "; ".join([*texts[:3], *([f"{len(texts) - 3} more"] if len(texts) > 3 else [])])


def _counts(content: Contents) -> dict[str, int]:
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
