"""`voxemo report`: finished runs as a scoreboard."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxemo.cli.common import JsonOption, console, emit, literal, print_table, progress, say, shown_path, table

if TYPE_CHECKING:
    from polars import DataFrame
    from rich.table import Table

    from voxemo.reports.scoreboard import Board, FinishedRun
    from voxemo.reports.site.build import Site


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.", show_default=False)],
    reading: Annotated[str, typer.Option("--reading", help="strict (the benchmark's) or lenient.")] = "strict",
    failure_policy: Annotated[
        str | None,
        typer.Option("--failure-policy", help="wrong, excluded or uniform. Default: wrong for hard, uniform for soft."),
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Show partial runs too; they are marked.")] = False,
    published: Annotated[bool, typer.Option(help="Show published figures of the same corpus.")] = True,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for scoreboard.md and scoreboard.csv.")] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Folder for a web site of the runs; needs no network.", show_default=False),
    ] = None,
    redact: Annotated[
        bool,
        typer.Option(
            "--redact", help="Leave out of the web site what models wrote, even where the corpus may be passed on."
        ),
    ] = False,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Folder for figures as SVG, PNG and PDF.", show_default=False)
    ] = None,
    latex: Annotated[
        Path | None, typer.Option("--latex", help="Folder for the paper's tables in LaTeX.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show scored runs beside reference rows and published figures; write Markdown, CSV and each run's disclosure.

    With --html, write a web site instead of printing tables; with --out, --figures or --latex too, do both. What models
    wrote is left out of it where the corpus may not be passed on.
    """
    from voxemo.core.errors import UnknownName
    from voxemo.core.types import FAILURE_POLICIES

    if reading not in ("strict", "lenient"):
        raise UnknownName("reading", reading, ("strict", "lenient"))
    if failure_policy is not None and failure_policy not in FAILURE_POLICIES:
        raise UnknownName("failure policy", failure_policy, FAILURE_POLICIES)
    # The shell hands over what `runs/*` matches; files among it, such as an earlier scoreboard, are no runs.
    folders = [path for path in runs if path.is_dir() or not path.exists()]
    asked: dict[str, Any] = {"reading": reading, "policy": failure_policy, "partial": partial, "published": published}
    files: dict[str, Any] = {"out": out, "figures": figures, "latex": latex}
    site = None if html is None else write_site(folders, html, **asked, redact=redact, quiet=as_json)
    if site is None or any(files.values()):
        show_report(folders, **asked, **files, as_json=as_json, beside=None if site is None else {"site": site})
    elif as_json:
        emit(site)
    if site is not None and not as_json:
        for problem in site.skipped:
            say(f"SKIPPED: {problem}")
        for why in site.withheld:
            say(f"failed answers are counted and not shown: {why}")
        say(f"{site.n_pages} pages of {site.n_runs} runs in {shown_path(site.folder)}")
        say(f"Open in a browser: {site.index.resolve().as_uri()}")


def write_site(
    folders: Sequence[Path],
    html: Path,
    *,
    reading: str = "strict",
    policy: str | None = None,
    partial: bool = False,
    published: bool = True,
    redact: bool = False,
    quiet: bool = False,
) -> "Site":
    """Write the web site of run folders, with a progress bar."""
    from voxemo.reports.site.build import SiteOptions, build_site

    options = SiteOptions(reading=reading, policy=policy, partial=partial, published=published, redact=redact)
    with progress("writing pages", unit="runs", quiet=quiet) as on_progress:
        return build_site(folders, html, options, on_progress=on_progress)


def show_report(
    folders: Sequence[Path],
    *,
    reading: str = "strict",
    policy: str | None = None,
    partial: bool = False,
    published: bool = True,
    out: Path | None = None,
    figures: Path | None = None,
    latex: Path | None = None,
    as_json: bool = False,
    beside: dict[str, Any] | None = None,
) -> None:
    """Build the scoreboard of run folders, write its files and print it; ``beside`` goes into the JSON object too."""
    from voxemo.core.errors import RunError
    from voxemo.reports import scoreboard
    from voxemo.reports.classes import write_classes
    from voxemo.reports.disclosure import write_disclosure
    from voxemo.reports.tables import csv_text
    from voxemo.store.files import write_text

    skipped: list[str] = []
    finished = scoreboard.read_runs(folders, allow_partial=partial, on_skip=skipped.append)
    made = scoreboard.boards(finished, reading=reading, policy=policy, with_published=published)
    conventions = scoreboard.convention_rows(finished, reading=reading)
    failures = scoreboard.distribution_failures(finished, reading=reading)
    if not made and not failures.height:
        asked = f" under the failure policy {policy!r}" if policy else ""
        raise RunError(
            f"None of the {len(finished)} runs has scores by the {reading} reading{asked}. "
            "`voxemo score RUN` scores a run under all policies."
        )
    tidy = scoreboard.csv_table(made)
    written: list[Path] = []
    if out is not None:
        write_text(out / "scoreboard.md", scoreboard.markdown(made, conventions, failures))
        write_text(out / "scoreboard.csv", csv_text(tidy))
        written += [out / "scoreboard.md", out / "scoreboard.csv"]
    written += _drawn_and_set(finished, figures, latex, published=published, on_skip=skipped.append)
    unwritten: list[str] = []
    for run in finished:
        for write in (write_disclosure, write_classes):
            try:
                written.append(write(run))
            except RunError as error:
                # Somebody else's run folder may be read only; its scores can be shown all the same.
                unwritten.append(str(error))
    if as_json:
        rows = {"rows": tidy.to_dicts(), "distribution_failures": failures.to_dicts()}
        emit({**(beside or {}), **rows, "written": written, "unwritten": unwritten, "skipped": skipped})
        return
    print_boards(made)
    _print_text(scoreboard.CONVENTION_HEADER, scoreboard.convention_text(_failing(conventions)), CONVENTION_TITLE)
    _print_text(scoreboard.FAILURE_HEADER, scoreboard.failure_text(failures), FAILURE_TITLE)
    for line in written_lines(written):
        say(line)
    for problem in unwritten:
        say(f"not written: {problem}")
    for problem in skipped:
        say(f"SKIPPED: {problem}")


