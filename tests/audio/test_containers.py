import functools
import os
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from audio.containers import RATE, SURROUND, encode, loudness, tones
from voxemo.audio.decoded import Decoded
from voxemo.audio.load import AudioChanged, decode, load_audio, samples_sha256, to_waveform
from voxemo.core.errors import AudioError

FASTSTART = {"movflags": "faststart"}
VOICES_HZ = (300, 500, 700, 60, 1_100, 1_300)


def noise(n_frames: int = 4_800, channels: int = 2, dtype: type = np.int16) -> np.ndarray:
    """Values of every size; with 8 bits at most, so that every lossless format keeps them."""
    values = np.random.default_rng(6).integers(0, 256, (n_frames, channels))
    if dtype is np.uint8:
        return values.astype(np.uint8)
    signed = (values - 128) / 128
    return (signed if dtype is np.float32 else signed * 2.0 ** (8 * np.dtype(dtype).itemsize - 1)).astype(dtype)


def speech(*, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """Noise of the band of a voice, of changing loudness: one moment of it is like no other."""
    rng = np.random.default_rng(7)
    n_frames = round(seconds * rate)
    spectrum = np.fft.rfft(rng.normal(size=n_frames))
    frequencies_hz = np.fft.rfftfreq(n_frames, 1 / rate)
    spectrum[(frequencies_hz < 200) | (frequencies_hz > 3_000)] = 0
    wave = np.fft.irfft(spectrum, n_frames) * (1 + np.sin(2 * np.pi * 3 * np.arange(n_frames) / rate))
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)[:, None]


def refusal(path: Path) -> AudioError:
    with pytest.raises(AudioError) as caught:
        decode(path)
    return caught.value


def attempt(path: Path) -> tuple[AudioError, None] | tuple[None, Decoded]:
    try:
        return None, decode(path)
    except AudioError as error:
        return error, None


CONTAINERS = {
    "aac.m4a": {"codec": "aac"},
    "aac.mp4": {"codec": "aac", "video_s": 1.0},
    "fragments.mp4": {"codec": "aac", "options": {"movflags": "frag_keyframe+empty_moov"}},
    "alac.m4a": {"codec": "alac", "sample_format": "s16p"},
    "pcm.mov": {"codec": "pcm_s16be", "video_s": 1.0},
    "amr.3gp": {"codec": "amr_nb"},
    "opus.webm": {"codec": "libopus"},
    "live.webm": {"codec": "libopus", "options": {"live": "1"}},
    "opus.mkv": {"codec": "libopus", "video_s": 1.0},
    "flac.mka": {"codec": "flac"},
    "pcm.avi": {"codec": "pcm_s16le", "video_s": 1.0},
    "mp3.avi": {"codec": "libmp3lame", "video_s": 1.0},
    "mp3.flv": {"codec": "libmp3lame", "video_s": 1.0},
    "wma.wma": {"codec": "wmav2"},
    "mp2.mpg": {"codec": "mp2", "video_s": 1.0},
    "aac.ts": {"codec": "aac", "form": "mpegts", "video_s": 1.0},
    "adts.aac": {"codec": "aac", "form": "adts"},
    "amr.amr": {"codec": "amr_nb", "form": "amr"},
    "wavpack.wv": {"codec": "wavpack", "sample_format": "s16p"},
}
LOSSLESS = {"alac.m4a", "pcm.mov", "flac.mka", "pcm.avi"}
RATES = {"amr.3gp": 8_000, "amr.amr": 8_000, "mp3.flv": 44_100}


@functools.cache
def shared(folder: Path, name: str) -> Path:
    rate = RATES.get(name, RATE)
    return encode(folder / name, tones((440,), rate=rate), rate=rate, **CONTAINERS[name])


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("containers")


