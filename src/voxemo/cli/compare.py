"""`voxemo compare`: how far apart two runs are, and what else differs."""

from pathlib import Path
from typing import Annotated

import typer

from voxemo.cli.common import JsonOption, WorkspaceOption, console, emit, print_table, say, table, workspace_at


def compare(
    run_a: Annotated[Path, typer.Argument(help="The first run folder.", show_default=False)],
    run_b: Annotated[
        Path, typer.Argument(help="The second; the difference is first minus second.", show_default=False)
    ],
    metric: Annotated[str, typer.Option("--metric", help="A hard metric.")] = "unweighted_accuracy",
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="Prompt variant or ensemble; may be repeated. Default: all shared."),
    ] = None,
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="Bootstrap resamples.")] = 1000,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Difference of two parsed runs over one corpus with its interval, pairing their speakers."""
    from voxemo.steps.compare import compare_runs

    result = compare_runs(workspace_at(workspace), run_a, run_b, metric=metric, systems=prompt, resamples=resamples)
    if as_json:
        emit(result)
        return
    first = result.comparisons[0]
    say(f"A: {first.run_a}: speaker overlap {first.overlap_a}")
    say(f"B: {first.run_b}: speaker overlap {first.overlap_b}")
    rows = []
    for one in result.comparisons:
        d = one.difference
        interval = "-" if d.ci_low is None or d.ci_high is None else f"[{100 * d.ci_low:.1f}, {100 * d.ci_high:.1f}]"
        rows.append(
            [
                one.partition,
                one.system_id,
                *("-" if v is None else f"{100 * v:.1f}" for v in (d.value_a, d.value_b, d.value)),
                interval,
                d.ci_unit or "-",
            ]
        )
    headers = ["part", "prompt", "A %", "B %", "A - B", "95 % interval", "resampled"]
    print_table(console(), table(headers, rows, title=f"{metric}, pooled over folds", numbers_from=2))
    if result.unlike:
        say("What else differs (A | B):")
        for line in result.unlike:
            say(f"  {line}")
