import gc
import json
import random
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import plain_transformers
from tiny_checkpoints import AUDIO_LIMITS, BUILDERS, SAMPLING_GENERATION, tiny_card
from voxemo.backends.base import Backend, Question, Waveform
from voxemo.backends.local import engine, row_decoder
from voxemo.backends.local.decoding import FirstLogits
from voxemo.backends.local.device import current_device
from voxemo.backends.local.engine import LocalBackend, create
from voxemo.backends.local.paged_rows import PagedRows
from voxemo.backends.local.row_step import GatheredStep
from voxemo.backends.registry import create_backend
from voxemo.catalog.lookup import prompt, prompt_names
from voxemo.core.errors import AudioError, BackendError
from voxemo.core.labels import LabelSet
from voxemo.core.types import Generation, Response
from voxemo.prompts.render import render_prompt

SHORT = Generation(max_new_tokens=12)
SECONDS = (0.02, 0.4, 3.0, 31.0, 45.0)
TEN_PROMPTS = tuple(
    render_prompt(*prompt(name), label_set=LabelSet(("angry", "happy", "neutral", "sad")), form=form)
    for name in prompt_names()
    for form in ("hard", "distribution")
)

Ask = Callable[..., Question]


def said(responses: list[Response]) -> list[tuple[object, ...]]:
    """What must be equal between two ways of asking: everything but the time it took."""
    return [(r.request_id, r.text, r.finish, r.n_prompt_tokens, r.n_new_tokens, r.audio_handling) for r in responses]


@pytest.fixture(scope="session")
def backends(checkpoints: dict[str, Path]) -> dict[str, LocalBackend]:
    return {name: create(tiny_card(folder, name), SHORT, batch_size=8) for name, folder in checkpoints.items()}


@pytest.fixture
def backend(backends: dict[str, LocalBackend], family_id: str) -> LocalBackend:
    return backends[family_id]


@pytest.fixture
def card(checkpoints: dict[str, Path], family_id: str) -> Any:
    return tiny_card(checkpoints[family_id], family_id)


@pytest.fixture
def every_question(ask: Ask) -> list[Question]:
    """Each of ten prompts about two of five clips, shuffled."""
    questions = [ask(SECONDS[(n + k) % 5], text) for n, text in enumerate(TEN_PROMPTS) for k in (0, 2)]
    random.Random(0).shuffle(questions)
    return questions


# --- what is asked, and how it is decoded ------------------------------------------------------------------------


def by_hand(folder: Path, text: str, samples: Waveform) -> tuple[int, list[int]]:
    """Number of prompt tokens, and the new tokens, from nothing but transformers."""
    model, processor = plain_transformers.load(folder)
    return plain_transformers.greedy_tokens(
        model, plain_transformers.chat_inputs(processor, text, samples), max_new_tokens=12
    )


def test_all_prompts_about_clips_of_all_lengths_answer_as_plain_generate_does_alone(
    checkpoints: dict[str, Path], family_id: str, card: Any, ask: Ask, noise: Callable[[float], Waveform]
) -> None:
    questions = [ask(seconds, text) for seconds in (0.1, 0.4, 3.0, 29.9, 45.0) for text in TEN_PROMPTS]
    random.Random(2).shuffle(questions)
    model, processor = plain_transformers.load(checkpoints[family_id])

    responses = create(card, SHORT, device="cpu", batch_size=7).answer(questions)

    for question, response in zip(questions, responses, strict=True):
        inputs = plain_transformers.chat_inputs(processor, question.prompt, question.load_audio())
        n_prompt, tokens = plain_transformers.greedy_tokens(model, inputs, max_new_tokens=12)
        assert response.text == processor.tokenizer.decode(tokens, skip_special_tokens=True)
        assert (response.n_prompt_tokens, response.n_new_tokens) == (n_prompt, len(tokens))


