"""Manifest to folds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxemo.core.cards import CorpusCard
from voxemo.core.errors import SplitError, UnknownName
from voxemo.core.types import Split
from voxemo.corpora.published import emobox_split
from voxemo.splits import checks, policies
from voxemo.steps.corpora import find_card
from voxemo.store.layout import Workspace
from voxemo.store.workspace import SPLIT_POLICIES, read_prepared, write_split


@dataclass(frozen=True, slots=True)
class SplitResult:
    """A split and what was computed about it."""

    card: CorpusCard
    split: Split
    facts: dict[str, Any]
    written: tuple[Path, ...]


def split_corpus(
    workspace: Workspace, corpus: str, *, policy: str = "protocol", emobox: Path | None = None, seed: int | None = None
) -> SplitResult:
    """Divide a prepared corpus into folds and write them into the workspace.

    Args:
        workspace: holds the prepared corpus; the split goes there too.
        corpus: name of the corpus.
        policy: ``protocol`` (the rule on the corpus card), ``speaker-disjoint``, or ``emobox`` (published folds).
        emobox: the user's copy of the EmoBox repository; needed for ``emobox`` and only there.
        seed: instead of the card's own; such a split is named ``<policy>-seed<seed>``.

    Raises:
        SplitError: the policy is unknown or cannot be applied to this corpus.
        NotPrepared: `prepare` has not run.
    """
    card = find_card(workspace, corpus)
    if policy not in SPLIT_POLICIES:
        raise UnknownName("split policy", policy, SPLIT_POLICIES)
    if policy == "emobox" and emobox is None:
        raise SplitError("The policy 'emobox' reads a copy of the EmoBox repository. Say where it is: --emobox FOLDER")
    if policy != "emobox" and emobox is not None:
        raise SplitError(f"--emobox reads published folds; the policy {policy!r} makes its own. Give one of the two.")
    prepared = read_prepared(workspace, card)
    notes: list[str] = []
    if emobox is not None:
        published = emobox_split(card, prepared.benchmark, emobox, seed=seed)
        split = published.split
        if published.unmatched_keys:
            notes.append(f"{len(published.unmatched_keys)} published keys are not in the corpus")
        if published.missing_utterances:
            notes.append(f"{len(published.missing_utterances)} utterances are in no published partition and left out")
    else:
        split = policies.make_split(card, prepared.benchmark, policy=policy, seed=seed)
    utterances = {utterance.utterance_id: utterance for utterance in prepared.benchmark}
    labels = {name: checks.gold_label(u, card.gold) for name, u in utterances.items()}
    notes.extend(_twins(split, {name: u.audio_sha256 for name, u in utterances.items()}))
    notes.extend(_untested(split, labels))
    notes.extend(checks.check_folds(split.folds, prepared.benchmark, label_source=card.gold))
    overlap = checks.speaker_overlap(
        split.folds,
        {name: u.speaker_id for name, u in utterances.items()},
        {name: u.session_id for name, u in utterances.items()},
    )
    facts = {
        "sha256": policies.split_sha256(split),
        "overlap": overlap.text,
        "overlap_detail": asdict(overlap),
        "sizes": {fold.fold_id: checks.partition_sizes(fold) for fold in split.folds},
        "labels": {fold.fold_id: checks.label_counts(fold, labels) for fold in split.folds},
        "n_placed": len({name for fold in split.folds for names in fold.partitions.values() for name in names}),
        "notes": notes,
        "why": card.split.why if policy == "protocol" else "",
    }
    write_split(workspace, split, facts)
    written = (
        workspace.split(card.corpus_id, split.split_id),
        workspace.split_facts(card.corpus_id, split.split_id),
    )
    return SplitResult(card, split, facts, written)


def _untested(split: Split, labels: Mapping[str, str | None]) -> list[str]:
    """A note for each fold whose test part lacks a label: UA there is over fewer classes, macro-F1 has a zero."""
    known = {label for label in labels.values() if label is not None}
    notes = []
    for fold in split.folds:
        lacking = sorted(known - {labels[name] for name in checks.tested_utterances(fold)})
        if lacking:
            notes.append(f"fold {fold.fold_id} tests no utterance labelled {', '.join(lacking)}")
    return notes


def _twins(split: Split, samples: Mapping[str, str | None]) -> list[str]:
    """A note for each fold that tests the very samples it trains on, under another name."""
    notes = []
    for fold in split.folds:
        trained = {samples[name] for name in checks.training_utterances(fold)} - {None}
        n_twins = sum(samples[name] in trained for name in checks.tested_utterances(fold))
        if n_twins:
            notes.append(f"fold {fold.fold_id} tests {n_twins} clips whose very samples are in its training part")
    return notes