# --- laws --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "sample_format", "dtype", "subtype"),
    [
        ("a.avi", "pcm_u8", None, np.uint8, "PCM_U8"),
        ("a.avi", "pcm_s16le", None, np.int16, "PCM_16"),
        ("a.avi", "pcm_s24le", None, np.int32, "PCM_24"),
        ("a.avi", "pcm_f32le", None, np.float32, "FLOAT"),
        ("a.mov", "pcm_s16be", None, np.int16, "PCM_16"),
        ("a.mka", "pcm_s32le", None, np.int32, "PCM_32"),
        ("a.mka", "pcm_f64le", "dbl", np.float32, "DOUBLE"),
        ("a.mka", "flac", "s16", np.int16, "PCM_16"),
        ("a.mka", "flac", "s32", np.int32, "PCM_24"),
        ("a.mp4", "flac", "s16", np.int16, "PCM_16"),
        ("a.m4a", "alac", "s16p", np.int16, "PCM_16"),
        ("a.m4a", "alac", "s32p", np.int32, "PCM_24"),
        ("a.wv", "wavpack", "s16p", np.int16, "PCM_16"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_lossless_container_holds_what_a_wav_of_the_same_samples_holds(
    tmp_path: Path, name: str, codec: str, sample_format: str | None, dtype: type, subtype: str, channels: int
) -> None:
    samples = noise(channels=channels, dtype=dtype)
    sf.write(tmp_path / "a.wav", noise(channels=channels, dtype=np.float32), RATE, subtype=subtype)

    wav = decode(tmp_path / "a.wav")
    other = decode(encode(tmp_path / name, samples, codec=codec, sample_format=sample_format))

    np.testing.assert_array_equal(noise(channels=channels, dtype=np.float32), wav.samples)
    np.testing.assert_array_equal(wav.samples, other.samples)
    assert samples_sha256(wav) == samples_sha256(other)


@given(data=st.data(), name=st.sampled_from(sorted(CONTAINERS)))
def test_a_segment_is_a_slice_of_the_whole(folder: Path, data: st.DataObject, name: str) -> None:
    whole = decode(shared(folder, name))
    n_frames, rate = len(whole.samples), whole.sample_rate_hz
    start = data.draw(st.none() | st.integers(0, n_frames - 1), label="start")
    stop = data.draw(st.none() | st.integers((start or 0) + 1, n_frames), label="stop")

    segment = decode(
        shared(folder, name),
        start_s=None if start is None else start / rate,
        end_s=None if stop is None else stop / rate,
    )

    np.testing.assert_array_equal(whole.samples[start:stop], segment.samples)
    assert (segment.sample_rate_hz, segment.lossy) == (rate, whole.lossy)


@given(
    share=st.floats(0, 1, exclude_max=True),
    name=st.sampled_from(["pcm.avi", "mp3.avi", "opus.webm", "flac.mka", "aac.m4a", "pcm.mov", "wma.wma", "mp3.flv"]),
)
def test_a_container_that_lost_its_end_is_refused_or_has_lost_next_to_nothing(
    folder: Path, share: float, name: str
) -> None:
    whole = shared(folder, name)
    cut = folder / f"cut {name}"
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])

    error, decoded = attempt(cut)

    if error is not None:
        # Of a flv file cut within its first kilobyte not even the stream of audio is left.
        assert error.kind in {"truncated", "undecodable", "empty", "zero_length", "no_audio"}
    else:
        lost_s = decode(whole).duration_s - decoded.duration_s
        assert lost_s <= 0.15 if decoded.lossy else lost_s <= 0.02


@given(
    at=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20),
    byte=st.integers(0, 255),
    name=st.sampled_from(sorted(CONTAINERS)),
)
def test_altered_bytes_give_samples_or_a_reason_and_nothing_else(folder: Path, at, byte: int, name: str) -> None:
    content = bytearray(shared(folder, name).read_bytes())
    for share in at:
        content[int(share * len(content))] = byte
    altered = folder / f"altered {name}"
    altered.write_bytes(content)

    error, decoded = attempt(altered)

    if error is not None:
        assert str(error).startswith(f"altered {name}: ")
        assert str(folder) not in str(error)
    else:
        assert len(decoded.samples) > 0


# --- what is read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CONTAINERS))
def test_every_container_is_read_whatever_its_name_ends_in(folder: Path, name: str) -> None:
    misnamed = shutil.copy(shared(folder, name), folder / f"{name}.wav")

    decoded = decode(misnamed)

    assert decoded.sample_rate_hz == RATES.get(name, RATE)
    assert decoded.lossy is (name not in LOSSLESS)
    assert decoded.duration_s == pytest.approx(1, abs=0.06)
    assert loudness(decoded.samples[:, 0], 440, rate=decoded.sample_rate_hz) == pytest.approx(0.4, abs=0.06)
    assert decoded.samples.flags.c_contiguous


