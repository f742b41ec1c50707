"""The command line: one verb per step of the straight line, and the way every error ends.

Exit codes: 0 done, 1 something that the user can mend, 2 a bug in voxemo.
"""

import sys
import traceback

import typer
from typer.exceptions import Abort, TyperException

from voxemo import __version__
from voxemo.cli import (
    bundle,
    catalog,
    check,
    compare,
    demo,
    disclose,
    doctor,
    download,
    infer,
    new,
    parse,
    plan,
    prepare,
    report,
    score,
    split,
    train,
    transfer,
    view,
)
from voxemo.cli import (
    run as run_verb,
)
from voxemo.cli.common import emit
from voxemo.core.errors import VoxEmoError
from voxemo.core.escape import for_terminal

app = typer.Typer(
    name="voxemo",
    help="Benchmark speech emotion recognition with speech LLMs: from a corpus folder to a scoreboard.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


STOPPED = "Interrupted. Every answer written is kept; the same command goes on where it stopped."
INTERRUPTED = 130
"""What typer gives back for a Ctrl-C."""


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"voxemo {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


app.command("list")(catalog.list_names)
app.command("show")(catalog.show)
app.command("check")(check.check)
app.command("download")(download.download)
app.command("new")(new.new)
app.command("prepare")(prepare.prepare)
app.command("split")(split.split)
app.command("plan")(plan.plan)
app.command("infer")(infer.infer)
app.command("parse")(parse.parse)
app.command("score")(score.score)
app.command("report")(report.report)
app.command("run")(run_verb.run)
app.command("transfer")(transfer.transfer)
app.command("compare")(compare.compare)
app.command("bundle")(bundle.bundle)
app.command("verify")(bundle.verify)
app.command("disclose")(disclose.disclose)
app.command("view")(view.view)
app.command("demo")(demo.demo)
app.add_typer(train.app, name="train")
app.add_typer(doctor.app, name="doctor")


def run() -> None:
    """Entry point of the ``voxemo`` command."""
    as_json = "--json" in sys.argv
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        # Outside standalone mode a verb's typer.Exit comes back as a value.
        code = app(prog_name="voxemo", standalone_mode=False)
    except (Abort, KeyboardInterrupt):
        _end(STOPPED, "Abort", as_json)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        hint = f" Try: {context.command_path} --help" if context is not None else ""
        _end(f"{error.format_message()}{hint}", type(error).__name__, as_json)
    except VoxEmoError as error:
        _end(str(error), type(error).__name__, as_json)
    except Exception as error:
        # Its message may quote a file.
        sys.stderr.write(for_terminal(traceback.format_exc()))
        _end(
            f"This is a bug in voxemo: {error!r}. Please report it with the lines above.",
            type(error).__name__,
            as_json,
            2,
        )
    else:
        if code == INTERRUPTED:
            _end(STOPPED, "Abort", as_json)
        raise SystemExit(code if isinstance(code, int) else 0)


def _end(message: str, kind: str, as_json: bool, code: int = 1) -> None:
    if as_json:
        emit({"error": kind, "message": message})
    # Indented, so that no name that the message quotes passes for a line of its own.
    told = for_terminal(message).replace("\n", "\n  ")
    sys.stderr.write(f"{kind}: {told}\n" if kind != "Abort" else f"{told}\n")
    raise SystemExit(code)
