"""What transformers gives without voxemo: the reference that the local backends are compared with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers

from voxemo.backends.base import Waveform

GREEDY: Mapping[str, Any] = {"do_sample": False, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}


def load(folder: Path) -> tuple[Any, Any]:
    """Model and processor of a checkpoint, the model of the class that its configuration names."""
    (architecture,) = transformers.AutoConfig.from_pretrained(folder).architectures
    model = getattr(transformers, architecture).from_pretrained(folder).eval()
    return model, transformers.AutoProcessor.from_pretrained(folder)


def chat_inputs(processor: Any, prompt: str, samples: Waveform) -> Any:
    """What a model is given for a user's turn of a clip at 16 kHz and a prompt, up to where its answer begins."""
    content = [{"type": "audio", "audio": samples}, {"type": "text", "text": prompt}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        processor_kwargs={"return_tensors": "pt", "audio_kwargs": {"sampling_rate": 16_000}},
    )


def greedy_tokens(model: Any, inputs: Any, *, max_new_tokens: int) -> tuple[int, list[int]]:
    """Number of prompt tokens, and the tokens of the answer, whatever the checkpoint's own settings for it are."""
    n_prompt = inputs["input_ids"].shape[1]
    return n_prompt, model.generate(**inputs, max_new_tokens=max_new_tokens, **GREEDY)[0, n_prompt:].tolist()
