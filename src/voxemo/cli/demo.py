"""`voxemo demo`: the whole line on built-in input, with nothing to download."""

from pathlib import Path
from typing import Annotated

import typer

from voxemo.cli.common import JsonOption, progress, say, shown_path
from voxemo.cli.report import show_report


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where workspace, run and scoreboard go.")] = Path(
        "demo-workspace"
    ),
    as_json: JsonOption = False,
) -> None:
    """Ask a small speech LLM about a small synthetic corpus, through every step to a scoreboard. Downloads nothing."""
    from voxemo.steps.demo import run_demo

    if not as_json:
        say(
            "voxemo-tiny, a speech LLM of 4 million parameters, answers ten prompts about each clip of the corpus demo:"
        )
        say("504 clips of synthetic speech. The same steps as for any model and corpus, in two or three minutes:")
        say("prepare, split, plan, ask, read the answers, score, report.")
    result = run_demo(folder, bar=lambda title, unit: progress(title, unit=unit, quiet=as_json))
    show_report(
        [result.run],
        out=folder / "report",
        as_json=as_json,
        beside={"run": result.run, "n_scored": result.score.n_scored},
    )
    if not as_json:
        say("Synthetic speech: the scores show how the benchmark works and say nothing about people's speech.")
        say(f"Read first: {shown_path(folder / 'report' / 'scoreboard.md')}")
        say(f"Everything is in {shown_path(folder)}. Next: voxemo prepare CORPUS --root FOLDER (voxemo list corpus).")
