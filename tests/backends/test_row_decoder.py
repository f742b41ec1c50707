"""Rows that begin and end at different times answer as each would alone."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tiny_checkpoints import BUILDERS, tiny_card
from voxemo.backends.base import Question
from voxemo.backends.local.engine import LocalBackend, create
from voxemo.backends.local.row_decoder import RowDecoder
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


def plain(folder: Path, family_id: str, question: Question) -> list[int]:
    """New tokens from nothing but transformers."""
    model_class = {"qwen2-audio": "Qwen2Audio", "audio-flamingo-3": "AudioFlamingo3"}[family_id]
    model = getattr(transformers, f"{model_class}ForConditionalGeneration").from_pretrained(folder).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder)
    samples = question.load_audio()
    content = [{"type": "audio", "audio": samples}, {"type": "text", "text": question.prompt}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        processor_kwargs={"return_tensors": "pt", "audio_kwargs": {"sampling_rate": 16_000}},
    )
    n_prompt = inputs["input_ids"].shape[1]
    return model.generate(**inputs, max_new_tokens=LONGEST, do_sample=False)[0, n_prompt:].tolist()


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
    heard = [question for question in questions if 0.1 < question.load_audio().size / 16_000 < 30]

    found = lengths(backend, heard)

    for question in heard:
        tokens = plain(folder, family_id, question)
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
    step, rows, active = RowDecoder._step, [], []

    def noted(self: Any, given: torch.Tensor) -> torch.Tensor:
        rows.append(len(given))
        active.append(int(given.sum()))
        return step(self, given)

    monkeypatch.setattr(RowDecoder, "_step", noted)
    found = lengths(backend, questions)

    n_tokens = sum(n or 0 for _, n, _ in found.values())
    assert max(rows) == 4
    assert rows[-1] < 4
    # The first token of each answer comes from reading its prompt.
    assert sum(active) == n_tokens - len(questions)
    assert sum(active) / sum(rows) > 0.6
