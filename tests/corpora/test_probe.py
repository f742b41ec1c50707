import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from voxemo.audio.load import decode, samples_sha256
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.probe import (
    BATCH,
    BATCHES_PER_PROCESS,
    Probe,
    clipped_share,
    probe,
    probe_utterance,
)


def utterance(path: str, **facts) -> ParsedUtterance:
    return ParsedUtterance(stem=path.removesuffix(".wav"), audio_path=path, **facts)


def test_a_probe_tells_length_rate_channels_and_hash(tmp_path: Path, record) -> None:
    path = record("a/1.wav", seconds=0.25, rate=44_100, channels=2)
    decoded = decode(path)

    found = probe_utterance(tmp_path, utterance("a/1.wav"))

    assert found == Probe(
        duration_s=0.25,
        sample_rate_hz=44_100,
        n_channels=2,
        audio_sha256=samples_sha256(decoded),
        peak=float(np.abs(decoded.samples).max()),
        clipped=0.0,
        silent=False,
    )


def test_a_segment_is_probed_apart_from_its_recording(tmp_path: Path, record) -> None:
    record("long.wav", seconds=1.0)

    first = probe_utterance(tmp_path, utterance("long.wav", start_s=0.0, end_s=0.25))
    second = probe_utterance(tmp_path, utterance("long.wav", start_s=0.25, end_s=1.0))

    assert (first.duration_s, second.duration_s) == (0.25, 0.75)
    assert first.audio_sha256 != second.audio_sha256


@pytest.mark.parametrize("jobs", [1, 3, None])
def test_probes_come_in_the_order_of_the_utterances(tmp_path: Path, record, jobs: int | None) -> None:
    names = [f"{i}.wav" for i in range(2 * BATCH + 3)]
    for i, name in enumerate(names):
        record(name, seconds=(i + 1) / 1_000)
    done: list[int] = []

    probes = probe(tmp_path, [utterance(name) for name in names], jobs=jobs, on_done=done.append)

    assert [found.duration_s for found in probes] == [(i + 1) / 1_000 for i in range(len(names))]
    assert done == [BATCH, 2 * BATCH, len(names)]


def test_nothing_to_probe_gives_nothing(tmp_path: Path) -> None:
    assert probe(tmp_path, []) == []


def test_broken_audio_is_a_reason_among_the_others(tmp_path: Path, record) -> None:
    record("good.wav")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "pointer.wav").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "damaged.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVE")

    probes = probe(tmp_path, [utterance(f"{n}.wav") for n in ("empty", "good", "pointer", "damaged", "missing")])

    assert [found.duration_s is None for found in probes] == [True, False, True, True, True]
    reasons = [found.unusable_reason or "" for found in probes]
    assert reasons[0] == "the file is empty (0 bytes)"
    assert reasons[1] == ""
    assert "Git LFS pointer" in reasons[2]
    assert "cannot be decoded" in reasons[3]
    assert reasons[4] == "there is no such file"
    assert [found.unusable_kind for found in probes] == ["empty", None, "pointer", "undecodable", "missing"]


@pytest.mark.parametrize(
    ("wave", "silent"),
    [
        (np.zeros(100), True),
        (np.full(100, 0.4), True),
        (np.tile([1e-4, -1e-4], 50), True),
        (np.tile([0.01, -0.01], 50), False),
        (np.stack([np.zeros(100), np.tile([0.1, 0.0], 50)], axis=1), False),
    ],
    ids=["zeros", "constant", "below a quiet room", "quiet speech", "one silent channel"],
)
def test_silence_is_what_no_listener_could_hear(tmp_path: Path, wave: np.ndarray, silent: bool) -> None:
    sf.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")

    assert probe_utterance(tmp_path, utterance("a.wav")).silent is silent


