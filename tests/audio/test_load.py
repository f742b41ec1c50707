import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from voxemo.audio.decoded import Decoded
from voxemo.audio.load import (
    SAMPLE_RATE_HZ,
    AudioChanged,
    decode,
    decoder_versions,
    load_audio,
    samples_sha256,
    to_waveform,
)
from voxemo.core.errors import AudioError

RATES = st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_414, 44_100, 48_000, 96_000]) | st.integers(8_000, 96_000)
CHANNELS = st.integers(1, 6)
SIGNATURES = [
    *[b"", b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM"],
    *[b"\x00\x00\x00\x20ftypisom", b"\x00\x00\x00\x00mdat", b"\x1aE\xdf\xa3", b"RIFF\x00\x10\x00\x00AVI LIST"],
    *[b"FLV\x01", b"0&\xb2u\x8ef\xcf\x11", b"\x00\x00\x01\xba", b"\xff\xf1\x50\x80", b"#!AMR\n", b"wvpk"],
]


def tone(frequency_hz: float, *, rate: int, channels: int, n_frames: int) -> Decoded:
    wave = 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(n_frames) / rate)
    return Decoded(
        samples=np.repeat(wave[:, None], channels, axis=1).astype(np.float32), sample_rate_hz=rate, lossy=False
    )


def noise(n_frames: int = 1_600, channels: int = 1) -> np.ndarray:
    """Multiples of 2^-15, which every format of the tests keeps exactly."""
    return np.random.default_rng(5).integers(-8_000, 8_000, (n_frames, channels)).astype(np.float32) / 32_768


def write(path: Path, samples: np.ndarray, rate: int = SAMPLE_RATE_HZ, subtype: str | None = None) -> Path:
    sf.write(path, samples, rate, subtype=subtype)
    return path


def encoded(form: str, samples: np.ndarray, rate: int = SAMPLE_RATE_HZ) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format=form)
    return file.getvalue()


def refusal(path: Path) -> str | None:
    try:
        decode(path)
    except AudioError as error:
        return str(error)
    return None


# --- laws --------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(rate=RATES, channels=CHANNELS, n_frames=st.integers(6, 40_000))
def test_any_rate_and_channel_count_gives_the_same_duration_at_16_khz(rate: int, channels: int, n_frames: int) -> None:
    waveform = to_waveform(tone(300, rate=rate, channels=channels, n_frames=n_frames))

    assert waveform.ndim == 1
    assert waveform.dtype == np.float32
    assert waveform.flags.c_contiguous
    assert abs(len(waveform) - n_frames * SAMPLE_RATE_HZ / rate) <= 1


@settings(deadline=None)
@given(rate=RATES, channels=CHANNELS, frequency_hz=st.integers(100, 3_400))
def test_a_tone_keeps_its_frequency_and_its_level(rate: int, channels: int, frequency_hz: int) -> None:
    waveform = to_waveform(tone(frequency_hz, rate=rate, channels=channels, n_frames=rate))

    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), n=SAMPLE_RATE_HZ))
    assert abs(int(spectrum.argmax()) - frequency_hz) <= 1
    middle = waveform[len(waveform) // 4 : -len(waveform) // 4]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


@settings(deadline=None)
@given(cut=st.integers(1, 1_599), rate=st.sampled_from([8_000, 16_000, 44_100]))
def test_two_neighbouring_segments_make_up_the_file(tmp_path_factory, cut: int, rate: int) -> None:
    path = write(tmp_path_factory.mktemp("segments") / "a.wav", noise(channels=2), rate)

    halves = [decode(path, end_s=cut / rate), decode(path, start_s=cut / rate)]

    np.testing.assert_array_equal(decode(path).samples, np.concatenate([half.samples for half in halves]))


@settings(deadline=None)
@given(junk=st.binary(max_size=400), signature=st.sampled_from(SIGNATURES))
def test_arbitrary_bytes_are_refused_or_decoded_and_nothing_else(tmp_path_factory, junk, signature: bytes) -> None:
    path = tmp_path_factory.mktemp("junk") / "a.wav"
    path.write_bytes(signature + junk)

    message = refusal(path)

    assert message is None or (message.startswith("a.wav: ") and str(path.parent) not in message)


# --- formats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.flac", "PCM_24")]
)
def test_mono_at_16_khz_passes_bit_for_bit(tmp_path: Path, name: str, subtype: str) -> None:
    samples = noise()

    waveform = load_audio(write(tmp_path / name, samples, subtype=subtype))

    np.testing.assert_array_equal(waveform, samples[:, 0])


