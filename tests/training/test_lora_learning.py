"""Learning on tiny random checkpoints: exact losses and gradients, however a batch is divided, and after any stop."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from schools import PROMPT, Load, School, make_school
from tiny_checkpoints import tiny_card
from voxemo.backends.local.adapters import TARGET_MODULES
from voxemo.backends.local.loading import load_model, render_chat
from voxemo.core.errors import TrainingError
from voxemo.training.dropout import RowDropout, Rows
from voxemo.training.lessons import Lesson
from voxemo.training.loop import Learner, Pace, Validation, is_best, train_adapter
from voxemo.training.lora import LoraRecipe
from voxemo.training.processes import Processes
from voxemo.training.state import Epoch, TrainingState

CLOSE = {"atol": 2e-6, "rtol": 2e-5}
"""Sums of float32 in another order; losses are around 8, gradients around 0.1."""
SLOW_FIXTURE = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def target_of(school: School, lesson: Lesson) -> str:
    text: str = school.loaded.processor.tokenizer.decode(lesson.words.answer[:-1])
    return text


def plain_losses(school: School, model: Any) -> list[float]:
    """Sum of each lesson's loss by the checkpoint's own processor and forward, one lesson at a time."""
    processor = school.loaded.processor
    losses = []
    for lesson in school.lessons:
        chat = render_chat(processor, PROMPT) + target_of(school, lesson) + processor.tokenizer.eos_token
        inputs = processor(
            text=[chat], audio=[school.samples[lesson.audio_key]], sampling_rate=16_000, return_tensors="pt"
        )
        n_answer = len(lesson.words.answer)
        targets = inputs["input_ids"][0, -n_answer:]
        with torch.no_grad():
            logits = model(**inputs).logits[0, -n_answer - 1 : -1]
        losses.append(float(functional.cross_entropy(logits.float(), targets, reduction="sum")))
    return losses


def gradients(
    school: School, lessons: Sequence[Lesson], *, size: int, dropout: float = 0.0, checkpointing: bool = False
) -> tuple[float, dict[str, torch.Tensor]]:
    adapter = school.adapter(acts=True)
    pace = Pace(micro_batch_size=size, gradient_checkpointing=checkpointing)
    learner = Learner(adapter, school.embeddings, dropout=dropout, pace=pace)
    n_tokens = sum(len(lesson.words.answer) for lesson in lessons)
    seeds = [1000 + school.lessons.index(lesson) for lesson in lessons]
    loss = learner.add_gradients(lessons, seeds=seeds, n_answer_tokens=n_tokens)
    found = {name: p.grad.clone() for name, p in adapter.parameters.items() if p.grad is not None}
    adapter.detach()
    return loss, found


def assert_same(found: tuple[float, dict[str, torch.Tensor]], due: tuple[float, dict[str, torch.Tensor]]) -> None:
    assert found[0] == pytest.approx(due[0], rel=1e-5)
    assert found[1].keys() == due[1].keys()
    for name, gradient in due[1].items():
        torch.testing.assert_close(found[1][name], gradient, **CLOSE)


# --- exactness ---------------------------------------------------------------------------------------------------


def test_losses_are_those_of_transformers_and_peft_on_the_whole_chat(school: School) -> None:
    adapter = school.adapter(acts=True)
    learner = Learner(adapter, school.embeddings, dropout=0.5, pace=Pace(micro_batch_size=3))

    due = plain_losses(school, school.loaded.model)

    assert [learner.loss_sum([lesson]) for lesson in school.lessons] == pytest.approx(due, rel=1e-5)
    assert learner.loss_sum(school.lessons) == pytest.approx(sum(due), rel=1e-5)


# peft asks transformers by a name that is about to go.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_gradients_are_those_of_transformers_and_peft(school: School, load_tiny: Load, family_id: str) -> None:
    due = gradients(school, school.lessons, size=7)
    weights = school.adapter(acts=True).weights()
    other = make_school(load_tiny(family_id))
    model = peft.get_peft_model(other.loaded.model, peft.LoraConfig(r=4, lora_alpha=8, target_modules=TARGET_MODULES))
    peft.set_peft_model_state_dict(model, weights)
    total = sum(len(lesson.words.answer) for lesson in other.lessons)
    for lesson in other.lessons:
        processor = other.loaded.processor
        chat = render_chat(processor, PROMPT) + target_of(other, lesson) + processor.tokenizer.eos_token
        inputs = processor(
            text=[chat], audio=[other.samples[lesson.audio_key]], sampling_rate=16_000, return_tensors="pt"
        )
        n_answer = len(lesson.words.answer)
        logits = model(**inputs).logits[0, -n_answer - 1 : -1]
        loss = functional.cross_entropy(logits, inputs["input_ids"][0, -n_answer:], reduction="sum")
        (loss / total).backward()

    found = {name.replace(".default.", "."): p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert found.keys() == due[1].keys()
    for name, gradient in due[1].items():
        torch.testing.assert_close(found[name], gradient, atol=2e-5, rtol=1e-3)


@given(size=st.integers(1, 7), order=st.permutations(range(7)), dropout=st.sampled_from([0.0, 0.3]))
@SLOW_FIXTURE
def test_micro_batches_never_change_the_gradient(
    qwen_school: School, size: int, order: list[int], dropout: float
) -> None:
    whole = gradients(qwen_school, qwen_school.lessons, size=7, dropout=dropout)

    divided = gradients(qwen_school, [qwen_school.lessons[place] for place in order], size=size, dropout=dropout)

    assert_same(divided, whole)


def test_checkpointed_layers_have_the_same_gradients_with_dropout_too(school: School) -> None:
    computed: list[int] = []
    layer = school.loaded.model.model.language_model.layers[0]
    layer.mlp.register_forward_pre_hook(lambda *given: computed.append(1))
    due = gradients(school, school.lessons, size=4, dropout=0.3)
    n_plain = len(computed)

    assert_same(gradients(school, school.lessons, size=4, dropout=0.3, checkpointing=True), due)
    assert len(computed) == 3 * n_plain


def test_in_bfloat16_the_adapter_is_learned_in_float32(
    school: School, tiny_folders: dict[str, Path], family_id: str
) -> None:
    card = tiny_card(tiny_folders[family_id], family_id)
    half = make_school(load_model(card, device="cpu", dtype="bfloat16", trust_remote_code=False))
    state = train(half)

    assert all(tensor.dtype == torch.float32 for tensor in state.weights.values())
    assert half.loaded.model.lm_head.weight.dtype == torch.bfloat16
    assert state.losses == pytest.approx(train(school).losses, rel=0.05)


def test_answers_up_to_and_with_the_end_of_the_turn_are_learned(school: School) -> None:
    tokenizer = school.loaded.processor.tokenizer

    for lesson in school.lessons:
        assert lesson.words.answer[-1] == tokenizer.eos_token_id
        assert target_of(school, lesson).startswith("FINAL LABEL: ")


# --- dropout -----------------------------------------------------------------------------------------------------


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), share=st.floats(0.05, 0.9), number=st.integers(1, 300)
)
def test_what_is_dropped_of_a_row_depends_on_nothing_beside_it(lengths: list[int], share: float, number: int) -> None:
    rows = Rows()
    dropout = RowDropout(share, number=number, rows=rows)
    ones = torch.ones(len(lengths), max(lengths), 8)
    with rows.reading([(seed, length) for seed, length in enumerate(lengths)]):
        together = dropout(ones)
    for seed, length in enumerate(lengths):
        with rows.reading([(seed, length)]):
            alone = dropout(torch.ones(1, length, 8))
        assert torch.equal(together[seed, :length], alone[0])


def test_dropout_keeps_its_share_and_the_mean_and_differs_between_modules_and_rows() -> None:
    rows = Rows()
    modules = [RowDropout(0.25, number=number, rows=rows) for number in (1, 2)]
    ones = torch.ones(2, 400, 64)
    with rows.reading([(5, 400), (6, 400)]):
        first, second = (module(ones) for module in modules)

    assert float((first == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(first.mean()) == pytest.approx(1.0, abs=0.01)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    assert torch.equal(modules[0](ones), ones)


# --- the whole training ------------------------------------------------------------------------------------------

RECIPE = LoraRecipe(rank=4, alpha=8, dropout=0.1, learning_rate=5e-3, batch_size=3, n_epochs=3)


def train(school: School, **given: Any) -> TrainingState:
    adapter = school.adapter(seed=7)
    pace = Pace(micro_batch_size=given.pop("size", 2))
    learner = Learner(adapter, school.embeddings, dropout=RECIPE.dropout, pace=pace)
    try:
        return train_adapter(learner, school.lessons, given.pop("recipe", RECIPE), seed=7, **given)
    finally:
        adapter.detach()


def same_bits(one: TrainingState, other: TrainingState) -> bool:
    return one.losses == other.losses and all(torch.equal(one.weights[n], other.weights[n]) for n in other.weights)


class Killed(Exception):
    """The process is gone."""


@given(dies_at=st.integers(0, 9), every=st.integers(1, 4))
@SLOW_FIXTURE
def test_a_training_killed_after_any_step_comes_to_the_same_bits(qwen_school: School, dies_at: int, every: int) -> None:
    due = train(qwen_school)
    kept: list[bytes] = []

    def die(done: int, total: int) -> None:
        if done == dies_at and not kept_before:
            raise Killed

    kept_before: list[bytes] = []
    with pytest.raises(Killed):
        train(qwen_school, keep=lambda state: kept.append(state.to_bytes()), checkpoint_every=every, on_step=die)
    kept_before = [*kept, b""]
    state = TrainingState.from_bytes(kept[-1]) if kept else None
    resumed = train(qwen_school, state=state, checkpoint_every=every)

    assert same_bits(resumed, due)
    assert resumed.epochs == due.epochs


def test_a_training_killed_between_step_and_checkpoint_comes_to_the_same_bits(qwen_school: School) -> None:
    due = train(qwen_school)
    kept: list[bytes] = []

    def keep(state: TrainingState) -> None:
        if state.step == 5:
            raise Killed
        kept.append(state.to_bytes())

    with pytest.raises(Killed):
        train(qwen_school, keep=keep, checkpoint_every=1)
    state = TrainingState.from_bytes(kept[-1])

    assert state.step == 4
    assert same_bits(train(qwen_school, state=state), due)


def test_a_finished_training_that_is_called_again_learns_nothing_more(qwen_school: School) -> None:
    kept: list[bytes] = []
    due = train(qwen_school, keep=lambda state: kept.append(state.to_bytes()))
    again = train(qwen_school, state=TrainingState.from_bytes(kept[-1]))

    assert same_bits(again, due)


def test_the_loss_falls_and_only_the_adapter_changes(school: School) -> None:
    before = {name: p.clone() for name, p in school.loaded.model.named_parameters()}
    recipe = LoraRecipe(rank=4, alpha=8, dropout=0.0, learning_rate=2e-2, batch_size=7, n_epochs=25)
    state = train(school, recipe=recipe, size=7)

    assert state.losses[-1] < state.losses[0] / 2
    after = dict(school.loaded.model.named_parameters())
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_two_processes_that_share_batches_add_up_to_one(qwen_school: School) -> None:
    """Each share's gradient is that of its utterances alone; torchrun's own test is in tests/steps."""
    lessons = qwen_school.lessons
    n_tokens = sum(len(lesson.words.answer) for lesson in lessons)
    due = gradients(qwen_school, lessons, size=7, dropout=0.2)
    adapter = qwen_school.adapter(acts=True)
    learner = Learner(adapter, qwen_school.embeddings, dropout=0.2, pace=Pace(micro_batch_size=2))
    losses = [
        learner.add_gradients(
            lessons[rank::2], seeds=[1000 + n for n in range(rank, len(lessons), 2)], n_answer_tokens=n_tokens
        )
        for rank in range(2)
    ]
    found = {name: p.grad.clone() for name, p in adapter.parameters.items() if p.grad is not None}

    assert_same((sum(losses), found), due)


def test_a_process_without_a_share_of_the_last_batch_goes_along(qwen_school: School) -> None:
    adapter = qwen_school.adapter()
    learner = Learner(adapter, qwen_school.embeddings, dropout=0.0, pace=Pace())

    assert learner.add_gradients([], seeds=[], n_answer_tokens=5) == 0


def test_a_loss_that_is_no_number_stops_before_the_adapter_is_spoiled(qwen_school: School) -> None:
    qwen_school.embeddings["clip0"][:] = float("nan")
    kept: list[TrainingState] = []

    with pytest.raises(TrainingError, match="the loss is nan"):
        train(qwen_school, keep=kept.append, checkpoint_every=1)

    assert all(torch.isfinite(tensor).all() for state in kept for tensor in state.weights.values())


def test_nothing_to_learn_from_is_an_error(qwen_school: School) -> None:
    adapter = qwen_school.adapter()
    learner = Learner(adapter, qwen_school.embeddings, dropout=0.0, pace=Pace())

    with pytest.raises(TrainingError, match="no utterances"):
        train_adapter(learner, [], RECIPE, seed=0)


def test_a_batch_that_does_not_fit_into_memory_is_halved_and_gives_the_same_gradient(
    qwen_school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = gradients(qwen_school, qwen_school.lessons, size=7)
    sizes: list[int] = []
    plain = Learner._add

    def small(self: Learner, lessons: Sequence[Lesson], *rest: Any) -> float:
        sizes.append(len(lessons))
        if len(lessons) > 2:
            raise torch.cuda.OutOfMemoryError
        return plain(self, lessons, *rest)

    monkeypatch.setattr(Learner, "_add", small)
    assert_same(gradients(qwen_school, qwen_school.lessons, size=7), due)
    assert sizes == [7, 4, 2, 2, 2, 1]


def test_an_utterance_that_alone_does_not_fit_is_an_error_with_a_way_out(
    qwen_school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: Any) -> float:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(Learner, "_add", never)
    with pytest.raises(TrainingError, match="--gradient-checkpointing"):
        gradients(qwen_school, qwen_school.lessons, size=7)


# --- epochs ------------------------------------------------------------------------------------------------------


def test_the_best_epoch_is_kept_beside_the_last(qwen_school: School) -> None:
    uas = iter([0.25, 0.5, 0.25])
    weights: list[dict[str, torch.Tensor]] = []

    def validate() -> Validation:
        return Validation(ua=next(uas), n=7, n_failed=0)

    state = train(
        qwen_school,
        valid=qwen_school.lessons,
        validate=validate,
        keep=lambda state: weights.append(state.weights),
        checkpoint_every=1000,
    )

    assert [epoch.valid_ua for epoch in state.epochs] == [0.25, 0.5, 0.25]
    assert state.best_epoch == 2
    assert all(torch.equal(state.best[name], weights[1][name]) for name in state.best)
    assert any(not torch.equal(state.best[name], state.weights[name]) for name in state.best)


def epoch(ua: float | None, loss: float | None) -> Epoch:
    return Epoch(epoch=1, train_loss=1.0, valid_loss=loss, valid_ua=ua)


@pytest.mark.parametrize(
    ("epochs", "best"),
    [
        ([epoch(0.5, 1.0)], True),
        ([epoch(0.5, 1.0), epoch(0.4, 0.1)], False),
        ([epoch(0.5, 1.0), epoch(0.5, 0.9)], True),
        ([epoch(0.5, 1.0), epoch(0.5, 1.0)], False),
        ([epoch(None, None)], False),
    ],
    ids=["first", "worse UA", "equal UA, less loss", "all equal", "no validation"],
)
def test_the_better_epoch_has_the_higher_ua_and_of_equals_the_lower_loss(epochs: list[Epoch], best: bool) -> None:
    assert is_best(epochs) == best


def test_processes_alone_need_no_torchrun() -> None:
    tensor = torch.ones(2)
    Processes().add_up(tensor)
    Processes().wait()

    assert tensor.tolist() == [1, 1]


# --- checkpoints -------------------------------------------------------------------------------------------------


def test_a_state_comes_back_from_its_bytes(qwen_school: School) -> None:
    state = train(qwen_school)
    found = TrainingState.from_bytes(state.to_bytes())

    assert (found.step, found.losses, found.epochs) == (state.step, state.losses, state.epochs)
    for group in ("weights", "first_moments", "second_moments", "best"):
        due = getattr(state, group)
        assert getattr(found, group).keys() == due.keys()
        assert all(torch.equal(getattr(found, group)[name], due[name]) for name in due)


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\x02\0\0\0\0\0\0\0{}"], ids=["empty", "text", "another file"])
def test_a_damaged_checkpoint_is_refused(damage: bytes) -> None:
    with pytest.raises(TrainingError, match="damaged"):
        TrainingState.from_bytes(damage)
