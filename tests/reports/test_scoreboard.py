import re
from pathlib import Path

import polars as pl
import pytest

from golden_files import check_golden
from toy import answered, without_votes
from voxemo.catalog import lookup
from voxemo.core.errors import RunError
from voxemo.core.types import FAILURE_POLICIES, Generation
from voxemo.reports import scoreboard
from voxemo.reports.disclosure import disclosure, disclosure_markdown, read_workers
from voxemo.reports.scoreboard import (
    Board,
    Cell,
    FinishedRun,
    boards,
    convention_rows,
    distribution_failures,
    format_cell,
    read_runs,
)
from voxemo.steps.parse import parse_run
from voxemo.steps.score import score_run
from voxemo.store.layout import Workspace
from voxemo.store.manifest import read_manifest


@pytest.fixture
def finished(workspace: Workspace) -> FinishedRun:
    run = answered(workspace)
    score_run(workspace, run, resamples=50)
    (read,) = read_runs([run])
    return read


def by_kind(board: Board, kind: str) -> list[str]:
    return [entry.system for entry in board.entries if entry.kind == kind]


def test_a_run_gives_one_hard_board_and_one_for_each_rule_of_counting_votes(finished: FinishedRun) -> None:
    hard, soft = boards([finished])

    assert (hard.vote_rule, soft.vote_rule) == (None, "all")
    assert set(by_kind(hard, "run")) == {*lookup.prompt_names(), "ensemble"}
    assert by_kind(hard, "reference") == ["uniform", "train_prior", "majority"]
    assert by_kind(soft, "reference") == ["uniform", "train_prior", "majority", "human"]


def test_the_best_row_comes_first_on_every_board(finished: FinishedRun) -> None:
    hard, soft = boards([finished])
    ua = [e.cells["unweighted_accuracy"].value for e in hard.entries if e.kind == "run"]
    jsd = [e.cells["jsd"].value for e in soft.entries if e.kind == "run"]

    assert ua == sorted(ua, reverse=True)
    assert jsd == sorted(jsd)


def test_the_lenient_reading_is_never_on_a_strict_board(finished: FinishedRun) -> None:
    for reading in ("strict", "lenient"):
        assert {board.reading for board in boards([finished], reading=reading)} == {reading}


def test_a_partial_run_is_refused_unless_asked_and_then_marked(workspace: Workspace) -> None:
    run = answered(workspace, limit=3)
    score_run(workspace, run, resamples=10)

    with pytest.raises(RunError, match="is partial"):
        read_runs([run])
    hard = boards(read_runs([run], allow_partial=True))[0]

    assert len(hard.run_notes) == 1
    assert hard.run_notes[0].endswith("PARTIAL: at most 3 utterances of each test partition")
    assert all(entry.partial for entry in hard.entries if entry.kind == "run")


def test_a_run_that_was_not_scored_says_so(workspace: Workspace) -> None:
    with pytest.raises(RunError, match=r"scores\.parquet is missing"):
        read_runs([answered(workspace, limit=3)], allow_partial=True)


def test_runs_over_different_splits_stand_on_different_boards(finished: FinishedRun, workspace: Workspace) -> None:
    other = answered(workspace, split_id="speaker-disjoint", forms=("hard",), variants=("direct",))
    score_run(workspace, other, resamples=10)

    made = boards([finished, *read_runs([other])])

    assert len({board.split_id for board in made}) == 2
    assert all(len({entry.run_id for entry in board.entries if entry.kind == "run"}) == 1 for board in made)


def test_published_figures_of_the_corpus_stand_below_with_their_source(finished: FinishedRun) -> None:
    card = lookup.corpus_card("urdu")
    manifest = finished.manifest.model_copy(update={"corpus_card": card, "label_source": card.gold})
    (hard, *_) = boards([FinishedRun(finished.path, manifest, finished.scores)])

    published = [entry for entry in hard.entries if entry.kind == "published"]

    assert len(published) == 13
    assert {entry.note for entry in published} >= {"arXiv 2603.08936, Table 4/5"}
    other = manifest.model_copy(update={"label_source": "expressed"})
    assert all(e.kind != "published" for e in boards([FinishedRun(finished.path, other, finished.scores)])[0].entries)
    direct = next(e for e in published if (e.model, e.system) == ("qwen2-audio-7b-instruct", "direct"))
    assert direct.cells["unweighted_accuracy"].value == pytest.approx(0.38)


def test_every_number_of_every_board_is_the_one_row_of_the_scores_that_it_stands_for(finished: FinishedRun) -> None:
    for reading in ("strict", "lenient"):
        for policy in FAILURE_POLICIES:
            for board in boards([finished], reading=reading, policy=policy):
                for entry in board.entries:
                    rows = finished.scores.filter(
                        pl.col("system_id") == ("reference:" if entry.kind == "reference" else "") + entry.system,
                        pl.col("partition") == board.partition,
                        pl.col("vote_rule").eq_missing(pl.lit(board.vote_rule)),
                        pl.col("fold_id") == "mean",
                        pl.col("class_label").is_null(),
                    )
                    if entry.kind == "run":
                        rows = rows.filter(pl.col("reading") == reading, pl.col("failure_policy") == policy)
                    for metric, cell in entry.cells.items():
                        (row,) = rows.filter(pl.col("metric") == metric).iter_rows(named=True)
                        assert (cell.value, cell.ci_low, cell.ci_high) == (row["value"], row["ci_low"], row["ci_high"])


