"""Log-mel features of real frames only, beside Whisper's extractor, which fills every clip up to 30 s.

Run: python bench/log_mel.py [--rounds N] [--threads N]

Prints, for clips of several lengths, milliseconds of the extractor and ours (medians of calls by turns), their ratio,
and how far the features of the clip's own frames differ. Some seconds on a CPU.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import torch
from transformers import WhisperFeatureExtractor

from voxemo.backends.local.audio_tower import window_frames
from voxemo.backends.local.log_mel import LogMel

LENGTHS_S = (1, 3, 5, 10, 15, 30)
RATE_HZ = 16_000


def milliseconds(work: Callable[[], object]) -> float:
    """Of one call, by the clock."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    """Print a line for each length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    # As the checkpoints of Qwen2-Audio and Audio Flamingo 3 set it.
    extractor = WhisperFeatureExtractor(feature_size=128, chunk_length=30)
    log_mel = LogMel.of(extractor)
    print(f"{given.threads} thread(s)\nclip, s   extractor, ms   ours, ms   ratio   furthest apart")
    for seconds in LENGTHS_S:
        samples = np.random.default_rng(seconds).normal(0, 0.1, seconds * RATE_HZ).astype(np.float32)
        n_frames = log_mel.n_frames(len(samples))
        theirs = partial(extractor, samples, sampling_rate=RATE_HZ, return_tensors="pt")
        ours = partial(log_mel, samples, n_frames=window_frames(n_frames, most=extractor.nb_max_frames))
        apart = (theirs()["input_features"][0, :, :n_frames] - ours()[:, :n_frames]).abs().max()
        rounds = [(milliseconds(theirs), milliseconds(ours)) for _ in range(given.rounds)]
        slow, fast = (median(times) for times in zip(*rounds, strict=True))
        print(f"{seconds:7} {slow:15.2f} {fast:10.2f} {slow / fast:7.1f} {apart:16.1e}")


if __name__ == "__main__":
    main()
