"""`voxemo infer`: ask what has no answer yet."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxemo.cli.common import (
    BaseUrlOption,
    BatchOption,
    ConcurrencyOption,
    DeviceOption,
    JsonOption,
    PriceOption,
    RemoteCodeOption,
    RunArgument,
    WorkspaceOption,
    emit,
    parse_shard,
    progress,
    say,
    workspace_at,
)

if TYPE_CHECKING:
    from voxemo.steps.infer import InferResult

AnswersOption = Annotated[
    Path | None,
    typer.Option("--answers", help="JSONL of utterance_id, variant_id, form, text: answers made elsewhere."),
]


RayOption = Annotated[
    str | None,
    typer.Option("--ray", help="Address of a Ray cluster to ask on: auto, local (this machine), or HOST:PORT."),
]
RayCpusOption = Annotated[
    int | None,
    typer.Option("--ray-cpus", min=1, help="CPUs of each worker, which then uses no GPU. Default: a GPU each, if any."),
]


def infer(
    run: RunArgument,
    shard: Annotated[str, typer.Option("--shard", help="I/N: only this share of the clips.")] = "1/1",
    ray: RayOption = None,
    ray_cpus: RayCpusOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Ask at most so many requests now.")] = None,
    answers: AnswersOption = None,
    device: DeviceOption = None,
    batch_size: BatchOption = None,
    trust_remote_code: RemoteCodeOption = False,
    base_url: BaseUrlOption = None,
    concurrency: ConcurrencyOption = None,
    price: PriceOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a run's questions. Interrupted at any moment, the same command goes on where it stopped."""
    at, part = workspace_at(workspace), parse_shard(shard)
    options = backend_options(
        device=device,
        batch_size=batch_size,
        trust_remote_code=trust_remote_code,
        base_url=base_url,
        concurrency=concurrency,
        price=price,
    )
    if ray is not None and (part != (1, 1) or limit is not None or answers is not None):
        raise typer.BadParameter("--ray asks the whole run: leave out --shard, --limit and --answers")
    if ray is None and ray_cpus is not None:
        raise typer.BadParameter("--ray-cpus is for workers on a Ray cluster: give --ray ADDRESS too")
    with progress("asking", unit="answers", quiet=as_json) as update:
        if ray is not None:
            from voxemo.cluster.on_ray import infer_on_ray

            result: InferResult = infer_on_ray(
                at, run, address=ray, cpus=ray_cpus, backend_options=options, on_progress=update
            )
        else:
            from voxemo.steps.infer import infer_run

            result = infer_run(
                at, run, shard=part, limit=limit, answers=answers, backend_options=options, on_progress=update
            )
    if as_json:
        emit(result)
    else:
        for line in infer_lines(result):
            say(line)
    raise typer.Exit(1 if result.transient else 0)


def backend_options(*, trust_remote_code: bool, base_url: str | None, **options: object) -> dict[str, object]:
    """Options for the backend; None for those not given.

    Raises:
        BackendError: the address of a server holds what may be a secret, which no file of a run may get.
    """
    if base_url is not None:
        from voxemo.backends.endpoint.access import check_address

        base_url = check_address(base_url)
    return {**options, "trust_remote_code": trust_remote_code or None, "base_url": base_url}


def infer_lines(result: "InferResult") -> list[str]:
    """What `infer` did, in a few lines."""
    from voxemo.steps.worker_record import idle_share

    rate = f", {result.n_answered / result.seconds:.1f} per second" if result.seconds > 0 and result.n_answered else ""
    lines = [
        f"{result.n_answered} answered now{rate}, {result.n_before} before, {result.n_pending} of "
        f"{result.n_planned} still open"
    ]
    total = sum(result.stages_s.values())
    if total:
        shares = (f"{name} {100 * seconds / total:.0f} %" for name, seconds in result.stages_s.items())
        idle = idle_share(result.stages_s)
        known = "" if idle is None else f"; the device was idle for {100 * idle:.0f} % or more"
        lines.append(f"  time: {', '.join(shares)}{known}")
    if result.n_unusable:
        lines.append(f"  {result.n_unusable} of them about unusable audio: counted as failed answers")
    if result.lost_workers:
        lost = result.lost_workers
        lines.append(f"  {len(lost)} worker(s) lost on the way; others asked what was left. The last: {lost[-1]}")
    if result.n_unused:
        lines.append(
            f"  {result.n_unused} answers of the file were NOT used: their requests have an answer already. Another "
            "system, or corrected answers, need a run of their own: a copy of the scripted card with a new model_id."
        )
    if result.damaged:
        lines.append(f"  {len(result.damaged)} damaged journal line(s), asked again: {', '.join(result.damaged[:3])}")
    if result.transient:
        lines.append(f"  {len(result.transient)} could not be asked, the first: {result.transient[0]}")
        lines.append("  Mend the cause and run the same command again.")
    return lines