def test_the_checkpoints_own_sampling_and_repetition_penalty_are_not_used_and_not_recorded(
    backend: LocalBackend,
    checkpoints: dict[str, Path],
    family_id: str,
    ask: Ask,
    tmp_path: Path,
) -> None:
    plain = BUILDERS[family_id](tmp_path / "plain", generation={})
    questions = [ask(0.4, text) for text in TEN_PROMPTS]

    hostile = said(backend.answer(questions))

    assert said(create(tiny_card(plain, family_id), SHORT).answer(questions)) == hostile
    assert backend.effective()["generation"] == {
        "max_new_tokens": 12,
        "do_sample": False,
        "num_beams": 1,
        "repetition_penalty": 1.0,
        "temperature": None,
        "top_p": None,
        "top_k": None,
        "use_cache": True,
        "pad_token_id": 0,
        "eos_token_id": [2, 0],
    }
    inherited = Generation(max_new_tokens=12, repetition_penalty=SAMPLING_GENERATION["repetition_penalty"])
    penalised = create(tiny_card(plain, family_id), inherited).answer(questions)
    assert said(penalised) != hostile, "a test that cannot tell the penalty from none shows nothing"


def test_an_answer_ends_at_the_checkpoints_stop_token(
    backend: LocalBackend,
    checkpoints: dict[str, Path],
    family_id: str,
    ask: Ask,
    noise: Callable[[float], Waveform],
    tmp_path: Path,
) -> None:
    answers = backend.answer([ask(3.0, text) for text in TEN_PROMPTS])
    text = next(t for t, r in zip(TEN_PROMPTS, answers, strict=True) if (r.finish, r.n_new_tokens) == ("length", 12))
    _, tokens = by_hand(checkpoints[family_id], text, noise(3.0))
    folder = BUILDERS[family_id](tmp_path / "stops", generation={})
    settings = transformers.GenerationConfig.from_pretrained(folder)
    settings.eos_token_id = [*settings.eos_token_id, tokens[4]]
    settings.save_pretrained(folder)

    stopping = create(tiny_card(folder, family_id), SHORT)
    stopped, _ = stopping.answer([ask(3.0, text), ask(0.4, TEN_PROMPTS[0])])

    n_new_tokens = tokens.index(tokens[4]) + 1
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert (stopped.finish, stopped.n_new_tokens) == ("stop", n_new_tokens)
    assert stopped.text == tokenizer.decode(tokens[:n_new_tokens], skip_special_tokens=True)
    assert stopping.effective()["generation"]["eos_token_id"] == settings.eos_token_id


def test_sampled_answers_come_again_whatever_stands_beside_them(card: Any, ask: Ask) -> None:
    sampling = Generation(max_new_tokens=12, do_sample=True, temperature=1.5, seed=7)
    questions = [ask(seconds, text) for seconds in (0.4, 1.0) for text in TEN_PROMPTS[:2]]
    backend = create(card, sampling)

    answers = said(backend.answer(questions))

    assert [said(backend.answer([question]))[0] for question in reversed(questions)] == answers[::-1]
    (again,) = backend.answer([ask(0.4, TEN_PROMPTS[0], request_id="another sample of the same question")])
    assert again.text != answers[0][1]
    effective = backend.effective()
    assert effective["seed"] == 7
    assert effective["batch_size"] == 1
    assert {name: effective["generation"][name] for name in ("do_sample", "temperature", "top_p", "top_k")} == {
        "do_sample": True,
        "temperature": 1.5,
        "top_p": 1.0,
        "top_k": 0,
    }


def test_sampling_leaves_the_callers_random_numbers_alone(card: Any, ask: Ask) -> None:
    backend = create(card, Generation(max_new_tokens=2, do_sample=True, seed=7))
    before = torch.get_rng_state()

    backend.answer([ask()])

    assert torch.equal(torch.get_rng_state(), before)


# --- batches -----------------------------------------------------------------------------------------------------


def test_a_batch_answers_token_for_token_as_single_questions_do(
    backend: LocalBackend, every_question: list[Question]
) -> None:
    together = said(backend.answer(every_question))

    assert said([backend.answer([question])[0] for question in every_question]) == together
    assert len({text for _, text, *_ in together}) > len(together) / 2, "answers must differ for the test to show much"


def test_the_order_of_questions_and_the_batch_size_decide_no_answer(
    backend: LocalBackend, card: Any, every_question: list[Question]
) -> None:
    questions = every_question[:12]
    expected = said(backend.answer(questions))

    assert said(backend.answer(questions[::-1])) == expected[::-1]
    assert said(create(card, SHORT, batch_size=3).answer(questions)) == expected


