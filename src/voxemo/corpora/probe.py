"""What the audio of a corpus is: length, rate, channels, level and a hash of the samples of every utterance."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt

from voxemo.audio.load import decode, refuse_inaudible, samples_sha256
from voxemo.core.errors import AudioError, AudioProblem
from voxemo.core.types import ParsedUtterance

SILENCE_PEAK = 1e-3
"""60 dB below full scale: less than what a quiet room leaves in a recording of speech."""

FULL_SCALE = 1 - 2**-15
"""The largest positive value of 16 bits."""
CLIPPING_PEAK = 0.97
"""Below the largest value of every integer format; the lowest is 0.98, of mu-law."""
CLIPPED_RUN = 3
"""A peak that just fits touches the edge once or twice; three in a row are what level meters count as an over."""

BATCH = 32
"""Utterances per task: half a million tasks of one file each would cost more memory than the corpus's rows."""
BATCHES_PER_PROCESS = 8
"""Below this another process is not worth its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What is known about the audio of one utterance after decoding all of it; or why it cannot be used."""

    duration_s: float | None = None
    sample_rate_hz: int | None = None
    n_channels: int | None = None
    audio_sha256: str | None = None
    """Of the decoded samples at the native rate."""
    peak: float | None = None
    """Largest distance of a sample from zero; 1 is full scale, and lossy and float formats may exceed it."""
    clipped: float = 0.0
    """Share of the samples of all channels that are clipped, 0 to 1; see ``clipped_share``."""
    silent: bool = False
    """No sample is further than ``SILENCE_PEAK`` from the middle of the signal's range."""
    unusable_reason: str | None = None
    """Set when, and only when, the other facts are missing."""
    unusable_kind: AudioProblem | None = None
    """The same for programs; set when the reason is."""


def probe_utterance(root: Path, parsed: ParsedUtterance) -> Probe:
    """Decode the audio of one utterance below ``root``. Broken audio is a reason, never an exception."""
    return _probe_clip(root, (parsed.audio_path, parsed.start_s, parsed.end_s))


_Clip: TypeAlias = tuple[str, float | None, float | None]


def _probe_clip(root: Path, clip: _Clip) -> Probe:
    place, start_s, end_s = clip
    try:
        decoded = decode(root / place, start_s=start_s, end_s=end_s, place=place)
        refuse_inaudible(decoded, place=place)
    except AudioError as error:
        return Probe(unusable_reason=error.reason, unusable_kind=error.kind)
    # Channel by channel: numpy needs thirty times as long along the first axis of a table this narrow.
    extremes = [(float(channel.min()), float(channel.max())) for channel in decoded.samples.T]
    peak = max(max(-lowest, highest) for lowest, highest in extremes)
    return Probe(
        duration_s=decoded.duration_s,
        sample_rate_hz=decoded.sample_rate_hz,
        n_channels=decoded.n_channels,
        audio_sha256=samples_sha256(decoded),
        peak=peak,
        clipped=clipped_share(decoded.samples) if peak >= CLIPPING_PEAK else 0.0,
        silent=max(highest - lowest for lowest, highest in extremes) < 2 * SILENCE_PEAK,
    )


def clipped_share(samples: npt.NDArray[np.float32]) -> float:
    """Share of samples that are clipped, 0 to 1.

    A sample is clipped if it is one of at least three in a row, in one channel and of one sign, that are all at the
    largest value of their channel (at its smallest, for negative ones) or at full scale or beyond; and if that value
    is at least ``CLIPPING_PEAK`` from zero. So recordings that were clipped and then made quieter are not found, and
    neither are, as a rule, those that were coded with loss afterwards and stay below full scale.

    Args:
        samples: shape (n_frames, n_channels), at least one frame.

    >>> clipped_share(np.array([[0.5], [1.0], [1.0], [1.0], [-1.0], [-1.0]], np.float32))
    0.5
    """
    n_clipped = 0
    for channel in samples.T:
        for one_sign in (channel, -channel):
            edge = min(float(one_sign.max()), FULL_SCALE)
            if edge >= CLIPPING_PEAK:
                at_edge = np.concatenate([[False], one_sign >= edge, [False]])
                begins, ends = np.flatnonzero(np.diff(at_edge)).reshape(-1, 2).T
                n_clipped += int((ends - begins)[ends - begins >= CLIPPED_RUN].sum())
    return n_clipped / samples.size


