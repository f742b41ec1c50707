"""`voxemo compare`: are runs comparable, how far apart are they, and what can such a test show."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxemo.cli.common import (
    JsonOption,
    WorkspaceOption,
    console,
    emit,
    print_table,
    say,
    shown_path,
    table,
    workspace_at,
)
from voxemo.core.escape import for_csv

if TYPE_CHECKING:
    from voxemo.steps.compare import CompareResult, Comparison, MeanDifference, PairFacts, RankResult

SCOPE = (
    "Speakers of these test parts are resampled: the means say how other speakers of these corpora would be answered, "
    "and nothing about other corpora."
)
DETECTS = (
    "finds: the smallest true difference that such a test finds in 80 % of the cases, at 5 % two-sided; n: speakers."
)
FEW = (
    "utt.: fewer than five speakers are known, and utterances are resampled in their place. Such p-values are too "
    "small by far: speakers differ, and nothing here says how much."
)


def compare(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Two run folders to compare, or more to rank.", show_default=False, metavar="[RUN]..."),
    ] = None,
    side_a: Annotated[
        list[Path] | None,
        typer.Option("--a", help="A run of the first system; once for each corpus.", show_default=False),
    ] = None,
    side_b: Annotated[
        list[Path] | None,
        typer.Option("--b", help="A run of the second; the difference is first minus second.", show_default=False),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="A hard or soft metric; may be repeated. [default: unweighted_accuracy]"),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="Prompt variant or ensemble; may be repeated. Default: all shared."),
    ] = None,
    resamples: Annotated[int, typer.Option("--resamples", min=2, help="Bootstrap resamples.")] = 1000,
    force: Annotated[bool, typer.Option("--force", help="Compare what is not comparable.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the table too: a .md or .csv file.")] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Are parsed runs comparable, how far apart are they, and what can a test of this size show?

    `compare A B`, or `compare --a A1 --a A2 --b B1 --b B2` over several corpora: paired differences with intervals,
    p-values corrected for being many (Holm), and their mean. `compare A B C...`: ranks with intervals.
    """
    from voxemo.steps.compare import compare_sets, rank_runs

    given, names = list(runs or ()), tuple(metric or ("unweighted_accuracy",))
    _check_arguments(given, side_a, side_b, out)
    at = workspace_at(workspace)
    chosen: dict[str, Any] = {"metric_names": names, "systems": prompt, "resamples": resamples, "force": force}
    if len(given) > 2:
        ranked = rank_runs(at, given, **chosen)
        _finish(ranked, rank_rows(ranked), RANK_HEADERS, f"Ranks by {', '.join(names)}", out, as_json)
        return
    left, right = (side_a or [], side_b or []) if side_a else (given[:1], given[1:])
    compared = compare_sets(at, left, right, **chosen)
    _finish(compared, difference_rows(compared), HEADERS, f"A minus B: {', '.join(names)}", out, as_json)


def _check_arguments(
    runs: Sequence[Path], side_a: list[Path] | None, side_b: list[Path] | None, out: Path | None
) -> None:
    if bool(side_a) != bool(side_b) or bool(side_a) == bool(runs) or len(runs) == 1:
        raise typer.BadParameter("give two or more run folders, or the runs of both sides as --a RUN --b RUN")
    if out is not None and out.suffix not in (".md", ".csv"):
        raise typer.BadParameter(f"{out.name!r} is no .md or .csv file")


def _finish(
    result: "CompareResult | RankResult",
    rows: Sequence[Sequence[str]],
    headers: Sequence[str],
    title: str,
    out: Path | None,
    as_json: bool,
) -> None:
    if out is not None:
        from voxemo.store.files import write_text

        write_text(out, _written(headers, rows, markdown=out.suffix == ".md"))
    if as_json:
        emit(result)
        return
    for line in fact_lines(result.pairs):
        say(line)
    print_table(console(), table(headers, rows, title=f"{title}, pooled over folds", numbers_from=2))
    say(SCOPE)
    if headers is HEADERS:
        say(DETECTS)
        if any("utt." in row[-1] for row in rows):
            say(FEW)
    for line in result.left_out:
        say(f"left out: {line}")
    if out is not None:
        say(f"wrote {shown_path(out)}")


