"""The endpoint backend over real HTTP, against a server that does what each test says."""

import asyncio
import io
import json
import logging
import random
import re
import sys
import threading
import tomllib
import traceback
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_server import MODEL, Asked, ChatServer, Reply, TurnedClock, chat_server, listed, refused, said
from file_host import free_port
from voxemo.backends.base import Question
from voxemo.backends.endpoint.access import HIDDEN_HOST, shown_host
from voxemo.backends.endpoint.engine import EndpointBackend
from voxemo.backends.endpoint.failures import Backoff
from voxemo.backends.endpoint.wire import wav_bytes
from voxemo.backends.registry import create_backend
from voxemo.backends.stages import SERVED
from voxemo.core.cards import AudioLimits, ModelCard
from voxemo.core.errors import AudioError, BackendError, MissingDependency, RunError
from voxemo.core.types import Generation
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.store.files import read_json
from voxemo.store.journal import read_journal
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.manifest import read_manifest
from voxemo.testing import check_backend

KEY = "sk-not-for-any-file-0123456789"
Ask = Callable[..., Question]
Make = Callable[..., EndpointBackend]


def model_card(**changes: Any) -> ModelCard:
    fields: dict[str, Any] = {
        "model_id": "toy-listener",
        "name": "Toy listener",
        "backend": "endpoint",
        "repository": MODEL,
        "training_corpora": [],
        "training_data": "none",
        "license": "none",
        "reference": "these tests",
        "support": "untested",
    }
    return ModelCard(**(fields | changes))


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "VOXEMO_ENDPOINT", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def make(server: ChatServer, clock: TurnedClock) -> Make:
    """A backend that asks the test's server and waits by the test's clock."""

    def make(card: ModelCard | None = None, generation: Generation | None = None, **options: Any) -> EndpointBackend:
        options = {"base_url": server.url, "backoff": clock.backoff(), **options}
        return EndpointBackend(card or model_card(), generation or Generation(), **options)

    return make


@pytest.fixture
def questions(ask: Ask) -> list[Question]:
    """Six questions: three prompts about each of two clips."""
    return [ask(seconds, prompt) for seconds in (0.2, 0.4) for prompt in ("one", "two", "three")]


def faulty(*faults: Reply, then: Callable[[Asked], Reply] = lambda asked: said()) -> Callable[[Asked], Reply]:
    """A server that first gives each of these, whoever asks."""
    left = list(faults)
    lock = threading.Lock()

    def answer(asked: Asked) -> Reply:
        with lock:
            fault = left.pop(0) if left else None
        return fault if fault is not None else then(asked)

    return answer


def asked_prompts(server: ChatServer) -> Counter[str]:
    return Counter(asked.prompt for asked in server.asked)


# --- what is asked -----------------------------------------------------------------------------------------------


def test_the_contract_of_backends_is_kept(server: ChatServer, make: Make) -> None:
    server.answer = lambda asked: said(f"{len(asked.prompt)} letters about {asked.samples.sum()}")

    check_backend(make())


def test_the_name_on_a_card_leads_here(server: ChatServer) -> None:
    backend = create_backend(model_card(), Generation(), base_url=server.url, concurrency=3, price=None)

    assert isinstance(backend, EndpointBackend)
    assert backend.questions_per_call == 30


def test_the_audio_comes_first_and_decodes_to_the_samples_that_were_heard(
    server: ChatServer, make: Make, ask: Ask
) -> None:
    steps = np.arange(-32_768, 32_768, 7, dtype=np.int16)
    clip = (steps / 32_768).astype(np.float32)

    make().answer([ask(prompt="Which emotion?", load_audio=lambda: clip)])

    (asked,) = server.asked
    assert [part["type"] for part in asked.content] == ["input_audio", "text"]
    assert asked.prompt == "Which emotion?"
    assert np.array_equal(asked.samples, steps)


@given(steps=st.lists(st.integers(-32_768, 32_767), min_size=1, max_size=50), beyond=st.floats(1, 1e30))
def test_sixteen_bit_samples_are_sent_as_they_are_and_louder_ones_clipped(steps: list[int], beyond: float) -> None:
    samples = np.array([*(step / 32_768 for step in steps), beyond, -beyond], np.float32)

    with wave.open(io.BytesIO(wav_bytes(samples))) as file:
        sent = np.frombuffer(file.readframes(file.getnframes()), "<i2")

    assert sent.tolist() == [*steps, 32_767, -32_768]


