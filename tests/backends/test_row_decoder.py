"""Rows that begin and end at different times answer as each would alone."""

import random
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import plain_transformers
from tiny_checkpoints import BUILDERS, tiny_card
from voxemo.backends.base import Question
from voxemo.backends.local import engine, row_step
from voxemo.backends.local.engine import LocalBackend, create
from voxemo.backends.local.memory import Room
from voxemo.backends.local.row_decoder import RowDecoder
from voxemo.backends.local.row_step import GatheredStep, KernelStep
from voxemo.core.types import Generation

LONGEST = 24
SECONDS = (0.1, 0.7, 1.9, 4.0, 31.0)
PROMPTS = ("Which emotion is it?", "Transcribe. Then choose one label.", "Describe what you hear, and say why.")

Ask = Callable[..., Question]


@pytest.fixture
def questions(ask: Ask) -> list[Question]:
    """Three prompts about each of five clips, in no order."""
    made = [ask(seconds, prompt) for seconds in SECONDS for prompt in PROMPTS]
    random.Random(1).shuffle(made)
    return made


def stopping(folder: Path, family_id: str, tmp_path: Path, questions: list[Question]) -> Path:
    """The same checkpoint with stop tokens that its answers hold here and there."""
    backend = create(tiny_card(folder, family_id), Generation(max_new_tokens=LONGEST), device="cpu")
    written = [backend._processor.tokenizer(r.text)["input_ids"] for r in backend.answer(questions)]
    often = Counter(token for tokens in written for token in set(tokens[2:]))
    stops = [token for token, n in often.most_common() if n <= len(questions) // 3][:4]
    return BUILDERS[family_id](tmp_path / "stopping", generation={"eos_token_id": [2, *stops]})


def lengths(backend: LocalBackend, questions: list[Question]) -> dict[str, tuple[str, int | None, str]]:
    return {r.request_id: (r.text, r.n_new_tokens, r.finish) for r in backend.answer(questions)}


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 15, 40])
def test_answers_of_all_lengths_are_those_of_single_questions(
    checkpoints: dict[str, Path], family_id: str, questions: list[Question], tmp_path: Path, batch_size: int
) -> None:
    folder = stopping(checkpoints[family_id], family_id, tmp_path, questions)
    card, generation = tiny_card(folder, family_id), Generation(max_new_tokens=LONGEST)
    alone = create(card, generation, batch_size=1, device="cpu")

    expected = {name: one for question in questions for name, one in lengths(alone, [question]).items()}

    assert lengths(create(card, generation, batch_size=batch_size, device="cpu"), questions) == expected
    n_new = {n for _, n, _ in expected.values()}
    assert len(n_new) > 3, "answers that all end together would show nothing"
    assert {finish for *_, finish in expected.values()} == {"stop", "length"}


def test_answers_of_all_lengths_are_those_of_plain_generate(
    checkpoints: dict[str, Path], family_id: str, questions: list[Question], tmp_path: Path
) -> None:
    folder = stopping(checkpoints[family_id], family_id, tmp_path, questions)
    backend = create(tiny_card(folder, family_id), Generation(max_new_tokens=LONGEST), batch_size=4, device="cpu")
    model, processor = plain_transformers.load(folder)
    heard = [question for question in questions if 0.1 < question.load_audio().size / 16_000 < 30]

    found = lengths(backend, heard)

    for question in heard:
        inputs = plain_transformers.chat_inputs(processor, question.prompt, question.load_audio())
        _, tokens = plain_transformers.greedy_tokens(model, inputs, max_new_tokens=LONGEST)
        text, n_new, _ = found[question.request_id]
        assert n_new == len(tokens)
        assert text == backend._processor.tokenizer.decode(tokens, skip_special_tokens=True)


