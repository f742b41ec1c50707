"""Text that tries to act: what a model may answer and what may stand on a card, and a run that is full of it."""

import csv
import io
import json
import re
import shutil
import unicodedata
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from markdown_it import MarkdownIt

from toy import make
from voxemo.backends.base import Question
from voxemo.catalog import lookup
from voxemo.core.escape import ACTING, FORMULA
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.prepare import prepare_corpus
from voxemo.steps.score import score_run
from voxemo.steps.split import split_corpus
from voxemo.store.files import read_json, write_json
from voxemo.store.layout import RunPaths, Workspace

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
    "delete": "a\x7fb \U000e0001\U000e0041",
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
FORGED = "FINAL ROW"
"""What begins a line in them that is none of ours."""
FILE_NAME = f"<b>=1+1 \x1b[31m \u202etxt\n{FORGED}: 100 % [red] {{{{ 7*7 }}}} | $x_1$ \\input{{x}} \x7f\u2028"
"""What a file or a folder may be called."""
CORPUS_ID = "stranger"
RESAMPLES = 10


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


CODES = {
    "=1+1 <b>": "angry",
    "\u202ehappy\u202c \x9b31m": "happy",
    "{{ 7*7 }} \u2028[red]": "neutral",
    "|`_* \\input": "sad",
}
"""What the hostile corpus calls its labels."""
N_SPEAKERS = 8


@dataclass(frozen=True, slots=True)
class HostileWorld:
    """A prepared corpus and a scored run on it, from strangers who wrote every name to act on something."""

    workspace: Workspace
    run: Path
    corpus_card: Path
    audio: Path
    model_card: Path


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> HostileWorld:
    """The hostile world. Do not change it; copy it."""
    return hostile_world(tmp_path_factory.mktemp("hostile"))


def forged(world: HostileWorld, folder: Path) -> HostileWorld:
    """The world once more, for tests that change it; what voxemo itself says in the manifest is hostile too."""
    folder = folder / FILE_NAME
    shutil.copytree(world.workspace.root, folder / "workspace")
    shutil.copytree(world.run, folder / "runs" / world.run.name)
    made = replace(world, workspace=Workspace(folder / "workspace"), run=folder / "runs" / world.run.name)
    path = RunPaths(made.run).manifest
    manifest = read_json(path)
    manifest["split"] |= {"overlap": NAME}
    write_json(path, manifest | {"deviations": list(ON_CARDS.values()), "training_overlap": NAME})
    return made


def hostile_world(folder: Path) -> HostileWorld:
    """A corpus whose card, files, codes, speakers and transcripts are hostile, and a run whose answers are too."""
    folder = folder / FILE_NAME
    workspace = Workspace(folder / "workspace")
    card, audio = _hostile_corpus(folder / "corpus")
    prepare_corpus(workspace, str(card), audio)
    split_corpus(workspace, CORPUS_ID)
    model = folder / "model.json"
    texts = dict.fromkeys(("name", "license", "training_data", "reference", "support_note"), NAME)
    known = lookup.model_card("scripted").model_dump(mode="json", exclude_none=True)
    write_json(model, {**known, **texts, "repository": "=cmd|x!A0"})
    run = plan_run(workspace, folder / "runs", corpus=CORPUS_ID, model=str(model), options=PlanOptions(), command=NAME)
    infer_run(workspace, run, make_backend=make(hostile_answer))
    parse_run(run)
    score_run(workspace, run, resamples=RESAMPLES)
    return HostileWorld(workspace, run, card, audio, model)


def in_table(text: str) -> str:
    """As much of a text as a table of utterances takes: one line, without the oldest control characters."""
    return "".join(one for one in text if ord(one) >= 32).strip()


