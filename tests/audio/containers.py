"""Containers made for the tests with PyAV's own encoders, so that none has to be kept."""

from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np

RATE = 48_000
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
SURROUND = ("left", "right", "centre", "low frequency", "back left", "back right")
FORMATS = {
    np.dtype(code): name for code, name in (("u1", "u8"), ("i2", "s16"), ("i4", "s32"), ("f4", "flt"), ("f8", "dbl"))
}


def tones(frequencies_hz: tuple[int, ...], *, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """One tone per channel at 0.4 of full scale, shape (n_frames, n_channels)."""
    times_s = np.arange(round(seconds * rate)) / rate
    waves = [0.4 * np.sin(2 * np.pi * frequency_hz * times_s) for frequency_hz in frequencies_hz]
    return np.stack(waves, axis=1).astype(np.float32)


def loudness(wave: np.ndarray, frequency_hz: int, *, rate: int) -> float:
    """How loud a tone is in the middle of a wave, as its amplitude."""
    middle = wave[len(wave) // 4 : -(len(wave) // 4)]
    tone = np.exp(-2j * np.pi * frequency_hz * np.arange(len(middle)) / rate)
    return float(2 * np.abs(np.mean(middle * tone)))


def encode(
    path: Path,
    *tracks: np.ndarray,
    codec: str,
    rate: int = RATE,
    form: str | None = None,
    sample_format: str | None = None,
    layout: str | None = None,
    video_s: float | None = None,
    default_track: int | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Write samples of shape (n_frames, n_channels), one array per audio track, and a grey video if asked for."""
    with av.open(str(path), "w", format=form, options=dict(options or {})) as out:
        video = None
        if video_s is not None:
            video = out.add_stream("flv1" if path.suffix == ".flv" else "mpeg4", rate=25)
            video.width = video.height = 32
            video.pix_fmt = "yuv420p"
        streams = []
        for number, samples in enumerate(tracks):
            stream = out.add_stream(codec, rate=rate, layout=layout or LAYOUTS[samples.shape[1]])
            if sample_format is not None:
                stream.codec_context.format = sample_format
            if codec == "wmav2":
                stream.bit_rate = 128_000
            if default_track is not None:
                stream.disposition = av.stream.Disposition.default if number == default_track else 0
            streams.append(stream)
        if video is not None:
            for number in range(round(video_s * 25)):
                picture = av.VideoFrame.from_ndarray(np.full((48, 32), 99, np.uint8), format="yuv420p")
                picture.pts = number
                out.mux(video.encode(picture))
            out.mux(video.encode(None))
        for stream, samples in zip(streams, tracks, strict=True):
            for first in range(0, len(samples), 1_000):
                part = np.ascontiguousarray(samples[first : first + 1_000])
                frame = av.AudioFrame.from_ndarray(
                    part.reshape(1, -1), format=FORMATS[part.dtype], layout=layout or LAYOUTS[part.shape[1]]
                )
                frame.sample_rate, frame.pts = rate, first
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path
