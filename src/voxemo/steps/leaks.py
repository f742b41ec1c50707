"""What a model was trained on must not be what it is tested on, under whatever name it goes.

A whole source is looked at, not its training part alone: a corpus with clips of another one was put together from it.
"""

from collections.abc import Sequence

from voxemo.core.cards import CorpusCard, ModelCard
from voxemo.core.errors import NotPrepared, RunError, UnknownName, listing
from voxemo.core.types import Utterance
from voxemo.steps.corpora import find_card
from voxemo.store.layout import Workspace
from voxemo.store.workspace import read_prepared


def shared_samples(workspace: Workspace, sources: Sequence[str], target: CorpusCard) -> list[str]:
    """Clips of a corpus whose very samples other corpora hold too, as ``ours = theirs``.

    Raises:
        NotPrepared: one of the corpora.
    """
    tested = read_prepared(workspace, target).benchmark
    return [twin for corpus in sources for twin in _twins(workspace, corpus, tested)]


def refuse_leaks(workspace: Workspace, card: ModelCard, tested: Sequence[Utterance]) -> None:
    """Refuse a model of other corpora that hold the very samples that it would be tested on.

    A source that is not prepared in this workspace cannot be looked at.

    Raises:
        RunError: clips have the same samples.
    """
    twins: list[str] = []
    for corpus in card.training.corpora if card.training is not None else ():
        try:
            twins += _twins(workspace, corpus, tested)
        except (UnknownName, NotPrepared):
            continue
    if twins:
        raise RunError(
            f"{card.model_id} would be tested on {len(twins)} clips whose very samples are in a corpus that it was "
            f"trained on: {listing(twins)}. Train it on other corpora."
        )


def _twins(workspace: Workspace, corpus: str, tested: Sequence[Utterance]) -> list[str]:
    known = {u.audio_sha256: u.utterance_id for u in tested if u.audio_sha256 is not None}
    held = read_prepared(workspace, find_card(workspace, corpus)).benchmark
    return [f"{known[u.audio_sha256]} = {u.utterance_id}" for u in held if u.audio_sha256 in known]
