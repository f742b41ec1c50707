"""The rules that divide a corpus into folds (paper, section 2.3; PROTOCOL section 3).

Every rule takes utterances without the excluded ones (unusable ones stay: they are answered, and fail) and gives
folds. Where a rule needs chance, it sorts by a hash of seed, purpose and name: the result depends on neither the order
of the input nor the version of a random number generator, and each name keeps its rank when others come or go.

Utterances without a gold label (ties between listeners) are not scored, but they are answered, and they may carry
votes: they form a stratum of their own and follow the same shares as any label.

A partition that would be empty is left out of its fold; ``train`` and a test partition are never empty.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Literal

from voxemo.core.cards import CorpusCard
from voxemo.core.errors import SplitError, listing
from voxemo.core.ids import canonical_json, sha256_lines, sha256_text
from voxemo.core.types import Fold, LabelSource, Split, Utterance
from voxemo.splits.checks import gold_label, is_test_partition, speaker_overlap

PolicyName = Literal["provider", "stratified_random", "leave_one_speaker_out", "speaker_k_fold"]

TEST_SHARE = Fraction(1, 4)
VALID_SHARE = Fraction(1, 5)
N_SPEAKER_FOLDS = 4
MOST_SPEAKERS_LEFT_OUT = 6
"""Up to this many speakers, each is a fold of their own; beyond, they are divided into ``N_SPEAKER_FOLDS``."""
DEFAULT_SEED = 2026
"""For cards whose own rule needs no seed: the validation part still does."""
FOLD_PREFIX = "fold:"
"""A provider partition ``fold:3`` is the test part of fold 3 and in the training part of every other fold."""
FOLD_VALID = ":valid"
"""``fold:3:valid`` is the validation part of fold 3 and in the training part of every other fold."""
UNASSIGNED = "unassigned"
"""The provider ships the utterance but puts it in no part; it is in no fold."""


# --- chance and shares -------------------------------------------------------------------------------------------


def _shuffled(names: Iterable[str], *, seed: int, purpose: str) -> list[str]:
    return sorted(names, key=lambda name: sha256_text(f"{seed}/{purpose}/{name}"))


def _seats(sizes: Mapping[str, int], share: Fraction) -> dict[str, int]:
    """Divide the drawn total, the rounded share of all, over the strata by largest remainder.

    A stratum of one gives nothing, so that no class is tested or validated without being trained.
    """
    quotas = {stratum: size * share for stratum, size in sizes.items()}
    seats = {stratum: int(quota) for stratum, quota in quotas.items()}
    n_open = int(sum(sizes.values()) * share + Fraction(1, 2)) - sum(seats.values())
    entitled = sorted((s for s in sizes if sizes[s] > 1), key=lambda s: (seats[s] - quotas[s], s))
    for stratum in entitled[:n_open]:
        seats[stratum] += 1
    return seats


def _draw(
    utterances: Iterable[Utterance], share: Fraction, *, label_source: LabelSource, seed: int, purpose: str
) -> frozenset[str]:
    strata: dict[str, list[str]] = defaultdict(list)
    for utterance in utterances:
        strata[gold_label(utterance, label_source) or ""].append(utterance.utterance_id)
    seats = _seats({stratum: len(names) for stratum, names in strata.items()}, share)
    return frozenset(
        name
        for stratum, names in strata.items()
        for name in _shuffled(names, seed=seed, purpose=purpose)[: seats[stratum]]
    )


# --- folds -------------------------------------------------------------------------------------------------------


def make_fold(
    fold_id: str,
    partitions: Mapping[str, Iterable[str]],
    utterances: Mapping[str, Utterance],
    *,
    label_source: LabelSource,
    seed: int,
) -> Fold:
    """Put a fold together; without a ``valid`` part, 20 % of ``train`` becomes one, stratified by emotion.

    Args:
        fold_id: the fold's name.
        partitions: partition name to utterance ids, in any order.
        utterances: id to utterance, for every id in ``train``.
        label_source: of the labels that the validation part is stratified by.
        seed: of the validation part.

    Raises:
        SplitError: there is nothing to train on, or nothing to test.
    """
    filled = {name: set(members) for name, members in partitions.items()}
    if not filled.get("train") or not any(is_test_partition(name) and members for name, members in filled.items()):
        raise SplitError(
            f"Fold {fold_id} would have nothing to {'test' if filled.get('train') else 'train on'}: "
            f"{sum(map(len, filled.values()))} utterances are too few for this rule, or all lie on one side of it."
        )
    if not filled.get("valid"):
        trained = [utterances[name] for name in filled["train"]]
        filled["valid"] = set(_draw(trained, VALID_SHARE, label_source=label_source, seed=seed, purpose="valid"))
        filled["train"] -= filled["valid"]
    order = ["train", "valid", *sorted(set(filled) - {"train", "valid"})]
    return Fold(fold_id=fold_id, partitions={name: tuple(sorted(filled[name])) for name in order if filled[name]})


def _index(utterances: Sequence[Utterance]) -> dict[str, Utterance]:
    if not utterances:
        raise SplitError("There are no utterances to divide. Check `voxemo prepare`: all may have been left out.")
    index = {utterance.utterance_id: utterance for utterance in utterances}
    if len(index) < len(utterances):
        doubled = sorted(name for name, n in Counter(u.utterance_id for u in utterances).items() if n > 1)
        raise SplitError(f"{len(doubled)} utterance ids occur more than once: {listing(doubled)}. Ids must be unique.")
    return index


def _test_each(
    tests: Mapping[str, Iterable[str]], index: Mapping[str, Utterance], *, label_source: LabelSource, seed: int
) -> tuple[Fold, ...]:
    """One fold per test part; everything else of the corpus is its training part."""
    return tuple(
        make_fold(
            fold_id,
            {"train": index.keys() - set(test), "test": test},
            index,
            label_source=label_source,
            seed=seed,
        )
        for fold_id, test in tests.items()
    )


# --- rule 1: what the provider ships -----------------------------------------------------------------------------


def provider(utterances: Sequence[Utterance], *, label_source: LabelSource, seed: int) -> tuple[Fold, ...]:
    """Take the partitions that the corpus ships with.

    ``provider_partition`` is ``train``, ``valid``, ``test``, ``test1`` or ``test2`` and gives one fold called ``1``;
    or it is ``fold:<name>`` or ``fold:<name>:valid`` throughout: the test or the validation part of that fold, which
    every other fold trains on. ``unassigned`` utterances are in no fold.

    Raises:
        SplitError: an utterance has no partition or one of another name, both forms are mixed, or a part is empty.
    """
    index = _index(utterances)
    parts: dict[str, list[str]] = defaultdict(list)
    for name, utterance in index.items():
        parts[utterance.provider_partition or ""].append(name)
    if "" in parts:
        raise SplitError(
            f"{len(parts[''])} of {len(index)} utterances have no provider partition: {listing(sorted(parts['']))}. "
            "A provider split needs one for each; `voxemo prepare` reads them with the corpus."
        )
    parts.pop(UNASSIGNED, None)
    folded = [part for part in parts if part.startswith(FOLD_PREFIX)]
    strange = [p for p in parts if p not in ("train", "valid") and not is_test_partition(p) and p not in folded]
    if strange or (folded and len(folded) < len(parts)):
        raise SplitError(
            f"The provider partitions {listing(sorted(strange or parts))} do not make a split: expected train, valid, "
            f"test, test1, test2, or {FOLD_PREFIX}<name> for every utterance."
        )
    if not folded:
        return (make_fold("1", parts, index, label_source=label_source, seed=seed),)
    placed = frozenset(name for members in parts.values() for name in members)
    numbers = {part.removeprefix(FOLD_PREFIX).removesuffix(FOLD_VALID) for part in folded}
    return tuple(
        _provider_fold(number, parts, placed, index, label_source=label_source, seed=seed)
        for number in sorted(numbers, key=_natural)
    )


def _provider_fold(
    number: str,
    parts: Mapping[str, list[str]],
    placed: frozenset[str],
    index: Mapping[str, Utterance],
    *,
    label_source: LabelSource,
    seed: int,
) -> Fold:
    test = parts.get(f"{FOLD_PREFIX}{number}", [])
    valid = parts.get(f"{FOLD_PREFIX}{number}{FOLD_VALID}", [])
    train = placed - set(test) - set(valid)
    return make_fold(
        number, {"train": train, "valid": valid, "test": test}, index, label_source=label_source, seed=seed
    )


def _natural(name: str) -> tuple[int, str]:
    """Sort fold ``10`` after fold ``9``."""
    return (len(name), name) if name.isdecimal() else (1 << 30, name)


# --- rule 2: at random -------------------------------------------------------------------------------------------


def stratified_random(utterances: Sequence[Utterance], *, label_source: LabelSource, seed: int) -> tuple[Fold, ...]:
    """One fold: a quarter of the utterances is tested, each emotion by its share, whoever speaks.

    The test part has round(n / 4) utterances, divided over the emotions by largest remainder. An emotion with a single
    utterance is never tested.

    Raises:
        SplitError: there are too few utterances for a test and a training part.
    """
    index = _index(utterances)
    test = _draw(index.values(), TEST_SHARE, label_source=label_source, seed=seed, purpose="test")
    return _test_each({"1": test}, index, label_source=label_source, seed=seed)


# --- rules 3 and 4: by speaker -----------------------------------------------------------------------------------


def _by_speaker(index: Mapping[str, Utterance], *, at_least: int) -> dict[str, list[str]]:
    """Speaker to utterances, by speaker id."""
    nameless = sorted(name for name, utterance in index.items() if utterance.speaker_id is None)
    if nameless:
        raise SplitError(
            f"{len(nameless)} of {len(index)} utterances have no speaker id: {listing(nameless)}. "
            "Speakers can be kept apart only where each is known: fetch or fill in the table that names them. Where "
            "nobody knows them, only a rule that mixes speakers can divide the corpus."
        )
    speakers: dict[str, list[str]] = defaultdict(list)
    for name, utterance in index.items():
        speakers[utterance.speaker_id or ""].append(name)
    if len(speakers) < at_least:
        raise SplitError(
            f"Keeping speakers apart over these folds needs at least {at_least} speakers; there "
            f"{'is' if len(speakers) == 1 else 'are'} {len(speakers)}. Fetch the rest of the corpus if it has more. "
            + (
                "The policy 'speaker-disjoint' makes do with 2."
                if len(speakers) > 1
                else "With one speaker, no split keeps voices apart."
            )
        )
    return dict(sorted(speakers.items()))


def leave_one_speaker_out(utterances: Sequence[Utterance], *, label_source: LabelSource, seed: int) -> tuple[Fold, ...]:
    """One fold per speaker, who is its test part; fold ``1`` tests the first speaker id in sorted order.

    Raises:
        SplitError: an utterance has no speaker id, or there is only one speaker.
    """
    index = _index(utterances)
    speakers = _by_speaker(index, at_least=2)
    tests = {str(number): names for number, names in enumerate(speakers.values(), start=1)}
    return _test_each(tests, index, label_source=label_source, seed=seed)


def speaker_k_fold(
    utterances: Sequence[Utterance], *, label_source: LabelSource, seed: int, k: int = N_SPEAKER_FOLDS
) -> tuple[Fold, ...]:
    """Divide the speakers into ``k`` folds of about equal size and label counts; each speaker is tested once.

    Speakers with most utterances are placed first, those with equally many in seeded order, each into the fold where
    utterances of their labels, and utterances at all, are fewest so far.

    Raises:
        SplitError: an utterance has no speaker id, or there are fewer than ``k`` speakers.
    """
    index = _index(utterances)
    speakers = _by_speaker(index, at_least=k)
    counts = {
        speaker: Counter(gold_label(index[name], label_source) or "" for name in names)
        for speaker, names in speakers.items()
    }
    whole: Counter[str] = Counter()
    for count in counts.values():
        whole.update(count)
    filled: list[Counter[str]] = [Counter() for _ in range(k)]
    members: list[list[str]] = [[] for _ in range(k)]
    order = sorted(_shuffled(speakers, seed=seed, purpose="speaker"), key=lambda speaker: -len(speakers[speaker]))
    for speaker in order:
        count = counts[speaker]

        # What placing the speaker adds to the sum of squares of the shares; the speaker's own part is the same for all.
        def crowding(fold: int, count: Counter[str] = count) -> tuple[Fraction, int]:
            per_label = sum((Fraction(filled[fold][label] * n, whole[label]) for label, n in count.items()), Fraction())
            return per_label + Fraction(filled[fold].total() * count.total(), whole.total()), fold

        chosen = min(range(k), key=crowding)
        filled[chosen].update(count)
        members[chosen].extend(speakers[speaker])
    tests = {str(number): names for number, names in enumerate(members, start=1)}
    return _test_each(tests, index, label_source=label_source, seed=seed)


def speaker_disjoint(utterances: Sequence[Utterance], *, label_source: LabelSource, seed: int) -> tuple[Fold, ...]:
    """Keep speakers apart whatever the balance: two to six are left out one by one, more make four folds.

    Raises:
        SplitError: an utterance has no speaker id, or there is only one speaker.
    """
    speakers = _by_speaker(_index(utterances), at_least=2)
    if len(speakers) <= MOST_SPEAKERS_LEFT_OUT:
        return leave_one_speaker_out(utterances, label_source=label_source, seed=seed)
    return speaker_k_fold(utterances, label_source=label_source, seed=seed)


# --- which rule --------------------------------------------------------------------------------------------------


def balanced(utterances: Iterable[Utterance], label_source: LabelSource) -> bool:
    """Whether every speaker has the same number of utterances per emotion, as EmoBox asks for speaker folds.

    Emotions may differ in number; speakers may not. Utterances without a label do not count. False where an utterance
    has no speaker id.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for utterance in utterances:
        if utterance.speaker_id is None:
            return False
        label = gold_label(utterance, label_source)
        counts[utterance.speaker_id].update([] if label is None else [label])
    return len({frozenset(count.items()) for count in counts.values()}) <= 1


