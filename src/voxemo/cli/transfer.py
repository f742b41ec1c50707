"""`voxemo transfer`: train on one corpus, test on another, for every pair of a matrix."""

from typing import Annotated, Any

import typer

from voxemo.cli.common import (
    DEFAULT_RUNS,
    BatchOption,
    DeviceOption,
    JsonOption,
    RemoteCodeOption,
    RunsOption,
    WorkspaceOption,
    emit,
    say,
    shown_path,
    workspace_at,
)
from voxemo.cli.infer import backend_options
from voxemo.cli.plan import LimitOption, ModelOption, TokensOption
from voxemo.cli.studies import (
    DryRunOption,
    SkipOption,
    prepared_part,
    print_matrix,
    run_whole_study,
    show_estimate,
    write_matrix,
)
from voxemo.cli.train import trainer


def transfer(
    model: ModelOption,
    matrix: Annotated[
        str | None,
        typer.Argument(
            help="paper, a TOML file, or languages: leave-one-out:en, zh:en, zh:*. Not with --source and --target.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", help="Corpora to train on: a,b,c; mixed: a+b, or by weight 2*a+b.", show_default=False
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="Corpora to test on: a,b,c.", show_default=False)
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Of every corpus. Default: the matrix's, else protocol.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the fine-tuned models. Default: the base's with -sft.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of every training.")] = 0,
    rank: Annotated[int | None, typer.Option("--rank", help="Rank of the adapters. Default: 8.")] = None,
    alpha: Annotated[
        int | None, typer.Option("--alpha", help="Scales the adapters by alpha / rank. Default: 16.")
    ] = None,
    n_epochs: Annotated[
        int | None, typer.Option("--epochs", help="Times that each utterance is learned. Default: 10.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="Highest one. Default: 1e-5.")] = None,
    train_batch_size: Annotated[
        int | None, typer.Option("--train-batch-size", help="Utterances of a training step. Default: 16.")
    ] = None,
    limit: LimitOption = None,
    max_new_tokens: TokensOption = 512,
    device: DeviceOption = None,
    batch_size: BatchOption = None,
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="Of trainings. Default: bfloat16 where the device has it, else float32."),
    ] = None,
    micro_batch_size: Annotated[
        int, typer.Option("--micro-batch-size", min=1, help="Utterances read at a time in training; changes no result.")
    ] = 4,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, more time; changes no result.")
    ] = False,
    trust_remote_code: RemoteCodeOption = False,
    dry_run: DryRunOption = False,
    skip_unprepared: SkipOption = False,
    runs: RunsOption = DEFAULT_RUNS,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train on every source and test on every target, with the target's labels. Again, it goes on where it stopped.

    Shows macro-F1 of every pair with the gain over the base model's best prompt, and what changes between the corpora;
    writes Markdown, CSV, LaTeX and, with the extra `report`, figures.
    """
    from voxemo.core.types import Generation
    from voxemo.steps.plan import PlanOptions
    from voxemo.steps.study import Study, matrix_for, unprepared_corpora
    from voxemo.steps.transfer import TransferOptions, is_language_matrix
    from voxemo.training.lora import LoraRecipe

    if (matrix is None) == (source is None and target is None) or (source is None) != (target is None):
        raise typer.BadParameter("Say which pairs: a matrix (paper, a file, languages), or --source and --target.")
    given: dict[str, Any] = {
        "rank": rank,
        "alpha": alpha,
        "n_epochs": n_epochs,
        "learning_rate": learning_rate,
        "batch_size": train_batch_size,
    }
    at = workspace_at(workspace)
    made = matrix_for(
        at,
        matrix,
        sources=source.split(",") if source else (),
        targets=target.split(",") if target else (),
        split=split,
        model=model,
        options=TransferOptions(
            recipe=LoraRecipe(**{key: value for key, value in given.items() if value is not None}),
            seed=seed,
            name=name,
            plan=PlanOptions(limit=limit, generation=Generation(max_new_tokens=max_new_tokens)),
        ),
    )
    study = Study(matrices=(made,))
    # A matrix of languages is made of what is prepared; what is not would otherwise be missed in silence.
    absent = unprepared_corpora(at) if matrix is not None and is_language_matrix(matrix) else ()
    if absent and not as_json:
        say(f"not prepared, and so not in this matrix: {', '.join(absent)}")
    if dry_run:
        show_estimate(at, runs, study, as_json=as_json)
        return
    study, missing = prepared_part(at, study, skip=skip_unprepared)
    missing = {**dict.fromkeys(absent, "not prepared"), **missing}
    _, ((made, cells),) = run_whole_study(
        at,
        runs,
        study,
        backend_options=backend_options(
            device=device, batch_size=batch_size, trust_remote_code=trust_remote_code, base_url=None
        ),
        train=trainer(
            at,
            {"device": device, "dtype": dtype, "trust_remote_code": trust_remote_code},
            {"micro_batch_size": micro_batch_size, "gradient_checkpointing": gradient_checkpointing},
            quiet=as_json,
        ),
        quiet=as_json,
    )
    written = write_matrix(made, cells, runs)
    if as_json:
        emit({"matrix": made.name, "model": made.model, "cells": cells, "written": written, "missing": missing})
        return
    print_matrix(made, cells)
    for path in written:
        say(f"wrote {shown_path(path)}")
    for corpus_id, reason in missing.items():
        if corpus_id not in absent:
            say(f"LEFT OUT: {corpus_id}: {reason}")
