"""The one way from an audio file to samples: soundfile or FFmpeg decodes, soxr resamples.

Anything that hears audio (probing a corpus, asking a model, computing features) goes through here, so that all of them
hear the same samples. libsndfile reads the plain audio formats, and FFmpeg, through PyAV, the containers that it does
not know: MP4, Matroska, AVI and others, video or not. The first bytes of a file say which, never its name. What models
do with clips that are too long or too short is declared on their cards and done by the backends; nothing is cut,
padded or normalised here.
"""

import contextlib
import hashlib
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

from voxemo.core.errors import AudioError

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer
    from av.stream import Stream

SAMPLE_RATE_HZ = 16_000
RESAMPLING_QUALITY = "HQ"

SEGMENT_SLACK_S = 0.01
"""Providers round the ends of segments, so the last one of a recording may end this much after it."""

LOSSY_SUBTYPES = frozenset({"VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"})

# libsndfile plays a truncated wav as if it were whole, and only its log tells. Recorders that write to a pipe declare
# about 2 or 4 GiB because they cannot know better, and some writers are wrong by the size of the header.
DATA_CHUNK = re.compile(r"^data : (?P<declared>\d+) \(should be (?P<present>\d+)\)$", re.MULTILINE)
UNKNOWN_SIZE = 0x7FFF_0000
LOST_SHARE = 0.01
LOST_SHARE_LOSSY = 0.1
"""Encoders pad, so the length that the header of a lossy file states is not exact."""
WITHHELD_S = 0.01
WITHHELD_LOSSY_S = 0.1
"""How much sooner than its container says a whole stream may end: times are rounded, and codecs hold samples back."""

# The order of a wav's channels is that of the bits of its mask; the third says low frequency (as Microsoft's
# WAVEFORMATEXTENSIBLE has it). FLAC's orders for six to eight channels have it in the same place (RFC 9639, 9.1.3).
CHANNEL_MASK = re.compile(r"^ *Channel Mask *: 0x(?P<mask>[0-9A-F]+)", re.MULTILINE)
LOW_FREQUENCY_BIT = 0x8
FLAC_SURROUND = {6: (3,), 7: (3,), 8: (3,)}

LFS_POINTER = b"version https://git-lfs"
HEAD_BYTES = 4_096

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

Waveform: TypeAlias = npt.NDArray[np.float32]
"""Mono samples at 16 kHz, shape (n_samples,)."""


class AudioChanged(UserWarning):
    """A lossy file whose samples are not those of `voxemo prepare`, perhaps only because the decoder is newer."""


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


def decode(
    path: Path | str, *, start_s: float | None = None, end_s: float | None = None, place: str | None = None
) -> Decoded:
    """Decode a file, or the segment of it from ``start_s`` to ``end_s`` seconds.

    A segment is the same samples as that slice of the whole file. Where a container holds several audio streams it is
    the first that is marked as default, or the first. Time starts at the first sample of that stream, wherever the
    container places it, and what the encoder put before it to warm up is not there, as FFmpeg and libsndfile have it.

    Args:
        path: what libsndfile reads (wav, flac, ogg with Vorbis or Opus, mp3, aiff and others), or one of
            ``FFMPEG_CONTAINERS``: mp4, m4a, mov, 3gp; webm, mkv, mka; avi; flv; wma; mpg; ts; aac; amr; wv.
        start_s: start of the segment; None for the start of the file.
        end_s: end of the segment; None for the end of the file.
        place: what error messages call the file; its bare name by default, never a folder of this machine.

    Raises:
        AudioError: there is no such file, it is empty, a Git LFS pointer, not decodable or cut short, it has no audio,
            the segment is outside it, or there is no frame or a value that is no number. In a container that FFmpeg
            reads only the part up to the end of the segment is looked at; that a file is cut short can be told
            wherever it states its length, which live recordings in WebM and bare streams (ts, aac, amr) do not.
    """
    path = path if isinstance(path, Path) else Path(path)
    place = place or path.name
    head = _read_head(path, place)
    container = FFMPEG_CONTAINERS.match(head)
    try:
        if container is None:
            return _decode_with_libsndfile(path, start_s, end_s, place)
        return _decode_with_ffmpeg(path, str(container.lastgroup), head, start_s, end_s, place)
    except MemoryError as cause:
        raise AudioError(place, "its header declares more samples than fit into memory; it is damaged") from cause


