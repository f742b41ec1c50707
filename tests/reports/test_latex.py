"""The paper's tables of our own runs in LaTeX: their layout, their marks, and that LaTeX would take them."""

from dataclasses import replace
from pathlib import Path

import pytest

from latex_check import columns, problems
from toy import answered
from voxemo.catalog import lookup
from voxemo.core.cards import TrainingRecord
from voxemo.reports.latex import paper
from voxemo.reports.latex.marks import numbers
from voxemo.reports.scoreboard import HARD_COLUMNS, Board, Cell, Entry, FinishedRun, boards, read_runs
from voxemo.steps.score import score_run
from voxemo.store.layout import Workspace

PROMPTS = lookup.prompt_names()
QWEN = "qwen2-audio-7b-instruct"


def entry(model: str, system: str, *, training: str = "zero-shot", kind: str = "run", **more: object) -> Entry:
    value = 0.3 + 0.05 * (PROMPTS.index(system) if system in PROMPTS else 6)
    metrics = (*HARD_COLUMNS, *paper.SOFT_SHOWN)
    given: dict[str, object] = {
        "kind": kind,
        "model": model,
        "system": system,
        "training": training,
        "cells": {metric: Cell(value=value) for metric in metrics},
        "n": 100,
        "n_failed": 7,
        "partial": False,
        "run_id": f"{model}.run",
    }
    return Entry(**(given | more))  # type: ignore[arg-type]


def board(corpus_id: str, *entries: Entry, vote_rule: str | None = None) -> Board:
    return Board(
        corpus_id=corpus_id,
        corpus_name=lookup.corpus_card(corpus_id).name,
        partition="test",
        split_id="emobox",
        split_source="emobox",
        overlap="some",
        speaker_independent=False,
        n_folds=1,
        label_source="expressed",
        audio_condition="clean",
        vote_rule=vote_rule,
        reading="strict",
        failure_policy="wrong",
        columns=HARD_COLUMNS if vote_rule is None else paper.SOFT_COLUMNS,
        entries=entries,
        notes=(),
    )


def row(text: str, *starts: str) -> list[str]:
    """The cells of the first row that begins with these."""
    for line in text.splitlines():
        cells = [cell.strip().removeprefix("{").removesuffix("}") for cell in line.removesuffix(r" \\").split(" & ")]
        if cells[: len(starts)] == list(starts):
            return cells
    raise AssertionError(f"no row begins with {starts}")


@pytest.fixture
def finished(workspace: Workspace) -> FinishedRun:
    run = answered(workspace)
    score_run(workspace, run, resamples=10)
    return read_runs([run])[0]


def test_the_best_is_bold_and_the_second_underlined_with_ties_marked_alike() -> None:
    cells = [Cell(value=value) for value in (0.5, 0.4, 0.50002, 0.4, 0.1)]

    assert numbers("macro_f1", cells, 5 * [False]) == [
        r"\textbf{50.0}",
        r"\underline{40.0}",
        r"\textbf{50.0}",
        r"\underline{40.0}",
        "10.0",
    ]
    assert numbers("kld", cells[:2], 2 * [False]) == [r"\underline{0.500}", r"\textbf{0.400}"]


def test_a_partial_run_is_marked_and_not_compared() -> None:
    cells = [Cell(value=0.9), Cell(value=0.5), Cell(value=0.4), None]

    assert numbers("macro_f1", cells, [True, False, False, False]) == [
        r"90.0$^{\dagger}$",
        r"\textbf{50.0}",
        r"\underline{40.0}",
        "-",
    ]


def test_a_number_alone_is_not_the_best_of_anything() -> None:
    assert numbers("macro_f1", [Cell(value=0.9), None, Cell(value=0.9)], 3 * [False]) == ["90.0", "-", "90.0"]


def test_hard_labels_have_a_block_for_each_corpus_and_a_table_for_each_model(finished: FinishedRun) -> None:
    entries = [entry(model, system) for model in ("a", "b_c") for system in (*PROMPTS, "ensemble")]
    made = paper.hard_tables([board("urdu", *entries), board("meld", *entries)], [finished], published=False)

    assert list(made) == ["a", "b_c"]
    text = made["b_c"]
    assert (problems(text), columns(text)) == ([], {9})
    assert row(text, "URDU", r"UA \%")[2:] == [
        "30.0",
        "35.0",
        "40.0",
        "45.0",
        r"\underline{50.0}",
        r"\textbf{60.0}",
        "-",
    ]
    assert row(text, "speakers shared", r"miF1 \%")
    assert row(text, "", r"failed \%")[2:4] == ["7.0", "7.0"]
    assert text.count(r"\midrule") == 2


def test_fine_tuning_stands_in_the_row_of_the_model_it_began_from(finished: FinishedRun) -> None:
    record = TrainingRecord.model_construct(kind="sft", base_model_id="a", corpus_id="urdu", sources=())
    card = next(iter(finished.manifest.model_cards.values())).model_copy(
        update={"model_id": "tuned", "training": record}
    )
    manifest = finished.manifest.model_copy(update={"run_id": "tuned.run", "model_cards": {"1": card}})
    tuned = replace(finished, manifest=manifest)

    made = paper.hard_tables(
        [board("urdu", entry("a", "direct"), entry("tuned", "direct", training="sft"))],
        [finished, tuned],
        published=False,
    )

    assert list(made) == ["a"]
    assert row(made["a"], "URDU", r"UA \%")[-1] == "30.0"


