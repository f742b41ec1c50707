"""`voxemo new`: the first card of a user's own corpus."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxemo.cli.common import JsonOption, emit, say, shown_path
from voxemo.cli.prepare import DropOption, MapOption, pairs, read_label_source
from voxemo.core.errors import UnknownName

if TYPE_CHECKING:
    from voxemo.steps.new_corpus import NewCorpus

KINDS = ("corpus",)


def new(
    kind: Annotated[str, typer.Argument(help="corpus.", show_default=False)],
    name: Annotated[str, typer.Argument(help="Name of the new corpus.", show_default=False)],
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="Its table of utterances: .csv, .jsonl or .parquet.")
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", help="Folder of its audio. Without --manifest, a first table is made of it."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the card. Default: NAME.")] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="BCP-47 language; may be repeated.", show_default=False)
    ] = None,
    license: Annotated[str | None, typer.Option("--license", help="Its licence.")] = None,
    citation: Annotated[str | None, typer.Option("--citation", help="How to cite it.")] = None,
    label_source: Annotated[
        str | None,
        typer.Option("--label-source", help="Labels that hard scores use: expressed or perceived."),
    ] = None,
    mapped: MapOption = None,
    dropped: DropOption = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over an earlier card.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the first card of your own corpus: no Python is needed to benchmark on it."""
    from datetime import UTC, datetime

    from voxemo.corpora.new_card import CardFacts
    from voxemo.steps.new_corpus import new_corpus

    if kind not in KINDS:
        raise UnknownName("kind", kind, KINDS)
    texts = {"license": license, "citation": citation}
    facts = CardFacts(
        year=datetime.now(UTC).year,
        languages=tuple(language or ()),
        gold=read_label_source(label_source),
        **{field: text for field, text in texts.items() if text},  # type: ignore[arg-type]
    )
    made = new_corpus(
        name,
        manifest=manifest,
        root=root,
        out=out,
        facts=facts,
        mapped=pairs("--map", mapped),
        dropped=pairs("--drop", dropped),
        replace_card=replace,
    )
    command = f"voxemo prepare {shlex.quote(shown_path(made.place))} --root " + (
        "FOLDER" if root is None else shlex.quote(str(root))
    )
    if as_json:
        emit({"made": made, "next": command})
        return
    for line in new_lines(made):
        say(line)
    if root is not None and manifest is None:
        table = shown_path(made.manifest)
        say(f"  Each file is labelled with its folder's name. To change that or to add columns, edit {table}")
        say(f"  and give the same command again with: --manifest {shlex.quote(table)} --replace")
    say(f"Next: {command}")


def new_lines(made: "NewCorpus") -> list[str]:
    """What was made, in a few lines."""
    card = made.card
    lines = [
        f"{card.corpus_id}: {made.n_utterances} utterances in {shown_path(made.manifest)}",
        f"  labels: {', '.join(f'{code} = {label}' for code, label in card.labels.raw.items()) or 'none known yet'}",
        f"  split: {card.split.policy}. {card.split.why}",
    ]
    if made.unknown:
        lines.append("  CODES WHOSE MEANING IS OPEN; write each into the card, or name it with --map and --replace:")
        lines += [f"    {code}: {n} utterance{'' if n == 1 else 's'}" for code, n in made.unknown.items()]
    lines += [f"  note: {note}" for note in made.notes]
    return [*lines, *(f"  wrote {shown_path(path)}" for path in made.written)]
