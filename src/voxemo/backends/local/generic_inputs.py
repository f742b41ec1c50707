"""From clips and prompts to what ``generate`` is given, by a checkpoint's own processor and chat template."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import soundfile
import torch
from jinja2 import TemplateError

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Waveform
from voxemo.core.errors import BackendError

AUDIO_AS_BASE64 = frozenset({"VoxtralProcessor"})
"""Processors that take no samples, but a file in base64."""
NEEDLESSLY_PADDED = frozenset({"Qwen2_5OmniProcessor"})
"""Processors that pad features to minutes, which their model then leaves out; half a second of work for every clip."""
WINDOW_SAMPLES = 400
"""Samples that a mel frame is made of: with so many zeros behind a clip, more of them change none of its frames."""


class Conversations:
    """Makes inputs of one model: one user turn each, the audio first, with the checkpoint's default system prompt.

    Args:
        model: what the inputs are for.
        processor: the checkpoint's own.
        model_id: of the model's card, for messages.

    Raises:
        BackendError: the processor names no audio token, so that nothing would show that it passes audio on.
    """

    def __init__(self, model: Any, processor: Any, *, model_id: str) -> None:
        self._model, self._processor, self._model_id = model, processor, model_id
        placeholder = getattr(processor, "audio_token", None)
        if placeholder is None:
            raise BackendError(
                f"The processor of {model_id} is a {type(processor).__name__}, which names no audio token: nothing "
                "would show that the model hears. Get the processor files of the model, with its tokenizer."
            )
        self.placeholder: str = placeholder
        """What stands for audio in a prompt."""
        self._audio_id = processor.tokenizer.convert_tokens_to_ids(placeholder)

    def inputs(self, rows: Sequence[tuple[Waveform, str]]) -> dict[str, Any]:
        """What ``generate`` is given: padded on the left, on the model's device, features in the model's dtype.

        Args:
            rows: clip and prompt of each row, one or more.

        Raises:
            BackendError: the processor cannot take them.
        """
        chats = [
            [{"role": "user", "content": [self._audio(clip), {"type": "text", "text": text}]}] for clip, text in rows
        ]
        audio_options: dict[str, Any] = {"sampling_rate": SAMPLE_RATE_HZ}
        if type(self._processor).__name__ in NEEDLESSLY_PADDED:
            longest = max(len(clip) for clip, _ in rows) + WINDOW_SAMPLES
            audio_options["max_length"] = min(longest, self._processor.feature_extractor.n_samples)
        try:
            inputs = self._processor.apply_chat_template(
                chats,
                tokenize=True,
                add_generation_prompt=True,
                return_dict=True,
                processor_kwargs={
                    "return_tensors": "pt",
                    # Padding of the text only: features are padded as their own extractor wants it.
                    "text_kwargs": {"padding": True, "padding_side": "left"},
                    "audio_kwargs": audio_options,
                },
            )
        except (ValueError, TypeError, LookupError, AttributeError, ImportError, TemplateError) as cause:
            raise BackendError(
                f"The processor of {self._model_id}, a {type(self._processor).__name__}, cannot take a clip and a "
                f"prompt: {cause} Its chat template must accept a user turn of audio and text."
            ) from cause
        if not inputs["attention_mask"][:, -1].all():
            raise BackendError(
                f"The processor of {self._model_id} pads on the right: answers would follow padding, and change with "
                "their neighbours in a batch. Set the batch size to 1."
            )
        return {name: self._placed(value) for name, value in inputs.items()}

    def n_audio_tokens(self, inputs: Mapping[str, Any]) -> list[int]:
        """Tokens of each row that stand for audio."""
        counts: list[int] = (inputs["input_ids"] == self._audio_id).sum(1).tolist()
        return counts

    def frame(self, inputs: Mapping[str, Any]) -> tuple[str, str]:
        """What stands before and after the audio of the only row, as text; nothing after it where there is no audio."""
        tokens = inputs["input_ids"][0].tolist()
        places = [place for place, token in enumerate(tokens) if token == self._audio_id] or [len(tokens)]
        before, after = (
            self._processor.tokenizer.decode(part, clean_up_tokenization_spaces=False)
            for part in (tokens[: places[0]], tokens[places[-1] + 1 :])
        )
        return before, after

    def _audio(self, clip: Waveform) -> dict[str, Any]:
        if type(self._processor).__name__ not in AUDIO_AS_BASE64:
            return {"type": "audio", "audio": clip}
        file = io.BytesIO()
        soundfile.write(file, clip, SAMPLE_RATE_HZ, format="WAV", subtype="FLOAT")
        return {"type": "audio", "base64": base64.b64encode(file.getvalue()).decode("ascii")}

    def _placed(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return value.to(self._model.device, self._model.dtype if value.is_floating_point() else None)