def _hostile_corpus(folder: Path) -> tuple[Path, Path]:
    """A card with the table that it names, and the folder of its audio."""
    texts = list(ON_CARDS.values())
    rng = np.random.default_rng(7)
    (folder / "audio").mkdir(parents=True)
    rows = []
    for index, (speaker, code) in enumerate(product(range(N_SPEAKERS), CODES)):
        text = texts[index % len(texts)]
        stem = in_table(f"{index:02d} {text}")[:60].replace("/", " ").replace("\\", " ").strip()
        soundfile.write(folder / "audio" / f"{stem}.wav", rng.normal(0, 0.1, 4000), 16_000)
        votes = {f"votes.all.{other}": 6 if other == code else 1 for other in CODES}
        gender = ("female", "male")[speaker % 2]
        names = {"stem": stem, "speaker_id": in_table(texts[speaker]), "session_id": in_table(text), "transcript": text}
        rows.append(
            {
                "audio_path": f"{stem}.wav",
                "expressed": code,
                "perceived": code,
                "speaker_gender": gender,
                **names,
                **votes,
            }
        )
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    known = lookup.corpus_card("toy").model_dump(mode="json", exclude_none=True, exclude={"expected", "synthetic"})
    card = known | {
        "corpus_id": CORPUS_ID,
        "name": NAME,
        "audio_files": ["*.wav"],
        "manifest": "table.jsonl",
        "labels": {"names": sorted(CODES.values()), "raw": CODES, "dropped": {NAME: NAME}, "aliases": {NAME: "sad"}},
        "expected": {"n_utterances": len(rows)},
        "split": {"policy": "speaker_k_fold", "k": 2, "seed": 0, "source": NAME, "why": NAME},
        "citation": NAME,
        "known_issues": [{"id": "issue", "text": NAME, "source": NAME, "utterances": [rows[0]["stem"]]}],
        "sources": {NAME: NAME},
    }
    card["perception"] |= {"given": NAME, "consensus": NAME, "n_raters": NAME}
    card["perception"]["vote_rules"] = dict.fromkeys(card["perception"]["vote_rules"], NAME)
    card["access"] |= {"license": NAME, "homepage": "javascript:alert(1)", "how": NAME, "downloads": []}
    write_json(folder / "card.json", card)
    return folder / "card.json", folder / "audio"


def acting(text: str, *, keep: str = "\n") -> set[str]:
    """Characters of a text that would act on a terminal or turn its direction."""
    return {one for one in set(text) - set(keep) if unicodedata.category(one) in ACTING}


class Page(HTMLParser):
    """A page of HTML, taken apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.script = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the element's name and its attributes."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Keep the text, and that of scripts apart."""
        if self.cdata_elem == "script":
            self.script += data
        else:
            self.text += data


OWN = {"h1", "h2", "h3", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
OWN |= {"strong", "pre", "code", "em", "hr", "br"}
"""Elements that our Markdown makes."""
OWN_ATTRIBUTES = (("style", "text-align:right"), ("class", "language-text"))


def rendered(markdown: str) -> Page:
    """A page of Markdown as it is shown, with the attributes that are not those of our tables and blocks."""
    page = Page(MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").render(markdown))
    page.attributes = [one for one in page.attributes if one not in OWN_ATTRIBUTES]
    return page


_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")


_LEADS = re.compile(r"https?:|data:image/png;base64,|(?!\w+:)[^\s\x00-\x1f]*$", re.ASCII)


def page_problems(html: str) -> list[str]:
    """What stands on a page and on none of ours: scripts and handlers in it, elements of ours, links that run."""
    page = Page(html)
    found = [f"the element {tag}" for tag in ("b", "raw") if tag in page.tags]
    found += [f"the script {page.script}"] if page.script.strip() else []
    found += [f"the attribute {name}" for name, _ in page.attributes if not re.fullmatch(r"(?!on)[a-z][a-z:-]*", name)]
    links = ("href", "src", "action", "formaction", "xlink:href")
    return found + [
        f"the link {value}" for name, value in page.attributes if name in links and not _LEADS.match(value or "")
    ]


def is_number(cell: str) -> bool:
    """Whether a cell is one number, such as -1.5 or 1e-07."""
    return _NUMBER.fullmatch(cell) is not None


def formulas(table: str) -> list[str]:
    """Cells of a CSV file that a spreadsheet may compute."""
    cells = [cell.lstrip() for row in csv.reader(io.StringIO(table)) for cell in row]
    return [cell for cell in cells if len(cell) > 1 and cell.startswith(FORMULA) and not is_number(cell)]


def acting_elements(svg: str) -> set[str]:
    """Elements of a figure that run, lead elsewhere or fetch; the bar of colours is an image that it holds."""
    elements = ElementTree.fromstring(svg).iter()
    named = [(one.tag.rpartition("}")[2], one.get("{http://www.w3.org/1999/xlink}href", "")) for one in elements]
    return {
        tag
        for tag, href in named
        if tag in ("script", "foreignObject", "a") or (tag == "image" and not href.startswith("data:image/png;base64,"))
    }
