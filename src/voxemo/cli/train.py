"""`voxemo train`: a system that learns on a split's training part."""

from typing import Annotated

import typer

from voxemo.cli.common import JsonOption, WorkspaceOption, emit, progress, say, shown_path, workspace_at
from voxemo.cli.plan import FoldOption, ModelOption, SplitOption


def train(
    corpus: Annotated[str, typer.Argument(help="Name of a prepared corpus.", show_default=False)],
    model: ModelOption = "acoustic-baseline",
    split: SplitOption = "protocol",
    fold: FoldOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Of everything random in training.")] = 0,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model on every fold of a split; each fold gives a model card of its own."""
    from voxemo.steps.train import train_model

    with progress("training", unit="clips", quiet=as_json) as update:
        result = train_model(
            workspace_at(workspace),
            corpus,
            model=model,
            split_id=split,
            folds=tuple(fold) if fold else None,
            seed=seed,
            on_progress=update,
        )
    if as_json:
        emit(result.cards)
        return
    for fold_id, card in result.cards.items():
        record = card.training
        assert record is not None
        where = shown_path(result.folders[fold_id])
        say(f"fold {fold_id}: {card.model_id} on {record.n_utterances} utterances, {where}")
