"""What a server said of itself over many answers: which model ran, how many tokens, and what they cost."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from voxemo.backends.endpoint.wire import Completion, Usage
from voxemo.core.errors import BackendError


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices of a million tokens, in any currency."""

    prompt: float
    """Of the text before the answer."""
    audio: float
    """Of audio, which hosted models charge at a price of its own."""
    answer: float

    @classmethod
    def read(cls, text: str) -> "Prices":
        """Read three numbers with commas between them.

        Raises:
            BackendError: it is something else.

        >>> Prices.read("2.5,32,10")
        Prices(prompt=2.5, audio=32.0, answer=10.0)
        """
        try:
            prompt, audio, answer = (float(part) for part in text.split(","))
            valid = all(0 <= price < float("inf") for price in (prompt, audio, answer))
        except ValueError:
            valid = False
        if not valid:
            raise BackendError(
                f"{text!r} is no price. Give three numbers with commas between them, the prices of a million tokens "
                "of prompt text, of audio and of the answer, such as 2.5,32,10."
            )
        return cls(prompt=prompt, audio=audio, answer=answer)

    def cost(self, usage: Usage) -> float | None:
        """What one answer cost, without discounts; None where the server did not count what has a price of its own."""
        if usage.n_prompt_tokens is None or usage.n_new_tokens is None:
            return None
        if usage.n_audio_tokens is None and self.audio != self.prompt:
            return None
        n_audio = usage.n_audio_tokens or 0
        text = (usage.n_prompt_tokens - n_audio) * self.prompt
        return (text + n_audio * self.audio + usage.n_new_tokens * self.answer) / 1e6


@dataclass(slots=True, kw_only=True)
class Served:
    """Sums over the answers of one server."""

    prices: Prices | None = None
    models: set[str] = field(default_factory=set)
    fingerprints: set[str] = field(default_factory=set)
    n_answers: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    cost: float = 0.0
    n_without_cost: int = 0
    """Answers whose cost is not known, and not in ``cost``."""

    def add(self, completion: Completion) -> None:
        """Count one answer."""
        self.n_answers += 1
        if completion.model is not None:
            self.models.add(completion.model)
        if completion.fingerprint is not None:
            self.fingerprints.add(completion.fingerprint)
        self.tokens.update({name: n for name, n in asdict(completion.usage).items() if n is not None})
        if self.prices is not None:
            cost = self.prices.cost(completion.usage)
            self.cost += cost or 0.0
            self.n_without_cost += cost is None

    def usage(self) -> dict[str, Any]:
        """The sums, for the worker file. Retried questions that a server counted without answering are not in them."""
        sums: dict[str, Any] = {"n_answers": self.n_answers, **self.tokens}
        if self.prices is not None:
            sums["prices_per_million"] = asdict(self.prices)
            sums["cost"] = round(self.cost, 6)
            sums["n_answers_without_cost"] = self.n_without_cost
        return sums
