"""Prompts and answers in token ids, as the model will meet them."""

from typing import Any

import pytest

from schools import PROMPT, School
from voxemo.backends.local.loading import render_chat
from voxemo.core.errors import TrainingError
from voxemo.training.lessons import LessonWriter


def writer(school: School, **changes: Any) -> LessonWriter:
    processor = school.loaded.processor
    fields = {
        "stop_ids": {processor.tokenizer.eos_token_id},
        "audio_token": school.loaded.model.config.audio_token_id,
    }
    return LessonWriter(processor, **(fields | changes))


def test_a_lesson_is_the_prompt_that_is_asked_then_the_answer_and_its_end(school: School) -> None:
    tokenizer = school.loaded.processor.tokenizer
    words = writer(school).write(PROMPT, "FINAL LABEL: Sad")
    asked = tokenizer(render_chat(school.loaded.processor, PROMPT), add_special_tokens=False)["input_ids"]

    assert [*words.before, school.loaded.model.config.audio_token_id, *words.after] == asked
    assert tokenizer.decode(words.answer) == f"FINAL LABEL: Sad{tokenizer.eos_token}"


def test_what_the_template_writes_after_the_end_of_the_turn_is_not_learned(school: School) -> None:
    processor = school.loaded.processor

    assert render_chat(processor, PROMPT, answer="Yes").endswith("Yes<|im_end|>\n")
    assert processor.tokenizer.decode(writer(school).write(PROMPT, "Yes").answer) == "Yes<|im_end|>"


def test_a_prompt_with_the_word_for_audio_is_refused(school: School) -> None:
    with pytest.raises(TrainingError, match="which the model takes for audio"):
        writer(school).write(f"What is {school.loaded.processor.audio_token}?", "Yes")


def test_a_template_that_ends_an_answer_otherwise_than_the_model_does_is_refused(school: School) -> None:
    with pytest.raises(TrainingError, match="expected was 'Yes' and right after it a token that ends"):
        writer(school, stop_ids={0}).write(PROMPT, "Yes")


def test_a_template_that_changes_the_answer_is_refused(school: School) -> None:
    processor = school.loaded.processor
    processor.chat_template = "{% for m in messages %}<|im_start|>{{ m['content'][-1]['text'] | upper }}{% endfor %}"

    with pytest.raises(TrainingError, match="writes the answer as"):
        writer(school, audio_token=1).write(PROMPT, "Yes")
