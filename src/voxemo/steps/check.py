"""Corpus folder against its card and an earlier manifest; nothing is written."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from voxemo.audio.load import decoder_versions
from voxemo.catalog.lookup import Parser
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import NotPrepared, RunError, UnmappedLabel
from voxemo.core.types import ParsedUtterance
from voxemo.corpora import doctor
from voxemo.corpora.doctor.findings import Finding, finding
from voxemo.corpora.doctor.tables import Earlier
from voxemo.corpora.new_card import check_own_card
from voxemo.corpora.tree import CorpusTree
from voxemo.steps.corpora import CorpusSource, find_source, root_or_shipped
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
    root: Path | None = None,
    *,
    quick: bool = False,
    jobs: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> CheckResult:
    """Read a corpus folder against its card, and against its manifest where `prepare` has run; write nothing.

    Args:
        workspace: where an earlier manifest may be; none is needed.
        corpus: name of the corpus, or path to a card.
        root: folder as the provider ships it; None for a corpus that is installed with voxemo or a plugin.
        quick: look at names and tables only.
        jobs: processes that decode; as many as there are cores by default.
        on_progress: called with (done, total) while the audio is read.

    Raises:
        CorpusError: the folder is missing, or may not be read. Everything else about it is a finding.
        ManifestError, CardError, DuplicateName: a user's own card or table cannot be used.
    """
    source = find_source(workspace, corpus, skip_missing=True)
    card = source.card
    if source.manifest is not None:
        with suppress(UnmappedLabel):  # the doctor finds and counts those
            check_own_card(card, source.manifest.utterances, str(source.place))
    folder = root_or_shipped(card.corpus_id, root)
    reading = doctor.read_folder(card, _parser(source), folder, quick=quick, jobs=jobs, on_progress=on_progress)
    earlier, obstacle = _earlier(workspace, card)
    diagnosis = doctor.examine(card, reading, earlier=earlier, decoder_versions=decoder_versions())
    if obstacle is not None:
        diagnosis = replace(diagnosis, findings=doctor.in_order([*diagnosis.findings, obstacle]))
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


def _earlier(workspace: Workspace, card: CorpusCard) -> tuple[Earlier | None, Finding | None]:
    """What an earlier `prepare` wrote, or why it cannot be compared with."""
    try:
        prepared = read_prepared(workspace, card)
    except NotPrepared:
        return None, None
    except RunError as error:
        return None, finding("manifest-unread", 1, text=str(error))
    return Earlier(utterances=prepared.utterances, decoder_versions=prepared.report["decoder_versions"]), None