def _written(headers: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    if markdown:
        from voxemo.reports.tables import markdown_table

        return markdown_table(headers, rows, n_text=2)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([cell if _NUMBER.fullmatch(cell) else for_csv(cell) for cell in row] for row in (headers, *rows))
    return text.getvalue()


_NUMBER = re.compile(r"-?[0-9.]+")


def fact_lines(pairs: "Iterable[PairFacts]") -> list[str]:
    """What differs between the runs and what that means, in a line each; harmless fields by their names alone."""
    from voxemo.steps.comparable import shown_beside

    lines = []
    for pair in pairs:
        lines += [f"A: {pair.run_a}", f"B: {pair.run_b}"]
        for one in pair.differences:
            if one.weight != "harmless":
                a, b = shown_beside(one.a, one.b)
                lines.append(f"  {one.weight}: {one.field}: {a} | {b}")
                lines.append(f"    {one.why}")
        harmless = ", ".join(one.field for one in pair.differences if one.weight == "harmless")
        lines.append(f"  harmless: {harmless or 'nothing'}")
    return lines


HEADERS = ("test part", "prompt", "A", "B", "A - B", "95 % interval", "p", "Holm", "finds", "n")


def difference_rows(result: "CompareResult") -> list[list[str]]:
    """Rows of the table of differences, means last."""
    several = len({one.metric for one in result.comparisons}) > 1
    places: list[tuple[str, Comparison | MeanDifference]] = [
        *((_place(one.corpus_id, one.partition), one) for one in result.comparisons),
        *((f"mean of {one.n_parts}", one) for one in result.means),
    ]
    return [_difference_row(place, one, several) for place, one in places]


def _place(corpus_id: str, partition: str) -> str:
    """A test part; most corpora have one, which needs no name."""
    return corpus_id if partition == "test" else f"{corpus_id} {partition}"


def _difference_row(place: str, one: "Comparison | MeanDifference", several: bool) -> list[str]:
    found, factor = one.difference, _factor(one.metric)
    interval = "-"
    if found.ci_low is not None and found.ci_high is not None:
        interval = f"[{_number(found.ci_low, factor)}, {_number(found.ci_high, factor)}]"
    units = "-" if found.ci_unit is None else f"{found.n_units}{_UNITS.get(found.ci_unit, ' mixed')}"
    return [
        place,
        _system(one.system_id, one.metric if several else None),
        *(_number(value, factor) for value in (found.value_a, found.value_b, found.value)),
        interval,
        _p(found.p),
        _p(one.p_holm),
        _number(one.detectable, factor),
        units,
    ]


_UNITS = {"speaker": "", "utterance": " utt.", "utterance, independent": " utt., unpaired"}


def _system(system_id: str, metric: str | None) -> str:
    from voxemo.reports.scoreboard import TITLES, prompt_title

    title = prompt_title(system_id)
    return title if metric is None else f"{TITLES.get(metric, metric)}, {title}"


def _factor(metric: str) -> int:
    """Percent where the scoreboard has percent."""
    from voxemo.reports.scoreboard import PERCENT

    return 100 if metric in PERCENT else 1


def _number(value: float | None, factor: int) -> str:
    return "-" if value is None else f"{factor * value:.1f}" if factor == 100 else f"{value:.3f}"


def _p(value: float | None) -> str:
    return "-" if value is None else "<.001" if value < 0.001 else f"{value:.3f}".replace("0.", ".", 1)


RANK_HEADERS = ("test part", "prompt", "rank", "95 % ranks", "score", "95 % interval", "system")


def rank_rows(result: "RankResult") -> list[list[str]]:
    """Rows of the table of ranks, from the best in each place."""
    several = len({one.metric for one in result.ranked}) > 1
    rows = []
    for one in result.ranked:
        factor = _factor(one.metric)
        interval = "-"
        if one.ci_low is not None and one.ci_high is not None:
            interval = f"[{_number(one.ci_low, factor)}, {_number(one.ci_high, factor)}]"
        rows.append(
            [
                one.place,
                _system(one.system_id, one.metric if several else None),
                str(one.rank),
                f"{one.rank_low} to {one.rank_high}",
                _number(one.value, factor),
                interval,
                one.name,
            ]
        )
    return rows
