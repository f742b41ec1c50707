"""Second half of the training: the language model learns to answer about what the trained audio tower hears.

The tower stays as it is, so every clip goes through it once. The loss is on answer tokens only, the stop token with
them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from voxemo.backends.local.audio_tower import encode_positions, pool_positions, pooled_positions
from voxemo.backends.local.loading import render_chat
from voxemo.demo.tiny.answers import Heard
from voxemo.demo.tiny.batches import OnStep, Optimiser, Schedule, batches_of_like_length
from voxemo.demo.tiny.learn_hearing import Features
from voxemo.demo.tiny.questions import draw_lesson

N_RISING = 100
CLIPS_TOGETHER = 64
BATCHES_DRAWN_TOGETHER = 16
IGNORED = -100
ROUND = 64
"""Widths are rounded up to this: a processor makes a kernel for every new shape, which takes time and memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Dialogue:
    """Token ids of a prompt, with its audio tokens, and of the answer, with its stop token."""

    prompt: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def tower_outputs(model: Any, features: Features, device: str) -> list[torch.Tensor]:
    """What the tower gives of every clip, at half precision, each of shape (n_audio_tokens, d_model)."""
    tower = model.model.audio_tower
    outputs: list[torch.Tensor] = [torch.empty(0)] * len(features.mels)
    order = np.argsort(features.n_frames, kind="stable")
    with torch.no_grad():
        for start in range(0, len(order), CLIPS_TOGETHER):
            indices = order[start : start + CLIPS_TOGETHER]
            mels, n_frames = features.stack(indices, device)
            pooled = pool_positions(tower, encode_positions(tower, mels, n_frames)).half().cpu()
            for index, row, n in zip(indices, pooled, pooled_positions(n_frames).tolist(), strict=True):
                outputs[index] = row[:n].clone()
    return outputs


def write_dialogues(
    heard: Sequence[Heard], n_audio_tokens: Sequence[int], processor: Any, rng: np.random.Generator
) -> list[Dialogue]:
    """Draw one question about each clip, and write it down with its answer as the chat template has it."""
    lessons = [draw_lesson(one, rng) for one in heard]
    tokenizer = processor.tokenizer
    audio = tokenizer.convert_tokens_to_ids(processor.audio_token)
    prompts = tokenizer([render_chat(processor, lesson.prompt) for lesson in lessons])["input_ids"]
    answers = tokenizer([lesson.answer for lesson in lessons])["input_ids"]
    dialogues = []
    for prompt, answer, n_tokens in zip(prompts, answers, n_audio_tokens, strict=True):
        place = prompt.index(audio)
        whole = [*prompt[:place], *[audio] * n_tokens, *prompt[place + 1 :]]
        dialogues.append(Dialogue(whole, [*answer, tokenizer.eos_token_id]))
    return dialogues


def learn_answering(
    model: Any,
    processor: Any,
    heard: Sequence[Heard],
    outputs: Sequence[torch.Tensor],
    schedule: Schedule,
    *,
    rng: np.random.Generator,
    device: str,
    on_step: OnStep,
) -> None:
    """Train the language model and the projector of a model, in place.

    Args:
        model: on ``device``, with a trained tower.
        processor: of the model.
        heard: what there is to say about each clip.
        outputs: what the tower gives of the same clips.
        schedule: of the training, in batches of questions.
        rng: of the order of clips and of the questions.
        device: torch's name.
        on_step: called after every step.
    """
    trained = [
        parameter
        for part in (model.model.multi_modal_projector, model.model.language_model, model.lm_head)
        for parameter in part.parameters()
    ]
    optimiser = Optimiser(trained, n_steps=schedule.n_steps, peak=schedule.peak, n_rising=N_RISING)
    model.train()
    model.model.audio_tower.eval()
    done = 0
    while done < schedule.n_steps:
        order = rng.permutation(len(heard))
        drawn_together = schedule.batch_size * BATCHES_DRAWN_TOGETHER
        for start in range(0, len(order), drawn_together):
            clips = order[start : start + drawn_together]
            dialogues = write_dialogues([heard[i] for i in clips], [len(outputs[i]) for i in clips], processor, rng)
            lengths = np.array([len(dialogue) for dialogue in dialogues])
            for places in batches_of_like_length(lengths, size=schedule.batch_size, rng=rng):
                batch = [dialogues[place] for place in places]
                loss = dialogue_loss(model, batch, [outputs[i] for i in clips[places]], device)
                optimiser.step(loss)
                done += 1
                on_step(done, float(loss.detach()))
                if done == schedule.n_steps:
                    model.eval()
                    return


def dialogue_loss(
    model: Any, dialogues: Sequence[Dialogue], outputs: Sequence[torch.Tensor], device: str
) -> torch.Tensor:
    """Mean cross-entropy of the answer tokens, in nats.

    Rows are filled up on the right: nothing that is kept can look there.
    """
    width = -(-max(map(len, dialogues)) // ROUND) * ROUND
    tokens = torch.zeros(len(dialogues), width, dtype=torch.long)
    targets = torch.full((len(dialogues), width), IGNORED)
    for row, one in enumerate(dialogues):
        tokens[row, : len(one)] = torch.tensor(one.prompt + one.answer)
        targets[row, len(one.prompt) - 1 : len(one) - 1] = torch.tensor(one.answer)
    tokens, targets = tokens.to(device), targets.to(device)
    language_model = model.model.language_model
    pooled = torch.cat(list(outputs)).float().to(device)
    with torch.autocast(device.partition(":")[0], torch.bfloat16):
        heard = model.model.multi_modal_projector(pooled)
        embeddings = language_model.embed_tokens(tokens)
        audio = (tokens == model.config.audio_token_id)[..., None]
        hidden = language_model(
            inputs_embeds=embeddings.masked_scatter(audio, heard.to(embeddings.dtype)), use_cache=False
        ).last_hidden_state
        said = targets != IGNORED
        logits = model.lm_head(hidden[said])
    return functional.cross_entropy(logits.float(), targets[said])
