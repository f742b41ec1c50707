"""Fine-tuning against a plain loop: each step through the processor, the padded audio tower and logits everywhere.

Run: python bench/training.py [--clips N] [--steps N] [--device cpu] [--threads N]

The same batches of the corpus `demo` both ways, the paper's recipe without dropout, `voxemo-tiny`, a step of each by
turns, so that a busy machine slows both. The plain loop decodes its clips at every step; ours decodes and hears each
once. Prints utterances per second (medians over steps, by the clock and by processor time), their ratio, and how far
the losses differ. A minute on two processors.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch.nn import functional

from voxemo.audio.load import Waveform, load_audio
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
CARD = lookup.model_card(MODEL)


@dataclass(frozen=True, slots=True)
class Pair:
    """A clip with its prompt and its answer."""

    name: str
    load: Callable[[], Waveform]
    prompt: str
    target: str


def read_pairs(n_clips: int) -> list[Pair]:
    """Clips spread over the corpus; a file's name tells its label."""
    label_set = lookup.corpus_card(CORPUS).label_set(lookup.label_table())
    variant, template = lookup.prompt("direct")
    paths = sorted((FOLDER / "clips").glob("*.opus"))
    pairs = []
    for path in paths[:: max(1, len(paths) // n_clips)][:n_clips]:
        label = path.stem.split("_")[2]
        texts = training_pair(label, variant=variant, template=template, label_set=label_set)
        pairs.append(Pair(path.stem, partial(load_audio, path), *texts))
    return pairs


def adapted(loaded: LoadedModel, recipe: LoraRecipe) -> Adapter:
    """The same first adapter both ways."""
    return attach_adapter(loaded.model, rank=recipe.rank, alpha=recipe.alpha, seed=SEED)


def plain_steps(pairs: Sequence[Pair], loaded: LoadedModel, recipe: LoraRecipe) -> Iterator[float]:
    """The loss of each step of a loop as one writes it first."""
    adapter, processor, model = adapted(loaded, recipe), loaded.processor, loaded.model
    model.train()
    parameters = list(adapter.parameters.values())
    optimiser = torch.optim.AdamW(parameters, weight_decay=recipe.weight_decay)
    end = processor.tokenizer.eos_token
    total = recipe.steps(len(pairs)) * recipe.n_epochs
    for step in range(total):
        batch = batch_of_step(step, n_utterances=len(pairs), recipe=recipe, seed=SEED)
        inputs = processor(
            text=[render_chat(processor, pairs[i].prompt) + pairs[i].target + end for i in batch],
            audio=[pairs[i].load() for i in batch],
            sampling_rate=16_000,
            return_tensors="pt",
            padding=True,
            padding_side="right",
        ).to(model.device)
        inputs["input_features"] = inputs["input_features"].to(model.dtype)
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
        yield float(loss.detach())


def ready(
    pairs: Sequence[Pair], loaded: LoadedModel, recipe: LoraRecipe, folder: Path, pace: Pace
) -> tuple[Learner, list[Lesson]]:
    """Our side before its first step: clips decoded and heard."""
    model, processor = loaded.model, loaded.processor
    embeddings = Embeddings(folder)
    hear_all(
        {pair.name: pair.load for pair in pairs},
        Hearing(model, processor.feature_extractor),
        embeddings,
        family=loaded.family,
        limits=CARD.audio,
    )
    writer = LessonWriter(
        processor, stop_ids={processor.tokenizer.eos_token_id}, audio_token=model.config.audio_token_id
    )
    lessons = [
        Lesson(utterance_id=pair.name, audio_key=pair.name, words=writer.write(pair.prompt, pair.target))
        for pair in pairs
    ]
    return Learner(adapted(loaded, recipe), embeddings, dropout=recipe.dropout, pace=pace), lessons


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of steps by the clock, and of all processors."""

    clock_s: list[float] = field(default_factory=list)
    processors_s: list[float] = field(default_factory=list)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Measure one step."""
        clock, processors = time.perf_counter(), time.process_time()
        yield
        self.clock_s.append(time.perf_counter() - clock)
        self.processors_s.append(time.process_time() - processors)

    def medians(self) -> tuple[float, float]:
        """Without the first step, which loads things."""
        return median(self.clock_s[1:]), median(self.processors_s[1:])


class Enough(Exception):
    """As many steps as were asked for."""


def main() -> None:
    """Read the command line, take steps of both by turns and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    recipe = LoraRecipe(dropout=0.0, learning_rate=1e-3)
    pairs = read_pairs(given.clips)
    load = partial(load_model, CARD, device=given.device, dtype="float32", trust_remote_code=False)
    plain = plain_steps(pairs, load(), recipe)
    plain_losses: list[float] = []
    losses: list[float] = []
    theirs, ours = Spent(), Spent()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        learner, lessons = ready(pairs, load(), recipe, Path(folder), Pace())
        ready_s = time.perf_counter() - started
        own_step = ExitStack()

        def by_turns(done: int, total: int) -> None:
            own_step.close()
            if done == given.steps:
                raise Enough
            with theirs.step():
                plain_losses.append(next(plain))
            own_step.enter_context(ours.step())

        def keep(state: TrainingState) -> None:
            losses[:] = state.losses

        with suppress(Enough):
            train_adapter(learner, lessons, recipe, seed=SEED, keep=keep, checkpoint_every=1, on_step=by_turns)
    furthest = max(abs(a - b) for a, b in zip(plain_losses, losses, strict=True))
    print(f"{len(pairs)} clips, {given.steps} steps of {recipe.batch_size}, {given.threads} threads, {given.device}")
    print("                           by the clock   by processor time")
    for name, spent in (("plain loop", theirs), ("voxemo", ours)):
        clock, processors = (recipe.batch_size / seconds for seconds in spent.medians())
        print(f"{name:<12} utterances/s {clock:14.2f} {processors:19.2f}")
    clock, processors = (a / b for a, b in zip(theirs.medians(), ours.medians(), strict=True))
    print(f"ratio {clock:33.2f} {processors:19.2f}")
    print(f"losses {losses[0]:.4f} to {losses[-1]:.4f}, at most {furthest:.1e} apart")
    print(f"{ready_s:.1f} s before the first step: loading the model, decoding and hearing every clip once")


if __name__ == "__main__":
    main()
