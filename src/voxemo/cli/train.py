"""`voxemo train`: a system that learns on a split's training part; and `train merge`, an adapter into its base."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from voxemo.cli.common import (
    DEFAULT_RUNS,
    DeviceOption,
    JsonOption,
    RemoteCodeOption,
    RunsOption,
    WorkspaceOption,
    command_line,
    emit,
    next_command,
    progress,
    say,
    shown_path,
    workspace_at,
)
from voxemo.cli.infer import backend_options
from voxemo.cli.plan import FoldOption, ModelOption, SplitOption
from voxemo.cli.report import show_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxemo.steps.fine_tune import TuneResult
    from voxemo.steps.mixtures import Training
    from voxemo.steps.train import TrainResult
    from voxemo.store.layout import Workspace
    from voxemo.training.lora import LoraRecipe
    from voxemo.training.state import Epoch

CORPUS = "corpus"


class _CorpusFirst(TyperGroup):
    """A group whose first word is a corpus unless it is the name of a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`voxemo train CORPUS` means `voxemo train corpus CORPUS`."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [CORPUS, *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(
    cls=_CorpusFirst,
    help="Train a model on every fold of a corpus's split: voxemo train CORPUS --model MODEL. "
    "For its options: voxemo train corpus --help.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(CORPUS)