def test_no_questions_give_no_answers(backend: LocalBackend) -> None:
    assert backend.answer([]) == []


def test_answers_depend_on_what_is_heard(backend: LocalBackend, ask: Ask) -> None:
    silence = np.zeros(48_000, np.float32)
    heard = [ask(3.0, text) for text in TEN_PROMPTS]
    unheard = [ask(3.0, text, audio_key="silence", load_audio=lambda: silence) for text in TEN_PROMPTS]

    answers = backend.answer([*heard, *unheard])

    assert [r.n_prompt_tokens for r in answers[:10]] == [r.n_prompt_tokens for r in answers[10:]]
    assert sum(a.text != b.text for a, b in zip(answers[:10], answers[10:], strict=True)) > 5


def test_each_clip_is_decoded_once_however_many_prompts_ask_about_it(
    backend: LocalBackend, ask: Ask, noise: Callable[[float], Waveform]
) -> None:
    decoded: list[float] = []

    def load(seconds: float) -> Waveform:
        decoded.append(seconds)
        return noise(seconds)

    backend.answer(
        [ask(s, text, load_audio=lambda s=s: load(s)) for text in TEN_PROMPTS for s in (0.4, 1.0)]  # type: ignore
    )

    assert sorted(decoded) == [0.4, 1.0]


def test_ten_prompts_about_a_clip_take_one_pass_of_the_tower_and_one_of_what_they_share(card: Any, ask: Ask) -> None:
    backend = create(card, SHORT, batch_size=8)
    model = backend._model
    heard: list[int] = []
    shared: list[int] = []
    n_audio_read_again = 0

    def note_reading(module: Any, args: Any, given: dict[str, Any]) -> None:
        nonlocal n_audio_read_again
        if given.get("inputs_embeds") is not None:
            shared.append(len(given["inputs_embeds"]))
        elif given["input_ids"].shape[1] > 1:
            # Random weights write the audio token too, one token at a time.
            n_audio_read_again += int((given["input_ids"] == model.config.audio_token_id).sum())

    model.model.audio_tower.layers[0].register_forward_pre_hook(lambda module, args: heard.append(len(args[0])))
    model.model.language_model.register_forward_pre_hook(note_reading, with_kwargs=True)

    responses = backend.answer([ask(seconds, text) for text in TEN_PROMPTS for seconds in (0.4, 1.0, 3.0)])

    assert len({response.text for response in responses}) > 10
    assert (sum(heard), sum(shared), n_audio_read_again) == (3, 3, 0)


