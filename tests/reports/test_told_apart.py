import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from toy import answered, make, planned
from voxemo.backends.base import Question
from voxemo.core.errors import RunError, UnknownName
from voxemo.core.types import Generation
from voxemo.reports.scoreboard import Board, FinishedRun, boards, read_runs
from voxemo.reports.told_apart import board_systems, told_apart
from voxemo.scoring.table import METRICS
from voxemo.steps.compare import compare_runs
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.score import score_run
from voxemo.store.layout import RunPaths, Workspace

FAST = 50


def knows(question: Question) -> str:
    """Right for all but the angry clips of two voices."""
    _, label, _ = question.utterance_id.split("_")
    wrong = label == "angry" and question.utterance_id.startswith(("toy/t00", "toy/t01"))
    return f"FINAL LABEL: {'Sad' if wrong else label.capitalize()}"


@pytest.fixture(scope="module")
def world(toy_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("apart") / "workspace"
    shutil.copytree(toy_workspace.root, folder)
    return Workspace(folder)


@pytest.fixture(scope="module")
def runs(world: Workspace) -> list[FinishedRun]:
    """A run that is right two times in three under five prompts, and one that is nearly always right under one."""
    weak = answered(world, forms=("hard",))
    strong = planned(world, forms=("hard",), variants=("direct",), generation=Generation(max_new_tokens=8))
    infer_run(world, strong, make_backend=make(knows))
    parse_run(strong)
    for run in (weak, strong):
        score_run(world, run, resamples=FAST)
    return read_runs([weak, strong])


@pytest.fixture(scope="module")
def board(runs: list[FinishedRun]) -> Board:
    return boards(runs)[0]


def test_what_is_far_below_the_best_is_told_apart_from_it(board: Board, runs: list[FinishedRun]) -> None:
    systems = board_systems(board, runs)
    apart = told_apart(systems)

    assert systems.best == (runs[1].manifest.run_id, "direct")
    assert set(apart) == {(runs[0].manifest.run_id, entry.system) for entry in board.entries if entry.kind == "run"} - {
        systems.best
    }
    for (_, system), one in apart.items():
        assert one.against == systems.best
        # The vote of five is nearly as good.
        assert one.told_apart == (system != "ensemble")
        assert one.difference is not None
        assert one.difference < (0 if system == "ensemble" else -0.1)


def test_prompts_that_are_equally_good_are_not_told_apart(board: Board, runs: list[FinishedRun]) -> None:
    direct = (runs[0].manifest.run_id, "direct")
    apart = told_apart(board_systems(board, runs), against=direct)

    alike = [one for (run_id, system), one in apart.items() if run_id == direct[0] and system != "ensemble"]
    assert len(alike) == 4
    assert not any(one.told_apart for one in alike)
    strong = apart[runs[1].manifest.run_id, "direct"]
    assert strong.told_apart
    assert strong.difference is not None
    assert strong.difference > 0


def test_differences_are_those_of_the_two_runs_compared_by_themselves(
    board: Board, runs: list[FinishedRun], world: Workspace
) -> None:
    one = told_apart(board_systems(board, runs), against=(runs[1].manifest.run_id, "direct"))
    pair = compare_runs(world, runs[0].path, runs[1].path, systems=["direct"], resamples=FAST).comparisons[0].difference
    same = one[runs[0].manifest.run_id, "direct"]

    assert same.difference == pytest.approx(pair.value)
    assert (same.ci_low, same.ci_high) == pytest.approx((pair.ci_low, pair.ci_high), abs=0.03)


@pytest.mark.parametrize("metric", [name for name, one in METRICS.items() if one.kind == "confusion"])
def test_systems_are_compared_in_any_hard_metric_with_the_pooled_values_of_the_scores(
    metric: str, board: Board, runs: list[FinishedRun]
) -> None:
    systems = board_systems(board, runs, metric=metric)
    scores = pl.concat([run.scores for run in runs]).filter(
        metric=metric, fold_id="pooled", reading="strict", failure_policy="wrong"
    )

    for (run_id, system), value in zip(systems.keys, systems.scores.values, strict=True):
        assert value == pytest.approx(scores.filter(run_id=run_id, system_id=system)["value"].item())


def test_boards_that_no_counts_are_kept_for_have_nothing_to_compare(board: Board, runs: list[FinishedRun]) -> None:
    for other in (
        replace(board, vote_rule="all"),
        replace(board, reading="lenient"),
        replace(board, failure_policy="excluded"),
        replace(board, entries=tuple(replace(entry, partial=True) for entry in board.entries)),
    ):
        systems = board_systems(other, runs)
        assert (systems.keys, systems.best, told_apart(systems)) == ((), None, {})


def test_a_system_that_is_not_on_the_board_is_named(board: Board, runs: list[FinishedRun]) -> None:
    with pytest.raises(UnknownName, match="elsewhere direct"):
        told_apart(board_systems(board, runs), against=("elsewhere", "direct"))


def test_a_metric_that_is_none_of_hard_answers_is_named(board: Board, runs: list[FinishedRun]) -> None:
    with pytest.raises(UnknownName, match="jsd"):
        board_systems(board, runs, metric="jsd")


def test_a_run_that_was_scored_before_counts_were_kept_says_to_score_again(
    board: Board, runs: list[FinishedRun], tmp_path: Path
) -> None:
    older = tmp_path / runs[0].path.name
    shutil.copytree(runs[0].path, older)
    RunPaths(older).unit_counts.unlink()

    with pytest.raises(RunError, match=r"unit_counts\.parquet is missing. Run: voxemo score"):
        board_systems(board, [replace(runs[0], path=older), runs[1]])