def probe(
    root: Path,
    parsed: Sequence[ParsedUtterance],
    *,
    jobs: int | None = None,
    on_done: Callable[[int], None] | None = None,
) -> list[Probe]:
    """Probe every utterance, many at a time, in the given order.

    Short clips take so little time each that threads would mostly wait for the interpreter's lock. So this process is
    lent others where there is enough to do; what one of them cannot do, this one does.

    Args:
        root: the corpus folder.
        parsed: the utterances, whose audio paths are relative to ``root``.
        jobs: number of processes, this one included; None for as many as there are cores.
        on_done: called in this thread with the number of utterances done so far.
    """
    batches = [parsed[first : first + BATCH] for first in range(0, len(parsed), BATCH)]
    waiting = deque(range(len(batches)))
    answers: _Answers = SimpleQueue()
    probes: dict[int, list[Probe]] = {}
    n_done = 0
    n_helpers = min(jobs or _n_cores(), len(batches) // BATCHES_PER_PROCESS) - 1
    with _helpers(n_helpers, root, batches, waiting, answers):
        while len(probes) < len(batches):
            at = _next(waiting) if answers.empty() else None
            at, found = (at, None) if at is not None else answers.get()
            probes[at] = [probe_utterance(root, one) for one in batches[at]] if found is None else found
            n_done += len(probes[at])
            if on_done is not None:
                on_done(n_done)
    return [found for at in range(len(batches)) for found in probes[at]]


def _n_cores() -> int:
    # Those that this process may use, where the system tells; a job on a cluster has few of many.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _next(waiting: deque[int]) -> int | None:
    """The next batch that nobody has taken."""
    with contextlib.suppress(IndexError):
        return waiting.popleft()
    return None


# --- other processes ---------------------------------------------------------------------------------------------

_Answers: TypeAlias = SimpleQueue[tuple[int, list[Probe] | None]]
"""Number of a batch and its probes; None for a batch that was taken and has to be done here."""

# Not multiprocessing, which forks (and that is unsafe beside the threads of polars) or else runs the user's script
# again in every process, unless the script guards against it.
HELPER = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); import voxemo.corpora.probe as p; p.help_out()"
)


@contextlib.contextmanager
def _helpers(
    n_helpers: int,
    root: Path,
    batches: Sequence[Sequence[ParsedUtterance]],
    waiting: deque[int],
    answers: _Answers,
) -> Iterator[None]:
    """Other processes that take batches until none is waiting. They are gone afterwards, whatever happens."""
    helpers: list[subprocess.Popen[bytes]] = []
    threads: list[Thread] = []
    try:
        for _ in range(n_helpers):
            helper = _start_helper()
            if helper is None:
                break
            helpers.append(helper)
            threads.append(Thread(target=_employ, args=(helper, root, batches, waiting, answers)))
            threads[-1].start()
        yield
    finally:
        for helper in helpers:
            helper.kill()
        for thread in threads:
            thread.join()
        for helper in helpers:
            with contextlib.suppress(OSError), helper:  # what is left in a pipe that nobody reads
                pass


def _start_helper() -> subprocess.Popen[bytes] | None:
    """Start one; None where the system lets this process start no other."""
    with contextlib.suppress(OSError):
        return subprocess.Popen(
            [sys.executable, "-P", "-c", HELPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # It only decodes: a pool of threads for matrices would be one per core and process, and never used.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            process_group=0,  # the terminal's interrupt is for this process, which ends the others
        )
    return None


def _employ(
    helper: subprocess.Popen[bytes],
    root: Path,
    batches: Sequence[Sequence[ParsedUtterance]],
    waiting: deque[int],
    answers: _Answers,
) -> None:
    """Hand batches to one helper and take its answers, in a thread that only waits for both."""
    assert helper.stdin is not None
    assert helper.stdout is not None
    at = None
    try:
        _send(helper.stdin, sys.path)
        _send(helper.stdin, root)
        pickle.load(helper.stdout)  # it has started; before, a batch is sooner done here
        while (at := _next(waiting)) is not None:
            _send(helper.stdin, [(one.audio_path, one.start_s, one.end_s) for one in batches[at]])
            answers.put((at, pickle.load(helper.stdout)))
    except Exception:  # whatever ended the helper, nothing of its batch is lost
        if at is not None:
            answers.put((at, None))


def _send(pipe: IO[bytes], value: object) -> None:
    pipe.write(pickle.dumps(value))
    pipe.flush()


def help_out() -> None:
    """Probe what another process sends, until it sends no more: the whole program of a helper."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints must not get between the answers
        _answer(sys.stdin.buffer, answers)


def _answer(requests: IO[bytes], answers: IO[bytes]) -> None:
    root = pickle.load(requests)
    with contextlib.suppress(EOFError, BrokenPipeError):
        _send(answers, "ready")
        while True:
            _send(answers, [_probe_clip(root, clip) for clip in pickle.load(requests)])