def test_published_figures_stand_below_ours_in_italics(finished: FinishedRun) -> None:
    printed = entry(QWEN, "direct", kind="published", cells={"macro_f1": Cell(value=0.2006)})
    made = paper.hard_tables([board("urdu", entry(QWEN, "direct"), printed)], [finished], published=True)[QWEN]

    assert r"\textit{20.1}" in made
    assert "In italics: as published." in made
    without = paper.hard_tables([board("urdu", entry(QWEN, "direct"), printed)], [finished], published=False)[QWEN]
    assert "textit" not in without


def test_a_long_table_goes_over_several_pages(finished: FinishedRun) -> None:
    names = ["urdu", "meld", "iemocap", "crema-d", "emodb", "tess", "ravdess", "savee", "casia"]
    made = paper.hard_tables([board(name, entry("a", "direct")) for name in names], [finished], published=False)["a"]

    assert r"\begin{longtable}" in made
    assert (problems(made), columns(made)) == ([], {9})


def test_soft_labels_are_compared_within_a_corpus_and_references_are_not(finished: FinishedRun) -> None:
    ours = [entry("a", system, training="zero-shot") for system in ("direct", "mean_distribution")]
    uniform = entry("uniform guess", "uniform", kind="reference", n_failed=None, run_id=None)
    made = paper.soft_table([board("crema-d", *ours, uniform, vote_rule="all")], published=True)

    assert (problems(made), columns(made)) == ([], {12})
    assert row(made, "CREMA-D", "a", "Direct")[3] == r"\underline{30.0}"
    assert row(made, "test, emobox", "a", "mean of 5")[6] == r"\underline{0.600}"
    assert row(made, "n = 100", r"\textit{uniform guess}")[-1] == ""
    assert "CREMA-D: all" in made
    assert paper.soft_table([board("crema-d", *ours)], published=True) == ""


def test_supervised_systems_stand_beside_the_best_of_each_model(finished: FinishedRun) -> None:
    ours = [
        entry("a", system, cells={"soft_macro_f1": Cell(value=v)}) for system, v in (("direct", 0.4), ("caption", 0.5))
    ]
    theirs = entry("Wagner et al.", "supervised", kind="published", cells={"soft_macro_f1": Cell(value=0.706)})
    voted = board("crema-d", *ours, theirs, vote_rule="all")
    made = paper.supervised_table([voted], published=True)

    assert problems(made) == []
    assert row(made, "CREMA-D", r"\textit{Wagner et al.}")[3] == r"\textbf{70.6}"
    assert row(made, "", "a", "A")[3] == r"\underline{50.0}"
    assert paper.supervised_table([voted], published=False) == ""
    assert paper.supervised_table([board("crema-d", *ours, vote_rule="all")], published=True) == ""


def test_corpora_have_our_counts_and_the_paper_s_where_they_differ(finished: FinishedRun) -> None:
    card = lookup.corpus_card("urdu")
    counts = {"utterances": 400, "speakers": 29, "excluded": 0, "unusable": 0}
    given = {"corpus_card": card, "corpus_counts": counts, "corpus_complete": False}
    run = replace(finished, manifest=finished.manifest.model_copy(update=given))

    made = paper.corpora_table([run], published=True)
    plain = paper.corpora_table([run], published=False)

    assert problems(made) == []
    cells = row(made, r"URDU$^{\dagger}$")
    assert cells[1:9] == ["2018", "in-the-wild", "talkshow", "perceived", "Urdu", "4", "29 (38)", "400"]
    assert cells[9] == "0.3"
    assert row(plain, r"URDU$^{\dagger}$")[7] == "29"


def test_every_table_of_a_run_is_written_with_a_document_that_shows_them(finished: FinishedRun, tmp_path: Path) -> None:
    written = paper.write_tables(boards([finished]), [finished], tmp_path)

    names = [path.name for path in written]
    assert names == ["table-1-corpora.tex", "table-4-hard-scripted.tex", "table-6-soft.tex", "tables.tex"]
    for path in written:
        assert problems(path.read_text()) == []
    shown = written[-1].read_text()
    assert [f"\\input{{{name.removesuffix('.tex')}}}" in shown for name in names[:-1]] == [True, True, True]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (r"\input{/etc/passwd} \write18{id}", r"\write"),
        ("a { b", "left open"),
        ("a } b", "a brace too many"),
        ("10 % of \\\\", "a comment swallows"),
        ("a # b", "a bare '#'"),
        ("a^b", "a bare '^'"),
        (r"\begin{table} \end{tabular}", "did not begin"),
        ("\u6a21", "U+6A21"),
    ],
)
def test_the_checker_finds_what_latex_would_stumble_over(text: str, problem: str) -> None:
    assert any(problem in found for found in problems(text))