@pytest.mark.parametrize(
    ("name", "codec", "lag"),
    [("a.m4a", "aac", 0), ("a.mp4", "aac", 0), ("a.webm", "libopus", 0), ("a.mka", "aac", 0), ("a.aac", "aac", 1_024)],
)
def test_what_an_encoder_puts_before_the_sound_is_left_out_where_the_container_tells(
    tmp_path: Path, name: str, codec: str, lag: int
) -> None:
    wave = speech()

    decoded = decode(encode(tmp_path / name, wave, codec=codec, form="adts" if name == "a.aac" else None))

    lags = range(-1_500, 1_501)
    middle = wave[2_000:-5_000, 0]
    likeness = [np.dot(middle, decoded.samples[2_000 + by : 2_000 + by + len(middle), 0]) for by in lags]
    assert abs(lags[int(np.argmax(likeness))] - lag) <= 1


def test_the_channels_of_a_film_are_kept_and_its_low_frequency_is_not_heard(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", tones(VOICES_HZ, seconds=2), codec="aac", video_s=2)

    decoded = decode(path)

    assert (decoded.n_channels, decoded.sample_rate_hz) == (6, RATE)
    assert [SURROUND[channel] for channel in decoded.low_frequency] == ["low frequency"]
    for channel, frequency_hz in enumerate(VOICES_HZ):
        assert loudness(decoded.samples[:, channel], frequency_hz, rate=RATE) == pytest.approx(0.4, rel=0.1)
    mono = to_waveform(decoded)
    heard = [loudness(mono, frequency_hz, rate=16_000) for frequency_hz in VOICES_HZ]
    assert heard[3] < 1e-3
    assert heard[:3] + heard[4:] == pytest.approx([0.4 / 5] * 5, rel=0.1)


def test_surround_sound_is_one_recording_in_every_lossless_container(tmp_path: Path) -> None:
    samples = noise(channels=6)

    files = [
        decode(encode(tmp_path / name, samples, codec=codec))
        for name, codec in [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.mka", "flac"), ("a.mov", "pcm_s16le")]
    ]

    assert [decoded.low_frequency for decoded in files] == [(3,)] * 4
    assert len({samples_sha256(decoded) for decoded in files}) == 1
    assert len({to_waveform(decoded).tobytes() for decoded in files}) == 1


@pytest.mark.parametrize("layout", ["quad", "4.0"])
def test_four_channels_without_one_of_low_frequency_are_all_heard(tmp_path: Path, layout: str) -> None:
    samples = noise(channels=4)
    mean = samples.mean(axis=1) / 32_768

    for name in ("a.wav", "a.mka"):
        decoded = decode(encode(tmp_path / name, samples, codec="pcm_s16le", layout=layout, rate=16_000))

        assert decoded.low_frequency == ()
        np.testing.assert_allclose(to_waveform(decoded), mean, atol=1e-7)


def test_six_channels_that_nobody_named_are_all_heard(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", noise(channels=6), 16_000)

    decoded = decode(tmp_path / "a.wav")

    assert decoded.low_frequency == ()
    np.testing.assert_allclose(to_waveform(decoded), decoded.samples.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.mka", "flac"), ("a.mov", "pcm_s16le")])
def test_eight_channels_are_read(tmp_path: Path, name: str, codec: str) -> None:
    frequencies_hz = (300, 500, 700, 60, 1_100, 1_300, 1_500, 1_700)

    decoded = decode(encode(tmp_path / name, tones(frequencies_hz), codec=codec, layout="7.1"))

    assert (decoded.n_channels, decoded.low_frequency) == (8, (3,))
    for channel, frequency_hz in enumerate(frequencies_hz):
        assert loudness(decoded.samples[:, channel], frequency_hz, rate=RATE) == pytest.approx(0.4, rel=0.1)


def test_the_channel_of_low_frequency_counts_for_the_hash_and_is_heard_where_there_is_no_other() -> None:
    samples = noise(channels=1, dtype=np.float32)
    voice = Decoded(samples=samples, sample_rate_hz=16_000, lossy=False)
    rumble = Decoded(samples=samples, sample_rate_hz=16_000, lossy=False, low_frequency=(0,))

    assert samples_sha256(voice) != samples_sha256(rumble)
    np.testing.assert_array_equal(to_waveform(voice), to_waveform(rumble))


@pytest.mark.parametrize(("default_track", "frequency_hz"), [(None, 300), (0, 300), (1, 500)])
def test_of_several_tracks_the_default_one_is_taken_or_the_first(
    tmp_path: Path, default_track: int | None, frequency_hz: int
) -> None:
    tracks = [tones((300,)), tones((500,))]

    decoded = decode(
        encode(tmp_path / "a.mkv", *tracks, codec="flac", sample_format="s16", default_track=default_track)
    )

    assert loudness(decoded.samples[:, 0], frequency_hz, rate=RATE) == pytest.approx(0.4, rel=0.01)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.flv"])
def test_the_sound_may_end_long_before_the_picture(tmp_path: Path, name: str) -> None:
    codec = "libmp3lame" if name in {"a.avi", "a.flv"} else "aac"

    decoded = decode(encode(tmp_path / name, tones((440,), rate=44_100), rate=44_100, codec=codec, video_s=4))

    assert decoded.duration_s == pytest.approx(1, abs=0.06)


def test_tags_in_an_old_encoding_and_names_like_addresses_do_no_harm(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with av.open("tagged.avi", "w") as out:
        stream = out.add_stream("pcm_s16le", rate=RATE, layout="mono")
        out.metadata["title"] = "Aerger"
        frame = av.AudioFrame.from_ndarray(noise(channels=1).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE
        out.mux(stream.encode(frame))
    content = Path("tagged.avi").read_bytes()
    Path("pipe:tagged.avi").write_bytes(content.replace(b"Aerger", "Ärger".encode("latin-1") + b" "))

    assert decode("pipe:tagged.avi").duration_s == pytest.approx(0.1)


def test_threads_may_decode_at_the_same_time(folder: Path) -> None:
    paths = [shared(folder, name) for name in sorted(CONTAINERS)]
    alone = [samples_sha256(decode(path)) for path in paths]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda path: samples_sha256(decode(path)), paths * 4))

    assert together == alone * 4


def test_ffmpeg_is_not_loaded_before_a_container_needs_it() -> None:
    code = "import sys, voxemo.audio.load, voxemo.corpora.probe; sys.exit('av' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_changed_samples_are_an_error_where_nothing_was_lost_and_a_warning_where_it_was(folder: Path) -> None:
    assert len(load_audio(shared(folder, "alac.m4a"), expected_sha256=samples_sha256(decode(folder / "alac.m4a"))))
    with pytest.raises(AudioError, match="changed") as caught:
        load_audio(shared(folder, "alac.m4a"), expected_sha256="0" * 64)
    assert caught.value.kind == "changed"
    for name in ("aac.m4a", "opus.webm", "mp3.avi"):
        with pytest.warns(AudioChanged, match="decoded by another version"):
            load_audio(shared(folder, name), expected_sha256="0" * 64)


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_a_video_without_sound_is_refused_in_words(tmp_path: Path, name: str) -> None:
    error = refusal(encode(tmp_path / name, codec="none", video_s=1))

    assert error.kind == "no_audio"
    assert error.reason == "it holds no audio, only video or other data"


@pytest.mark.parametrize(
    ("name", "options", "unit"),
    [
        ("aac.m4a", FASTSTART, "bytes"),
        ("aac.m4a", None, "bytes"),
        ("aac.mp4", None, "bytes"),
        ("fragments.mp4", {"movflags": "frag_keyframe+empty_moov"}, "bytes"),
        ("pcm.mov", FASTSTART, "bytes"),
        ("opus.webm", None, "s"),
        ("opus.mkv", None, "s"),
        ("flac.mka", None, "s"),
        ("pcm.avi", None, "s"),
        ("mp3.avi", None, "s"),
        ("mp3.flv", None, "s"),
        ("wma.wma", None, "bytes"),
    ],
)
def test_a_container_cut_in_two_is_refused_and_says_how_much_is_there(
    tmp_path: Path, name: str, options: dict[str, str] | None, unit: str
) -> None:
    rate = RATES.get(name, RATE)
    path = encode(tmp_path / name, tones((440, 550), rate=rate), rate=rate, **{**CONTAINERS[name], "options": options})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    error = refusal(path)

    assert error.kind == "truncated"
    assert error.reason.startswith("it is cut short: ")
    assert error.reason.endswith(f" {unit} that its header declares are there")


def test_damage_in_the_middle_is_refused_and_a_single_bad_packet_of_many_is_not(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", speech(seconds=8), codec="aac", options=FASTSTART)
    content = path.read_bytes()
    data = content.index(b"mdat") + 4

    path.write_bytes(content[: data + 10_000] + b"\xff" * 10_000 + content[data + 20_000 :])
    error = refusal(path)
    path.write_bytes(content[: data + 10_000] + b"\xff" * 64 + content[data + 10_064 :])

    assert error.kind == "undecodable"
    assert "packets of its audio are damaged (FFmpeg: " in error.reason
    assert decode(path).duration_s == pytest.approx(8, abs=0.1)


def test_sound_of_an_unknown_coding_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", noise(), codec="pcm_s16le")
    content = path.read_bytes()
    known = content.index(b"strf") + 8
    path.write_bytes(content[:known] + struct.pack("<H", 0x7777) + content[known + 2 :])

    assert "FFmpeg" in refusal(path).reason


@pytest.mark.parametrize(("codec", "value"), [("pcm_f32le", np.nan), ("pcm_f32le", np.inf), ("pcm_f64le", 1e300)])
def test_samples_that_are_no_numbers_are_refused_in_containers_too(tmp_path: Path, codec: str, value: float) -> None:
    samples = tones((440,)).astype(np.float32 if codec == "pcm_f32le" else np.float64)
    samples[100] = value

    assert refusal(encode(tmp_path / "a.mka", samples, codec=codec)).kind == "not_numbers"


def test_channels_that_change_on_the_way_are_refused(tmp_path: Path) -> None:
    mono = encode(tmp_path / "1.aac", tones((440,)), codec="aac", form="adts")
    stereo = encode(tmp_path / "2.aac", tones((440, 550)), codec="aac", form="adts")
    (tmp_path / "a.aac").write_bytes(mono.read_bytes() + stereo.read_bytes())

    assert "its channels change on the way" in refusal(tmp_path / "a.aac").reason


@pytest.mark.parametrize("name", ["pcm.avi", "aac.m4a"])
@pytest.mark.parametrize(
    ("start_s", "end_s"),
    [(-0.01, 0.5), (0.5, 0.5), (0.8, 0.2), (0.0, 1.2), (2.0, None), (float("nan"), 0.5), (0.0, float("inf"))],
)
def test_a_segment_outside_a_container_is_refused_as_in_a_wav(
    folder: Path, name: str, start_s: float, end_s: float | None
) -> None:
    path = shared(folder, name)
    n_s = f"{decode(path).duration_s:g}"

    with pytest.raises(AudioError, match=rf"outside the file, which lasts {n_s} s") as caught:
        decode(path, start_s=start_s, end_s=end_s)

    assert caught.value.kind == "outside"


def test_a_segment_of_less_than_a_sample_holds_no_audio(folder: Path) -> None:
    with pytest.raises(AudioError, match="zero frames") as caught:
        decode(shared(folder, "pcm.avi"), start_s=0.5, end_s=0.500001)

    assert caught.value.kind == "zero_length"


def test_a_segment_may_end_a_rounding_step_after_the_container(folder: Path) -> None:
    assert decode(shared(folder, "pcm.avi"), start_s=0.5, end_s=1.005).duration_s == pytest.approx(0.5)


def test_ffmpeg_prints_nothing_about_damaged_files(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in sorted(CONTAINERS):
        content = shared(folder, name).read_bytes()
        damaged = folder / f"damaged {name}"
        damaged.write_bytes(content[:4_000] + os.urandom(500) + content[4_500:-300])
        attempt(damaged)

    assert capfd.readouterr() == ("", "")
