"""Which corpus a name or a path means, in every step.

A path is a card's file. A name is looked up among the built-in corpora, then the plugins, then those that this
workspace has prepared from a user's own card.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import CardError, CorpusError, DuplicateName
from voxemo.corpora.manifest import ENDINGS, Manifest, manifest_parser, read_manifest
from voxemo.corpora.new_card import CARD_FILE
from voxemo.corpora.parsers import parser_for
from voxemo.store.layout import Workspace
from voxemo.store.workspace import prepared_cards, remembered_card

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class CorpusSource:
    """What it takes to read a corpus's folder."""

    card: CorpusCard
    parse: lookup.Parser
    place: Path | None = None
    """The file of a user's own card; None where voxemo or a plugin brings the parser."""
    manifest: Manifest | None = None
    """The table of utterances that a user's own card names."""


def find_card(workspace: Workspace, corpus: str) -> CorpusCard:
    """The card of a corpus that was prepared, by name or path.

    Raises:
        UnknownName: nothing answers to the name.
        DuplicateName, CardError, PluginError: as the message says.
        CorpusError: the path is not that of a card, but near it.
    """
    _refuse_near_a_card(workspace, corpus)
    return lookup.corpus_card(corpus, prepared=prepared_cards(workspace))


def find_source(workspace: Workspace, corpus: str, *, skip_missing: bool = False) -> CorpusSource:
    """Card and parser of a corpus that is to be read from its folder, by name or path.

    A card that names a ``manifest`` is read with that table; any other with the parser of its corpus. A user's own
    corpus that was prepared before is found by its name, and its card read again from where it lies.

    Args:
        workspace: knows where the cards of users' own corpora lie.
        corpus: name of a corpus, or path to a card.
        skip_missing: leave out utterances of a manifest whose audio is missing, instead of an error.

    Raises:
        UnknownName: nothing answers to the name.
        DuplicateName: a user's own card calls itself like a corpus that voxemo or a plugin brings.
        CardError: the card cannot be used.
        ManifestError: its table cannot be read.
        CorpusError: the path is not that of a card, but near it.
    """
    _refuse_near_a_card(workspace, corpus)
    place = Path(corpus) if lookup.is_path(corpus) else _own_card(workspace, corpus)
    if place is None:
        card = find_card(workspace, corpus)
        return CorpusSource(card, parser_for(card.corpus_id))
    card = lookup.read_document(place, CorpusCard)
    if card.manifest is None:
        if card.corpus_id not in lookup.corpus_names():
            problem = f"manifest: voxemo has no parser for {card.corpus_id!r}, so a table of its utterances is needed"
            raise CardError(str(place), [problem])
        return CorpusSource(card, parser_for(card.corpus_id))
    refuse_taken_name(card.corpus_id, f"the card {place}")
    manifest = read_manifest(place.parent / card.manifest)
    return CorpusSource(card, manifest_parser(manifest, skip_missing=skip_missing), place, manifest)


def _refuse_near_a_card(workspace: Workspace, corpus: str) -> None:
    """Refuse a table of utterances, or the folder of a card, in place of the card."""
    path = Path(corpus)
    if path.suffix.lower() in ENDINGS and path.is_file():
        raise CorpusError(
            f"{corpus} is a table of utterances, and no card. Make its card first: "
            f"voxemo new corpus NAME --manifest {shlex.quote(corpus)}"
        )
    if (path / CARD_FILE).is_file() and corpus not in {*lookup.corpus_names(), *prepared_cards(workspace)}:
        raise CorpusError(f"{corpus} is a folder. Give the card in it: {path / CARD_FILE}")


def root_or_shipped(corpus: str, root: Path | None) -> Path:
    """The folder to read a corpus from: the one given, or else the one that is installed with the corpus.

    Raises:
        CorpusError: neither is there.
    """
    folder = lookup.shipped_folder(corpus) if root is None else root
    if folder is None:
        raise CorpusError(
            f"Say where {corpus} lies: --root FOLDER. Only a corpus that is installed, such as demo, needs none."
        )
    return folder


def _own_card(workspace: Workspace, corpus: str) -> Path | None:
    if corpus in lookup.corpus_names() or corpus not in prepared_cards(workspace):
        return None
    place = remembered_card(workspace, corpus)
    if place is None:
        return workspace.corpus_card(corpus)
    if not place.is_file():
        raise CorpusError(
            f"{corpus} was prepared from the card {place}, which is no longer there. "
            "Say where it lies now: voxemo prepare PATH/card.toml --root FOLDER"
        )
    return place


def refuse_taken_name(corpus_id: str, origin: str) -> None:
    """Refuse a name that a corpus of voxemo's own or of a plugin has.

    Raises:
        DuplicateName: names both origins.
    """
    if corpus_id in lookup.builtin_names("corpora"):
        raise DuplicateName("corpus", corpus_id, ["voxemo itself", origin])
    if corpus_id in lookup.corpus_names():
        raise DuplicateName("corpus", corpus_id, ["an installed plugin", origin])


def check_new_name(name: str, origin: str) -> str:
    """Refuse a name that no new corpus may have; gives the name back.

    Raises:
        CorpusError: it has characters that no corpus's name has.
        DuplicateName: a corpus of voxemo's own or of a plugin has it.
    """
    if not NAME.fullmatch(name):
        near = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")
        hint = f" Take {near!r}." if near else ""
        raise CorpusError(
            f"A corpus cannot be called {name!r}: a name has lower-case letters, digits, '.', '_' and '-', and begins "
            f"with a letter or digit.{hint}"
        )
    refuse_taken_name(name, origin)
    return name