@pytest.mark.parametrize("order", [1, -1])
def test_a_partial_run_stands_below_whole_ones_and_lends_them_no_reference_rows(
    finished: FinishedRun, workspace: Workspace, order: int
) -> None:
    part = answered(workspace, limit=3)
    score_run(workspace, part, resamples=10)

    hard = boards([finished, *read_runs([part], allow_partial=True)][::order])[0]
    runs = [entry for entry in hard.entries if entry.kind == "run"]

    assert [entry.partial for entry in runs] == [False] * 6 + [True] * 6
    assert {entry.n for entry in hard.entries if entry.kind == "reference"} == {240}
    assert len({entry.model for entry in runs}) == 2


def test_runs_that_differ_only_in_decoding_can_be_told_apart(finished: FinishedRun, workspace: Workspace) -> None:
    other = answered(workspace, generation=Generation(max_new_tokens=8))
    score_run(workspace, other, resamples=10)

    hard = boards([finished, *read_runs([other])])[0]

    assert len({entry.model for entry in hard.entries if entry.kind == "run"}) == 2
    assert any("max_new_tokens = 8" in note for note in hard.run_notes)


def test_scores_older_than_the_answers_are_gone_after_parse(finished: FinishedRun) -> None:
    parse_run(finished.path)

    with pytest.raises(RunError, match=r"scores\.parquet is missing"):
        read_runs([finished.path])


def test_failed_distributions_without_votes_are_reported_by_prompt(workspace: Workspace) -> None:
    without_votes(workspace)
    run = answered(workspace)
    score_run(workspace, run, resamples=10)
    (read,) = read_runs([run])

    failures = distribution_failures([read])

    assert failures["system_id"].to_list() == list(lookup.prompt_names())
    assert failures["failure_rate"].is_between(0.05, 0.2).all()
    text = scoreboard.markdown(boards([read]), convention_rows([read]), failures)
    assert "Distribution answers without votes" in text


def test_conventions_are_shown_side_by_side(finished: FinishedRun) -> None:
    rows = convention_rows([finished]).filter(pl.col("system_id") == "direct")

    assert rows.columns[-3:] == ["wrong", "excluded", "uniform"]
    assert rows["wrong"][0] < rows["uniform"][0] < rows["excluded"][0]
    assert 0 < rows["failure_rate"][0] < 0.3


@pytest.mark.parametrize(
    ("metric", "cell", "text"),
    [
        ("unweighted_accuracy", Cell(value=0.5, ci_low=0.4, ci_high=0.6), "50.0 [40.0, 60.0]"),
        ("unweighted_accuracy", Cell(value=None), "-"),
        ("jsd", Cell(value=0.25312), "0.253"),
        ("mse", Cell(value=0.05724), "0.0572"),
        ("kld", None, "-"),
    ],
)
def test_a_number_is_printed_in_the_unit_of_its_column(metric: str, cell: Cell | None, text: str) -> None:
    assert format_cell(metric, cell, interval=True) == text


def test_golden_scoreboard_of_a_scripted_run(finished: FinishedRun) -> None:
    text = scoreboard.markdown(boards([finished]), convention_rows([finished]), distribution_failures([finished]))

    # The hash in a run's name holds that of the toy corpus's samples, whose last bit may differ between machines.
    check_golden("reports/scoreboard.md", re.sub(r"\.[0-9a-f]{8}\b", ".xxxxxxxx", text))


def test_the_tidy_table_holds_every_number_of_the_boards(finished: FinishedRun) -> None:
    made = boards([finished])
    tidy = scoreboard.csv_table(made)

    assert tidy.height == sum(len(entry.cells) for board in made for entry in board.entries)
    assert set(tidy["failure_policy"]) == {"wrong", "uniform"}


def test_the_disclosure_has_every_point_of_the_checklist(finished: FinishedRun) -> None:
    manifest = read_manifest(finished.path)
    text = disclosure_markdown(disclosure(manifest, read_workers(finished.path), {}))

    for heading in (
        "Run",
        "Model",
        "Corpus",
        "Split",
        "Labels",
        "Decoding",
        "Audio",
        "Reading and scoring",
        "Hardware and software",
        "Seeds",
        "Deviations from the protocol",
        "Prompts",
    ):
        assert f"\n## {heading}\n" in text
    for fact in (
        manifest.utterances_sha256,
        manifest.split.split_sha256,
        manifest.split.overlap,
        "longest answer: 512",
        "repetition penalty: 1.0",
        "overlap of training data with the tested corpus: ",
        "revision: not applicable",
        "does it hear: **OPEN:** not checked",
        "angry, happy, neutral, sad",
        manifest.package_versions["numpy"],
    ):
        assert fact in text
    for prompt in manifest.prompts:
        assert prompt.text in text


def test_a_run_without_answers_says_what_is_not_recorded(finished: FinishedRun) -> None:
    assert "hardware: **MISSING**" in disclosure_markdown(disclosure(finished.manifest, [], {}))


def test_no_path_of_this_machine_is_in_a_disclosure(finished: FinishedRun, tmp_path: Path) -> None:
    assert str(tmp_path) not in disclosure_markdown(disclosure(finished.manifest, read_workers(finished.path), {}))
