"""Corpus folder against its card and an earlier manifest; nothing is written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from voxemo.audio.load import decoder_versions
from voxemo.catalog.lookup import Parser
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import NotPrepared, RunError
from voxemo.core.types import ParsedUtterance
from voxemo.corpora import doctor
from voxemo.corpora.tree import CorpusTree
from voxemo.steps.corpora import CorpusSource, find_source
from voxemo.store.layout import Workspace
from voxemo.store.workspace import read_prepared


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What `check` found."""

    card: CorpusCard
    diagnosis: doctor.Diagnosis


def check_corpus(
    workspace: Workspace,
    corpus: str,
    root: Path,
    *,
    quick: bool = False,
    jobs: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> CheckResult:
    """Read a corpus folder against its card, and against its manifest where `prepare` has run; write nothing.

    Args:
        workspace: where an earlier manifest may be; none is needed.
        corpus: name of the corpus, or path to a card.
        root: folder as the provider ships it.
        quick: look at names and tables only.
        jobs: how many files are decoded at a time; as many as there are cores by default.
        on_progress: called with (done, total) while the audio is read.

    Raises:
        CorpusError: the folder is missing, or may not be read. Everything else about it is a finding.
        ManifestError, CardError, DuplicateName: a user's own card or table cannot be used.
    """
    source = find_source(workspace, corpus, skip_missing=True)
    card = source.card
    reading = doctor.read_folder(card, _parser(source), root, quick=quick, jobs=jobs, on_progress=on_progress)
    earlier, obstacle = _earlier(workspace, card)
    diagnosis = doctor.examine(card, reading, earlier=earlier, decoder_versions=decoder_versions())
    if obstacle is not None:
        diagnosis = replace(diagnosis, findings=(*diagnosis.findings, obstacle))
    return CheckResult(card, diagnosis)


def _parser(source: CorpusSource) -> Parser:
    """The corpus's parser; of a user's own table also those rows whose audio is missing, so that each is named."""
    manifest = source.manifest
    if manifest is None:
        return source.parse

    def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
        found = {one.stem: one for one in source.parse(tree)}
        for one in manifest.utterances:
            yield found.get(one.stem, one)

    return parse


def _earlier(workspace: Workspace, card: CorpusCard) -> tuple[doctor.Earlier | None, doctor.Finding | None]:
    """What an earlier `prepare` wrote, or why it cannot be compared with."""
    try:
        prepared = read_prepared(workspace, card)
    except NotPrepared:
        return None, None
    except RunError as error:
        return None, doctor.Finding(code="manifest-unread", severity="note", text=str(error), number=1)
    earlier = doctor.Earlier(
        utterances=prepared.utterances,
        complete=not prepared.report["differences"],
        decoder_versions=prepared.report["decoder_versions"],
    )
    return earlier, None
