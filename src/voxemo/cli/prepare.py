"""`voxemo prepare`: a corpus folder into a checked manifest."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxemo.cli.common import (
    JobsOption,
    JsonOption,
    RootOption,
    WorkspaceOption,
    emit,
    next_command,
    progress,
    root_words,
    say,
    shown_path,
    workspace_at,
)
from voxemo.core.errors import CountMismatch, UnknownName

if TYPE_CHECKING:
    from voxemo.core.cards import CorpusCard
    from voxemo.core.types import LabelSource

SUBSETS = ("benchmark", "paper")


MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", help="CODE=LABEL, what a code of your own means; may be repeated.", show_default=False),
]
DropOption = Annotated[
    list[str] | None,
    typer.Option("--drop", help="CODE=REASON, a code that is left out; may be repeated.", show_default=False),
]


def prepare(
    corpus: Annotated[str | None, typer.Argument(help="Name of the corpus, or path to a card.")] = None,
    root: RootOption = None,
    subset: Annotated[
        str, typer.Option("--subset", help="benchmark, or paper: what the paper counts where that is less.")
    ] = "benchmark",
    audformat: Annotated[
        Path | None, typer.Option("--audformat", help="Instead of a corpus: an audformat database (db.yaml).")
    ] = None,
    table: Annotated[str | None, typer.Option("--table", help="Its table with the emotions.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="Its column of the emotions.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name for it as a corpus. Default: its own.")] = None,
    label_source: Annotated[
        str | None, typer.Option("--label-source", help="Whose labels they are: expressed or perceived.")
    ] = None,
    mapped: MapOption = None,
    dropped: DropOption = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Go on although utterances are missing; runs will say so.")
    ] = False,
    jobs: JobsOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a corpus folder, check it against its card, and write the benchmark's manifest.

    With --audformat, the options from --table to --drop say how the database is read; its card is generated.
    """
    from voxemo.steps.prepare import prepare_audformat, prepare_corpus

    place = workspace_at(workspace)
    if audformat is not None:
        if corpus is not None or subset != "benchmark":
            raise typer.BadParameter("--audformat takes neither a corpus nor --subset; --name names the new corpus")
        with progress("reading audio", unit="clips", quiet=as_json) as update:
            result = prepare_audformat(
                place,
                audformat,
                name=name,
                table=table,
                column=column,
                label_source=read_label_source(label_source),
                mapped=pairs("--map", mapped),
                dropped=pairs("--drop", dropped),
                root=root,
                partial=partial,
                jobs=jobs,
                on_progress=update,
            )
    else:
        given = {"--table": table, "--column": column, "--name": name, "--label-source": label_source}
        stray = [option for option, value in {**given, "--map": mapped, "--drop": dropped}.items() if value]
        if stray:
            raise typer.BadParameter(f"{', '.join(stray)}: only with --audformat")
        if corpus is None:
            raise typer.BadParameter("give a corpus and --root FOLDER, or --audformat FOLDER")
        if subset not in SUBSETS:
            raise UnknownName("subset", subset, SUBSETS)
        try:
            with progress("reading audio", unit="clips", quiet=as_json) as update:
                result = prepare_corpus(
                    place,
                    corpus,
                    root,
                    subset=subset,  # type: ignore[arg-type]
                    partial=partial,
                    jobs=jobs,
                    on_progress=update,
                )
        except CountMismatch as wrong:
            # Only here is it known what the user typed.
            check = next_command("check", corpus, *root_words(root), "--quick", workspace=workspace)
            raise CountMismatch(
                corpus_id=wrong.corpus_id, differences=wrong.differences, hint=f"{wrong.hint}\nDetails: {check}"
            ) from wrong
    command = next_command("split", result.card.corpus_id, workspace=workspace)
    if as_json:
        emit({**result.report, "notes": result.notes, "written": result.written, "next": command})
        return
    for line in report_lines(result.card, result.report):
        say(line)
    for note in result.notes:
        say(f"  note: {note}")
    for path in result.written:
        say(f"  wrote {shown_path(path)}")
    say(f"Next: {command}")


def pairs(option: str, words: list[str] | None) -> dict[str, str]:
    """Read ``--map W=angry`` and the like: each word as a name and a value."""
    found: dict[str, str] = {}
    for word in words or ():
        # The last sign counts: a code may hold one, a label may not.
        code, sign, value = word.rpartition("=") if option == "--map" else word.partition("=")
        if not (sign and code and value) or code in found:
            raise typer.BadParameter(f"{option} {word!r}: expected CODE=VALUE, each code once")
        found[code] = value
    return found


def read_label_source(word: str | None) -> "LabelSource | None":
    """Read ``--label-source``."""
    if word not in (None, "expressed", "perceived"):
        raise typer.BadParameter(f"--label-source is expressed or perceived, not {word!r}")
    return word  # type: ignore[return-value]


def counted(n: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "utterance"), counted(2, "utterance")
    ('1 utterance', '2 utterances')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"


def header_lines(card: "CorpusCard", report: dict[str, Any]) -> list[str]:
    """What a corpus folder holds, in a few lines."""
    labels = ", ".join(f"{label} {n}" for label, n in report["per_label"].items())
    hours = "" if report["hours"] is None else f", {report['hours']:.2f} h"
    utterances = counted(report["n_utterances"], "utterance")
    speakers = counted(report["n_speakers"], "speaker") if report["n_speakers"] else "speakers unknown"
    lines = [
        f"{card.name}: {utterances}, {speakers}{hours}",
        f"  {card.gold} labels: {labels}",
    ]
    if report["subset"] == "paper":
        lines.insert(1, "  subset: what the paper counts")
    for rule, n in report["voted"].items():
        missing = "" if n else " (the table is not in this copy)"
        lines.append(f"  votes counted {rule!r}: {n} of {utterances}{missing}")
    for reason, n in report["excluded"].items():
        lines.append(f"  left out of the benchmark: {n} ({reason})")
    return lines


def report_lines(card: "CorpusCard", report: dict[str, Any]) -> list[str]:
    """What a corpus folder holds, and what was found about it."""
    lines = header_lines(card, report)
    lines += [f"  audio: {text}" for text in report["converted_audio"]]
    lines += _named(
        "UNUSABLE, kept and counted as failed answers", [f"{k}: {v}" for k, v in report["unusable"].items()]
    )
    lines += _named("silent", list(report["silent"]))
    lines += _named("same samples", [" = ".join(group) for group in report["duplicates"]])
    lines += _named("audio files that no rule of this corpus reads", list(report["unread"]))
    if report["differences"]:
        lines.append("  COUNTS DIFFER from the card:")
        lines += [
            f"    {what}: {found} found, {expected} expected"
            for what, (expected, found) in report["differences"].items()
        ]
    else:
        broken = ", but not every clip can be used" if report["unusable"] else ""
        lines.append(f"  every count on the card was found{broken}")
    return lines


def _named(what: str, items: list[str], most: int = 5) -> list[str]:
    if not items:
        return []
    # A line that counts one more takes the place of that one.
    shown = items if len(items) <= most + 1 else items[:most]
    lines = [f"  {what}: {len(items)}", *(f"    {item}" for item in shown)]
    left = len(items) - len(shown)
    return [*lines, f"    and {left} more, which prepare.json names"] if left else lines
