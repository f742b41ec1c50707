"""`voxemo run`: plan, ask, read, score and show, on one machine."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxemo.cli.common import (
    DEFAULT_RUNS,
    BaseUrlOption,
    BatchOption,
    ConcurrencyOption,
    DeviceOption,
    JsonOption,
    PriceOption,
    RemoteCodeOption,
    RunsOption,
    WorkspaceOption,
    say,
    shown_path,
    workspace_at,
)
from voxemo.cli.infer import backend_options, infer_lines
from voxemo.cli.parse import parse_lines
from voxemo.cli.plan import (
    AudioOption,
    BackendOption,
    FoldOption,
    FormOption,
    LabelSourceOption,
    LimitOption,
    PromptOption,
    SplitOption,
    TokensOption,
    plan_options,
)
from voxemo.cli.report import show_report
from voxemo.cli.score import score_lines
from voxemo.cli.studies import (
    DryRunOption,
    SkipOption,
    prepared_part,
    print_matrix,
    run_whole_study,
    show_estimate,
    write_matrix,
    write_sweep,
)
from voxemo.cli.train import trainer

if TYPE_CHECKING:
    from voxemo.steps.run import RunResult


CorpusOption = Annotated[
    str | None,
    typer.Option("--corpus", help="Name of a prepared corpus, or several: a,b,c.", show_default=False),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Name of a model card, or path to one, or several.", show_default=False),
]
StudyOption = Annotated[
    Path | None,
    typer.Option(
        "--study",
        help="TOML file of runs, or a built-in study (voxemo-paper), instead of the options that say what to run.",
        show_default=False,
    ),
]


IN_STUDY = (
    "corpus",
    "model",
    "split",
    "form",
    "prompt",
    "fold",
    "label_source",
    "limit",
    "max_new_tokens",
    "audio",
    "backend",
)
"""Options that a study file has by the same names; given beside one, they would say two things."""


def run(
    context: typer.Context,
    corpus: CorpusOption = None,
    model: ModelOption = None,
    study: StudyOption = None,
    split: SplitOption = "protocol",
    form: FormOption = None,
    prompt: PromptOption = None,
    fold: FoldOption = None,
    label_source: LabelSourceOption = None,
    limit: LimitOption = None,
    max_new_tokens: TokensOption = 512,
    audio: AudioOption = "clean",
    backend: BackendOption = None,
    device: DeviceOption = None,
    batch_size: BatchOption = None,
    trust_remote_code: RemoteCodeOption = False,
    base_url: BaseUrlOption = None,
    concurrency: ConcurrencyOption = None,
    price: PriceOption = None,
    dry_run: DryRunOption = False,
    skip_unprepared: SkipOption = False,
    runs: RunsOption = DEFAULT_RUNS,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan, ask, read, score and show models on prepared corpora. Again, it goes on where it stopped.

    Several corpora and models are every pair of them; a model is loaded once for all its corpora. A study file may
    train models first, and have matrices of transfers.
    """
    from voxemo.steps.study import Study, StudyRun, read_study

    at = workspace_at(workspace)

    if study is not None:
        given = [name for name in IN_STUDY if str(context.get_parameter_source(name)).endswith("COMMANDLINE")]
        if given:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise typer.BadParameter(
                f"What to run stands in the study file: write there what {flags} should say, or leave out --study."
            )
        asked = read_study(study, workspace=at)
    elif corpus is None or model is None:
        raise typer.BadParameter("Say what to run: --corpus and --model, or --study FILE.")
    else:
        options = plan_options(form, prompt, fold, label_source, limit, max_new_tokens, audio, backend)
        several = [
            StudyRun(corpus=one, model=other, split_id=split, options=options)
            for other in model.split(",")
            for one in corpus.split(",")
        ]
        asked = Study(single=tuple(several))
    if dry_run:
        show_estimate(at, runs, asked, as_json=as_json)
        return
    asked, missing = prepared_part(at, asked, skip=skip_unprepared)
    results, matrices = run_whole_study(
        at,
        runs,
        asked,
        backend_options=backend_options(
            device=device,
            batch_size=batch_size,
            trust_remote_code=trust_remote_code,
            base_url=base_url,
            concurrency=concurrency,
            price=price,
        ),
        train=trainer(at, {"device": device, "trust_remote_code": trust_remote_code}, {}, quiet=as_json),
        quiet=as_json,
    )
    written = [path for matrix, outcome in matrices for path in write_matrix(matrix, outcome, runs)]
    if not as_json:
        for result in results:
            if len(results) > 1:
                say(f"{result.run.name}:")
            # Scores of an earlier reading are gone, but these have taken their place.
            parsed = replace(result.parse, removed=())
            for line in (*infer_lines(result.infer), *parse_lines(parsed), *score_lines(result.score)):
                say(line)
    first, *others = results
    shown: dict[str, Any] = {"matrices": [{"name": m.name, "cells": outcome} for m, outcome in matrices]}
    shown |= {"missing": missing, "matrix_files": written} if matrices or missing else {}
    show_report(
        [result.run for result in results],
        partial=True,
        out=runs if others else first.run / "report",
        as_json=as_json,
        beside={**(shown if matrices or missing else {}), **_summaries(results)},
    )
    sweep_files = write_sweep([result.run for result in results], runs, as_json=as_json)
    if as_json:
        return
    for matrix, outcome in matrices:
        print_matrix(matrix, outcome)
    for path in (*written, *sweep_files):
        say(f"wrote {shown_path(path)}")
    for corpus_id, reason in missing.items():
        say(f"LEFT OUT: {corpus_id}: {reason}")


def _summaries(results: "list[RunResult]") -> dict[str, Any]:
    first, *others = results
    return {"runs": [_summary(result) for result in results]} if others else _summary(first)


def _summary(result: "RunResult") -> dict[str, Any]:
    return {
        "run": result.run,
        "infer": result.infer,
        "parse": result.parse,
        "n_scored": result.score.n_scored,
        "n_without_gold": result.score.n_without_gold,
    }