@pytest.mark.parametrize(
    ("wave", "share"),
    [
        ([0.0, 1.0, 1.0, 1.0, 0.0, 0.0], 3 / 6),
        ([0.0, 1.0, 1.0, 0.0, 1.0, 1.0], 0.0),
        ([-1.0, -1.0, -1.0, -1.0, 1.0, 1.0], 4 / 6),
        ([1.0, 1.0, -1.0, -1.0, 1.0, -1.0], 0.0),
        ([1.2, 1.1, 1.3, 0.0, 0.0, 0.0], 3 / 6),
        ([0.98, 0.98, 0.98, 0.97, 0.98, 0.98], 3 / 6),
        ([0.96, 0.96, 0.96, 0.0, 0.0, 0.0], 0.0),
        ([0.98, 0.99, 0.98, 0.99, 0.98, 0.99], 0.0),
    ],
    ids=["three", "twice two", "negative", "both signs", "beyond", "below full scale", "quiet", "not flat"],
)
def test_clipping_is_three_samples_in_a_row_at_the_edge(tmp_path: Path, wave: list[float], share: float) -> None:
    sf.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")

    found = probe_utterance(tmp_path, utterance("a.wav"))

    assert found.clipped == pytest.approx(share)
    assert found.peak == pytest.approx(np.abs(wave).max())


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "ULAW", "ALAW"])
@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_a_wave_turned_up_too_far_is_clipped_in_every_format(tmp_path: Path, subtype: str, gain: float) -> None:
    wave = np.clip(gain * np.sin(np.arange(8_000)), -1, 1)
    sf.write(tmp_path / "a.wav", np.stack([wave, 0.1 * wave], axis=1), 16_000, subtype=subtype)

    found = probe_utterance(tmp_path, utterance("a.wav"))

    assert (found.clipped > 0.2) is (gain > 1)


@given(wave=st.lists(st.sampled_from([-1.0, -0.99, 0.0, 0.5, 0.99, 1.0]), min_size=1, max_size=60))
def test_clipping_is_the_same_backwards_and_upside_down(wave: list[float]) -> None:
    samples = np.array(wave, np.float32)[:, None]

    share = clipped_share(samples)

    assert share == clipped_share(samples[::-1]) == clipped_share(-samples)
    assert share == clipped_share(np.concatenate([samples, samples], axis=1))
    assert 0 <= share <= 1


# --- several processes -------------------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path: Path, record) -> list[ParsedUtterance]:
    """Enough for two more processes; the same few files again and again, some of them broken."""
    for number in range(20):
        record(f"{number}.wav", seconds=(number + 1) / 1_000, seed=number)
    (tmp_path / "20.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVE")
    (tmp_path / "21.wav").touch()
    votes = MappingProxyType({"all": {"A": 1.0}})
    names = [f"{number % 23}.wav" for number in range(3 * BATCHES_PER_PROCESS * BATCH)]
    return [utterance(name, start_s=0.0 if at % 2 else None, votes_raw=votes) for at, name in enumerate(names)]


def test_several_processes_find_what_one_finds_in_the_same_order(tmp_path: Path, corpus) -> None:
    done: list[int] = []

    together = probe(tmp_path, corpus, jobs=3, on_done=done.append)

    assert together == [probe_utterance(tmp_path, one) for one in corpus]
    assert done == list(range(BATCH, len(corpus) + 1, BATCH))


def test_a_script_without_a_main_guard_may_probe_with_several_processes(tmp_path: Path, corpus) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from voxemo.core.types import ParsedUtterance\n"
        "from voxemo.corpora.probe import probe\n"
        "print('once')\n"
        f"parsed = [ParsedUtterance(stem='0', audio_path='0.wav')] * {len(corpus)}\n"
        "print(len(probe(Path('.'), parsed, jobs=3)))\n"
    )

    run = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (run.returncode, run.stdout, run.stderr) == (0, f"once\n{len(corpus)}\n", "")


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_does_not_wait_for_the_rest_of_the_corpus(tmp_path: Path, corpus, jobs: int) -> None:
    done: list[int] = []

    def interrupt(n_done: int) -> None:
        done.append(n_done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe(tmp_path, corpus * 20, jobs=jobs, on_done=interrupt)

    assert done == [BATCH]


def test_a_corpus_of_nothing_is_probed_at_once(tmp_path: Path) -> None:
    assert probe(tmp_path, []) == []
