"""`voxemo run`: plan, ask, read, score and show, on one machine."""

from dataclasses import replace

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
    command_line,
    progress,
    say,
    shown_path,
    workspace_at,
)
from voxemo.cli.infer import backend_options, infer_lines
from voxemo.cli.parse import parse_lines
from voxemo.cli.plan import (
    AudioOption,
    CorpusOption,
    FoldOption,
    FormOption,
    LabelSourceOption,
    LimitOption,
    ModelOption,
    PromptOption,
    SplitOption,
    TokensOption,
    plan_options,
)
from voxemo.cli.report import show_report
from voxemo.cli.score import score_lines


def run(
    corpus: CorpusOption,
    model: ModelOption,
    split: SplitOption = "protocol",
    form: FormOption = None,
    prompt: PromptOption = None,
    fold: FoldOption = None,
    label_source: LabelSourceOption = None,
    limit: LimitOption = None,
    max_new_tokens: TokensOption = 512,
    audio: AudioOption = "clean",
    device: DeviceOption = None,
    batch_size: BatchOption = None,
    trust_remote_code: RemoteCodeOption = False,
    base_url: BaseUrlOption = None,
    concurrency: ConcurrencyOption = None,
    price: PriceOption = None,
    runs: RunsOption = DEFAULT_RUNS,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan, ask, read, score and show one model on one prepared corpus. Again, it goes on where it stopped."""
    from voxemo.steps.run import run_line

    result = run_line(
        workspace_at(workspace),
        runs,
        corpus=corpus,
        model=model,
        split_id=split,
        options=plan_options(form, prompt, fold, label_source, limit, max_new_tokens, audio),
        backend_options=backend_options(
            device=device,
            batch_size=batch_size,
            trust_remote_code=trust_remote_code,
            base_url=base_url,
            concurrency=concurrency,
            price=price,
        ),
        command=command_line(),
        bar=lambda title, unit: progress(title, unit=unit, quiet=as_json),
        # Before anything is asked, so that the folder is known whatever happens then.
        on_plan=lambda run: None if as_json else say(f"run {shown_path(run)}"),
    )
    if not as_json:
        # Scores of an earlier reading are gone, but these have taken their place.
        parsed = replace(result.parse, removed=())
        for line in (*infer_lines(result.infer), *parse_lines(parsed), *score_lines(result.score)):
            say(line)
    show_report(
        [result.run],
        partial=True,
        out=result.run / "report",
        as_json=as_json,
        beside={
            "run": result.run,
            "infer": result.infer,
            "parse": result.parse,
            "n_scored": result.score.n_scored,
            "n_without_gold": result.score.n_without_gold,
        },
    )
