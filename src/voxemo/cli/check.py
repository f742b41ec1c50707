"""`voxemo check`: everything that is wrong with a corpus folder, on one screen; writes nothing."""

from collections.abc import Sequence
from dataclasses import asdict
from textwrap import wrap
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
    workspace_at,
)
from voxemo.cli.prepare import counted, header_lines

if TYPE_CHECKING:
    from voxemo.core.cards import CorpusCard
    from voxemo.corpora.doctor import Diagnosis
    from voxemo.corpora.doctor.findings import Finding

SCREEN_LINES = 40
WIDTH = 118
INDENT = " " * 26
ALL_NAMES = "All names: add --json"
HEADINGS = {"problem": "Problems", "warning": "Warnings", "note": "Notes"}


def check(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus, or path to a card.", show_default=False)],
    root: RootOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="Names and tables only; decode no audio.")] = False,
    jobs: JobsOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for everything that is wrong with a corpus folder; write nothing. Exits with 1 if the benchmark is affected.

    Compares with the corpus's card, and with the manifest of an earlier `prepare` where the workspace has one.
    """
    from voxemo.steps.check import check_corpus

    with progress("reading audio", unit="clips", quiet=as_json) as update:
        result = check_corpus(workspace_at(workspace), corpus, root, quick=quick, jobs=jobs, on_progress=update)
    if as_json:
        emit(document(result.diagnosis))
    else:
        prepare, again = (
            next_command(verb, corpus, *root_words(root), workspace=workspace) for verb in ("prepare", "check")
        )
        for line in screen(result.card, result.diagnosis, prepare=prepare, check=again):
            say(line)
    raise typer.Exit(0 if result.diagnosis.fit else 1)


def document(diagnosis: "Diagnosis") -> dict[str, Any]:
    """The diagnosis for a script, as docs/reference/check.md describes it: `fit`, `prepare`'s counts, all findings."""
    whole = asdict(diagnosis)
    return {"fit": diagnosis.fit, **whole.pop("report"), **whole}


def screen(card: "CorpusCard", diagnosis: "Diagnosis", *, prepare: str, check: str) -> list[str]:
    """The diagnosis for a person: at most ``SCREEN_LINES`` lines, unless the problems alone need more.

    Args:
        card: the corpus's card.
        diagnosis: of its folder.
        prepare: the command that comes next.
        check: the command that looks at the audio too.
    """
    report = diagnosis.report
    if report.n_utterances or report.excluded:
        head = [*header_lines(card, asdict(report)), *_audio_lines(diagnosis)]
    else:
        head = [f"{card.name}: no utterance was read"]
    if diagnosis.split is not None:
        head.append(f"  protocol split: {diagnosis.split}")
    manifest = " and the manifest of an earlier `prepare`" if diagnosis.compared_with_manifest else ""
    head.append(f"  compared with: the card{manifest}")
    end = _verdict(diagnosis, prepare, check)
    headings = 2 * len({finding.severity for finding in diagnosis.findings})
    # What remains beside an empty line, a line for findings left out, and the one that says how to see all.
    left = SCREEN_LINES - len(head) - headings - len(end) - 3
    return [*head, *_finding_lines(diagnosis.findings, left), "", *end]


def _audio_lines(diagnosis: "Diagnosis") -> list[str]:
    if diagnosis.quick:
        return ["  audio: not decoded"]
    rates = [f"{rate} Hz" for rate in diagnosis.sample_rates_hz]
    channels = [counted(n, "channel") for n in diagnosis.n_channels]
    return [f"  audio: {' and '.join(rates)}, {' and '.join(channels)}"] if rates else []


def _finding_lines(findings: "Sequence[Finding]", most: int) -> list[str]:
    """Headings and findings; at the end, where it is not all, how to see the rest.

    Where there are too many, the names of notes go first, then those of warnings, then whole findings in that order.
    What is told of a problem stays.
    """
    named = [_name_lines(finding) for finding in findings]
    names = [own for own, _ in named]
    shortened = any(n_left for _, n_left in named)
    n_problems = sum(finding.severity == "problem" for finding in findings)
    texts = [_text_lines(finding) for finding in findings]
    for index in reversed(range(n_problems, len(findings))):
        if sum(map(len, (*texts, *names))) > most and names[index]:
            names[index], shortened = [], True
    shown = [text + own for text, own in zip(texts, names, strict=True)]
    while len(shown) > n_problems and sum(map(len, shown)) > most:
        shown.pop()
    lines: list[str] = []
    heading = None
    for finding, own in zip(findings, shown, strict=False):
        if finding.severity != heading:
            heading = finding.severity
            lines += ["", HEADINGS[heading]]
        lines += own
    left = len(findings) - len(shown)
    if left:
        lines.append(f"  and {counted(left, 'more finding')}")
    return [*lines, ALL_NAMES] if left or shortened else lines


def _text_lines(finding: "Finding") -> list[str]:
    first, *others = wrap(finding.text, WIDTH - len(INDENT), break_long_words=False, break_on_hyphens=False)
    return [f"  {finding.code:<15} {finding.number:>6}  {first}", *(INDENT + other for other in others)]


def _name_lines(finding: "Finding") -> tuple[list[str], int]:
    """As many of the names as a line holds, at least one, and how many that leaves.

    A single one that would be left stands below, for it takes no more room there than its number.
    """
    names = [f"{name} ({detail})" if (detail := finding.details.get(name)) else name for name in finding.names]
    width = WIDTH - len(INDENT)
    if len(", ".join(names)) <= width:
        return ([INDENT + ", ".join(names)] if names else []), 0
    n_shown = 1
    while len(", ".join(names[: n_shown + 1])) <= width - len(" and 100000 more"):
        n_shown += 1
    shown, left = INDENT + ", ".join(names[:n_shown]), names[n_shown:]
    if len(left) <= 1:
        return [shown + ",", INDENT + left[0]] if left else [shown], 0
    return [f"{shown} and {len(left)} more"], len(left)


def _verdict(diagnosis: "Diagnosis", prepare: str, check: str) -> list[str]:
    if not diagnosis.fit:
        n = counted(len(diagnosis.problems), "problem")
        lines = [f"NOT fit for the benchmark: {n}. Mend what is named; check again."]
        if diagnosis.preparable and diagnosis.only_changed:
            lines.append(f"If it was on purpose, prepare again; new runs carry the new manifest's hash: {prepare}")
        elif diagnosis.preparable:
            partial = "" if diagnosis.report.complete else " --partial"
            lines.append(f"To go on with what is there, and have every run say so: {prepare}{partial}")
        return lines
    if diagnosis.quick:
        return ["Names and tables are fit for the benchmark; the audio was not looked at.", f"Next: {check}"]
    return [f"Fit for the benchmark. Next: {prepare}"]
