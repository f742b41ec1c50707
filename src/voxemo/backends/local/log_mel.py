"""Log-mel features of the real frames only: what Whisper's feature extractor gives, without its 30 s of silence."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from voxemo.audio.load import Waveform

DYNAMIC_RANGE = 8.0
"""Powers of ten: what lies further below the loudest is cut off."""
LEAST = -10.0
"""Power of ten of the least value."""


@dataclass(frozen=True, slots=True, eq=False)
class LogMel:
    """The features of one checkpoint.

    Args:
        filters: triangular filters, shape (n_mels, n_fft // 2 + 1).
        window: shape (n_fft,).
        hop: samples between two frames.
    """

    filters: torch.Tensor
    window: torch.Tensor
    hop: int

    @classmethod
    def of(cls, feature_extractor: Any) -> "LogMel":
        """The same features as those of a ``WhisperFeatureExtractor``."""
        return cls(
            filters=torch.tensor(feature_extractor.mel_filters).T.float().contiguous(),
            window=torch.hann_window(feature_extractor.n_fft),
            hop=feature_extractor.hop_length,
        )

    def n_frames(self, n_samples: int) -> int:
        """Frames in which a clip is heard: one begun hop each."""
        return -(-n_samples // self.hop)

    def __call__(self, samples: Waveform, *, n_frames: int) -> torch.Tensor:
        """Features of a clip, shape (n_mels, n_frames); silence beyond its end.

        Args:
            samples: mono at the checkpoint's rate, shape (n_samples,).
            n_frames: at least two more than the clip has, since the last window reaches beyond its end.
        """
        waveform = torch.from_numpy(samples)
        padded = functional.pad(waveform, (0, n_frames * self.hop - len(waveform)))
        spectrum = torch.stft(padded, len(self.window), self.hop, window=self.window, return_complex=True)[:, :-1]
        power = torch.view_as_real(spectrum).square().sum(-1)
        mel = (self.filters @ power).clamp_(min=10**LEAST).log10_()
        return (torch.maximum(mel, mel.max() - DYNAMIC_RANGE) + 4.0) / 4.0
