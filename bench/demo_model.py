"""What `voxemo-tiny` can do: the figures on its card.

Run: python bench/demo_model.py [--folder FOLDER] [--evidence FOLDER]

On the corpus `demo`, whose voices and sentences it never met: `voxemo demo` itself, what it says of pitch, loudness and
rate against what is measured, its transcripts, silence and other people's clips in place of each clip, and label sets
other than the corpus's. With --evidence, a folder with real recordings (audio/urdu, audio/turev-db), those too. Some
minutes on two processors.
"""

import argparse
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from voxemo.audio.load import Waveform, load_audio
from voxemo.backends.base import Question
from voxemo.backends.registry import create_backend
from voxemo.catalog import lookup
from voxemo.cli.common import progress
from voxemo.core.labels import LabelSet
from voxemo.core.types import REFERENCE, Generation, PromptForm, Response
from voxemo.demo.corpus import FOLDER
from voxemo.demo.measure import MEASURES, measure, vector
from voxemo.demo.tiny.answers import cue_words, cues_in, describe
from voxemo.prompts.render import render_prompt
from voxemo.steps.demo import CORPUS, MODEL, run_demo
from voxemo.steps.parse import read_response
from voxemo.steps.plan import PlanOptions
from voxemo.steps.prepare import prepare_corpus
from voxemo.steps.study import StudyRun, run_study
from voxemo.store.journal import read_journal
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.tables import PLAN, read_table
from voxemo.store.workspace import read_prepared

