"""What this machine can run: its hardware, what is installed, and which keys and folders voxemo would use."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from voxemo import __version__
from voxemo.backends.endpoint.access import ADDRESS_VARIABLE, KEY_VARIABLE
from voxemo.store.layout import Workspace
from voxemo.store.provenance import hardware, package_versions

GIBIBYTE = 1 << 30
EXTRAS: Mapping[str, tuple[str, str]] = {
    "hf": ("torch", "speech LLMs on this machine"),
    "baseline": ("sklearn", "the acoustic baseline"),
    "serve": ("openai", "models behind an OpenAI-compatible endpoint"),
    "ray": ("ray", "asking on a Ray cluster"),
    "audformat": ("audformat", "corpora in audformat"),
    "demo": ("espeakng_loader", "making synthetic speech"),
}
"""Extra to a module that it brings, and what needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What `voxemo doctor` found."""

    facts: tuple[tuple[str, str], ...]
    """Title and text, in the order to show."""
    missing: tuple[tuple[str, str], ...]
    """Extra that is not installed, and what needs it."""


def inspect_machine(workspace: Workspace, environment: Mapping[str, str] = os.environ) -> Machine:
    """Look at this machine. Keys are named, never shown."""
    machine = hardware()
    versions = package_versions()
    installed = ", ".join(f"{name} {number}" for name, number in versions.items() if name not in ("voxemo", "python"))
    keys = [name for name in (KEY_VARIABLE, "HF_TOKEN") if environment.get(name)]
    facts = (
        ("voxemo", f"{__version__}, Python {versions['python']} on {machine['system']} {machine['machine']}"),
        ("processor", f"{machine['processor']}, {machine['n_cpus']} processors{_memory()}"),
        ("device", _device()),
        ("workspace", f"{workspace.root}, {_free(workspace.root)} free"),
        ("hub", "offline (HF_HUB_OFFLINE)" if environment.get("HF_HUB_OFFLINE") else "online: checkpoints are fetched"),
        ("endpoint", f"{ADDRESS_VARIABLE} is set" if environment.get(ADDRESS_VARIABLE) else "none set"),
        ("keys set", ", ".join(keys) or "none"),
        ("packages", installed),
    )
    missing = tuple((extra, purpose) for extra, (module, purpose) in EXTRAS.items() if find_spec(module) is None)
    return Machine(facts=facts, missing=missing)


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return ""
    return f", {total / GIBIBYTE:.0f} GiB of memory"


def _free(folder: Path) -> str:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return f"{shutil.disk_usage(there).free / GIBIBYTE:.0f} GiB"


def _device() -> str:
    if find_spec("torch") is None:
        return "torch is not installed"
    torch: Any = import_module("torch")
    if not torch.cuda.is_available():
        return f"no GPU that torch {torch.__version__} can use: models run on the processor"
    names = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        names.append(f"cuda:{index} {name}, {free / GIBIBYTE:.0f} of {total / GIBIBYTE:.0f} GiB free")
    return "; ".join(names)
