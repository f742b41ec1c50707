import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from toy import answered, make, planned
from voxemo.backends.base import Question
from voxemo.catalog import lookup
from voxemo.core.errors import RunError, UnknownName
from voxemo.core.types import Generation
from voxemo.reports.scoreboard import Board, FinishedRun, boards, read_runs
from voxemo.reports.told_apart import board_systems, told_apart, units_file
from voxemo.scoring.table import METRICS
from voxemo.steps.compare import compare_runs
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.score import score_run
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.tables import UNIT_SUMS, read_table, write_table

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


# --- soft labels -------------------------------------------------------------------------------------------------


def states(question: Question) -> str:
    """As sure as the toy's usual answers are, and always of the label that the clip was spoken as."""
    label = question.utterance_id.split("_")[1].capitalize()
    shares = {name: 0.7 if name == label else 0.1 for name in question.label_set.display}
    return f"EMOTION DISTRIBUTION: {json.dumps(shares)}\nFINAL LABEL: {label}"


@pytest.fixture(scope="module")
def soft_runs(world: Workspace) -> list[FinishedRun]:
    """A run that states a wrong label one time in three, under five prompts, and one that is always right."""
    weak = answered(world)
    strong = planned(world, forms=("distribution",), variants=("direct",), generation=Generation(max_new_tokens=16))
    infer_run(world, strong, make_backend=make(states))
    parse_run(strong)
    for run in (weak, strong):
        score_run(world, run, resamples=FAST)
    return read_runs([weak, strong])


@pytest.fixture(scope="module")
def soft_board(soft_runs: list[FinishedRun]) -> Board:
    (board,) = (board for board in boards(soft_runs) if board.vote_rule is not None)
    return board


def test_on_soft_labels_the_lowest_divergence_is_the_best(soft_board: Board, soft_runs: list[FinishedRun]) -> None:
    systems = board_systems(soft_board, soft_runs)
    of_runs = {
        (str(entry.run_id), entry.system): entry.cells["jsd"].value
        for entry in soft_board.entries
        if entry.kind == "run"
    }

    assert systems.metric == "jsd"
    assert set(systems.keys) == set(of_runs)
    assert len(systems.keys) == 8
    assert systems.best == min(of_runs, key=lambda key: of_runs[key] or 0)
    assert all(one.difference is not None and one.difference > 0 for one in told_apart(systems).values())


def test_on_soft_labels_what_is_far_off_is_told_apart_and_prompts_that_are_equally_good_are_not(
    soft_board: Board, soft_runs: list[FinishedRun]
) -> None:
    weak, strong = (run.manifest.run_id for run in soft_runs)
    apart = told_apart(board_systems(soft_board, soft_runs), against=(weak, "direct"))

    alike = [one for (run_id, name), one in apart.items() if run_id == weak and name in lookup.prompt_names()]
    assert len(alike) == 4
    assert not any(one.told_apart for one in alike)
    better = apart[strong, "direct"]
    assert better.told_apart
    assert better.difference is not None
    assert better.difference < 0


def test_on_soft_labels_systems_have_the_pooled_values_of_the_scores(
    soft_board: Board, soft_runs: list[FinishedRun]
) -> None:
    systems = board_systems(soft_board, soft_runs)
    scores = pl.concat([run.scores for run in soft_runs]).filter(
        metric="jsd", fold_id="pooled", reading="strict", failure_policy="uniform"
    )

    for (run_id, system), value in zip(systems.keys, systems.scores.values, strict=True):
        assert value == pytest.approx(scores.filter(run_id=run_id, system_id=system)["value"].item())


def test_the_order_of_rows_and_the_names_of_speakers_tell_nothing_apart(
    soft_board: Board, soft_runs: list[FinishedRun], tmp_path: Path
) -> None:
    renamed = []
    for run in soft_runs:
        path = tmp_path / run.path.name
        path.mkdir()
        sums = read_table(RunPaths(run.path).unit_sums, UNIT_SUMS)
        other = sums.sample(fraction=1, shuffle=True, seed=1).with_columns(unit="voice " + pl.col("unit"))
        write_table(RunPaths(path).unit_sums, other, UNIT_SUMS)
        renamed.append(replace(run, path=path))

    before, after = (told_apart(board_systems(soft_board, runs)) for runs in (soft_runs, renamed))

    assert list(before) == list(after)
    for one, same in zip(before.values(), after.values(), strict=True):
        numbers = ((each.difference, each.ci_low, each.ci_high, each.p, each.p_holm) for each in (one, same))
        assert next(numbers) == pytest.approx(next(numbers))


def test_soft_boards_that_no_sums_are_kept_for_have_nothing_to_compare(
    soft_board: Board, soft_runs: list[FinishedRun]
) -> None:
    for other in (
        replace(soft_board, reading="lenient"),
        replace(soft_board, failure_policy="excluded"),
        replace(soft_board, entries=tuple(replace(entry, partial=True) for entry in soft_board.entries)),
    ):
        systems = board_systems(other, soft_runs)
        assert (systems.keys, systems.best, told_apart(systems)) == ((), None, {})


def test_a_metric_that_no_sums_are_kept_of_is_named(soft_board: Board, soft_runs: list[FinishedRun]) -> None:
    with pytest.raises(UnknownName, match="cosine"):
        board_systems(soft_board, soft_runs, metric="cosine")


def test_a_run_that_was_scored_before_sums_were_kept_says_to_score_again(
    soft_board: Board, soft_runs: list[FinishedRun], tmp_path: Path
) -> None:
    older = tmp_path / soft_runs[0].path.name
    shutil.copytree(soft_runs[0].path, older)
    units_file(soft_board, older).unlink()

    with pytest.raises(RunError, match=r"unit_sums\.parquet is missing. Run: voxemo score"):
        board_systems(soft_board, [replace(soft_runs[0], path=older), soft_runs[1]])
