"""Prepared corpora and splits in a workspace: what is there, and reading and writing it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from voxemo.core.cards import CorpusCard
from voxemo.core.errors import CorpusNotFound, NotPrepared, RunError, SplitError, how_to_prepare
from voxemo.core.ids import sha256_lines
from voxemo.core.types import Split, Utterance
from voxemo.splits.policies import split_sha256
from voxemo.store.files import read_json, write_json
from voxemo.store.layout import CORPUS_CARD, Workspace
from voxemo.store.tables import (
    SPLIT,
    UTTERANCES,
    VOTES,
    read_table,
    split_document,
    split_folds,
    split_frame,
    utterance_frame,
    utterance_rows,
    write_table,
)


@dataclass(frozen=True, slots=True)
class PreparedCorpus:
    """A corpus as `prepare` left it in the workspace."""

    utterances: tuple[Utterance, ...]
    """Every utterance, unusable and excluded ones too."""
    votes: pl.DataFrame
    report: dict[str, Any]
    """The content of ``prepare.json``."""

    @property
    def benchmark(self) -> tuple[Utterance, ...]:
        """The utterances of the benchmark subset; unusable ones stay, they count as failed answers."""
        return tuple(utterance for utterance in self.utterances if utterance.excluded_reason is None)


def prepared_sha256(utterances: tuple[Utterance, ...], votes: pl.DataFrame) -> str:
    """Hash of what a score can depend on: ids, audio, speakers, labels, what is left out, and votes."""
    rows = (
        "\t".join(
            str(value)
            for value in (
                u.utterance_id,
                u.audio_sha256,
                u.speaker_id,
                u.expressed,
                u.perceived,
                u.provider_partition,
                u.unusable_reason is not None,
                u.excluded_reason is not None,
            )
        )
        for u in sorted(utterances, key=lambda u: u.utterance_id)
    )
    counted = votes.sort("utterance_id", "rule", "raw_label").iter_rows()
    return sha256_lines([*rows, *("\t".join(map(str, vote)) for vote in counted)])


def write_prepared(
    workspace: Workspace,
    card: CorpusCard,
    root: Path,
    *,
    utterances: tuple[Utterance, ...],
    votes: pl.DataFrame,
    report: dict[str, Any],
    card_file: Path | None = None,
) -> dict[str, Any]:
    """Write a prepared corpus with its card, and remember where its audio lies; returns the report as written.

    Args:
        workspace: where it goes.
        card: the corpus's card.
        root: the folder of its audio.
        utterances: every one, excluded and unusable ones too.
        votes: a row per utterance, counting rule and code.
        report: what `prepare` found.
        card_file: where a user's own card lies, so that the corpus can be prepared again by its name.
    """
    content = {
        "corpus_id": card.corpus_id,
        "corpus_card_sha256": card.sha256(),
        "utterances_sha256": prepared_sha256(utterances, votes),
        **report,
    }
    write_table(workspace.utterances(card.corpus_id), utterance_frame(utterances), UTTERANCES)
    write_table(workspace.votes(card.corpus_id), votes, VOTES)
    write_json(workspace.corpus_card(card.corpus_id), card.model_dump(mode="json", exclude_defaults=True))
    write_json(workspace.prepare_report(card.corpus_id), content)
    places = {"folder": root, **({} if card_file is None else {"card": card_file})}
    write_json(workspace.corpus_root(card.corpus_id), {name: str(path.resolve()) for name, path in places.items()})
    return content


def prepared_cards(workspace: Workspace) -> dict[str, Path]:
    """Every corpus that was prepared in the workspace, by name, to the card that is kept of it."""
    cards = sorted((workspace.root / "corpora").glob(f"*/{CORPUS_CARD}"))
    return {path.parent.name: path for path in cards}


def remembered_card(workspace: Workspace, corpus_id: str) -> Path | None:
    """Where the card of a user's own corpus lies on this machine, if `prepare` read it from a file."""
    path = workspace.corpus_root(corpus_id)
    place = read_json(path).get("card") if path.is_file() else None
    return None if place is None else Path(place)


