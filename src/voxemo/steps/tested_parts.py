"""How large the test parts of a split are and who is in them, without naming anybody.

That tells a limited run from a whole one, where there is no workspace to ask.
"""

from collections.abc import Collection, Iterator, Mapping

import polars as pl

from voxemo.core.cards import PartFacts
from voxemo.core.ids import sha256_lines
from voxemo.core.types import Split
from voxemo.splits.checks import is_test_partition

Parts = Mapping[str, Mapping[str, PartFacts]]
"""Fold id to test partition to its facts; every fold of a split."""


def parts_of(split: Split, labelled: Collection[str]) -> dict[str, dict[str, PartFacts]]:
    """The test parts of every fold of a split.

    Args:
        split: of the run.
        labelled: utterances with a gold label within the run's label set.
    """
    return {
        fold.fold_id: {
            partition: _facts(names, labelled)
            for partition, names in sorted(fold.partitions.items())
            if is_test_partition(partition)
        }
        for fold in split.folds
    }


def _facts(names: Collection[str], labelled: Collection[str]) -> PartFacts:
    within = [name for name in names if name in labelled]
    return PartFacts(
        n=len(names), utterances_sha256=_hash(names), n_labelled=len(within), labelled_sha256=_hash(within)
    )


def _hash(names: Collection[str]) -> str:
    return sha256_lines(sorted(names))


def answered_less(plan: pl.DataFrame, parts: Parts) -> list[str]:
    """Folds and test parts that a plan does not ask about in full, or asks otherwise, in words.

    A part is asked in full where every prompt is asked of all of its utterances, or of all that have a gold label
    within the run's label set (a run on some of a corpus's labels; see `asks_labelled_alone`).

    Args:
        plan: by ``store.tables.PLAN``.
        parts: of the split.
    """
    found = []
    if missing := set(parts) - set(plan["fold_id"]):
        found.append(f"{len(missing)} of {len(parts)} folds are not answered")
    told: set[tuple[str, str]] = set()
    for fold_id, partition, names in _asked(plan):
        part = parts.get(fold_id, {}).get(partition)
        if (fold_id, partition) in told or (part is not None and (_is_whole(names, part) or _is_labelled(names, part))):
            continue
        told.add((fold_id, partition))
        there = "none" if part is None else f"{part.n}"
        which = " (others)" if part is not None and len(names) == part.n else ""
        found.append(f"fold {fold_id}, {partition}: {len(names)} of {there} utterances are asked{which}")
    return found


def asks_labelled_alone(plan: pl.DataFrame, parts: Parts) -> bool:
    """Whether utterances without a gold label within the label set are left out of some part."""
    return any(not _is_whole(names, parts[fold_id][partition]) for fold_id, partition, names in _asked(plan))


def _asked(plan: pl.DataFrame) -> Iterator[tuple[str, str, list[str]]]:
    """The utterances of every prompt in every part."""
    key = ["fold_id", "partition", "variant_id", "form"]
    asked = plan.group_by(key, maintain_order=True).agg(pl.col("utterance_id").unique())
    yield from asked.select("fold_id", "partition", "utterance_id").iter_rows()


def _is_whole(names: Collection[str], part: PartFacts) -> bool:
    return len(names) == part.n and _hash(names) == part.utterances_sha256


def _is_labelled(names: Collection[str], part: PartFacts) -> bool:
    return len(names) == part.n_labelled and _hash(names) == part.labelled_sha256
