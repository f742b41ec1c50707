"""A run opened for listening: the same facts as the tables and journals that it was opened from."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from toy import answered, planned, rewrite, toy_answer, without_votes
from voxemo.backends.scripted import ScriptedBackend
from voxemo.core.errors import AudioError, NotPrepared, RunError
from voxemo.core.types import Response
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.score import hard_systems, load_scored
from voxemo.steps.view import open_run
from voxemo.store.journal import JournalWriter, read_journal
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.tables import PLAN, PREDICTIONS, UTTERANCES, read_table, write_table


@pytest.fixture(scope="module")
def parsed(toy_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    """A run that no test here may change."""
    folder = tmp_path_factory.mktemp("view")
    shutil.copytree(toy_workspace.root, folder / "workspace")
    workspace = Workspace(folder / "workspace")
    return workspace, answered(workspace)


def test_the_table_has_the_answers_that_are_scored(parsed: tuple[Workspace, Path]) -> None:
    workspace, run = parsed
    table = open_run(workspace, run).table()

    scored = hard_systems(load_scored(workspace, run), partition="test", reading="strict")
    for system, folds in scored.items():
        key = f"vote/{system}" if system == "ensemble" else f"hard/{system}"
        shown = dict(table.rows.select("utterance_id", key).iter_rows())
        gold = dict(table.rows.select("utterance_id", "gold").iter_rows())
        for fold in folds:
            for name, predicted, true in zip(fold.utterances, fold.predicted, fold.gold, strict=True):
                assert (shown[name], gold[name]) == (predicted, true)


def test_the_likeliest_label_of_a_stated_distribution_is_its_answer(parsed: tuple[Workspace, Path]) -> None:
    workspace, run = parsed
    table = open_run(workspace, run).table()
    predictions = read_table(RunPaths(run).predictions, PREDICTIONS).filter(
        form="distribution", reading="strict", system_id="direct", status="ok"
    )

    shown = dict(table.rows.select("utterance_id", "distribution/direct").iter_rows())
    for name, distribution in predictions.select("utterance_id", "distribution").iter_rows():
        assert shown[name] == distribution.index(max(distribution))


def test_every_answer_of_an_utterance_is_given_with_its_text_and_question(parsed: tuple[Workspace, Path]) -> None:
    workspace, run = parsed
    opened = open_run(workspace, run)
    plan, journal = read_table(RunPaths(run).plan, PLAN), read_journal(RunPaths(run).responses)
    name = plan["utterance_id"][7]

    content = opened.utterance(name)

    asked = plan.filter(utterance_id=name)
    assert [one["text"] for one in content["answers"]] == [journal.responses[key].text for key in asked["request_id"]]
    assert all(one["question"] for one in content["answers"])
    assert sum(content["votes"][0]["n"]) == 10
    assert content["vote_of_five"] is not None
    assert sum(content["vote_of_five"]) == pytest.approx(1)


@pytest.mark.parametrize("name", ["", "toy/none", "toy", "../toy"])
def test_an_utterance_that_is_not_tested_is_refused(parsed: tuple[Workspace, Path], name: str) -> None:
    opened = open_run(*parsed)

    with pytest.raises(RunError, match="tests no utterance"):
        opened.utterance(name)
    with pytest.raises(RunError, match="tests no utterance"):
        opened.clip(name)


def test_the_lenient_reading_has_a_table_of_its_own(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",), variants=("direct",))
    infer_run(
        workspace,
        run,
        make_backend=lambda card, generation, **options: ScriptedBackend(lambda q: f"**{toy_answer(q)}**"),
    )
    parse_run(run)
    opened = open_run(workspace, run)

    strict, lenient = (opened.page({"reading": reading})["counts"]["failed"] for reading in ("strict", "lenient"))

    assert strict > lenient


def test_a_run_without_votes_can_be_listened_to(workspace: Workspace) -> None:
    without_votes(workspace)
    opened = open_run(workspace, answered(workspace, forms=("hard",)))

    assert opened.page({"agreement": "none"})["n"] == opened.page({})["n"]
    assert opened.utterance(opened.page({})["rows"][0]["utterance_id"])["votes"] == []


def test_votes_outside_the_label_set_are_shown_and_do_not_count(workspace: Workspace) -> None:
    other = pl.when(pl.col("label") == "sad").then(None).otherwise("label").alias("label")
    rewrite(workspace, votes=lambda table: table.with_columns(other))
    opened = open_run(workspace, answered(workspace, forms=("hard",), variants=("direct",)))

    votes = [opened.utterance(name)["votes"][0] for name in opened.selection({"gold": "sad"})["utterance_id"]]

    assert any(rule["outside"].get("sad") for rule in votes)
    assert all(rule["n"][3] == 0 for rule in votes)


def test_an_unanswered_request_is_shown_as_one(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",), variants=("direct", "caption"))
    infer_run(workspace, run, limit=7, make_backend=lambda card, generation, **options: ScriptedBackend(toy_answer))
    parse_run(run)
    opened = open_run(workspace, run)

    found = opened.page({"outcome": "unanswered"})

    assert found["counts"]["unanswered"] == opened.table().rows.height * 2 - 7
    answers = opened.utterance(found["rows"][-1]["utterance_id"])["answers"]
    assert {one["text"] for one in answers} == {None}


def test_what_a_listener_must_know_is_said(workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",), variants=("direct",), audio_condition="silence")
    with JournalWriter(RunPaths(run).responses, "late") as writer:
        writer.append([Response(request_id="0" * 32, text="late")])

    notices = " ".join(open_run(workspace, run).facts()["notices"])

    assert "did not hear these clips" in notices
    assert "voxemo parse" in notices


def test_a_run_that_was_not_parsed_or_has_no_answers_is_refused(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",))
    with pytest.raises(RunError, match="voxemo parse"):
        open_run(workspace, run)
    parse_run(run)
    with pytest.raises(RunError, match="no answer"):
        open_run(workspace, run)


def test_another_workspace_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    run = answered(workspace, forms=("hard",), variants=("direct",))
    with pytest.raises(NotPrepared):
        open_run(Workspace(tmp_path / "empty"), run)
    without_votes(workspace)
    with pytest.raises(RunError, match="another version"):
        open_run(workspace, run)


@pytest.mark.parametrize("path", ["../../secret.wav", "/etc/secret.wav", "clips/../../secret.wav"])
def test_no_clip_is_read_outside_the_corpus(workspace: Workspace, path: str) -> None:
    run = answered(workspace, forms=("hard",), variants=("direct",))
    table = read_table(workspace.utterances("toy"), UTTERANCES)
    write_table(workspace.utterances("toy"), table.with_columns(audio_path=pl.lit(path)), UTTERANCES)
    opened = open_run(workspace, run)

    with pytest.raises(AudioError, match="outside the corpus"):
        opened.clip(opened.page({})["rows"][0]["utterance_id"])


def test_nothing_is_written(workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",), variants=("direct",))
    before = {path: path.stat().st_mtime_ns for path in workspace.root.parent.rglob("*")}

    opened = open_run(workspace, run)
    opened.facts()
    opened.utterance(opened.page({})["rows"][0]["utterance_id"])

    assert {path: path.stat().st_mtime_ns for path in workspace.root.parent.rglob("*")} == before
