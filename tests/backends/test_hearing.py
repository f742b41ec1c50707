from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tiny_checkpoints import tiny_card
from voxemo.backends.base import Waveform
from voxemo.backends.local.hearing import Hearing
from voxemo.backends.local.loading import LoadedModel, load_model
from voxemo.backends.local.log_mel import LogMel

SECONDS = (0.1, 0.4, 1.0, 3.3, 7.77, 29.97, 29.995, 30.0)
AT_MOST = 2e-5
"""Rounding of float32; features are around 1, embeddings around 5."""

Noise = Callable[[float], Waveform]


@pytest.fixture(scope="module")
def extractor() -> Any:
    return transformers.WhisperFeatureExtractor(feature_size=128, chunk_length=30, return_attention_mask=True)


@pytest.fixture
def loaded(checkpoints: dict[str, Path], family_id: str) -> LoadedModel:
    card = tiny_card(checkpoints[family_id], family_id)
    return load_model(card, device="cpu", dtype=None, trust_remote_code=False)


@pytest.mark.parametrize("seconds", SECONDS)
def test_features_are_whispers_without_its_padding(extractor: Any, noise: Noise, seconds: float) -> None:
    samples, log_mel = noise(seconds), LogMel.of(extractor)
    whole = extractor(samples, sampling_rate=16_000, return_attention_mask=True, return_tensors="pt")
    n_frames = log_mel.n_frames(len(samples))
    width = min(3000, n_frames + 8)

    features = log_mel(samples, n_frames=width)

    assert n_frames == int(whole["attention_mask"].sum())
    assert torch.allclose(features, whole["input_features"][0, :, :width], atol=AT_MOST, rtol=0)


def test_silence_has_features_too(extractor: Any) -> None:
    silence = np.zeros(16_000, np.float32)

    features = LogMel.of(extractor)(silence, n_frames=108)

    assert torch.equal(features, torch.full((128, 108), -1.5))


def by_the_models_own_forward(loaded: LoadedModel, samples: Waveform) -> torch.Tensor:
    """Embeddings at the places of the audio tokens, from the whole padded windows."""
    inputs = loaded.processor(
        text=[loaded.processor.audio_token],
        audio=[samples],
        return_tensors="pt",
        audio_kwargs={"sampling_rate": 16_000},
    )
    seen = {}
    language_model = loaded.model.model.language_model
    hook = language_model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.update(embeddings=kwargs["inputs_embeds"]), with_kwargs=True
    )
    with torch.inference_mode():
        loaded.model(**inputs)
    hook.remove()
    return seen["embeddings"][inputs["input_ids"] == loaded.model.config.audio_token_id]


@pytest.mark.parametrize("seconds", [*SECONDS, 31.0, 45.0])
def test_a_clip_is_heard_as_the_models_own_forward_hears_it(
    loaded: LoadedModel, family_id: str, noise: Noise, seconds: float
) -> None:
    if family_id == "qwen2-audio":
        seconds = min(seconds, 30.0)
    samples = noise(seconds)

    (heard,) = Hearing(loaded.model, loaded.processor.feature_extractor).embed([samples])

    expected = by_the_models_own_forward(loaded, samples)
    assert heard.shape == expected.shape
    assert torch.allclose(heard, expected, atol=AT_MOST * float(expected.abs().max()), rtol=0)


def test_clips_are_heard_as_they_are_alone_whatever_stands_beside_them(loaded: LoadedModel, noise: Noise) -> None:
    hearing = Hearing(loaded.model, loaded.processor.feature_extractor)
    clips = [noise(seconds) for seconds in (3.3, 0.1, 12.0, *np.linspace(0.2, 4.0, 20))]

    together = hearing.embed(clips)

    for clip, heard in zip(clips, together, strict=True):
        (alone,) = hearing.embed([clip])
        assert heard.shape == alone.shape
        assert torch.allclose(heard, alone, atol=AT_MOST * float(alone.abs().max()), rtol=0)


def test_no_clips_give_no_embeddings(loaded: LoadedModel) -> None:
    assert Hearing(loaded.model, loaded.processor.feature_extractor).embed([]) == []
