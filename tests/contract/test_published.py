"""What the catalogue promises about figures that others published."""

import csv
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from voxemo.catalog import lookup

HEADER = ["corpus_id", "partition", "system", "setting", "form", "metric", "value", "source"]
FOLDER = lookup.CATALOG / "published"
FILES = sorted(FOLDER.glob("*.csv"))
PAPER = "arXiv 2603.08936"
FIGURE_1_MEAN = "mean-of-6-voted-splits"
"""The one corpus id that is no corpus."""

RANGES = {
    "unweighted_accuracy": (0, 1),
    "weighted_accuracy": (0, 1),
    "macro_f1": (0, 1),
    "micro_f1": (0, 1),
    "top1_accuracy": (0, 1),
    "cosine": (0, 1),
    "tvd": (0, 1),
    "mse": (0, 1),
    "jsd": (0, math.log(2)),
    "kld": (0, math.inf),
    "delta_macro_f1": (-1, 1),
    "avg_macro_f1": (0, 1),
    "avg_parse_failure_rate": (0, 1),
}

Key = tuple[str, ...]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def key(row: dict[str, str]) -> Key:
    return tuple(row[column] for column in HEADER if column != "value")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_has_the_same_header(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == HEADER


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_figure_is_about_a_corpus_of_the_benchmark(path: Path) -> None:
    known = {*lookup.builtin_names("corpora"), FIGURE_1_MEAN}

    assert {row["corpus_id"] for row in read(path)} <= known


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_figure_names_its_system_setting_form_and_source(path: Path) -> None:
    for row in read(path):
        assert all(row[column] for column in HEADER), row
        assert row["form"] in ("hard", "distribution")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_value_lies_in_the_range_of_its_metric(path: Path) -> None:
    for row in read(path):
        low, high = RANGES[row["metric"]]
        assert low <= float(row["value"]) <= high, row


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_readme_names_the_file_and_counts_its_rows(path: Path) -> None:
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(f"| `{path.name}` |")]

    assert line.endswith(f"| {len(read(path)):,} |")


def test_no_figure_stands_twice() -> None:
    keys = [key(row) for row in lookup.published()]

    assert len(set(keys)) == len(keys)


# --- against the paper's tables ----------------------------------------------------------------------------------


def percent(text: str) -> Decimal:
    return Decimal(text).scaleb(-2)


def hard_label_tables(paper: Path) -> Iterator[tuple[Key, Decimal]]:
    for row in read(paper / "tables_4_5_hard_label.csv"):
        source = f"{PAPER}, Table 4/5"
        if row["model"] == "emobox":
            source = f"EmoBox, as printed in {source}"
        place = (row["corpus"], row["split"], row["model"], row["setting"], "hard")
        yield (*place, "unweighted_accuracy", source), percent(row["ua"])
        yield (*place, "weighted_accuracy", source), percent(row["wa"])
        yield (*place, "macro_f1", source), percent(row["macro_f1"])


def soft_label_table(paper: Path) -> Iterator[tuple[Key, Decimal]]:
    for row in read(paper / "table_6_soft_label.csv"):
        place = (row["corpus"], row["split"], row["model"], row["setting"], "distribution")
        for metric in ("macro_f1", "micro_f1", "top1_accuracy"):
            yield (*place, metric, f"{PAPER}, Table 6"), percent(row[metric])
        yield (*place, "cosine", f"{PAPER}, Table 6"), percent(row["cosine_x100"])
        for metric in ("kld", "jsd", "tvd", "mse"):
            yield (*place, metric, f"{PAPER}, Table 6"), Decimal(row[metric])


def supervised_table(paper: Path) -> Iterator[tuple[Key, Decimal]]:
    for row in read(paper / "table_7_supervised.csv"):
        system, comma, setting = row["system"].partition(", ")
        place = (row["corpus"], "test", system, setting if comma else "supervised", "distribution")
        yield (*place, "macro_f1", f"{PAPER}, Table 7"), percent(row["macro_f1"])


def transfer_table(paper: Path) -> Iterator[tuple[Key, Decimal]]:
    for row in read(paper / "table_8_cross_corpus.csv"):
        place = (row["target"], row["target_split"], row["model"], f"sft:{row['source']}", "hard")
        yield (*place, "macro_f1", f"{PAPER}, Table 8"), percent(row["macro_f1"])
        yield (*place, "delta_macro_f1", f"{PAPER}, Table 8"), percent(row["delta_over_best_zero_shot"])


def prompt_figure(paper: Path) -> Iterator[tuple[Key, Decimal]]:
    for row in read(paper / "figure_1_prompt_complexity.csv"):
        place = (FIGURE_1_MEAN, "all", row["model"], row["setting"], "distribution")
        for metric in ("avg_macro_f1", "avg_parse_failure_rate"):
            yield (*place, metric, f"{PAPER}, Figure 1"), percent(row[metric])


def model_table(paper: Path) -> Iterator[tuple[Key, Decimal]]:
    for row in read(paper / "table_2_models.csv"):
        place = ("iemocap", "unstated", row["model"], "prompt unstated", "hard")
        source = f"authors of Audio Flamingo 3, as printed in {PAPER}, Table 2"
        yield (*place, "weighted_accuracy", source), percent(row["iemocap_wa"])


@pytest.mark.evidence
@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("voxemo_zero_shot_sft.csv", hard_label_tables),
        ("voxemo_soft.csv", soft_label_table),
        ("supervised.csv", supervised_table),
        ("voxemo_transfer.csv", transfer_table),
        ("voxemo_prompt_complexity.csv", prompt_figure),
        ("reported_elsewhere.csv", model_table),
    ],
)
def test_a_file_holds_every_number_of_its_table_and_no_other(name: str, printed, evidence: Path) -> None:
    assert dict(printed(evidence.parent / "paper")) == {key(row): Decimal(row["value"]) for row in read(FOLDER / name)}


@pytest.mark.evidence
def test_figure_1_averages_the_voted_splits_and_not_all_36(evidence: Path) -> None:
    """The paper does not say what it averages; the caption bars, untouched by the slip in the direct ones, tell."""
    for model, bar in (("qwen2-audio-7b-instruct", "3.4"), ("audio-flamingo-3", "31.4")):
        means = {}
        for table in ("table_6_soft_label.csv", "tables_4_5_hard_label.csv"):
            rows = [
                r for r in read(evidence.parent / "paper" / table) if (r["model"], r["setting"]) == (model, "caption")
            ]
            means[table] = sum(float(row["macro_f1"]) for row in rows) / len(rows)

        assert means["table_6_soft_label.csv"] == pytest.approx(float(bar), abs=0.051)
        assert means["tables_4_5_hard_label.csv"] != pytest.approx(float(bar), abs=1)
