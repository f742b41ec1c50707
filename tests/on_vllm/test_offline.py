"""The backend ``vllm`` against what the local engine answers, on the same tiny checkpoints."""

import gc
import json
import multiprocessing
from typing import Any

import numpy as np
import pytest

from vllm_parity import FAMILIES, GENERATION, TEN_PROMPTS, Expected, need_vllm, question, questions, said
from voxemo.backends.base import Question, Waveform
from voxemo.backends.registry import create_backend
from voxemo.catalog.lookup import model_card
from voxemo.core.errors import AudioError, BackendError
from voxemo.core.types import Generation
from voxemo.testing import check_backend

need_vllm()

BLOCK = 32
"""Tokens that the prefix cache keeps together; the default for a processor is longer than some clips."""


@pytest.fixture(scope="module", params=FAMILIES)
def family_id(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def card(expected: Expected, family_id: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("cards")
    return model_card(str(expected.card_file(family_id, folder, backend="vllm")))


@pytest.fixture(scope="module")
def backend(card: Any) -> Any:
    return create_backend(card, GENERATION, block_size=BLOCK, enforce_eager=True, max_model_len=4096)


@pytest.fixture
def clips(expected: Expected) -> Any:
    return expected.clip


def test_every_answer_is_token_for_token_the_local_engines(
    backend: Any, expected: Expected, family_id: str, clips: Any
) -> None:
    asked = questions(clips)

    answers = said(backend.answer(asked))

    assert answers == expected.said(family_id)
    assert len({text for _, text, *_ in answers}) > len(answers) / 2, "answers must differ for the test to show much"
    assert {finish for _, _, finish, *_ in answers} == {"stop", "length"}, "answers must end in both ways"


def test_the_clip_and_what_its_prompts_share_are_read_once(backend: Any, family_id: str) -> None:
    new = np.random.default_rng(1).uniform(-0.1, 0.1, 10 * 16_000).astype(np.float32)
    asked = [question(10.0, text, lambda seconds: new) for text in TEN_PROMPTS]
    before = backend.effective()["since_loading"]

    backend.answer(asked)

    after = backend.effective()["since_loading"]
    cached = after["n_cached_prompt_tokens"] - before["n_cached_prompt_tokens"]
    whole_blocks = 250 // BLOCK * BLOCK
    assert after["n_questions"] - before["n_questions"] == 10
    assert cached >= 9 * whole_blocks, "nine of ten prompts find at least the audio in the cache"


def test_a_clip_is_known_by_its_samples_whatever_a_run_calls_it(
    backend: Any, expected: Expected, family_id: str, clips: Any
) -> None:
    rows = {row[0]: row for row in expected.said(family_id)}
    for seconds in (3.0, 9.7):
        asked = question(seconds, TEN_PROMPTS[0], clips, audio_key="shuffled/toy")

        assert said(backend.answer([asked])) == [rows[asked.request_id]]


def test_the_backend_keeps_the_contract(backend: Any) -> None:
    check_backend(backend)


def test_clips_that_cannot_be_heard_are_permanent_errors_and_leave_their_neighbours_alone(
    backend: Any, expected: Expected, family_id: str, clips: Any
) -> None:
    def broken(seconds: float) -> Waveform:
        raise AudioError("toy/broken.wav", "the file is empty")

    first, last = question(0.4, TEN_PROMPTS[0], clips), question(3.0, TEN_PROMPTS[1], clips)
    bad = question(1.0, TEN_PROMPTS[0], broken, audio_key="broken")
    rows = {row[0]: row for row in expected.said(family_id)}

    one, error, other = backend.answer([first, bad, last])

    assert said([one, other]) == [rows[first.request_id], rows[last.request_id]]
    assert (error.finish, error.error_kind, error.error) == ("error", "permanent", "toy/broken.wav: the file is empty")
    assert backend.answer([]) == []


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (question(1.0, "Say.", form="likelihood"), "writes answers"),
        (question(1.0, "Listen to <sound> and <|AUDIO|>."), "takes for audio"),
        (question(1.0, "word " * 5000), "tokens, and an answer may have 24; tiny-.* holds 4096 here"),
    ],
    ids=["likelihood", "placeholder", "too long"],
)
def test_what_cannot_be_asked_is_refused(backend: Any, asked: Question, reason: str) -> None:
    with pytest.raises(BackendError, match=reason):
        backend.answer([asked])


def test_what_is_in_force_is_read_back_and_names_no_folder(backend: Any, expected: Expected, family_id: str) -> None:
    effective = backend.effective()

    assert str(expected.folder) not in json.dumps(effective)
    assert {name: effective[name] for name in ("backend", "family", "dtype", "device", "batch_size", "block_size")} == {
        "backend": "vllm",
        "family": family_id,
        "dtype": "float32",
        "device": "cpu",
        "batch_size": 256,
        "block_size": BLOCK,
    }
    assert effective["prefix_caching"] is True
    # The checkpoints' own settings sample, and penalise repetition.
    assert effective["generation"]["temperature"] == 0.0
    assert effective["generation"]["repetition_penalty"] == 1.0
    assert effective["generation"]["stop_token_ids"] == [2, 0]
    assert set(effective["versions"]) == {"vllm", "torch", "transformers"}
    assert set(backend.stages_s) == {"waiting for audio", "answering"}


def test_sampled_answers_come_again_whatever_stands_beside_them(expected: Expected, tmp_path: Any, clips: Any) -> None:
    card = model_card(str(expected.card_file("qwen2-audio", tmp_path, backend="vllm")))
    sampling = Generation(max_new_tokens=12, do_sample=True, temperature=1.5, seed=7)
    asked = [question(seconds, text, clips) for seconds in (0.4, 3.0) for text in TEN_PROMPTS[:2]]
    before = set(multiprocessing.active_children())
    backend = create_backend(card, sampling, enforce_eager=True, max_model_len=4096)

    answers = said(backend.answer(asked))

    assert [said(backend.answer([one]))[0] for one in reversed(asked)] == answers[::-1]
    (again,) = backend.answer([question(0.4, TEN_PROMPTS[0], clips, request_id="another sample of the same question")])
    assert again.text != answers[0][1]
    assert backend.effective()["seed"] == 7
    (engine,) = set(multiprocessing.active_children()) - before
    del backend
    gc.collect()
    assert not engine.is_alive(), "a model that is dropped must leave its memory to the next one"


def test_a_checkpoint_that_vllm_cannot_read_is_an_error_that_names_it(expected: Expected, tmp_path: Any) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in expected.checkpoint("qwen2-audio").iterdir():
        content = b"no weights" if file.suffix == ".safetensors" else file.read_bytes()
        (damaged / file.name).write_bytes(content)
    card = model_card(str(expected.card_file("qwen2-audio", tmp_path, backend="vllm", repository=str(damaged))))

    with pytest.raises(BackendError, match="vLLM cannot run tiny-qwen2-audio"):
        create_backend(card, GENERATION, enforce_eager=True)
