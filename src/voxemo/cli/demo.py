"""`voxemo demo`: the whole line on built-in input, with nothing to download."""

from pathlib import Path
from typing import Annotated

import typer

from voxemo.cli.common import JsonOption, progress, say, shown_path
from voxemo.cli.report import show_report


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where corpus, workspace, run and scoreboard go.")] = Path(
        "demo-workspace"
    ),
    as_json: JsonOption = False,
) -> None:
    """Make a small synthetic corpus and carry it through every step to a scoreboard. Needs nothing but this package."""
    from voxemo.steps.demo import run_demo

    if not as_json:
        say(
            "A toy corpus of tones (not speech) and the acoustic baseline, a supervised reference: this shows the line,"
        )
        say("not a speech LLM. Same steps as for any corpus: prepare, split, train, plan, ask, read, score, report.")
    result = run_demo(folder, bar=lambda title, unit: progress(title, unit=unit, quiet=as_json))
    show_report(
        [result.run],
        out=folder / "report",
        as_json=as_json,
        beside={"run": result.run, "n_scored": result.score.n_scored},
    )
    if not as_json:
        say(f"Everything is in {shown_path(folder)}. Next: voxemo prepare CORPUS --root FOLDER (voxemo list corpus).")
