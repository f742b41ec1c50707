"""`voxemo plan`: every question of a run, written down before any is asked."""

from typing import TYPE_CHECKING, Annotated

import typer

from voxemo.cli.common import (
    DEFAULT_RUNS,
    JsonOption,
    RunsOption,
    WorkspaceOption,
    command_line,
    emit,
    say,
    shown_path,
    workspace_at,
)
from voxemo.core.errors import UnknownName
from voxemo.core.types import AUDIO_CONDITIONS, Form

if TYPE_CHECKING:
    from voxemo.steps.plan import PlanOptions

CorpusOption = Annotated[str, typer.Option("--corpus", help="Name of a prepared corpus.", show_default=False)]
ModelOption = Annotated[str, typer.Option("--model", help="Name of a model card, or path to one.", show_default=False)]
SplitOption = Annotated[str, typer.Option("--split", help="Name of a split that `voxemo split` made.")]
FormOption = Annotated[
    str | None,
    typer.Option("--form", help="hard, distribution, both, likelihood or all. Default: the protocol's for the corpus."),
]
PromptOption = Annotated[
    list[str] | None,
    typer.Option("--prompt", help="Prompt variant, by name or path; may be repeated. Default: all five."),
]
FoldOption = Annotated[list[str] | None, typer.Option("--fold", help="Fold; may be repeated. Default: all.")]
LabelSourceOption = Annotated[
    str | None, typer.Option("--label-source", help="expressed or perceived. Default: the card's.")
]
BackendOption = Annotated[
    str | None,
    typer.Option("--backend", help="vllm or local: runs the model in place of its card's own.", show_default=False),
]
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="At most so many utterances of each test part; the run is marked partial."),
]
TokensOption = Annotated[int, typer.Option("--max-new-tokens", min=1, help="Longest answer.")]

AudioOption = Annotated[
    str,
    typer.Option("--audio", help="What is heard: clean, or in place of every clip silence, noise or shuffled clips."),
]

FORMS: dict[str, tuple[Form, ...]] = {
    "hard": ("hard",),
    "distribution": ("distribution",),
    "both": ("hard", "distribution"),
    "likelihood": ("likelihood",),
    "all": ("hard", "distribution", "likelihood"),
}


def plan_options(
    form: str | None,
    prompt: list[str] | None,
    fold: list[str] | None,
    label_source: str | None,
    limit: int | None,
    max_new_tokens: int,
    audio: str,
    backend: str | None,
) -> "PlanOptions":
    """The options of a plan as the steps take them."""
    from voxemo.core.types import Generation
    from voxemo.steps.plan import PlanOptions

    if form is not None and form not in FORMS:
        raise UnknownName("form", form, tuple(FORMS))
    if label_source not in (None, "expressed", "perceived"):
        raise typer.BadParameter(f"--label-source is expressed or perceived, not {label_source!r}")
    if audio not in AUDIO_CONDITIONS:
        raise UnknownName("audio condition", audio, AUDIO_CONDITIONS)
    return PlanOptions(
        forms=FORMS[form] if form else None,
        variants=tuple(prompt) if prompt else None,
        folds=tuple(fold) if fold else None,
        label_source=label_source,  # type: ignore[arg-type]
        backend=backend,
        audio_condition=audio,
        limit=limit,
        generation=Generation(max_new_tokens=max_new_tokens),
    )


def plan(
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
    backend: BackendOption = None,
    runs: RunsOption = DEFAULT_RUNS,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run folder with every question that will be asked, and the full disclosure of how."""
    from voxemo.steps.plan import plan_run
    from voxemo.store.manifest import read_manifest

    run = plan_run(
        workspace_at(workspace),
        runs,
        corpus=corpus,
        model=model,
        split_id=split,
        options=plan_options(form, prompt, fold, label_source, limit, max_new_tokens, audio, backend),
        command=command_line(),
    )
    manifest = read_manifest(run)
    if as_json:
        emit({"run": run, "run_id": manifest.run_id, "n_requests": manifest.n_requests, "partial": manifest.partial})
        return
    say(f"{manifest.n_requests} requests over {len(manifest.split.folds)} fold(s): {shown_path(run)}")
    say(f"  speaker overlap: {manifest.split.overlap}")
    if manifest.partial:
        say(f"  PARTIAL: {manifest.partial}")
    for deviation in manifest.deviations:
        say(f"  deviation: {deviation}")
