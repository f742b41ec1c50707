"""`voxemo prepare`: a corpus folder into a checked manifest."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxemo.cli.common import JobsOption, JsonOption, WorkspaceOption, emit, progress, say, shown_path, workspace_at

if TYPE_CHECKING:
    from voxemo.core.cards import CorpusCard


def prepare(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus.", show_default=False)],
    root: Annotated[Path, typer.Option("--root", help="Folder as the provider ships it.", show_default=False)],
    partial: Annotated[
        bool, typer.Option("--partial", help="Go on although utterances are missing; runs will say so.")
    ] = False,
    jobs: JobsOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a corpus folder, check it against its card, and write the benchmark's manifest."""
    from voxemo.steps.prepare import prepare_corpus

    with progress("reading audio", unit="clips", quiet=as_json) as update:
        result = prepare_corpus(workspace_at(workspace), corpus, root, partial=partial, jobs=jobs, on_progress=update)
    if as_json:
        emit({**result.report, "written": result.written})
        return
    for line in report_lines(result.card, result.report):
        say(line)
    for path in result.written:
        say(f"  wrote {shown_path(path)}")


def report_lines(card: "CorpusCard", report: dict[str, Any]) -> list[str]:
    """What was found in a corpus folder, in a few lines."""
    labels = ", ".join(f"{label} {n}" for label, n in report["per_label"].items())
    hours = "" if report["hours"] is None else f", {report['hours']:.2f} h"
    lines = [
        f"{card.name}: {report['n_utterances']} utterances, {report['n_speakers']} speakers{hours}",
        f"  {card.gold} labels: {labels}",
    ]
    for rule, n in report["voted"].items():
        missing = "" if n else " (the table is not in this copy)"
        lines.append(f"  votes counted {rule!r}: {n} of {report['n_utterances']} utterances{missing}")
    for reason, n in report["excluded"].items():
        lines.append(f"  left out of the benchmark: {n} ({reason})")
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
        broken = f", but {len(report['unusable'])} clips are unusable" if report["unusable"] else ""
        lines.append(f"  every count on the card was found{broken}")
    return lines


def _named(what: str, items: list[str], most: int = 5) -> list[str]:
    if not items:
        return []
    lines = [f"  {what}: {len(items)}", *(f"    {item}" for item in items[:most])]
    return [*lines, f"    and {len(items) - most} more"] if len(items) > most else lines