CUES = ("pitch", "level", "rate")
OTHER_SETS = (
    ("surprise", "sad", "neutral", "happy", "fear", "angry"),
    ("sad", "happy"),
    ("fear", "neutral", "angry"),
    ("joy", "anger", "sorrow", "fearful"),
    ("happy", "blorp", "sad"),
)
REAL = {"urdu": "urdu", "turev-db": "turev-db"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One clip of the corpus."""

    name: str
    label: str
    transcript: str
    samples: Waveform


def read_clips(workspace: Workspace) -> list[Clip]:
    """Every clip of the corpus, decoded."""
    prepared = read_prepared(workspace, lookup.corpus_card(CORPUS))
    return [
        Clip(
            name=one.utterance_id,
            label=str(one.expressed),
            transcript=str(one.transcript),
            samples=load_audio(FOLDER / one.audio_path),
        )
        for one in prepared.benchmark
    ]


def unweighted_accuracy(truth: Sequence[str], answered: Sequence[str | None]) -> float:
    """Mean recall over the labels that occur."""
    hits = np.array([one == other for one, other in zip(truth, answered, strict=True)])
    return float(np.mean([hits[np.array(truth) == label].mean() for label in sorted(set(truth))]))


def ask(
    clips: Sequence[Clip], sounds: Sequence[Waveform], variants: Iterable[str], form: PromptForm, label_set: LabelSet
) -> dict[str, list[Response]]:
    """Every clip's answer to each variant, with other samples in place of the clip's own where they are given."""
    backend = create_backend(lookup.model_card(MODEL), Generation(), device=None, dtype=None)
    found: dict[str, list[Response]] = {}
    for name in variants:
        prompt = render_prompt(*lookup.prompt(name), form=form, label_set=label_set)
        found[name] = backend.answer(
            [
                Question(
                    request_id=f"{clip.name}/{name}",
                    utterance_id=clip.name,
                    variant_id=name,
                    form=form,
                    prompt=prompt,
                    label_set=label_set,
                    audio_key=clip.name,
                    load_audio=lambda samples=samples: samples,  # type: ignore[misc]
                )
                for clip, samples in zip(clips, sounds, strict=True)
            ]
        )
    return found


def show(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print a table in Markdown."""
    print(f"\n## {title}\n")
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + " --- |" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


def percent(value: float | None) -> str:
    """A share with one decimal."""
    return "-" if value is None else f"{100 * value:.1f}"


# --- the parts ---------------------------------------------------------------------------------------------------


def show_scores(run: Path, *, title: str) -> None:
    """UA with its interval, failures and JSD of every system, and of the rows that hear nothing."""
    scores = pl.read_parquet(RunPaths(run).scores).filter(
        (pl.col("reading") == "strict") & (pl.col("fold_id") == "mean") & pl.col("class_label").is_null()
    )
    rows = []
    for (system, form), part in scores.group_by("system_id", "form", maintain_order=True):
        metric = "unweighted_accuracy" if form == "hard" else "jsd"
        policy = "wrong" if form == "hard" else "uniform"
        chosen = part.filter((pl.col("metric") == metric) & (pl.col("failure_policy") == policy))
        if chosen.height:
            row = chosen.row(0, named=True)
            scale = 100 if metric == "unweighted_accuracy" else 1
            rows.append(
                {
                    "system": system,
                    "form": form,
                    "metric": "UA %" if metric == "unweighted_accuracy" else "JSD",
                    "value": f"{scale * row['value']:.3g}",
                    "95 %": f"{scale * row['ci_low']:.3g} to {scale * row['ci_high']:.3g}"
                    if row["ci_low"] is not None
                    else "-",
                    "failed": "-" if str(system).startswith(REFERENCE) else f"{row['n_failed']} of {row['n']}",
                }
            )
    show(title, rows)


def show_what_is_said(run: Path, clips: Sequence[Clip]) -> None:
    """Captions against what is measured, and transcripts against what was spoken."""
    heard = {clip.name: vector(measure(clip.samples)) for clip in clips}
    transcripts = {clip.name: clip.transcript for clip in clips}
    values = np.stack(list(heard.values()))
    thirds = {name: np.quantile(values[:, MEASURES.index(name)], [1 / 3, 2 / 3]) for name in CUES}
    words = {name: cue_words(name) for name in CUES}
    plan = read_table(RunPaths(run).plan, PLAN).unique("request_id")
    responses = read_journal(RunPaths(run).responses).responses
    rows = []
    for (variant, form), part in plan.sort("form", "variant_id", descending=True).group_by(
        "variant_id", "form", maintain_order=True
    ):
        texts = {row["utterance_id"]: responses[row["request_id"]].text for row in part.iter_rows(named=True)}
        found: dict[str, object] = {"prompt": variant, "form": form}
        blocks = lookup.prompt(str(variant))[0].blocks
        if "caption" in blocks:
            said = {name: cues_in(field(text, "ACOUSTIC CAPTION")) for name, text in texts.items()}
            for cue in CUES:
                place = MEASURES.index(cue)
                by_bounds = [said[name].get(cue) == describe(heard[name])[cue] for name in texts]
                by_thirds = [
                    said[name].get(cue) == words[cue][int(np.searchsorted(thirds[cue], heard[name][place]))]
                    for name in texts
                ]
                found[f"{cue} %"] = f"{percent(float(np.mean(by_bounds)))} ({percent(float(np.mean(by_thirds)))})"
        else:
            found |= {f"{cue} %": "-" for cue in CUES}
        found["word error rate %"] = "-"
        if "transcript" in blocks:
            errors = sum(
                edits(field(text, "ASR TRANSCRIPT").split(), transcripts[name].split()) for name, text in texts.items()
            )
            found["word error rate %"] = percent(errors / sum(len(transcripts[name].split()) for name in texts))
        if blocks != ("direct",):
            rows.append(found)
    show("Captions by the model's bounds (by the corpus's own tertiles), and transcripts", rows)


def field(text: str, name: str) -> str:
    """What an answer says in one of its lines."""
    found = re.search(rf"^{name}: (.*)$", text, re.MULTILINE)
    return found.group(1) if found else ""


def edits(said: Sequence[str], spoken: Sequence[str]) -> int:
    """Words to add, drop or change."""
    row = list(range(len(spoken) + 1))
    for number, word in enumerate(said, start=1):
        before, row[0] = row[0], number
        for place, other in enumerate(spoken, start=1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]


def show_hearing(clips: Sequence[Clip]) -> None:
    """UA with silence, and with the clip of another, in place of each clip."""
    label_set = lookup.corpus_card(CORPUS).label_set(lookup.label_table())
    order = np.random.default_rng(2026).permutation(len(clips))
    sounds: Mapping[str, Callable[[int], Waveform]] = {
        "its own": lambda place: clips[place].samples,
        "silence": lambda place: np.zeros_like(clips[place].samples),
        "another clip": lambda place: clips[order[place]].samples,
    }
    rows = []
    for title, sound in sounds.items():
        answers = ask(clips, [sound(place) for place in range(len(clips))], lookup.prompt_names(), "hard", label_set)
        read = {
            name: [read_response(one, "hard", label_set, "strict").label for one in responses]
            for name, responses in answers.items()
        }
        truth = [clip.label for clip in clips]
        rows.append({"heard": title, **{n: percent(unweighted_accuracy(truth, said)) for n, said in read.items()}})
    show("UA % by what is heard instead of the clip (chance 16.7)", rows)


def show_other_label_sets(clips: Sequence[Clip]) -> None:
    """Answers that can be read, and UA on the clips whose label has a word in the set."""
    meanings = {"joy": "happy", "anger": "angry", "sorrow": "sad", "fearful": "fear"}
    rows = []
    for names in OTHER_SETS:
        label_set = LabelSet(names)
        word_for = {meanings.get(name, name): name for name in names}
        chosen = [clip for clip in clips if clip.label in word_for]
        row: dict[str, object] = {"labels": ", ".join(label_set.display), "clips": len(chosen)}
        for form in ("hard", "distribution"):
            (responses,) = ask(chosen, [c.samples for c in chosen], ["transcript_caption"], form, label_set).values()
            read = [read_response(one, form, label_set, "strict") for one in responses]
            row[f"{form}: read %"] = percent(float(np.mean([one.status == "ok" for one in read])))
            truth = [word_for[clip.label] for clip in chosen]
            row[f"{form}: UA %"] = percent(unweighted_accuracy(truth, [one.label for one in read]))
        rows.append(row)
    show("Other label sets, asked for a transcript and a caption too", rows)


def show_real_speech(evidence: Path, folder: Path) -> None:
    """The five hard prompts about recordings of people."""
    for corpus, place in REAL.items():
        workspace = Workspace(folder / "workspace")
        prepare_corpus(workspace, corpus, evidence / "audio" / place, partial=True)
        (result,) = run_study(
            workspace,
            folder / "runs",
            [StudyRun(corpus=corpus, model=MODEL, options=PlanOptions(forms=("hard",)))],
            bar=lambda title, unit: progress(title, unit=unit, quiet=True),
        )
        show_scores(result.run, title=f"Real speech: {corpus}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="Where the runs go; a temporary folder by default.")
    parser.add_argument("--evidence", type=Path, default=os.environ.get("VOXEMO_EVIDENCE"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        result = run_demo(folder, bar=lambda title, unit: progress(title, unit=unit, quiet=True))
        clips = read_clips(Workspace(folder / "workspace"))
        show_scores(result.run, title="Scores on the corpus demo")
        show_what_is_said(result.run, clips)
        show_hearing(clips)
        show_other_label_sets(clips)
        if given.evidence is not None:
            show_real_speech(Path(given.evidence), folder)


if __name__ == "__main__":
    main()
