"""Checkpoints of any class that transformers has, checked before anything is asked of them.

What is known of a class is not needed to run it, but to run it fast: see ``WHY_ALONE`` and ``EXACT_IN_BATCHES``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import transformers

from voxemo.backends.local.clips import n_samples
from voxemo.backends.local.generic_inputs import Conversations
from voxemo.backends.local.loading import PROMPT_MARK, find_repository, load_checkpoint
from voxemo.core.cards import ModelCard
from voxemo.core.errors import BackendError

WHOLES: Mapping[str, tuple[str, ...]] = {
    "Qwen2_5OmniThinkerForConditionalGeneration": ("Qwen2_5OmniModel", "Qwen2_5OmniForConditionalGeneration"),
    "Qwen3OmniMoeThinkerForConditionalGeneration": ("Qwen3OmniMoeForConditionalGeneration",),
}
"""Classes that are the part of a checkpoint which answers in text, to what the whole checkpoint may call itself."""

EXACT_IN_BATCHES = frozenset(
    {
        "AudioFlamingo3ForConditionalGeneration",
        "Gemma4ForConditionalGeneration",
        "Gemma4UnifiedForConditionalGeneration",
        "MusicFlamingoForConditionalGeneration",
        "Qwen2AudioForConditionalGeneration",
        "Qwen2_5OmniThinkerForConditionalGeneration",
        "Qwen3OmniMoeThinkerForConditionalGeneration",
    }
)
"""Classes that answer a batch of clips of any length as they answer each alone, in float32; each has its test."""

WHY_ALONE: Mapping[str, str] = {
    "Phi4MultimodalForCausalLM": "its audio encoder hears the padding of shorter clips",
}
"""Classes that answer a batch of clips otherwise than each alone, and why."""

PACKAGES: Mapping[str, str] = {"VoxtralForConditionalGeneration": "mistral-common"}
"""Classes whose processor passes no audio on without a package, and does not say so."""

ADAPTERS: Mapping[str, str] = {"Phi4MultimodalForCausalLM": "speech-lora"}
"""Classes that were taught to hear by an adapter, to its folder in the checkpoint; it is always loaded."""

SHORT_S, LONG_S = 1.0, 31.0
"""Clips that show whether audio tokens grow with a clip; the long one is just beyond a window of 30 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenericModel:
    """A model and its processor, ready to answer."""

    model: Any
    processor: Any
    conversations: Conversations
    prompt_frame: str
    """The chat with ``{prompt}`` for the prompt and one audio token for the audio."""
    tokens_per_s: float
    """Audio tokens that each second of a clip adds at least; 0 where every clip has the same number."""

    def check_heard(self, n_audio_tokens: int, seconds: float) -> None:
        """Refuse a clip of which the processor has passed on a part.

        Raises:
            BackendError: fewer audio tokens than so many seconds must give.
        """
        # A second of slack: padding and strides cost a token or two at either end.
        n_due = max(1, int(self.tokens_per_s * (seconds - 1)))
        if n_audio_tokens < n_due:
            raise BackendError(
                f"A clip of {seconds:.1f} s gives {n_audio_tokens} audio tokens where {n_due} or more are due: the "
                f"processor, a {type(self.processor).__name__}, drops the rest in silence. Set audio.max_s on the card "
                "to what the model hears."
            )


def load_generic(
    card: ModelCard,
    *,
    device: str | None,
    dtype: str | None,
    trust_remote_code: bool,
    folder: Path | str | None = None,
) -> GenericModel:
    """Load the checkpoint of a card, and check that its processor passes on prompts and the whole of clips.

    Args:
        card: as for ``loading.load_model``. Its ``architecture`` is the class to load; the checkpoint's own when None.
        device: as for ``loading.load_model``.
        dtype: as for ``loading.load_model``.
        trust_remote_code: let such code read the configuration and the processor.
        folder: as for ``loading.load_model``.

    Raises:
        BackendError: it cannot be loaded, differs from the card, or would not hear.
    """
    model, processor = load_checkpoint(
        card,
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        folder=folder,
        choose_class=lambda config: _choose_class(card, config.architectures or []),
        read_processor=_read_processor,
    )
    adapter = ADAPTERS.get(type(model).__name__)
    if adapter is not None:
        _load_adapter(card, model, adapter)
    conversations = Conversations(model, processor, model_id=card.model_id)
    loaded = GenericModel(
        model=model,
        processor=processor,
        conversations=conversations,
        tokens_per_s=_tokens_per_s(card, conversations),
        prompt_frame=_prompt_frame(card, conversations),
    )
    for seconds in (card.audio.min_s, card.audio.max_s):
        if seconds is not None:
            loaded.check_heard(_heard(conversations, seconds)[0], seconds)
    return loaded


def why_alone(architecture: str) -> str | None:
    """Why questions to a class are asked one by one; None where they are asked in batches."""
    if architecture in EXACT_IN_BATCHES:
        return None
    reason = WHY_ALONE.get(architecture, "no test of ours has shown that a batch changes no answer")
    return f"Questions to a {architecture} are asked one by one: {reason}."


