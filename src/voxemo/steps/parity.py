"""Does the fast engine answer as the model's own ``generate`` does? A few clips, asked both ways."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

import polars as pl

from voxemo.backends.base import Backend, Question
from voxemo.backends.registry import create_backend
from voxemo.core.cards import ModelCard
from voxemo.core.errors import RunError
from voxemo.core.ids import sha256_text
from voxemo.core.types import Generation, Response
from voxemo.steps.hearing import ask_all
from voxemo.steps.infer import run_utterances
from voxemo.steps.parse import read_response
from voxemo.steps.plan import check_plan
from voxemo.steps.prepare import Progress
from voxemo.steps.questions import QuestionMaker, open_backend
from voxemo.store.files import write_json
from voxemo.store.layout import RunPaths, Workspace

PLAIN = {"family": "generic"}
"""Changes a card to one whose model is asked by its own ``generate``, through its own processor."""
EXACT_DTYPE = "float32"
SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A question that was answered in two ways."""

    utterance_id: str
    variant_id: str
    form: str
    fast: str
    plain: str
    first_token: int
    """The first token that differs, counted from 1, as the checkpoint's tokenizer divides both texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityCheck:
    """How far the fast engine's answers are those of plain ``generate``."""

    model_id: str
    dtype: str
    device: str
    batch_size: int
    """Of the fast engine; plain ``generate`` gets one question at a time."""
    n_clips: int
    n_questions: int
    n_answers_differ: int
    """Answers whose tokens differ: in text or in number."""
    n_labels_differ: int
    """Of these, answers that the strict reading takes for another label, or of which it can read only one."""
    first_tokens: tuple[int, ...]
    """Of each answer that differs, the first token that does, counted from 1; sorted."""
    fast_s: float
    plain_s: float
    examples: tuple[Difference, ...]

    @property
    def is_exact_where_due(self) -> bool:
        """Token for token the same, if the dtype promises it: other dtypes round."""
        return self.dtype != EXACT_DTYPE or self.n_answers_differ == 0


def check_parity(
    workspace: Workspace,
    run: Path,
    *,
    n_clips: int = 8,
    backend_options: dict[str, Any] | None = None,
    make_backend: Callable[..., Backend] = create_backend,
    on_progress: Progress | None = None,
) -> ParityCheck:
    """Ask every written prompt of a planned run about a few clips, by the fast engine and by plain ``generate``.

    What was found is kept in the run folder, and the disclosure says it.

    Args:
        workspace: knows where the corpus's audio lies.
        run: a planned run of a local model; its journal is left alone.
        n_clips: clips to ask about.
        backend_options: passed to the backend; the plain one gets a batch size of 1.
        make_backend: makes the backend of a card; tests give their own.
        on_progress: called with (done, total) answers.

    Raises:
        RunError: the run's model is not a local one, or the plan was changed.
        BackendError: the model cannot be loaded, or does not do what its card declares.
    """
    manifest, plan = check_plan(run)
    utterances = run_utterances(workspace, manifest)
    cards = {one.sha256(): one for one in manifest.model_cards.values()}
    card = cards[plan["model_sha256"][0]]
    if card.backend != "local":
        raise RunError(
            f"{card.model_id} is run by the backend {card.backend!r}; only the local backend has an engine of its own "
            "to be compared with the model's `generate`."
        )
    rows = _rows_to_ask(plan.filter(pl.col("model_sha256") == card.sha256()), n_clips)
    maker = QuestionMaker(workspace, manifest, utterances, asked={row["utterance_id"] for row in rows})
    questions = [maker.of(row) for row in rows if utterances[row["utterance_id"]].unusable_reason is None]
    told = on_progress or (lambda done, total: None)
    opened: list[ModelCard] = []

    def noting(card: ModelCard, generation: Generation, **options: Any) -> Backend:
        opened.append(card)
        return make_backend(card, generation, **options)

    def timed(changes: dict[str, Any], options: dict[str, Any], n_before: int) -> tuple[list[Response], float, Any]:
        backend = open_backend(workspace, card, manifest, options, noting, changes=changes)
        started = time.monotonic()
        answers = ask_all(backend, questions, lambda done: told(n_before + done, 2 * len(questions)))
        return answers, time.monotonic() - started, backend.effective()

    options = dict(backend_options or {})
    fast, fast_s, effective = timed({}, options, 0)
    # The first model's own cycles would keep its memory while the second one is loaded.
    gc.collect()
    plain, plain_s, _ = timed(PLAIN, {**options, "batch_size": 1}, len(questions))
    answers = zip(questions, fast, plain, strict=True)
    pairs = [pair for pair in answers if _tokens_said(pair[1]) != _tokens_said(pair[2])]
    tokens = _tokeniser(opened[0], options) if pairs else None
    differ = [
        Difference(
            utterance_id=question.utterance_id,
            variant_id=question.variant_id,
            form=question.form,
            fast=one.text,
            plain=other.text,
            first_token=1 + n_same(tokens(one.text), tokens(other.text)),
        )
        for question, one, other in pairs
        if tokens is not None
    ]
    check = ParityCheck(
        model_id=card.model_id,
        dtype=effective["dtype"],
        device=effective["device_name"] or effective["device"],
        batch_size=effective["batch_size"],
        n_clips=len({question.utterance_id for question in questions}),
        n_questions=len(questions),
        n_answers_differ=len(differ),
        n_labels_differ=sum(_label(question, one) != _label(question, other) for question, one, other in pairs),
        first_tokens=tuple(sorted(one.first_token for one in differ)),
        fast_s=round(fast_s, 3),
        plain_s=round(plain_s, 3),
        examples=tuple(differ[:SHOWN]),
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(RunPaths(run).parity_check, {"checked_utc": now, **asdict(check)})
    return check


def _rows_to_ask(plan: pl.DataFrame, n_clips: int) -> list[dict[str, Any]]:
    written = plan.filter(pl.col("form") != "likelihood").unique("request_id", keep="first", maintain_order=True)
    names = sorted(written["utterance_id"].unique(), key=sha256_text)[:n_clips]
    return list(written.filter(pl.col("utterance_id").is_in(names)).iter_rows(named=True))


def _tokeniser(card: ModelCard, options: Mapping[str, Any]) -> Callable[[str], list[int]]:
    """Of the card as the backend was given it."""
    from voxemo.backends.local.loading import text_tokeniser

    return text_tokeniser(card, trust_remote_code=bool(options.get("trust_remote_code")))


def _label(question: Question, response: Response) -> str | None:
    return read_response(response, question.form, question.label_set, "strict").label


def _tokens_said(response: Response) -> tuple[str, int | None]:
    return response.text, response.n_new_tokens


def n_same(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens that two answers begin with alike.

    >>> n_same([5, 6, 7, 8], [5, 6, 9])
    2
    """
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
