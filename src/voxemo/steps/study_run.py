"""One run of a study, as it is asked for."""

from dataclasses import dataclass, field

from voxemo.steps.mixtures import Training
from voxemo.steps.plan import PlanOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRun:
    """One run of a study."""

    corpus: str
    model: str
    """Name of a model card, or path to one; of the base where the model is trained first."""
    split_id: str = "protocol"
    options: PlanOptions = field(default_factory=PlanOptions)
    training: Training | None = None
    """Gives the model that is run."""
