"""Fine-tuning against a plain loop: each step through the processor, the padded audio tower and logits everywhere.

Run: python bench/training.py [--clips N] [--epochs N] [--device cpu]

The same batches of the corpus `demo` both ways, the paper's recipe without dropout, `voxemo-tiny`. The plain loop
decodes its clips at every step; ours decodes and hears each once, in a time of its own that is shared out over ten
epochs. Prints utterances per second, by the clock and by processor time, their ratio, and how far the losses differ.
A minute or two on two processors.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional

from voxemo.audio.load import load_audio
from voxemo.backends.local.adapters import Adapter, attach_adapter
from voxemo.backends.local.hearing import Hearing
from voxemo.backends.local.loading import LoadedModel, load_model, render_chat
from voxemo.catalog import lookup
from voxemo.demo.corpus import FOLDER
from voxemo.prompts.sft import training_pair
from voxemo.steps.demo import CORPUS, MODEL
from voxemo.training.embeddings import Embeddings, hear_all
from voxemo.training.lessons import Lesson, LessonWriter
from voxemo.training.loop import Learner, Pace, train_adapter
from voxemo.training.lora import LoraRecipe, batch_of_step
from voxemo.training.state import TrainingState

SEED = 0
N_EPOCHS = 10
"""Over which the time of hearing is shared out."""
CARD = lookup.model_card(MODEL)


@dataclass(frozen=True, slots=True)
class Pair:
    """A clip with its prompt and its answer."""

    path: Path
    prompt: str
    target: str


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by the clock, and of all processors."""

    clock_s: float
    processors_s: float

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.clock_s + other.clock_s, self.processors_s + other.processors_s)

    def share(self, part: float) -> "Spent":
        """So much of it."""
        return Spent(part * self.clock_s, part * self.processors_s)


def stopwatch() -> Callable[[], Spent]:
    """Gives the time since now."""
    clock, processors = time.perf_counter(), time.process_time()
    return lambda: Spent(time.perf_counter() - clock, time.process_time() - processors)


def read_pairs(n_clips: int) -> list[Pair]:
    """Clips spread over the corpus; a file's name tells its label."""
    label_set = lookup.corpus_card(CORPUS).label_set(lookup.label_table())
    variant, template = lookup.prompt("direct")
    paths = sorted((FOLDER / "clips").glob("*.opus"))
    pairs = []
    for path in paths[:: max(1, len(paths) // n_clips)][:n_clips]:
        label = path.stem.split("_")[2]
        pairs.append(Pair(path, *training_pair(label, variant=variant, template=template, label_set=label_set)))
    return pairs


def fresh(device: str) -> LoadedModel:
    """The model as it comes."""
    return load_model(CARD, device=device, dtype="float32", trust_remote_code=False)


def adapted(loaded: LoadedModel, recipe: LoraRecipe) -> Adapter:
    """The same first adapter both ways."""
    return attach_adapter(loaded.model, rank=recipe.rank, alpha=recipe.alpha, seed=SEED)


def plain_training(pairs: Sequence[Pair], recipe: LoraRecipe, n_steps: int, device: str) -> tuple[list[float], Spent]:
    """Losses and time of a loop as one writes it first."""
    loaded = fresh(device)
    adapter, processor, model = adapted(loaded, recipe), loaded.processor, loaded.model
    model.train()
    parameters = list(adapter.parameters.values())
    optimiser = torch.optim.AdamW(parameters, weight_decay=recipe.weight_decay)
    end = processor.tokenizer.eos_token
    total = recipe.steps(len(pairs)) * recipe.n_epochs
    losses = []
    spent = stopwatch()
    for step in range(n_steps):
        batch = batch_of_step(step, n_utterances=len(pairs), recipe=recipe, seed=SEED)
        inputs = processor(
            text=[render_chat(processor, pairs[i].prompt) + pairs[i].target + end for i in batch],
            audio=[load_audio(pairs[i].path) for i in batch],
            sampling_rate=16_000,
            return_tensors="pt",
            padding=True,
            padding_side="right",
        ).to(device)
        labels = torch.full_like(inputs["input_ids"], -100)
        for row, i in enumerate(batch):
            n_answer = len(processor.tokenizer(pairs[i].target + end, add_special_tokens=False)["input_ids"])
            length = int(inputs["attention_mask"][row].sum())
            labels[row, length - n_answer : length] = inputs["input_ids"][row, length - n_answer : length]
        logits = model(**inputs).logits
        loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, recipe.largest_gradient)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate(step, n_steps=total)
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses, spent()


def our_training(
    pairs: Sequence[Pair], recipe: LoraRecipe, n_steps: int, device: str, folder: Path
) -> tuple[list[float], Spent, Spent]:
    """Losses, time of hearing all clips and time of so many steps."""
    loaded = fresh(device)
    model, processor = loaded.model, loaded.processor
    spent = stopwatch()
    embeddings = Embeddings(folder)
    hear_all(
        {pair.path.stem: partial(load_audio, pair.path) for pair in pairs},
        Hearing(model, processor.feature_extractor),
        embeddings,
        family=loaded.family,
        limits=CARD.audio,
    )
    heard = spent()
    writer = LessonWriter(
        processor, stop_ids={processor.tokenizer.eos_token_id}, audio_token=model.config.audio_token_id
    )
    lessons = [
        Lesson(utterance_id=pair.path.stem, audio_key=pair.path.stem, words=writer.write(pair.prompt, pair.target))
        for pair in pairs
    ]
    learner = Learner(adapted(loaded, recipe), embeddings, dropout=recipe.dropout, pace=Pace())
    kept: list[TrainingState] = []

    class Enough(Exception):
        """As many steps as the other loop has taken."""

    def keep(state: TrainingState) -> None:
        if state.step == n_steps:
            kept.append(state)
            raise Enough

    spent = stopwatch()
    with suppress(Enough):
        train_adapter(learner, lessons, recipe, seed=SEED, keep=keep, checkpoint_every=1)
    return kept[0].losses, heard, spent()


def main() -> None:
    """Read the command line, measure both and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=1, help="of the measured steps")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    recipe = LoraRecipe(dropout=0.0, learning_rate=1e-3)
    pairs = read_pairs(given.clips)
    n_steps = recipe.steps(len(pairs)) * given.epochs
    n_read = len(pairs) * given.epochs
    plain_losses, plain = plain_training(pairs, recipe, n_steps, given.device)
    with tempfile.TemporaryDirectory() as folder:
        losses, heard, steps = our_training(pairs, recipe, n_steps, given.device, Path(folder))
    ours = steps + heard.share(given.epochs / N_EPOCHS)
    furthest = max(abs(a - b) for a, b in zip(plain_losses, losses, strict=True))
    n_threads = torch.get_num_threads()
    print(f"{len(pairs)} clips, {n_steps} steps of {recipe.batch_size}, {n_threads} threads, {given.device}")
    print("                        by the clock   by processor time")
    for name, spent in (("plain loop", plain), ("voxemo", ours)):
        print(f"{name:<12} utterances/s {n_read / spent.clock_s:11.2f} {n_read / spent.processors_s:19.2f}")
    print(f"ratio {plain.clock_s / ours.clock_s:31.2f} {plain.processors_s / ours.processors_s:19.2f}")
    print(f"losses {losses[0]:.4f} to {losses[-1]:.4f}, at most {furthest:.1e} apart")


if __name__ == "__main__":
    main()
