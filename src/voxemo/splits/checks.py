"""What a split really does: which speakers it shares, how its partitions are filled, whether it fits its corpus.

Nothing here is taken on trust from a card: speaker overlap is counted, never assumed (PROTOCOL section 3).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from voxemo.core.errors import SplitError, listing
from voxemo.core.types import Fold, LabelSource, Utterance

TRAINING_PARTITIONS = ("train", "valid")
NO_LABEL = "(no label)"
"""Stands for utterances whose gold label is undecided, such as ties between listeners."""


def is_test_partition(name: str) -> bool:
    """Whether answers on this partition are scored: ``test``, ``test1``, ``test2``.

    >>> [name for name in ("train", "valid", "test", "test2") if is_test_partition(name)]
    ['test', 'test2']
    """
    return name.startswith("test")


def gold_label(utterance: Utterance, label_source: LabelSource) -> str | None:
    """The canonical label from exactly one label source; None where that source has none."""
    return utterance.expressed if label_source == "expressed" else utterance.perceived


def training_utterances(fold: Fold) -> frozenset[str]:
    """Utterances that a system may learn from in this fold: train and valid."""
    return frozenset(name for part in TRAINING_PARTITIONS for name in fold.partitions.get(part, ()))


def tested_utterances(fold: Fold) -> frozenset[str]:
    """Utterances of every test partition of this fold."""
    return frozenset(name for part, names in fold.partitions.items() if is_test_partition(part) for name in names)


# --- speakers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldOverlap:
    """Speakers that one fold has in training and in test."""

    fold_id: str
    n_shared: int
    n_test_speakers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Speakers that a split tests in a fold whose training parts hold them too."""

    n_shared: int
    """Test speakers that are also in training, in at least one fold."""
    n_test_speakers: int
    n_shared_sessions: int
    """Test sessions (dialogues, episodes, recordings) that are also in training, in at least one fold."""
    n_test_sessions: int
    per_fold: tuple[FoldOverlap, ...]
    speaker_independent: bool | None
    """True: none is shared; False: some are; None: utterances without a speaker leave it open."""
    text: str
    """The finding in words."""


def speaker_overlap(
    folds: Sequence[Fold], speakers: Mapping[str, str | None], sessions: Mapping[str, str | None] | None = None
) -> Overlap:
    """Count the speakers that are in a training and a test partition of the same fold, and the sessions.

    Where files name no speakers, a session that is on both sides tells that its speakers are.

    Args:
        folds: at least one.
        speakers: utterance id to speaker id; None or absent where the corpus does not tell.
        sessions: the same for sessions.

    >>> fold = Fold(fold_id="1", partitions={"train": ("a", "b"), "test": ("c",)})
    >>> speaker_overlap([fold], {"a": "x", "b": "y", "c": "x"}).text
    '1 of 1 test speakers also in train or valid'
    >>> speaker_overlap([fold], {"a": "x", "b": "y", "c": "z"}).text
    'no speaker shared'
    """
    shared: set[str] = set()
    tested: set[str] = set()
    used: set[str] = set()
    per_fold = []
    for fold in folds:
        training, test = training_utterances(fold), tested_utterances(fold)
        used |= training | test
        in_test = {speaker for name in test if (speaker := speakers.get(name)) is not None}
        in_both = in_test & {speaker for name in training if (speaker := speakers.get(name)) is not None}
        tested |= in_test
        shared |= in_both
        per_fold.append(FoldOverlap(fold_id=fold.fold_id, n_shared=len(in_both), n_test_speakers=len(in_test)))
    nameless = [name for name in used if speakers.get(name) is None]
    unknown = f"{len(nameless)} utterance{'' if len(nameless) == 1 else 's'} without a speaker"
    if shared:
        independent: bool | None = False
        text = f"{len(shared)} of {len(tested)} test speakers also in train or valid"
        if nameless:
            text += f" ({unknown})"
    elif nameless:
        independent = None
        text = "speakers unknown" if len(nameless) == len(used) else f"no known speaker shared ({unknown})"
    else:
        independent, text = True, "no speaker shared"
    n_shared_sessions, n_test_sessions = _shared_sessions(folds, sessions or {})
    if n_shared_sessions:
        text += f"; {n_shared_sessions} of {n_test_sessions} test sessions also in train or valid"
    return Overlap(
        n_shared=len(shared),
        n_test_speakers=len(tested),
        n_shared_sessions=n_shared_sessions,
        n_test_sessions=n_test_sessions,
        per_fold=tuple(per_fold),
        speaker_independent=independent,
        text=text,
    )