def test_16_bits_are_read_as_libsndfile_itself_scales_them(tmp_path: Path) -> None:
    every_value = np.arange(-(2**15), 2**15).astype(np.int16)
    path = tmp_path / "a.wav"
    sf.write(path, np.stack([every_value, every_value[::-1]], axis=1), SAMPLE_RATE_HZ)

    np.testing.assert_array_equal(decode(path).samples, sf.read(path, dtype="float32")[0])


def test_one_recording_has_one_hash_in_every_lossless_format(tmp_path: Path) -> None:
    samples = noise(channels=2)

    files = [
        write(tmp_path / "16.wav", samples, 44_100, "PCM_16"),
        write(tmp_path / "24.wav", samples, 44_100, "PCM_24"),
        write(tmp_path / "32.wav", samples, 44_100, "FLOAT"),
        write(tmp_path / "16.flac", samples, 44_100, "PCM_16"),
        write(tmp_path / "24.flac", samples, 44_100, "PCM_24"),
    ]

    assert len({samples_sha256(decode(path)) for path in files}) == 1


def test_the_hash_tells_rates_channels_and_samples_apart() -> None:
    samples = noise(channels=2)
    altered = samples.copy()
    altered[7, 1] += 2**-15
    variants = [
        Decoded(samples=samples, sample_rate_hz=16_000, lossy=False),
        Decoded(samples=samples, sample_rate_hz=8_000, lossy=False),
        Decoded(samples=samples.reshape(-1, 1), sample_rate_hz=16_000, lossy=False),
        Decoded(samples=altered, sample_rate_hz=16_000, lossy=False),
    ]

    assert len({samples_sha256(variant) for variant in variants}) == len(variants)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = noise()[:, 0], np.zeros(1_600, np.float32)

    waveform = load_audio(write(tmp_path / "a.wav", np.stack([left, right], axis=1)))

    np.testing.assert_array_equal(waveform, left / 2)


def test_values_beyond_full_scale_are_not_clipped(tmp_path: Path) -> None:
    samples = 3 * noise()

    waveform = load_audio(write(tmp_path / "a.wav", samples, subtype="FLOAT"))

    np.testing.assert_array_equal(waveform, samples[:, 0])


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
def test_lossy_formats_are_read_and_known_as_lossy(tmp_path: Path, name: str) -> None:
    decoded = decode(write(tmp_path / name, tone(440, rate=16_000, channels=1, n_frames=16_000).samples))

    assert decoded.lossy
    assert decoded.duration_s == pytest.approx(1, abs=0.15)


@pytest.mark.evidence
@pytest.mark.parametrize(("corpus_id", "n_files"), [("urdu", 400), ("turev-db", 308), ("emodb", 7)])
def test_real_recordings_decode(evidence: Path, corpus_id: str, n_files: int) -> None:
    durations_s = [decode(path).duration_s for path in sorted((evidence / "audio" / corpus_id).rglob("*.wav"))]

    assert len(durations_s) == n_files
    assert all(0.3 < duration_s < 10 for duration_s in durations_s)


# --- what is refused ---------------------------------------------------------------------------------------------


def wav_with(*, declared_bytes: int) -> bytes:
    content = encoded("WAV", noise())
    at = content.index(b"data") + 4
    return content[:at] + struct.pack("<I", declared_bytes) + content[at + 4 :]


def flac_declaring_too_much() -> bytes:
    content = bytearray(encoded("FLAC", noise()))
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "reason", "kind"),
    [
        (b"", "the file is empty (0 bytes)", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull", "pointer"),
        (b"RIFF\x00\x00\x00\x00WAVEnonsense", "cannot be decoded (libsndfile:", "undecodable"),
        (b"<!DOCTYPE html><html>404</html>", "cannot be decoded", "undecodable"),
        (encoded("WAV", noise())[:1_000], "cut short: 956 of the 3200 bytes of audio", "truncated"),
        (encoded("FLAC", noise(16_000))[:9_000], "cannot be decoded (libsndfile:", "undecodable"),
        (encoded("MP3", noise(48_000))[:9_000], "cut short", "truncated"),
        (encoded("WAV", noise()[:0]), "zero frames", "zero_length"),
        (flac_declaring_too_much(), "its header declares", "undecodable"),
        (b"\x00\x00\x00\x20ftypM4A " + bytes(99), "cannot be decoded (FFmpeg: ", "undecodable"),
        (b"\x1aE\xdf\xa3" + bytes(99), "cannot be decoded (FFmpeg: ", "undecodable"),
        (b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(99), "cannot be decoded (FFmpeg: ", "undecodable"),
    ],
    ids=[
        "empty",
        "git lfs pointer",
        "damaged header",
        "a web page",
        "truncated wav",
        "truncated flac",
        "truncated mp3",
        "no frames",
        "impossible length",
        "m4a",
        "webm",
        "avi",
    ],
)
def test_what_is_no_whole_recording_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, reason: str, kind: str
) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(content)

    with pytest.raises(AudioError) as caught:
        load_audio(path)

    assert reason in caught.value.reason
    assert caught.value.kind == kind
    assert str(caught.value).startswith("clip.wav: ")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("declared_bytes", [0xFFFF_FFFF, 0x7FFF_FFDB, 3_200 + 32], ids=["pipe", "sox pipe", "header"])