@pytest.mark.parametrize(
    ("owner", "penalty", "further"),
    [("vllm", 1.0, {"repetition_penalty": 1.0}), ("somebody", 1.0, {}), ("somebody", 1.1, {"repetition_penalty": 1.1})],
    ids=["vllm", "another", "another, in use"],
)
def test_a_request_says_everything_about_decoding_that_its_server_understands(
    server: ChatServer, make: Make, ask: Ask, owner: str, penalty: float, further: dict[str, float]
) -> None:
    server.models = listed(MODEL, owner=owner)

    backend = make(generation=Generation(max_new_tokens=77, repetition_penalty=penalty))
    backend.answer([ask()])

    (asked,) = server.asked
    fields = {"max_tokens": 77, "temperature": 0.0} | further
    assert {name: value for name, value in asked.body.items() if name != "messages"} == {"model": MODEL} | fields
    assert [turn["role"] for turn in asked.body["messages"]] == ["user"]
    assert backend.effective()["request"] == fields
    assert bool(backend.effective()["warnings"]) == (owner != "vllm")


def test_a_sampled_question_has_a_seed_of_its_own_that_its_neighbours_do_not_change(
    server: ChatServer, make: Make, questions: list[Question]
) -> None:
    generation = Generation(do_sample=True, temperature=0.7, top_p=0.9, top_k=20, seed=3)

    make(generation=generation).answer(questions)
    together = {asked.prompt + str(asked.samples.size): asked.body for asked in server.asked}
    server.asked.clear()
    make(generation=generation).answer(questions[-1:])

    (alone,) = server.asked
    assert len({body["seed"] for body in together.values()}) == len(questions)
    assert alone.body["seed"] == together[alone.prompt + str(alone.samples.size)]["seed"]
    assert [alone.body[name] for name in ("temperature", "top_p", "top_k")] == [0.7, 0.9, 20]


def test_what_sampling_leaves_open_is_switched_off_and_not_left_to_the_checkpoint(
    server: ChatServer, make: Make, ask: Ask
) -> None:
    server.models = listed(MODEL, owner="vllm")

    make(generation=Generation(do_sample=True, seed=3)).answer([ask()])

    assert [server.asked[0].body[name] for name in ("temperature", "top_p", "top_k")] == [1.0, 1.0, -1]


def test_clips_are_brought_within_the_limits_of_the_card(server: ChatServer, make: Make, ask: Ask) -> None:
    card = model_card(audio=AudioLimits(max_s=0.5, min_s=0.1))

    responses = make(card, concurrency=1).answer([ask(0.05), ask(0.3), ask(0.8)])

    assert [asked.samples.size for asked in server.asked] == [1_600, 4_800, 8_000]
    assert [response.audio_handling for response in responses] == ["padded", None, "truncated"]


def test_a_clip_that_cannot_be_sent_is_a_permanent_error_and_is_not_asked_about(
    server: ChatServer, make: Make, ask: Ask
) -> None:
    def broken() -> Any:
        raise AudioError("clip.wav", "cannot be decoded")

    card = model_card(audio=AudioLimits(max_s=0.5, beyond="error"))
    responses = make(card).answer([ask(0.8), ask(0.2), ask(0.3, load_audio=broken)])

    assert [response.error_kind for response in responses] == ["permanent", None, "permanent"]
    assert len(server.asked) == 1


def test_a_clip_is_decoded_once_for_all_questions_about_it(make: Make, ask: Ask) -> None:
    loads = []

    def load() -> Any:
        loads.append(1)
        return np.zeros(1_600, np.float32)

    make().answer([ask(prompt=prompt, load_audio=load) for prompt in ("one", "two", "three")])

    assert len(loads) == 1


