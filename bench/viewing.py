"""How long the listening page takes to open and to answer on a run of a large corpus, and how much memory.

Run: python bench/viewing.py [--utterances N] [--prompts N]

The run is made up, in a temporary folder, through the writers of real runs: clips of the corpus `demo` under many
names, the prompts' answers with a transcript and a caption each, all read by both readings. A fresh process opens it.
"""

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from voxemo.catalog import lookup
from voxemo.core.ids import sha256_text
from voxemo.core.types import Response
from voxemo.reports.viewer.clips import Clip, clip_of
from voxemo.reports.viewer.pictures import draw
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.prepare import prepare_corpus
from voxemo.steps.split import split_corpus
from voxemo.steps.view import OpenRun, open_run
from voxemo.store.journal import JournalWriter, read_journal
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.tables import PLAN, PREDICTIONS, UTTERANCES, VOTES, read_table, write_table

T = TypeVar("T")

WORDS = ["the", "bus", "stopped", "in", "front", "of", "the", "station", "and", "we", "did", "not", "get", "out"]
KIB_PER_MIB = 1 << 10
N_ASKED = 20
ADDRESSES: dict[str, dict[str, str]] = {
    "first page": {},
    "wrong under any prompt": {"outcome": "wrong"},
    "ambiguous, prompts differ, most wrong first": {"agreement": "ambiguous", "disagree": "yes", "sort": "wrong"},
    "a piece of a name, last page": {"text": "9_9", "page": "999999"},
}