def read_prepared(workspace: Workspace, card: CorpusCard) -> PreparedCorpus:
    """Read a prepared corpus.

    Raises:
        NotPrepared: `prepare` has not run in this workspace.
        RunError: it ran with another version of the corpus card, or its tables do not fit together.
    """
    path = workspace.prepare_report(card.corpus_id)
    if not path.is_file():
        raise NotPrepared(card.corpus_id)
    report = read_json(path)
    if report["corpus_card_sha256"] != card.sha256():
        raise RunError(
            f"{card.corpus_id} was prepared with another version of its card. "
            f"Run again: {how_to_prepare(card.corpus_id)}"
        )
    utterances = utterance_rows(read_table(workspace.utterances(card.corpus_id), UTTERANCES))
    votes = read_table(workspace.votes(card.corpus_id), VOTES)
    if prepared_sha256(utterances, votes) != report["utterances_sha256"]:
        raise RunError(
            f"The manifest of {card.corpus_id} was changed or its writing interrupted: its hash is not the one in "
            f"prepare.json. Run again: {how_to_prepare(card.corpus_id)}"
        )
    return PreparedCorpus(utterances, votes, report)


def corpus_root(workspace: Workspace, corpus_id: str) -> Path:
    """The folder that `prepare` read the corpus from, on this machine.

    Raises:
        CorpusNotFound: it is not known, or no longer there.
    """
    path = workspace.corpus_root(corpus_id)
    root = Path(read_json(path)["folder"]) if path.is_file() else None
    if root is None or not root.is_dir():
        raise CorpusNotFound(
            corpus_id,
            str(root or "(none remembered)"),
            hint=f"Run `voxemo prepare {corpus_id} --root FOLDER` to tell this workspace where it lies now.",
        )
    return root


def write_split(workspace: Workspace, split: Split, facts: dict[str, Any]) -> None:
    """Write a split's table and, beside it, its facts (those of the split itself are added)."""
    write_table(workspace.split(split.corpus_id, split.split_id), split_frame(split.folds), SPLIT)
    write_json(workspace.split_facts(split.corpus_id, split.split_id), {**split_document(split), **facts})


def split_ids(workspace: Workspace, corpus_id: str) -> tuple[str, ...]:
    """Names of the splits made for a corpus."""
    return tuple(sorted(path.stem for path in (workspace.root / "splits" / corpus_id).glob("*.json")))


def read_split(workspace: Workspace, corpus_id: str, split_id: str) -> tuple[Split, dict[str, Any]]:
    """A split and its facts.

    Raises:
        SplitError: it has not been made, or its table is not the one that its facts are about.
    """
    path = workspace.split_facts(corpus_id, split_id)
    if not path.is_file():
        there = ", ".join(split_ids(workspace, corpus_id)) or "none"
        known = split_id.partition("-seed")[0] in SPLIT_POLICIES
        hint = split_command(corpus_id, split_id) if known else f"voxemo split {corpus_id} --help"
        raise SplitError(f"{corpus_id} has no split {split_id!r} in this workspace (there are: {there}). Run: {hint}")
    facts = read_json(path)
    split = Split(
        folds=split_folds(read_table(workspace.split(corpus_id, split_id), SPLIT)),
        **{
            name: facts[name]
            for name in (
                "split_id",
                "corpus_id",
                "policy",
                "source",
                "seed",
                "speaker_independent",
                "utterances_sha256",
            )
        },
    )
    if split_sha256(split) != facts["sha256"]:
        raise SplitError(
            f"The split {split_id!r} of {corpus_id} was changed or its writing interrupted: its table has another hash "
            f"than its facts. Run: {split_command(corpus_id, split_id)}"
        )
    return split, facts


SPLIT_POLICIES = ("protocol", "speaker-disjoint", "emobox")
"""What `voxemo split` can make."""


def split_command(corpus_id: str, split_id: str) -> str:
    """The command that makes a split of this name.

    >>> split_command("urdu", "speaker-disjoint-seed7")
    'voxemo split urdu --policy speaker-disjoint --seed 7'
    """
    policy, _, seed = split_id.partition("-seed")
    source = "--emobox FOLDER" if policy == "emobox" else f"--policy {policy}"
    return f"voxemo split {corpus_id} {source}" + (f" --seed {seed}" if seed else "")
