"""From clips to what the language model is given of them: one embedding per audio token, each clip encoded once.

Only the real frames go through the audio tower. Its padded frames are masked for every position that is kept, so that
leaving them out changes nothing but the time it takes.
"""

from collections.abc import Sequence
from typing import Any

import torch

from voxemo.audio.load import SAMPLE_RATE_HZ, Waveform
from voxemo.backends.local.audio_tower import encode_positions, pool_positions, pooled_positions, window_frames
from voxemo.backends.local.log_mel import LogMel

WINDOWS_TOGETHER = 16


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
        windows = [
            (place, clip[start : start + self._window])
            for place, clip in enumerate(clips)
            for start in range(0, len(clip), self._window)
        ]
        # Windows of like length together waste little on padding.
        order = sorted(range(len(windows)), key=lambda number: -len(windows[number][1]))
        found: dict[int, torch.Tensor] = {}
        for first in range(0, len(order), WINDOWS_TOGETHER):
            numbers = order[first : first + WINDOWS_TOGETHER]
            found.update(zip(numbers, self._embed_windows([windows[n][1] for n in numbers]), strict=True))
        pieces: list[list[torch.Tensor]] = [[] for _ in clips]
        for number, (place, _) in enumerate(windows):
            pieces[place].append(found[number])
        return [torch.cat(own) for own in pieces]

    def _embed_windows(self, windows: Sequence[Waveform]) -> list[torch.Tensor]:
        n_frames = [self._log_mel.n_frames(len(window)) for window in windows]
        width = window_frames(max(n_frames), most=self._most_frames)
        features = torch.stack([self._log_mel(window, n_frames=width) for window in windows])
        n_heard = torch.tensor(n_frames, device=self._device)
        with torch.inference_mode():
            hidden = encode_positions(self._tower, features.to(self._device, self._dtype), n_heard)
            embeddings = self._projector(pool_positions(self._tower, hidden))
        n_tokens = pooled_positions(n_heard).tolist()
        return [row[:n] for row, n in zip(embeddings, n_tokens, strict=True)]
