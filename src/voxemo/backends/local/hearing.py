"""From clips to what the language model is given of them: one embedding per audio token, each clip encoded once.

Only the real frames go through the audio tower. Its padded frames are masked for every position that is kept, so that
leaving them out changes nothing but the time it takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from voxemo.audio.load import SAMPLE_RATE_HZ, Waveform
from voxemo.backends.local.audio_tower import encode_positions, pool_positions, pooled_positions, window_frames
from voxemo.backends.local.log_mel import LogMel

WINDOWS_TOGETHER = 16


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A clip, or as much of it as the tower hears at once."""

    features: torch.Tensor
    """Log-mel, shape (n_mels, width), a little wider than it has frames; on the CPU."""
    n_frames: int


class Hearing:
    """The audio half of a loaded model.

    Args:
        model: of a family whose audio tower is Whisper's encoder with pooling.
        feature_extractor: the checkpoint's ``WhisperFeatureExtractor``.
    """

    def __init__(self, model: Any, feature_extractor: Any) -> None:
        self._tower, self._projector = model.model.audio_tower, model.model.multi_modal_projector
        self._log_mel = LogMel.of(feature_extractor)
        self._window = feature_extractor.chunk_length * SAMPLE_RATE_HZ
        self._most_frames = feature_extractor.nb_max_frames
        self._device, self._dtype = model.device, model.dtype

    def embed(self, clips: Sequence[Waveform]) -> list[torch.Tensor]:
        """Embeddings of each clip, shape (n_audio_tokens, width), on the model's device in its dtype.

        A clip longer than the tower's window is heard window by window.

        Args:
            clips: mono at 16 kHz, shape (n_samples,), long enough for one audio token each.
        """
        return self.embed_features([self.features(clip) for clip in clips])

    def features(self, clip: Waveform) -> list[Window]:
        """Log-mel features of each window of a clip. It touches no device, so that threads can do it ahead."""
        parts = [clip[start : start + self._window] for start in range(0, len(clip), self._window)]
        lengths = [self._log_mel.n_frames(len(part)) for part in parts]
        return [
            Window(self._log_mel(part, n_frames=window_frames(n, most=self._most_frames)), n)
            for part, n in zip(parts, lengths, strict=True)
        ]

    def embed_features(self, clips: Sequence[Sequence[Window]]) -> list[torch.Tensor]:
        """As `embed`, from what `features` gives of each clip."""
        windows = [(place, window) for place, clip in enumerate(clips) for window in clip]
        # Windows of like length together waste little on padding.
        order = sorted(range(len(windows)), key=lambda number: -windows[number][1].n_frames)
        found: dict[int, torch.Tensor] = {}
        for first in range(0, len(order), WINDOWS_TOGETHER):
            numbers = order[first : first + WINDOWS_TOGETHER]
            found.update(zip(numbers, self._embed_windows([windows[n][1] for n in numbers]), strict=True))
        pieces: list[list[torch.Tensor]] = [[] for _ in clips]
        for number, (place, _) in enumerate(windows):
            pieces[place].append(found[number])
        return [torch.cat(own) for own in pieces]

    def _embed_windows(self, windows: Sequence[Window]) -> list[torch.Tensor]:
        width = max(window.features.shape[1] for window in windows)
        features = torch.stack([_widened(window.features, width) for window in windows])
        n_heard = torch.tensor([window.n_frames for window in windows])
        n_tokens = pooled_positions(n_heard).tolist()
        n_heard = n_heard.to(self._device)
        with torch.inference_mode():
            hidden = encode_positions(self._tower, features.to(self._device, self._dtype), n_heard)
            embeddings = self._projector(pool_positions(self._tower, hidden))
        return [row[:n] for row, n in zip(embeddings, n_tokens, strict=True)]


def _widened(features: torch.Tensor, width: int) -> torch.Tensor:
    """Features with silence behind them: the last frame of a narrower clip lies beyond its end and is silent."""
    return torch.cat([features, features[:, -1:].expand(-1, width - features.shape[1])], dim=1)
