"""Samples as a file holds them, and what every decoder refuses."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxemo.core.errors import AudioError

SEGMENT_SLACK_S = 0.01
"""Providers round the ends of segments, so the last one of a recording may end this much after it."""

LOST_SHARE = 0.01
"""How much of a file may be missing: writers are wrong by the size of a header, and times are rounded."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """Samples as they stand in the file, before any resampling."""

    samples: npt.NDArray[np.float32]
    """Shape (n_frames, n_channels), at least one frame, all finite. Integer formats give values in -1 to 1."""
    sample_rate_hz: int
    lossy: bool
    """The codec lost something, so another decoder version may give slightly other samples."""
    low_frequency: tuple[int, ...] = ()
    """Channels for effects of low frequency (the ".1" of 5.1), which no voice is in and ``to_waveform`` leaves out.

    Empty where the file does not say so: then all channels are alike.
    """

    @property
    def n_channels(self) -> int:
        """Number of channels, those of low frequency included."""
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds, above 0."""
        return len(self.samples) / self.sample_rate_hz


def segment_frames(
    n_frames: int, sample_rate_hz: int, start_s: float | None, end_s: float | None, place: str
) -> tuple[int, int]:
    """First frame of a segment, and the one after its last, both within the file.

    Raises:
        AudioError: the segment is empty, or outside the file by more than ``SEGMENT_SLACK_S``.
    """
    if start_s is None and end_s is None:
        return 0, n_frames
    duration_s = n_frames / sample_rate_hz
    first_s = 0.0 if start_s is None else start_s
    last_s = duration_s if end_s is None else end_s
    if not 0 <= first_s < last_s <= duration_s + SEGMENT_SLACK_S:
        outside = f"the segment {first_s:g} to {last_s:g} s is outside the file, which lasts {duration_s:g} s"
        raise AudioError(place, outside, kind="outside")
    stop = min(round(last_s * sample_rate_hz), n_frames)
    return min(round(first_s * sample_rate_hz), stop), stop


def cut_short(place: str, present: float, declared: float, what: str) -> AudioError:
    """The error to raise where less is there than a file says."""
    reason = f"it is cut short: {present} of the {declared} {what} that its header declares are there"
    return AudioError(place, reason, kind="truncated")


def refuse_not_numbers(samples: npt.NDArray[np.float32], place: str) -> None:
    """Refuse samples that are infinite or not numbers.

    Raises:
        AudioError: any is.
    """
    if not np.isfinite(samples).all():
        raise AudioError(place, "some of its samples are infinite or not numbers", kind="not_numbers")


def refuse_zero_frames(n_frames: int, place: str) -> None:
    """Refuse a file or segment without a frame.

    Raises:
        AudioError: there is none.
    """
    if n_frames == 0:
        raise AudioError(place, "it holds no audio (zero frames)", kind="zero_length")


def to_float(raw: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Integers over the size of their range, as libsndfile has it: 8 bits are unsigned around 128."""
    if raw.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is too large for 32 bits becomes infinite, and is refused as such
            return raw.astype(np.float32, copy=False)
    if raw.dtype == np.uint8:
        return to_float((raw ^ 0x80).view(np.int8))
    scaled: npt.NDArray[np.float32] = np.multiply(raw, np.float32(2.0 ** (1 - 8 * raw.itemsize)), dtype=np.float32)
    return scaled