# --- what comes back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "text", "finish"),
    [
        (said("FINAL LABEL: Sad"), "FINAL LABEL: Sad", "stop"),
        (said("FINAL LAB", finish="length"), "FINAL LAB", "length"),
        (said("", finish="stop"), "", "stop"),
        (said(None, finish="content_filter"), "", "stop"),
        (said("  \ud83d\n"), "  \ud83d\n", "stop"),
        (said("Sad", finish=None), "Sad", "stop"),
        (said(choices=[{"message": {"content": None, "refusal": "I cannot."}}]), "I cannot.", "stop"),
        (said(choices=[{"message": {"content": [{"type": "text", "text": "Sad"}, 3]}}]), "Sad", "stop"),
        (said(choices=[{"message": {}}], usage=None), "", "stop"),
    ],
    ids=["stop", "length", "empty", "filtered", "as it is", "no reason", "refusal", "parts", "bare"],
)
def test_any_answer_is_data(server: ChatServer, make: Make, ask: Ask, reply: Reply, text: str, finish: str) -> None:
    server.answer = lambda asked: reply

    (response,) = make().answer([ask()])

    assert (response.text, response.finish, response.error) == (text, finish, None)
    assert len(server.asked) == 1


def test_answers_keep_the_order_of_the_questions_though_they_come_in_reverse(
    server: ChatServer, make: Make, questions: list[Question]
) -> None:
    done = [threading.Event() for _ in range(len(questions) + 1)]
    done[-1].set()

    def last_first(asked: Asked) -> Reply:
        done[asked.number + 1].wait()
        return said(f"{asked.prompt} {asked.samples.size}")

    def answer(asked: Asked) -> Reply:
        reply = last_first(asked)
        done[asked.number].set()
        return reply

    server.answer = answer
    responses = make(concurrency=len(questions)).answer(questions)

    assert [response.request_id for response in responses] == [question.request_id for question in questions]
    assert [response.text for response in responses] == [
        f"{question.prompt} {question.load_audio().size}" for question in questions
    ]


def test_as_many_questions_are_asked_at_a_time_as_allowed_and_never_more(
    server: ChatServer, make: Make, ask: Ask
) -> None:
    three = threading.Barrier(3)

    def answer(asked: Asked) -> Reply:
        three.wait()
        return said()

    server.answer = answer
    make(concurrency=3).answer([ask(0.2, str(number)) for number in range(12)])

    assert server.most_at_once == 3


def test_tokens_are_recorded_with_each_answer_and_summed_with_what_they_cost(
    server: ChatServer, make: Make, questions: list[Question]
) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"audio_tokens": 80}}
    server.answer = faulty(said(usage={"prompt_tokens": -1}), then=lambda asked: said(usage=usage))

    backend = make(price="2,30,10", concurrency=1)
    responses = backend.answer(questions)

    assert [(response.n_prompt_tokens, response.n_new_tokens) for response in responses[:2]] == [(None, None), (100, 5)]
    assert all(response.latency_s for response in responses)
    assert backend.effective()["usage"] == {
        "n_answers": 6,
        "n_prompt_tokens": 500,
        "n_audio_tokens": 400,
        "n_new_tokens": 25,
        "prices_per_million": {"prompt": 2.0, "audio": 30.0, "answer": 10.0},
        "cost": pytest.approx((100 * 2 + 400 * 30 + 25 * 10) / 1e6),
        "n_answers_without_cost": 1,
    }


def test_a_cost_is_not_made_up_where_audio_has_a_price_and_is_not_counted(
    server: ChatServer, make: Make, ask: Ask
) -> None:
    unsplit, flat = make(price="2,30,10"), make(price="2,2,10")
    for backend in (unsplit, flat):
        backend.answer([ask()])

    assert (unsplit.effective()["usage"]["cost"], unsplit.effective()["usage"]["n_answers_without_cost"]) == (0.0, 1)
    assert flat.effective()["usage"]["cost"] == pytest.approx((100 * 2 + 5 * 10) / 1e6)


def test_what_the_server_says_it_runs_is_in_the_effective_settings(
    server: ChatServer, make: Make, questions: list[Question]
) -> None:
    server.answer = lambda asked: said(model=f"listener-{asked.number % 2}", system_fingerprint="fp_1")

    backend = make()
    assert backend.effective()["models_echoed"] == []
    backend.answer(questions)

    assert backend.effective()["models_echoed"] == ["listener-0", "listener-1"]
    assert backend.effective()["system_fingerprints"] == ["fp_1"]
    assert backend.effective()["owned_by"] == "somebody"


