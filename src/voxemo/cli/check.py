"""`voxemo check`: a corpus folder against its card; writes nothing."""

from pathlib import Path
from typing import Annotated

import typer

from voxemo.cli.common import JobsOption, JsonOption, emit, progress, say
from voxemo.cli.prepare import report_lines


def check(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus.", show_default=False)],
    root: Annotated[Path, typer.Option("--root", help="Folder as the provider ships it.", show_default=False)],
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a corpus folder with its card; write nothing. Exits with 1 when they differ."""
    from voxemo.steps.check import check_corpus

    with progress("reading audio", unit="clips", quiet=as_json) as update:
        result = check_corpus(corpus, root, jobs=jobs, on_progress=update)
    if as_json:
        emit(result.report)
    else:
        for line in report_lines(result.card, result.report):
            say(line)
    raise typer.Exit(1 if result.report["differences"] else 0)
