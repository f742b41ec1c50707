"""Manifest to folds."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import SplitError
from voxemo.core.types import Split
from voxemo.corpora.published import emobox_split
from voxemo.splits import checks, policies
from voxemo.store.layout import Workspace
from voxemo.store.workspace import read_prepared, write_split

POLICIES = ("protocol", "speaker-disjoint", "emobox")


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
    card = lookup.corpus_card(corpus)
    if policy not in POLICIES:
        raise SplitError(f"There is no split policy {policy!r}. There are: {', '.join(POLICIES)}.")
    if (policy == "emobox") != (emobox is not None):
        raise SplitError("The policy 'emobox' reads a copy of the EmoBox repository: give both, --emobox FOLDER.")
    prepared = read_prepared(workspace, card)
    notes: list[str] = []
    if emobox is not None:
        published = emobox_split(card, prepared.benchmark, emobox)
        split = published.split
        if published.unmatched_keys:
            notes.append(f"{len(published.unmatched_keys)} published keys are not in the corpus")
        if published.missing_utterances:
            notes.append(f"{len(published.missing_utterances)} utterances are in no published partition and left out")
    else:
        split = policies.make_split(card, prepared.benchmark, policy=policy, seed=seed)
    utterances = {utterance.utterance_id: utterance for utterance in prepared.benchmark}
    notes.extend(checks.check_folds(split.folds, prepared.benchmark, label_source=card.gold))
    overlap = checks.speaker_overlap(split.folds, {name: u.speaker_id for name, u in utterances.items()})
    facts = {
        "sha256": policies.split_sha256(split),
        "overlap": overlap.text,
        "overlap_detail": asdict(overlap),
        "sizes": {
            fold.fold_id: {name: len(members) for name, members in fold.partitions.items()} for fold in split.folds
        },
        "notes": notes,
        "why": card.split.why if policy == "protocol" else "",
    }
    write_split(workspace, split, facts)
    written = (
        workspace.split(card.corpus_id, split.split_id),
        workspace.split_facts(card.corpus_id, split.split_id),
    )
    return SplitResult(card, split, facts, written)
