"""Corpus folder against its card; nothing is written."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.corpora import prepare as corpus_prepare
from voxemo.corpora.parsers import parser_for
from voxemo.steps.prepare import Progress


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What `check` found."""

    card: CorpusCard
    report: dict[str, Any]


def check_corpus(
    corpus: str, root: Path, *, jobs: int | None = None, on_progress: Progress | None = None
) -> CheckResult:
    """Read a corpus folder against its card and write nothing. Differences are in the report, not raised.

    Raises:
        CorpusError: the folder is missing or not this corpus's, or uses labels that the card does not know.
    """
    card = lookup.corpus_card(corpus)
    prepared = corpus_prepare.prepare(
        card, parser_for(card.corpus_id), root, partial=True, jobs=jobs, on_progress=on_progress
    )
    return CheckResult(card, asdict(prepared.report))
