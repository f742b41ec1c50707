"""`voxemo score`: predictions against gold labels."""

from typing import TYPE_CHECKING, Annotated

import typer

from voxemo.cli.common import JsonOption, RunArgument, WorkspaceOption, emit, say, workspace_at

if TYPE_CHECKING:
    from voxemo.steps.score import ScoreResult


def score(
    run: RunArgument,
    failure_policy: Annotated[
        list[str] | None,
        typer.Option("--failure-policy", help="wrong, excluded or uniform; may be repeated. Default: all three."),
    ] = None,
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="Bootstrap resamples.")] = 1000,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Score the answers there are; unanswered requests are left out.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a parsed run by every metric, with reference rows and intervals."""
    from voxemo.core.errors import UnknownName
    from voxemo.core.types import FAILURE_POLICIES
    from voxemo.steps.score import score_run

    for name in failure_policy or ():
        if name not in FAILURE_POLICIES:
            raise UnknownName("failure policy", name, FAILURE_POLICIES)
    result = score_run(
        workspace_at(workspace),
        run,
        policies=tuple(failure_policy) if failure_policy else FAILURE_POLICIES,  # type: ignore[arg-type]
        resamples=resamples,
        allow_incomplete=incomplete,
    )
    if as_json:
        emit(
            {
                "run": result.run,
                "n_scores": result.scores.height,
                "n_scored": result.n_scored,
                "n_without_gold": result.n_without_gold,
                "n_without_soft_label": result.n_without_soft_label,
            }
        )
        return
    for line in score_lines(result):
        say(line)


def score_lines(result: "ScoreResult") -> list[str]:
    """What `score` wrote, in a few lines."""
    lines = [f"{result.scores.height} scores over {result.n_scored} utterances: `voxemo report` shows them"]
    if result.n_without_gold:
        lines.append(f"  {result.n_without_gold} utterances have no gold label (ties) and are not scored")
    for rule, n in result.n_without_soft_label.items():
        if n:
            lines.append(f"  {n} utterances have no vote within the label set ({rule}) and no soft score")
    return lines