def test_a_whole_wav_with_a_careless_length_is_read(tmp_path: Path, declared_bytes: int) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(wav_with(declared_bytes=declared_bytes))

    np.testing.assert_array_equal(load_audio(path), noise()[:, 0])


def test_a_missing_file_a_folder_and_a_headerless_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "samples.raw").write_bytes(bytes(3_200))

    with pytest.raises(AudioError, match=r"gone\.wav: there is no such file") as gone:
        decode(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match=r"folder\.wav: it cannot be opened") as folder:
        decode(tmp_path / "folder.wav")
    with pytest.raises(AudioError, match=r"samples\.raw: it cannot be decoded") as headerless:
        decode(tmp_path / "samples.raw")
    assert [error.value.kind for error in (gone, folder, headerless)] == ["missing", "unreadable", "undecodable"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    samples = noise()
    samples[100] = value

    with pytest.raises(AudioError, match="infinite or not numbers") as caught:
        decode(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    assert caught.value.kind == "not_numbers"


@pytest.mark.parametrize(
    ("start_s", "end_s"),
    [(-0.01, 0.05), (0.05, 0.05), (0.08, 0.02), (0.0, 0.12), (0.2, None), (float("nan"), 0.05), (0.0, float("inf"))],
)
def test_a_segment_outside_the_file_is_refused(tmp_path: Path, start_s: float, end_s: float | None) -> None:
    path = write(tmp_path / "a.wav", noise())

    with pytest.raises(AudioError, match=r"outside the file, which lasts 0\.1 s"):
        decode(path, start_s=start_s, end_s=end_s)


def test_a_segment_may_end_a_rounding_step_after_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise())

    assert decode(path, start_s=0.05, end_s=0.105).duration_s == pytest.approx(0.05)


def test_a_clip_without_a_single_sample_at_16_khz_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(1), 48_000)

    with pytest.raises(AudioError, match="shorter than one sample"):
        load_audio(path)


# --- changed files -----------------------------------------------------------------------------------------------


def test_unchanged_samples_load_whatever_the_container(tmp_path: Path) -> None:
    sha256 = samples_sha256(decode(write(tmp_path / "a.wav", noise())))

    waveform = load_audio(write(tmp_path / "a.flac", noise()), expected_sha256=sha256)

    np.testing.assert_array_equal(waveform, noise()[:, 0])


def test_changed_samples_are_refused_and_named_as_the_caller_names_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise())
    sha256 = samples_sha256(decode(path))
    write(path, noise() / 2)

    with pytest.raises(AudioError, match=r"^Happy/a\.wav: its samples changed since `voxemo prepare`"):
        load_audio(path, expected_sha256=sha256, place="Happy/a.wav")


def test_changed_samples_of_a_lossy_file_only_warn(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ogg", noise(16_000))

    with pytest.warns(AudioChanged, match="decoded by another version"):
        waveform = load_audio(path, expected_sha256="0" * 64)

    assert len(waveform) == 16_000


def test_a_segment_has_its_own_hash(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise())
    sha256 = samples_sha256(decode(path, start_s=0.02, end_s=0.06))

    assert len(load_audio(path, start_s=0.02, end_s=0.06, expected_sha256=sha256)) == 640
    with pytest.raises(AudioError, match="changed"):
        load_audio(path, start_s=0.02, end_s=0.07, expected_sha256=sha256)


def test_versions_of_decoder_and_resampler_are_known() -> None:
    assert all(version and version[0].isdigit() for version in decoder_versions().values())
