"""`voxemo transfer`, and studies with trainings in them, as a user types them."""

import csv
import json
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from voxemo_example.toy import make_toy_corpus

from transfer_world import add_corpus, small_world, tiny_base
from voxemo.catalog import lookup
from voxemo.reports import figures
from voxemo.steps import study as study_step
from voxemo.steps.run import finish_run
from voxemo.steps.transfer import read_matrix
from voxemo.store.layout import Workspace

Command = Callable[..., "Outcome"]  # noqa: F821 the fixture of conftest
QUICK = ["--rank", "2", "--alpha", "4", "--learning-rate", "1e-2", "--epochs", "1", "--device", "cpu"]
ASK = ["--max-new-tokens", "4"]


pytestmark = pytest.mark.usefixtures("quick_training")


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


def test_a_model_is_not_run_on_clips_that_it_was_trained_on_under_another_name(
    voxemo: Command, base: Path, tmp_path: Path
) -> None:
    for corpus in ("north", "south", "mirror"):
        assert voxemo("split", corpus).code == 0
    assert voxemo("train", "north", "--model", base, *QUICK).code == 0
    (card,) = (tmp_path / "home" / "models").glob("*/north/protocol/fold-1/model.json")
    refused = voxemo("plan", "--corpus", "mirror", "--model", card)

    assert (card.with_name("curve.svg").is_file(), card.with_name("curve.png").is_file()) == (True, True)
    assert refused.code == 1
    assert "very samples are in a corpus that it was trained on" in refused.err
    assert voxemo("plan", "--corpus", "south", "--model", card).code == 0


STAND_INS = {"crema-d": "toy", "iemocap": "north", "meld": "south", "msp-podcast": "east"}
"""Small corpora in place of the paper's: the first has votes, four folds and ten prompts."""


def test_the_papers_study_runs_whole_with_small_corpora_and_models_in_their_places(
    voxemo: Command, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Forty runs: what intervals and curves cost is tested elsewhere.
    monkeypatch.setattr(study_step, "finish_run", lambda *given, **more: finish_run(*given, **more | {"resamples": 10}))
    monkeypatch.setattr(figures, "can_draw", lambda: False)
    make_toy_corpus(tmp_path / "toy")
    for path in (tmp_path / "toy" / "clips").glob("*_[!1].wav"):
        path.unlink()
    assert voxemo("prepare", "toy", "--root", tmp_path / "toy", "--partial").code == 0
    add_corpus(Workspace(tmp_path / "home"), tmp_path, "east", labels=("angry", "sad"), language="en", seed=3)
    models = {
        "qwen2-audio-7b-instruct": str(base),
        "audio-flamingo-3": str(tiny_base(tmp_path, "audio-flamingo-3")),
    }
    paper = tomllib.loads((lookup.CATALOG / "studies" / "voxemo-paper.toml").read_text(encoding="utf-8"))
    matrix = {key: [STAND_INS[name] for name in getattr(read_matrix("paper"), key)] for key in ("source", "target")}
    (tmp_path / "paper.toml").write_text("".join(f"{key} = {value}\n" for key, value in matrix.items()))
    tables = []
    for kind in ("run", "train", "transfer"):
        for part in paper[kind]:
            corpora = [STAND_INS[name] for name in part.get("corpus", ()) if name in STAND_INS]
            if kind != "transfer" and not corpora:
                continue
            what = f"matrix = '{tmp_path / 'paper.toml'}'" if kind == "transfer" else f"corpus = {corpora}"
            quick = "" if kind == "run" else "epochs = [1]\n"
            chosen = [models[name] for name in part["model"]]
            tables.append(f"[[{kind}]]\n{what}\nmodel = {chosen}\nlimit = 2\nmax-new-tokens = 4\n{quick}")
    (tmp_path / "study.toml").write_text("\n".join(tables), encoding="utf-8")

    done = voxemo("run", "--study", "study.toml", "--device", "cpu", "--json")

    assert done.code == 0, done.err
    kinds = Counter(path.name.split(".")[2] for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert kinds == {"zero-shot": 2 * 4, "sft": 2 * 4, "transfer": 2 * 12}
    (voted,) = (tmp_path / "runs").glob("toy.tiny-qwen2-audio.zero-shot.*/manifest.json")
    assert len(json.loads(voted.read_text(encoding="utf-8"))["prompts"]) == 10
    for matrix in json.loads(done.out)["matrices"]:
        assert len(matrix["cells"]) == 16
        assert all(cell["value"] is not None and cell["zero_shot"] is not None for cell in matrix["cells"])


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
