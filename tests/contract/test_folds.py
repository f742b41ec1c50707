"""The folds of every corpus whose real names are listed: which rule made them, and whom they keep apart.

EmoBox's rule (its preprocessing): with at least four speakers and the same number of clips per emotion for each, folds
by speaker; otherwise one random fold, stratified by emotion; a provider's own parts where it took those.
"""

from functools import cache
from pathlib import Path

import pytest

import native
from evidence_listings import LISTED, read_listing
from voxemo.catalog.lookup import builtin_corpus_cards, corpus_card
from voxemo.core.cards import CorpusCard
from voxemo.core.types import Utterance
from voxemo.corpora.parsers import parser_for
from voxemo.corpora.prepare import describe
from voxemo.corpora.tree import CorpusTree
from voxemo.splits.checks import speaker_overlap
from voxemo.splits.policies import make_split, split_sha256

BY_SPEAKER = ("leave_one_speaker_out", "speaker_k_fold")

# EmoBox divides version 1.x at random; version 2.0, the paper's, ships a division of its own.
OTHER_RELEASE = {"emodb"}


@cache
def benchmark(evidence: Path, corpus_id: str) -> tuple[Utterance, ...]:
    """The utterances that a split is made of."""
    card = corpus_card(corpus_id)
    tree = CorpusTree(native.tree(card, read_listing(evidence, corpus_id), evidence))
    prepared = describe(card, list(parser_for(corpus_id)(tree)))
    return tuple(one for one in prepared.utterances if one.excluded_reason is None)


def emobox_shares_speakers(rows: list[dict[str, str]]) -> bool:
    """Whether any of EmoBox's folds has a speaker in its test part and outside it."""
    inside: dict[str, set[str]] = {}
    for row in rows:
        inside.setdefault(row["emobox_folds"], set()).add(row["speaker"])
    return any(
        fold.startswith("test") and speakers & set().union(*(other for name, other in inside.items() if name != fold))
        for fold, speakers in inside.items()
    )


@pytest.mark.parametrize(
    "card", [card for card in builtin_corpus_cards() if card.emobox is not None], ids=lambda card: card.corpus_id
)
def test_emobox_has_as_many_folds_as_the_rule_of_the_protocol_asks_for(card: CorpusCard) -> None:
    assert card.emobox is not None
    if card.corpus_id in OTHER_RELEASE:
        return
    by_speaker = card.split.policy in BY_SPEAKER or card.corpus_id == "iemocap"  # sessions are pairs of speakers

    assert (card.emobox.n_folds > 1) == by_speaker


@pytest.mark.evidence
@pytest.mark.parametrize(
    "corpus_id",
    [name for name in LISTED if corpus_card(name).emobox is not None and name not in {*OTHER_RELEASE, "msp-podcast"}],
)
def test_emobox_keeps_speakers_apart_where_the_rule_of_the_protocol_does(corpus_id: str, evidence: Path) -> None:
    rows = [row for row in read_listing(evidence, corpus_id) if row["emobox_folds"]]
    if not all(row["speaker"] for row in rows):
        assert corpus_id == "resd"
        return
    split = make_split(corpus_card(corpus_id), benchmark(evidence, corpus_id), policy="protocol")

    assert split.speaker_independent == (not emobox_shares_speakers(rows))


@pytest.mark.evidence
@pytest.mark.parametrize("corpus_id", LISTED)
def test_folds_do_not_depend_on_the_order_of_the_utterances(corpus_id: str, evidence: Path) -> None:
    card, utterances = corpus_card(corpus_id), benchmark(evidence, corpus_id)

    split = make_split(card, utterances, policy="protocol")

    assert split_sha256(split) == split_sha256(make_split(card, utterances[::-1], policy="protocol"))


@pytest.mark.evidence
@pytest.mark.parametrize("corpus_id", LISTED)
def test_folds_that_claim_to_keep_speakers_apart_do(corpus_id: str, evidence: Path) -> None:
    card, utterances = corpus_card(corpus_id), benchmark(evidence, corpus_id)
    speakers = {one.utterance_id: one.speaker_id for one in utterances}
    policies = ["protocol"]
    if None not in speakers.values() and len(set(speakers.values())) > 1:
        policies.append("speaker-disjoint")

    for policy in policies:
        split = make_split(card, utterances, policy=policy)
        for fold in split.folds:
            trained = {speakers[name] for part in ("train", "valid") for name in fold.partitions.get(part, ())}
            tested = {speakers[name] for part, names in fold.partitions.items() if "test" in part for name in names}
            if split.speaker_independent:
                assert not trained & tested
        if split.policy in BY_SPEAKER:
            assert split.speaker_independent
        assert split.speaker_independent == speaker_overlap(split.folds, speakers).speaker_independent


@pytest.mark.evidence
def test_resd_shares_every_dialogue_of_its_test_part_with_training(evidence: Path) -> None:
    utterances = benchmark(evidence, "resd")
    split = make_split(corpus_card("resd"), utterances, policy="protocol")

    overlap = speaker_overlap(split.folds, {}, {one.utterance_id: one.session_id for one in utterances})

    assert overlap.text == "speakers unknown; 50 of 50 test sessions also in train or valid"
