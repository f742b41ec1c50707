"""`voxemo train` of a speech LLM, and `voxemo train merge`, as a user types them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from voxemo_example.toy import make_toy_corpus

from tiny_checkpoints import build_qwen2_audio, tiny_card
from voxemo.store.layout import MODEL_CARD

Command = Callable[..., "Outcome"]  # noqa: F821 the fixture of conftest
QUICK = ["--rank", "2", "--alpha", "4", "--learning-rate", "1e-2", "--epochs", "1", "--device", "cpu"]


pytestmark = pytest.mark.usefixtures("quick_training")


@pytest.fixture
def base(voxemo: Command, tmp_path: Path) -> Path:
    """Path to the card of a tiny model, in a workspace with a fifth of the toy corpus."""
    make_toy_corpus(tmp_path / "corpus")
    for path in (tmp_path / "corpus" / "clips").glob("*_[!1].wav"):
        path.unlink()
    assert voxemo("prepare", "toy", "--root", tmp_path / "corpus", "--partial").code == 0
    assert voxemo("split", "toy").code == 0
    card = tiny_card(build_qwen2_audio(tmp_path / "checkpoint"), "qwen2-audio")
    (tmp_path / "tiny.json").write_text(card.model_dump_json())
    return tmp_path / "tiny.json"


def test_training_and_scoring_all_folds_is_one_command_and_one_row(voxemo: Command, base: Path) -> None:
    done = voxemo("train", "toy", "--model", base, *QUICK, "--run")

    assert done.code == 0, done.err
    assert "fold 1, epoch 1: loss" in done.out
    assert "validation loss" in done.out
    assert "3,584 parameters were trained" in done.out
    assert len([line for line in done.out.splitlines() if line.startswith("tiny-qwen2-audio-sft")]) == 1
    assert "fine-tuning: rank = 2 (protocol: 8)" in done.out


def test_what_is_trained_can_be_run_by_name_and_merged(voxemo: Command, base: Path, tmp_path: Path) -> None:
    done = voxemo("train", "toy", "--model", base, *QUICK, "--fold", "1", "--name", "mine")
    again = voxemo("train", "toy", "--model", base, *QUICK, "--fold", "1", "--name", "mine")
    card = tmp_path / "home" / "models" / "mine" / "toy" / "protocol" / "fold-1" / MODEL_CARD
    merged = voxemo("train", "merge", card, "--out", tmp_path / "merged")

    assert "next: voxemo run --corpus toy --model mine" in done.out
    assert "epoch" not in again.out
    assert again.code == 0
    assert merged.code == 0, merged.err
    assert "mine-merged" in merged.out
    assert "the adapter changes logits by up to" in merged.out
    assert voxemo("plan", "--corpus", "toy", "--model", "mine", "--fold", "1").code == 0
    assert voxemo("plan", "--corpus", "toy", "--model", tmp_path / "merged" / MODEL_CARD).code == 0


def test_cards_are_json_on_request(voxemo: Command, base: Path) -> None:
    cards = json.loads(voxemo("train", "toy", "--model", base, *QUICK, "--fold", "1", "--json").out)

    assert cards["1"]["training"]["recipe"]["rank"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "acoustic-baseline", "--rank", "4"), "options of fine-tuning are for speech LLMs"),
        (("--model", "voxemo-tiny", "--course", "up"), "course = 'up'"),
        (("--model", "voxemo-tiny", "--epochs", "0"), "n_epochs = 0"),
        (("--model", "nobody"), "no model called 'nobody'"),
    ],
    ids=lambda given: given if isinstance(given, str) else given[-2],
)
def test_what_cannot_be_trained_is_said_before_anything_is_read(
    voxemo: Command, words: tuple[str, ...], said: str
) -> None:
    done = voxemo("train", "toy", *words)

    assert done.code == 1
    assert said in done.err


def test_help_of_train_names_both_of_its_forms(voxemo: Command) -> None:
    assert "voxemo train CORPUS" in " ".join(voxemo("train", "--help").out.split())
    assert "--learning-rate" in voxemo("train", "corpus", "--help").out
    assert "--out" in voxemo("train", "merge", "--help").out