def test_the_time_goes_to_the_server_and_is_told(make: Make, questions: list[Question]) -> None:
    backend = make()
    assert backend.stages_s == {}

    backend.answer(questions)

    assert [*backend.stages_s] == [SERVED]
    assert backend.stages_s[SERVED] > 0


def test_a_call_from_within_a_running_event_loop_is_answered_too(make: Make, ask: Ask) -> None:
    async def notebook_cell() -> str:
        return make().answer([ask()])[0].text

    # In a thread of its own: other tests' browsers leave a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(lambda: asyncio.run(notebook_cell())).result() == "FINAL LABEL: Angry"


# --- faults that pass --------------------------------------------------------------------------------------------

PASSING = {
    "429": refused(429, "slow down"),
    "500": refused(500),
    "503 without a word": Reply(b"", 503),
    "408": refused(408),
    "dropped before the answer": Reply(b"", cut=-1),
    "dropped within the answer": Reply(said().body, cut=20),
    "broken JSON": Reply(b'{"choices": [{"mess'),
    "nested without end": Reply(b"[" * 100_000),
    "no object": Reply(b"[]"),
    "no JSON": Reply(b"<html>busy</html>", headers={"Content-Type": "text/html"}),
    "no choice": said(choices=[]),
    "no message": said(choices=[{"finish_reason": "stop"}]),
    "no text": said(choices=[{"message": {"content": {"a": 1}}}]),
    "an error that says it is a success": Reply(b'{"error": {"message": "upstream is busy"}}'),
    "broken off": said("FINAL", finish="abort"),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_question_is_asked_again_after_a_fault_that_passes(
    server: ChatServer, make: Make, ask: Ask, clock: TurnedClock, fault: Reply
) -> None:
    server.answer = faulty(fault)

    (response,) = make().answer([ask()])

    assert (response.text, response.error, response.attempt) == ("FINAL LABEL: Angry", None, 2)
    assert len(server.asked) == 2
    assert clock.waits == [1.0]


@pytest.mark.parametrize("trickles", [False, True], ids=["silent", "one byte now and then"])
def test_a_question_that_takes_too_long_is_asked_again(
    server: ChatServer, make: Make, ask: Ask, trickles: bool
) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.number == 0:
            if trickles:
                return Reply(said().body, n_blanks=40)
            server.closing.wait()
        return said()

    server.answer = answer
    (response,) = make(timeout_s=0.3).answer([ask()])

    assert (response.text, response.attempt) == ("FINAL LABEL: Angry", 2)


def test_waits_grow_until_the_question_is_left_open(
    server: ChatServer, make: Make, ask: Ask, clock: TurnedClock
) -> None:
    server.answer = lambda asked: refused(503, "overloaded")

    (response,) = make().answer([ask()])

    assert (response.finish, response.error_kind, response.attempt) == ("error", "transient", 6)
    assert response.error == "HTTP 503: overloaded"
    assert clock.waits == [1.0, 2.0, 4.0, 8.0, 16.0]


@given(attempt=st.integers(1, 60), draw=st.floats(0, 1, exclude_max=True))
def test_a_wait_is_spread_around_its_middle_and_never_longer_than_the_longest(attempt: int, draw: float) -> None:
    wait_s = Backoff(first_s=1.0, longest_s=60.0, draw=lambda: draw).wait_s(attempt)

    assert min(2.0 ** (attempt - 1) / 2, 60.0) <= wait_s <= min(2.0 ** (attempt - 1) * 1.5, 60.0)


def test_a_server_that_asks_for_a_pause_is_left_alone_by_every_question(
    server: ChatServer, make: Make, questions: list[Question], clock: TurnedClock
) -> None:
    times = []

    def answer(asked: Asked) -> Reply:
        times.append(clock.now_s)
        if asked.number == 1:
            return refused(429, "slow down", Retry_After="7")
        if asked.number == 0:
            # Its place would be free at once, and must not be taken within the pause.
            clock.waited.wait()
        return said()

    server.answer = answer
    responses = make(concurrency=2).answer(questions)

    assert [response.error for response in responses] == [None] * 6
    assert [time_s for time_s in times if time_s < 7.0] == [0.0, 0.0]


def test_a_pause_longer_than_the_longest_wait_ends_the_call(
    server: ChatServer, make: Make, questions: list[Question], clock: TurnedClock
) -> None:
    server.answer = lambda asked: refused(429, "daily limit", Retry_After="3600")

    with pytest.raises(BackendError, match=r"HTTP 429: daily limit.*left alone for 3600 s"):
        make(concurrency=1).answer(questions)

    assert (len(server.asked), clock.waits) == (1, [])


def test_nothing_is_lost_and_nothing_is_asked_again_once_answered_whatever_goes_wrong(
    server: ChatServer, make: Make, ask: Ask
) -> None:
    draws, lock = random.Random(1), threading.Lock()
    faults = [*PASSING.values(), *[None] * len(PASSING)]

    def answer(asked: Asked) -> Reply:
        with lock:
            fault = draws.choice(faults)
        return fault or said(f"answer to {asked.prompt}")

    server.answer = answer
    questions = [ask(0.2, f"question {number}") for number in range(60)]
    responses = make(backoff=TurnedClock().backoff(attempts=40)).answer(questions)

    assert [response.text for response in responses] == [f"answer to {question.prompt}" for question in questions]
    assert [response.attempt for response in responses] == [asked_prompts(server)[q.prompt] for q in questions]
    whole = [asked.prompt for asked in server.delivered if asked is last_asked(server, asked.prompt)]
    assert sorted(whole) == sorted(question.prompt for question in questions)


def last_asked(server: ChatServer, prompt: str) -> Asked:
    return [asked for asked in server.asked if asked.prompt == prompt][-1]


# --- faults that do not pass -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_question_that_the_server_refuses_is_settled_and_those_beside_it_are_answered(
    server: ChatServer, make: Make, questions: list[Question], status: int
) -> None:
    server.answer = lambda asked: refused(status, "clip too\n long") if asked.prompt == "two" else said()

    responses = make().answer(questions)

    assert [response.error for response in responses] == [None, f"HTTP {status}: clip too long", None] * 2
    assert {response.error_kind for response in responses if response.error} == {"permanent"}
    assert asked_prompts(server)["two"] == 2


