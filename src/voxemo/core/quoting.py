"""What a model wrote, where it is passed on: whether it may be, and documents without it.

Answers may quote a corpus, so they go no further than the corpus itself. Everything that leaves a machine asks here.
"""

from typing import Any

from voxemo.core.cards import CorpusCard

QUOTING = ("examples",)
"""Fields of checks and of counted failures that quote answers."""


def texts_withheld(card: CorpusCard, *, redact: bool = False) -> str | None:
    """Why answers about a corpus may not be passed on in full; None where they may.

    A model that transcribes what it hears writes the corpus down. So answers go only where the corpus itself may.

    Args:
        card: of the corpus.
        redact: leave them out whatever the licence says.
    """
    if redact:
        return "asked for by whoever made this"
    if not card.access.redistributable:
        return f"{card.name} may not be passed on (licence: {card.access.license}), and answers may quote it"
    if card.access.kind != "open":
        return f"{card.name} has to be asked for ({card.access.kind}), and answers may quote it"
    return None


def unquoted(value: Any, *, quoting: bool = False) -> Any:
    """A document of lists and dictionaries without what quotes answers, unless they may be quoted.

    >>> unquoted({"n": 3, "examples": ["I hear: good morning"]})
    {'n': 3}
    """
    if quoting:
        return value
    if isinstance(value, dict):
        return {key: unquoted(one) for key, one in value.items() if key not in QUOTING}
    if isinstance(value, list | tuple):
        return [unquoted(one) for one in value]
    return value
