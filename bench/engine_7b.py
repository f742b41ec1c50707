"""The local engine in the real 7B shapes on a GPU, with random weights: seconds per clip against plain `generate`.

Run: python bench/engine_7b.py [--shape qwen2-audio|audio-flamingo-3|tiny] [--clips N] [--rows N] [--device cuda]

Random weights never end an answer, so each prompt's answer is given a length. Two workloads:

- *notes*: clips of 5 s under the five hard prompts, answers of 8, 40, 80, 120 and 200 tokens;
- *mixed*: clips of 1 to 15 s under all ten prompts, answers of 6 to 200 tokens.

Prints seconds per clip, clips, audio seconds and tokens per second, peak memory, and the same by plain `generate` at
batch size 1 and 64. Beside each stage stands its floor: bytes and operations that the work needs, divided by the copy
bandwidth and the matrix rate that are measured first. `--shape tiny` runs all of it on a CPU; its figures mean nothing.
"""

import argparse
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from voxemo.backends.base import Question, Waveform
from voxemo.backends.local import engine
from voxemo.backends.local.families import find_family
from voxemo.backends.local.loading import LoadedModel, render_chat, tokenise_chats
from voxemo.backends.local.paged_rows import head_dim
from voxemo.backends.local.row_decoder import RowDecoder
from voxemo.catalog import lookup
from voxemo.core.labels import LabelSet
from voxemo.core.types import Generation
from voxemo.prompts.render import render_prompt

LABELS = LabelSet(("angry", "disgusted", "fearful", "happy", "neutral", "sad"))
NOTES_TOKENS = (8, 40, 80, 120, 200)
PLAIN_CLIPS = {1: 2, 64: 64}
"""Clips that plain `generate` is timed on, by batch size; it is slow."""

QWEN2_AUDIO_TOWER = {"encoder_layers": 32, "d_model": 1280, "encoder_attention_heads": 20, "encoder_ffn_dim": 5120}
FLAMINGO_TOWER = {"num_hidden_layers": 32, "hidden_size": 1280, "num_attention_heads": 20, "intermediate_size": 5120}
# Sizes as the configuration files of the published checkpoints give them.
SHAPES: Mapping[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "qwen2-audio": (
        "qwen2-audio",
        QWEN2_AUDIO_TOWER,
        {
            "vocab_size": 156_032,
            "hidden_size": 4096,
            "intermediate_size": 11_008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
        },
    ),
    "audio-flamingo-3": (
        "audio-flamingo-3",
        FLAMINGO_TOWER,
        {
            "vocab_size": 151_672,
            "hidden_size": 3584,
            "intermediate_size": 18_944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
        },
    ),
    "tiny": (
        "qwen2-audio",
        {"encoder_layers": 1, "d_model": 64, "encoder_attention_heads": 2, "encoder_ffn_dim": 64},
        {
            "vocab_size": 2000,
            "hidden_size": 128,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
        },
    ),
}
FLAMINGO_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for item in message['content'] if item['type'] == 'audio' %}<sound>{% endfor %}"
    "{% for item in message['content'] if item['type'] == 'text' %}{{ item['text'] }}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Work:
    """Clips, and for each prompt its text and the length of its answer to each clip."""

    name: str
    clips: Sequence[Waveform]
    prompts: Mapping[str, str]
    n_new: Callable[[int, str], int]
    """Tokens of the answer to a clip and a prompt."""

    def questions(self, n_clips: int) -> list[Question]:
        """All prompts about the first clips."""
        return [
            Question(
                request_id=f"{number}/{name}",
                utterance_id=str(number),
                variant_id=name,
                form="hard",
                prompt=text,
                label_set=LABELS,
                audio_key=str(number),
                load_audio=lambda number=number: self.clips[number],  # type: ignore[misc]
            )
            for number in range(n_clips)
            for name, text in self.prompts.items()
        ]

    def n_tokens(self, n_clips: int) -> int:
        """Tokens of all answers about the first clips."""
        return sum(self.n_new(number, name) for number in range(n_clips) for name in self.prompts)


def texts(*forms: str) -> dict[str, str]:
    """The prompts of these forms, rendered."""
    return {
        f"{name}, {form}": render_prompt(*lookup.prompt(name), form=form, label_set=LABELS)  # type: ignore[arg-type]
        for form in forms
        for name in lookup.prompt_names()
    }


