"""Scored toy runs for the web report, one of them of a model that writes to break pages, and the site made of them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from toy import make, toy_answer
from voxemo.backends.base import Question
from voxemo.catalog import lookup
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.score import score_run
from voxemo.store.layout import Workspace

HOSTILE_TEXT = (
    "<script>document.title = 'broken'</script><img src=x onerror=\"document.title = 'broken'\">"
    "</pre></script><a href=\"javascript:document.title='broken'\">here</a> {{ 7 * 7 }} {% raw %} \x1b[31mred\x1b[0m"
    " \u202egnp.exe & =HYPERLINK(1)"
)
HOSTILE_NAME = "</title><script>document.title = 'broken'</script> {{ 7 * 7 }} \x1b[2J"


def hostile_card(folder: Path) -> Path:
    """A card of a model whose every text was written to break pages."""
    texts = ("name", "training_data", "license", "reference", "support_note")
    card = lookup.model_card("scripted").model_copy(
        update={
            "model_id": "hostile",
            "training_corpora": ("toy",),
            "repository": "javascript:document.title='broken'",
            **dict.fromkeys(texts, HOSTILE_NAME),
        }
    )
    path = folder / "hostile.json"
    path.write_text(card.model_dump_json())
    return path


def hostile_answer(question: Question) -> str:
    """Like the toy's for half of the clips, hostile for the others."""
    draw = int(hashlib.sha256(question.utterance_id.encode()).hexdigest(), 16)
    return HOSTILE_TEXT if draw % 2 else toy_answer(question)


def scored(
    workspace: Workspace,
    *,
    model: str = "scripted",
    answer: Callable[[Question], str] = toy_answer,
    split_id: str = "protocol",
    options: PlanOptions | None = None,
) -> Path:
    """A run on the toy corpus, through every step."""
    runs = workspace.root.parent / "runs"
    run = plan_run(workspace, runs, corpus="toy", model=model, split_id=split_id, options=options)
    infer_run(workspace, run, make_backend=make(answer))
    parse_run(run)
    score_run(workspace, run, resamples=30)
    return run


def toy_runs(workspace: Workspace) -> list[Path]:
    """A plain run, a hostile one, one on another split, and one that heard silence."""
    return [
        scored(workspace),
        scored(workspace, model=str(hostile_card(workspace.root.parent)), answer=hostile_answer),
        scored(workspace, split_id="speaker-disjoint"),
        scored(workspace, options=PlanOptions(audio_condition="silence")),
    ]
