"""Learning an adapter: one loop, whose result does not depend on how its batches are divided.

The loss is the mean cross-entropy over the answer tokens of a whole effective batch, the token that ends the turn
among them. Micro-batches and processes add up their shares of that one mean. Embeddings of the clips come from
elsewhere: the audio tower does not run here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from voxemo.backends.local.adapters import ADAPTER_NAME, Adapter
from voxemo.backends.local.memory import is_out_of_memory
from voxemo.core.errors import TrainingError
from voxemo.training.dropout import Rows, use_row_dropout, utterance_seed
from voxemo.training.lessons import Lesson
from voxemo.training.lora import LoraRecipe, batch_of_step, check_course, mixed_batch, share_of, together
from voxemo.training.processes import ALONE, Processes
from voxemo.training.state import Epoch, TrainingState


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How the work is divided on this machine; none of it changes what is learned."""

    micro_batch_size: int = 4
    """Utterances that a process reads at a time; halved where they do not fit into memory."""
    gradient_checkpointing: bool = False
    """Compute layers twice to need less memory."""
    checkpoint_every: int = 100
    """Steps between two checkpoints; every epoch ends with one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What written answers about the validation part came to."""

    ua: float
    n: int
    n_failed: int


class Validate(Protocol):
    """Asks the model as it is now."""

    def __call__(self) -> Validation:
        """Answers about the whole validation part, counted over all processes."""


