"""Clips are heard once, and what was heard is kept for those who heard the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from schools import Load, School
from voxemo.audio.load import Waveform
from voxemo.backends.local.hearing import Hearing
from voxemo.core.cards import AudioLimits
from voxemo.core.errors import AudioError, RunError, TrainingError
from voxemo.training import embeddings as module
from voxemo.training.embeddings import Embeddings, embedding_key, encoder_sha256, hear_all
from voxemo.training.processes import Processes

LIMITS = AudioLimits(max_s=30.0)


def hear(school: School, folder: Path, clips: dict[str, Callable[[], Waveform]], **given: Any) -> dict[str, str]:
    return hear_all(
        clips,
        Hearing(school.loaded.model, school.loaded.processor.feature_extractor),
        Embeddings(folder),
        **({"family": school.loaded.family, "limits": LIMITS} | given),
    )


def loaders(school: School) -> dict[str, Callable[[], Waveform]]:
    return {key: lambda key=key: school.samples[key] for key in school.samples}  # type: ignore[misc]


def test_kept_embeddings_are_what_the_model_hears(school: School, tmp_path: Path) -> None:
    assert hear(school, tmp_path, loaders(school)) == {}
    kept = Embeddings(tmp_path)

    assert set(kept) == set(school.samples)
    assert len(kept) == len(school.samples)
    assert all(torch.equal(kept[key], school.embeddings[key]) for key in kept)


def test_what_is_kept_is_not_heard_again(qwen_school: School, tmp_path: Path) -> None:
    hear(qwen_school, tmp_path, loaders(qwen_school))
    files = sorted(tmp_path.iterdir())

    def refuse() -> Waveform:
        raise AssertionError("the clip was decoded again")

    told: list[tuple[int, int]] = []
    hear(qwen_school, tmp_path, dict.fromkeys(qwen_school.samples, refuse), on_progress=lambda *done: told.append(done))

    assert sorted(tmp_path.iterdir()) == files
    assert told == [(7, 7)]


def test_an_interruption_keeps_what_was_heard_and_the_rest_is_heard_as_it_would_have_been(
    qwen_school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLIPS_A_FILE", 2)
    hear(qwen_school, tmp_path / "whole", loaders(qwen_school))
    clips = loaders(qwen_school)

    def fail() -> Waveform:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hear(qwen_school, tmp_path / "cut", {**clips, "clip5": fail})
    assert sorted(Embeddings(tmp_path / "cut")) == ["clip0", "clip1", "clip2", "clip3"]
    hear(qwen_school, tmp_path / "cut", clips)

    whole, cut = Embeddings(tmp_path / "whole"), Embeddings(tmp_path / "cut")
    assert all(torch.equal(cut[key], whole[key]) for key in whole)


def test_processes_share_the_clips_out(qwen_school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLIPS_A_FILE", 2)
    monkeypatch.setattr(Processes, "wait", lambda self: None)
    for rank in range(2):
        hear(qwen_school, tmp_path, loaders(qwen_school), processes=Processes(rank, 2))
        assert len(Embeddings(tmp_path)) == (4, 7)[rank]


def test_clips_that_cannot_be_heard_are_named_with_the_reason(qwen_school: School, tmp_path: Path) -> None:
    def broken() -> Waveform:
        raise AudioError("a.wav", "it is empty")

    clips = {
        **loaders(qwen_school),
        "broken": broken,
        "noise": lambda: np.full(16_000, np.nan, np.float32),
        "long": lambda: np.zeros(32_000, np.float32),
    }
    refused = hear(qwen_school, tmp_path, clips, limits=AudioLimits(max_s=1.5, beyond="error"))

    assert refused["broken"] == "a.wav: it is empty"
    assert "not finite" in refused["noise"]
    assert "refuses more than 1.5 s" in refused["long"]
    assert not {"broken", "noise", "long"} & set(Embeddings(tmp_path))


def test_another_number_of_audio_tokens_than_due_is_an_error(
    qwen_school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Hearing.embed
    monkeypatch.setattr(Hearing, "embed", lambda self, clips: [one[:-1] for one in plain(self, clips)])

    with pytest.raises(TrainingError, match="9 audio tokens where it should give 10"):
        hear(qwen_school, tmp_path, {"clip0": loaders(qwen_school)["clip0"]})


def test_a_full_disk_leaves_no_file_that_looks_whole(
    qwen_school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="No space"):
        hear(qwen_school, tmp_path, loaders(qwen_school))

    assert list(tmp_path.iterdir()) == []


def test_bfloat16_is_kept_as_it_is(tmp_path: Path) -> None:
    tensor = torch.randn(3, 4).bfloat16()
    kept = Embeddings(tmp_path)
    kept.add({"a": tensor})

    assert torch.equal(Embeddings(tmp_path)["a"], tensor)
    assert kept["a"].dtype == torch.bfloat16


def test_another_encoder_dtype_or_limit_has_embeddings_of_its_own(load_tiny: Load) -> None:
    def named(change: Callable[[Any], Any]) -> str:
        loaded = load_tiny("qwen2-audio")
        change(loaded.model)
        return encoder_sha256(loaded.model, loaded.processor.feature_extractor)

    same = named(lambda model: None)
    assert named(lambda model: model.lm_head.weight.data.zero_()) == same
    changed = {
        named(lambda model: model.model.audio_tower.conv1.weight.data.mul_(2)),
        named(lambda model: model.model.multi_modal_projector.linear.weight.data.mul_(2)),
        named(lambda model: model.bfloat16()),
    }

    assert len(changed | {same}) == 4
    assert embedding_key("a", LIMITS) != embedding_key("a", AudioLimits(max_s=10.0))
