"""How fast the audio of a corpus is probed, beside the loop over soundfile that one would write.

Run: python bench/probing.py [--jobs N] [--rounds N]

The loop reads every file with `sf.read` in one process and keeps its length, rate, channels and a SHA-256 of its
samples: once as soundfile gives them (64 bits), once as 32 bits, which is less to hash. `probe` does the same and more:
it tells silence, clipping and damaged files too. Files lie in a temporary folder and have been read before; every ratio
is of times from the same round, and the best and the median of all rounds are shown.
"""

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soundfile as sf

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.probe import probe

CORPORA = (
    # name, clips, seconds, rate, channels, ending
    ("7,442 wav of 2.5 s, 16 kHz", 7_442, 2.5, 16_000, 1, "wav"),
    ("7,442 wav of 1 s, 16 kHz", 7_442, 1.0, 16_000, 1, "wav"),
    ("2,000 wav of 8 s, 16 kHz", 2_000, 8.0, 16_000, 1, "wav"),
    ("2,000 wav of 3 s, 48 kHz stereo", 2_000, 3.0, 48_000, 2, "wav"),
    ("3,000 flac of 2.5 s, 16 kHz", 3_000, 2.5, 16_000, 1, "flac"),
)
N_DISTINCT = 50


def write_corpus(folder: Path, n_clips: int, seconds: float, rate: int, channels: int, ending: str) -> list[str]:
    """Write noise as loud as speech; a few clips again and again, since their content changes nothing."""
    rng = np.random.default_rng(0)
    clips = []
    for number in range(N_DISTINCT):
        samples = np.cumsum(rng.normal(0, 0.01, (round(seconds * rate), channels)), axis=0) % 0.4 - 0.2
        path = folder / f"{number}.{ending}"
        sf.write(path, samples, rate)
        clips.append(path.read_bytes())
    names = [f"{number}.{ending}" for number in range(n_clips)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(clips[number % N_DISTINCT])
    return names


def soundfile_loop(paths: Sequence[Path], dtype: str) -> list[tuple[float, int, int, str]]:
    """Length, rate, channels and hash of every file, as anybody would write it."""
    found = []
    for path in paths:
        samples, rate = sf.read(path, dtype=dtype, always_2d=True)
        found.append((len(samples) / rate, rate, samples.shape[1], hashlib.sha256(samples.tobytes()).hexdigest()))
    return found


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one run."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    """Print the times of one clip, and how many times as fast `probe` is as either loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes that probe may use")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"micro-seconds a clip, best of {options.rounds}; times as fast as the loop with {options.jobs} processes")
    print(f"{'':34}{'loop 64':>9}{'loop 32':>9}{'probe 1':>9}{f'probe {options.jobs}':>9}{'of 64':>16}{'of 32':>16}")
    for title, n_clips, length_s, rate, channels, ending in CORPORA:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            names = write_corpus(folder, n_clips, length_s, rate, channels, ending)
            paths = [folder / one for one in names]
            parsed = [ParsedUtterance(stem=one, audio_path=one) for one in names]
            rounds = [
                (
                    seconds(partial(soundfile_loop, paths, "float64")),
                    seconds(partial(soundfile_loop, paths, "float32")),
                    seconds(partial(probe, folder, parsed, jobs=1)),
                    seconds(partial(probe, folder, parsed, jobs=options.jobs)),
                )
                for _ in range(options.rounds + 1)
            ][1:]
        times = "".join(f"{min(one) / n_clips * 1e6:9.0f}" for one in zip(*rounds, strict=True))
        ratios = [[one[loop] / one[3] for one in rounds] for loop in (0, 1)]
        shown = "".join(f"{max(of):8.2f} ({statistics.median(of):.2f})" for of in ratios)
        print(f"{title:34}{times}  {shown}")


if __name__ == "__main__":
    main()
