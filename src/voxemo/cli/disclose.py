"""`voxemo disclose`: the checklist of how a system was tested, of a run or of a form that somebody filled in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxemo.cli.common import JsonOption, emit, say, say_text, shown_path

if TYPE_CHECKING:
    from voxemo.core.disclosure import Disclosure


def disclose(
    place: Annotated[
        Path, typer.Argument(help="A filled-in disclosure (.toml, .json), or a run folder.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option("--out", help="File for the checklist in Markdown.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the checklist of how a system was tested, from a run or from a form that you filled in without one.

    Exits with 1 if a point is missing or two contradict each other. `voxemo new disclosure` writes the empty form.
    """
    from voxemo.core.disclosure import contradictions, missing_points
    from voxemo.reports.disclosure import disclosure_markdown
    from voxemo.store.files import write_text

    document = read(place)
    missing, wrong = missing_points(document), contradictions(document)
    text = disclosure_markdown(document)
    if out is not None:
        write_text(out, text)
    if as_json:
        emit(
            {"complete": not missing and not wrong, "missing": missing, "contradictions": wrong}
            | {"disclosure": document.model_dump(mode="json", exclude_none=True), "written": [out] if out else []}
        )
    else:
        if out is None:
            say_text(text)
        for line in verdict(missing, wrong):
            say(line)
        if out is not None:
            say(f"wrote {shown_path(out)}")
    raise typer.Exit(1 if missing or wrong else 0)


def read(place: Path) -> "Disclosure":
    """The disclosure of a run folder, or the one that a file holds.

    Raises:
        CardError: the file is no disclosure.
        RunError: the folder is no run.
    """
    from voxemo.catalog import lookup
    from voxemo.core.disclosure import Disclosure
    from voxemo.reports.disclosure import run_disclosure

    return run_disclosure(place) if place.is_dir() else lookup.read_document(place, Disclosure)


def verdict(missing: list[str], wrong: list[str]) -> list[str]:
    """What is missing and what contradicts itself, in lines."""
    if not missing and not wrong:
        return ["Complete: every point is filled in, and none contradicts another."]
    lines = [f"CONTRADICTION: {text}" for text in wrong]
    return lines + ([f"MISSING ({len(missing)}): {', '.join(missing)}"] if missing else [])
