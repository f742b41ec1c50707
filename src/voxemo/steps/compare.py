"""Two runs side by side: what differs between them, and how far apart their scores are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxemo.core.cards import RunManifest
from voxemo.core.errors import RunError, UnknownName
from voxemo.core.types import FailurePolicy
from voxemo.scoring.evaluate import Difference, difference
from voxemo.scoring.folds import HardFold
from voxemo.steps.score import ScoredTable, hard_systems, load_scored, metrics
from voxemo.store.layout import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The difference of two runs in one metric and system."""

    run_a: str
    run_b: str
    system_id: str
    metric: str
    partition: str
    difference: Difference
    overlap_a: str
    overlap_b: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareResult:
    """What differs between two runs, and their scores' differences."""

    unlike: tuple[str, ...]
    """What else differs than what is compared, in words; empty when only the model does."""
    comparisons: tuple[Comparison, ...]


def manifest_differences(a: RunManifest, b: RunManifest) -> tuple[str, ...]:
    """Everything in which two runs differ beside their models, in words a reader can weigh."""
    facts = [
        ("split", f"{a.split.split_id} ({a.split.overlap})", f"{b.split.split_id} ({b.split.overlap})"),
        ("split hash", a.split.split_sha256[:8], b.split.split_sha256[:8]),
        ("manifest hash", a.utterances_sha256[:8], b.utterances_sha256[:8]),
        ("corpus card hash", a.corpus_card_sha256[:8], b.corpus_card_sha256[:8]),
        ("label source", a.label_source, b.label_source),
        ("label set", ", ".join(a.label_names), ", ".join(b.label_names)),
        ("prompts", _prompts(a, b), _prompts(b, a)),
        ("decoding", str(a.generation), str(b.generation)),
        ("audio condition", a.audio_condition, b.audio_condition),
        ("parser version", a.parser_version, b.parser_version),
        ("label table", a.label_table, b.label_table),
        ("partial", str(a.partial), str(b.partial)),
    ]
    return tuple(f"{name}: {left} | {right}" for name, left, right in facts if left != right)


def _prompts(manifest: RunManifest, other: RunManifest) -> str:
    """Prompts of one run that the other did not ask."""
    theirs = {prompt.prompt_sha256 for prompt in other.prompts}
    own = sorted(f"{p.variant_id} ({p.form})" for p in manifest.prompts if p.prompt_sha256 not in theirs)
    return ", ".join(own) or "no other"


def compare_runs(
    workspace: Workspace,
    run_a: Path,
    run_b: Path,
    *,
    metric: str = "unweighted_accuracy",
    systems: Sequence[str] | None = None,
    policy: FailurePolicy = "wrong",
    resamples: int = 1000,
) -> CompareResult:
    """Compare two parsed runs over one corpus in one hard metric, by a bootstrap that pairs their speakers.

    The runs may be over different splits: the speakers of both are drawn together, so that the difference of a
    protocol split and a speaker-disjoint one gets an interval too. Values are pooled over folds.

    Args:
        workspace: holds the gold labels of both.
        run_a: the first run.
        run_b: the second; the difference is first minus second.
        metric: name of a hard metric with one value.
        systems: prompt variants or ``ensemble``; by default all that both runs have.
        policy: what a failed answer is worth.
        resamples: bootstrap resamples.

    Raises:
        RunError: the runs are over different corpora or label sets, or share no system.
        UnknownName: there is no such metric or system.
    """
    known = {name: m for name, m in metrics().items() if m.kind == "confusion"}
    if metric not in known:
        raise UnknownName("hard metric", metric, tuple(known))
    a, b = load_scored(workspace, run_a), load_scored(workspace, run_b)
    if a.manifest.corpus_card.corpus_id != b.manifest.corpus_card.corpus_id:
        raise RunError(
            f"{a.manifest.run_id} and {b.manifest.run_id} are over different corpora; a difference of their scores "
            "would compare corpora, not systems."
        )
    if a.manifest.label_names != b.manifest.label_names or a.manifest.label_source != b.manifest.label_source:
        raise RunError(f"{a.manifest.run_id} and {b.manifest.run_id} have other label sets or label sources.")
    comparisons: list[Comparison] = []
    for partition in sorted(set(a.rows["partition"]) & set(b.rows["partition"])):
        left, right = (hard_systems(t, partition=partition, reading="strict") for t in (a, b))
        shared = [name for name in left if name in right]
        for name in systems or shared:
            if name not in shared:
                raise UnknownName("system", name, shared)
            comparisons.append(_comparison(a, b, left[name], right[name], name, partition, metric, policy, resamples))
    if not comparisons:
        raise RunError(f"{a.manifest.run_id} and {b.manifest.run_id} share no prompt variant on a common test part.")
    return CompareResult(unlike=manifest_differences(a.manifest, b.manifest), comparisons=tuple(comparisons))


def _comparison(
    a: ScoredTable,
    b: ScoredTable,
    left: Sequence[HardFold],
    right: Sequence[HardFold],
    system_id: str,
    partition: str,
    metric: str,
    policy: FailurePolicy,
    resamples: int,
) -> Comparison:
    return Comparison(
        run_a=a.manifest.run_id,
        run_b=b.manifest.run_id,
        system_id=system_id,
        metric=metric,
        partition=partition,
        difference=difference(
            left,
            right,
            metric=metrics()[metric],
            label_names=a.manifest.label_names,
            policy=policy,
            resamples=resamples,
        ),
        overlap_a=a.manifest.split.overlap,
        overlap_b=b.manifest.split.overlap,
    )
