"""What this machine and this installation are, for manifests and worker files. No user names, no paths."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "voxemo",
    "numpy",
    "polars",
    "pydantic",
    "soundfile",
    "soxr",
    "scikit-learn",
    "librosa",
    "torch",
    "transformers",
    "accelerate",
    "peft",
)


@cache
def package_versions() -> dict[str, str]:
    """Versions of the installed packages that an answer or a score can depend on, and of Python."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Processor and operating system, in general terms."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "n_cpus": os.cpu_count(),
    }


@cache
def git_state() -> tuple[str | None, bool | None]:
    """Commit of the checkout that voxemo runs from and whether it was changed; (None, None) outside a checkout."""
    folder = Path(__file__).resolve().parents[3]
    if not (folder / ".git").exists():
        return None, None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()