def write_run(folder: Path, n_utterances: int, n_prompts: int) -> tuple[Workspace, Path]:
    """Make workspace and run below the folder, as large as asked for; its manifest alone is of a small plan."""
    workspace = Workspace(folder / "workspace")
    prepare_corpus(workspace, "demo")
    split_corpus(workspace, "demo")
    variants = lookup.prompt_names()[:n_prompts]
    options = PlanOptions(forms=("hard",), variants=variants, limit=1)
    run = plan_run(workspace, folder / "runs", corpus="demo", model="scripted", options=options)
    rng = np.random.default_rng(0)
    small = read_table(workspace.utterances("demo"), UTTERANCES)
    votes = read_table(workspace.votes("demo"), VOTES)
    copies = -(-n_utterances // small.height)
    number = pl.int_range(copies, dtype=pl.Int64).alias("copy")
    renamed = (pl.col("utterance_id") + "_" + pl.col("copy").cast(pl.String)).alias("utterance_id")
    utterances = small.join(pl.select(number), how="cross").with_columns(renamed).head(n_utterances)
    write_table(workspace.utterances("demo"), utterances, UTTERANCES)
    many = votes.join(pl.select(number), how="cross").with_columns(renamed)
    write_table(workspace.votes("demo"), many.join(utterances, on="utterance_id", how="semi"), VOTES)
    asked = _plan(read_table(RunPaths(run).plan, PLAN), utterances, variants)
    write_table(RunPaths(run).plan, asked, PLAN)
    labels = np.array(["angry", "fear", "happy", "neutral", "sad", "surprise"])
    said = np.where(rng.random(asked.height) < 0.6, _truth(asked, utterances), rng.choice(labels, asked.height))
    failed = rng.random(asked.height) < 0.05
    _write_predictions(RunPaths(run).predictions, asked, said, failed)
    _write_answers(RunPaths(run).responses, asked, said, failed, rng)
    return workspace, run


def _plan(one: pl.DataFrame, utterances: pl.DataFrame, variants: tuple[str, ...]) -> pl.DataFrame:
    of_variant = one.unique("variant_id").drop("utterance_id", "audio_sha256", "request_id")
    rows = utterances.select("utterance_id", "audio_sha256").join(of_variant, how="cross", maintain_order="left_right")
    names = (rows["utterance_id"] + rows["variant_id"]).to_list()
    return rows.with_columns(request_id=pl.Series([sha256_text(name)[:32] for name in names]))


def _truth(asked: pl.DataFrame, utterances: pl.DataFrame) -> np.ndarray:
    joined = asked.join(utterances.select("utterance_id", "expressed"), on="utterance_id", maintain_order="left")
    return np.asarray(joined["expressed"].to_list())


def _write_predictions(path: Path, asked: pl.DataFrame, said: np.ndarray, failed: np.ndarray) -> None:
    readings = pl.DataFrame({"reading": ["strict", "lenient"]})
    label = pl.Series(said).set(pl.Series(failed), None)
    rows = asked.select("request_id", "utterance_id", "form", system_id="variant_id").with_columns(
        status=pl.Series(np.where(failed, "failed", "ok")),
        label=label,
        raw_label=label,
        reason=pl.when(pl.Series(failed)).then(pl.lit("no_field")),
        distribution=pl.lit(None, pl.List(pl.Float64)),
        repairs=pl.lit([], pl.List(pl.String)),
        label_status=pl.lit(None, pl.String),
        label_reason=pl.lit(None, pl.String),
    )
    write_table(path, rows.join(readings, how="cross", maintain_order="left_right"), PREDICTIONS)


def _write_answers(
    folder: Path, asked: pl.DataFrame, said: np.ndarray, failed: np.ndarray, rng: np.random.Generator
) -> None:
    # As workers finish: not in the order of the plan.
    order = rng.permutation(asked.height)
    names = asked["request_id"].to_list()
    with JournalWriter(folder, "main") as writer:
        for first in range(0, len(order), 50_000):
            writer.append([_answer(names[at], said[at], failed[at]) for at in order[first : first + 50_000].tolist()])


def _answer(request_id: str, label: str, failed: bool) -> Response:
    start = int(request_id[:2], 16) % len(WORDS)
    text = f"ASR TRANSCRIPT: {' '.join(WORDS[start:] + WORDS[:start])}\nACOUSTIC CAPTION: high, rising pitch; loud\n"
    text += "I hear something." if failed else f"FINAL LABEL: {label.capitalize()}"
    return Response(
        request_id=request_id, text=text, n_prompt_tokens=158, n_new_tokens=57, latency_s=0.01, worker="main"
    )


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long it took, and what came of it."""
    start = time.perf_counter()
    made = work()
    return time.perf_counter() - start, made


def fresh(work: Callable[..., T], *given: Any) -> T:
    """Do something in a process of its own, so that its memory is nobody else's."""
    # What made the run must not be this process: a child's peak begins at what its parent held.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *given).result()


def peak_mib() -> float:
    """Of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB


def measure(folder: Path, run: Path) -> dict[str, float]:
    """Open the run in this process and ask it for pages and utterances."""
    before = peak_mib()
    workspace = Workspace(folder)
    opening, opened = seconds(lambda: open_run(workspace, run))
    table, _ = seconds(opened.facts)
    found = {"open: index of the journal": opening, "open: table": table, "MiB at most, beyond imports": 0.0}
    for name, words in ADDRESSES.items():
        found[f"page: {name}"] = statistics.median(seconds(partial(opened.page, words))[0] for _ in range(N_ASKED))
    found |= _one_by_one(opened)
    found["MiB at most, beyond imports"] = peak_mib() - before
    found["export of all as CSV rows"] = seconds(lambda: opened.selection({}))[0]
    return found


def _one_by_one(opened: OpenRun) -> dict[str, float]:
    def hear(name: str) -> Clip:
        return clip_of(*opened.clip(name))

    names = [row["utterance_id"] for row in opened.page({"sort": "id", "page": "77"})["rows"]][:N_ASKED]
    shown = statistics.median(seconds(partial(opened.utterance, name))[0] for name in names)
    heard = statistics.median(seconds(partial(hear, name))[0] for name in names)
    clip = clip_of(*opened.clip(names[0]))
    drawn = statistics.median(seconds(lambda: draw(clip.waveform, "light"))[0] for _ in range(5))
    return {"utterance: facts, votes, answers": shown, "utterance: clip": heard, "utterance: picture": drawn}


def read_everything(folder: Path) -> tuple[float, float]:
    """Seconds and MiB of reading every answer of the journals, texts and all."""
    before = peak_mib()
    taken, _ = seconds(lambda: read_journal(folder))
    return taken, peak_mib() - before


def main() -> None:
    """Print seconds, memory, and how they compare with reading every answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=200_000)
    parser.add_argument("--prompts", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        workspace, run = fresh(write_run, Path(name), options.utterances, options.prompts)
        size = sum(path.stat().st_size for path in RunPaths(run).responses.glob("*.jsonl"))
        print(f"{options.utterances:,} utterances x {options.prompts} prompts; journal of {size / 1e6:,.0f} MB")
        found = fresh(measure, workspace.root, run)
        taken, used = fresh(read_everything, RunPaths(run).responses)
    for what, value in found.items():
        print(f"  {what:<52} {value:9,.0f}" if "MiB" in what else f"  {what:<52} {value:9.3f} s")
    opening, memory = found["open: index of the journal"], found["MiB at most, beyond imports"]
    print(f"  reading every answer instead: {taken:.1f} s, {taken / opening:.0f} times the index")
    print(f"  and {used:,.0f} MiB, {used / memory:.1f} times all that the page needs")


if __name__ == "__main__":
    main()
