import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from voxemo.audio.load import decode, samples_sha256
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.probe import BATCH, Probe, probe, probe_utterance


def utterance(path: str, **facts) -> ParsedUtterance:
    return ParsedUtterance(stem=path.removesuffix(".wav"), audio_path=path, **facts)


def test_a_probe_tells_length_rate_channels_and_hash(tmp_path: Path, record) -> None:
    path = record("a/1.wav", seconds=0.25, rate=44_100, channels=2)

    found = probe_utterance(tmp_path, utterance("a/1.wav"))

    assert found == Probe(
        duration_s=0.25, sample_rate_hz=44_100, n_channels=2, audio_sha256=samples_sha256(decode(path)), silent=False
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


def test_an_interrupt_does_not_wait_for_the_rest_of_the_corpus(tmp_path: Path, record, monkeypatch) -> None:
    record("a.wav")
    n_probed = 0
    one_at_a_time = threading.Lock()

    def count(root: Path, parsed: ParsedUtterance) -> Probe:
        nonlocal n_probed
        with one_at_a_time:
            n_probed += 1
        return probe_utterance(root, parsed)

    def interrupt(n_done: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("voxemo.corpora.probe.probe_utterance", count)

    with pytest.raises(KeyboardInterrupt):
        probe(tmp_path, [utterance("a.wav")] * 400 * BATCH, jobs=1, on_done=interrupt)

    assert n_probed < 400 * BATCH