class Learner:
    """A model with an adapter that learns lessons.

    Args:
        adapter: attached to the model, on its device.
        embeddings: of the clips, by the lessons' audio keys.
        dropout: share of what the adapter reads that is set to zero in training.
        pace: of this machine.
    """

    def __init__(self, adapter: Adapter, embeddings: Mapping[str, torch.Tensor], *, dropout: float, pace: Pace) -> None:
        self._adapter, self._embeddings = adapter, embeddings
        self._language_model = adapter.model.model.language_model
        self._rows: Rows = use_row_dropout(adapter.layers, dropout, ADAPTER_NAME)
        self._checkpointing = pace.gradient_checkpointing
        self._size = pace.micro_batch_size

    @property
    def parameters(self) -> Mapping[str, torch.nn.Parameter]:
        """What is learned."""
        return self._adapter.parameters

    def n_tokens(self, lesson: Lesson) -> int:
        """Length of a lesson with its audio."""
        return lesson.n_tokens(len(self._embeddings[lesson.audio_key]))

    def add_gradients(self, share: Sequence[Lesson], *, seeds: Sequence[int], n_answer_tokens: int) -> float:
        """Add this process's share of a batch to the gradients, and give its share of the loss.

        Args:
            share: lessons, the longest first; none is fine.
            seeds: of what is dropped from each.
            n_answer_tokens: of the whole batch, over all processes.
        """
        while True:
            before = [p.grad.clone() if p.grad is not None else None for p in self.parameters.values()]
            try:
                with self._checkpointed():
                    return sum(
                        self._add(
                            [share[place] for place in places], [seeds[place] for place in places], n_answer_tokens
                        )
                        for places in together(range(len(share)), size=self._size)
                    )
            except (RuntimeError, MemoryError) as cause:
                if not is_out_of_memory(cause):
                    raise
                if self._size == 1:
                    raise TrainingError(
                        "One utterance does not fit into the device's memory. Give --gradient-checkpointing, or use a "
                        "device with more free memory."
                    ) from cause
            # Outside the handler: the exception's traceback holds the tensors that did not fit.
            for parameter, gradient in zip(self.parameters.values(), before, strict=True):
                parameter.grad = gradient
            torch.cuda.empty_cache()
            self._size = (self._size + 1) // 2

    def _add(self, lessons: Sequence[Lesson], seeds: Sequence[int], n_answer_tokens: int) -> float:
        rows = [(seed, self.n_tokens(lesson)) for seed, lesson in zip(seeds, lessons, strict=True)]
        with self._rows.reading(rows), self._read_at(_places_of_answers(lessons, rows)) as places:
            loss = self._loss_sum(lessons, places) / n_answer_tokens
            loss.backward()
        return float(loss.detach())

    def loss_sum(self, lessons: Sequence[Lesson]) -> float:
        """Sum of the cross-entropy over the answer tokens of lessons, in nats, as the model is now."""
        total = 0.0
        for few in together_lessons(lessons, self._size):
            rows = [(0, self.n_tokens(lesson)) for lesson in few]
            with torch.inference_mode(), self._read_at(_places_of_answers(few, rows)) as places:
                total += float(self._loss_sum(few, places))
        return total

    def _loss_sum(self, lessons: Sequence[Lesson], places: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        model, device = self._adapter.model, self._adapter.model.device
        heard = [self._embeddings[lesson.audio_key] for lesson in lessons]
        lengths = [lesson.n_tokens(len(one)) for lesson, one in zip(lessons, heard, strict=True)]
        tokens = torch.zeros(len(lessons), max(lengths), dtype=torch.long)
        for row, (lesson, one) in enumerate(zip(lessons, heard, strict=True)):
            start = len(lesson.words.before) + len(one)
            tokens[row, : len(lesson.words.before)] = torch.tensor(lesson.words.before)
            tokens[row, start : lengths[row]] = torch.tensor(lesson.words.after + lesson.words.answer)
        with torch.no_grad():
            embeddings = model.get_input_embeddings()(tokens.to(device))
            for row, (lesson, one) in enumerate(zip(lessons, heard, strict=True)):
                start = len(lesson.words.before)
                embeddings[row, start : start + len(one)] = one.to(device, embeddings.dtype)
        # Rows are filled up on the right, where nothing that is kept can look: no mask is needed.
        hidden = self._language_model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
        targets = torch.tensor([token for lesson in lessons for token in lesson.words.answer], device=device)
        return functional.cross_entropy(model.lm_head(hidden[places]).float(), targets, reduction="sum")

    @contextmanager
    def _read_at(self, places: tuple[torch.Tensor, torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Only so many positions are read of the last layer, so that its last part computes no others.

        That part works on each position by itself.
        """
        mlp = self._language_model.layers[-1].mlp
        plain = mlp.forward

        def forward(hidden: torch.Tensor) -> torch.Tensor:
            found = torch.zeros_like(hidden)
            found[places] = plain(hidden[places])
            return found

        mlp.forward = forward
        try:
            yield places
        finally:
            del mlp.forward

    @contextmanager
    def _checkpointed(self) -> Iterator[None]:
        """Layers forget what they computed on the way, and compute it again for the gradient."""
        layers = self._language_model.layers if self._checkpointing else ()
        for layer in layers:
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
        try:
            yield
        finally:
            for layer in layers:
                del layer.forward


def _places_of_answers(lessons: Sequence[Lesson], rows: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and positions at which the next token is one of an answer."""
    lengths = [length for _, length in rows]
    answers = [len(lesson.words.answer) for lesson in lessons]
    positions = [torch.arange(length - n - 1, length - 1) for length, n in zip(lengths, answers, strict=True)]
    return torch.arange(len(lessons)).repeat_interleave(torch.tensor(answers)), torch.cat(positions)


def together_lessons(lessons: Sequence[Lesson], size: int) -> Iterator[Sequence[Lesson]]:
    """Runs of at most so many lessons."""
    return (lessons[start : start + size] for start in range(0, len(lessons), size))


def train_adapter(
    learner: Learner,
    lessons: Sequence[Lesson],
    recipe: LoraRecipe,
    *,
    seed: int,
    mixture: Sequence[tuple[int, float]] = (),
    state: TrainingState | None = None,
    keep: Callable[[TrainingState], None] = lambda state: None,
    valid: Sequence[Lesson] = (),
    validate: Validate | None = None,
    processes: Processes = ALONE,
    checkpoint_every: int = 100,
    on_step: Callable[[int, int], None] = lambda done, total: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> TrainingState:
    """Train an adapter to the end of its recipe.

    Args:
        learner: the model with its adapter.
        lessons: of the training part, in an order that is the same in every process.
        recipe: of the training.
        seed: of the order of lessons and of the dropout.
        mixture: of several corpora, whose lessons lie one after the other: (lessons, weight) of each.
        state: of an earlier call, to go on from; None to begin.
        keep: called with the state every so many steps and after each epoch.
        valid: lessons of the validation part, for its loss.
        validate: asks about the validation part; None where there is none.
        processes: that train together, each calling this function.
        checkpoint_every: steps between two calls of ``keep``.
        on_step: called with (steps done, steps in all).
        on_epoch: called after each epoch.

    Returns:
        The state after the last step; its ``best`` is that of the best epoch.

    Raises:
        TrainingError: there is nothing to learn, or the loss is no number or grows far above where it began.
    """
    if not lessons:
        raise TrainingError("There are no utterances to learn from.")
    per_epoch = recipe.steps(len(lessons))
    n_steps = per_epoch * recipe.n_epochs
    lengths = [learner.n_tokens(lesson) for lesson in lessons]
    parameters = learner.parameters
    optimiser = torch.optim.AdamW(
        parameters.values(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, foreach=False
    )
    if state is None:
        state = TrainingState(weights={name: p.detach().cpu().clone() for name, p in parameters.items()})
    _take_up(state, parameters, optimiser)
    on_step(state.step, n_steps)
    while state.step < n_steps:
        step = state.step
        if mixture:
            sizes, weights = [size for size, _ in mixture], [weight for _, weight in mixture]
            batch = mixed_batch(step, sizes=sizes, weights=weights, recipe=recipe, seed=seed)
        else:
            batch = batch_of_step(step, n_utterances=len(lessons), recipe=recipe, seed=seed)
        own = share_of(batch, lengths, rank=processes.rank, n_processes=processes.size)
        optimiser.zero_grad()
        loss = learner.add_gradients(
            [lessons[index] for index in own],
            seeds=[utterance_seed(seed, step, lessons[index].utterance_id) for index in own],
            n_answer_tokens=sum(len(lessons[index].words.answer) for index in batch),
        )
        state.losses.append(_add_up(parameters, loss, processes))
        gradient = torch.nn.utils.clip_grad_norm_(parameters.values(), recipe.largest_gradient, foreach=False)
        check_course(state.losses, float(gradient))
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate(step, n_steps=n_steps)
        optimiser.step()
        state.step += 1
        if state.step % per_epoch == 0:
            epoch = _end_of_epoch(learner, state, per_epoch, valid, validate, processes)
            state.epochs.append(epoch)
            if is_best(state.epochs):
                state.best, state.best_epoch = _copies(parameters), epoch.epoch
            on_epoch(epoch)
        if state.step % per_epoch == 0 or state.step % checkpoint_every == 0:
            _put_down(state, parameters, optimiser)
            keep(state)
        on_step(state.step, n_steps)
    return state


def is_best(epochs: Sequence[Epoch]) -> bool:
    """Whether the last epoch is better than all before: by validation UA, of equals by validation loss.

    False where nothing was validated.
    """

    def rank(epoch: Epoch) -> tuple[float, float]:
        return -(epoch.valid_ua or 0.0), epoch.valid_loss or 0.0

    *before, last = epochs
    return last.valid_ua is not None and all(rank(last) < rank(epoch) for epoch in before)


def _take_up(state: TrainingState, parameters: Mapping[str, torch.nn.Parameter], optimiser: Any) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state.weights[name])
            if state.step:
                optimiser.state[parameter] = {
                    "step": torch.tensor(float(state.step)),
                    "exp_avg": state.first_moments[name].to(parameter),
                    "exp_avg_sq": state.second_moments[name].to(parameter),
                }


def _put_down(state: TrainingState, parameters: Mapping[str, torch.nn.Parameter], optimiser: Any) -> None:
    state.weights = _copies(parameters)
    for kept, own in (("first_moments", "exp_avg"), ("second_moments", "exp_avg_sq")):
        moments = {name: optimiser.state[parameter][own] for name, parameter in parameters.items()}
        setattr(state, kept, {name: moment.detach().cpu().clone() for name, moment in moments.items()})


def _copies(parameters: Mapping[str, torch.nn.Parameter]) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().cpu().clone() for name, parameter in parameters.items()}


def _add_up(parameters: Mapping[str, torch.nn.Parameter], loss: float, processes: Processes) -> float:
    """Sum gradients and loss over all processes; a process without a share of the batch adds nothing."""
    for parameter in parameters.values():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters.values() if parameter.grad is not None]
    if processes.size == 1:
        return loss
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), gradients[0].new_tensor([loss])])
    processes.add_up(flat)
    for gradient, total in zip(gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(total.view_as(gradient))
    return float(flat[-1])


def _end_of_epoch(
    learner: Learner,
    state: TrainingState,
    per_epoch: int,
    valid: Sequence[Lesson],
    validate: Validate | None,
    processes: Processes,
) -> Epoch:
    last = state.losses[-per_epoch:]
    number, train_loss = state.step // per_epoch, sum(last) / len(last)
    if validate is None or not valid:
        return Epoch(epoch=number, train_loss=train_loss)
    ordered = sorted(valid, key=learner.n_tokens)
    total = torch.tensor(learner.loss_sum(ordered[processes.rank :: processes.size]), dtype=torch.float64)
    device = next(iter(learner.parameters.values())).device
    total = total.to(device)
    processes.add_up(total)
    found = validate()
    return Epoch(
        epoch=number,
        train_loss=train_loss,
        valid_loss=float(total) / sum(len(lesson.words.answer) for lesson in valid),
        valid_ua=found.ua,
        n_valid=found.n,
        n_failed=found.n_failed,
    )
