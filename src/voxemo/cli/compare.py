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
    from voxemo.scoring.evaluate import Difference
    from voxemo.steps.comparable import PairFacts
    from voxemo.steps.compare import CompareResult, Comparison, MeanDifference
    from voxemo.steps.paired_folds import Shared
    from voxemo.steps.rank import RankedRun, RankResult

SCOPE = (
    "Speakers of these test parts are resampled: the means say how other speakers of these corpora would be answered, "
    "and nothing about other corpora."
)
_NUMBER = re.compile(r"-?[0-9.]+")
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
    p-values corrected for being many (Holm), and their mean. `compare A B C...`: ranks with intervals, and tests of
    every two.
    """
    from voxemo.steps.compare import compare_sets
    from voxemo.steps.rank import rank_runs

    given, names = list(runs or ()), tuple(metric or ("unweighted_accuracy",))
    _check_arguments(given, side_a, side_b, out)
    at = workspace_at(workspace)
    chosen: dict[str, Any] = {"metric_names": names, "systems": prompt, "resamples": resamples, "force": force}
    if len(given) > 2:
        ranked = rank_runs(at, given, **chosen)
        _write(out, (*RANK_HEADERS, *RANK_UTTERANCE_HEADERS), rank_rows(ranked), rank_utterance_rows(ranked))
        _show(ranked, rank_rows(ranked), RANK_HEADERS, f"Ranks by {', '.join(names)}", out, as_json)
        return
    left, right = (side_a or [], side_b or []) if side_a else (given[:1], given[1:])
    compared = compare_sets(at, left, right, **chosen)
    _write(out, (*HEADERS, *UTTERANCE_HEADERS), difference_rows(compared), utterance_rows(compared))
    _show(compared, difference_rows(compared), HEADERS, f"A minus B: {', '.join(names)}", out, as_json)


def _check_arguments(
    runs: Sequence[Path], side_a: list[Path] | None, side_b: list[Path] | None, out: Path | None
) -> None:
    if bool(side_a) != bool(side_b) or bool(side_a) == bool(runs) or len(runs) == 1:
        raise typer.BadParameter("give two or more run folders, or the runs of both sides as --a RUN --b RUN")
    if out is not None and out.suffix not in (".md", ".csv"):
        raise typer.BadParameter(f"{out.name!r} is no .md or .csv file")


def _write(
    out: Path | None, headers: Sequence[str], rows: Sequence[Sequence[str]], counted: Sequence[Sequence[str]]
) -> None:
    if out is None:
        return
    from voxemo.reports.tables import markdown_table
    from voxemo.store.files import write_text

    whole = [[*row, *more] for row, more in zip(rows, counted, strict=True)]
    if out.suffix == ".md":
        write_text(out, markdown_table(headers, whole, n_text=2))
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([cell if _NUMBER.fullmatch(cell) else for_csv(cell) for cell in row] for row in (headers, *whole))
    write_text(out, text.getvalue())


def _show(
    result: "CompareResult | RankResult",
    rows: Sequence[Sequence[str]],
    headers: Sequence[str],
    title: str,
    out: Path | None,
    as_json: bool,
) -> None:
    if as_json:
        emit(result)
        return
    for line in fact_lines(result.pairs):
        say(line)
    print_table(console(), table(headers, rows, title=f"{title}, pooled over folds", numbers_from=2))
    for line in utterance_lines(result):
        say(line)
    if pairs := pair_rows(result):
        title = f"Told apart as pairs{', over all test parts' if len(places(result)) > 1 else ''}"
        print_table(console(), table(PAIR_HEADERS, pairs, title=title, numbers_from=3))
    say(SCOPE)
    if headers is HEADERS:
        say(DETECTS)
        if any("utt." in row[-1] for row in rows):
            say(FEW)
    for line in result.left_out:
        say(f"left out: {line}")
    if out is not None:
        say(f"wrote {shown_path(out)}")


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


UTTERANCE_HEADERS = ("utterances of both", "of A alone", "of B alone", "those of one alone")
"""Columns of the files beside those of the terminal, which has a line for each test part."""


def utterance_rows(result: "CompareResult") -> list[list[str]]:
    """Which utterances each row of the table of differences is of."""
    every = [one.utterances for one in result.comparisons] + [one.utterances for one in result.means]
    return [[str(one.n_shared), *map(str, one.n_alone), _alone(one)] for one in every]


def _alone(utterances: "Shared") -> str:
    return ("left out" if utterances.left_out else "counted") if any(utterances.n_alone) else "none"


def utterance_lines(result: "CompareResult | RankResult") -> list[str]:
    """Which utterances are compared, in a line for each test part."""
    from voxemo.steps.rank import RankResult

    lines = _ranked_lines(result) if isinstance(result, RankResult) else _paired_lines(result)
    return [*dict.fromkeys(lines)]


def _paired_lines(result: "CompareResult") -> list[str]:
    lines = []
    for one in result.comparisons:
        place, of = _place(one.corpus_id, one.partition), one.utterances
        a, b = of.n_alone
        if of.left_out:
            rest = f"; LEFT OUT, as the other run does not answer them: {a} of A, {b} of B" if any(of.n_alone) else ""
            lines.append(f"{place}: {of.n_shared} utterances are compared{rest}")
        else:
            lines.append(
                f"{place}: the splits differ, so each run counts whole: {of.n_shared} utterances are in both, "
                f"{a} in A alone, {b} in B alone"
            )
    return lines


def _ranked_lines(result: "RankResult") -> list[str]:
    lines = []
    for (place, _, _, _), ranked in _ranked_together(result).items():
        numbers = {one.n_utterances for one in ranked}
        if len(numbers) > 1:
            each = ", ".join(f"{one.n_utterances} of {one.run}" for one in ranked)
            lines.append(f"{place}: the splits differ, so each run counts whole: utterances are {each}")
            continue
        less = ", ".join(f"{one.n_left_out} of {one.run}" for one in ranked if one.n_left_out)
        rest = f"; LEFT OUT, as not all runs answer them: {less}" if less else ""
        lines.append(f"{place}: {numbers.pop()} utterances are compared{rest}")
    return lines


def _ranked_together(result: "RankResult") -> "dict[tuple[str, str, str, str], list[RankedRun]]":
    found: dict[tuple[str, str, str, str], list[RankedRun]] = {}
    for one in result.ranked:
        found.setdefault((one.place, one.system_id, one.form, one.metric), []).append(one)
    return found


def _place(corpus_id: str, partition: str) -> str:
    """A test part; most corpora have one, which needs no name."""
    return corpus_id if partition == "test" else f"{corpus_id} {partition}"


def _difference_row(place: str, one: "Comparison | MeanDifference", several: bool) -> list[str]:
    found, factor = one.difference, _factor(one.metric)
    return [
        place,
        _system(one.system_id, one.metric if several else None),
        *(_number(value, factor) for value in (found.value_a, found.value_b, found.value)),
        _interval(found, factor),
        _p(found.p),
        _p(one.p_holm),
        _number(one.detectable, factor),
        _units(found),
    ]


def _interval(found: "Difference | RankedRun", factor: int) -> str:
    if found.ci_low is None or found.ci_high is None:
        return "-"
    return f"[{_number(found.ci_low, factor)}, {_number(found.ci_high, factor)}]"


def _units(found: "Difference") -> str:
    return "-" if found.ci_unit is None else f"{found.n_units}{_UNITS.get(found.ci_unit, ' mixed')}"


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
PAIR_HEADERS = ("prompt", "A", "B", "A - B", "95 % interval", "p", "Holm", "n")


def pair_rows(result: "CompareResult | RankResult") -> list[list[str]]:
    """Rows of the table of ranked systems two by two; none for differences of two systems."""
    from voxemo.steps.rank import RankResult

    if not isinstance(result, RankResult):
        return []
    several = len({one.metric for one in result.told_apart}) > 1
    rows = []
    for one in result.told_apart:
        found, factor = one.difference, _factor(one.metric)
        system = _system(one.system_id, one.metric if several else None)
        told = (_number(found.value, factor), _interval(found, factor), _p(found.p), _p(one.p_holm), _units(found))
        rows.append([system, one.name_a, one.name_b, *told])
    return rows


def places(result: "CompareResult | RankResult") -> set[str]:
    """Test parts that systems are ranked on."""
    from voxemo.steps.rank import RankResult

    return {one.place for one in result.ranked if one.place != "mean"} if isinstance(result, RankResult) else set()


RANK_UTTERANCE_HEADERS = ("utterances", "left out")


def rank_utterance_rows(result: "RankResult") -> list[list[str]]:
    """Of how many utterances each row of the table of ranks is, and how many of its run are left out."""
    return [[str(one.n_utterances), str(one.n_left_out)] for one in result.ranked]


def rank_rows(result: "RankResult") -> list[list[str]]:
    """Rows of the table of ranks, from the best in each place."""
    several = len({one.metric for one in result.ranked}) > 1
    rows = []
    for one in result.ranked:
        factor = _factor(one.metric)
        rows.append(
            [
                one.place,
                _system(one.system_id, one.metric if several else None),
                str(one.rank),
                f"{one.rank_low} to {one.rank_high}",
                _number(one.value, factor),
                _interval(one, factor),
                one.name,
            ]
        )
    return rows
