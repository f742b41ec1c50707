"""How long the web report of a whole benchmark takes, and how large its first page is with all that it loads.

Run: python bench/web_report.py [--systems N] [--utterances N] [--keep FOLDER]

Made up of the benchmark's own cards: every corpus gets speakers, labels, votes and the split that its card asks for,
and one model answers all prompts by chance through the real steps. Further models are copies of that run's files under
other names, with scores moved a little: pages read such files and nothing else.
"""

import argparse
import hashlib
import json
import math
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import polars as pl
import soundfile

from voxemo.backends.base import Question
from voxemo.backends.scripted import ScriptedBackend
from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.types import Utterance
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.score import score_run
from voxemo.steps.split import split_corpus
from voxemo.store.files import read_json, write_json
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.workspace import write_prepared

N_SPEAKERS = 20
N_VOTES = 6
SECONDS = 0.2
RATE_HZ = 16_000
CLI = "from voxemo.cli.main import run; run()"
TEST_PARTS = {"msp-podcast": ("test1", "test2")}


# --- one run of each corpus, by the real steps --------------------------------------------------------------------


def make_corpus(workspace: Workspace, card: CorpusCard, folder: Path, n_utterances: int) -> None:
    """Prepare a made-up corpus of a card, and divide it as the card says."""
    folder.mkdir(parents=True)
    samples = np.random.default_rng(0).normal(0, 0.01, int(SECONDS * RATE_HZ)).astype(np.float32)
    soundfile.write(folder / "clip.wav", samples, RATE_HZ, subtype="FLOAT")
    rng = np.random.default_rng(int(hashlib.sha256(card.corpus_id.encode()).hexdigest()[:8], 16))
    n_speakers = min(card.expected.n_speakers or N_SPEAKERS, N_SPEAKERS)
    parts = ("train", "train", "train", "valid", *TEST_PARTS.get(card.corpus_id, ("test", "test")))
    names = card.labels.names
    utterances, votes = [], []
    for number in range(n_utterances):
        label = names[number % len(names)]
        speaker = number // len(names) % n_speakers
        utterance_id = f"{card.corpus_id}/u{number:05d}"
        utterances.append(
            Utterance(
                utterance_id=utterance_id,
                corpus_id=card.corpus_id,
                audio_path="clip.wav",
                duration_s=SECONDS,
                sample_rate_hz=RATE_HZ,
                n_channels=1,
                audio_sha256=hashlib.sha256(samples.tobytes()).hexdigest(),
                speaker_id=f"s{speaker}",
                speaker_gender="female" if speaker % 2 else "male",
                speaker_age=20 + 3 * speaker,
                language=card.languages[number % len(card.languages)],
                expressed=label if "expressed" in card.label_sources else None,
                perceived=label if "perceived" in card.label_sources else None,
                provider_partition=parts[number // len(names) % len(parts)],
            )
        )
        for rule in card.perception.vote_rules if card.perception is not None else ():
            chosen = [label, *rng.choice(names, N_VOTES - 1)]
            votes += [
                {"utterance_id": utterance_id, "rule": rule, "raw_label": name, "label": name, "n": chosen.count(name)}
                for name in set(chosen)
            ]
    write_prepared(
        workspace,
        card,
        folder,
        utterances=tuple(utterances),
        votes=pl.DataFrame(
            votes,
            schema={
                "utterance_id": pl.String,
                "rule": pl.String,
                "raw_label": pl.String,
                "label": pl.String,
                "n": pl.Float64,
            },
        ),
        report={
            "counts": {"utterances": n_utterances, "speakers": n_speakers, "excluded": 0, "unusable": 0},
            "differences": {},
        },
    )
    split_corpus(workspace, card.corpus_id)


def answer(question: Question) -> str:
    """One of the labels by a hash; unreadable for a twentieth of the questions."""
    key = f"{question.utterance_id}{question.variant_id}{question.form}"
    draw = int(hashlib.sha256(key.encode()).hexdigest(), 16)
    if draw % 20 == 0:
        return "The speaker sounds like many people do."
    names = question.label_set.display
    label = names[draw // 20 % len(names)]
    if question.form == "hard":
        return f"FINAL LABEL: {label}"
    rest = 0.4 / (len(names) - 1)
    shares = {name: 0.6 if name == label else rest for name in names}
    return f"EMOTION DISTRIBUTION: {json.dumps(shares)}\nFINAL LABEL: {label}"


def real_run(folder: Path, corpus_id: str, n_utterances: int) -> Path:
    """A corpus and one scored run on it: all ten prompts where there are votes, and where there are none as well."""
    workspace = Workspace(folder / "workspace")
    make_corpus(workspace, lookup.corpus_card(corpus_id), folder / "corpora" / corpus_id, n_utterances)
    options = PlanOptions(forms=("hard", "distribution"))
    run = plan_run(workspace, folder / "runs", corpus=corpus_id, model="scripted", options=options)
    infer_run(workspace, run, make_backend=lambda card, generation, **given: ScriptedBackend(answer))
    parse_run(run)
    score_run(workspace, run)
    return run


# --- further systems ----------------------------------------------------------------------------------------------


def copied_run(run: Path, model_id: str, moved_by: float) -> Path:
    """The same answers under another model's name, with every score moved."""
    made = run.with_name(run.name.replace(".scripted.", f".{model_id}."))
    made.mkdir()
    paths = RunPaths(made)
    for path in run.glob("*.json"):
        shutil.copy(path, made / path.name)
    for path in run.glob("*.parquet"):
        shutil.copy(path, made / path.name)
    shutil.copytree(RunPaths(run).workers, paths.workers)
    manifest = read_json(paths.manifest)
    manifest["run_id"] = made.name
    for card in manifest["model_cards"].values():
        card["model_id"] = card["name"] = model_id
    write_json(paths.manifest, manifest)
    moved = pl.col("value") + pl.when(pl.col("system_id").str.starts_with("reference:")).then(0.0).otherwise(moved_by)
    scores = pl.read_parquet(paths.scores).with_columns(
        value=moved, run_id=pl.lit(made.name), model_id=pl.lit(model_id)
    )
    scores.write_parquet(paths.scores)
    return made


def make_runs(folder: Path, *, n_systems: int, n_utterances: int) -> list[Path]:
    """Scored runs of every corpus and system."""
    corpora = lookup.builtin_names("corpora")
    # Corpora are made in turn: they share the workspace's folders and nothing else.
    workers = joblib.Parallel(n_jobs=joblib.cpu_count())
    runs = workers(joblib.delayed(real_run)(folder, corpus_id, n_utterances) for corpus_id in corpora)
    names = ["qwen2-audio-7b-instruct", "audio-flamingo-3", *(f"model-{n:02d}" for n in range(3, n_systems))]
    copies = [
        copied_run(run, name, 0.02 * math.sin(7 * (index + 1) + number))
        for number, run in enumerate(runs)
        for index, name in enumerate(names[: n_systems - 1])
    ]
    return [*runs, *copies]


# --- what is measured ---------------------------------------------------------------------------------------------


def loaded_by(page: Path) -> Iterator[Path]:
    """The page and every file that it loads."""
    yield page
    text = page.read_text(encoding="utf-8")
    for mark in ('src="', 'rel="stylesheet" href="'):
        for piece in text.split(mark)[1:]:
            yield page.parent / piece.partition('"')[0]


def main() -> None:
    """Make runs, build the site in a fresh process, print seconds and sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", type=int, default=12)
    parser.add_argument("--utterances", type=int, default=240, help="of each corpus")
    parser.add_argument("--keep", type=Path, help="folder that keeps runs and site, and whose runs are used again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        begun = time.perf_counter()
        runs = sorted((folder / "runs").glob("*"))
        if not runs:
            runs = make_runs(folder, n_systems=given.systems, n_utterances=given.utterances)
            print(f"made {len(runs)} runs in {time.perf_counter() - begun:.0f} s")
        begun = time.perf_counter()
        command = [sys.executable, "-c", CLI, "report", *map(str, runs), "--html", str(folder / "site")]
        if subprocess.run(command).returncode:
            raise SystemExit("The report failed, see above.")
        seconds = time.perf_counter() - begun
        files = [path for path in (folder / "site").rglob("*") if path.is_file()]
        first = sum(path.stat().st_size for path in set(loaded_by(folder / "site" / "index.html")))
        largest = max((path for path in files if path.suffix == ".html"), key=lambda path: path.stat().st_size)
        size = sum(path.stat().st_size for path in files)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"{len(runs)} runs: {seconds:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of processors")
        print(f"{len(files)} files, {size / 1e6:.1f} MB")
        print(f"first page with what it loads: {first / 1e6:.2f} MB")
        print(f"largest page: {largest.name}, {largest.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
