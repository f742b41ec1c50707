"""Corpus folder to manifest."""

import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from voxemo.audio.load import decoder_versions
from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import CorpusError, RunError
from voxemo.core.types import LabelSource
from voxemo.corpora import prepare as corpus_prepare
from voxemo.corpora.audformat_database import HEADER, read_audformat
from voxemo.corpora.manifest import Manifest, manifest_bytes, manifest_parser
from voxemo.corpora.new_card import (
    CARD_FILE,
    PLACEHOLDER_LABELS,
    check_own_card,
    draft_card,
    map_codes,
    refuse_single_label,
    refuse_unknown_codes,
    split_now,
    to_fill_in,
)
from voxemo.steps.corpora import check_new_name, find_source, root_or_shipped
from voxemo.store.files import read_json, write_atomically
from voxemo.store.layout import CORPUS_TABLE, Workspace
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
    notes: tuple[str, ...] = ()
    """What the user of a corpus of their own should know, in words."""


def prepare_corpus(
    workspace: Workspace,
    corpus: str,
    root: Path | None = None,
    *,
    subset: corpus_prepare.Subset = "benchmark",
    partial: bool = False,
    jobs: int | None = None,
    on_progress: Progress | None = None,
) -> PrepareResult:
    """Read a corpus folder, check it against its card, and write its manifest into the workspace.

    Args:
        workspace: where the manifest goes.
        corpus: name of the corpus, or path to a card; a card that names a ``manifest`` is read with that table.
        root: folder as the provider ships it; None for a corpus that is installed with voxemo or a plugin.
        subset: ``paper`` leaves out what the paper's set is known to lack.
        partial: go on when utterances are missing; the report and every run made from it say so.
        jobs: processes that decode; as many as cores by default.
        on_progress: called while the audio is read.

    Raises:
        CorpusError: the folder is missing or not this corpus's, it uses labels that the card does not know, or its
            counts differ from the card's and ``partial`` is off.
        ManifestError, CardError, DuplicateName: a user's own card or table cannot be used.
    """
    source = find_source(workspace, corpus, skip_missing=partial)
    root = root_or_shipped(source.card.corpus_id, root)
    notes: tuple[str, ...] = ()
    if source.manifest is not None:
        check_own_card(source.card, source.manifest.utterances, str(source.place))
        renew = None if source.place is None else _renewal(source.card, source.place, root)
        notes = own_notes(source.card, source.manifest, renew=renew)
    prepared = corpus_prepare.prepare(
        source.card, source.parse, root, subset=subset, partial=partial, jobs=jobs, on_progress=on_progress
    )
    kept = workspace.corpus_card(source.card.corpus_id)
    own = source.manifest is not None and source.place is not None and source.place.resolve() != kept.resolve()
    return _write(workspace, source.card, root, prepared, card_file=source.place if own else None, notes=notes)


def prepare_audformat(
    workspace: Workspace,
    database: Path,
    *,
    name: str | None = None,
    table: str | None = None,
    column: str | None = None,
    label_source: LabelSource | None = None,
    mapped: Mapping[str, str] | None = None,
    dropped: Mapping[str, str] | None = None,
    root: Path | None = None,
    partial: bool = False,
    jobs: int | None = None,
    on_progress: Progress | None = None,
) -> PrepareResult:
    """Make a corpus of an audformat database: a card and a table of utterances, then as ``prepare_corpus``.

    Card and table are kept in the workspace; the card may be edited there, and given by its path or name afterwards.

    Args:
        workspace: where everything goes.
        database: folder with ``db.yaml``.
        name: of the corpus; the database's own by default.
        table: with the emotions; found by itself where there is one.
        column: of the emotions; found by itself where there is one.
        label_source: whose labels they are; needed unless only raters' answers are there.
        mapped: code to label, where the code is no word that the shared label table knows.
        dropped: code to the reason why it is left out.
        root: folder of the audio; the database's by default.
        partial: go on when audio is missing; the report and every run made from it say so.
        jobs: processes that decode; as many as cores by default.
        on_progress: called while the audio is read.

    Raises:
        MissingDependency: the extra ``audformat`` is not installed.
        DuplicateName: the name is that of a corpus that voxemo or a plugin brings.
        CorpusError: as ``read_audformat`` and ``prepare_corpus`` do; UnmappedLabel names the codes that nobody knows.
    """
    read = read_audformat(database, words=lookup.label_table(), table=table, column=column, label_source=label_source)
    corpus_id = check_new_name(name or read.name, f"the audformat database {database}")
    codes = map_codes(
        read.utterances, table=lookup.label_table(), given=mapped, dropped=dropped, meanings=read.meanings
    )
    refuse_single_label(f"the audformat database {database}", codes)
    first = shlex.quote(next(iter(codes.unknown), ""))
    hint = (
        f"Say what each means, as in --map {first}=angry, or leave it out with a reason, as in --drop {first}=unclear."
    )
    refuse_unknown_codes(corpus_id, codes, hint=hint)
    card = draft_card(
        corpus_id,
        read.utterances,
        codes=codes,
        facts=read.facts if corpus_id == read.name else replace(read.facts, name=f"{read.facts.name} ({corpus_id})"),
        manifest=CORPUS_TABLE,
        source=f"{', '.join(read.columns)} of the database, and its header",
    )
    check_own_card(card, read.utterances, f"of {corpus_id}")
    manifest = Manifest(HEADER, read.utterances)
    audio = root or read.folder
    prepared = corpus_prepare.prepare(
        card,
        manifest_parser(manifest, skip_missing=partial),
        audio,
        partial=partial,
        jobs=jobs,
        on_progress=on_progress,
    )
    path = workspace.corpus_table(corpus_id)
    content = manifest_bytes(read.utterances, path.suffix)
    write_atomically(path, lambda file: file.write(content))
    result = _write(workspace, card, audio, prepared, notes=own_notes(card, manifest))
    return replace(result, written=(path, *result.written))


