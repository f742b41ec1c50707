"""`voxemo transfer`, and studies with trainings in them, as a user types them."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from transfer_world import small_world, tiny_base
from voxemo.steps import fine_tune as step
from voxemo.store.layout import Workspace

Command = Callable[..., "Outcome"]  # noqa: F821 the fixture of conftest
QUICK = ["--rank", "2", "--alpha", "4", "--learning-rate", "1e-2", "--epochs", "1", "--device", "cpu"]
ASK = ["--max-new-tokens", "4"]


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    threads, tokens = torch.get_num_threads(), step.VALIDATION_TOKENS
    torch.set_num_threads(1)
    step.VALIDATION_TOKENS = 4
    yield
    torch.set_num_threads(threads)
    step.VALIDATION_TOKENS = tokens


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.fixture
def base(voxemo: Command, tmp_path: Path) -> Path:
    """Path to the card of a tiny model, beside a workspace with three small corpora."""
    small_world(tmp_path)
    return tiny_base(tmp_path)


def test_a_matrix_is_trained_asked_and_shown_and_again_found_done(voxemo: Command, base: Path, tmp_path: Path) -> None:
    words = ["transfer", "--model", base, "--source", "north,2*north+mirror", "--target", "north,south,mirror"]
    done = voxemo(*words, *QUICK, *ASK)

    assert done.code == 0, done.err
    (table,) = (tmp_path / "runs").glob("transfer-*.csv")
    rows = {(row["source"], row["target"]): row for row in read_csv(table)}
    assert {pair for pair, row in rows.items() if row["in_domain"] == "true"} == {("north", "north")}
    assert {pair for pair, row in rows.items() if row["refused"]} == {
        ("north", "mirror"),
        ("2*north+mirror", "north"),
        ("2*north+mirror", "mirror"),
    }
    assert "24 clips of the target under other names" in rows["north", "mirror"]["refused"]
    assert "label set, language" in rows["north", "south"]["changes"]
    assert rows["2*north+mirror", "south"]["weights"] == "north 0.666667; mirror 0.333333"
    for pair in (("north", "north"), ("north", "south"), ("2*north+mirror", "south")):
        row = rows[pair]
        assert float(row["delta"]) == pytest.approx(float(row["macro_f1"]) - float(row["zero_shot"]))
    assert sorted(path.suffix for path in (tmp_path / "runs").glob("transfer-*")) == [
        ".csv",
        ".md",
        ".pdf",
        ".png",
        ".svg",
        ".tex",
    ]
    again = voxemo(*words, *QUICK, *ASK)
    assert again.code == 0, again.err
    assert "epoch 1" not in again.out


def test_between_languages_only_shared_labels_are_learned_and_asked(
    voxemo: Command, base: Path, tmp_path: Path
) -> None:
    done = voxemo("transfer", "de:en", "--model", base, *QUICK, *ASK, "--json")

    assert done.code == 0, done.err
    cells = json.loads(done.out)["cells"]
    assert [(cell["source"], cell["target"]) for cell in cells] == [
        ("de", "mirror (2 labels)"),
        ("de", "north (2 labels)"),
    ]
    run = tmp_path / "runs" / cells[1]["run_id"]
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["label_names"] == ["angry", "sad"]
    assert all("Angry, Sad" in prompt["text"] for prompt in manifest["prompts"])
    assert any("asked about 2 of 3 labels" in text for text in manifest["deviations"])
    (card,) = manifest["model_cards"].values()
    (source,) = card["training"]["sources"]
    assert (source["corpus_id"], source["label_names"], source["weight"]) == ("south", ["angry", "sad"], 1.0)


def test_a_study_file_trains_sweeps_and_transfers(voxemo: Command, base: Path, tmp_path: Path) -> None:
    (tmp_path / "matrix.toml").write_text('source = ["south"]\ntarget = ["north"]\n', encoding="utf-8")
    (tmp_path / "study.toml").write_text(
        f'[[run]]\ncorpus = ["north"]\nmodel = ["{base}"]\nprompt = ["direct"]\nmax-new-tokens = 4\n'
        f'[[train]]\ncorpus = ["south"]\nmodel = ["{base}"]\nrank = [1, 2]\nepochs = [1]\nmax-new-tokens = 4\n'
        f'[[transfer]]\nmatrix = "{tmp_path / "matrix.toml"}"\nmodel = ["{base}"]\nrank = [1]\nepochs = [1]\n'
        "max-new-tokens = 4\n",
        encoding="utf-8",
    )
    counted = voxemo("run", "--study", "study.toml", "--dry-run", "--json")
    assert not (tmp_path / "runs").exists()
    done = voxemo("run", "--study", "study.toml", "--device", "cpu")

    assert done.code == 0, done.err
    assert "Choose by validation UA" in done.out
    sweep = read_csv(tmp_path / "runs" / "sweep.csv")
    assert sorted(row["model_id"] for row in sweep) == ["tiny-qwen2-audio-sft-r1-e1", "tiny-qwen2-audio-sft-r2-e1"]
    assert all(row["valid_ua"] and row["test_ua"] for row in sweep)
    # The transfer takes the model that the sweep trained.
    assert len(list((tmp_path / "home" / "models").iterdir())) == 2
    planned = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("runs/*/manifest.json")}
    estimated = json.loads(counted.out)
    assert sum(one["n_requests"] for one in estimated["runs"]) == sum(one["n_requests"] for one in planned.values())
    assert estimated["n_trainings"] == 2
    assert "requests/s when last measured" in voxemo("run", "--study", "study.toml", "--dry-run").out


def test_what_is_not_prepared_is_refused_or_listed(voxemo: Command, base: Path) -> None:
    words = ("transfer", "paper", "--model", base)
    refused = voxemo(*words)
    counted = voxemo(*words, "--dry-run")

    assert refused.code == 1
    assert "4 corpora of the study cannot be run" in refused.err
    assert "--skip-unprepared" in refused.err
    assert counted.code == 0
    for corpus in ("crema-d", "iemocap", "meld", "msp-podcast"):
        assert f"MISSING: {corpus}: not prepared" in counted.out


def test_a_matrix_and_a_list_of_sources_say_two_things(voxemo: Command, base: Path) -> None:
    assert voxemo("transfer", "paper", "--model", base, "--source", "north", "--target", "south").code == 1
    assert voxemo("transfer", "--model", base, "--source", "north").code == 1
    assert voxemo("transfer", "--model", base, "nothing").code == 1
    assert Workspace.default().root.is_dir()
