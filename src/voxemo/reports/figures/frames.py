"""From finished runs to what figures are drawn from, in the columns that each of them asks for."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from voxemo.catalog import lookup
from voxemo.reports import analyses
from voxemo.reports.ranking import Ranking
from voxemo.reports.scoreboard import Board, Entry, FinishedRun, prompt_title

SENSITIVITY = {"hard": "macro_f1", "distribution": "soft_macro_f1"}
"""Form of the question to the metric that the paper plots for it."""
_SENSITIVITY_COLUMNS = {
    "model": pl.String,
    "form": pl.String,
    "system_id": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "failure_rate": pl.Float64,
}


def sensitivity_frame(boards: Sequence[Board], failures: pl.DataFrame, runs: Sequence[FinishedRun]) -> pl.DataFrame:
    """Scores and failure rates of the prompts of one corpus and test part, for `prompt_sensitivity`.

    Args:
        boards: those of the corpus and test part: hard labels, and one rule of counting votes at most.
        failures: of ``scoreboard.distribution_failures``: distributions on corpora without votes, which have a failure
            rate and nothing to be scored against.
        runs: the runs of the boards.
    """
    rows: list[dict[str, Any]] = [row for board in boards for row in _board_rows(board)]
    names = {run.manifest.run_id: next(iter(run.manifest.model_cards.values())).model_id for run in runs}
    partitions = {board.partition for board in boards}
    scored = {(row["model"], row["form"]) for row in rows}
    for row in failures.filter(pl.col("partition").is_in(list(partitions))).iter_rows(named=True):
        model = names.get(row["run_id"])
        if model is not None and (model, "distribution") not in scored and row["system_id"] in lookup.prompt_names():
            rows.append({"model": model, "form": "distribution", **row, "metric": SENSITIVITY["distribution"]})
    order = {name: index for index, name in enumerate(lookup.prompt_names())}
    rows.sort(key=lambda row: (row["form"] != "hard", order[row["system_id"]]))
    chosen = [{name: row.get(name) for name in _SENSITIVITY_COLUMNS} for row in rows]
    return pl.DataFrame(chosen, schema=_SENSITIVITY_COLUMNS, orient="row")


def _board_rows(board: Board) -> Iterator[dict[str, Any]]:
    form = "hard" if board.vote_rule is None else "distribution"
    for entry in board.entries:
        if entry.kind == "run" and entry.system in lookup.prompt_names():
            cell = entry.cells.get(SENSITIVITY[form])
            yield {
                "model": entry_title(entry),
                "form": form,
                "system_id": entry.system,
                "metric": SENSITIVITY[form],
                **({} if cell is None else asdict(cell)),
                "failure_rate": entry.failure_rate,
            }


def mean_sensitivity_frame(scores: pl.DataFrame) -> pl.DataFrame:
    """Means over evaluation splits of each prompt, for `prompt_sensitivity`: the paper's Figure 1 itself.

    Args:
        scores: of ``analyses.measured``.
    """
    means = analyses.prompt_sensitivity(scores)
    metric = pl.col("form").replace_strict(SENSITIVITY, return_dtype=pl.String)
    nothing = pl.lit(None, dtype=pl.Float64)
    columns: dict[str, Any] = {
        "system_id": "setting",
        "value": "mean",
        "metric": metric,
        "ci_low": nothing,
        "ci_high": nothing,
    }
    return means.select("model", "form", "failure_rate", **columns).select(_SENSITIVITY_COLUMNS)


def effect_frame(scores: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """What each prompt gains over the direct one, by setting and by language, for `prompt_effect`.

    Args:
        scores: of ``analyses.measured``.
        facts: of ``analyses.corpora``.
    """
    parts = [
        analyses.prompt_effect(scores, facts, by=by)
        .filter(pl.col("group") != "all", pl.col("setting") != analyses.DIRECT)
        .select(
            "model",
            pl.col("group").str.replace_all("_", " "),
            by=pl.lit(by),
            system_id="setting",
            effect="gain",
            n_corpora="n_splits",
        )
        for by in ("setting", "language")
    ]
    return pl.concat(parts).sort("model", maintain_order=True)


def entry_title(entry: Entry) -> str:
    """A model of a board, with how it was trained where it was, and whether its run is partial."""
    name = entry.model if entry.training == "zero-shot" else f"{entry.model}, {entry.training}"
    return f"{name} (PARTIAL)" if entry.partial else name


def rank_frame(ranking: Ranking) -> pl.DataFrame:
    """The ranked systems of a ranking, for `ranks`."""
    rows = [
        {
            "system": f"{one.model}, {one.training}, {prompt_title(one.system or '')}",
            **{name: getattr(one, name) for name in ("rank", "rank_low", "rank_high", "mean", "ci_low", "ci_high")},
        }
        for one in ranking.systems
        if one.rank is not None
    ]
    columns = {"system": pl.String, "rank": pl.Int64, "rank_low": pl.Int64, "rank_high": pl.Int64}
    numbers = {"mean": pl.Float64, "ci_low": pl.Float64, "ci_high": pl.Float64}
    return pl.DataFrame(rows, schema={**columns, **numbers}, orient="row")
