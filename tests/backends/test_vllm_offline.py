"""What vLLM is given, and what becomes of its answers. The real one is tested by ``make test-vllm``."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tiny_checkpoints import tiny_card
from voxemo.backends.base import Question, Waveform
from voxemo.backends.local.clips import AskedClip, FittedClip
from voxemo.backends.local.families.base import whisper_audio_tokens
from voxemo.backends.registry import create_backend
from voxemo.backends.vllm_offline import adjacent, decoding_fields, prompt_of, samples_sha256
from voxemo.catalog.lookup import model_card
from voxemo.core.errors import AudioError, BackendError, MissingDependency
from voxemo.core.types import Generation
from voxemo.testing import check_backend

SHORT = Generation(max_new_tokens=4)
STOP, OTHER = 2, 40

Ask = Callable[..., Question]


# --- what it is given --------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 12), max_size=8))
def test_questions_about_a_clip_stand_next_to_each_other(sizes: list[int]) -> None:
    clips = [
        AskedClip(f"{n}", FittedClip(samples=np.zeros(1)), tuple((100 * n + k, None) for k in range(size)))  # type: ignore[misc]
        for n, size in enumerate(sizes)
    ]

    rows = adjacent(clips)

    assert [row.place for row in rows] == [100 * n + k for n, size in enumerate(sizes) for k in range(size)]
    assert all(row.asked is clips[row.place // 100] for row in rows)


def test_clips_share_a_name_only_where_their_samples_are_equal() -> None:
    one, same, other = np.zeros(8, np.float32), np.zeros(8, np.float32), np.full(8, 1e-7, np.float32)

    assert samples_sha256(one) == samples_sha256(same)
    assert len({samples_sha256(one), samples_sha256(other), samples_sha256(one[:7])}) == 3


def test_a_prompt_is_given_as_tokens_and_samples_under_their_name() -> None:
    samples = np.ones(1_600, np.float32)

    prompt = prompt_of((5, 6), samples, name="a clip")

    ((heard, rate_hz),) = prompt["multi_modal_data"]["audio"]
    assert heard is samples
    assert rate_hz == 16_000
    assert prompt["prompt_token_ids"] == [5, 6]
    assert prompt["multi_modal_uuids"] == {"audio": ["a clip"]}


def test_greedy_answers_are_asked_for_with_nothing_left_to_a_checkpoint() -> None:
    assert decoding_fields(Generation(max_new_tokens=7), [2, 0]) == {
        "temperature": 0.0,
        "max_tokens": 7,
        "repetition_penalty": 1.0,
        "ignore_eos": True,
        "stop_token_ids": [2, 0],
        "detokenize": False,
    }


def test_sampling_is_asked_for_with_every_restriction_said() -> None:
    plain = decoding_fields(Generation(do_sample=True, seed=1), [2])
    set_all = decoding_fields(Generation(do_sample=True, seed=1, temperature=0.7, top_p=0.8, top_k=20), [2])

    assert [plain[name] for name in ("temperature", "top_p", "top_k")] == [1.0, 1.0, 0]
    assert [set_all[name] for name in ("temperature", "top_p", "top_k")] == [0.7, 0.8, 20]


# --- without it --------------------------------------------------------------------------------------------------


def test_where_vllm_is_missing_the_error_says_that_it_wants_an_environment_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    card = model_card("qwen2-audio-7b-instruct").model_copy(update={"backend": "vllm"})

    with pytest.raises(MissingDependency, match=r"needs the package 'vllm'.* environment of its own: pip install vllm"):
        create_backend(card, SHORT)


# --- a stand-in that answers without a model ---------------------------------------------------------------------


class DeadEngine(Exception):
    """As vLLM's own: no RuntimeError."""


