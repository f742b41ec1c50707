"""`voxemo doctor`: what this machine can run, whether a model hears, and whether the engine answers as it would."""

from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from voxemo.cli.common import (
    BaseUrlOption,
    BatchOption,
    ConcurrencyOption,
    DeviceOption,
    JsonOption,
    RemoteCodeOption,
    RunArgument,
    WorkspaceOption,
    console,
    emit,
    next_command,
    print_table,
    progress,
    say,
    shown_path,
    table,
    workspace_at,
)
from voxemo.cli.infer import backend_options

if TYPE_CHECKING:
    from voxemo.reports.hearing import Gain
    from voxemo.steps.hearing import HearingCheck
    from voxemo.steps.parity import ParityCheck

app = typer.Typer(help="What this machine can run, and whether a model hears.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def doctor(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Say what this machine can run, and what is missing."""
    if context.invoked_subcommand is not None:
        if workspace is not None or as_json:
            raise typer.BadParameter(f"Options of `doctor {context.invoked_subcommand}` stand behind it.")
        return
    from voxemo.steps.machine import inspect_machine

    found = inspect_machine(workspace_at(workspace))
    if as_json:
        emit(found)
        return
    for title, facts in found.facts:
        say(f"{title:<12} {facts}")
    if found.missing:
        say("")
        say("Not installed, and needed for:")
        for extra, purpose in found.missing:
            say(f"  {purpose}: the extra {extra!r}")
        extras = ",".join(extra for extra, _ in found.missing)
        say(f'In a checkout: pip install -c constraints.txt -e ".[{extras}]"')


@app.command("hearing")
def hearing(
    run: RunArgument,
    full: Annotated[
        bool, typer.Option("--full", help="Answer all hard prompts of a parsed run again under each condition.")
    ] = False,
    n: Annotated[int, typer.Option("-n", min=2, help="Clips to ask about.")] = 16,
    device: DeviceOption = None,
    batch_size: BatchOption = None,
    trust_remote_code: RemoteCodeOption = False,
    base_url: BaseUrlOption = None,
    concurrency: ConcurrencyOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask about a few clips, then with silence, noise and each other's clips in their place. Exits with 1 if deaf.

    Run it after `voxemo plan`, before hours of `voxemo infer`. With --full, after `voxemo run`: what hearing is worth.
    """
    from voxemo.steps.hearing import check_hearing, measure_hearing
    from voxemo.store.layout import RunPaths

    options = backend_options(
        device=device,
        batch_size=batch_size,
        trust_remote_code=trust_remote_code,
        base_url=base_url,
        concurrency=concurrency,
    )
    at = workspace_at(workspace)
    if full:
        from voxemo.reports.hearing import write_hearing

        with progress("asking again", unit="answers", quiet=as_json) as update:
            found = measure_hearing(at, run, backend_options=options, on_progress=_of_all(update))
        gains = [(one.partition, one.system_id, one.condition, one.difference) for one in found]
        written = write_hearing(run, gains)
        if as_json:
            emit({"gains": found, "written": written})
            return
        _show_gains(gains)
        say(f"wrote {shown_path(written)}")
        return
    with progress("asking", unit="conditions", quiet=as_json) as update:
        check = check_hearing(at, run, n_clips=n, backend_options=options, on_progress=update)
    if as_json:
        emit(check)
    else:
        again = next_command("infer", run, workspace=workspace)
        for line in (*check_lines(check), f"wrote {shown_path(RunPaths(run).hearing_check)}"):
            say(line)
        if check.hears:
            say(f"Next: {again}")
    raise typer.Exit(0 if check.hears else 1)


@app.command("parity")
def parity(
    run: RunArgument,
    n: Annotated[int, typer.Option("-n", min=1, help="Clips to ask about.")] = 8,
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="bfloat16, float16 or float32, for both ways. Default: the model card's."),
    ] = None,
    device: DeviceOption = None,
    batch_size: BatchOption = None,
    trust_remote_code: RemoteCodeOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a few clips by the fast engine and by the model's own generate, and say what differs.

    In float32 nothing may; in bfloat16 roundings flip some answers, and this says how many. Exits with 1 if it should
    be exact and is not.
    """
    from voxemo.steps.parity import check_parity
    from voxemo.store.layout import RunPaths

    options = backend_options(
        device=device, dtype=dtype, batch_size=batch_size, trust_remote_code=trust_remote_code, base_url=None
    )
    with progress("asking both ways", unit="answers", quiet=as_json) as update:
        check = check_parity(workspace_at(workspace), run, n_clips=n, backend_options=options, on_progress=update)
    if as_json:
        emit(check)
    else:
        for line in (*parity_lines(check), f"wrote {shown_path(RunPaths(run).parity_check)}"):
            say(line)
    raise typer.Exit(0 if check.is_exact_where_due else 1)


def parity_lines(check: "ParityCheck") -> list[str]:
    """What asking both ways showed, for a person."""
    lines = [
        f"{check.model_id} in {check.dtype} on {check.device}: {check.n_clips} clips, {check.n_questions} questions",
        f"  answers whose tokens differ: {check.n_answers_differ} of {check.n_questions}; labels that differ: "
        f"{check.n_labels_differ}",
        f"  plain generate {check.plain_s:.1f} s; the engine {check.fast_s:.1f} s, batch size {check.batch_size}",
    ]
    if check.first_tokens:
        first, last = check.first_tokens[0], check.first_tokens[-1]
        lines.append(
            f"  the first token that differs: number {median(check.first_tokens):g} (median; {first} to {last})"
        )
    for one in check.examples:
        lines.append(f"  {one.utterance_id}, {one.variant_id} ({one.form}), from token {one.first_token} on:")
        lines.append(f"    fast:  {one.fast!r}")
        lines.append(f"    plain: {one.plain!r}")
    if not check.is_exact_where_due:
        lines.append("NOT EXACT: in float32 both must be the same. Please report this, with the model and versions.")
    return lines


def _of_all(update: Callable[[int, int], None]) -> Callable[[str, int, int], None]:
    """Progress of one condition after the other as one bar."""
    seen: dict[str, int] = {}

    def told(condition: str, done: int, total: int) -> None:
        from voxemo.steps.hearing import DEAFENING

        seen[condition] = done
        update(sum(seen.values()), total * len(DEAFENING))

    return told


def check_lines(check: "HearingCheck") -> list[str]:
    """What a few questions showed, for a person."""
    lines = [f"{check.model_id}: {check.n_clips} clips, prompt {check.variant_id} ({check.form})"]
    lines += [
        f"  {name:<9} in place of the clip: {n} of {check.n_clips} answers change" for name, n in check.changed.items()
    ]
    if check.second_half is not None:
        n, seconds = check.second_half.tokens, check.second_half.seconds
        declared = check.declared_tokens_per_s
        card = "" if declared is None else f"; the card declares {declared:g} a second"
        lines.append(f"  {seconds:g} s more of audio add {n} tokens{card}")
    lines += [f"  NOT CHECKED: {what}" for what in check.not_checked]
    if check.hears:
        return [*lines, "It hears: its answers depend on the audio."]
    return [
        *lines,
        "STOP: this model does not seem to hear.",
        *(f"  {problem}" for problem in check.problems),
        "  A model that always answers the same looks deaf too: plan with more prompts, and read some answers.",
    ]


def _show_gains(gains: "list[Gain]") -> None:
    from voxemo.reports.hearing import HEADER, gain_rows

    made = table(HEADER, gain_rows(gains), title="What hearing is worth: UA %, pooled over folds", numbers_from=3)
    print_table(console(), made)