def train(
    corpus: Annotated[str, typer.Argument(help="Name of a prepared corpus.", show_default=False)],
    model: ModelOption = "acoustic-baseline",
    split: SplitOption = "protocol",
    fold: FoldOption = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of everything random in training.")] = 0,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the fine-tuned model. Default: the base's with -sft.")
    ] = None,
    rank: Annotated[int | None, typer.Option("--rank", help="Rank of the adapter. Default: 8.")] = None,
    alpha: Annotated[
        int | None, typer.Option("--alpha", help="Scales the adapter by alpha / rank. Default: 16.")
    ] = None,
    dropout: Annotated[
        float | None, typer.Option("--dropout", help="Of what the adapter reads. Default: 0.05.")
    ] = None,
    n_epochs: Annotated[
        int | None, typer.Option("--epochs", help="Times that each utterance is learned. Default: 10.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="Highest one. Default: 1e-5.")] = None,
    warmup_share: Annotated[
        float | None, typer.Option("--warmup", help="Share of the steps in which the rate rises. Default: 0.1.")
    ] = None,
    course: Annotated[
        str | None,
        typer.Option("--course", help="Of the rate afterwards: linear, cosine or constant. Default: linear."),
    ] = None,
    weight_decay: Annotated[float | None, typer.Option("--weight-decay", help="Of AdamW. Default: 0.")] = None,
    largest_gradient: Annotated[
        float | None, typer.Option("--largest-gradient", help="Longer gradients are cut to this norm. Default: 1.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Utterances of a step, over all processes. Default: 16.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option("--keep", help="Epoch that the card names: best on validation, or last. Default: best."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="Default: bfloat16 where the device has it, else float32.")
    ] = None,
    micro_batch_size: Annotated[
        int, typer.Option("--micro-batch-size", min=1, help="Utterances read at a time; changes no result.")
    ] = 4,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, more time; changes no result.")
    ] = False,
    checkpoint_every: Annotated[
        int, typer.Option("--checkpoint-every", min=1, help="Steps that an interruption may cost.")
    ] = 100,
    device: DeviceOption = None,
    trust_remote_code: RemoteCodeOption = False,
    then_run: Annotated[
        bool, typer.Option("--run", help="Then ask, read, score and show, as `voxemo run` does.")
    ] = False,
    runs: RunsOption = DEFAULT_RUNS,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model on every fold of a split; each fold gives a model card of its own. Again, it goes on.

    Speech LLMs get a LoRA adapter by the paper's recipe, or by another where options say so. `voxemo train merge CARD`
    merges an adapter into its base.
    """
    from voxemo.steps.fold_models import SUPERVISED_BACKENDS, find_model

    at = workspace_at(workspace)
    base = find_model(at, model)
    given: dict[str, Any] = {
        "rank": rank,
        "alpha": alpha,
        "dropout": dropout,
        "n_epochs": n_epochs,
        "learning_rate": learning_rate,
        "warmup_share": warmup_share,
        "course": course,
        "weight_decay": weight_decay,
        "largest_gradient": largest_gradient,
        "batch_size": batch_size,
        "keep": keep,
    }
    chosen = {key: value for key, value in given.items() if value is not None}
    folds = tuple(fold) if fold else None
    result: TrainResult
    if base.backend in SUPERVISED_BACKENDS:
        if chosen or name or dtype:
            raise typer.BadParameter(f"{base.model_id} has no adapter: options of fine-tuning are for speech LLMs.")
        from voxemo.steps.train import train_model

        with progress("training", unit="clips", quiet=as_json) as update:
            result = train_model(at, corpus, model=model, split_id=split, folds=folds, seed=seed, on_progress=update)
        trained = model
    else:
        from voxemo.training.lora import LoraRecipe

        result = _tune(
            at,
            corpus,
            model,
            name,
            split,
            folds,
            LoraRecipe(**chosen),
            seed,
            {"device": device, "dtype": dtype, "trust_remote_code": trust_remote_code},
            {
                "micro_batch_size": micro_batch_size,
                "gradient_checkpointing": gradient_checkpointing,
                "checkpoint_every": checkpoint_every,
            },
            as_json=as_json,
        )
        trained = next(iter(result.cards.values())).model_id
    if not _is_first_process():
        return
    if then_run:
        _run(at, runs, corpus, trained, split, folds, device, trust_remote_code, as_json)
        return
    if as_json:
        emit(result.cards)
        return
    for fold_id, card in result.cards.items():
        record = card.training
        assert record is not None
        where = shown_path(result.folders[fold_id])
        say(f"fold {fold_id}: {card.model_id} on {record.n_utterances} utterances, {where}")
    words = ["run", "--corpus", corpus, "--model", trained]
    if split != "protocol":
        words += ["--split", split]
    say(f"next: {next_command(*words, workspace=workspace)}")


def _tune(
    workspace: "Workspace",
    corpus: str,
    model: str,
    name: str | None,
    split: str,
    folds: tuple[str, ...] | None,
    recipe: "LoraRecipe",
    seed: int,
    machine: dict[str, Any],
    pace: dict[str, Any],
    *,
    as_json: bool,
) -> "TuneResult":
    from voxemo.training.needs import check_fine_tuning

    check_fine_tuning()
    from voxemo.steps.fine_tune import Machine, fine_tune
    from voxemo.training.loop import Pace

    is_first = _is_first_process()
    quiet = as_json or not is_first

    def tell(fold_id: str, epoch: "Epoch") -> None:
        if not quiet:
            say(f"fold {fold_id}, {epoch_line(epoch)}")

    result = fine_tune(
        workspace,
        corpus,
        model=model,
        name=name,
        split_id=split,
        folds=folds,
        recipe=recipe,
        seed=seed,
        machine=Machine(**machine, pace=Pace(**pace)),
        bar=lambda title, unit: progress(title, unit=unit, quiet=quiet),
        on_epoch=tell,
    )
    if is_first:
        _say_what_was_trained(result, draw_curves(result), quiet=quiet)
    return result


def _say_what_was_trained(result: "TuneResult", drawn: list[Path], *, quiet: bool) -> None:
    if quiet:
        return
    if result.n_trained:
        say(f"{result.n_trained:,} parameters were trained, {100 * result.share:.3f} % of all; the rest is frozen")
    for utterance_id, reason in list(result.refused.items())[:3]:
        say(f"  left out: {utterance_id}: {reason}")
    if len(result.refused) > 3:
        say(f"  and {len(result.refused) - 3} more")
    if result.epochs and not drawn:
        say("  no figure of the learning curve: it needs matplotlib, which voxemo's extra 'report' brings")


def draw_curves(result: "TuneResult") -> list[Path]:
    """Draw the learning curve of every fold that was trained now, beside its card; nothing without matplotlib."""
    from voxemo.reports.figures import can_draw, learning_curve

    if not can_draw():
        return []
    written: list[Path] = []
    for fold_id in result.epochs:
        card = result.cards[fold_id]
        assert card.training is not None
        recipe, corpora = card.training.recipe, " + ".join(card.training.corpora)
        title = f"{card.model_id}, {corpora}, fold {card.training.fold_id}"
        written += learning_curve(
            recipe["epochs"], result.folders[fold_id], title=title, kept_epoch=recipe["kept_epoch"]
        )
    return written


def trainer(
    workspace: "Workspace", machine: dict[str, Any], pace: dict[str, Any], *, quiet: bool
) -> "Callable[[Training], TuneResult]":
    """What does the trainings of a study on this machine, and tells of them.

    Args:
        workspace: holds corpora and splits.
        machine: device, dtype, trust_remote_code.
        pace: how the work is divided.
        quiet: tell nothing.
    """

    def train_one(training: "Training") -> "TuneResult":
        from voxemo.training.needs import check_fine_tuning

        check_fine_tuning()
        from voxemo.steps.fine_tune import Machine, run_training
        from voxemo.training.loop import Pace

        what = training.source if isinstance(training.source, str) else training.source.mixture_id

        def tell(fold_id: str, epoch: "Epoch") -> None:
            if not quiet:
                say(f"{what}, fold {fold_id}, {epoch_line(epoch)}")

        result = run_training(
            workspace,
            training,
            machine=Machine(**machine, pace=Pace(**pace)),
            bar=lambda title, unit: progress(title, unit=unit, quiet=quiet),
            on_epoch=tell,
        )
        _say_what_was_trained(result, draw_curves(result), quiet=quiet)
        return result

    return train_one


def epoch_line(epoch: "Epoch") -> str:
    """What an epoch came to, in a line.

    >>> from voxemo.training.state import Epoch
    >>> epoch_line(Epoch(epoch=2, train_loss=0.5, valid_loss=0.75, valid_ua=0.5, n_valid=8, n_failed=1))
    'epoch 2: loss 0.500; validation loss 0.750, UA 50.0 % of 8, 1 failed'
    """
    told = f"epoch {epoch.epoch}: loss {epoch.train_loss:.3f}"
    if epoch.valid_ua is None:
        return f"{told}; no validation part"
    failed = f", {epoch.n_failed} failed" if epoch.n_failed else ""
    return f"{told}; validation loss {epoch.valid_loss:.3f}, UA {100 * epoch.valid_ua:.1f} % of {epoch.n_valid}{failed}"


def _is_first_process() -> bool:
    """Whether this process speaks: one of those that ``torchrun`` starts."""
    import os

    return os.environ.get("RANK", "0") == "0"


def _run(
    workspace: "Workspace",
    runs: Path,
    corpus: str,
    model: str,
    split: str,
    folds: tuple[str, ...] | None,
    device: str | None,
    trust_remote_code: bool,
    as_json: bool,
) -> None:
    from voxemo.steps.plan import PlanOptions
    from voxemo.steps.study import StudyRun, run_study

    options = backend_options(device=device, trust_remote_code=trust_remote_code, base_url=None)
    (result,) = run_study(
        workspace,
        runs,
        [StudyRun(corpus=corpus, model=model, split_id=split, options=PlanOptions(folds=folds))],
        backend_options=options,
        command=command_line(),
        bar=lambda title, unit: progress(title, unit=unit, quiet=as_json),
        on_plan=lambda run: None if as_json else say(f"run {shown_path(run)}"),
    )
    show_report([result.run], partial=True, out=result.run / "report", as_json=as_json, beside={"run": result.run})


@app.command("merge")
def merge(
    card: Annotated[Path, typer.Argument(help="Card (model.json) of a fine-tuned model.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; there must be none yet.", show_default=False)],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a checkpoint with an adapter merged into its base, and a card beside it: for servers without adapters."""
    from voxemo.training.needs import check_fine_tuning

    check_fine_tuning()
    from voxemo.steps.merge import merge_model

    merged = merge_model(workspace_at(workspace), card, out)
    if as_json:
        emit({"card": merged.card, "folder": out, "effect": merged.effect, "rounding": merged.rounding})
        return
    say(f"{merged.card.model_id}: {shown_path(out)}")
    say(f"  the adapter changes logits by up to {merged.effect:.3g}, merging moved them by up to {merged.rounding:.3g}")
    record = merged.card.training
    assert record is not None
    words = ["run", "--corpus", record.corpus_id, "--model", str(out / card.name), "--fold", record.fold_id]
    say(f"next: {next_command(*words, workspace=workspace)}")
