"""`voxemo bundle` and `voxemo verify`: a run as one file to hand in, and whether such a file holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxemo.cli.common import (
    JsonOption,
    RunArgument,
    WorkspaceOption,
    console,
    emit,
    print_table,
    say,
    shown_path,
    table,
    workspace_at,
)

if TYPE_CHECKING:
    from voxemo.steps.verify import VerifyResult
    from voxemo.steps.verify_scores import RowDifference

SHOWN = 10


def bundle(
    run: RunArgument,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write. [default: RUN-ID.bundle.zip in this folder]")
    ] = None,
    redact: Annotated[
        bool,
        typer.Option("--redact", help="Leave out what the model wrote, even where the corpus may be passed on."),
    ] = False,
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="As `voxemo score` was given it.")] = 1000,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pack a scored run into one file to hand in, with all that its scores can be computed again from.

    What the model wrote is left out where the corpus may not be passed on. Audio is never in it.
    """
    from voxemo.steps.bundle import bundle_run

    result = bundle_run(workspace_at(workspace), run, out, redact=redact, resamples=resamples)
    if as_json:
        emit(result)
        return
    say(f"{shown_path(result.path)}: {result.n_scores} scores of {result.run_id}, all of which come out again")
    say(f"  {result.n_files} files, {result.n_bytes / 1e6:.1f} MB, content {result.sha256}")
    if result.redacted is None:
        say("  the answers' texts are in it: its readers can read them again")
    else:
        say(f"  the answers' texts are left out: {result.redacted}")
    say("  gold labels, votes and utterance ids of the test parts are in it: mind the licence before you publish")


def verify(
    bundle: Annotated[Path, typer.Argument(help="A file that `voxemo bundle` made.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Compute every score of a bundle again, and say whether they hold. Exits with 1 where they do not.

    Needs no workspace, no model and no audio. Nothing of the bundle is unpacked to disk.
    """
    from voxemo.steps.verify import verify_bundle

    result = verify_bundle(bundle)
    if as_json:
        emit({**{name: getattr(result, name) for name in result.__slots__}, "holds": result.holds})
    else:
        _print(result)
    if not result.holds:
        raise typer.Exit(1)


def _print(result: "VerifyResult") -> None:
    texts = "are left out" if result.redacted else "are in it"
    lines = [
        f"{result.run_id}: {'holds' if result.holds else 'DOES NOT HOLD'}",
        f"  {result.n_scores_hold} of {result.n_scores} scores come out the same",
        f"  {result.n_texts_read} answers were read again; their texts {texts}",
        f"  content {result.sha256}",
    ]
    for finding in result.findings:
        place = "" if finding.file is None else f"{finding.file}: "
        lines.append(f"  {finding.kind}: {place}{finding.text}")
    for line in lines:
        say(line)
    if result.differences:
        largest = sorted(result.differences, key=lambda one: -one.size)[:SHOWN]
        headers = ["part", "fold", "system", "form", "metric", "label", "policy", "column", "stated", "recomputed"]
        title = f"The largest of {len(result.differences)} differences"
        print_table(console(), table(headers, [_row(one) for one in largest], title=title, numbers_from=8))


def _row(one: "RowDifference") -> list[str]:
    about = (one.partition, one.fold_id, one.system_id, one.form, one.metric, one.class_label, one.failure_policy)
    return [*(value or "-" for value in about), one.column, _shown(one.stated), _shown(one.recomputed)]


def _shown(value: float | str | None) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.6g}"
