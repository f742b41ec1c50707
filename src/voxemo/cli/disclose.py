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

    Exits with 1 if a point is missing or two contradict each other; points that say "not known" are counted apart.
    `voxemo new disclosure` writes the empty form.
    """
    from voxemo.core.disclosure import contradictions, missing_points, open_points
    from voxemo.reports.disclosure import disclosure_markdown
    from voxemo.store.files import write_text

    document = read(place)
    missing, unsettled, wrong = missing_points(document), open_points(document), contradictions(document)
    text = disclosure_markdown(document)
    if out is not None:
        write_text(out, text)
    if as_json:
        emit(
            {"complete": not missing and not wrong, "missing": missing, "open": unsettled, "contradictions": wrong}
            | {"disclosure": document.model_dump(mode="json", exclude_none=True), "written": [out] if out else []}
        )
    else:
        if out is None:
            say_text(text)
        for line in verdict(missing, unsettled, wrong):
            say(line)
        if out is not None:
            say(f"wrote {shown_path(out)}")
    raise typer.Exit(1 if missing or wrong else 0)


def read(place: Path) -> "Disclosure":
    """The disclosure of a run folder, or the one that a file holds.

    Raises:
        DisclosureError: the file is no disclosure.
        RunError: the folder is no run.
    """
    from voxemo.reports.disclosure import read_disclosure, run_disclosure

    return run_disclosure(place) if place.is_dir() else read_disclosure(place)


def verdict(missing: list[str], unsettled: list[str], wrong: list[str]) -> list[str]:
    """What is missing, what is said not to be known, and what contradicts itself, in lines."""
    lines = [f"CONTRADICTION: {text}" for text in wrong]
    lines += [f"MISSING ({len(missing)}): {', '.join(missing)}"] if missing else []
    if not lines:
        lines = ["Complete: every point is filled in, and none contradicts another."]
    if unsettled:
        lines.append(
            f"OPEN ({len(unsettled)}), said to be not known, not pinned or not checked: {', '.join(unsettled)}"
        )
    return lines