def _choose_class(card: ModelCard, found: list[str]) -> str:
    parts = {whole: part for part, wholes in WHOLES.items() for whole in wholes}
    declared = card.architecture or (parts.get(found[0], found[0]) if found else "")
    if found not in ([declared], *([whole] for whole in WHOLES.get(declared, ()))):
        raise BackendError(
            f"The card of {card.model_id!r} declares the class {declared or 'of the checkpoint'}, but the checkpoint "
            f"{card.repository!r} is a {' + '.join(found) or 'model without a class name'}. Correct the card, or name "
            "another repository."
        )
    if not hasattr(transformers, declared):
        raise BackendError(
            f"transformers {transformers.__version__} has no class {declared}, which {card.model_id!r} needs; models "
            "in code of a checkpoint's own are not run by this family. Ask the model through a server that runs it, "
            "with a card of the backend 'endpoint'."
        )
    package = PACKAGES.get(declared)
    if package is not None and find_spec(package.replace("-", "_")) is None:
        raise BackendError(
            f"The processor of {card.model_id!r} passes no audio on without the package {package!r}, which is not "
            f"installed. Install it (pip install {package}), or ask the model through a server."
        )
    return declared


def _load_adapter(card: ModelCard, model: Any, folder: str) -> None:
    try:
        place = {"subfolder": folder, "revision": card.revision}
        model.load_adapter(find_repository(card), adapter_name=folder, adapter_kwargs=place)
    except (OSError, ValueError, ImportError) as cause:
        raise BackendError(
            f"The adapter {folder!r} of {card.model_id!r} cannot be loaded: {cause} Without it the model was not "
            "taught to hear. Get the whole checkpoint, with its adapters."
        ) from cause
    model.eval()


def _read_processor(repository: str, config: Any, place: Mapping[str, Any]) -> Any:
    """The processor of a checkpoint, without eyes where it has some: they need packages that no question needs."""
    whole = transformers.PROCESSOR_MAPPING.get(type(config), None)
    parts = [] if whole is None else whole.get_attributes()
    if not any(_is_eye(part) for part in parts):
        return transformers.AutoProcessor.from_pretrained(repository, **place)

    class WithoutEyes(whole):  # type: ignore[misc, valid-type]
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            return None if _is_eye(argument_name) else super().check_argument_for_proper_class(argument_name, argument)

    WithoutEyes.__name__ = whole.__name__
    settings, _ = whole.get_processor_dict(repository, **place)
    read = {part: None if _is_eye(part) else _auto_class(part).from_pretrained(repository, **place) for part in parts}
    processor = WithoutEyes.from_args_and_dict(list(read.values()), settings)
    # Some classes take a chat template and forget it when they are read from files.
    processor.chat_template = (
        processor.chat_template or settings.get("chat_template") or processor.tokenizer.chat_template
    )
    return processor


def _is_eye(part: str) -> bool:
    return part.startswith(("image", "video"))


def _auto_class(part: str) -> Any:
    return transformers.AutoTokenizer if part == "tokenizer" else transformers.AutoFeatureExtractor


def _prompt_frame(card: ModelCard, conversations: Conversations) -> str:
    clip = np.zeros(n_samples(SHORT_S), np.float32)
    before, after = conversations.frame(conversations.inputs([(clip, PROMPT_MARK)]))
    if PROMPT_MARK not in after:
        raise BackendError(
            f"The chat template of {card.repository!r} does not put audio before the prompt: it gives {before!r}, then "
            f"the audio, then {after!r}. The benchmark asks with the audio first. Use the model's own chat template."
        )
    return before + conversations.placeholder + after


def _tokens_per_s(card: ModelCard, conversations: Conversations) -> float:
    """Audio tokens that each second adds at least."""
    (n_short, mask_short), (n_long, mask_long) = (_heard(conversations, seconds) for seconds in (SHORT_S, LONG_S))
    if n_long > n_short:
        return (n_long - n_short) / (LONG_S - SHORT_S)
    if n_short == 0 or mask_long <= mask_short:
        raise BackendError(
            f"The processor of {card.model_id} gives {n_short} audio tokens for {SHORT_S:g} s and {n_long} for "
            f"{LONG_S:g} s: the model would not hear what was recorded. Check that the checkpoint's processor files "
            "belong to it, and that nothing they need is missing."
        )
    if card.audio.max_s is None:
        raise BackendError(
            f"{card.model_id} hears every clip as {n_short} audio tokens, and its card declares audio.max_s as no "
            "limit: what it hears of a long clip could not be known. Set audio.max_s."
        )
    return 0.0


def _heard(conversations: Conversations, seconds: float) -> tuple[int, int]:
    """Audio tokens of a clip of noise of so many seconds, and positions that its features' mask keeps."""
    clip = np.random.default_rng(0).uniform(-0.1, 0.1, n_samples(seconds)).astype(np.float32)
    inputs = conversations.inputs([(clip, "")])
    masks = [value for name, value in inputs.items() if "mask" in name and name != "attention_mask"]
    return conversations.n_audio_tokens(inputs)[0], sum(int(mask.sum()) for mask in masks)