def _read_head(path: Path, place: str) -> bytes:
    try:
        with FileIO(path) as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as cause:
        raise AudioError(place, "there is no such file", kind="missing") from cause
    except OSError as cause:
        raise AudioError(place, f"it cannot be opened ({cause.strerror})", kind="unreadable") from cause
    if not head:
        raise AudioError(place, "the file is empty (0 bytes)", kind="empty")
    if head.startswith(LFS_POINTER):
        pointer = "this is a Git LFS pointer, not audio; run `git lfs pull` in the corpus's repository"
        raise AudioError(place, pointer, kind="pointer")
    return head


def _frames(
    n_frames: int, sample_rate_hz: int, start_s: float | None, end_s: float | None, place: str
) -> tuple[int, int]:
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


def _cut_short(place: str, present: float, declared: float, what: str) -> AudioError:
    reason = f"it is cut short: {present} of the {declared} {what} that its header declares are there"
    return AudioError(place, reason, kind="truncated")


def _refuse_not_numbers(samples: npt.NDArray[np.float32], place: str) -> None:
    if not np.isfinite(samples).all():
        raise AudioError(place, "some of its samples are infinite or not numbers", kind="not_numbers")


def _refuse_zero_frames(n_frames: int, place: str) -> None:
    if n_frames == 0:
        raise AudioError(place, "it holds no audio (zero frames)", kind="zero_length")