class StandIn:
    """What `VllmBackend` uses of vLLM. It answers with the tokens and the reason that a test sets."""

    def __init__(self) -> None:
        self.loaded: dict[str, Any] = {}
        self.calls: list[tuple[Sequence[Any], Sequence[Any]]] = []
        self.tokens, self.reason = [OTHER, STOP], "stop"
        self.failure: Exception | None = None
        self.n_lost_audio_tokens = 0

    def llm(self, **arguments: Any) -> Any:
        self.loaded = arguments
        config = SimpleNamespace(
            model_config=SimpleNamespace(
                dtype=arguments["dtype"],
                architecture="A",
                quantization=None,
                enforce_eager=False,
                max_model_len=arguments.get("max_model_len", 8192),
            ),
            device_config=SimpleNamespace(device="cuda"),
            parallel_config=SimpleNamespace(tensor_parallel_size=arguments.get("tensor_parallel_size", 1)),
            cache_config=SimpleNamespace(gpu_memory_utilization=0.9, enable_prefix_caching=True, block_size=16),
            scheduler_config=SimpleNamespace(max_num_seqs=arguments["max_num_seqs"], max_num_batched_tokens=8192),
        )
        return SimpleNamespace(llm_engine=SimpleNamespace(vllm_config=config), generate=self.generate)

    def generate(self, prompts: Sequence[Any], params: Sequence[Any], *, use_tqdm: bool) -> list[Any]:
        assert not use_tqdm
        if self.failure is not None:
            raise self.failure
        self.calls.append((prompts, params))
        return [self.output(prompt) for prompt in prompts]

    def output(self, prompt: Any) -> Any:
        ((samples, _),) = prompt["multi_modal_data"]["audio"]
        (audio,) = set(prompt["prompt_token_ids"]) & self.audio_tokens
        n_audio = whisper_audio_tokens(samples.size) - self.n_lost_audio_tokens
        tokens = [
            one for token in prompt["prompt_token_ids"] for one in ([audio] * n_audio if token == audio else [token])
        ]
        answer = SimpleNamespace(token_ids=self.tokens, finish_reason=self.reason)
        return SimpleNamespace(outputs=[answer], prompt_token_ids=tokens, num_cached_tokens=16)

    audio_tokens: frozenset[int] = frozenset()


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    platform = SimpleNamespace(get_device_name=lambda: "a GPU")
    modules: dict[str, dict[str, Any]] = {
        "vllm": {"LLM": stand_in.llm, "SamplingParams": lambda **fields: fields, "__version__": "1"},
        "vllm.platforms": {"current_platform": platform},
        "vllm.v1": {},
        "vllm.v1.engine": {},
        "vllm.v1.engine.exceptions": {"EngineDeadError": DeadEngine},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
    for name in ("VLLM_LOGGING_LEVEL", "VLLM_LOGGING_STREAM", "VLLM_NO_USAGE_STATS"):
        # Set now, so that what the backend sets is taken back after the test.
        monkeypatch.setenv(name, "set by the user")
    return stand_in


@pytest.fixture
def make(vllm: StandIn, checkpoints: dict[str, Path], family_id: str) -> Callable[..., Any]:
    def load(generation: Generation = SHORT, *, changes: dict[str, Any] | None = None, **options: Any) -> Any:
        card = tiny_card(checkpoints[family_id], family_id, backend="vllm", **(changes or {}))
        backend = create_backend(card, generation, **options)
        vllm.audio_tokens = frozenset({backend._config.audio_token_id})
        return backend

    return load


def test_the_backend_keeps_the_contract(make: Callable[..., Any]) -> None:
    check_backend(make())


def test_a_model_is_loaded_as_its_card_and_its_options_say(
    make: Callable[..., Any], vllm: StandIn, checkpoints: dict[str, Path], family_id: str
) -> None:
    make(
        changes={"dtype": None, "revision": "abc"},
        batch_size=4,
        tensor_parallel_size=2,
        gpu_memory_utilization=0.5,
        max_model_len=2048,
    )

    assert vllm.loaded == {
        "model": str(checkpoints[family_id]),
        "revision": "abc",
        "tokenizer_revision": "abc",
        "trust_remote_code": False,
        # The checkpoint's own: vLLM's choice for it would be float16.
        "dtype": torch.float32,
        "max_num_seqs": 4,
        "limit_mm_per_prompt": {"audio": 1},
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "tensor_parallel_size": 2,
        "gpu_memory_utilization": 0.5,
        "max_model_len": 2048,
    }


def test_an_answer_is_its_tokens_up_to_and_with_the_stop_token(
    make: Callable[..., Any], vllm: StandIn, ask: Ask
) -> None:
    backend = make()
    (ended,) = backend.answer([ask()])
    vllm.tokens, vllm.reason = [OTHER] * 4, "length"
    (cut,) = backend.answer([ask()])

    word = backend._processor.tokenizer.decode([OTHER])
    assert (ended.text, ended.finish, ended.n_new_tokens) == (word, "stop", 2)
    assert (cut.text, cut.finish, cut.n_new_tokens) == (word * 4, "length", 4)
    usage = backend.effective()["since_loading"]
    assert usage == {"n_questions": 2, "n_prompt_tokens": 2 * cut.n_prompt_tokens, "n_cached_prompt_tokens": 32}


def test_shuffled_questions_reach_vllm_clip_by_clip_and_every_sample_of_a_clip_has_one_name(
    make: Callable[..., Any], vllm: StandIn, ask: Ask
) -> None:
    questions = [ask(seconds, text) for text in ("One?", "Two?", "Three?") for seconds in (0.4, 3.0, 1.0)]

    answers = make().answer(questions)

    ((prompts, _),) = vllm.calls
    names = [prompt["multi_modal_uuids"]["audio"][0] for prompt in prompts]
    assert len(set(names)) == 3
    assert names == [name for name in dict.fromkeys(names) for _ in range(3)]
    assert [answer.request_id for answer in answers] == [question.request_id for question in questions]


def test_one_key_for_other_samples_gets_another_name(make: Callable[..., Any], vllm: StandIn, ask: Ask) -> None:
    backend = make()
    for level in (0.1, 0.2):
        heard: Waveform = np.full(16_000, level, np.float32)
        backend.answer([ask(audio_key="shuffled/toy/1", load_audio=lambda heard=heard: heard)])

    (first, _), (second, _) = vllm.calls
    assert first[0]["multi_modal_uuids"] != second[0]["multi_modal_uuids"]


def test_a_sampled_question_has_a_seed_of_its_own(make: Callable[..., Any], vllm: StandIn, ask: Ask) -> None:
    make(Generation(max_new_tokens=4, do_sample=True, seed=3)).answer([ask(), ask(request_id="again")])

    ((_, (one, other)),) = vllm.calls
    assert isinstance(one["seed"], int)
    assert one["seed"] != other["seed"]


def test_a_question_that_vllm_gave_up_is_asked_again_later(make: Callable[..., Any], vllm: StandIn, ask: Ask) -> None:
    vllm.reason = "abort"

    (response,) = make().answer([ask()])

    assert (response.finish, response.error_kind) == ("error", "transient")
    assert response.error == "vLLM gave the question up (abort)"


@pytest.mark.parametrize("failure", [DeadEngine("it died"), RuntimeError("it died"), ValueError("it died")])
def test_a_failing_engine_ends_the_call_with_what_to_do(
    make: Callable[..., Any], vllm: StandIn, ask: Ask, failure: Exception
) -> None:
    vllm.failure = failure

    with pytest.raises(BackendError, match=r"vLLM failed while tiny-.* was asked: it died\. .*--batch-size"):
        make().answer([ask()])


def test_another_number_of_audio_tokens_than_the_clip_gives_is_refused(
    make: Callable[..., Any], vllm: StandIn, ask: Ask
) -> None:
    vllm.n_lost_audio_tokens = 5

    with pytest.raises(BackendError, match=r"clip .* of 1\.00 s gives 20 audio tokens where it should give 25"):
        make().answer([ask(1.0)])


def test_clips_that_cannot_be_decoded_are_not_asked_about(make: Callable[..., Any], vllm: StandIn, ask: Ask) -> None:
    def broken() -> Waveform:
        raise AudioError("toy/broken.wav", "the file is empty")

    (response,) = make().answer([ask(load_audio=broken)])

    assert (response.finish, response.error_kind) == ("error", "permanent")
    assert vllm.calls == []


def test_what_cannot_be_asked_is_refused_before_anything_is(
    make: Callable[..., Any], vllm: StandIn, ask: Ask, family_id: str
) -> None:
    backend = make(max_model_len=200)
    word = {"qwen2-audio": "<|AUDIO|>", "audio-flamingo-3": "<sound>"}[family_id]

    with pytest.raises(BackendError, match="likelihood form"):
        backend.answer([ask(form="likelihood")])
    with pytest.raises(BackendError, match="takes for audio"):
        backend.answer([ask(prompt=f"Listen to {word}.")])
    with pytest.raises(BackendError, match=r"an answer may have 4; .* holds 200 here.*--max-new-tokens"):
        backend.answer([ask(), ask(10.0)])
    assert vllm.calls == []


def test_what_vllm_would_not_do_is_refused_before_loading(
    make: Callable[..., Any], vllm: StandIn, family_id: str
) -> None:
    with pytest.raises(BackendError, match="has no beam search; asked for were 2 beams"):
        make(Generation(num_beams=2))
    with pytest.raises(BackendError, match=r"family 'generic'; the backend 'vllm' runs .*'endpoint'"):
        make(changes={"family": "generic"})
    with pytest.raises(BackendError, match="sets 'quantization'"):
        make(changes={"quantization": "int8"})
    with pytest.raises(BackendError, match="has no option 'device'"):
        make(device="cuda")
    assert vllm.loaded == {}


def test_a_model_with_another_window_than_vllm_has_is_refused(vllm: StandIn) -> None:
    card = model_card("voxemo-tiny").model_copy(update={"backend": "vllm"})

    with pytest.raises(BackendError, match=r"windows of 10 s; .* windows of 30 s alone"):
        create_backend(card, SHORT)


def test_a_model_that_vllm_cannot_load_is_an_error_with_its_first_words(
    make: Callable[..., Any], vllm: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**arguments: Any) -> Any:
        raise RuntimeError("operator torchvision::nms does not exist\nand much more")

    monkeypatch.setattr(sys.modules["vllm"], "LLM", fails)

    with pytest.raises(BackendError, match=r"cannot run tiny-.*nms does not exist\. .*torchvision.*uninstall them"):
        make()


def test_stop_tokens_are_the_checkpoints_also_where_it_has_no_generation_settings(
    vllm: StandIn, checkpoints: dict[str, Path], family_id: str, tmp_path: Path
) -> None:
    for file in checkpoints[family_id].iterdir():
        if file.name != "generation_config.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    without = create_backend(tiny_card(tmp_path, family_id, backend="vllm"), SHORT)
    with_them = create_backend(tiny_card(checkpoints[family_id], family_id, backend="vllm"), SHORT)

    assert without.effective()["generation"]["stop_token_ids"] == [STOP]
    assert with_them.effective()["generation"]["stop_token_ids"] == [STOP, 0]
