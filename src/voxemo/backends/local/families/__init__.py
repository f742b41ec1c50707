"""What differs between model families of the local backend's engine, and the family that needs to know nothing."""

from voxemo.backends.local.families.audio_flamingo3 import AUDIO_FLAMINGO3
from voxemo.backends.local.families.base import Family
from voxemo.backends.local.families.qwen2_audio import QWEN2_AUDIO
from voxemo.core.errors import BackendError

FAMILIES: dict[str, Family] = {family.family_id: family for family in (AUDIO_FLAMINGO3, QWEN2_AUDIO)}
GENERIC = "generic"
"""The ``family`` of cards whose model runs through plain ``generate``, with its own processor and template."""


def find_family(family_id: str | None, *, model_id: str) -> Family:
    """The family of a model card.

    Raises:
        BackendError: the card names none, or one that the local backend does not know.
    """
    if family_id in FAMILIES:
        return FAMILIES[family_id]
    named = "no family" if family_id is None else f"the family {family_id!r}"
    raise BackendError(
        f"The card of {model_id!r} names {named}. The local backend knows {', '.join(map(repr, FAMILIES))}, and "
        f"{GENERIC!r} for other speech LLMs that transformers has a class for. Set `family` on the card, or use "
        "another backend."
    )
