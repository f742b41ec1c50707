"""First half of the training: the audio tower learns letters, prosody and emotion, each from a head of its own.

The heads are thrown away. What they read must then lie open in the embeddings that the language model gets: letters,
pitch and syllables at every position, the rest in the mean over a clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from voxemo.backends.local.audio_tower import (
    encode_positions,
    pool_positions,
    pooled_positions,
    positions,
    window_frames,
)
from voxemo.backends.local.log_mel import LogMel
from voxemo.demo.design import labels
from voxemo.demo.measure import MEASURES
from voxemo.demo.tiny.batches import Indices, OnStep, Optimiser, Schedule, batches_of_like_length
from voxemo.demo.tiny.contour import VALUES, YES_OR_NO
from voxemo.demo.tiny.speech import Reading

BLANK = 0
N_RISING = 200
Z_MOST = 4.0
"""Measures further from their mean, in standard deviations, are brought back to this."""
MEASURES_WEIGHT = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Log-mel features of many clips, at half precision, each with its own length."""

    mels: Sequence[torch.Tensor]
    n_frames: Indices
    most: int
    """Frames of the tower's window."""

    @classmethod
    def of(cls, readings: Sequence[Reading], feature_extractor: Any) -> "Features":
        """Features as the model's own processor makes them."""
        log_mel = LogMel.of(feature_extractor)
        n_frames = [log_mel.n_frames(len(reading.samples)) for reading in readings]
        mels = [
            log_mel(reading.waveform, n_frames=window_frames(n, most=feature_extractor.nb_max_frames)).half()
            for reading, n in zip(readings, n_frames, strict=True)
        ]
        return cls(mels, np.array(n_frames), feature_extractor.nb_max_frames)

    def stack(self, indices: Indices, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Features, shape (n_clips, n_mels, width), and frames of each clip."""
        width = window_frames(int(self.n_frames[indices].max()), most=self.most)
        # The last frame of every clip lies beyond its sound: what it holds is how silence looks.
        rows = [
            functional.pad(self.mels[i], (0, width - self.mels[i].shape[1]), value=float(self.mels[i].min()))
            for i in indices
        ]
        return torch.stack(rows).float().to(device), torch.tensor(self.n_frames[indices], device=device)


def make_heads(model: Any, *, n_letters: int) -> Any:
    """Untrained heads: ``letters`` and ``contour`` by position, ``measures`` and ``labels`` by clip."""
    audio, text = model.config.audio_config, model.config.text_config
    return nn.ModuleDict(
        {
            "letters": nn.Linear(audio.d_model, n_letters + 1),
            "contour": nn.Linear(audio.d_model, len(YES_OR_NO) + len(VALUES)),
            "measures": nn.Linear(text.hidden_size, 2 * len(MEASURES)),
            "labels": nn.Linear(text.hidden_size, len(labels())),
        }
    )


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What the heads are to say."""

    letters: Sequence[torch.Tensor]
    contours: Sequence[torch.Tensor]
    """Each of shape (n_positions, n_targets), as ``contour`` has them."""
    measures: torch.Tensor
    """Standardised, against nothing and against the plain voice; shape (n_clips, 2 * n_measures)."""
    labels: torch.Tensor
    n_letters: int

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> "Targets":
        """The targets of clips."""
        alphabet = sorted({letter for reading in readings for letter in reading.transcript.lower()})
        spelling = {letter: number for number, letter in enumerate(alphabet, start=BLANK + 1)}
        measures = np.stack([np.concatenate([r.measures, r.against_plain]) for r in readings])
        scaled = (measures - measures.mean(axis=0)) / measures.std(axis=0)
        return cls(
            letters=[torch.tensor([spelling[letter] for letter in r.transcript.lower()]) for r in readings],
            contours=[torch.from_numpy(r.contour) for r in readings],
            measures=torch.tensor(scaled.clip(-Z_MOST, Z_MOST), dtype=torch.float32),
            labels=torch.tensor([labels().index(reading.label) for reading in readings]),
            n_letters=len(alphabet),
        )


def learn_hearing(
    model: Any,
    features: Features,
    targets: Targets,
    schedule: Schedule,
    *,
    rng: np.random.Generator,
    device: str,
    on_step: OnStep,
) -> None:
    """Train the audio tower and the projector of a model, in place.

    Args:
        model: on ``device``.
        features: of every clip.
        targets: of the same clips.
        schedule: of the training, in batches of clips.
        rng: of the order of clips; torch's own state decides the heads.
        device: torch's name.
        on_step: called after every step.
    """
    tower, projector = model.model.audio_tower, model.model.multi_modal_projector
    heads = make_heads(model, n_letters=targets.n_letters).to(device)
    trained = [
        parameter for part in (tower, projector, heads) for parameter in part.parameters() if parameter.requires_grad
    ]
    optimiser = Optimiser(trained, n_steps=schedule.n_steps, peak=schedule.peak, n_rising=N_RISING)
    tower.train()
    done = 0
    while done < schedule.n_steps:
        for indices in batches_of_like_length(features.n_frames, size=schedule.batch_size, rng=rng):
            loss = _loss(tower, projector, heads, features, targets, indices, device)
            optimiser.step(loss)
            done += 1
            on_step(done, float(loss.detach()))
            if done == schedule.n_steps:
                break
    tower.eval()


def _loss(
    tower: Any, projector: Any, heads: Any, features: Features, targets: Targets, indices: Indices, device: str
) -> torch.Tensor:
    mels, n_frames = features.stack(indices, device)
    with torch.autocast(device.partition(":")[0], torch.bfloat16):
        hidden = encode_positions(tower, mels, n_frames)
        embeddings = projector(pool_positions(tower, hidden)).float()
        letters, contour = heads["letters"](hidden).float(), heads["contour"](hidden).float()
    mean = mean_over_clip(embeddings, pooled_positions(n_frames))
    spelled = [targets.letters[i] for i in indices]
    by_letter = functional.ctc_loss(
        letters.log_softmax(-1).transpose(0, 1).cpu(),
        torch.cat(spelled),
        positions(n_frames).cpu(),
        torch.tensor([len(word) for word in spelled]),
        blank=BLANK,
        zero_infinity=True,
    )
    heard = torch.arange(contour.shape[1], device=device) < positions(n_frames)[:, None]
    by_moment = contour_loss(contour[heard], torch.cat([targets.contours[i] for i in indices]).to(device))
    by_measure = functional.smooth_l1_loss(heads["measures"](mean), targets.measures[indices].to(device))
    by_label = functional.cross_entropy(heads["labels"](mean), targets.labels[indices].to(device))
    return by_letter.to(device) + by_moment + MEASURES_WEIGHT * by_measure + by_label


def contour_loss(said: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Mean loss over moments, both of shape (n_moments, n_targets); pitch counts where there is one."""
    n_answers = len(YES_OR_NO)
    voiced, pitch = true[:, YES_OR_NO.index("voiced")], n_answers + VALUES.index("pitch")
    by_answer = functional.binary_cross_entropy_with_logits(said[:, :n_answers], true[:, :n_answers])
    by_value = functional.smooth_l1_loss(said[:, n_answers:], true[:, n_answers:], reduction="none")
    by_value[:, pitch - n_answers] *= voiced
    return by_answer + by_value.mean()


def mean_over_clip(embeddings: torch.Tensor, n_tokens: torch.Tensor) -> torch.Tensor:
    """Mean of each clip's own embeddings, shape (n_clips, width)."""
    own = torch.arange(embeddings.shape[1], device=embeddings.device) < n_tokens[:, None]
    return (embeddings * own[..., None]).sum(1) / n_tokens[:, None]
