"""Corpus folder to manifest."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxemo.audio.load import decoder_versions
from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import CorpusError
from voxemo.corpora import prepare as corpus_prepare
from voxemo.corpora.parsers import parser_for
from voxemo.store.layout import Workspace
from voxemo.store.tables import VOTES, frame
from voxemo.store.workspace import write_prepared

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


@dataclass(frozen=True, slots=True)
class PrepareResult:
    """What `prepare` found."""

    card: CorpusCard
    report: dict[str, Any]
    written: tuple[Path, ...]
    """Files written."""


def prepare_corpus(
    workspace: Workspace,
    corpus: str,
    root: Path,
    *,
    subset: corpus_prepare.Subset = "benchmark",
    partial: bool = False,
    jobs: int | None = None,
    on_progress: Progress | None = None,
) -> PrepareResult:
    """Read a corpus folder, check it against its card, and write its manifest into the workspace.

    Args:
        workspace: where the manifest goes.
        corpus: name of the corpus.
        root: folder as the provider ships it.
        subset: ``paper`` leaves out what the paper's set is known to lack.
        partial: go on when utterances are missing; the report and every run made from it say so.
        jobs: decoding threads; all cores by default.
        on_progress: called while the audio is read.

    Raises:
        CorpusError: the folder is missing or not this corpus's, it uses labels that the card does not know, or its
            counts differ from the card's and ``partial`` is off.
    """
    card = lookup.corpus_card(corpus)
    prepared = corpus_prepare.prepare(
        card, parser_for(card.corpus_id), root, subset=subset, partial=partial, jobs=jobs, on_progress=on_progress
    )
    unusable = prepared.report.unusable
    if unusable and len(unusable) == prepared.report.n_utterances:
        name, reason = next(iter(unusable.items()))
        raise CorpusError(
            f"None of the {len(unusable)} clips of {card.corpus_id} can be used, the first is {name}: {reason}. "
            "Mend that and prepare the corpus again; nothing was written."
        )
    report = write_prepared(
        workspace,
        card,
        root,
        utterances=prepared.utterances,
        votes=frame((asdict(row) for row in prepared.votes), VOTES),
        report={**asdict(prepared.report), "decoder_versions": decoder_versions()},
    )
    written = (
        workspace.utterances(card.corpus_id),
        workspace.votes(card.corpus_id),
        workspace.prepare_report(card.corpus_id),
    )
    return PrepareResult(card, report, written)
