"""A Whisper-like audio tower run on the real frames only, without the 30 s of padding that its own forward wants."""

from typing import Any

import torch
from torch.nn import functional

POSITIONS_PER_FRAME = 2
"""Mel frames that the second convolution makes one position of."""


def window_frames(n_frames: int, *, most: int) -> int:
    """Frames to give to the tower for a longest clip of so many: a little more, since its convolutions look ahead."""
    return min(most, -(-(n_frames + 8) // 4) * 4)


def positions(n_frames: torch.Tensor) -> torch.Tensor:
    """Positions in which clips of so many frames are heard, before pooling."""
    return (n_frames - 1) // POSITIONS_PER_FRAME + 1


def pooled_positions(n_frames: torch.Tensor) -> torch.Tensor:
    """Positions after pooling, which are audio tokens."""
    return (positions(n_frames) - 2) // 2 + 1


def encode_positions(tower: Any, features: torch.Tensor, n_frames: torch.Tensor) -> torch.Tensor:
    """Output of the tower's layers before pooling, shape (n_clips, n_positions, d_model).

    Args:
        tower: a ``Qwen2AudioEncoder``.
        features: log-mel, shape (n_clips, n_mels, width); ``width`` from ``window_frames`` and even.
        n_frames: of each clip, shape (n_clips,). What lies beyond is heard by no position of the clip.
    """
    hidden = functional.gelu(tower.conv2(functional.gelu(tower.conv1(features)))).transpose(1, 2)
    width = hidden.shape[1]
    hidden = hidden + tower.embed_positions.weight[:width]
    heard = torch.arange(width, device=hidden.device) < positions(n_frames)[:, None]
    mask = torch.zeros(heard.shape, dtype=hidden.dtype, device=hidden.device)
    mask = mask.masked_fill(~heard, torch.finfo(hidden.dtype).min)[:, None, None, :].expand(-1, 1, width, -1)
    for layer in tower.layers:
        hidden = layer(hidden, mask)
    return hidden


def pool_positions(tower: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Pooled output of the tower: two positions to one, shape (n_clips, n_positions // 2, d_model)."""
    return tower.layer_norm(tower.avg_pooler(hidden.transpose(1, 2)).transpose(1, 2))
