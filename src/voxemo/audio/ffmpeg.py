"""Containers that libsndfile does not know, read with FFmpeg through PyAV: MP4, Matroska, AVI and others."""

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxemo.audio.decoded import (
    LOST_SHARE,
    Decoded,
    cut_short,
    refuse_not_numbers,
    refuse_zero_frames,
    segment_frames,
    to_float,
)
from voxemo.core.errors import AudioError

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer
    from av.stream import Stream

FFMPEG_CONTAINERS = re.compile(
    rb"""(?P<mov>....(?:ftyp|moov|mdat|wide|free|skip))
    |(?P<matroska>\x1aE\xdf\xa3)
    |(?P<avi>RIFF....AVI\ )
    |(?P<flv>FLV\x01)
    |(?P<asf>0&\xb2u\x8ef\xcf\x11)
    |(?P<mpeg>\x00\x00\x01\xba)
    |(?P<mpegts>G.{187}G.{187}G)
    |(?P<aac>\xff[\xf0\xf1\xf8\xf9])
    |(?P<amr>\#!AMR)
    |(?P<wv>wvpk)""",
    re.DOTALL | re.VERBOSE,
)
"""How a file begins that FFmpeg is asked to read, by the name of the demuxer that reads it.

Naming the demuxer keeps a file from being taken for a playlist that makes FFmpeg open other files or addresses.
"""

STATE_NO_LENGTH = frozenset({"aac", "amr", "mpeg", "mpegts"})
"""Streams without a table of contents, for which FFmpeg estimates a length from the size of the file."""
MATROSKA_LENGTH = re.compile(r"(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>[\d.]+)")
LOW_FREQUENCY_NAMES = frozenset({"LFE", "LFE2"})

ASF_SIZE = re.compile(
    rb"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65.{24}(?P<size>.{8})", re.DOTALL
)

WITHHELD_S = 0.01
WITHHELD_LOSSY_S = 0.1
"""How much sooner than its container says a whole stream may end: times are rounded, and codecs hold samples back."""


def decode_container(
    path: Path, demuxer: str, head: bytes, start_s: float | None, end_s: float | None, place: str
) -> Decoded:
    """Decode the audio of a container, or a segment of it, as ``load.decode`` describes.

    Args:
        path: the file.
        demuxer: FFmpeg's name of the container, by ``FFMPEG_CONTAINERS``.
        head: how the file begins.
        start_s: start of the segment; None for the start of the file.
        end_s: end of the segment; None for the end of the file.
        place: what error messages call the file.

    Raises:
        AudioError: as ``load.decode``.
    """
    import av  # by far the slowest import here, and most corpora need none of it

    declared_bytes = _mov_bytes(path) if demuxer == "mov" else _asf_bytes(head)
    present_bytes = path.stat().st_size
    if present_bytes < (1 - LOST_SHARE) * declared_bytes:
        raise cut_short(place, present_bytes, declared_bytes, "bytes")
    try:
        # "file:" keeps a name with a colon from being read as an address; tags need not be UTF-8.
        with av.open(f"file:{path}", format=demuxer, metadata_errors="replace") as container:
            return _decode_opened(container, start_s, end_s, place)
    except av.FFmpegError as cause:
        raise AudioError(place, f"it cannot be decoded (FFmpeg: {cause.strerror})") from cause


def _asf_bytes(head: bytes) -> int:
    """The size that a Windows Media file states, or 0. Where it is another, FFmpeg makes up the length."""
    stated = ASF_SIZE.search(head)
    return int.from_bytes(stated["size"], "little") if stated else 0


def _mov_bytes(path: Path) -> int:
    """Where the last box of an MP4 ends. Its table of contents is often the last, and FFmpeg makes do with a part."""
    present, end = path.stat().st_size, 0
    with path.open("rb") as file:
        while end < present:
            file.seek(end)
            header = file.read(16)
            size = int.from_bytes(header[:4], "big")
            if size == 1:  # the real one is too large for four bytes
                size = int.from_bytes(header[8:], "big")
            if size < 8:  # up to the end of the file, wherever that is
                break
            end += size
    return end


@dataclass(slots=True)
class _Progress:
    """How far a container was read."""

    reached_s: float = 0.0
    """The latest end of a packet, on the container's clock."""
    n_packets: int = 0
    n_lost: int = 0
    why_lost: str | None = None


