"""Audio Flamingo 3: clips are split into 30-s windows by its processor, up to ten minutes."""

from typing import Any

from voxemo.backends.local.families.base import Family, whisper_audio_tokens


def _all_windows_s(processor: Any) -> float:
    window_s = processor.feature_extractor.chunk_length
    return float(processor.max_audio_len // window_s * window_s)


AUDIO_FLAMINGO3 = Family(
    family_id="audio-flamingo-3",
    architecture="AudioFlamingo3ForConditionalGeneration",
    min_audio_tokens=1,
    n_audio_tokens=whisper_audio_tokens,
    longest_s=_all_windows_s,
)
