"""Greedy answers to many questions at a time: a row for each, taken by the next question as soon as its answer ends.

Token for token what plain ``generate`` gives in float32; what stands in the other rows decides nothing.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any, Generic, TypeVar

import torch

from voxemo.backends.local.slots import Slots

REFILL_SHARE = 4
"""Rows are refilled when one in so many is free: reading a few prompts at a time would hold up all others."""
STEPS_UNSEEN = 8
"""Tokens that a GPU writes between two looks at what has ended; looking makes it wait."""

Item = TypeVar("Item")


@dataclass(slots=True, eq=False)
class Answer(Generic[Item]):
    """An answer while it is written."""

    item: Item
    tokens: list[int] = field(default_factory=list)
    seconds: float = 0.0
    """Its share of the time that reading its prompt and writing took."""


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Prompts that were read: one row each."""

    cache: Any
    """Padded on the left."""
    mask: torch.Tensor
    """Shape (n_rows, n_tokens)."""
    hidden: torch.Tensor
    """Output of the last layer at the last token, shape (n_rows, width)."""


class RowDecoder(Generic[Item]):
    """Writes answers with a language model.

    Args:
        model: of a class with a language model and ``lm_head``.
        n_rows: answers written at a time.
        stop_ids: tokens that end an answer.
        max_new_tokens: longest answer, its stop token counted.
        read: reads the prompts of questions that are alike.
        check: passes logits of first tokens on, or raises.
    """

    def __init__(
        self,
        model: Any,
        *,
        n_rows: int,
        stop_ids: frozenset[int],
        max_new_tokens: int,
        read: Callable[[Sequence[Item]], Read],
        alike: Callable[[Item], Any],
        check: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        self._model, self._language_model = model, model.model.language_model
        self._stop_ids, self._max_new_tokens = stop_ids, max_new_tokens
        self._read, self._alike, self._check = read, alike, check
        self._slots = Slots(self._language_model, n_rows)
        self._rows: list[Answer[Item] | None] = [None] * n_rows
        self._last = torch.zeros(n_rows, dtype=torch.long, device=model.device)
        self._n_unseen = STEPS_UNSEEN if model.device.type == "cuda" else 1

    def answers(self, waiting: Iterator[Item]) -> Iterator[Answer[Item]]:
        """Answer every item, in the order in which answers end.

        Args:
            waiting: questions; those alike should come together. Taken when rows are free, so that it may prepare clips
                as it goes.
        """
        is_more = True
        while True:
            free = [number for number, answer in enumerate(self._rows) if answer is None]
            if is_more and len(free) * REFILL_SHARE >= len(self._rows):
                taken = list(islice(waiting, len(free)))
                is_more = len(taken) == len(free)
                yield from self._begin(free, taken)
                continue
            if len(free) == len(self._rows):
                return
            if not is_more and 2 * len(free) >= len(self._rows):
                self._keep([number for number, answer in enumerate(self._rows) if answer is not None])
            yield from self._write()

    def _begin(self, free: Sequence[int], taken: Sequence[Item]) -> Iterator[Answer[Item]]:
        """Read the prompts of new questions into free rows; gives answers that end with their first token."""
        rows = iter(free)
        for _, group in groupby(taken, key=self._alike):
            started = time.perf_counter()
            items = list(group)
            places = list(islice(rows, len(items)))
            read = self._read(items)
            first = self._check(self._model.lm_head(read.hidden).float()).argmax(-1)
            self._slots.load(places, read.cache, read.mask)
            self._last[torch.tensor(places, device=first.device)] = first
            tokens = first.tolist()
            share_s = (time.perf_counter() - started) / len(items)
            for place, item, token in zip(places, items, tokens, strict=True):
                answer = Answer(item, [token], share_s)
                if self._has_ended(answer):
                    yield answer
                else:
                    self._rows[place] = answer

    def _write(self) -> Iterator[Answer[Item]]:
        """Add a token to every answer, several on a GPU; gives those that have ended."""
        started = time.perf_counter()
        active = torch.tensor([answer is not None for answer in self._rows], device=self._last.device).long()
        columns = [self._step(active) for _ in range(self._n_unseen)]
        written = torch.stack(columns, dim=1).tolist()
        n_writing = sum(answer is not None for answer in self._rows)
        share_s = (time.perf_counter() - started) / n_writing
        for place, (answer, tokens) in enumerate(zip(self._rows, written, strict=True)):
            if answer is None:
                continue
            answer.seconds += share_s
            for token in tokens:
                answer.tokens.append(token)
                if self._has_ended(answer):
                    self._rows[place] = None
                    yield answer
                    break

    def _step(self, active: torch.Tensor) -> torch.Tensor:
        """The next token of every row, shape (n_rows,); those of free rows mean nothing."""
        slots = self._slots
        output = self._language_model(
            input_ids=self._last[:, None],
            attention_mask=slots.masks(),
            position_ids=slots.lengths[:, None],
            past_key_values=slots.cache,
            use_cache=True,
        )
        self._last = self._model.lm_head(output.last_hidden_state[:, -1]).argmax(-1)
        slots.advance(active)
        return self._last

    def _has_ended(self, answer: Answer[Item]) -> bool:
        return answer.tokens[-1] in self._stop_ids or len(answer.tokens) >= self._max_new_tokens

    def _keep(self, places: Sequence[int]) -> None:
        """Give up free rows, when nothing is left to fill them with."""
        self._slots.keep(places)
        self._last = self._last[torch.tensor(places, device=self._last.device)]
        self._rows = [self._rows[place] for place in places]
