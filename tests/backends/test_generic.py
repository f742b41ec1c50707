import base64
import io
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import transformers

import plain_transformers
from tiny_checkpoints import AUDIO_LIMITS, tiny_card
from tiny_generic_checkpoints import GENERIC_BUILDERS, build_gemma3n, build_granite_speech, build_voxtral, chat_template
from voxemo.backends.base import Backend, Question, Waveform
from voxemo.backends.local import generic_loading
from voxemo.backends.local.engine import create
from voxemo.backends.local.generic import GenericBackend
from voxemo.backends.local.generic_inputs import Conversations
from voxemo.backends.local.generic_loading import EXACT_IN_BATCHES, WHOLES, WHY_ALONE, load_generic
from voxemo.catalog.lookup import model_card, model_names, prompt, prompt_names
from voxemo.core.cards import AudioLimits, ModelCard
from voxemo.core.errors import BackendError
from voxemo.core.labels import LabelSet
from voxemo.core.types import Generation, Response
from voxemo.prompts.render import render_prompt
from voxemo.testing import check_backend

SHORT = Generation(max_new_tokens=12)
SECONDS = (0.02, 0.1, 0.4, 3.0, 7.3, 12.0)
PROMPTS = tuple(
    render_prompt(*prompt(name), label_set=LabelSet(("angry", "happy", "neutral", "sad")), form=form)
    for name in prompt_names()
    for form in ("hard", "distribution")
)
MUSIC, PHI4 = "MusicFlamingoForConditionalGeneration", "Phi4MultimodalForCausalLM"

Ask = Callable[..., Question]


def generic_card(folder: Path, **changes: Any) -> ModelCard:
    return tiny_card(folder, "qwen2-audio", **{"family": "generic", "audio": AudioLimits(max_s=30.0)} | changes)


def said(responses: list[Response]) -> list[tuple[object, ...]]:
    """What must be equal between two ways of asking: everything but the time it took."""
    return [(r.request_id, r.text, r.finish, r.n_prompt_tokens, r.n_new_tokens, r.audio_handling) for r in responses]


