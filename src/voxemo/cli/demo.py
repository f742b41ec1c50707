"""`voxemo demo`: the whole line on built-in input, with nothing to download."""

from pathlib import Path
from typing import Annotated, Any

import typer

from voxemo.cli.common import JsonOption, progress, say, shown_path
from voxemo.cli.report import show_report, write_site


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where workspace, run and scoreboard go.")] = Path(
        "demo-workspace"
    ),
    as_json: JsonOption = False,
) -> None:
    """Ask a small speech LLM about a small synthetic corpus, through every step to a scoreboard. Downloads nothing."""
    from voxemo.reports.site.build import can_write_site
    from voxemo.steps.demo import run_demo

    if not as_json:
        say(
            "voxemo-tiny, a speech LLM of 4 million parameters, answers ten prompts about each clip of the corpus demo:"
        )
        say("504 clips of synthetic speech. The same steps as for any model and corpus, in two or three minutes:")
        say("prepare, split, plan, ask, read the answers, score, report.")
    result = run_demo(folder, bar=lambda title, unit: progress(title, unit=unit, quiet=as_json))
    beside: dict[str, Any] = {"run": result.run, "n_scored": result.score.n_scored}
    site = write_site([result.run], folder / "site", quiet=as_json) if can_write_site() else None
    if site is not None:
        beside["site"] = site.index
    show_report([result.run], out=folder / "report", as_json=as_json, beside=beside)
    if not as_json:
        say("Synthetic speech: the scores show how the benchmark works and say nothing about people's speech.")
        say(f"Read first: {shown_path(folder / 'report' / 'scoreboard.md')}")
        if site is not None:
            say(f"Open in a browser: {site.index.resolve().as_uri()}")
        say(f"Everything is in {shown_path(folder)}. Next: voxemo prepare CORPUS --root FOLDER (voxemo list corpus).")
