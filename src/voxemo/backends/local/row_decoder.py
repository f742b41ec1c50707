"""Greedy answers written in rows: a row for each question, taken by the next as soon as its answer has ended.

Answers are long and short. A batch that waits for its longest computes as many rows as it began with until the end;
here a row that has ended is given to the next question, so that almost all rows are always writing.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Generic, Protocol, TypeVar

import torch

from voxemo.backends.local import row_step
from voxemo.backends.local.paged_rows import PagedRows
from voxemo.backends.local.reading import Prompt, read_prompts

REFILL_SHARE = 4
"""Rows are refilled when one in so many is free: reading a few prompts at a time would hold up all others."""
STEPS_UNSEEN = 8
"""Tokens that a GPU writes between two looks at what has ended; looking makes it wait."""


class Asked(Protocol):
    """A question to be answered."""

    @property
    def prompt(self) -> Prompt:
        """Its prompt about its clip."""
        ...


Item = TypeVar("Item", bound=Asked)


@dataclass(slots=True, eq=False)
class Answer(Generic[Item]):
    """An answer while it is written."""

    item: Item
    tokens: list[int] = field(default_factory=list)
    """None where the first logits were not finite: what would follow is noise."""
    seconds: float = 0.0
    """Its share of the time that reading its prompt and writing took."""


class RowDecoder(Generic[Item]):
    """Writes answers with a language model.

    Args:
        model: of a class with a language model and ``lm_head``.
        n_rows: answers written at a time.
        n_pages: pages for the keys and values of all rows; see `PagedRows`.
        stop_ids: tokens that end an answer.
        max_new_tokens: longest answer, its stop token counted.
    """

    def __init__(
        self,
        model: Any,
        *,
        n_rows: int,
        n_pages: int,
        stop_ids: frozenset[int],
        max_new_tokens: int,
    ) -> None:
        self._model, self._n_rows = model, n_rows
        self._stop_ids, self._max_new_tokens = stop_ids, max_new_tokens
        self._rows = PagedRows(model.model.language_model, n_rows=n_rows, n_pages=n_pages)
        self._step = row_step.make_step(model, self._rows)
        self._answers: list[Answer[Item] | None] = []
        self._due: deque[Answer[Item]] = deque()
        """To be begun: what was taken and found no row yet, and then what was given up."""
        self._is_more = False
        """Whether there may be more to take."""
        self.is_writing = False
        """Whether a step is under way, or was when an exception ended it."""
        self._n_unseen = STEPS_UNSEEN if model.device.type == "cuda" else 1

    @property
    def attention(self) -> str:
        """How a step attends to what rows hold."""
        return self._step.attention

    def answers(self, waiting: Iterator[Sequence[Item]]) -> Iterator[Answer[Item]]:
        """Answer every item, in the order in which answers end.

        Args:
            waiting: questions by the prefix that they go on from, one or more each; those alike should come together.
                The next are taken when rows are free and all of the last have been read, so that a prefix may then be
                given up. One whose answer is begun anew after that is read again.
        """
        self._answers, self._is_more, self.is_writing = [None] * self._n_rows, True, False
        self._rows.use_all()
        try:
            yield from self._answer_all(waiting)
        finally:
            # Whoever stops asking, or runs out of memory, leaves rows behind that hold questions.
            self._due.clear()
            self._rows.end([place for place, answer in enumerate(self._answers) if answer is not None])

    def _answer_all(self, waiting: Iterator[Sequence[Item]]) -> Iterator[Answer[Item]]:
        while True:
            free = [place for place, answer in enumerate(self._answers) if answer is None]
            is_due = self._is_more or self._due
            if is_due and len(free) * REFILL_SHARE >= len(self._answers):
                yield from self._begin(free, waiting)
            elif len(free) == len(self._answers):
                return
            elif not is_due and 2 * len(free) >= len(self._answers):
                self._keep([place for place, answer in enumerate(self._answers) if answer is not None], free)
            if any(self._answers):
                yield from self._write()

    # --- beginning -----------------------------------------------------------------------------------------------

    def _begin(self, free: Sequence[int], waiting: Iterator[Sequence[Item]]) -> Iterator[Answer[Item]]:
        """Read prompts into free rows, as far as there are pages; gives answers that end with their first token."""
        placed: list[tuple[int, Answer[Item], bool]] = []
        for place in free:
            if not self._due:
                yield from self._read_all(placed)
                placed = []
                self._due.extend(Answer(item) for item in next(waiting, ()))
            if not self._due:
                self._is_more = False
                break
            prompt = self._due[0].item.prompt
            due: dict[str, Any] = {"key": prompt.clip, "n_shared": prompt.n_shared, "n_own": len(prompt.suffix)}
            if not self._rows.has_room(**due):
                if placed or any(self._answers):
                    break
                self._rows.make_room(**due)
                self._step.forget()
            answer = self._answers[place] = self._due.popleft()
            placed.append((place, answer, self._rows.begin(place, **due)))
        yield from self._read_all(placed)

    def _read_all(self, placed: Sequence[tuple[int, Answer[Item], bool]]) -> Iterator[Answer[Item]]:
        for _, group in groupby(placed, key=lambda one: (id(one[1].item.prompt.prefix), one[1].item.prompt.suffix)):
            yield from self._read(list(group))

    def _read(self, placed: Sequence[tuple[int, Answer[Item], bool]]) -> Iterator[Answer[Item]]:
        """Read prompts that are alike."""
        started = time.perf_counter()
        prompts = [answer.item.prompt for _, answer, _ in placed]
        places = [place for place, _, _ in placed]
        prefix, rows = prompts[0].prefix.reread(self._model, [prompt.row for prompt in prompts])
        lengths = torch.tensor([prompt.n_shared for prompt in prompts], device=self._model.device)
        new = [number for number, (_, _, is_new) in enumerate(placed) if is_new]
        if new:
            self._rows.load_shared(
                [places[number] for number in new], prefix.cache, [rows[number] for number in new], lengths[new]
            )
        read = read_prompts(self._model, prefix, rows, prompts[0].suffix)
        self._rows.load_own(places, read.cache, lengths, len(prompts[0].suffix))
        logits = self._model.lm_head(read.hidden)
        first = logits.argmax(-1)
        self._step.last[torch.tensor(places, device=first.device)] = first
        tokens, are_finite = first.tolist(), torch.isfinite(logits).all(-1).tolist()
        share_s = (time.perf_counter() - started) / len(placed)
        for (place, answer, _), token, is_finite in zip(placed, tokens, are_finite, strict=True):
            answer.seconds += share_s
            if is_finite:
                answer.tokens.append(token)
            if not is_finite or self._has_ended(answer):
                self._end(place)
                yield answer

    # --- writing -------------------------------------------------------------------------------------------------

    def _write(self) -> Iterator[Answer[Item]]:
        """Add a token to every answer, several on a GPU; gives those that have ended."""
        started = time.perf_counter()
        self.is_writing = True
        self._reserve()
        if self._rows.look_up():
            self._step.forget()
        columns = [self._step() for _ in range(self._n_unseen)]
        written = torch.stack(columns, dim=1).tolist()
        self.is_writing = False
        share_s = (time.perf_counter() - started) / sum(answer is not None for answer in self._answers)
        ended = []
        for place, (answer, tokens) in enumerate(zip(self._answers, written, strict=True)):
            if answer is None:
                continue
            answer.seconds += share_s
            for token in tokens:
                answer.tokens.append(token)
                if self._has_ended(answer):
                    ended.append((place, answer))
                    break
        for place, answer in ended:
            self._end(place)
            yield answer

    def _reserve(self) -> None:
        """Have pages for the next tokens of all rows, the longest answers first; rows that get none are given up.

        What is given up is asked again later, and answered the same: nothing is random here.
        """
        writing = [(place, answer) for place, answer in enumerate(self._answers) if answer is not None]
        writing.sort(key=lambda one: -len(one[1].tokens))
        while writing:
            place, answer = writing.pop(0)
            # The first token of an answer comes from reading, so that the last one is never written to a page.
            n_own = len(answer.item.prompt.suffix) + len(answer.tokens) - 1 + self._n_unseen
            while not self._rows.grow(place, n_own=n_own):
                if not writing:
                    self._rows.enlarge()
                    self._step.forget()
                    continue
                shortest, given_up = writing.pop()
                self._end(shortest)
                given_up.tokens.clear()
                self._due.append(given_up)

    def _end(self, place: int) -> None:
        self._answers[place] = None
        self._rows.end([place])

    def _has_ended(self, answer: Answer[Item]) -> bool:
        return answer.tokens[-1] in self._stop_ids or len(answer.tokens) >= self._max_new_tokens

    def _keep(self, writing: Sequence[int], free: Sequence[int]) -> None:
        """Give up free rows, when nothing is left to fill them with.

        A power of two is left: a GPU records a step for each number of rows.
        """
        n_spare = (1 << (len(writing) - 1).bit_length()) - len(writing)
        places = [*writing, *free[:n_spare]]
        self._rows.keep(places)
        self._step.keep(places)
        self._answers = [self._answers[place] for place in places]