def protocol_rule(utterances: Sequence[Utterance], label_source: LabelSource, *, has_provider: bool) -> PolicyName:
    """The policy that PROTOCOL section 3 asks for, by its order of rules.

    Args:
        utterances: of the corpus.
        label_source: of the labels whose balance counts.
        has_provider: whether the corpus ships with partitions.
    """
    if has_provider:
        return "provider"
    n_speakers = len({utterance.speaker_id for utterance in utterances} - {None})
    if n_speakers < N_SPEAKER_FOLDS or not balanced(utterances, label_source):
        return "stratified_random"
    return "leave_one_speaker_out" if n_speakers <= MOST_SPEAKERS_LEFT_OUT else "speaker_k_fold"


# --- splits ------------------------------------------------------------------------------------------------------


def split_seed(card: CorpusCard, seed: int | None) -> int:
    """The seed of a split: the one asked for, else the card's, else ``DEFAULT_SEED``."""
    if seed is not None:
        return seed
    return DEFAULT_SEED if card.split.seed is None else card.split.seed


def make_split(
    card: CorpusCard,
    utterances: Sequence[Utterance],
    *,
    policy: str,
    seed: int | None = None,
    label_source: LabelSource | None = None,
) -> Split:
    """Divide a corpus by the rule on its card, or by speakers.

    Args:
        card: names the rule and its seed.
        utterances: of the corpus, without excluded ones, in any order.
        policy: ``protocol``, the card's rule, or ``speaker-disjoint``.
        seed: instead of the card's own; the split is then called ``<policy>-seed<seed>``.
        label_source: of the labels to stratify by; by default the card's gold.

    Raises:
        SplitError: the rule cannot be applied to these utterances, or there is no such policy.
    """
    source = label_source or card.gold
    strangers = sorted(u.utterance_id for u in utterances if u.corpus_id != card.corpus_id)
    if strangers:
        raise SplitError(f"{len(strangers)} utterances are not of the corpus {card.corpus_id}: {listing(strangers)}.")
    used = split_seed(card, seed)
    if policy == "protocol":
        folds = _protocol_folds(card, utterances, label_source=source, seed=used)
        rule: str = card.split.policy
    elif policy == "speaker-disjoint":
        folds = speaker_disjoint(utterances, label_source=source, seed=used)
        n_speakers = len({utterance.speaker_id for utterance in utterances})
        rule = "leave_one_speaker_out" if n_speakers <= MOST_SPEAKERS_LEFT_OUT else "speaker_k_fold"
    else:
        raise SplitError(f"There is no split policy {policy!r} to generate. There are: protocol, speaker-disjoint.")
    return Split(
        split_id=policy if seed is None else f"{policy}-seed{seed}",
        corpus_id=card.corpus_id,
        policy=rule,
        source="provider" if rule == "provider" else "generated",
        seed=used,
        speaker_independent=speaker_overlap(
            folds, {utterance.utterance_id: utterance.speaker_id for utterance in utterances}
        ).speaker_independent,
        utterances_sha256=utterances_sha256(utterances, label_source=source),
        folds=folds,
    )


