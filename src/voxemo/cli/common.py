"""What every verb shares: options, output for people and for programs, progress, and the way errors end."""

import dataclasses
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from voxemo.core.escape import for_json, for_terminal, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from voxemo.store.layout import Workspace

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        help="Folder of prepared corpora, splits and trained models. Default: VOXEMO_HOME or the user data folder.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
JobsOption = Annotated[int | None, typer.Option("--jobs", min=1, help="Processes that read audio. Default: all cores.")]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", help="Folder as the provider ships it; not needed for demo.", show_default=False),
]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder that run folders go into.")]
RunArgument = Annotated[Path, typer.Argument(help="A run folder.", show_default=False)]
DeviceOption = Annotated[str | None, typer.Option("--device", help="Torch device, such as cpu or cuda:0.")]
BatchOption = Annotated[
    int | None,
    typer.Option("--batch-size", min=1, help="Questions answered together. [default: what fits into memory]"),
]
RemoteCodeOption = Annotated[
    bool, typer.Option("--trust-remote-code", help="Let a checkpoint run its own code. Off unless given.")
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option("--base-url", help="Address of a served model, such as http://127.0.0.1:8000/v1, or VOXEMO_ENDPOINT."),
]
ConcurrencyOption = Annotated[
    int | None, typer.Option("--concurrency", min=1, help="Questions that a served model is asked at a time.")
]
PriceOption = Annotated[
    str | None,
    typer.Option("--price", help="Prices of a million prompt, audio and answer tokens, such as 2.5,32,10."),
]

DEFAULT_RUNS = Path("runs")
WIDE = 200


def workspace_at(folder: Path | None) -> "Workspace":
    """The workspace that a verb works in."""
    from voxemo.store.layout import Workspace

    return Workspace(folder) if folder is not None else Workspace.default()


def console(width: int | None = None) -> "Console":
    """Where tables and text go: standard output, wide enough for most tables where that is no terminal."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            _reader_is_gone()

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE
    return Output(highlight=False, width=width or wide)


def print_table(screen: "Console", made: "Table") -> None:
    """Print a table in full: a line longer than the terminal is better than a number cut short."""
    from rich.measure import Measurement

    needed = Measurement.get(screen, screen.options.update(width=10 * WIDE), made).maximum
    console(max(needed, screen.width)).print(made)


def say(text: str) -> None:
    """Print one line to standard output, taken literally; what would act on a terminal is shown as its code.

    A line break in it becomes a blank: no name from a file passes for a line of ours. `say_text` prints several lines.
    """
    _print(visible(text))


def say_text(text: str) -> None:
    """Print a text of several lines to standard output, as `say` does one."""
    _print(for_terminal(text))


def _print(text: str) -> None:
    try:
        typer.echo(text)
    except BrokenPipeError:
        _reader_is_gone()


def _reader_is_gone() -> NoReturn:
    # `head` has seen enough; that is no error. Python would complain once more while flushing at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(0)


def emit(value: Any) -> None:
    """Print a result for programs: one JSON object on standard output."""
    _print(for_json(_plain(value)))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def shown_path(path: Path) -> str:
    """A path as people typed it: relative to the current folder where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def root_words(root: Path | None) -> tuple[str | Path, ...]:
    """``--root`` as it was given, for ``next_command``; nothing where it was not."""
    return () if root is None else ("--root", root)


def next_command(*words: str | Path, workspace: Path | None) -> str:
    """A command for the user to run, complete and quoted for the shell.

    Args:
        words: the verb and what it takes.
        workspace: as this command was given it; None where it was not.

    >>> next_command("split", "urdu", workspace=Path("my work"))
    "voxemo split urdu --workspace 'my work'"
    """
    given = () if workspace is None else ("--workspace", workspace)
    return shlex.join(["voxemo", *map(str, (*words, *given))])


def command_line() -> str:
    """This command for the manifest, with paths reduced to their last part: no folder of a machine is kept."""
    words = []
    for word in sys.argv[1:]:
        flag, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        words.append(f"{flag}={_last_part(value)}" if equals else flag or _last_part(value))
    return shlex.join(["voxemo", *words])


def _last_part(word: str) -> str:
    index, _, of = word.partition("/")
    is_shard = index.isdigit() and of.isdigit()
    return word if is_shard else PurePath(word.replace("\\", "/")).name or word


@contextmanager
def progress(title: str, *, unit: str, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error with rate and remaining time; yields the function to call with (done, total).

    It appears with the first call that tells of anything to do, and only on a terminal: a log is not to fill with bars.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: "Task") -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.1f} {unit}/s" if speed else f"- {unit}/s")

    screen = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=screen,
    )
    task = bar.add_task(visible(title), total=None)

    def update(done: int, total: int) -> None:
        if total and not quiet and screen.is_terminal:
            bar.start()
            bar.update(task, completed=done, total=total)

    try:
        yield update
    finally:
        if bar.live.is_started:
            bar.stop()


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``3/16``.

    >>> parse_shard("3/16")
    (3, 16)
    """
    index, slash, of = text.partition("/")
    if not (slash and index.isdigit() and of.isdigit()):
        raise typer.BadParameter(f"{text!r} is no shard; expected I/N, such as 3/16")
    return int(index), int(of)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", numbers_from: int = 99) -> "Table":
    """A rich table; columns from ``numbers_from`` on are aligned to the right."""
    from rich.table import Table

    made = Table(title=literal(title) if title else None, title_justify="left", show_edge=False, pad_edge=False)
    for index, header in enumerate(headers):
        made.add_column(literal(header), justify="right" if index >= numbers_from else "left", no_wrap=True)
    for row in rows:
        made.add_row(*map(literal, row))
    return made


def literal(text: str, style: str = "") -> "Text":
    """Text for rich, taken literally: no markup, one line, and no code that a terminal would obey."""
    from rich.text import Text

    return Text(visible(text), style=style)
