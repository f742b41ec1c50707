"""Fine-tuning in the real 7B shapes on a GPU, with random weights: tokens per second and share of the device's peak.

Run: python bench/training_7b.py [--shape qwen2-audio|audio-flamingo-3|tiny] [--clips N] [--steps N] [--device cuda]

Clips of 1 to 15 s, the direct prompt, the paper's recipe. Prints how long hearing every clip once takes; utterances and
tokens per second of our steps (medians); the operations that a step needs, as a share of what the device does in a
matrix product, measured first; peak memory; and the same for a plain loop, which hears each clip at every step and
computes logits everywhere. `--shape tiny` runs all of it on a CPU; its figures mean nothing.

Operations are two for each weight and token forward and two backward: weights are frozen, so that gradients go through
them and not to them. The attention's products of tokens with tokens, whose factors both depend on what is learned, take
twice as many backward as forward, and count for the tokens that each may look at. What gradient checkpointing computes
again does not count, nor what the adapter itself takes.
"""

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from engine_7b import LABELS, SHAPES, ceilings, clip, forget, peak, random_model, synchronise
from training import SEED, Enough, Pair, plain_steps, ready
from voxemo.catalog import lookup
from voxemo.prompts.sft import training_pair
from voxemo.training.lessons import Lesson
from voxemo.training.loop import Learner, Pace, train_adapter
from voxemo.training.lora import LoraRecipe, batch_of_step


def make_pairs(n_clips: int) -> list[Pair]:
    """Clips of noise, each with the direct prompt and a label in turn."""
    variant, template = lookup.prompt("direct")
    names, seconds = LABELS.names, np.random.default_rng(0).uniform(1, 15, n_clips)
    return [
        Pair(
            str(number),
            partial(clip, length, number),
            *training_pair(names[number % len(names)], variant=variant, template=template, label_set=LABELS),
        )
        for number, length in enumerate(seconds)
    ]


def operations(model: Any, lengths: Sequence[int], n_answer_tokens: int) -> float:
    """Of a step over utterances of these lengths, whose answers have so many tokens together.

    Args:
        model: loaded.
        lengths: tokens of each utterance, its audio among them.
        n_answer_tokens: positions that logits are needed of.
    """
    config = model.config.get_text_config()
    decoder: int = sum(p.numel() for p in model.model.language_model.layers.parameters())
    weights: int = decoder * sum(lengths) + model.lm_head.weight.numel() * n_answer_tokens
    # Scores and mixed values, of each token with those up to itself.
    seen = sum(length * (length + 1) / 2 for length in lengths)
    forward: float = 4 * config.num_hidden_layers * config.hidden_size * seen
    return 4 * weights + 3 * forward


def our_steps(
    learner: Learner, lessons: Sequence[Lesson], recipe: LoraRecipe, n_steps: int, device: str
) -> list[float]:
    """Seconds of each step but the first, which sets up."""
    moments: list[float] = []

    def note(done: int, total: int) -> None:
        moments.append(synchronise(device))
        if done > n_steps:
            raise Enough

    with suppress(Enough):
        train_adapter(learner, lessons, recipe, seed=SEED, on_step=note)
    return [later - earlier for earlier, later in pairwise(moments[1:])]


def their_steps(pairs: Sequence[Pair], loaded: Any, recipe: LoraRecipe, n_steps: int, device: str) -> list[float]:
    """The same by the plain loop."""
    moments = [synchronise(device) for _ in islice(plain_steps(pairs, loaded, recipe), n_steps + 1)]
    return [later - earlier for earlier, later in pairwise(moments)]


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line."""
    has_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="qwen2-audio" if has_gpu else "tiny")
    parser.add_argument("--device", default="cuda" if has_gpu else "cpu")
    parser.add_argument("--clips", type=int, default=512 if has_gpu else 32)
    parser.add_argument("--steps", type=int, default=20 if has_gpu else 3)
    parser.add_argument("--micro-batch-size", type=int, default=16 if has_gpu else 4)
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--no-plain", action="store_true", help="Leave out the plain loop.")
    given = parser.parse_args(words)
    dtype = torch.bfloat16 if given.device == "cuda" else torch.float32
    recipe = LoraRecipe()
    rate, _ = ceilings(given.device, dtype)
    name = torch.cuda.get_device_name() if given.device == "cuda" else "cpu"
    print(f"{given.shape} on {name}, {dtype}: {rate / 1e12:.3g} TFLOP/s in a matrix product")
    pairs = make_pairs(given.clips)
    with tempfile.TemporaryDirectory() as folder:
        loaded = random_model(given.shape, given.device, dtype)
        forget(given.device)
        started = synchronise(given.device)
        pace = Pace(micro_batch_size=given.micro_batch_size, gradient_checkpointing=given.gradient_checkpointing)
        learner, lessons = ready(pairs, loaded, recipe, Path(folder), pace)
        print(f"  hearing every clip once: {(synchronise(given.device) - started) / len(pairs):.4f} s per clip")
        seconds = our_steps(learner, lessons, recipe, given.steps, given.device)
        shares, tokens = [], []
        # The first step of each list was not timed.
        for step, spent in enumerate(seconds, start=1):
            batch = batch_of_step(step, n_utterances=len(lessons), recipe=recipe, seed=SEED)
            lengths = [learner.n_tokens(lessons[index]) for index in batch]
            n_answer = sum(len(lessons[index].words.answer) for index in batch)
            shares.append(operations(loaded.model, lengths, n_answer) / spent / rate)
            tokens.append(sum(lengths) / spent)
        ours = recipe.batch_size / median(seconds)
        trained = sum(p.numel() for p in loaded.model.parameters() if p.requires_grad)
        print(f"  trained: {trained / sum(p.numel() for p in loaded.model.parameters()):.4%} of the parameters")
        print(
            f"  voxemo: {ours:.2f} utterances/s, {median(tokens):.0f} tokens/s, {median(shares):.1%} of the matrix rate"
            f"{peak(given.device)}"
        )
        del learner, lessons, loaded
    if not given.no_plain:
        forget(given.device)
        loaded = random_model(given.shape, given.device, dtype)
        theirs = recipe.batch_size / median(their_steps(pairs, loaded, recipe, given.steps, given.device))
        print(f"  plain loop: {theirs:.2f} utterances/s{peak(given.device)}; voxemo {ours / theirs:.1f} times as many")


if __name__ == "__main__":
    main()
