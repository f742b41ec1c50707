"""`voxemo new disclosure` and `voxemo disclose`: people without our runner fill in what our runs say by themselves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toy import answered
from voxemo.store.layout import Workspace

Voxemo = Callable[..., Any]


def test_an_empty_form_is_written_and_every_point_of_it_is_missing(voxemo: Voxemo, tmp_path: Path) -> None:
    made = voxemo("new", "disclosure", "my run")
    told = voxemo("disclose", "disclosure.toml")

    assert (made.code, told.code) == (0, 1)
    assert "# Disclosure: my run" in told.out
    assert "MISSING (48): run.made, run.protocol" in told.out
    assert told.out.count("**MISSING**") >= 48


def test_a_form_that_is_there_is_not_written_over(voxemo: Voxemo, tmp_path: Path) -> None:
    voxemo("new", "disclosure", "--out", "form.toml")
    (tmp_path / "form.toml").write_text("filled = 'in'")

    refused = voxemo("new", "disclosure", "--out", "form.toml")

    assert refused.code == 1
    assert "form.toml" in refused.err
    assert (tmp_path / "form.toml").read_text() == "filled = 'in'"
    assert voxemo("new", "disclosure", "--out", "form.toml", "--replace", "--json").code == 0
    assert "schema_version" in (tmp_path / "form.toml").read_text()


def test_a_new_corpus_still_needs_a_name(voxemo: Voxemo) -> None:
    assert "needs a name" in voxemo("new", "corpus").err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            '[split]\nspeaker_independent = "perhaps"',
            "split.speaker_independent is 'perhaps', expected a valid boolean or 'unknown' (true only if no speaker",
        ),
        ('weather = "fine"', "weather: no such point is asked for"),
        ("[[prompts]]\ntext = 3", "prompts.1.text is 3, expected a valid string (All of it"),
        ("labels = 3", "labels is 3, expected"),
        ("[split", "it is no TOML"),
    ],
)
def test_a_form_that_is_none_is_refused_with_the_point_named(
    content: str, told: str, voxemo: Voxemo, tmp_path: Path
) -> None:
    (tmp_path / "form.toml").write_text(content)

    refused = voxemo("disclose", "form.toml")

    assert refused.code == 1
    assert refused.err.startswith("DisclosureError: The disclosure file form.toml cannot be used: ")
    assert told in refused.err


def test_contradictions_end_with_1_and_stand_in_the_checklist(voxemo: Voxemo, tmp_path: Path) -> None:
    (tmp_path / "form.json").write_text(json.dumps({"decoding": {"do_sample": False, "temperature": 0.7}}))

    shown = voxemo("disclose", "form.json", "--out", "list.md")
    document = json.loads(voxemo("disclose", "form.json", "--json").out)

    assert shown.code == 1
    assert "CONTRADICTION: decoding.do_sample is false" in shown.out
    assert "## Contradictions\n\n- decoding.do_sample is false" in (tmp_path / "list.md").read_text()
    assert (document["complete"], len(document["contradictions"])) == (False, 1)
    assert document["disclosure"]["decoding"] == {"also": {}, "do_sample": False, "temperature": 0.7}


def test_a_run_folder_discloses_itself_by_the_same_checklist(voxemo: Voxemo, workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",))

    unscored = voxemo("disclose", run)
    voxemo("score", run, "--resamples", "10", "--workspace", workspace.root)
    scored = voxemo("disclose", run)

    assert (unscored.code, scored.code) == (1, 0)
    assert "MISSING (1): scoring.scorer" in unscored.out
    assert "Complete: every point is filled in" in scored.out
    unsettled = "model.training_data, model.training_overlap, checks.hears"
    assert f"OPEN (3), said to be not known, not pinned or not checked: {unsettled}" in scored.out
    assert "- does it hear: **OPEN:** not checked" in scored.out
    assert "- speakers shared: " in scored.out


def test_a_report_writes_figures_and_tables_where_it_is_asked_to(
    voxemo: Voxemo, workspace: Workspace, tmp_path: Path
) -> None:
    run = answered(workspace, forms=("hard",), variants=("direct",))
    voxemo("score", run, "--resamples", "10", "--workspace", workspace.root)

    shown = voxemo("report", run, "--figures", tmp_path / "figures", "--latex", tmp_path / "tables")
    told = json.loads(voxemo("report", run, "--latex", tmp_path / "tables", "--json").out)

    names = {path.suffix for path in (tmp_path / "figures").iterdir()}
    assert names == {".svg", ".png", ".pdf"}
    assert " files in figures" in shown.out
    assert [Path(path).name for path in told["written"]][:3] == [
        "table-1-corpora.tex",
        "table-4-hard-scripted.tex",
        "tables.tex",
    ]


def test_a_run_that_an_older_version_scored_is_named_and_the_figures_of_the_others_are_drawn(
    voxemo: Voxemo, workspace: Workspace, tmp_path: Path
) -> None:
    older, newer = (answered(workspace, forms=("hard",), variants=("direct",), limit=limit) for limit in (4, 5))
    for run in (older, newer):
        voxemo("score", run, "--resamples", "10", "--workspace", workspace.root)
    for name in ("analyses.parquet", "unit_counts.parquet", "unit_sums.parquet"):
        (older / name).unlink()

    done = voxemo("report", older, newer, "--partial", "--figures", tmp_path / "figures", "--json")

    told = json.loads(done.out)
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert done.code == 0
    drawn = {
        run: {n.split(".")[2] for n in names if n.startswith(run.name.replace(".", "-"))} for run in (older, newer)
    }
    assert drawn[older] == {"confusion"}
    assert drawn[newer] == {"confusion", "agreement"}
    assert told["skipped"][0].startswith(f"figures of {older.name} are not all drawn: ")
    assert f"Run: voxemo score {older}" in told["skipped"][0]
