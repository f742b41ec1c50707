"""Trainings beside each other: what differs, validation first, and a warning."""

import csv

from voxemo.reports import sweep
from voxemo.reports.sweep import SweepRow


def row(model: str, *, rank: int, valid: float | None, test: float | None, seed: int = 0) -> SweepRow:
    return SweepRow(
        corpus_id="toy",
        base_model_id="tiny",
        split_id="protocol",
        partition="test",
        model_id=model,
        seed=seed,
        recipe={"rank": rank, "learning_rate": 1e-4},
        valid_ua=valid,
        test_ua=test,
        run_id=f"toy.{model}",
        partial=seed == 1,
    )


ROWS = [row("a", rank=4, valid=0.5, test=0.25), row("b", rank=8, valid=None, test=None, seed=1)]


def test_only_what_differs_has_a_column() -> None:
    assert sweep.table_rows(ROWS) == [
        ["corpus", "part", "model", "rank", "seed", "valid UA %", "test UA %"],
        ["toy", "test", "a", "4", "0", "50.0", "25.0"],
        ["toy", "test", "b, PARTIAL", "8", "1", "-", "-"],
    ]


def test_the_document_warns_against_choosing_by_the_test_part() -> None:
    assert "Choose by validation UA" in sweep.markdown(ROWS)


def test_the_table_for_programs_has_fractions_and_the_whole_recipe() -> None:
    first, _ = csv.DictReader(sweep.csv_table(ROWS).write_csv().splitlines())

    assert (first["rank"], first["learning_rate"], first["valid_ua"], first["run_id"]) == (
        "4",
        "0.0001",
        "0.5",
        "toy.a",
    )


def test_no_runs_are_no_sweep() -> None:
    assert sweep.sweep_rows([]) == []
