"""What a training has come to: enough to go on from after an interruption, to the same bits.

The order of utterances, the learning rate and everything random follow from the seed and the step, so they are not
kept. One safetensors file holds it all, so that it is whole or is not there; nothing in it is ever executed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from voxemo.core.errors import TrainingError

STATE_KEY = "state"
GROUPS = ("weights", "first_moments", "second_moments", "best")


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What an epoch came to."""

    epoch: int
    """Counted from 1."""
    train_loss: float
    """Mean over the epoch's steps, in nats per answer token."""
    valid_loss: float | None = None
    valid_ua: float | None = None
    """Unweighted accuracy of the written answers, by the strict reading; a failed answer is wrong."""
    n_valid: int = 0
    n_failed: int = 0
    """Answers that name no label."""


@dataclass(slots=True, kw_only=True, eq=False)
class TrainingState:
    """A training between two steps."""

    step: int = 0
    """Steps that are done."""
    weights: dict[str, torch.Tensor]
    first_moments: dict[str, torch.Tensor] = field(default_factory=dict)
    second_moments: dict[str, torch.Tensor] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    """Of every step, in nats per answer token."""
    epochs: list[Epoch] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    """Weights of the best epoch so far; empty without a validation part."""
    best_epoch: int | None = None

    def to_bytes(self) -> bytes:
        """The state as a safetensors file."""
        tensors = {
            f"{group}/{name}": tensor.contiguous() for group in GROUPS for name, tensor in getattr(self, group).items()
        }
        facts: dict[str, Any] = {
            "step": self.step,
            "losses": self.losses,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "best_epoch": self.best_epoch,
        }
        return save(tensors, metadata={STATE_KEY: json.dumps(facts)})

    @classmethod
    def from_bytes(cls, content: bytes) -> "TrainingState":
        """Read what ``to_bytes`` wrote.

        Raises:
            TrainingError: it is no such file.
        """
        groups: dict[str, dict[str, torch.Tensor]] = {group: {} for group in GROUPS}
        try:
            facts: Mapping[str, Any] = json.loads(_metadata(content)[STATE_KEY])
            for name, tensor in load(content).items():
                group, _, own = name.partition("/")
                groups[group][own] = tensor
            return cls(
                step=facts["step"],
                losses=facts["losses"],
                epochs=[Epoch(**epoch) for epoch in facts["epochs"]],
                best_epoch=facts["best_epoch"],
                **groups,
            )
        except (SafetensorError, ValueError, KeyError, TypeError) as cause:
            raise TrainingError(
                f"The checkpoint of the training is damaged: {cause}. Remove it to begin anew."
            ) from cause


def _metadata(content: bytes) -> Mapping[str, str]:
    n_bytes = int.from_bytes(content[:8], "little")
    found: Mapping[str, str] = json.loads(content[8 : 8 + n_bytes])["__metadata__"]
    return found