FEW = 4


def written_lines(paths: Sequence[Path]) -> list[str]:
    """What was written: each file, or how many where one folder got more than a few."""
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    lines = []
    for folder, own in folders.items():
        if len(own) > FEW:
            lines.append(f"wrote {len(own)} files in {shown_path(folder)}")
        else:
            lines += [f"wrote {shown_path(path)}" for path in own]
    return lines


def _drawn_and_set(
    finished: "Sequence[FinishedRun]",
    figures: Path | None,
    latex: Path | None,
    *,
    published: bool,
    on_skip: Callable[[str], None],
) -> list[Path]:
    """Write figures and LaTeX tables where they are asked for; they are of the benchmark's reading and conventions."""
    from voxemo.reports import scoreboard

    if figures is None and latex is None:
        return []
    made = scoreboard.boards(finished)
    written: list[Path] = []
    if latex is not None:
        from voxemo.reports.latex import write_tables

        written += write_tables(made, finished, latex, published=published)
    if figures is not None:
        from voxemo.reports.figures.of_runs import write_figures

        written += write_figures(made, finished, figures, on_skip=on_skip)
    return written


CONVENTION_TITLE = "UA % by what a failed answer is worth"
FAILURE_TITLE = "Distribution answers on a corpus without votes: nothing to score them against"


def _failing(conventions: "DataFrame") -> "DataFrame":
    return conventions.filter(conventions["failure_rate"] > 0)


def _print_text(header: Sequence[str], rows: list[list[str]], title: str) -> None:
    if rows:
        screen = console()
        screen.print()
        print_table(screen, table(header, rows, title=title, numbers_from=2))


DROPPED_FIRST = ("MSE", "miF1 %", "TVD", "cos x100", "maF1 %", "top-1 %", "KLD")
"""Columns that a narrow terminal does without, the least telling first; Markdown and CSV have them all."""


def print_boards(made: "Sequence[Board]") -> None:
    """Print boards: runs first, then reference rows, then published figures."""
    from rich.measure import Measurement

    from voxemo.reports.scoreboard import table_rows

    screen = console()
    for board in made:
        screen.print()
        screen.print(literal(board.title, "bold"))
        screen.print(literal(board.split_line, "" if board.speaker_independent else "yellow"))
        header = table_rows(board)[0]
        dropped: list[str] = []
        shown = _board_table(board, dropped)
        for name in DROPPED_FIRST:
            if Measurement.get(screen, screen.options.update(width=1000), shown).maximum <= screen.width:
                break
            dropped.append(name)
            shown = _board_table(board, dropped)
        print_table(screen, shown)
        notes = list(board.run_notes)
        hidden = [name for name in dropped if name in header]
        if hidden:
            notes.append(f"Not shown in this narrow terminal: {', '.join(hidden)}. `--out FOLDER` writes all columns.")
        for note in (*notes, *board.notes):
            screen.print(literal(f"  {note}", "dim"))


def _board_table(board: "Board", dropped: Sequence[str]) -> "Table":
    from rich.table import Table

    from voxemo.reports.scoreboard import table_rows

    header, *rows = table_rows(board)
    kept = [index for index, name in enumerate(header) if name not in dropped]
    made = Table(show_edge=False, pad_edge=False, header_style="bold", padding=0)
    for index in kept:
        made.add_column(header[index], justify="right" if index > 2 else "left", no_wrap=True)
    kind = board.entries[0].kind if board.entries else None
    for entry, row in zip(board.entries, rows, strict=True):
        if entry.kind != kind:
            made.add_section()
        kind = entry.kind
        made.add_row(*(literal(row[index], "" if kind == "run" else "dim") for index in kept))
    return made
