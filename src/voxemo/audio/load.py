"""The one way from an audio file to samples: soundfile decodes, soxr resamples.

Anything that hears audio (probing a corpus, asking a model, computing features) goes through here, so that all of them
hear the same samples. What models do with clips that are too long or too short is declared on their cards and done by
the backends; nothing is cut, padded or normalised here.
"""

import hashlib
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

from voxemo.core.errors import AudioError

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

LFS_POINTER = b"version https://git-lfs"
FOREIGN_CONTAINERS = (
    (re.compile(rb"....ftyp", re.DOTALL), "an MP4 or M4A file"),
    (re.compile(rb"\x1aE\xdf\xa3"), "a Matroska or WebM file"),
    (re.compile(rb"RIFF....AVI ", re.DOTALL), "an AVI file"),
    (re.compile(rb"FLV"), "a Flash video file"),
    (re.compile(rb"0&\xb2u\x8ef\xcf\x11"), "a Windows Media file"),
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

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds, above 0."""
        return len(self.samples) / self.sample_rate_hz


def decode(
    path: Path | str, *, start_s: float | None = None, end_s: float | None = None, place: str | None = None
) -> Decoded:
    """Decode a file, or the segment of it from ``start_s`` to ``end_s`` seconds.

    Args:
        path: what libsndfile reads: wav, flac, ogg (Vorbis and Opus), mp3, aiff and others.
        start_s: start of the segment; None for the start of the file.
        end_s: end of the segment; None for the end of the file.
        place: what error messages call the file; its bare name by default, never a folder of this machine.

    Raises:
        AudioError: there is no such file, it is empty, a Git LFS pointer, not decodable or cut short, the segment is
            outside it, or there is no frame or a value that is no number.
    """
    path = Path(path)
    place = place or path.name
    head = _read_head(path, place)
    try:
        with sf.SoundFile(path) as file:
            _refuse_truncated(file, place)
            start, stop = _frames(file.frames, file.samplerate, start_s, end_s, place)
            lossy = file.subtype in LOSSY_SUBTYPES
            file.seek(start)
            samples = file.read(stop - start, dtype="float32", always_2d=True)
            sample_rate_hz = int(file.samplerate)
    except (sf.SoundFileError, TypeError) as cause:  # TypeError: soundfile asks for the rate of a headerless .raw file
        raise AudioError(place, _why_not_decodable(head, cause)) from cause
    except MemoryError as cause:
        raise AudioError(place, "its header declares more samples than fit into memory; it is damaged") from cause
    if len(samples) == 0:
        raise AudioError(place, "it holds no audio (zero frames)")
    if len(samples) < (1 - (LOST_SHARE_LOSSY if lossy else LOST_SHARE)) * (stop - start):
        raise AudioError(place, _cut_short(len(samples), stop - start, "frames"))
    if not np.isfinite(samples).all():
        raise AudioError(place, "some of its samples are infinite or not numbers")
    return Decoded(samples=samples, sample_rate_hz=sample_rate_hz, lossy=lossy)


def _read_head(path: Path, place: str) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError as cause:
        raise AudioError(place, "there is no such file") from cause
    except OSError as cause:
        raise AudioError(place, f"it cannot be opened ({cause.strerror})") from cause
    if not head:
        raise AudioError(place, "the file is empty (0 bytes)")
    if head.startswith(LFS_POINTER):
        raise AudioError(place, "this is a Git LFS pointer, not audio; run `git lfs pull` in the corpus's repository")
    return head


def _refuse_truncated(file: sf.SoundFile, place: str) -> None:
    chunk = DATA_CHUNK.search(file.extra_info)
    if chunk is None:
        return
    declared, present = int(chunk["declared"]), int(chunk["present"])
    if present < (1 - LOST_SHARE) * declared and declared < UNKNOWN_SIZE:
        raise AudioError(place, _cut_short(present, declared, "bytes of audio"))


def _cut_short(present: int, declared: int, what: str) -> str:
    return f"it is cut short: {present} of the {declared} {what} that its header declares are there"


def _frames(
    n_frames: int, sample_rate_hz: int, start_s: float | None, end_s: float | None, place: str
) -> tuple[int, int]:
    if start_s is None and end_s is None:
        return 0, n_frames
    duration_s = n_frames / sample_rate_hz
    first_s = 0.0 if start_s is None else start_s
    last_s = duration_s if end_s is None else end_s
    if not 0 <= first_s < last_s <= duration_s + SEGMENT_SLACK_S:
        raise AudioError(
            place, f"the segment {first_s:g} to {last_s:g} s is outside the file, which lasts {duration_s:g} s"
        )
    stop = min(round(last_s * sample_rate_hz), n_frames)
    return min(round(first_s * sample_rate_hz), stop), stop


def _why_not_decodable(head: bytes, cause: Exception) -> str:
    for signature, kind in FOREIGN_CONTAINERS:
        if signature.match(head):
            return (
                f"it is {kind}; this version reads what libsndfile reads (wav, flac, ogg, mp3), "
                "other containers are not supported yet"
            )
    # libsndfile tries files without a signature as mp3, and then says that they do not exist.
    if isinstance(cause, sf.LibsndfileError) and cause.code != 7:
        return f"it cannot be decoded (libsndfile: {cause.error_string.strip().rstrip('.')})"
    return "it cannot be decoded (libsndfile knows no audio format that begins like this)"


def to_waveform(decoded: Decoded) -> Waveform:
    """Average the channels and resample to 16 kHz.

    Mono at 16 kHz comes back bit for bit. Otherwise values may leave -1 to 1 a little, where the resampler overshoots
    at loud edges (and as far as a float file itself goes beyond): they are never clipped or scaled.

    Returns:
        C-contiguous samples, shape (n_samples,), n_samples within one of duration times 16,000. It is empty where the
        clip is shorter than half a sample at 16 kHz.

    >>> stereo = Decoded(samples=np.array([[1.0, 0.0], [0.5, 0.5]], np.float32), sample_rate_hz=16_000, lossy=False)
    >>> to_waveform(stereo)
    array([0.5, 0.5], dtype=float32)
    """
    mono = decoded.samples[:, 0] if decoded.n_channels == 1 else decoded.samples.mean(axis=1, dtype=np.float64)
    mono = np.ascontiguousarray(mono, dtype=np.float32)
    if decoded.sample_rate_hz == SAMPLE_RATE_HZ:
        return mono
    waveform = soxr.resample(mono, decoded.sample_rate_hz, SAMPLE_RATE_HZ, quality=RESAMPLING_QUALITY)
    return np.ascontiguousarray(waveform, dtype=np.float32)


def samples_sha256(decoded: Decoded) -> str:
    """SHA-256 of the decoded samples with their rate and channel count, as 64 hex digits.

    The container does not count: a wav and a flac of the same samples have the same hash.
    """
    digest = hashlib.sha256(f"{decoded.sample_rate_hz} Hz, {decoded.n_channels} channels\n".encode())
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
            raise AudioError(place, f"{changed}; restore the file, or prepare the corpus again and make a new run")
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
        raise AudioError(place, f"it is shorter than one sample at 16 kHz ({decoded.duration_s:g} s)")


def decoder_versions() -> dict[str, str]:
    """Versions of what decodes and resamples, for the run manifest.

    >>> sorted(decoder_versions())
    ['libsndfile', 'libsoxr', 'soundfile', 'soxr']
    """
    return {
        "soundfile": sf.__version__,
        "libsndfile": sf.__libsndfile_version__,
        "soxr": soxr.__version__,
        "libsoxr": soxr.__libsoxr_version__,
    }