def _protocol_folds(
    card: CorpusCard, utterances: Sequence[Utterance], *, label_source: LabelSource, seed: int
) -> tuple[Fold, ...]:
    match card.split.policy:
        case "provider":
            return provider(utterances, label_source=label_source, seed=seed)
        case "stratified_random":
            return stratified_random(utterances, label_source=label_source, seed=seed)
        case "leave_one_speaker_out":
            return leave_one_speaker_out(utterances, label_source=label_source, seed=seed)
        case "speaker_k_fold":
            return speaker_k_fold(utterances, label_source=label_source, seed=seed, k=card.split.k or N_SPEAKER_FOLDS)


def utterances_sha256(utterances: Iterable[Utterance], *, label_source: LabelSource) -> str:
    """Hash of what folds depend on: ids, speakers, labels of one source, and the provider's partitions."""
    return sha256_lines(
        sorted(
            canonical_json([u.utterance_id, u.speaker_id, gold_label(u, label_source), u.provider_partition])
            for u in utterances
        )
    )


def split_sha256(split: Split) -> str:
    """Hash of a split: what made it, what it was made from, and who is in which partition of which fold."""
    header = [
        split.split_id,
        split.corpus_id,
        split.policy,
        split.source,
        split.seed,
        split.speaker_independent,
        split.utterances_sha256,
    ]
    return sha256_lines(
        [
            canonical_json(header),
            *(
                canonical_json([fold.fold_id, part, name])
                for fold in split.folds
                for part in sorted(fold.partitions)
                for name in fold.partitions[part]
            ),
        ]
    )