def clip(seconds: float, seed: int) -> Waveform:
    """Noise of so many seconds."""
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)


def notes_work(n_clips: int) -> Work:
    """Clips of 5 s, five prompts, an answer length for each."""
    prompts = texts("hard")
    lengths = dict(zip(prompts, NOTES_TOKENS, strict=True))
    return Work("notes", [clip(5.0, n) for n in range(n_clips)], prompts, lambda number, name: lengths[name])


def mixed_work(n_clips: int) -> Work:
    """Clips of 1 to 15 s, ten prompts, answers of 6 to 200 tokens."""
    random, prompts = np.random.default_rng(0), texts("hard", "distribution")
    seconds = random.uniform(1, 15, n_clips)
    lengths = dict(zip(prompts, random.integers(6, 200, (len(prompts), n_clips)), strict=True))
    clips = [clip(length, n) for n, length in enumerate(seconds)]
    return Work("mixed", clips, prompts, lambda number, name: int(lengths[name][number]))


def random_model(shape: str, device: str, dtype: torch.dtype) -> LoadedModel:
    """A model of the shape with random weights, and a processor whose tokens are about words of the prompts."""
    family_id, tower, text = SHAPES[shape]
    is_flamingo = family_id == "audio-flamingo-3"
    audio_tokens = ["<sound>"] if is_flamingo else ["<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"]
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *audio_tokens]
    words = Tokenizer(models.BPE())
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words.train_from_iterator(
        list(texts("hard", "distribution").values()) * 2,
        trainers.BpeTrainer(vocab_size=1800, special_tokens=specials, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        extra_special_tokens=specials[1:2] + audio_tokens,
    )
    features = transformers.WhisperFeatureExtractor(feature_size=128, chunk_length=30, return_attention_mask=True)
    text = {
        "model_type": "qwen2",
        "max_position_embeddings": 8192,
        "pad_token_id": 0,
        "eos_token_id": 2,
        **text,
    }
    tower = {"num_mel_bins": 128, **tower}
    if is_flamingo:
        config = transformers.AudioFlamingo3Config(
            audio_config={"model_type": "audioflamingo3_encoder", **tower},
            text_config=text,
            audio_token_id=tokenizer.convert_tokens_to_ids("<sound>"),
        )
        model_class = transformers.AudioFlamingo3ForConditionalGeneration
        processor = transformers.AudioFlamingo3Processor(features, tokenizer, chat_template=FLAMINGO_TEMPLATE)
    else:
        config = transformers.Qwen2AudioConfig(
            audio_config={"model_type": "qwen2_audio_encoder", **tower},
            text_config=text,
            audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
        )
        model_class = transformers.Qwen2AudioForConditionalGeneration
        processor = transformers.Qwen2AudioProcessor(features, tokenizer)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        torch.manual_seed(0)
        with torch.device(device):
            model = model_class(config).eval()
    finally:
        torch.set_default_dtype(before)
    return LoadedModel(family=find_family(family_id, model_id=shape), model=model, processor=processor, prompt_frame="")


def synchronise(device: str) -> float:
    """The time now, everything asked of the device being done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


@dataclass(frozen=True, kw_only=True)
class Timed:
    """How long the engine took for all clips."""

    first_s: float
    """Seconds of the first call, in which kernels are compiled and steps are recorded."""
    seconds: float
    """Of all clips, once that was done."""
    stages_s: Mapping[str, float]
    """Of these seconds; what is left is neither on the device nor waited for."""
    n_rows: int
    attention: str


def time_engine(loaded: LoadedModel, work: Work, device: str, rows: int | None) -> Timed:
    """Ask all questions, after a call that sets up all that a call of that size needs."""

    def has_ended(self: Any, answer: Any) -> bool:
        question = answer.item.question
        return len(answer.tokens) >= work.n_new(int(question.utterance_id), question.variant_id)

    card = lookup.model_card("qwen2-audio-7b-instruct").model_copy(update={"family": loaded.family.family_id})
    generation = Generation(max_new_tokens=256)
    with (
        patch.object(engine, "load_model", lambda *_, **__: loaded),
        patch.object(RowDecoder, "_has_ended", has_ended),
    ):
        backend = engine.LocalBackend(card, generation, batch_size=rows)
        questions = work.questions(len(work.clips))
        size = backend.questions_per_call
        started = synchronise(device)
        backend.answer(questions[:size])
        first_s = synchronise(device) - started
        before, started = backend.stages_s, synchronise(device)
        answers = [
            answer for at in range(0, len(questions), size) for answer in backend.answer(questions[at : at + size])
        ]
        seconds = synchronise(device) - started
    n_tokens = sum(answer.n_new_tokens or 0 for answer in answers)
    if n_tokens != work.n_tokens(len(work.clips)):
        raise SystemExit(f"{n_tokens} tokens were answered instead of {work.n_tokens(len(work.clips))}")
    effective = backend.effective()
    return Timed(
        first_s=first_s,
        seconds=seconds,
        stages_s={stage: spent - before.get(stage, 0.0) for stage, spent in backend.stages_s.items()},
        n_rows=effective["batch_size"],
        attention=effective["answers_attend_by"],
    )


def time_plain(loaded: LoadedModel, work: Work, device: str, batch_size: int) -> float:
    """Seconds per clip by the model's own `generate`, prompt by prompt over batches of clips."""
    n_clips = min(PLAIN_CLIPS[batch_size], len(work.clips))
    model, processor = loaded.model, loaded.processor
    started = synchronise(device)
    with torch.inference_mode():
        for name, prompt in work.prompts.items():
            for start in range(0, n_clips, batch_size):
                numbers = range(start, min(start + batch_size, n_clips))
                inputs = processor(
                    text=[render_chat(processor, prompt)] * len(numbers),
                    audio=[work.clips[number] for number in numbers],
                    sampling_rate=16_000,
                    padding=True,
                    return_tensors="pt",
                ).to(device)
                inputs["input_features"] = inputs["input_features"].to(model.dtype)
                n_new = max(work.n_new(number, name) for number in numbers)
                model.generate(**inputs, min_new_tokens=n_new, max_new_tokens=n_new, do_sample=False)
    return (synchronise(device) - started) / n_clips


def ceilings(device: str, dtype: torch.dtype) -> tuple[float, float]:
    """Operations per second of a matrix product, and bytes per second of a copy (read and written), on this device."""
    side = 8192 if device == "cuda" else 1024
    left, right = torch.randn(2, side, side, device=device).to(dtype)
    store = torch.empty(2**30 if device == "cuda" else 2**26, dtype=torch.uint8, device=device)
    target = torch.empty_like(store)
    found = []
    tasks: tuple[tuple[Callable[[], Any], int], ...] = (
        (lambda: left @ right, 2 * side**3),
        (lambda: target.copy_(store), 2 * store.numel()),
    )
    for work, amount in tasks:
        work()
        started = synchronise(device)
        for _ in range(10):
            work()
        found.append(10 * amount / (synchronise(device) - started))
    return found[0], found[1]


def floors_s(loaded: LoadedModel, work: Work, n_rows: int, flops: float, bandwidth: float) -> dict[str, float]:
    """Seconds per clip that the bytes and operations of each stage need at least.

    Two operations are counted for each weight and each frame or token that goes through it. Writing an answer reads the
    weights once a step for all rows, each row's own keys and values, and a clip's shared ones once a step for all of
    its rows; it takes as long as its bytes or its operations, whichever take longer. Attention's own operations, and
    all that is neither a weight, a key nor a value, are left out: the floor lies a little lower than it could.
    """
    model, processor, family = loaded.model, loaded.processor, loaded.family
    config = model.config.get_text_config()
    head = model.lm_head.weight.numel()
    decoder = sum(p.numel() for p in model.model.language_model.layers.parameters())
    tower = sum(p.numel() for p in model.model.audio_tower.parameters())
    item = model.dtype.itemsize
    token_bytes = 2 * config.num_hidden_layers * config.num_key_value_heads * head_dim(config) * item
    chats = tokenise_chats(processor, {question.prompt: question for question in work.questions(1)}, model_id="random")
    start = next(iter(chats.values())).index(model.config.audio_token_id)
    total = dict.fromkeys(("hearing", "shared reading", "answering"), 0.0)
    for number, samples in enumerate(work.clips):
        n_audio = family.n_audio_tokens(samples.size)
        # Pooling halves what the tower hears.
        total["hearing"] += 2 * tower * 2 * n_audio / flops
        shared = start + n_audio
        total["shared reading"] += 2 * decoder * shared / flops
        own = {name: len(chats[prompt]) - 1 - start for name, prompt in work.prompts.items()}
        n_new = {name: work.n_new(number, name) for name in work.prompts}
        n_written = sum(n_new.values())
        keys = sum((own[name] + n / 2) * n for name, n in n_new.items()) + shared * max(n_new.values())
        read = ((decoder + head) * item * n_written / n_rows + token_bytes * keys) / bandwidth
        written = 2 * (decoder + head) * n_written / flops
        total["answering"] += 2 * decoder * sum(own.values()) / flops + max(read, written)
    return {stage: seconds / len(work.clips) for stage, seconds in total.items()}


def forget(device: str) -> None:
    """Give back memory that nothing refers to any more, and count the peak anew."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak(device: str) -> str:
    """Memory of the device at most, since it was counted anew."""
    return f", at most {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if device == "cuda" else ""


def show_engine(loaded: LoadedModel, work: Work, timed: Timed, floors: Mapping[str, float], device: str) -> None:
    """Print the engine's figures, and what stands between them and the floor."""
    n_clips = len(work.clips)
    per_clip, floor = timed.seconds / n_clips, sum(floors.values())
    audio_s = sum(samples.size for samples in work.clips) / 16_000
    print(f"  {timed.attention}; {timed.n_rows} rows; the first call took {timed.first_s:.1f} s, set-up included")
    print(
        f"  engine: {per_clip:.4f} s per clip, {n_clips / timed.seconds:.1f} clips/s, {audio_s / timed.seconds:.0f} s "
        f"of audio/s, {work.n_tokens(n_clips) / timed.seconds:.0f} tokens/s{peak(device)}"
    )
    print(f"  floor: {floor:.4f} s per clip; the engine takes {per_clip / floor:.2f} times as long")
    stages = {stage: spent / n_clips for stage, spent in timed.stages_s.items()}
    stages["around them"] = per_clip - sum(stages.values())
    for stage, spent in stages.items():
        least = floors.get(stage, 0.0)
        print(f"    {stage}: {spent:.4f} s per clip, {least:.4f} of it the floor's, {spent - least:.4f} between")


def measure(loaded: LoadedModel, work: Work, given: argparse.Namespace, flops: float, bandwidth: float) -> None:
    """Print the engine and plain `generate` on one workload."""
    lengths = [len(loaded.processor.tokenizer(text)["input_ids"]) for text in work.prompts.values()]
    print(f"{work.name}: {len(work.clips)} clips, {len(lengths)} prompts of {min(lengths)} to {max(lengths)} tokens")
    forget(given.device)
    timed = time_engine(loaded, work, given.device, given.rows)
    show_engine(loaded, work, timed, floors_s(loaded, work, timed.n_rows, flops, bandwidth), given.device)
    for batch_size in () if given.no_plain else PLAIN_CLIPS:
        # The engine's pages, or the last batches, would leave no room.
        forget(given.device)
        plain_s = time_plain(loaded, work, given.device, batch_size)
        print(
            f"  plain generate, batch size {batch_size}: {plain_s:.4f} s per clip, "
            f"{plain_s * len(work.clips) / timed.seconds:.1f} times{peak(given.device)}"
        )


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    has_gpu = torch.cuda.is_available()
    parser.add_argument("--shape", choices=SHAPES, default="qwen2-audio" if has_gpu else "tiny")
    parser.add_argument("--device", default="cuda" if has_gpu else "cpu")
    parser.add_argument("--clips", type=int, default=640 if has_gpu else 12)
    parser.add_argument("--rows", type=int, help="Rows; as many as memory allows by default.")
    parser.add_argument("--no-plain", action="store_true", help="Leave out plain generate.")
    given = parser.parse_args(words)
    dtype = torch.bfloat16 if given.device == "cuda" else torch.float32
    flops, bandwidth = ceilings(given.device, dtype)
    name = torch.cuda.get_device_name() if given.device == "cuda" else "cpu"
    print(f"{given.shape} on {name}, {dtype}: {flops / 1e12:.3g} TFLOP/s, {bandwidth / 1e12:.3g} TB/s")
    loaded = random_model(given.shape, given.device, dtype)
    for work in (notes_work(given.clips), mixed_work(given.clips)):
        measure(loaded, work, given, flops, bandwidth)


if __name__ == "__main__":
    main()