@pytest.fixture(scope="session")
def generic_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Class to a folder with a tiny checkpoint, written when it is first asked for. Not to be changed."""
    root, written = tmp_path_factory.mktemp("generic"), {}

    def find(architecture: str) -> Path:
        if architecture not in written:
            written[architecture] = GENERIC_BUILDERS[architecture](root / architecture)
        return written[architecture]

    return find


@pytest.fixture(scope="session")
def generic_backends(generic_checkpoints: Callable[[str], Path]) -> Callable[[str], GenericBackend]:
    loaded: dict[str, Any] = {}

    def find(architecture: str) -> GenericBackend:
        if architecture not in loaded:
            card = generic_card(generic_checkpoints(architecture), architecture=architecture)
            loaded[architecture] = create(card, SHORT, batch_size=4)
        return loaded[architecture]

    return find


@pytest.fixture(params=sorted(GENERIC_BUILDERS))
def architecture(request: pytest.FixtureRequest) -> str:
    """Every class of which there is a tiny checkpoint."""
    return str(request.param)


@pytest.fixture
def folder(generic_checkpoints: Callable[[str], Path], architecture: str) -> Path:
    return generic_checkpoints(architecture)


@pytest.fixture
def backend(generic_backends: Callable[[str], GenericBackend], architecture: str) -> GenericBackend:
    return generic_backends(architecture)


@pytest.fixture
def mixed_questions(ask: Ask) -> list[Question]:
    """Two of ten prompts about each of six clips, from one that is padded to 12 s."""
    return [ask(seconds, PROMPTS[(3 * n + k) % 10]) for n, seconds in enumerate(SECONDS) for k in (0, 5)]


# --- every class -------------------------------------------------------------------------------------------------


def test_an_answer_is_what_greedy_generate_gives_by_hand(
    backend: GenericBackend, folder: Path, architecture: str, ask: Ask, noise: Callable[[float], Waveform]
) -> None:
    (response,) = backend.answer([ask(3.0, PROMPTS[0])])

    model = getattr(transformers, architecture).from_pretrained(folder).eval()
    if architecture == PHI4:
        model.load_adapter(folder / "speech-lora")
    processor = load_generic(
        generic_card(folder, architecture=architecture), device="cpu", dtype=None, trust_remote_code=False
    ).processor
    n_prompt_tokens, answer = plain_transformers.greedy_tokens(
        model, plain_transformers.chat_inputs(processor, PROMPTS[0], noise(3.0)), max_new_tokens=12
    )
    assert response.text == processor.tokenizer.decode(answer, skip_special_tokens=True)
    assert (response.n_prompt_tokens, response.n_new_tokens) == (n_prompt_tokens, len(answer))
    assert response.latency_s is not None
    assert response.latency_s > 0


def test_a_batch_of_short_and_long_clips_answers_token_for_token_as_single_questions_do(
    backend: GenericBackend, mixed_questions: list[Question]
) -> None:
    together = said(backend.answer(mixed_questions))

    assert said([backend.answer([question])[0] for question in mixed_questions]) == together
    assert said(backend.answer(mixed_questions[::-1])) == together[::-1]
    assert len({text for _, text, *_ in together}) > len(together) / 2, "answers must differ for the test to show much"


def test_answers_depend_on_what_is_heard(backend: GenericBackend, ask: Ask, noise: Callable[[float], Waveform]) -> None:
    clips = {"noise": noise(3.0), "silence": np.zeros(48_000, np.float32), "other": noise(4.0)[:48_000]}
    heard = {
        key: backend.answer([ask(3.0, text, audio_key=key, load_audio=lambda: clip) for text in PROMPTS[:4]])  # noqa: B023
        for key, clip in clips.items()
    }

    assert len({tuple(r.n_prompt_tokens for r in responses) for responses in heard.values()}) == 1
    assert len({tuple(r.text for r in responses) for responses in heard.values()}) == len(clips)


def test_it_keeps_the_contract_of_backends(backend: GenericBackend) -> None:
    assert isinstance(backend, Backend)
    check_backend(backend)


def test_a_model_in_bfloat16_is_given_features_in_bfloat16(folder: Path, architecture: str, ask: Ask) -> None:
    backend = create(generic_card(folder, architecture=architecture, dtype="bfloat16"), SHORT)

    (response,) = backend.answer([ask(1.0)])

    assert response.error is None
    assert backend.effective()["dtype"] == "bfloat16"


def test_the_record_says_what_is_in_force(backend: GenericBackend, architecture: str) -> None:
    effective = backend.effective()

    assert effective["stops_at"] == ["<|endoftext|>", "<|im_end|>"]
    alone = architecture in WHY_ALONE
    fields = ("backend", "family", "architecture", "trust_remote_code", "dtype", "device", "padding_side", "seed")
    assert [effective[field] for field in fields] == [
        "local",
        "generic",
        architecture,
        False,
        "float32",
        "cpu",
        "left",
        None,
    ]
    assert effective["batch_size"] == (1 if alone else 4)
    assert backend.questions_per_call == 10 * effective["batch_size"]
    assert [architecture in warning for warning in effective["warnings"]] == [True] * alone
    generation = effective["generation"]
    assert (generation["do_sample"], generation["repetition_penalty"], generation["temperature"]) == (False, 1.0, None)
    assert effective["prompt_frame"].startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")
    assert effective["prompt_frame"].endswith("{prompt}<|im_end|>\n<|im_start|>assistant\n")
    assert 12 <= effective["audio"]["least_tokens_per_s"] <= 25
    assert len(effective["chat_template_sha256"]) == 64
    assert json.loads(json.dumps(effective)) == effective


def test_a_class_is_exact_in_batches_or_asked_one_by_one_and_each_is_tested(architecture: str) -> None:
    assert (architecture in EXACT_IN_BATCHES) != (architecture in WHY_ALONE)
    assert EXACT_IN_BATCHES | set(WHY_ALONE) == set(GENERIC_BUILDERS)


@pytest.mark.parametrize(
    "card",
    [card for card in map(model_card, model_names()) if card.family == "generic" and card.support == "tested"],
    ids=lambda card: card.model_id,
)
def test_a_built_in_card_of_a_tested_class_runs_a_checkpoint_of_its_class(
    card: ModelCard, generic_checkpoints: Callable[[str], Path], ask: Ask
) -> None:
    card = card.model_copy(update={"repository": str(generic_checkpoints(str(card.architecture)))})

    backend = create(card, SHORT)

    (response,) = backend.answer([ask(0.02)])
    assert (response.error, response.audio_handling) == (None, "padded")
    effective = backend.effective()
    assert (effective["architecture"], effective["dtype"]) == (card.architecture, card.dtype)


def test_where_the_time_goes_is_told(backend: GenericBackend, ask: Ask) -> None:
    backend.answer([ask(0.5)])

    assert {"waiting for audio", "preparing inputs", "answering"} <= set(backend.stages_s)
    assert all(seconds > 0 for seconds in backend.stages_s.values())


# --- beside the engine -------------------------------------------------------------------------------------------


def test_the_engine_and_the_generic_family_give_the_same_answers(
    checkpoints: dict[str, Path], family_id: str, ask: Ask
) -> None:
    questions = [ask(seconds, text) for seconds in (0.02, 0.4, 3.0) for text in PROMPTS]
    questions.append(ask(31.0, PROMPTS[0]))
    card = tiny_card(checkpoints[family_id], family_id)

    by_engine = said(create(card, SHORT).answer(questions))

    generic = card.model_copy(update={"family": "generic", "audio": AUDIO_LIMITS[family_id]})
    assert said(create(generic, SHORT).answer(questions)) == by_engine
    assert said(create(generic, SHORT, batch_size=1).answer(questions[::7])) == by_engine[::7]


# --- adapters ----------------------------------------------------------------------------------------------------


def test_an_adapter_that_teaches_a_model_to_hear_is_loaded_and_recorded(
    generic_checkpoints: Callable[[str], Path], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, questions = generic_card(generic_checkpoints(PHI4)), [ask(1.0, text) for text in PROMPTS[:3]]
    with_adapter = create(card, SHORT)
    assert with_adapter.effective()["adapters"] == ["speech-lora"]
    monkeypatch.setattr(generic_loading, "ADAPTERS", {})
    assert said(create(card, SHORT).answer(questions)) != said(with_adapter.answer(questions))

    monkeypatch.setattr(generic_loading, "ADAPTERS", {PHI4: "no-such-folder"})
    with pytest.raises(BackendError, match=r"adapter 'no-such-folder' of .* cannot be loaded: .* not taught to hear"):
        create(card, SHORT)


# --- one by one --------------------------------------------------------------------------------------------------


def test_what_is_asked_one_by_one_would_answer_otherwise_in_a_batch(
    generic_backends: Callable[[str], GenericBackend],
    generic_checkpoints: Callable[[str], Path],
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    questions = [ask(seconds, PROMPTS[0]) for seconds in SECONDS]
    alone = said(generic_backends(PHI4).answer(questions))
    monkeypatch.setattr(generic_loading, "EXACT_IN_BATCHES", frozenset({PHI4}))

    together = create(generic_card(generic_checkpoints(PHI4), architecture=PHI4), SHORT)

    assert said(together.answer(questions)) != alone


def test_a_class_that_no_test_knows_is_asked_one_by_one(
    generic_checkpoints: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generic_loading, "EXACT_IN_BATCHES", frozenset())

    effective = create(generic_card(generic_checkpoints(MUSIC)), SHORT, batch_size=8).effective()

    assert effective["batch_size"] == 1
    assert effective["warnings"] == [
        f"Questions to a {MUSIC} are asked one by one: no test of ours has shown that a batch changes no answer."
    ]


def test_sampled_answers_come_again_whatever_stands_beside_them(
    generic_checkpoints: Callable[[str], Path], ask: Ask
) -> None:
    sampling = Generation(max_new_tokens=12, do_sample=True, temperature=1.5, seed=7)
    questions = [ask(seconds, text) for seconds in (0.4, 1.0) for text in PROMPTS[:2]]
    backend = create(generic_card(generic_checkpoints(MUSIC)), sampling)

    answers = said(backend.answer(questions))

    assert [said(backend.answer([question]))[0] for question in reversed(questions)] == answers[::-1]
    assert (backend.effective()["batch_size"], backend.effective()["seed"]) == (1, 7)


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "n_halved"), [(2, 3), (0, None)])
def test_a_batch_that_does_not_fit_is_halved_until_it_does(
    most: int,
    n_halved: int | None,
    generic_checkpoints: Callable[[str], Path],
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = create(generic_card(generic_checkpoints(MUSIC)), SHORT)
    questions = [ask(0.4 + n / 10, PROMPTS[0]) for n in range(7)]
    expected = said(backend.answer(questions))
    model_class = transformers.MusicFlamingoForConditionalGeneration
    generate = model_class.generate

    def limited(self: Any, **inputs: Any) -> Any:
        if len(inputs["input_ids"]) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return generate(self, **inputs)

    monkeypatch.setattr(model_class, "generate", limited)

    if n_halved is None:
        with pytest.raises(BackendError, match=r"ran out of memory on cpu with a single clip of 1\.0 s"):
            backend.answer(questions)
    else:
        assert said(backend.answer(questions)) == expected
        assert backend.effective()["batches_halved_since_loading"] == n_halved


# --- what is refused ---------------------------------------------------------------------------------------------


def test_label_likelihoods_are_refused(generic_backends: Callable[[str], GenericBackend], ask: Ask) -> None:
    with pytest.raises(BackendError, match=r"weighs no labels\. Plan the run without --form likelihood"):
        generic_backends(MUSIC).answer([ask(form="likelihood", label_answers=("Angry", "Happy"))])


def test_a_prompt_with_the_models_audio_token_is_refused(backend: GenericBackend, ask: Ask) -> None:
    placeholder = backend.effective()["prompt_frame"].split("{prompt}")[0].split("<|im_start|>user\n")[1]
    (token,) = [one for one in ("<sound>", "<|AUDIO|>", "<|audio|>", "<|audio_pad|>") if one in placeholder]

    with pytest.raises(BackendError, match=f"variant 'direct' holds .*{token.strip('<|>')}.*takes for audio"):
        backend.answer([ask(prompt=f"What does {token} mean?")])


def test_a_clip_beyond_the_cards_limit_is_cut_and_reported(
    generic_checkpoints: Callable[[str], Path], ask: Ask, noise: Callable[[float], Waveform]
) -> None:
    backend = create(generic_card(generic_checkpoints(MUSIC), audio=AudioLimits(max_s=2.0)), SHORT)

    cut, short = backend.answer([ask(3.0), ask(3.0, audio_key="beginning", load_audio=lambda: noise(3.0)[:32_000])])

    assert (cut.audio_handling, short.audio_handling) == ("truncated", None)
    assert (cut.text, cut.n_prompt_tokens) == (short.text, short.n_prompt_tokens)


@pytest.mark.parametrize("architecture", ["Gemma4ForConditionalGeneration", "Qwen2AudioForConditionalGeneration"])
def test_a_clip_that_the_processor_would_cut_in_silence_is_refused(folder: Path, ask: Ask) -> None:
    match = r"A clip of 45\.0 s gives 750 audio tokens where 1063 or more are due: .* Set audio\.max_s on the card"
    with pytest.raises(BackendError, match=match):
        create(generic_card(folder, audio=AudioLimits(max_s=45.0)), SHORT)
    unlimited = create(generic_card(folder, audio=AudioLimits()), SHORT)
    assert unlimited.answer([ask(12.0)])[0].error is None
    with pytest.raises(BackendError, match=match):
        unlimited.answer([ask(45.0)])


def test_a_card_may_not_let_clips_through_that_give_no_audio_token(generic_checkpoints: Callable[[str], Path]) -> None:
    limits = AudioLimits(max_s=30.0, min_s=0.01)

    with pytest.raises(BackendError, match=r"A clip of 0\.0 s gives 0 audio tokens where 1 or more are due"):
        create(generic_card(generic_checkpoints(MUSIC), audio=limits), SHORT)


def test_a_processor_that_drops_audio_is_refused(
    generic_checkpoints: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers.MusicFlamingoProcessor, "replace_audio_token", lambda *_, **__: "")

    with pytest.raises(BackendError, match="gives 0 audio tokens for 1 s and 0 for 31 s: the model would not hear"):
        create(generic_card(generic_checkpoints(MUSIC)), SHORT)


def test_where_every_clip_has_as_many_audio_tokens_the_features_must_grow_and_the_card_set_a_limit(
    generic_checkpoints: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers.Gemma4Processor, "replace_audio_token", lambda *_, **__: 5 * "<|audio|>")
    folder = generic_checkpoints("Gemma4ForConditionalGeneration")

    assert create(generic_card(folder), SHORT).effective()["audio"]["least_tokens_per_s"] == 0
    with pytest.raises(BackendError, match=r"hears every clip as 5 audio tokens, and .* Set audio\.max_s"):
        create(generic_card(folder, audio=AudioLimits()), SHORT)


def test_a_processor_that_pads_on_the_right_is_refused(
    generic_checkpoints: Callable[[str], Path], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = create(generic_card(generic_checkpoints(MUSIC)), SHORT)
    call = transformers.MusicFlamingoProcessor.__call__

    def pad_right(self: Any, *args: Any, **options: Any) -> Any:
        return call(self, *args, **options | {"text_kwargs": {"padding": True, "padding_side": "right"}})

    monkeypatch.setattr(transformers.MusicFlamingoProcessor, "__call__", pad_right)

    assert backend.answer([ask(1.0)])[0].error is None
    with pytest.raises(BackendError, match="pads on the right"):
        backend.answer([ask(1.0), ask(2.0)])


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('only text, please') }}", "cannot take a clip and a prompt: only text, please"),
        ("{{ messages[0]['role'] + messages[0]['content'] }}", "Its chat template must accept a user turn of audio"),
        ("{{ messages[0]['content'][1]['text'] }}<sound>", "does not put audio before the prompt"),
        ("<sound>", "does not put audio before the prompt"),
    ],
    ids=["an error of its own", "text only", "audio last", "no prompt"],
)
def test_a_chat_template_that_is_of_no_use_is_refused(template: str, message: str, tmp_path: Path) -> None:
    folder = GENERIC_BUILDERS[MUSIC](tmp_path)
    (folder / "chat_template.jinja").write_text(template)

    with pytest.raises(BackendError, match=message):
        create(generic_card(folder), SHORT)


# --- classes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", sorted(GENERIC_BUILDERS))
def test_a_card_without_a_class_takes_the_checkpoints(folder: Path, architecture: str) -> None:
    backend = create(generic_card(folder, architecture=None), SHORT)

    assert backend.effective()["architecture"] == architecture


@pytest.mark.parametrize("part", sorted(WHOLES))
def test_a_model_that_also_speaks_is_loaded_without_its_voice(
    part: str, generic_checkpoints: Callable[[str], Path]
) -> None:
    (found,) = json.loads((generic_checkpoints(part) / "config.json").read_text())["architectures"]

    assert found in WHOLES[part]
    assert create(generic_card(generic_checkpoints(part), architecture=part), SHORT).effective()["architecture"] == part


def test_a_card_that_names_another_class_than_the_checkpoint_is_refused(
    generic_checkpoints: Callable[[str], Path],
) -> None:
    with pytest.raises(BackendError, match=rf"declares the class {PHI4}, but the checkpoint .* is a {MUSIC}\. Correct"):
        create(generic_card(generic_checkpoints(MUSIC), architecture=PHI4), SHORT)


def test_a_class_that_transformers_lacks_is_refused_with_what_to_do(
    generic_checkpoints: Callable[[str], Path], tmp_path: Path
) -> None:
    config = json.loads((generic_checkpoints(MUSIC) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["UltravoxModel"]}))

    with pytest.raises(BackendError, match=r"has no class UltravoxModel, .* card of the backend 'endpoint'"):
        create(generic_card(tmp_path, architecture="UltravoxModel"), SHORT)


@pytest.mark.parametrize(
    ("build", "package", "named"),
    [(build_granite_speech, "torchaudio", "'torchaudio'"), (build_gemma3n, "timm", "'timm'")],
    ids=["Granite Speech", "Gemma 3n"],
)
def test_a_package_that_a_class_needs_is_named(
    build: Callable[[Path], Path], package: str, named: str, tmp_path: Path
) -> None:
    if find_spec(package):
        pytest.skip(f"{package} is installed")

    with pytest.raises(BackendError, match=rf"needs .*{named}, not installed here\. Install what is missing"):
        create(generic_card(build(tmp_path)), SHORT)


def test_voxtral_is_not_run_without_the_package_that_gives_it_audio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_voxtral(tmp_path)
    monkeypatch.setattr(generic_loading, "find_spec", lambda _: None)
    with pytest.raises(BackendError, match="passes no audio on without the package 'mistral-common'"):
        create(generic_card(folder), SHORT)

    # With the package, but with a tokenizer that is not the model's: nothing else would show that it is deaf.
    monkeypatch.setattr(generic_loading, "find_spec", lambda _: object())
    with pytest.raises(BackendError, match="gives 0 audio tokens for 1 s and 0 for 31 s"):
        create(generic_card(folder), SHORT)


def test_voxtral_is_given_clips_as_wav_files_in_base64(noise: Callable[[float], Waveform], tmp_path: Path) -> None:
    asked = []

    class VoxtralProcessor:
        tokenizer = transformers.AutoTokenizer.from_pretrained(build_voxtral(tmp_path))
        audio_token = "[AUDIO]"

        def apply_chat_template(self, chats: Any, **_: Any) -> Any:
            asked.extend(chats)
            return {"attention_mask": torch.ones(1, 1)}

    model = torch.nn.Module()
    model.device, model.dtype = torch.device("cpu"), torch.float32  # type: ignore[assignment]
    Conversations(model, VoxtralProcessor(), model_id="tiny").inputs([(noise(0.4), "Which emotion?")])

    ((turn,),) = asked
    file = base64.b64decode(turn["content"][0]["base64"])
    samples, rate_hz = soundfile.read(io.BytesIO(file), dtype="float32")
    assert rate_hz == 16_000
    np.testing.assert_array_equal(samples, noise(0.4))
    assert turn["content"][1] == {"type": "text", "text": "Which emotion?"}


def test_a_processor_without_an_audio_token_is_refused() -> None:
    with pytest.raises(BackendError, match="The processor of tiny is a object, which names no audio token"):
        Conversations(None, object(), model_id="tiny")


def test_a_template_that_only_the_tokenizer_has_is_used(tmp_path: Path) -> None:
    folder = GENERIC_BUILDERS[PHI4](tmp_path)
    (folder / "chat_template.jinja").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["chat_template"] = chat_template("<|audio|>")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))

    assert "<|audio|>" in create(generic_card(folder), SHORT).effective()["prompt_frame"]
