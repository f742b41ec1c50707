"""Labels weighed by the local backend, against log-probabilities from nothing but transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import plain_transformers
from tiny_checkpoints import tiny_card
from voxemo.backends.base import Question, Waveform
from voxemo.backends.local.engine import SILENCE_S, LocalBackend, create
from voxemo.core.labels import LabelSet
from voxemo.core.types import Generation

# One label begins another: only the end of the answer tells them apart.
LABELS = LabelSet(("sad", "sadness", "happy", "angry"))
ANSWERS = tuple(f"FINAL LABEL: {name}" for name in LABELS.display)
PROMPTS = ("Which emotion is it?", "Transcribe, then choose one label.")

Ask = Callable[..., Question]


@pytest.fixture
def backend(checkpoints: dict[str, Path], family_id: str) -> LocalBackend:
    return create(tiny_card(checkpoints[family_id], family_id), Generation(max_new_tokens=4), batch_size=4)


@pytest.fixture
def weigh(ask: Ask) -> Callable[..., Question]:
    def make(seconds: float, prompt: str = PROMPTS[0], **changes: Any) -> Question:
        return ask(seconds, prompt, form="likelihood", label_set=LABELS, label_answers=ANSWERS, **changes)

    return make


def by_hand(folder: Path, text: str, samples: Waveform) -> np.ndarray:
    """Log-probability of each whole answer and its end by any stop token, one forward pass each."""
    model, processor = plain_transformers.load(folder)
    inputs = plain_transformers.chat_inputs(processor, text, samples)
    n_prompt = inputs["input_ids"].shape[1]
    stops = torch.tensor(model.generation_config.eos_token_id).reshape(-1)
    found = []
    for answer in ANSWERS:
        tokens = processor.tokenizer(answer)["input_ids"]
        ids = torch.cat([inputs["input_ids"], torch.tensor([tokens])], dim=1)
        with torch.no_grad():
            logits = model(**{**inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)}).logits[0]
        steps = logits[n_prompt - 1 :].log_softmax(-1)
        found.append(float(steps[range(len(tokens)), tokens].sum() + steps[-1, stops].logsumexp(-1)))
    return np.array(found)


def relative(logprobs: Any) -> np.ndarray:
    values = np.array(logprobs)
    return values - values[0]


@pytest.mark.parametrize("seconds", [0.4, 3.0])
def test_labels_weigh_what_transformers_gives_by_hand(
    backend: LocalBackend,
    checkpoints: dict[str, Path],
    family_id: str,
    weigh: Ask,
    noise: Callable[[float], Waveform],
    seconds: float,
) -> None:
    (response,) = backend.answer([weigh(seconds)])

    expected = by_hand(checkpoints[family_id], PROMPTS[0], noise(seconds))
    assert relative(response.label_logprobs) == pytest.approx(relative(expected), abs=1e-3)
    silence = by_hand(checkpoints[family_id], PROMPTS[0], np.zeros(int(SILENCE_S * 16_000), np.float32))
    assert relative(response.silent_logprobs) == pytest.approx(relative(silence), abs=1e-3)
    assert response.text == ""
    assert np.ptp(expected) > 0.1


def test_neither_order_nor_company_changes_a_weight(backend: LocalBackend, weigh: Ask, ask: Ask) -> None:
    questions = [weigh(seconds, prompt) for seconds in (0.1, 0.5, 2.0, 31.0, 3.0) for prompt in PROMPTS]
    questions.append(ask(2.0, PROMPTS[0], request_id="written, not weighed"))

    together = {response.request_id: response for response in backend.answer(questions)}
    backwards = {response.request_id: response for response in backend.answer(questions[::-1])}

    for question in questions[:-1]:
        (alone,) = backend.answer([question])
        for other in (together, backwards):
            assert other[question.request_id].label_logprobs == pytest.approx(alone.label_logprobs, abs=1e-3)


def test_a_question_may_be_asked_and_weighed_at_once(backend: LocalBackend, weigh: Ask, ask: Ask) -> None:
    asked = ask(1.0, PROMPTS[0], request_id="asked")
    weighed = weigh(1.0, request_id="weighed")

    both = backend.answer([asked, weighed])

    assert both[0].text == backend.answer([asked])[0].text != ""
    assert both[0].label_logprobs is None
    assert both[1].label_logprobs == pytest.approx(backend.answer([weighed])[0].label_logprobs, abs=1e-4)
    assert both[0].n_prompt_tokens == both[1].n_prompt_tokens
