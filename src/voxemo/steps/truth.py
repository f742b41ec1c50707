"""What a run's answers are judged by: gold labels, votes, speakers, and what the training parts hold.

Read from a workspace here, or from a bundle (``steps.bundle_contents``): scoring sees no difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from voxemo.core.cards import RunManifest
from voxemo.core.errors import RunError
from voxemo.scoring import baselines
from voxemo.splits.checks import training_utterances
from voxemo.steps.analyse import Traits, speaker_traits
from voxemo.store.layout import Workspace
from voxemo.store.workspace import PreparedCorpus, read_prepared, read_split

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The truth about the utterances that a run asks about, and about its training parts."""

    gold: Mapping[str, str]
    """Utterance to gold label; utterances without one within the run's label set are not in it."""
    speakers: Mapping[str, str | None]
    """Utterance to speaker."""
    votes: Mapping[str, Mapping[str, FloatArray]]
    """Counting rule to utterance to votes within the label set; utterances with none left are not in it."""
    label_counts: Mapping[str, IntArray]
    """Fold to the gold labels of its training part, validation included, counted in label-set order."""
    soft_priors: Mapping[tuple[str, str], FloatArray | None]
    """Counting rule and fold to the mean soft label of the training part; None where no vote is in it."""
    traits: Traits
    """What the corpus says of speakers and language, to analyse the answers by."""

    def label_numbers(self, label_names: Sequence[str]) -> dict[str, int]:
        """Utterance to the place of its gold label in the label set; utterances without one are not in it."""
        position = {name: number for number, name in enumerate(label_names)}
        return {utterance: position[label] for utterance, label in self.gold.items()}


def read_truth(workspace: Workspace, manifest: RunManifest) -> Truth:
    """The truth about a run's whole corpus, from the workspace that it was planned in.

    Raises:
        RunError: the corpus or the split are not those that the run was planned with.
    """
    card = manifest.corpus_card
    prepared = read_prepared(workspace, card)
    split, facts = read_split(workspace, card.corpus_id, manifest.split.split_id)
    if (
        prepared.report["utterances_sha256"] != manifest.utterances_sha256
        or facts["sha256"] != manifest.split.split_sha256
    ):
        raise RunError(
            f"{manifest.run_id} was planned for another manifest or split of {card.corpus_id} than those in this "
            "workspace. Point --workspace to the one it was planned with, or plan a new run."
        )
    position = {name: number for number, name in enumerate(manifest.label_names)}
    labels = {u.utterance_id: getattr(u, manifest.label_source) for u in prepared.benchmark}
    gold = {name: label for name, label in labels.items() if label in position}
    votes = _vote_counts(prepared, position)
    training = {fold.fold_id: sorted(training_utterances(fold)) for fold in split.folds}
    return Truth(
        gold=gold,
        speakers={u.utterance_id: u.speaker_id for u in prepared.benchmark},
        votes=votes,
        label_counts={
            fold_id: np.bincount([position[gold[name]] for name in members if name in gold], minlength=len(position))
            for fold_id, members in training.items()
        },
        soft_priors={
            (rule, fold_id): _mean_soft_label([counts[name] for name in members if name in counts])
            for rule, counts in votes.items()
            for fold_id, members in training.items()
        },
        traits=speaker_traits(prepared.benchmark),
    )


def _mean_soft_label(counts: Sequence[FloatArray]) -> FloatArray | None:
    return baselines.mean_soft_label(baselines.soft_labels(np.stack(counts))[0]) if counts else None


def _vote_counts(prepared: PreparedCorpus, position: Mapping[str, int]) -> dict[str, dict[str, FloatArray]]:
    """Votes within the label set; the others are dropped and the rest renormalised later (PROTOCOL section 2)."""
    votes: dict[str, dict[str, FloatArray]] = {}
    inside = prepared.votes.filter(pl.col("label").is_in(list(position)) & (pl.col("n") > 0))
    for rule, name, label, n in inside.select("rule", "utterance_id", "label", "n").iter_rows():
        counts = votes.setdefault(rule, {}).setdefault(name, np.zeros(len(position)))
        counts[position[label]] += n
    return votes