def test_where_every_question_is_refused_but_silence_is_not_the_questions_are_to_blame(
    server: ChatServer, make: Make, questions: list[Question]
) -> None:
    server.answer = lambda asked: said() if not asked.samples.any() else refused(400, "too loud")

    responses = make().answer(questions)

    assert {(response.error, response.error_kind) for response in responses} == {("HTTP 400: too loud", "permanent")}


def test_where_silence_is_refused_too_no_question_is_settled(
    server: ChatServer, make: Make, questions: list[Question]
) -> None:
    server.answer = lambda asked: refused(400, "At most 0 audio(s) may be provided")

    with pytest.raises(BackendError, match=r"refused every question so far \(HTTP 400: At most 0 audio.*silence too"):
        make().answer(questions)


def test_where_the_server_takes_no_more_questions_silence_settles_nothing_either(
    server: ChatServer, make: Make, ask: Ask
) -> None:
    server.answer = lambda asked: refused(400) if asked.samples.any() else refused(401)

    with pytest.raises(BackendError, match="HTTP 401"):
        make().answer([ask()])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "too\\nlong"}}', "HTTP 400: too long"),
        (b'{"error": "too long"}', "HTTP 400: too long"),
        (b'{"message": "too long"}', "HTTP 400: too long"),
        (b'{"detail": [{"loc": ["body"]}]}', 'HTTP 400: [{"loc": ["body"]}]'),
        (b'{"error": ["too long"]}', "HTTP 400"),
        (b"<html>too long</html>", "HTTP 400"),
        (b"", "HTTP 400"),
    ],
)
def test_what_a_server_says_of_an_error_is_kept_in_whichever_form_it_says_it(
    server: ChatServer, make: Make, ask: Ask, body: bytes, words: str
) -> None:
    server.answer = lambda asked: Reply(body, 400) if asked.prompt == "bad" else said()

    _, response = make().answer([ask(), ask(prompt="bad")])

    assert response.error == words


