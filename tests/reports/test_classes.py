import numpy as np
import polars as pl
import pytest
from sklearn.metrics import confusion_matrix, recall_score

from toy import answered
from voxemo.reports.classes import class_scores, classes_markdown, confusion
from voxemo.reports.scoreboard import FinishedRun, read_runs
from voxemo.steps.score import score_run
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.tables import CONFUSIONS, PREDICTIONS, read_table

NAMES = ("angry", "happy", "neutral", "sad")


@pytest.fixture
def finished(workspace: Workspace) -> FinishedRun:
    run = answered(workspace, forms=("hard",), variants=("direct",))
    score_run(workspace, run, resamples=10)
    return read_runs([run], allow_partial=True)[0]


def answers(run: FinishedRun) -> tuple[list[str], list[str]]:
    """Truth, which is in the name of a toy clip, and answer of every utterance, as written in the predictions."""
    table = read_table(RunPaths(run.path).predictions, PREDICTIONS).filter(pl.col("reading") == "strict")
    truth = [name.split("_")[1] for name in table["utterance_id"]]
    return truth, [label or "failed" for label in table["label"]]


def test_confusions_are_those_of_scikit_learn_with_failed_answers_as_a_column(finished: FinishedRun) -> None:
    truth, predicted = answers(finished)
    ours = confusion(
        read_table(RunPaths(finished.path).confusions, CONFUSIONS), NAMES, partition="test", system_id="direct"
    )

    theirs = confusion_matrix(truth, predicted, labels=[*NAMES, "failed"])[:4]

    assert np.array_equal(ours, theirs)
    assert theirs[:, 4].sum() > 0


def test_recall_is_that_of_scikit_learn_where_folds_are_of_one_size(finished: FinishedRun) -> None:
    truth, predicted = answers(finished)
    ours = class_scores(finished, partition="test", system_id="direct")

    theirs = recall_score(truth, predicted, labels=list(NAMES), average=None)

    assert ours["class_label"].to_list() == list(NAMES)
    assert ours["recall"].to_list() == pytest.approx(theirs.tolist())


def test_the_page_has_a_table_for_every_prompt(finished: FinishedRun) -> None:
    page = classes_markdown(finished, read_table(RunPaths(finished.path).confusions, CONFUSIONS))

    assert "## test, Direct" in page
    assert page.count("| angry |") == 1
    assert "→ failed" in page
