"""`voxemo doctor` as a user meets it: exit code, text and JSON, for a model that hears and one that is deaf."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tiny_checkpoints import build_qwen2_audio, tiny_card
from voxemo.backends.local.engine import LocalBackend
from voxemo.backends.local.hearing import Hearing
from voxemo.core.types import Generation
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.store.layout import Workspace

pytestmark = pytest.mark.usefixtures("quick_training")

Command = Callable[..., "Outcome"]  # noqa: F821 the fixture of conftest


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card of a tiny checkpoint. Not to be changed."""
    folder = tmp_path_factory.mktemp("tiny")
    path = folder / "card.json"
    path.write_text(tiny_card(build_qwen2_audio(folder / "model"), "qwen2-audio").model_dump_json(), encoding="utf-8")
    return path


@pytest.fixture
def run(workspace: Workspace, card: Path, tmp_path: Path) -> Path:
    """A planned run of eight clips, asked two prompts."""
    options = PlanOptions(
        generation=Generation(max_new_tokens=8),
        forms=("hard",),
        variants=("direct", "transcript_caption_reasoning"),
        limit=8,
    )
    return plan_run(workspace, tmp_path / "runs", corpus="toy", model=str(card), options=options)


@pytest.fixture
def asked(voxemo: Command, workspace: Workspace) -> Command:
    """Run a command on the toy corpus's workspace, on the CPU."""
    return lambda *words: voxemo(*words, "--workspace", workspace.root, "--device", "cpu", "--batch-size", "4")


def deafen(monkeypatch: pytest.MonkeyPatch) -> None:
    embed = Hearing.embed_features
    monkeypatch.setattr(
        Hearing, "embed_features", lambda self, clips: [torch.zeros_like(one) for one in embed(self, clips)]
    )


def test_doctor_hearing_passes_a_model_that_hears_and_names_the_next_command(asked: Command, run: Path) -> None:
    found = asked("doctor", "hearing", run, "-n", "4")

    assert found.code == 0
    assert "tiny-qwen2-audio: 4 clips, prompt transcript_caption_reasoning (hard)\n" in found.out
    assert "NOT CHECKED: the number of audio tokens against the clip's length: the model's card declares" in found.out
    assert "It hears: its answers depend on the audio.\n" in found.out
    assert "wrote " in found.out
    assert "Next: voxemo infer " in found.out


def test_doctor_hearing_stops_a_deaf_model_with_what_was_found(
    asked: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deafen(monkeypatch)

    found = asked("doctor", "hearing", run, "-n", "4")

    assert found.code == 1
    assert "silence   in place of the clip: 0 of 4 answers change\n" in found.out
    assert "STOP: this model does not seem to hear.\n" in found.out
    assert "4 of 4 answers stay the same, letter by letter, when noise of the same length" in found.out
    assert "Next:" not in found.out


@pytest.mark.parametrize("is_deaf", [False, True], ids=["hearing", "deaf"])
def test_doctor_hearing_is_json_on_request_with_the_same_exit_code(
    asked: Command, run: Path, monkeypatch: pytest.MonkeyPatch, is_deaf: bool
) -> None:
    if is_deaf:
        deafen(monkeypatch)

    found = asked("doctor", "hearing", run, "-n", "4", "--json")

    assert found.code == int(is_deaf)
    said = json.loads(found.out)
    assert (said["model_id"], said["n_clips"], said["variant_id"]) == (
        "tiny-qwen2-audio",
        4,
        "transcript_caption_reasoning",
    )
    assert bool(said["problems"]) == is_deaf
    assert (said["changed"]["silence"] == 0) == is_deaf
    assert said["not_checked"]


def test_doctor_parity_says_that_nothing_differs_in_float32(asked: Command, run: Path) -> None:
    found = asked("doctor", "parity", run, "-n", "2")

    assert found.code == 0
    assert "tiny-qwen2-audio in float32 on cpu: 2 clips, 4 questions\n" in found.out
    assert "answers whose tokens differ: 0 of 4; labels that differ: 0\n" in found.out
    assert "NOT EXACT" not in found.out
    assert (run / "checks" / "parity.json").exists()


@pytest.mark.parametrize(("dtype", "code"), [("float32", 1), ("bfloat16", 0)])
def test_doctor_parity_fails_on_a_flip_where_the_dtype_promises_none(
    asked: Command, run: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, code: int
) -> None:
    answer = LocalBackend.answer

    def wrong(self: LocalBackend, questions: list[object]) -> list[object]:
        first, *others = answer(self, questions)  # type: ignore[arg-type]
        return [replace(first, text="FINAL LABEL: Sad"), *others]

    monkeypatch.setattr(LocalBackend, "answer", wrong)

    text = asked("doctor", "parity", run, "-n", "2", "--dtype", dtype)
    parsed = asked("doctor", "parity", run, "-n", "2", "--dtype", dtype, "--json")

    assert (text.code, parsed.code) == (code, code)
    assert ("NOT EXACT" in text.out) == bool(code)
    assert "    fast:  'FINAL LABEL: Sad'\n" in text.out
    said = json.loads(parsed.out)
    assert said["dtype"] == dtype
    assert said["n_answers_differ"] == len(said["first_tokens"]) >= 1
    assert said["first_tokens"][0] == 1


def test_infer_prints_where_its_time_went_and_how_long_the_device_waited(asked: Command, run: Path) -> None:
    found = asked("infer", run, "--limit", "4")

    assert found.code == 0
    (line,) = [line for line in found.out.splitlines() if line.startswith("  time: ")]
    assert all(f"{stage} " in line for stage in ("waiting for audio", "hearing", "answering", "around the model"))
    assert "; the device was idle for " in line
