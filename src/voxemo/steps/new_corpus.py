"""A table of utterances, or a folder of audio, to the first card of a user's own corpus."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import CardError, CorpusError
from voxemo.core.types import LabelSource
from voxemo.corpora.manifest import LANGUAGE, list_audio, manifest_bytes, manifest_parser, read_manifest
from voxemo.corpora.new_card import (
    CARD_FILE,
    CardFacts,
    card_toml,
    draft_card,
    map_codes,
    refuse_single_label,
)
from voxemo.corpora.tree import CorpusTree
from voxemo.steps.corpora import check_new_name
from voxemo.steps.prepare import own_notes
from voxemo.store.files import write_atomically, write_text

TABLE = "manifest.csv"

WITHOUT_AUDIO = (
    "mend the table, or take --root out of this command: `voxemo prepare` with --partial goes on without them, and "
    "every run says so."
)


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
    renewed: tuple[str, ...] | None = None
    """Fields that say something else than in the earlier card; None where there was none."""


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
            file labelled with the name of its folder; where there is one folder only, the labels are left to the user.
        root: the folder of its audio; with a table, to look whether every file is there.
        out: folder for the card; ``name`` in the current folder by default.
        mapped: code to label, where the code is no word that the shared label table knows.
        dropped: code to the reason why it is left out.
        replace_card: renew an earlier card: what the table tells is worked out anew, codes keep their meaning, and
            everything else stays as it is, unless ``facts`` say otherwise. A table is never written over.

    Raises:
        CorpusError: the name or a language cannot be used, there is neither table nor folder, a file is in the way,
            or there are fewer than two labels.
        CardError: the earlier card cannot be read.
        DuplicateName: a corpus of voxemo's own or of a plugin has the name.
        ManifestError: the table cannot be read, or audio that it names is missing.
        UnknownName: a code that the table does not use, or a label that the shared table lacks.
    """
    folder = out or Path(name)
    place = folder / CARD_FILE
    check_new_name(name, f"the new card {place}")
    if manifest is None and root is None:
        raise CorpusError("Say what the corpus consists of: --manifest FILE (a table), --root FOLDER (audio), or both.")
    for language in facts.languages:
        if not LANGUAGE.fullmatch(language):
            raise CorpusError(
                f"--language {language!r} is no BCP-47 tag, such as 'de', 'en' or 'zh-TW'. `voxemo list language` "
                "shows the tags of the benchmark; repeat the option for each language."
            )
    earlier = None
    if place.exists():
        if not replace_card:
            table_too = f"--manifest {folder / TABLE} " if manifest is None and (folder / TABLE).exists() else ""
            raise CorpusError(f"{place} is there already. Edit it, or renew it from its table: {table_too}--replace.")
        earlier = _earlier_card(place)
    tree = None if root is None else CorpusTree(root, corpus_id=name)
    written = [place]
    notes: tuple[str, ...] = ()
    if manifest is None:
        assert tree is not None  # one of the two was given
        manifest = folder / TABLE
        notes = _write_first_table(manifest, tree, facts.gold or "expressed")
        written.insert(0, manifest)
    table = read_manifest(manifest, root=root)
    if tree is not None:
        for _ in manifest_parser(table, hint=WITHOUT_AUDIO)(tree):  # raises where audio is missing
            pass
    codes = map_codes(
        table.utterances,
        table=lookup.label_table(),
        given=mapped,
        dropped=dropped,
        earlier=None if earlier is None else earlier.labels,
    )
    refuse_single_label(manifest.name, codes)
    card = draft_card(
        name,
        table.utterances,
        codes=codes,
        facts=facts,
        manifest=Path(os.path.relpath(manifest, folder)).as_posix(),
        source=manifest.name,
        earlier=earlier,
    )
    write_text(place, card_toml(card, codes=codes))
    return NewCorpus(
        card=card,
        place=place,
        manifest=manifest,
        n_utterances=len(table.utterances),
        unknown=codes.unknown,
        notes=(*notes, *own_notes(card, table)),
        written=tuple(written),
        renewed=None if earlier is None else _differences(earlier, card),
    )


def _earlier_card(place: Path) -> CorpusCard:
    try:
        return lookup.read_document(place, CorpusCard)
    except CardError as cause:
        hint = "Mend it, so that what you wrote into it can be kept; or move it away."
        raise CardError(str(place), cause.problems, hint=hint) from cause


def _differences(earlier: CorpusCard, card: CorpusCard) -> tuple[str, ...]:
    before, now = earlier.model_dump(), card.model_dump()
    return tuple(field for field in now if now[field] != before[field])


def _write_first_table(place: Path, tree: CorpusTree, label_source: LabelSource) -> tuple[str, ...]:
    """List the audio of a folder in a new table; returns what its user should know about the folder."""
    if place.exists():
        raise CorpusError(
            f"{place} is there already, and may have been edited. Give it: --manifest {place}; or move it away."
        )
    utterances = list_audio(tree, label_source=label_source)
    content = manifest_bytes(utterances, place.suffix, also=("audio_path", label_source))
    write_atomically(place, lambda file: file.write(content))
    if not any(one.expressed_raw or one.perceived_raw for one in utterances):
        raise CorpusError(
            f"All clips lie in one folder, which tells no emotion: fill the column {label_source!r} of {place}, which "
            f"lists them, and give the same command again with: --manifest {place}"
        )
    if any(len(PurePosixPath(one.audio_path).parts) > 2 for one in utterances):
        return ("folders lie in folders; where one of them names the speaker, add it as a column 'speaker_id'",)
    return ()
