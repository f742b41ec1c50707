"""How long a corpus of the size of MSP-Podcast takes from its label tables to votes and folds, and how much memory.

Run: python bench/corpora.py [--recordings N] [--ratings N]

The corpus is made up, in the provider's form: names of recordings without content, a consensus table and a detailed
table of about six ratings each. A fresh process then does what `voxemo prepare` and `voxemo split` do, but for the
audio, which is not decoded.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from voxemo.catalog.lookup import corpus_card
from voxemo.corpora.parsers import parser_for
from voxemo.corpora.prepare import check_layout, describe, unread_audio
from voxemo.corpora.tree import CorpusTree
from voxemo.splits.policies import make_split

T = TypeVar("T")

CORPUS_ID = "msp-podcast"
N_SPEAKERS = 3700
PARTS = {"Train": 0.6, "Development": 0.12, "Test1": 0.18, "Test2": 0.1}
CODES = {
    "Angry": "A",
    "Contempt": "C",
    "Disgust": "D",
    "Fear": "F",
    "Happy": "H",
    "Neutral": "N",
    "Sad": "S",
    "Surprise": "U",
    "Other-Concerned": "O",
}
KIB_PER_GIB = 1 << 20


def write_corpus(root: Path, n_recordings: int, ratings_each: float) -> int:
    """Make the corpus below ``root``; returns the number of ratings."""
    rng = np.random.default_rng(2026)
    names = np.array([f"MSP-PODCAST_{i // 10_000:04d}_{i % 10_000:04d}_0001.wav" for i in range(n_recordings)])
    n_ratings = rng.poisson(ratings_each - 5, n_recordings) + 5
    rated = np.repeat(np.arange(n_recordings), n_ratings)
    favourites = rng.integers(len(CODES), size=n_recordings)
    chosen = np.where(rng.random(len(rated)) < 0.6, favourites[rated], rng.integers(len(CODES), size=len(rated)))

    (root / "Audios").mkdir()
    (root / "Labels").mkdir()
    for name in names:
        (root / "Audios" / name).touch()
    pl.DataFrame(
        {
            "FileName": names,
            "EmoClass": np.array(list(CODES.values()))[favourites],
            "EmoAct": rng.uniform(1, 7, n_recordings).round(6),
            "EmoVal": rng.uniform(1, 7, n_recordings).round(6),
            "EmoDom": rng.uniform(1, 7, n_recordings).round(6),
            "SpkrID": rng.integers(1, N_SPEAKERS + 1, n_recordings),
            "Gender": rng.choice(["Male", "Female"], n_recordings),
            "Split_Set": rng.choice(list(PARTS), n_recordings, p=list(PARTS.values())),
        }
    ).write_csv(root / "Labels" / "labels_consensus.csv")
    words = np.array(list(CODES))[chosen]
    pl.DataFrame(
        {
            "FileName": names[rated],
            "Workers": [f"WORKER{i:08d}" for i in rng.integers(20_000, size=len(rated))],
            "EmoClass_Major": words,
            "EmoClass_Second": np.char.add(words, ",Concerned"),
            "EmoAct": rng.integers(1, 8, len(rated)).astype(float),
            "EmoVal": rng.integers(1, 8, len(rated)).astype(float),
            "EmoDom": rng.integers(1, 8, len(rated)).astype(float),
        }
    ).write_csv(root / "Labels" / "labels_detailed.csv")
    return len(rated)


def measure(root: Path) -> list[tuple[str, float, float, str]]:
    """Step, its seconds, the process's peak memory after it in GiB, and what came out."""
    card = corpus_card(CORPUS_ID)
    rows = []
    begun = time.perf_counter()

    def note(step: str, result: str) -> None:
        nonlocal begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_GIB
        rows.append((step, time.perf_counter() - begun, peak, result))
        begun = time.perf_counter()

    tree = CorpusTree(root, corpus_id=CORPUS_ID)
    check_layout(card, tree)
    note("list the folder", f"{len(tree.top_level())} folders")
    parsed = tuple(parser_for(CORPUS_ID)(tree))
    note("parse", f"{len(parsed):,} utterances")
    unread = unread_audio(card, tree, parsed)
    note("look for unread audio", f"{len(unread):,} files")
    prepared = describe(card, parsed, unread=unread)
    note("describe", f"{len(prepared.votes):,} votes by label")
    split = make_split(card, [one for one in prepared.utterances if one.excluded_reason is None], policy="protocol")
    (fold,) = split.folds
    note("split", ", ".join(f"{part} {len(names):,}" for part, names in fold.partitions.items()))
    return rows


def in_fresh_process(function: Callable[..., T], *arguments: Any) -> T:
    """Run a function in a process of its own.

    A child inherits the peak memory of the process that starts it, so this one must stay small itself.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(function, *arguments).result()


def main() -> None:
    """Make the corpus, measure, and print a line per step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=213_000)
    parser.add_argument("--ratings", type=float, default=6.0, help="of one recording, on average; at least 5")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        n_ratings = in_fresh_process(write_corpus, Path(folder), arguments.recordings, arguments.ratings)
        rows = in_fresh_process(measure, Path(folder))
    print(f"{arguments.recordings:,} recordings, {n_ratings:,} ratings")
    print(f"{'step':<24}{'seconds':>9}{'peak GiB':>10}  result")
    for step, seconds, peak, result in rows:
        print(f"{step:<24}{seconds:>9.2f}{peak:>10.2f}  {result}")
    print(f"{'all':<24}{sum(row[1] for row in rows):>9.2f}{rows[-1][2]:>10.2f}")


if __name__ == "__main__":
    main()
