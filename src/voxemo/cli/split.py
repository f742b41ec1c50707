"""`voxemo split`: a prepared corpus into folds."""

from pathlib import Path
from typing import Annotated

import typer

from voxemo.cli.common import (
    JsonOption,
    WorkspaceOption,
    console,
    emit,
    next_command,
    print_table,
    say,
    shown_path,
    table,
    workspace_at,
)


def split(
    corpus: Annotated[str, typer.Argument(help="Name of a prepared corpus.", show_default=False)],
    policy: Annotated[
        str | None,
        typer.Option("--policy", help="protocol (default), speaker-disjoint, or emobox.", show_default=False),
    ] = None,
    emobox: Annotated[
        Path | None, typer.Option("--emobox", help="Your copy of the EmoBox repository; implies --policy emobox.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Instead of the card's own.")] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Divide a prepared corpus into folds and say which speakers are on both sides."""
    from voxemo.steps.split import split_corpus

    chosen = policy or ("emobox" if emobox is not None else "protocol")
    result = split_corpus(workspace_at(workspace), corpus, policy=chosen, emobox=emobox, seed=seed)
    made, facts = result.split, result.facts
    words = ["run", "--corpus", corpus, "--model", "acoustic-baseline"]
    if made.split_id != "protocol":
        words += ["--split", made.split_id]
    command = next_command(*words, workspace=workspace)
    if as_json:
        facts = {"split_id": made.split_id, "policy": made.policy, "source": made.source, **facts}
        emit({**facts, "next": command})
        return
    say(f"{result.card.name}: split {made.split_id} ({made.policy}, {made.source}, seed {made.seed})")
    if facts["why"]:
        say(f"  why: {facts['why']}")
    partitions = list(dict.fromkeys(name for sizes in facts["sizes"].values() for name in sizes))
    rows = [[fold, *(str(sizes.get(name, 0)) for name in partitions)] for fold, sizes in facts["sizes"].items()]
    print_table(console(), table(["fold", *partitions], rows, numbers_from=1))
    say(f"  speaker overlap: {facts['overlap']}")
    for note in facts["notes"]:
        say(f"  note: {note}")
    for path in result.written:
        say(f"  wrote {shown_path(path)}")
    say(f"Next: {command}")
