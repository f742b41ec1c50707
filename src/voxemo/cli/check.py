"""`voxemo check`: everything that is wrong with a corpus folder, on one screen; writes nothing."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxemo.cli.common import JobsOption, JsonOption, WorkspaceOption, emit, progress, say, workspace_at
from voxemo.cli.prepare import counted, header_lines

if TYPE_CHECKING:
    from voxemo.core.cards import CorpusCard
    from voxemo.corpora.doctor import Diagnosis
    from voxemo.corpora.doctor.findings import Finding

SCREEN_LINES = 40
WIDTH = 118
HEADINGS = {"problem": "Problems", "warning": "Warnings", "note": "Notes"}


def check(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus, or path to a card.", show_default=False)],
    root: Annotated[Path, typer.Option("--root", help="Folder as the provider ships it.", show_default=False)],
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
        again = f"voxemo prepare {shlex.quote(corpus)} --root {shlex.quote(str(root))}"
        for line in screen(result.card, result.diagnosis, prepare=again):
            say(line)
    raise typer.Exit(0 if result.diagnosis.fit else 1)


def document(diagnosis: "Diagnosis") -> dict[str, Any]:
    """The diagnosis for a script, as docs/reference/check.md describes it: `fit`, `prepare`'s counts, all findings."""
    whole = asdict(diagnosis)
    return {"fit": diagnosis.fit, **whole.pop("report"), **whole}


def screen(card: "CorpusCard", diagnosis: "Diagnosis", *, prepare: str) -> list[str]:
    """The diagnosis for a person: at most ``SCREEN_LINES`` lines, unless there are more kinds of problems.

    Args:
        card: the corpus's card.
        diagnosis: of its folder.
        prepare: the command that comes next.
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
    end = _verdict(diagnosis, prepare)
    headings = 2 * len({finding.severity for finding in diagnosis.findings})
    left = SCREEN_LINES - len(head) - headings - len(end) - 2
    return [*head, *_finding_lines(diagnosis.findings, left), "", *end]


def _audio_lines(diagnosis: "Diagnosis") -> list[str]:
    if diagnosis.quick:
        return ["  audio: not decoded"]
    rates = [f"{rate} Hz" for rate in diagnosis.sample_rates_hz]
    channels = [counted(n, "channel") for n in diagnosis.n_channels]
    return [f"  audio: {' and '.join(rates)}, {' and '.join(channels)}"] if rates else []


def _finding_lines(findings: "Sequence[Finding]", most: int) -> list[str]:
    """Headings and findings; where they are too many, first the names of the least severe go, then whole findings."""
    shown = [_lines(finding) for finding in findings]
    for index in reversed(range(len(shown))):
        if sum(map(len, shown)) > most:
            shown[index] = _lines(findings[index], with_names=False)
    n_problems = sum(finding.severity == "problem" for finding in findings)
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
    return [*lines, f"  and {counted(left, 'more finding')}, which --json shows"] if left else lines


def _lines(finding: "Finding", *, with_names: bool = True) -> list[str]:
    """What was found; below it as many of the names as a line holds, at least one."""
    indent = " " * 26
    first, *others = wrap(finding.text, WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    lines = [f"  {finding.code:<15} {finding.number:>6}  {first}", *(indent + other for other in others)]
    if with_names and finding.names:
        named = (_named(name, finding.details.get(name)) for name in finding.names)
        kept = list(_fitting(named, WIDTH - len(indent)))
        rest = len(finding.names) - len(kept)
        lines.append(indent + ", ".join(kept) + (f" and {rest} more" if rest else ""))
    return lines


def _named(name: str, detail: str | None) -> str:
    return f"{name} ({detail})" if detail else name


def _fitting(names: Iterable[str], width: int) -> Iterator[str]:
    left = width - len(" and 100000 more")
    for index, name in enumerate(names):
        left -= len(name) + 2
        if index and left < 0:
            return
        yield name


def _verdict(diagnosis: "Diagnosis", prepare: str) -> list[str]:
    if not diagnosis.fit:
        n = counted(len(diagnosis.problems), "problem")
        lines = [f"NOT fit for the benchmark: {n}. Mend what is named; check again."]
        if diagnosis.preparable and diagnosis.report.complete:
            lines.append(f"To go on with what is there: {prepare}")
        elif diagnosis.preparable:
            lines.append(f"To go on with what is there, and have every run say so: {prepare} --partial")
        return lines
    if diagnosis.quick:
        return ["Names and tables are fit for the benchmark; the audio was not looked at. Next: check without --quick"]
    return [f"Fit for the benchmark. Next: {prepare}"]
