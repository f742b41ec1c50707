"""The one way from an audio file to samples: soundfile or FFmpeg decodes, soxr resamples.

Anything that hears audio (probing a corpus, asking a model, computing features) goes through here, so that all of them
hear the same samples. libsndfile reads the plain audio formats, and FFmpeg, through PyAV, the containers that it does
not know: MP4, Matroska, AVI and others, video or not. The first bytes of a file say which, never its name. What models
do with clips that are too long or too short is declared on their cards and done by the backends; nothing is cut,
padded or normalised here.
"""

import hashlib
import re
import warnings
from io import FileIO
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

from voxemo.audio.decoded import (
    LOST_SHARE,
    Decoded,
    cut_short,
    refuse_not_numbers,
    refuse_zero_frames,
    segment_frames,
    to_float,
)
from voxemo.audio.ffmpeg import FFMPEG_CONTAINERS, decode_container
from voxemo.core.errors import AudioError

SAMPLE_RATE_HZ = 16_000
RESAMPLING_QUALITY = "HQ"

LOSSY_SUBTYPES = frozenset({"VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"})

# libsndfile plays a truncated wav as if it were whole, and only its log tells. Recorders that write to a pipe declare
# about 2 or 4 GiB because they cannot know better, and some writers are wrong by the size of the header.
DATA_CHUNK = re.compile(r"^data : (?P<declared>\d+) \(should be (?P<present>\d+)\)$", re.MULTILINE)
UNKNOWN_SIZE = 0x7FFF_0000
LOST_SHARE_LOSSY = 0.1
"""Encoders pad, so the length that the header of a lossy file states is not exact."""

# The order of a wav's channels is that of the bits of its mask; the third says low frequency (as Microsoft's
# WAVEFORMATEXTENSIBLE has it). FLAC's orders for six to eight channels have it in the same place (RFC 9639, 9.1.3).
CHANNEL_MASK = re.compile(r"^ *Channel Mask *: 0x(?P<mask>[0-9A-F]+)", re.MULTILINE)
LOW_FREQUENCY_BIT = 0x8
FLAC_SURROUND = {6: (3,), 7: (3,), 8: (3,)}

LFS_POINTER = b"version https://git-lfs"
HEAD_BYTES = 4_096

Waveform: TypeAlias = npt.NDArray[np.float32]
"""Mono samples at 16 kHz, shape (n_samples,)."""


class AudioChanged(UserWarning):
    """A lossy file whose samples are not those of `voxemo prepare`, perhaps only because the decoder is newer."""


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
        return decode_container(path, str(container.lastgroup), head, start_s, end_s, place)
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


# --- libsndfile --------------------------------------------------------------------------------------------------


def _decode_with_libsndfile(path: Path, start_s: float | None, end_s: float | None, place: str) -> Decoded:
    try:
        with sf.SoundFile(path) as file:
            log = file.extra_info
            _refuse_truncated(log, place)
            start, stop = segment_frames(file.frames, file.samplerate, start_s, end_s, place)
            subtype = file.subtype
            if start > 0:
                file.seek(start)
            # The same values, but numpy makes floats of them in a fraction of libsndfile's time.
            dtype = "int16" if subtype == "PCM_16" else "float32"
            samples = to_float(file.read(stop - start, dtype=dtype, always_2d=True))
            sample_rate_hz = int(file.samplerate)
            low_frequency = _low_frequency(log, file.format, file.channels) if file.channels > 2 else ()
    except (sf.SoundFileError, TypeError) as cause:  # TypeError: soundfile asks for the rate of a headerless .raw file
        raise AudioError(place, _why_not_decodable(cause)) from cause
    refuse_zero_frames(len(samples), place)
    lossy = subtype in LOSSY_SUBTYPES
    if len(samples) < (1 - (LOST_SHARE_LOSSY if lossy else LOST_SHARE)) * (stop - start):
        raise cut_short(place, len(samples), stop - start, "frames")
    if dtype == "float32":
        refuse_not_numbers(samples, place)
    return Decoded(samples=samples, sample_rate_hz=sample_rate_hz, lossy=lossy, low_frequency=low_frequency)


def _refuse_truncated(log: str, place: str) -> None:
    chunk = DATA_CHUNK.search(log)
    if chunk is None:
        return
    declared, present = int(chunk["declared"]), int(chunk["present"])
    if present < (1 - LOST_SHARE) * declared and declared < UNKNOWN_SIZE:
        raise cut_short(place, present, declared, "bytes of audio")


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