def test_silence_is_not_asked_about_where_something_was_answered_before(
    server: ChatServer, make: Make, ask: Ask
) -> None:
    server.answer = lambda asked: refused(400) if asked.prompt == "bad" else said()
    backend = make()
    backend.answer([ask(prompt="good")])

    (response,) = backend.answer([ask(prompt="bad")])

    assert response.error_kind == "permanent"
    assert len(server.asked) == 2


HOPELESS = {
    401: "environment variable OPENAI_API_KEY is missing or not the right one",
    402: "no credit left",
    403: "may not use 'toy/listener'",
    404: "does not serve 'toy/listener'.*it lists 'other/model'",
    405: "not what comes before /chat/completions",
    307: "another address. Give that one, if you trust it",
}


@pytest.mark.parametrize(("status", "advice"), HOPELESS.items(), ids=map(str, HOPELESS))
def test_what_no_question_can_help_ends_the_call_at_once_and_says_what_to_do(
    server: ChatServer, make: Make, questions: list[Question], clock: TurnedClock, status: int, advice: str
) -> None:
    server.models = listed("other/model")
    server.answer = lambda asked: refused(status, Location="http://127.0.0.1:1/v1")

    with pytest.raises(BackendError, match=rf"(?s){server.url} gives no answer now: HTTP {status}.*{advice}"):
        make(concurrency=1).answer(questions)

    assert (len(server.asked), clock.waits) == (1, [])


def test_a_used_up_quota_is_not_waited_for(server: ChatServer, make: Make, ask: Ask) -> None:
    server.answer = lambda asked: refused(429, "You exceeded your current quota", "insufficient_quota")

    with pytest.raises(BackendError, match="limit is used up"):
        make().answer([ask()])

    assert len(server.asked) == 1


def test_answers_that_came_before_the_end_are_kept_and_the_rest_is_left_open(
    server: ChatServer, make: Make, questions: list[Question]
) -> None:
    server.answer = lambda asked: said() if asked.number < 2 else refused(401, "key expired")
    backend = make(concurrency=1)

    responses = backend.answer(questions)

    assert [response.error for response in responses] == [None, None, "HTTP 401", *["not asked: HTTP 401"] * 3]
    assert {response.error_kind for response in responses[2:]} == {"transient"}
    assert [response.attempt for response in responses] == [1, 1, 1, 0, 0, 0]
    with pytest.raises(BackendError, match="HTTP 401"):
        backend.answer(questions[2:])


def test_a_server_that_is_gone_is_given_up_before_every_question_was_tried(
    server: ChatServer, make: Make, ask: Ask
) -> None:
    server.answer = lambda asked: said() if asked.number == 0 else Reply(b"", cut=-1)
    backend = make(concurrency=1)

    responses = backend.answer([ask(0.2, str(number)) for number in range(20)])

    assert [response.error is None for response in responses] == [True, *[False] * 19]
    assert {response.error_kind for response in responses[1:]} == {"transient"}
    assert len(server.asked) == 1 + 5 * 6
    with pytest.raises(BackendError, match="See whether the server still runs"):
        backend.answer([ask(0.2, "later")])


def test_no_server_at_the_address_is_said_at_once_with_what_to_start() -> None:
    address = f"http://127.0.0.1:{free_port()}/v1"

    with pytest.raises(
        BackendError, match=rf"No server answers at {address}.*api_server --model toy/listener.*--base-url"
    ):
        EndpointBackend(model_card(), Generation(), base_url=address)


@pytest.mark.parametrize(
    "models", [refused(403, "not allowed to list"), Reply(b"no list"), Reply(b'{"data": [1, {"id": 2}]}')]
)
def test_a_server_that_lists_no_models_is_asked_all_the_same(
    server: ChatServer, make: Make, ask: Ask, models: Reply
) -> None:
    server.models = models

    assert make().answer([ask()])[0].text == "FINAL LABEL: Angry"


# --- what cannot be asked for ------------------------------------------------------------------------------------


def test_the_likelihood_form_is_refused(server: ChatServer, make: Make, ask: Ask) -> None:
    with pytest.raises(BackendError, match="Ask that form of a local model"):
        make().answer([ask(form="likelihood")])

    assert server.asked == []


