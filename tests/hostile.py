"""Text that tries to act: what a model may answer and what may stand on a card, and a run that is full of it."""

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

from toy import make
from voxemo.backends.base import Question
from voxemo.catalog import lookup
from voxemo.core.escape import ACTING
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.score import score_run
from voxemo.steps.split import split_corpus
from voxemo.store.files import read_json, write_json
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.workspace import read_prepared, write_prepared

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "end of script": "</script><svg onload=alert(1)>",
    "attribute": '"><img src=x onerror="alert(1)">',
    "link": "[see](javascript:alert(1)) ![x](https://example.org/pixel.png) <https://example.org>",
    "template": "{{ 7*7 }} {% raw %} ${7*7} `${7}` #{7}",
    "colour": "\x1b[31mred\x1b[0m \x9b32mgreen",
    "title": "\x1b]0;owned\x07 \x1b]8;;https://example.org\x1b\\click\x1b]8;;\x1b\\",
    "overwritten": "failed\rpassed\x08\x08",
    "bidirectional": "abc\u202etxt.exe\u202c \u2066x\u2069 \u200f",
    "no width": "an\u200bgry \ufeff\u2060",
    "zero": "a\x00b",
    "formula": '=HYPERLINK("https://example.org",A1)',
    "plus": "+1+cmd|' /C calc'!A0",
    "minus": "-2+3",
    "at": "@SUM(1)",
    "tab": "\t=1+1",
    "wide formula": "\uff1d1+1",
    "tex": "\\input{/etc/passwd} \\write18{id} ^^5cinput % $x_1$ & # ~ } {{",
    "markdown": "# head **bold** _it_ | cell | `code` ```\n---\n> quote\n- item\n1. one",
    "surrogate": "half \ud800 pair",
    "rich": "[bold red]x[/] [link=https://example.org]y[/link] [/nothing]",
    "lines": "one\u2028two\u2029three\x85four\x0bfive\x0csix",
    "newline": "one\n\nFINAL ROW: 100 %\r\ntwo",
    "long": "x" * 1_000_000,
}
"""What is hostile about a text, to the text."""

ON_CARDS = {name: text for name, text in HOSTILE.items() if name not in ("long", "surrogate")}
"""What a card can hold: TOML and JSON files are UTF-8, and nobody reads a megabyte of a name."""
NAME = " ".join(ON_CARDS.values())


def hostile_answer(question: Question) -> str:
    """Hostile text, before a label that can be read or alone, by utterance and prompt."""
    texts = list(HOSTILE.values())
    index = sum(map(ord, question.utterance_id + question.variant_id))
    text = texts[index % len(texts)]
    if index % 3 == 0:
        return f"FINAL LABEL: {text}\nEMOTION DISTRIBUTION: {text}"
    label = question.label_set.display[index % len(question.label_set.display)]
    shares = {name: 0.7 if name == label else 0.1 for name in question.label_set.display}
    return f"{text}\nEMOTION DISTRIBUTION: {json.dumps(shares)}\nFINAL LABEL: {label}"


def hostile_run(workspace: Workspace) -> Path:
    """A scored run on the toy corpus whose answers, speakers, and names on cards are hostile."""
    _name_speakers(workspace)
    runs = workspace.root.parent / "runs"
    card = lookup.model_card("scripted").model_dump(mode="json", exclude_none=True)
    card |= {"name": NAME, "license": NAME, "training_data": NAME, "reference": NAME, "repository": "=cmd|x!A0"}
    path = workspace.root.parent / "model.json"
    write_json(path, card)
    run = plan_run(workspace, runs, corpus="toy", model=str(path), split_id="protocol", options=PlanOptions())
    infer_run(workspace, run, make_backend=make(hostile_answer))
    parse_run(run)
    score_run(workspace, run, resamples=10)
    _name_corpus(run)
    return run


def _name_speakers(workspace: Workspace) -> None:
    card = lookup.corpus_card("toy")
    prepared = read_prepared(workspace, card)
    speakers = sorted({utterance.speaker_id for utterance in prepared.utterances if utterance.speaker_id is not None})
    named = dict(zip(speakers, ON_CARDS.values(), strict=False))
    write_prepared(
        workspace,
        card,
        Path(read_json(workspace.corpus_root("toy"))["folder"]),
        utterances=[replace(one, speaker_id=named.get(one.speaker_id or "")) for one in prepared.utterances],
        votes=prepared.votes,
        report={name: value for name, value in prepared.report.items() if not name.endswith("sha256")},
    )
    split_corpus(workspace, "toy")


def _name_corpus(run: Path) -> None:
    """As if a stranger's corpus had been run, whose card has such names."""
    path = RunPaths(run).manifest
    manifest = read_json(path)
    manifest["corpus_card"] |= {"name": f"{NAME} (synthetic)", "citation": NAME}
    manifest["corpus_card"]["access"] |= {"license": NAME, "homepage": "javascript:alert(1)"}
    manifest["split"] |= {"overlap": NAME}
    manifest |= {"deviations": list(ON_CARDS.values()), "training_overlap": NAME, "command": NAME}
    write_json(path, manifest)


def acting(text: str, *, keep: str = "\n") -> set[str]:
    """Characters of a text that would act on a terminal or turn its direction."""
    return {one for one in text if one not in keep and unicodedata.category(one) in ACTING}