def _to_float(raw: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Integers over the size of their range, as libsndfile has it: 8 bits are unsigned around 128."""
    if raw.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is too large for 32 bits becomes infinite, and is refused as such
            return raw.astype(np.float32, copy=False)
    if raw.dtype == np.uint8:
        return _to_float((raw ^ 0x80).view(np.int8))
    scaled: npt.NDArray[np.float32] = np.multiply(raw, np.float32(2.0 ** (1 - 8 * raw.itemsize)), dtype=np.float32)
    return scaled


# --- libsndfile --------------------------------------------------------------------------------------------------


def _decode_with_libsndfile(path: Path, start_s: float | None, end_s: float | None, place: str) -> Decoded:
    try:
        with sf.SoundFile(path) as file:
            log = file.extra_info
            _refuse_truncated(log, place)
            start, stop = _frames(file.frames, file.samplerate, start_s, end_s, place)
            subtype = file.subtype
            if start > 0:
                file.seek(start)
            # The same values, but numpy makes floats of them in a fraction of libsndfile's time.
            dtype = "int16" if subtype == "PCM_16" else "float32"
            samples = _to_float(file.read(stop - start, dtype=dtype, always_2d=True))
            sample_rate_hz = int(file.samplerate)
            low_frequency = _low_frequency(log, file.format, file.channels) if file.channels > 2 else ()
    except (sf.SoundFileError, TypeError) as cause:  # TypeError: soundfile asks for the rate of a headerless .raw file
        raise AudioError(place, _why_not_decodable(cause)) from cause
    _refuse_zero_frames(len(samples), place)
    lossy = subtype in LOSSY_SUBTYPES
    if len(samples) < (1 - (LOST_SHARE_LOSSY if lossy else LOST_SHARE)) * (stop - start):
        raise _cut_short(place, len(samples), stop - start, "frames")
    if dtype == "float32":
        _refuse_not_numbers(samples, place)
    return Decoded(samples=samples, sample_rate_hz=sample_rate_hz, lossy=lossy, low_frequency=low_frequency)


def _refuse_truncated(log: str, place: str) -> None:
    chunk = DATA_CHUNK.search(log)
    if chunk is None:
        return
    declared, present = int(chunk["declared"]), int(chunk["present"])
    if present < (1 - LOST_SHARE) * declared and declared < UNKNOWN_SIZE:
        raise _cut_short(place, present, declared, "bytes of audio")


def _low_frequency(log: str, form: str, n_channels: int) -> tuple[int, ...]:
    if form == "FLAC":
        return FLAC_SURROUND.get(n_channels, ())
    declared = CHANNEL_MASK.search(log)
    mask = 0 if declared is None else int(declared["mask"], 16)
    channel = (mask & (LOW_FREQUENCY_BIT - 1)).bit_count()
    return (channel,) if mask & LOW_FREQUENCY_BIT and channel < n_channels else ()


def _why_not_decodable(cause: Exception) -> str:
    # libsndfile tries files without a signature as mp3, and then says that they do not exist.
    if isinstance(cause, sf.LibsndfileError) and cause.code != 7:
        return f"it cannot be decoded (libsndfile: {cause.error_string.strip().rstrip('.')})"
    return "it cannot be decoded (libsndfile and FFmpeg are not known to read a format that begins like this)"


# --- FFmpeg ------------------------------------------------------------------------------------------------------


def _decode_with_ffmpeg(
    path: Path, demuxer: str, head: bytes, start_s: float | None, end_s: float | None, place: str
) -> Decoded:
    import av  # by far the slowest import of this module, and most corpora need none of it

    declared_bytes = _mov_bytes(path) if demuxer == "mov" else _asf_bytes(head)
    present_bytes = path.stat().st_size
    if present_bytes < (1 - LOST_SHARE) * declared_bytes:
        raise _cut_short(place, present_bytes, declared_bytes, "bytes")
    try:
        # "file:" keeps a name with a colon from being read as an address; tags need not be UTF-8.
        with av.open(f"file:{path}", format=demuxer, metadata_errors="replace") as container:
            return _decode_container(container, start_s, end_s, place)
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


def _decode_container(container: "InputContainer", start_s: float | None, end_s: float | None, place: str) -> Decoded:
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
            kept.append(_to_float(frame.to_ndarray().reshape(frame.samples, -1)))
        else:
            n_skipped = n_frames
        if n_frames >= enough:
            break
    else:
        _refuse_short(max(progress.reached_s, n_frames / max(rate, 1)), declared_s, place, lossy=lossy)
    if progress.n_lost > LOST_SHARE * progress.n_packets:
        lost = f"{progress.n_lost} of the {progress.n_packets} packets of its audio are damaged"
        raise AudioError(place, f"{lost} (FFmpeg: {progress.why_lost})")
    _refuse_zero_frames(n_frames, place)
    start, stop = _frames(n_frames, rate, start_s, end_s, place)
    _refuse_zero_frames(stop - start, place)
    samples = np.concatenate(kept)[start - n_skipped : stop - n_skipped]
    _refuse_not_numbers(samples, place)
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
        raise _cut_short(place, round(reached_s, 2), round(declared_s, 2), "s")


# --- what is done with samples -----------------------------------------------------------------------------------


def to_waveform(decoded: Decoded) -> Waveform:
    """Average the channels, those of low frequency left out, and resample to 16 kHz.

    The down-mix is the plain mean: of 5.1 channels, left, right, centre and both surrounds count a fifth each. A file
    with nothing but channels of low frequency is the mean of those.

    Mono at 16 kHz comes back bit for bit. Otherwise values may leave -1 to 1 a little, where the resampler overshoots
    at loud edges (and as far as a float file itself goes beyond): they are never clipped or scaled.

    Returns:
        C-contiguous samples, shape (n_samples,), n_samples within one of duration times 16,000. It is empty where the
        clip is shorter than half a sample at 16 kHz.

    >>> stereo = Decoded(samples=np.array([[1.0, 0.0], [0.5, 0.5]], np.float32), sample_rate_hz=16_000, lossy=False)
    >>> to_waveform(stereo)
    array([0.5, 0.5], dtype=float32)
    """
    heard = [channel for channel in range(decoded.n_channels) if channel not in decoded.low_frequency]
    samples = decoded.samples[:, heard] if 0 < len(heard) < decoded.n_channels else decoded.samples
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float64)
    mono = np.ascontiguousarray(mono, dtype=np.float32)
    if decoded.sample_rate_hz == SAMPLE_RATE_HZ:
        return mono
    waveform = soxr.resample(mono, decoded.sample_rate_hz, SAMPLE_RATE_HZ, quality=RESAMPLING_QUALITY)
    return np.ascontiguousarray(waveform, dtype=np.float32)


def samples_sha256(decoded: Decoded) -> str:
    """SHA-256 of the decoded samples of all channels with what else decides how they sound, as 64 hex digits.

    That is the rate, the channel count and which channels are of low frequency. The container does not count: a wav, a
    flac and an mp4 of the same samples have the same hash.
    """
    form = f"{decoded.sample_rate_hz} Hz, {decoded.n_channels} channels"
    if decoded.low_frequency:
        form += f", of low frequency {decoded.low_frequency}"
    digest = hashlib.sha256(f"{form}\n".encode())
    digest.update(np.ascontiguousarray(decoded.samples, dtype="<f4").data)
    return digest.hexdigest()


def load_audio(
    path: Path | str,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    expected_sha256: str | None = None,
    place: str | None = None,
) -> Waveform:
    """Decode a file or a segment to mono at 16 kHz, as ``decode`` and ``to_waveform`` do.

    Args:
        path: the file.
        start_s: start of the segment in seconds; None for the start of the file.
        end_s: end of the segment in seconds; None for the end of the file.
        expected_sha256: what ``samples_sha256`` gave at `voxemo prepare`.
        place: what error messages call the file; its bare name by default.

    Raises:
        AudioError: as ``decode``; or the clip is shorter than one sample at 16 kHz; or its samples are not the
            expected ones. For lossy codecs, where a newer decoder is reason enough, the last is an ``AudioChanged``
            warning.
    """
    place = place or Path(path).name
    decoded = decode(path, start_s=start_s, end_s=end_s, place=place)
    if expected_sha256 is not None and samples_sha256(decoded) != expected_sha256:
        changed = "its samples changed since `voxemo prepare`"
        if not decoded.lossy:
            mend = "restore the file, or prepare the corpus again and make a new run"
            raise AudioError(place, f"{changed}; {mend}", kind="changed")
        warnings.warn(f"{place}: {changed}, or its codec is decoded by another version", AudioChanged, stacklevel=2)
    refuse_inaudible(decoded, place=place)
    return to_waveform(decoded)


def refuse_inaudible(decoded: Decoded, *, place: str) -> None:
    """Refuse a clip that has no sample left at 16 kHz.

    Raises:
        AudioError: the clip is shorter than one sample at 16 kHz.
    """
    # Long before this the rounding of the resampler cannot matter, so only these few are resampled twice.
    if decoded.duration_s < 4 / SAMPLE_RATE_HZ and len(to_waveform(decoded)) == 0:
        shorter = f"it is shorter than one sample at 16 kHz ({decoded.duration_s:g} s)"
        raise AudioError(place, shorter, kind="zero_length")


def decoder_versions() -> dict[str, str]:
    """Versions of what decodes and resamples, for the run manifest; FFmpeg's are those of its libraries.

    >>> sorted(decoder_versions())
    ['av', 'libavcodec', 'libavformat', 'libsndfile', 'libsoxr', 'soundfile', 'soxr']
    """
    import av

    libraries = {name: ".".join(map(str, av.library_versions[name])) for name in ("libavcodec", "libavformat")}
    return {
        "soundfile": sf.__version__,
        "libsndfile": sf.__libsndfile_version__,
        "av": av.__version__,
        **libraries,
        "soxr": soxr.__version__,
        "libsoxr": soxr.__libsoxr_version__,
    }