@pytest.mark.parametrize(
    ("card", "generation", "options", "message"),
    [
        (model_card(), Generation(do_sample=True), {}, "without a seed"),
        (model_card(), Generation(num_beams=4), {}, "without beam search; asked for were 4"),
        (model_card(repository=None), Generation(), {}, "names no repository"),
        (model_card(), Generation(), {"concurrency": 0}, "concurrency of 0"),
        (model_card(), Generation(), {"timeout_s": 0}, "and 0 s"),
        (model_card(), Generation(), {"price": "2.5"}, "'2.5' is no price. Give three numbers"),
        (model_card(), Generation(), {"price": "1,nan,2"}, "is no price"),
        (model_card(), Generation(), {"base_url": None}, "Give --base-url, or set VOXEMO_ENDPOINT"),
        (model_card(), Generation(), {"base_url": "localhost:8000"}, "'localhost:8000' is no address"),
        (model_card(), Generation(), {"base_url": "http://host:70000/v1"}, "is no address"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_asked(
    server: ChatServer, make: Make, card: ModelCard, generation: Generation, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BackendError, match=message):
        make(card, generation, **options)


def test_without_the_client_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    for name in ("server", "engine"):
        monkeypatch.delitem(sys.modules, f"voxemo.backends.endpoint.{name}")

    with pytest.raises(MissingDependency, match="extra 'serve'"):
        create_backend(model_card(), Generation())


def test_the_address_may_come_from_the_environment(
    server: ChatServer, make: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXEMO_ENDPOINT", server.url + "/")

    assert make(base_url=None).answer([ask()])[0].error is None


# --- keys and addresses ------------------------------------------------------------------------------------------


def test_the_key_of_the_environment_is_sent_and_without_one_none_is(
    server: ChatServer, make: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    make().answer([ask()])
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    make().answer([ask()])
    make(key_variable="ANOTHER_KEY").answer([ask()])

    assert [asked.headers.get("authorization") for asked in server.asked] == [None, f"Bearer {KEY}", None]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 200])
def test_a_key_that_the_server_repeats_is_in_no_message_error_or_log(
    server: ChatServer,
    make: Make,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    # So many characters first that a cut at 200 would leave half of the key.
    server.answer = lambda asked: refused(status, f"{'x' * 180} {asked.headers['authorization']} {KEY}")
    seen = []

    with caplog.at_level(logging.DEBUG):
        backend = make()
        try:
            seen += [repr(response) for response in backend.answer([ask()])]
        except BackendError as error:
            seen += traceback.format_exception(error)
    seen += [json.dumps(dict(backend.effective())), repr(backend), caplog.text]

    assert len(server.asked) >= 1
    assert not [text for text in seen if KEY[:9] in text]


def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nsecond-line")

    with pytest.raises(BackendError, match="OPENAI_API_KEY is no key") as refusal:
        make()

    assert KEY not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize(
    "address", [f"https://me:{KEY}@host/v1", f"https://{KEY}@host/v1", f"https://host/v1?key={KEY}", f"//[{KEY}@"]
)
def test_an_address_with_a_secret_in_it_is_refused_without_showing_it(make: Make, address: str) -> None:
    with pytest.raises(BackendError, match="a key is read from the environment") as refusal:
        make(base_url=address)

    assert KEY not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://api.openai.com/v1", "api.openai.com"),
        ("https://8.8.8.8:444/v1", "8.8.8.8"),
        ("http://127.0.0.1:8000/v1", HIDDEN_HOST),
        ("http://localhost:8000/v1", HIDDEN_HOST),
        ("http://gpu-17:8000/v1", HIDDEN_HOST),
        ("http://gpu-17.cluster.local/v1", HIDDEN_HOST),
        ("http://[fd00::1]:8000/v1", HIDDEN_HOST),
    ],
)
def test_a_run_names_public_hosts_only(address: str, shown: str) -> None:
    assert shown_host(address) == shown


# --- a whole run -------------------------------------------------------------------------------------------------


def plan(workspace: Workspace, card: ModelCard) -> Path:
    """A planned run of 40 requests: four clips, five prompts, both forms."""
    folder = workspace.root.parent
    fields = card.model_dump(mode="json", exclude_none=True, exclude={"audio", "sources", "known_issues"})
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())
    (folder / "listener.toml").write_text(lines, encoding="utf-8")
    options = PlanOptions(folds=("1",), limit=4)
    return plan_run(workspace, folder / "runs", corpus="toy", model=str(folder / "listener.toml"), options=options)


@pytest.fixture
def run(workspace: Workspace) -> Path:
    return plan(workspace, model_card())


def test_a_run_through_every_fault_answers_each_request_once_and_keeps_the_key_out_of_its_files(
    server: ChatServer, workspace: Workspace, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    faults, lock = [*PASSING.values(), refused(500, KEY), Reply(KEY.encode(), cut=10)], threading.Lock()

    def answer(asked: Asked) -> Reply:
        with lock:
            fault = faults.pop() if faults and asked.number % 2 else None
        return fault or said(f"FINAL LABEL: {asked.samples.sum()}", system_fingerprint="fp_7")

    server.answer = answer
    clocks = []

    def make_backend(card: ModelCard, generation: Generation, **options: Any) -> EndpointBackend:
        clocks.append(TurnedClock())
        return EndpointBackend(card, generation, backoff=clocks[-1].backoff(attempts=30), **options)

    options = {"base_url": server.url, "concurrency": 3, "price": "1,1,2"}
    first = infer_run(workspace, run, backend_options=options, make_backend=make_backend)
    n_asked = len(server.asked)
    second = infer_run(workspace, run, backend_options=options, make_backend=make_backend)
    parse_run(run)

    assert (first.n_answered, first.n_pending, first.transient) == (first.n_planned, 0, ())
    assert (second.n_answered, len(server.asked)) == (0, n_asked)
    journal = read_journal(RunPaths(run).responses)
    assert journal.n_duplicates == 0
    assert sum(response.attempt for response in journal.responses.values()) == n_asked
    (worker,) = [read_json(path) for path in RunPaths(run).workers.glob("*.json")]
    assert worker["effective"]["system_fingerprints"] == ["fp_7"]
    assert worker["effective"]["usage"]["n_answers"] == first.n_planned
    assert worker["effective"]["usage"]["cost"] == pytest.approx(first.n_planned * (100 + 2 * 5) / 1e6)
    files = [path for folder in (run, workspace.root) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        assert KEY.encode() not in content
        assert server.url.encode() not in content


def test_a_run_that_was_cut_short_by_a_wrong_key_goes_on_where_it_stopped(
    server: ChatServer, workspace: Workspace, run: Path, clock: TurnedClock
) -> None:
    def make_backend(card: ModelCard, generation: Generation, **options: Any) -> EndpointBackend:
        return EndpointBackend(card, generation, base_url=server.url, concurrency=1, backoff=clock.backoff())

    server.answer = lambda asked: said() if asked.number < 13 else refused(401)
    with pytest.raises(BackendError, match="HTTP 401"):
        infer_run(workspace, run, make_backend=make_backend)
    (worker,) = [read_json(path) for path in RunPaths(run).workers.glob("*.json")]
    server.answer = lambda asked: said()
    result = infer_run(workspace, run, make_backend=make_backend)

    assert worker["effective"]["usage"]["n_answers"] == 13
    assert (result.n_before, result.n_answered, result.n_pending) == (13, result.n_planned - 13, 0)


def test_the_name_of_a_served_model_is_no_folder_though_one_is_called_so(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / MODEL).mkdir(parents=True)

    manifest = read_manifest(plan(workspace, model_card()))

    assert manifest.model_cards["all"].repository == MODEL


def test_a_served_model_called_by_a_path_is_refused_since_runs_hold_no_paths(workspace: Workspace) -> None:
    with pytest.raises(RunError, match="--served-model-name"):
        plan(workspace, model_card(repository="/models/listener"))


# --- the guide ---------------------------------------------------------------------------------------------------

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "served-models.md"


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL))
def test_the_cards_of_the_guide_are_cards_of_this_backend(
    make: Make, server: ChatServer, ask: Ask, example: str
) -> None:
    card = ModelCard(**tomllib.loads(example))

    assert card.backend == "endpoint"
    assert make(card).answer([ask()])[0].error is None
    assert server.asked[0].body["model"] == card.repository