def fail_above(n_rows: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let more prompts read together run out of memory; gives the list that their numbers are noted in."""
    read, sizes = row_decoder.read_prompts, []

    def limited(model: Any, prefix: Any, rows: Any, suffix: Any) -> Any:
        sizes.append(len(rows))
        if sizes[-1] > n_rows:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return read(model, prefix, rows, suffix)

    monkeypatch.setattr(row_decoder, "read_prompts", limited)
    return sizes


def fail_writing_above(n_rows: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let a step of more rows run out of memory; gives the list that their numbers are noted in."""
    step, sizes = GatheredStep.__call__, []

    def limited(self: Any) -> torch.Tensor:
        sizes.append(self._rows.n)
        if sizes[-1] > n_rows:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return step(self)

    monkeypatch.setattr(GatheredStep, "__call__", limited)
    return sizes


def test_rows_that_do_not_fit_are_halved_and_tried_anew_with_the_next_call(
    card: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, questions = create(card, SHORT, batch_size=8), [ask(0.4 + n / 10, TEN_PROMPTS[0]) for n in range(7)]
    expected = said(backend.answer(questions))
    sizes = fail_writing_above(2, monkeypatch)

    assert said(backend.answer(questions)) == expected
    assert list(dict.fromkeys(sizes))[:3] == [8, 4, 2]
    assert backend.effective()["batch_size"] == 2
    assert backend.questions_per_call == 80
    monkeypatch.undo()
    assert said(backend.answer(questions)) == expected
    assert backend.effective()["batch_size"] == 8


def test_clips_that_cannot_be_read_together_leave_rows_and_pages_as_they_are(
    card: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, questions = create(card, SHORT, batch_size=8), [ask(0.4 + n / 10, TEN_PROMPTS[0]) for n in range(7)]
    backend.answer(questions)
    effective, rows = backend.effective(), backend._decoder
    fail_above(2, monkeypatch)

    backend.answer(questions)

    assert backend._decoder is rows
    assert [backend.effective()[name] for name in ("batch_size", "pages")] == [8, effective["pages"]]


def test_a_batch_that_does_not_fit_is_halved_until_it_does(
    card: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, questions = create(card, SHORT, batch_size=8), [ask(0.4 + n / 10, TEN_PROMPTS[0]) for n in range(7)]
    expected = said(backend.answer(questions))
    sizes = fail_above(2, monkeypatch)

    assert said(backend.answer(questions)) == expected
    assert sizes[:3] == [7, 4, 2]
    assert sum(size for size in sizes if size <= 2) == 7
    assert backend.effective()["batches_halved_since_loading"] == 2


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Only what nobody refers to any more is given back, as when memory is short."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_memory_is_given_back_as_soon_as_a_batch_is_halved_or_the_backend_dropped(
    card: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch, uncollected: None
) -> None:
    backend, questions = create(card, SHORT, batch_size=8), [ask(0.4 + n / 10, TEN_PROMPTS[0]) for n in range(7)]
    begin, made = PagedRows.__init__, []

    def noted(rows: Any, *given: Any, **options: Any) -> None:
        begin(rows, *given, **options)
        made.append(weakref.ref(rows))

    monkeypatch.setattr(PagedRows, "__init__", noted)
    fail_writing_above(2, monkeypatch)
    backend.answer(questions)

    assert [rows() is not None for rows in made] == [False, False, True]
    dropped = weakref.ref(backend)
    del backend
    assert dropped() is None
    assert made[-1]() is None


def test_one_question_that_does_not_fit_is_an_error_that_names_the_clip(
    card: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = create(card, SHORT)
    fail_above(0, monkeypatch)

    with pytest.raises(BackendError, match=rf"{card.model_id} ran out of memory on cpu .* clip of 0\.4 s.*float32"):
        backend.answer([ask(0.4)])


def test_a_clip_that_does_not_fit_alone_leaves_its_neighbours_alone(
    card: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = create(card, SHORT, batch_size=4)
    questions = [ask(seconds, text) for seconds in (0.4, 3.0, 1.0) for text in TEN_PROMPTS[:2]]
    expected = said(backend.answer(questions))
    read = engine.read_prefix

    def limited(model: Any, tokens: Any, heard: Any) -> Any:
        if max(map(len, heard)) > 50:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return read(model, tokens, heard)

    monkeypatch.setattr(engine, "read_prefix", limited)
    responses = backend.answer(questions)

    assert said([*responses[:2], *responses[4:]]) == [*expected[:2], *expected[4:]]
    assert {(r.finish, r.error_kind) for r in responses[2:4]} == {("error", "transient")}
    assert "ran out of memory on cpu with a single clip of 3.0 s" in str(responses[2].error)
    assert [r.request_id for r in responses] == [q.request_id for q in questions]


@pytest.mark.parametrize("form", ["hard", "likelihood"])
def test_a_clip_to_which_only_noise_is_said_leaves_its_neighbours_alone(
    card: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    backend = create(card, SHORT, batch_size=4)
    questions = [ask(seconds, form=form, label_answers=("Angry", "Happy")) for seconds in (0.4, 3.0, 1.0)]
    expected = backend.answer(questions)
    read = engine.read_prefix

    def damaged(model: Any, tokens: Any, heard: Any) -> Any:
        return read(model, tokens, [torch.full_like(one, torch.nan) if len(one) > 50 else one for one in heard])

    backend._of_silence.clear()
    monkeypatch.setattr(engine, "read_prefix", damaged)
    first, noise, last = backend.answer(questions)

    assert (noise.finish, noise.error_kind) == ("error", "permanent")
    assert re.search("first logits of this question are not finite in float32", str(noise.error))
    assert said([first, last]) == said([expected[0], expected[2]])


# --- clips -------------------------------------------------------------------------------------------------------

N_TOKENS_PADDED, N_TOKENS_30_S, N_TOKENS_45_S = 2, 750, 1_125


def test_short_and_long_clips_are_heard_as_the_card_declares_and_reported(
    backends: dict[str, LocalBackend], ask: Ask
) -> None:
    questions = [ask(seconds, "") for seconds in (*SECONDS, 30.0)]

    one_window, all_windows = (backends[name].answer(questions) for name in ("qwen2-audio", "audio-flamingo-3"))

    assert [r.audio_handling for r in one_window] == ["padded", None, None, "truncated", "truncated", None]
    assert [r.audio_handling for r in all_windows] == ["padded", None, None, None, None, None]
    for responses, n_longest in ((one_window, N_TOKENS_30_S), (all_windows, N_TOKENS_45_S)):
        n_tokens = [r.n_prompt_tokens - responses[0].n_prompt_tokens + N_TOKENS_PADDED for r in responses]
        assert n_tokens == [N_TOKENS_PADDED, 10, 75, min(775, n_longest), n_longest, N_TOKENS_30_S]


def test_a_cut_clip_is_answered_as_its_beginning_is(
    backend: LocalBackend, card: Any, ask: Ask, noise: Callable[[float], Waveform]
) -> None:
    limits = card.audio.model_copy(update={"max_s": 2.0})
    cutting = create(card.model_copy(update={"audio": limits}), SHORT)

    (cut,) = cutting.answer([ask(3.0)])
    (beginning,) = backend.answer([ask(3.0, load_audio=lambda: noise(3.0)[:32_000])])

    assert cut.audio_handling == "truncated"
    assert (cut.text, cut.n_prompt_tokens) == (beginning.text, beginning.n_prompt_tokens)


def test_clips_that_cannot_be_heard_are_permanent_errors_and_leave_their_neighbours_alone(card: Any, ask: Ask) -> None:
    def broken() -> Waveform:
        raise AudioError("toy/broken.wav", "the file is empty")

    limits = card.audio.model_copy(update={"max_s": 2.0, "beyond": "error"})
    backend = create(card.model_copy(update={"audio": limits}), SHORT)
    noisy = np.full(16_000, np.nan, np.float32)

    first, decoding, length, content, last = backend.answer(
        [
            ask(0.4),
            ask(request_id="decoding", audio_key="broken", load_audio=broken),
            ask(3.0, request_id="length"),
            ask(request_id="content", audio_key="nan", load_audio=lambda: noisy),
            ask(1.0),
        ]
    )

    assert [r.request_id for r in (decoding, length, content)] == ["decoding", "length", "content"]
    assert {(r.finish, r.error_kind, r.text) for r in (decoding, length, content)} == {("error", "permanent", "")}
    assert decoding.error == "toy/broken.wav: the file is empty"
    assert length.error == "the clip is 3.0 s long; the model's card refuses more than 2 s"
    assert content.error == "the decoded clip holds samples that are not finite numbers"
    assert said([first, last]) == said(backend.answer([ask(0.4), ask(1.0)]))


def test_a_prompt_that_names_the_audio_token_is_refused(backends: dict[str, LocalBackend], ask: Ask) -> None:
    for name, token in (("qwen2-audio", "<|AUDIO|>"), ("audio-flamingo-3", "<sound>")):
        with pytest.raises(BackendError, match="takes for audio"):
            backends[name].answer([ask(prompt=f"Listen to {token}."), ask(1.0)])


def test_another_number_of_audio_tokens_than_the_clip_gives_is_refused(
    family_id: str, ask: Ask, tmp_path: Path
) -> None:
    folder = BUILDERS[family_id](tmp_path)
    processor = folder / "processor_config.json"
    processor.write_text(processor.read_text().replace('"hop_length": 160', '"hop_length": 320'))
    backend = create(tiny_card(folder, family_id), SHORT)

    with pytest.raises(BackendError, match=r"clip .* of 1\.00 s gives 12 audio tokens where it should give 25"):
        backend.answer([ask(1.0)])


def test_the_models_gpu_is_the_current_one_while_questions_are_answered(
    card: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels of Triton and recordings go to the current device, which need not be the model's."""
    backend, step, current, seen = create(card, SHORT), GatheredStep.__call__, [], []

    @contextmanager
    def noted(device: torch.device) -> Iterator[None]:
        current.append(device)
        yield
        current.pop()

    def stepping(self: Any) -> torch.Tensor:
        seen.extend(current)
        return step(self)

    monkeypatch.setattr(engine, "current_device", noted)
    monkeypatch.setattr(GatheredStep, "__call__", stepping)
    backend.answer([ask()])

    assert set(seen) == {torch.device("cpu")}
    assert current == []


def test_any_gpu_can_be_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext(chosen.append(device)))

    for name in ("cuda:1", "cpu", "cuda:0"):
        with current_device(torch.device(name)):
            pass

    assert chosen == [torch.device("cuda:1"), torch.device("cuda:0")]


# --- numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_features_are_cast_to_the_models_dtype(card: Any, ask: Ask, dtype: str) -> None:
    backend = create(card, SHORT, dtype=dtype)

    responses = backend.answer([ask(0.4), ask(1.0)])

    assert all(r.error is None and r.n_new_tokens for r in responses)
    assert backend.effective()["dtype"] == dtype
    assert len(backend.effective()["warnings"]) == (dtype == "float16")


def test_logits_that_overflow_are_an_error_that_names_the_dtype(
    checkpoints: dict[str, Path], family_id: str, ask: Ask, tmp_path: Path
) -> None:
    model_class = type(create(tiny_card(checkpoints[family_id], family_id), SHORT)._model)
    model = model_class.from_pretrained(checkpoints[family_id])
    model.lm_head.weight.data *= 1e5
    folder = BUILDERS[family_id](tmp_path)
    model.save_pretrained(folder)

    (fine,) = create(tiny_card(folder, family_id), SHORT).answer([ask()])

    assert fine.finish == "length"
    with pytest.raises(BackendError, match=r"first logits of this question are not finite in float16 on cpu"):
        create(tiny_card(folder, family_id), SHORT, dtype="float16").answer([ask(1.0), ask(0.4)])


def test_later_logits_are_passed_on_unseen() -> None:
    check = FirstLogits(SimpleNamespace(dtype=torch.float32, device="cpu"))
    finite, later = torch.zeros(1, 3), torch.full((1, 3), torch.nan)

    assert check(None, finite) is finite
    assert check(None, later) is later


# --- the record --------------------------------------------------------------------------------------------------


def test_the_record_says_what_is_in_force(backend: LocalBackend, card: Any, family_id: str) -> None:
    effective = backend.effective()

    assert isinstance(backend, Backend)
    assert backend.questions_per_call == 80
    fields = ("family", "architecture", "trust_remote_code", "dtype", "device", "attention", "batch_size")
    assert [effective[field] for field in (*fields, "padding_side", "stops_at", "seed", "warnings")] == [
        family_id,
        f"{'Qwen2Audio' if family_id == 'qwen2-audio' else 'AudioFlamingo3'}ForConditionalGeneration",
        False,
        "float32",
        "cpu",
        "sdpa",
        8,
        "left",
        ["<|endoftext|>", "<|im_end|>"],
        None,
        [],
    ]
    assert effective["prompt_frame"].startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")
    assert effective["prompt_frame"].endswith("{prompt}<|im_end|>\n<|im_start|>assistant\n")
    assert effective["audio"]["max_s"] == effective["audio"]["longest_s"] == AUDIO_LIMITS[family_id].max_s
    assert effective["versions"] == {"torch": torch.__version__, "transformers": transformers.__version__}
    assert len(effective["chat_template_sha256"]) == 64
    assert json.loads(json.dumps(effective)) == effective


def test_the_backend_is_found_by_the_name_on_the_card(card: Any) -> None:
    assert isinstance(create_backend(card, SHORT, batch_size=2, device=None), LocalBackend)


def test_every_answer_states_its_cost(backend: LocalBackend, ask: Ask) -> None:
    (response,) = backend.answer([ask(1.0)])

    assert response.latency_s is not None
    assert response.latency_s > 0
    assert (response.worker, response.attempt, response.error) == ("", 1, None)
