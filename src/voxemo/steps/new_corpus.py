"""A table of utterances, or a folder of audio, to the first card of a user's own corpus."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import CorpusError
from voxemo.core.types import LabelSource
from voxemo.corpora.manifest import list_audio, manifest_bytes, manifest_parser, read_manifest
from voxemo.corpora.new_card import CardFacts, card_toml, draft_card, map_codes
from voxemo.corpora.tree import CorpusTree
from voxemo.steps.corpora import check_new_name
from voxemo.steps.prepare import own_notes
from voxemo.store.files import write_atomically, write_text

CARD = "card.toml"
TABLE = "manifest.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCorpus:
    """What `new corpus` made."""

    card: CorpusCard
    place: Path
    """The card's file."""
    manifest: Path
    n_utterances: int
    unknown: Mapping[str, int]
    """Code whose meaning is open, to the utterances that use it; `prepare` refuses the card until there is none."""
    notes: tuple[str, ...]
    written: tuple[Path, ...]


def new_corpus(
    name: str,
    *,
    facts: CardFacts,
    manifest: Path | None = None,
    root: Path | None = None,
    out: Path | None = None,
    mapped: Mapping[str, str] | None = None,
    dropped: Mapping[str, str] | None = None,
    replace_card: bool = False,
) -> NewCorpus:
    """Write the first card of a user's own corpus, and a first table of its utterances where there is none.

    Args:
        name: of the corpus.
        facts: what no table says; its ``gold`` is also what the names of folders are, by default ``expressed``.
        manifest: its table of utterances; without one, ``manifest.csv`` is made of the audio below ``root``, each
            file labelled with the name of its folder.
        root: the folder of its audio; with a table, to look whether every file is there.
        out: folder for the card; ``name`` in the current folder by default.
        mapped: code to label, where the code is no word that the shared label table knows.
        dropped: code to the reason why it is left out.
        replace_card: write over an earlier card. A table is never written over.

    Raises:
        CorpusError: the name cannot be used, there is neither table nor folder, or a file is in the way.
        DuplicateName: a corpus of voxemo's own or of a plugin has the name.
        ManifestError: the table cannot be read, or audio that it names is missing.
        UnknownName: a code that the table does not use, or a label that the shared table lacks.
    """
    folder = out or Path(name)
    place = folder / CARD
    check_new_name(name, f"the new card {place}")
    if manifest is None and root is None:
        raise CorpusError("Say what the corpus consists of: --manifest FILE (a table), --root FOLDER (audio), or both.")
    if place.exists() and not replace_card:
        raise CorpusError(f"{place} is there already. Edit it, or write over it with --replace.")
    tree = None if root is None else CorpusTree(root, corpus_id=name)
    written = [place]
    if manifest is None:
        assert tree is not None  # one of the two was given
        manifest = folder / TABLE
        _write_first_table(manifest, tree, facts.gold or "expressed")
        written.insert(0, manifest)
    table = read_manifest(manifest)
    if tree is not None:
        for _ in manifest_parser(table)(tree):  # raises where audio is missing
            pass
    codes = map_codes(table.utterances, table=lookup.label_table(), given=mapped, dropped=dropped)
    card = draft_card(
        name,
        table.utterances,
        codes=codes,
        facts=facts,
        manifest=Path(os.path.relpath(manifest, folder)).as_posix(),
        source=manifest.name,
    )
    write_text(place, card_toml(card, codes=codes))
    return NewCorpus(
        card=card,
        place=place,
        manifest=manifest,
        n_utterances=len(table.utterances),
        unknown=codes.unknown,
        notes=own_notes(card, table),
        written=tuple(written),
    )


def _write_first_table(place: Path, tree: CorpusTree, label_source: LabelSource) -> None:
    if place.exists():
        raise CorpusError(
            f"{place} is there already, and may have been edited. Give it: --manifest {place}; or move it away."
        )
    content = manifest_bytes(list_audio(tree, label_source=label_source), place.suffix)
    write_atomically(place, lambda file: file.write(content))