def test_looking_less_often_changes_no_answer(
    checkpoints: dict[str, Path],
    family_id: str,
    questions: list[Question],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a GPU, where several tokens are written before anybody looks which answers have ended."""
    folder = stopping(checkpoints[family_id], family_id, tmp_path, questions)
    backend = create(tiny_card(folder, family_id), Generation(max_new_tokens=LONGEST), batch_size=4, device="cpu")
    expected = lengths(backend, questions)
    begin = RowDecoder.__init__

    def begin_unseen(self: Any, *given: Any, **options: Any) -> None:
        begin(self, *given, **options)
        self._n_unseen = 8

    monkeypatch.setattr(RowDecoder, "__init__", begin_unseen)

    assert lengths(backend, questions) == expected


def test_rows_are_refilled_and_given_up_at_the_end(
    checkpoints: dict[str, Path], questions: list[Question], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopping(checkpoints["qwen2-audio"], "qwen2-audio", tmp_path, questions)
    card = tiny_card(folder, "qwen2-audio")
    backend = create(card, Generation(max_new_tokens=LONGEST), batch_size=4, device="cpu")
    step, rows, active = GatheredStep.__call__, [], []

    def noted(self: Any) -> torch.Tensor:
        rows.append(self._rows.n)
        active.append(int(self._rows.active[: self._rows.n].sum()))
        return step(self)

    monkeypatch.setattr(GatheredStep, "__call__", noted)
    found = lengths(backend, questions)

    n_tokens = sum(n or 0 for _, n, _ in found.values())
    assert max(rows) == 4
    assert rows[-1] < 4
    # The first token of each answer comes from reading its prompt.
    assert sum(active) == n_tokens - len(questions)
    assert sum(active) / sum(rows) > 0.6


def test_a_long_call_leaves_nothing_behind_for_those_after_it(
    checkpoints: dict[str, Path], questions: list[Question], tmp_path: Path
) -> None:
    folder = stopping(checkpoints["qwen2-audio"], "qwen2-audio", tmp_path, questions)
    card, generation = tiny_card(folder, "qwen2-audio"), Generation(max_new_tokens=LONGEST)
    backend = create(card, generation, batch_size=12, device="cpu")
    expected = lengths(backend, questions)

    for question in questions[:6]:
        assert backend._decoder is not None
        assert not backend._decoder._rows.active.any()
        assert lengths(backend, [question]) == {question.request_id: expected[question.request_id]}


@pytest.mark.parametrize("n_pages", [2, 40, 60, 90])
def test_rows_that_find_no_page_are_given_up_and_answered_later_as_they_would_have_been(
    checkpoints: dict[str, Path], family_id: str, questions: list[Question], tmp_path: Path, n_pages: int
) -> None:
    """From too few pages for the longest question alone, over enough for some, to nearly enough for all."""
    folder = stopping(checkpoints[family_id], family_id, tmp_path, questions)
    card, generation = tiny_card(folder, family_id), Generation(max_new_tokens=LONGEST)
    expected = lengths(create(card, generation, batch_size=15, device="cpu"), questions)
    backend = create(card, generation, batch_size=15, device="cpu")
    backend._room = backend._planned = Room(n_rows=15, n_pages=n_pages)

    assert lengths(backend, questions) == expected


def test_keys_and_values_of_clips_are_given_up_before_the_next_clips_are_read(
    checkpoints: dict[str, Path], questions: list[Question], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopping(checkpoints["qwen2-audio"], "qwen2-audio", tmp_path, questions)
    backend = create(tiny_card(folder, "qwen2-audio"), Generation(max_new_tokens=LONGEST), batch_size=5, device="cpu")
    monkeypatch.setattr(engine, "clips_together", lambda *_, **__: 1)
    read, stores, alive = engine.read_prefix, [], []

    def noted(*given: Any) -> Any:
        alive.append(sum(store() is not None for store in stores))
        prefix = read(*given)
        stores.extend(weakref.ref(layer.keys) for layer in prefix.cache.layers)
        return prefix

    monkeypatch.setattr(engine, "read_prefix", noted)
    lengths(backend, questions)

    assert alive == [0] * len(SECONDS)


def test_a_kernel_over_pages_answers_as_gathered_pages_do(
    checkpoints: dict[str, Path],
    family_id: str,
    questions: list[Question],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interpreted: None,
) -> None:
    folder = stopping(checkpoints[family_id], family_id, tmp_path, questions)
    card, generation = tiny_card(folder, family_id), Generation(max_new_tokens=LONGEST)
    short = [question for question in questions if question.load_audio().size < 3 * 16_000]
    gathered = create(card, generation, batch_size=4, device="cpu")
    expected = lengths(gathered, short)
    monkeypatch.setattr(row_step, "_why_no_kernel", lambda model: None)
    backend = create(card, generation, batch_size=4, device="cpu")

    assert lengths(backend, short) == expected
    assert backend.effective()["answers_attend_by"] != gathered.effective()["answers_attend_by"]


# --- recorded steps ----------------------------------------------------------------------------------------------


class Recording:
    """Stands in for a GPU's recorder: what it gives does the same again, or what it is made to do.

    Args:
        replayed: does it again, given what was recorded.
    """

    def __init__(self, replayed: Callable[[Callable[[], None]], None] = lambda told: told()) -> None:
        self._replayed = replayed
        self.n_rows: list[int] = []
        """Of each recording."""
        self.n_replayed = 0

    def __call__(self, told: Callable[[], None]) -> Callable[[], None]:
        self.n_rows.append(told.__self__._rows.n)  # type: ignore[attr-defined]
        # Warming up, and what is recorded.
        told()
        told()

        def replay() -> None:
            self.n_replayed += 1
            self._replayed(told)

        return replay


def records_nothing(told: Callable[[], None]) -> None:
    """As a recording made on another stream."""


def is_refused(told: Callable[[], None]) -> None:
    raise RuntimeError("operation not permitted when stream is capturing")


def write_wrongly(told: Any) -> None:
    told()
    told.__self__.last += 1


@pytest.fixture
def short(questions: list[Question]) -> list[Question]:
    return [question for question in questions if question.load_audio().size < 3 * 16_000]


@pytest.fixture
def recorded(
    checkpoints: dict[str, Path], tmp_path: Path, questions: list[Question], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Recording | None], LocalBackend]:
    """Makes backends whose steps are recorded by a given recorder."""
    folder = stopping(checkpoints["qwen2-audio"], "qwen2-audio", tmp_path, questions)

    def backend(recorder: Recording | None) -> LocalBackend:
        monkeypatch.setattr(row_step, "make_step", lambda model, rows: PlainKernelStep(model, rows, recorder))
        card = tiny_card(folder, "qwen2-audio")
        return create(card, Generation(max_new_tokens=LONGEST), batch_size=6, device="cpu")

    return backend


class PlainKernelStep(KernelStep):
    """Recorded as with the kernel, which takes long where it is interpreted; it attends to gathered pages."""

    _write = GatheredStep._write


def test_recorded_steps_write_what_steps_write(
    recorded: Callable[[Recording | None], LocalBackend], short: list[Question]
) -> None:
    expected = lengths(recorded(None), short)
    recorder = Recording()
    backend = recorded(recorder)

    assert lengths(backend, short) == expected
    assert recorder.n_replayed > len(recorder.n_rows)
    # All rows, and powers of two as they run empty; again where a wider table of pages was made.
    assert set(recorder.n_rows) <= {6, 4, 2, 1}
    assert backend.effective()["answers_attend_by"] == "Triton kernel over pages"


@pytest.mark.parametrize(
    ("replayed", "why"),
    [(records_nothing, "it gave other tokens"), (is_refused, "RuntimeError"), (write_wrongly, "it gave other tokens")],
)
def test_where_recording_fails_steps_go_on_without_it_and_the_record_says_so(
    recorded: Callable[[Recording | None], LocalBackend],
    short: list[Question],
    replayed: Callable[[Callable[[], None]], None],
    why: str,
) -> None:
    expected = lengths(recorded(None), short)
    recorder = Recording(replayed)
    backend = recorded(recorder)

    assert lengths(backend, short) == expected
    assert recorder.n_replayed == 1
    assert backend.effective()["answers_attend_by"] == f"Triton kernel over pages, not recorded: {why}"


def test_steps_are_recorded_anew_when_the_table_of_pages_is_another(
    recorded: Callable[[Recording | None], LocalBackend], short: list[Question]
) -> None:
    recorder = Recording()
    backend = recorded(recorder)
    backend.answer(short)
    n_before = len(recorder.n_rows)
    assert backend._decoder is not None

    backend.answer(short)
    assert len(recorder.n_rows) == n_before
    backend._decoder._step.forget()
    backend.answer(short)
    assert len(recorder.n_rows) > n_before
