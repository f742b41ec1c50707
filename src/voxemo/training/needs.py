"""What fine-tuning needs that a plain installation lacks."""

from importlib.util import find_spec

from voxemo.core.errors import MissingDependency

PACKAGES = ("torch", "transformers", "peft")


def check_fine_tuning() -> None:
    """Refuse to begin without them.

    Raises:
        MissingDependency: the extra ``hf`` is not installed.
    """
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingDependency("Fine-tuning", package=package, extra="hf")