def _decode_opened(container: "InputContainer", start_s: float | None, end_s: float | None, place: str) -> Decoded:
    stream = _audio_stream(container, place)
    codec = stream.codec_context.codec
    lossy = codec.lossy or not codec.lossless
    declared_s, witnesses = _declared_s(container, stream)
    # Bounds that fit no file are refused below, where the length of this one is known.
    possible = 0 <= (start_s or 0.0) < (math.inf if end_s is None else end_s)
    rate = 0
    low_frequency: tuple[int, ...] = ()
    first, enough = 0.0, math.inf
    n_frames = n_skipped = 0
    kept: list[npt.NDArray[np.float32]] = []
    progress = _Progress()
    for frame in _interleaved(_audio_frames(container, stream, witnesses, progress), place):
        if n_frames == 0:
            rate = frame.sample_rate
            names = [channel.name for channel in frame.layout.channels]
            low_frequency = tuple(at for at, name in enumerate(names) if name in LOW_FREQUENCY_NAMES)
            if possible:  # one frame to each side, for the rounding
                first = (start_s or 0.0) * rate - 1
                enough = math.inf if end_s is None else end_s * rate + 1
        n_frames += frame.samples
        if n_frames > first:
            kept.append(to_float(frame.to_ndarray().reshape(frame.samples, -1)))
        else:
            n_skipped = n_frames
        if n_frames >= enough:
            break
    else:
        _refuse_short(max(progress.reached_s, n_frames / max(rate, 1)), declared_s, place, lossy=lossy)
    if progress.n_lost > LOST_SHARE * progress.n_packets:
        lost = f"{progress.n_lost} of the {progress.n_packets} packets of its audio are damaged"
        raise AudioError(place, f"{lost} (FFmpeg: {progress.why_lost})")
    refuse_zero_frames(n_frames, place)
    start, stop = segment_frames(n_frames, rate, start_s, end_s, place)
    refuse_zero_frames(stop - start, place)
    samples = np.concatenate(kept)[start - n_skipped : stop - n_skipped]
    refuse_not_numbers(samples, place)
    return Decoded(
        samples=samples,
        sample_rate_hz=rate,
        lossy=lossy,
        low_frequency=low_frequency,
    )


def _audio_stream(container: "InputContainer", place: str) -> "AudioStream":
    from av.stream import Disposition

    streams = container.streams.audio
    if not streams:
        raise AudioError(place, "it holds no audio, only video or other data", kind="no_audio")
    stream = next((one for one in streams if one.disposition & Disposition.default), streams[0])
    if stream.codec_context is None:
        raise AudioError(place, "its audio is coded in a way that FFmpeg does not know")
    stream.codec_context.thread_count = 1
    return stream


def _declared_s(container: "InputContainer", stream: "AudioStream") -> tuple[float | None, list["Stream"]]:
    """How long the container says that the audio is, and the streams of which one should last that long."""
    if container.format.name in STATE_NO_LENGTH:
        return None, [stream]
    if container.format.name == "avi":
        # FFmpeg shortens the duration, but not the number of frames, to what is there.
        return _seconds(stream.frames or None, stream.time_base), [stream]
    if stream.duration is not None:
        return _seconds(stream.duration, stream.time_base), [stream]
    if length := MATROSKA_LENGTH.fullmatch(stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = map(float, length.groups())
        return 3600 * hours + 60 * minutes + seconds, [stream]
    return None if container.duration is None else container.duration / 1e6, list(container.streams)


def _seconds(ticks: int | None, time_base: Fraction | None) -> float | None:
    return None if ticks is None or time_base is None else float(ticks * time_base)


def _audio_frames(
    container: "InputContainer", stream: "AudioStream", witnesses: list["Stream"], progress: _Progress
) -> Iterator["AudioFrame"]:
    for packet in _packets(container, witnesses):
        start_s = _seconds(packet.pts, packet.time_base)
        if start_s is not None:
            progress.reached_s = max(progress.reached_s, start_s + (_seconds(packet.duration, packet.time_base) or 0.0))
        # To a decoder an empty packet is the end, but some containers have one on the way.
        if packet.stream_index == stream.index and packet.size > 0:
            yield from _decode_packet(stream, packet, progress)
    yield from _decode_packet(stream, None, progress)


def _packets(container: "InputContainer", streams: list["Stream"]) -> Iterator["Packet[Any]"]:
    # PyAV stumbles at the end over a stream that was not there at the beginning, as damage can make one appear.
    with contextlib.suppress(IndexError):
        yield from container.demux(streams)


def _decode_packet(stream: "AudioStream", packet: "Packet[Any] | None", progress: _Progress) -> list["AudioFrame"]:
    import av

    progress.n_packets += 1
    try:
        return stream.decode(packet)
    except av.FFmpegError as cause:
        progress.n_lost += 1
        progress.why_lost = cause.strerror
        return []


def _interleaved(frames: Iterator["AudioFrame"], place: str) -> Iterator["AudioFrame"]:
    """The same samples with those of all channels beside each other, frame by frame.

    Of planar frames with eight channels or more PyAV reads what lies behind them, and crashes.

    Raises:
        AudioError: the sample rate or the channels are not the same all the way.
    """
    import av

    form = interleave = None
    for frame in frames:
        found = (frame.sample_rate, frame.format.name, frame.layout.name)
        if form is None:
            form = found
            interleave = av.AudioResampler(format=frame.format.packed, layout=frame.layout, rate=frame.sample_rate)
        if found != form:
            raise AudioError(place, "its sample rate or its channels change on the way")
        if frame.format.is_planar and interleave is not None:
            yield from interleave.resample(frame)
        else:
            yield frame


def _refuse_short(reached_s: float, declared_s: float | None, place: str, *, lossy: bool) -> None:
    withheld_s = WITHHELD_LOSSY_S if lossy else WITHHELD_S
    if declared_s is not None and reached_s + withheld_s < (1 - LOST_SHARE) * declared_s:
        raise cut_short(place, round(reached_s, 2), round(declared_s, 2), "s")
