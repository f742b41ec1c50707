"""What is trained: one corpus, or a mixture of several. Only names; ``steps.fine_tune`` does it."""

import math
from dataclasses import dataclass, field

from voxemo.core.errors import TrainingError
from voxemo.training.lora import LoraRecipe

MIXED, MIXED_FOLD = "mixture", "1"
"""Stand where a training on one corpus has its split and its fold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One corpus of a mixture: the training and validation parts of a fold."""

    corpus: str
    split_id: str = "protocol"
    fold_id: str | None = None
    """The first one when None."""
    weight: float | None = None
    """Of an epoch, against the other corpora's; None, for all of them, gives every utterance its one turn."""
    labels: tuple[str, ...] | None = None
    """Learn only utterances that have one of these, and ask about those labels alone."""
    language: str | None = None
    """Learn only utterances in this language (a primary tag)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Several corpora to train one model on, or parts of one."""

    mixture_id: str
    """Names the training in the workspace, as a corpus's id does."""
    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        """Refuse weights that mean nothing."""
        weights = [source.weight for source in self.sources]
        stated = [weight for weight in weights if weight is not None]
        if not weights or len(stated) not in (0, len(weights)) or not all(0 < weight < math.inf for weight in stated):
            raise TrainingError(
                f"{self.mixture_id} has the weights {', '.join(map(str, weights)) or 'of no corpus'}. Give every "
                "corpus one above 0, or none of them."
            )
        doubled = [source.corpus for source in self.sources]
        if len(set(doubled)) < len(doubled):
            raise TrainingError(f"{self.mixture_id} names a corpus twice: {', '.join(doubled)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training of a study."""

    model: str
    """Name of the base's card, or path to it."""
    source: str | Mixture
    """A corpus, or a mixture."""
    split_id: str = "protocol"
    """Of a single corpus."""
    every_fold: bool = True
    """Of a single corpus: train on every fold, or on the first one alone, which then stands for the corpus."""
    folds: tuple[str, ...] | None = None
    """Of a single corpus: only these."""
    recipe: LoraRecipe = field(default_factory=LoraRecipe)
    seed: int = 0
    name: str | None = None
    """Of what comes out; the base's with ``-sft`` when None."""

    @property
    def corpora(self) -> tuple[str, ...]:
        """Every corpus that is trained on."""
        if isinstance(self.source, str):
            return (self.source,)
        return tuple(one.corpus for one in self.source.sources)