def _shared_sessions(folds: Sequence[Fold], sessions: Mapping[str, str | None]) -> tuple[int, int]:
    shared: set[str] = set()
    tested: set[str] = set()
    for fold in folds:
        in_test = {session for name in tested_utterances(fold) if (session := sessions.get(name)) is not None}
        tested |= in_test
        shared |= in_test & {sessions.get(name) for name in training_utterances(fold)}
    return len(shared), len(tested)


# --- sizes and labels --------------------------------------------------------------------------------------------


def partition_sizes(fold: Fold) -> dict[str, int]:
    """Partition name to number of utterances."""
    return {part: len(names) for part, names in fold.partitions.items()}


def label_counts(fold: Fold, labels: Mapping[str, str | None]) -> dict[str, dict[str, int]]:
    """Partition name to utterances per label, by label; ``NO_LABEL`` counts those without one."""
    return {
        part: dict(sorted(Counter(labels.get(name) or NO_LABEL for name in names).items()))
        for part, names in fold.partitions.items()
    }


# --- fit ---------------------------------------------------------------------------------------------------------


def check_folds(folds: Sequence[Fold], utterances: Iterable[Utterance], *, label_source: LabelSource) -> list[str]:
    """Check that folds fit their corpus.

    Args:
        folds: of one split.
        utterances: of the corpus, without excluded ones.
        label_source: of the labels that warnings are about.

    Returns:
        What a user should know, in words: utterances that a fold leaves out, and labels that a fold tests but cannot
        train.

    Raises:
        SplitError: two partitions of a fold share utterances, one names an utterance twice or one that the corpus
            lacks, a fold has no training or no test part, two folds have one name, or there is no fold.
    """
    labels = {utterance.utterance_id: gold_label(utterance, label_source) for utterance in utterances}
    if not folds:
        raise SplitError("The split has no fold. Make it again with `voxemo split`.")
    doubled = [name for name, n in Counter(fold.fold_id for fold in folds).items() if n > 1]
    if doubled:
        raise SplitError(f"The split has two folds called {listing(doubled)}; each needs a name of its own.")
    warnings = []
    for fold in folds:
        _refuse_misfits(fold, labels)
        training, test = training_utterances(fold), tested_utterances(fold)
        n_left = len(labels) - len(training | test)
        if n_left:
            warnings.append(f"fold {fold.fold_id} leaves out {n_left} of {len(labels)} utterances")
        unseen = sorted({label for name in test if (label := labels[name])} - {labels[name] for name in training})
        if unseen:
            warnings.append(f"fold {fold.fold_id} tests labels that its training part lacks: {listing(unseen)}")
    return warnings


def _refuse_misfits(fold: Fold, known: Mapping[str, str | None]) -> None:
    places: dict[str, list[str]] = {}
    for part, names in fold.partitions.items():
        for name in names:
            places.setdefault(name, []).append(part)
    strangers = sorted(set(places) - set(known))
    if strangers:
        raise SplitError(
            f"Fold {fold.fold_id} names {len(strangers)} utterances that the corpus lacks: {listing(strangers)}. "
            "Make the split again from the prepared corpus."
        )
    shared = sorted(name for name, parts in places.items() if len(parts) > 1)
    if shared:
        raise SplitError(
            f"Fold {fold.fold_id} has {len(shared)} utterances in more than one place: {listing(shared)} "
            f"({' and '.join(places[shared[0]])}). Each utterance may be in one partition of a fold, once."
        )
    if not any(part == "train" and names for part, names in fold.partitions.items()):
        raise SplitError(f"Fold {fold.fold_id} has no training utterances (partition 'train').")
    if not any(is_test_partition(part) and names for part, names in fold.partitions.items()):
        raise SplitError(f"Fold {fold.fold_id} has no test utterances (partition 'test', 'test1', ...).")
