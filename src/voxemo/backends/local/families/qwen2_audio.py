"""Qwen2-Audio: one 30-s window per clip; its processor cuts longer clips without a word."""

from typing import Any

from voxemo.backends.local.families.base import Family, whisper_audio_tokens


def _window_s(processor: Any) -> float:
    return float(processor.feature_extractor.chunk_length)


QWEN2_AUDIO = Family(
    family_id="qwen2-audio",
    architecture="Qwen2AudioForConditionalGeneration",
    # A batch in which no clip has two audio tokens is taken for one of the old, unexpanded kind: generate then fails.
    min_audio_tokens=2,
    n_audio_tokens=whisper_audio_tokens,
    longest_s=_window_s,
)
