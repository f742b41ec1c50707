"""What a model was trained on must not be what it is tested on, under whatever name it goes."""

from collections.abc import Iterator, Sequence

from voxemo.core.cards import ModelCard
from voxemo.core.errors import NotPrepared, RunError, UnknownName, listing
from voxemo.core.types import Utterance
from voxemo.steps.corpora import find_card
from voxemo.store.layout import Workspace
from voxemo.store.workspace import read_prepared


def refuse_leaks(workspace: Workspace, card: ModelCard, tested: Sequence[Utterance]) -> None:
    """Refuse a model of another corpus that holds the very samples of the corpus that would be tested.

    The whole source is looked at, not its training part alone: a corpus that has clips of another one in it has been
    put together from it. A source that is not prepared in this workspace cannot be looked at.

    Raises:
        RunError: clips of the two corpora have the same samples.
    """
    known = {u.audio_sha256: u.utterance_id for u in tested if u.audio_sha256 is not None}
    twins = [(known[u.audio_sha256], u.utterance_id) for u in _sources(workspace, card) if u.audio_sha256 in known]
    if twins:
        raise RunError(
            f"{card.model_id} would be tested on {len(twins)} clips whose very samples are in a corpus that it was "
            f"trained on: {listing([f'{ours} = {theirs}' for ours, theirs in twins])}. Train it on other corpora."
        )


def _sources(workspace: Workspace, card: ModelCard) -> Iterator[Utterance]:
    for corpus_id in card.training.corpora if card.training is not None else ():
        try:
            yield from read_prepared(workspace, find_card(workspace, corpus_id)).benchmark
        except (UnknownName, NotPrepared):
            continue
