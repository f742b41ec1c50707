"""`voxemo download`: a corpus from its provider, or how to get it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxemo.cli.common import JsonOption, emit, next_command, progress, say, shown_path

if TYPE_CHECKING:
    from voxemo.core.cards import CorpusCard
    from voxemo.corpora.download import Downloaded

WHY_NOT = {
    "open": "It is open, but has no steady address that a program could fetch it from.",
    "request": "Its provider has to be asked, or wants an account.",
    "paid": "It is sold.",
    "unavailable": "Its provider does not give it out any more.",
}


def download(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus.", show_default=False)],
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder that the corpus goes into.", show_default=False)
    ] = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="You have read the corpus's licence and accept it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch an openly downloadable corpus; for any other, say how to get it, and exit with 1."""
    from voxemo.catalog import lookup

    card = lookup.corpus_card(corpus)
    if not (card.access.downloads and accept_license):
        offer = _command("download", corpus, "--to", to or "FOLDER", "--accept-license")
        command = offer if card.access.downloads else None
        if as_json:
            emit({**_facts(card), "files": _files(card), "fetched": [], "root": None, "next": command})
        else:
            for line in offer_lines(card, command) if command else manual_lines(card, corpus):
                say(line)
        raise typer.Exit(1)

    if to is None:
        raise typer.BadParameter("say where the corpus goes: --to FOLDER")
    from voxemo.steps.download import download_corpus

    done = download_corpus(card, to, watch=lambda title, unit: progress(title, unit=unit, quiet=as_json))
    command = None if done.root is None else _command("prepare", corpus, "--root", shown_path(done.root))
    if as_json:
        files = [*done.fetched, *done.kept, *done.not_compared]
        emit({**_facts(card), "files": files, **_found(done), "next": command})
    else:
        for line in done_lines(card, to, done, command or _command("prepare", corpus, "--root", shown_path(to))):
            say(line)
    raise typer.Exit(0 if command else 1)


def _command(*words: str | Path) -> str:
    return next_command(*words, workspace=None)


def _facts(card: "CorpusCard") -> dict[str, Any]:
    access = card.access
    return {
        "corpus_id": card.corpus_id,
        "access": access.kind,
        "license": access.license,
        "redistributable": access.redistributable,
        "homepage": access.homepage,
        "how": access.how,
    }


def _files(card: "CorpusCard") -> list[str]:
    """What would be fetched, a line each."""
    from voxemo.corpora.download import file_name

    lines = []
    for wanted in card.access.downloads:
        if wanted.url is not None:
            lines.append(f"{file_name(wanted)} from {wanted.url}")
        else:
            lines.append(f"{', '.join(wanted.files) or 'all files'} of the record https://doi.org/{wanted.doi}")
    return lines


def _found(done: "Downloaded") -> dict[str, Any]:
    return {
        "fetched": done.fetched,
        "not_compared": done.not_compared,
        "n_unpacked": done.n_unpacked,
        "packed": done.packed,
        "root": None if done.root is None else str(done.root),
    }


def _terms(card: "CorpusCard") -> list[str]:
    return [
        f"  licence: {card.access.license}",
        f"  may be passed on: {'yes, under the same terms' if card.access.redistributable else 'no'}",
        f"  homepage: {card.access.homepage}",
    ]


def offer_lines(card: "CorpusCard", command: str) -> list[str]:
    """What a download would do, and the command that does it."""
    sizes = [wanted.size_bytes for wanted in card.access.downloads]
    known = [size for size in sizes if size is not None]
    checked = [wanted.doi is not None or wanted.checksum is not None for wanted in card.access.downloads]
    size = "not known before" if len(known) < len(sizes) else f"{sum(known) / 1e9:.2f} GB, before it is unpacked"
    sums = {len(checked): "published for every file, and compared", 0: "none is published"}
    return [
        f"{card.name} can be downloaded; nothing has been fetched yet.",
        *_terms(card),
        "  to fetch:",
        *(f"    {line}" for line in _files(card)),
        f"  size: {size}",
        f"  checksums: {sums.get(sum(checked), f'published for {sum(checked)} of {len(checked)} files, and compared')}",
        "Read the licence on the homepage. If you accept it, run:",
        f"  {command}",
    ]


def manual_lines(card: "CorpusCard", corpus: str) -> list[str]:
    """How a person gets a corpus that no program can fetch, and what to do with it then."""
    if card.synthetic:
        return [f"{card.name} is made by a program, and not downloaded.", f"  how to get it: {card.access.how}"]
    expected = card.expected
    counts = [
        *([f"{expected.n_utterances} utterances"] if expected.n_utterances else []),
        *([f"{expected.n_speakers} speakers"] if expected.n_speakers else []),
        *([f"{expected.hours:g} h"] if expected.hours else []),
    ]
    return [
        f"{card.name} is not downloaded by voxemo. {WHY_NOT[card.access.kind]}",
        f"  how to get it: {card.access.how}",
        *_terms(card),
        "  what to expect below its folder:",
        *(f"    {pattern}" for pattern in card.audio_files),
        *([f"    {', '.join(counts)} in the benchmark"] if counts else []),
        "When you have it, run:",
        f"  {_command('prepare', corpus, '--root')} FOLDER",
    ]


def done_lines(card: "CorpusCard", folder: Path, done: "Downloaded", command: str) -> list[str]:
    """What came, and what to do next; the command prepares the corpus."""
    from voxemo.corpora.download_folder import STORE

    lines = [f"{card.name}: files fetched: {len(done.fetched)}; there already, and whole: {len(done.kept)}"]
    if done.not_compared:
        lines.append(f"  not compared: no connection to the record of {', '.join(done.not_compared)}")
    if done.n_unpacked:
        lines.append(
            f"  {done.n_unpacked} files unpacked from archives; the archives are in {shown_path(folder / STORE)}"
        )
    if done.packed:
        lines.append("  voxemo cannot unpack these; use 7-Zip, unar or bsdtar, in the folder where they lie:")
        lines += [f"    {shown_path(folder / name)}" for name in done.packed]
        lines += ["  then run:", f"    {command}"]
    elif done.root is None:
        lines.append(f"  No audio like {card.audio_files[0]!r} is in it: the provider may have changed the layout.")
        lines.append(f"  Look into {shown_path(folder)} and at {card.access.homepage}, and please report it.")
    else:
        lines += ["next:", f"  {command}"]
    return lines
