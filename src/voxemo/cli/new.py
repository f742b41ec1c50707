"""`voxemo new`: the first card of a user's own corpus, or a disclosure to be filled in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxemo.cli.common import JsonOption, emit, next_command, say, shown_path
from voxemo.cli.prepare import DropOption, MapOption, pairs, read_label_source
from voxemo.core.errors import DisclosureError, UnknownName

if TYPE_CHECKING:
    from voxemo.steps.new_corpus import NewCorpus

KINDS = ("corpus", "disclosure")
FORM = Path("disclosure.toml")


def new(
    kind: Annotated[str, typer.Argument(help="corpus or disclosure.", show_default=False)],
    name: Annotated[
        str | None, typer.Argument(help="Name of the new corpus, or of the run to be disclosed.", show_default=False)
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="Its table of utterances: .csv, .jsonl or .parquet.")
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", help="Folder of its audio. Without --manifest, a first table is made of it."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the card, NAME by default; or file for the disclosure.")
    ] = None,
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
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Renew an earlier card from the table; what it says otherwise is kept. Write a disclosure anew.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the first card of your own corpus: no Python is needed to benchmark on it. Or an empty disclosure.

    A disclosure says how a system was tested, for results that were not made by voxemo; `voxemo disclose` checks it.
    """
    from datetime import UTC, datetime

    from voxemo.corpora.new_card import CardFacts
    from voxemo.steps.new_corpus import new_corpus

    if kind not in KINDS:
        raise UnknownName("kind", kind, KINDS)
    if kind == "disclosure":
        _new_disclosure(name or "", out or FORM, replace=replace, as_json=as_json)
        return
    if name is None:
        raise typer.BadParameter("a new corpus needs a name: voxemo new corpus NAME")
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
    renewal = renew_command(made, root=root, out=out)
    prepare = next_command("prepare", shown_path(made.place), "--root", root or "FOLDER", workspace=None)
    command = renewal if made.unknown else prepare
    if as_json:
        emit({"made": made, "next": command})
        return
    for line in new_lines(made):
        say(line)
    if root is not None and manifest is None:
        edit = "  Each file is labelled with its folder's name. To change that or to add columns, edit the table"
        say(f"{edit} first." if made.unknown else f"{edit} and run:")
        if not made.unknown:
            say(f"  {renewal}")
    say(f"Next: {command}")


def _new_disclosure(name: str, place: Path, *, replace: bool, as_json: bool) -> None:
    from voxemo.core.disclosure import template
    from voxemo.store.files import write_text

    if place.exists() and not replace:
        raise DisclosureError(
            str(place), ["it is there already"], hint="Fill it in, name another file, or give --replace."
        )
    write_text(place, template(name))
    command = next_command("disclose", shown_path(place), workspace=None)
    if as_json:
        emit({"written": [place], "next": command})
        return
    say(f"wrote {shown_path(place)}: every point is empty, and says what it asks")
    say(f"Next: fill it in, then: {command}")


def renew_command(made: "NewCorpus", *, root: Path | None, out: Path | None) -> str:
    """The command that works a card out anew from its table, with every code that nobody knows to be filled in.

    What else was given at first (licence, languages, ...) stands in the card, and is kept.
    """
    words: list[str | Path] = ["new", "corpus", made.card.corpus_id, "--manifest", shown_path(made.manifest)]
    for option, folder in (("--root", root), ("--out", out)):
        words += [] if folder is None else [option, folder]
    for code in made.unknown:
        words += ["--map", f"{code}=LABEL"]
    return next_command(*words, "--replace", workspace=None)


def new_lines(made: "NewCorpus") -> list[str]:
    """What was made, in a few lines."""
    card = made.card
    lines = [
        f"{card.corpus_id}: {made.n_utterances} utterances in {shown_path(made.manifest)}",
        f"  labels: {', '.join(f'{code} = {label}' for code, label in card.labels.raw.items()) or 'none known yet'}",
        f"  split: {card.split.policy}. {card.split.why}",
    ]
    if made.renewed is not None:
        renewed = ", ".join(made.renewed)
        lines.append(f"  renewed: {renewed}; everything else in the card was kept" if renewed else "  renewed: nothing")
    if made.unknown:
        lines.append("  CODES WHOSE MEANING IS OPEN; write each into the card, or say it with the command below:")
        lines += [f"    {code}: {n} utterance{'' if n == 1 else 's'}" for code, n in made.unknown.items()]
    lines += [f"  note: {note}" for note in made.notes]
    return [*lines, *(f"  wrote {shown_path(path)}" for path in made.written)]