def own_notes(card: CorpusCard, manifest: Manifest, *, renew: str | None = None) -> tuple[str, ...]:
    """What the user of a corpus of their own should know about its card and table.

    Args:
        card: of the corpus.
        manifest: its table of utterances.
        renew: the command that works the card out anew from the table; None where there is none.
    """
    known = {*lookup.label_table().labels, *PLACEHOLDER_LABELS}
    strange = [name for name in card.labels.names if name not in known]
    places = to_fill_in(card)
    found = []
    if places:
        found.append(f"the card still holds placeholders: {', '.join(places)}")
    if strange:
        found.append(
            f"labels that the shared table lacks: {', '.join(strange)}; answers are read by these very words and those "
            "of [labels.aliases]"
        )
    if manifest.ignored:
        found.append(f"columns of your own, not read: {', '.join(manifest.ignored)}")
    policy = split_now(card, manifest.utterances)
    if policy != card.split.policy:
        how = f": {renew} renews it" if renew else ""
        found.append(f"the card's split is {card.split.policy}; from the table as it is now it would be {policy}{how}")
    return tuple(found)


def _renewal(card: CorpusCard, place: Path, root: Path) -> str | None:
    """The command that renews a card; None for one that `new corpus` would write beside."""
    if card.manifest is None or place.name != CARD_FILE:
        return None
    options = {"--manifest": place.parent / card.manifest, "--root": root, "--out": place.parent}
    words = [word for option, path in options.items() for word in (option, str(path))]
    return shlex.join(["voxemo", "new", "corpus", card.corpus_id, *words, "--replace"])


def _write(
    workspace: Workspace,
    card: CorpusCard,
    root: Path,
    prepared: corpus_prepare.Prepared,
    *,
    card_file: Path | None = None,
    notes: tuple[str, ...] = (),
) -> PrepareResult:
    unusable = prepared.report.unusable
    if unusable and len(unusable) == prepared.report.n_utterances:
        name, reason = next(iter(unusable.items()))
        raise CorpusError(
            f"None of the {len(unusable)} clips of {card.corpus_id} can be used, the first is {name}: {reason}. "
            "Mend that and prepare the corpus again; nothing was written."
        )
    replaced = _replaced_subset(workspace, card, prepared.report.subset)
    report = write_prepared(
        workspace,
        card,
        root,
        utterances=prepared.utterances,
        votes=frame((asdict(row) for row in prepared.votes), VOTES),
        report={**asdict(prepared.report), "decoder_versions": decoder_versions()},
        card_file=card_file,
    )
    written = (
        workspace.utterances(card.corpus_id),
        workspace.votes(card.corpus_id),
        workspace.prepare_report(card.corpus_id),
        workspace.corpus_card(card.corpus_id),
    )
    return PrepareResult(card, report, written, (*notes, *replaced))


def _replaced_subset(workspace: Workspace, card: CorpusCard, subset: corpus_prepare.Subset) -> tuple[str, ...]:
    """A note where the workspace holds a manifest of the corpus's other subset."""
    path = workspace.prepare_report(card.corpus_id)
    before = subset
    with suppress(RunError):  # a damaged report is replaced as well
        before = read_json(path).get("subset", subset) if path.is_file() else subset
    if before == subset:
        return ()
    names = {"benchmark": "the benchmark subset", "paper": "the paper's set"}
    return (
        f"this replaces the manifest of {names[before]}; what was split and planned from that needs it again. "
        "A --workspace for each keeps both",
    )
