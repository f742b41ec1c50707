"""Imports point down (the table below), heavy packages stay where they belong, and starting is cheap."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "voxemo"

L1 = {"splits", "prompts", "parsing", "scoring"}
L2 = {"catalog", "corpora", "audio", "backends", "training", "store", "demo"}
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    **{package: {"core"} for package in L1},
    "catalog": {"core"},
    "audio": {"core"},
    "store": {"core", "splits"},
    "corpora": {"core", *L1, "audio", "catalog"},
    "backends": {"core", *L1, "audio", "catalog"},
    "training": {"core", *L1, "audio", "backends", "store"},
    "demo": {"core", *L1, "catalog", "audio", "backends", "training", "corpora"},
    "steps": {"core", *L1, *L2},
    "cluster": {"core", *L1, *L2, "steps"},
    "reports": {"core", "scoring", "store", "catalog", "audio"},
    "testing": {"core", *L1, *L2, "steps", "reports"},
    "cli": {"core", *L1, *L2, "steps", "cluster", "reports"},
}
"""Package to the packages it may import; each may import itself."""

HEAVY = {"torch", "transformers", "peft", "accelerate", "sklearn", "librosa", "openai", "vllm", "ray"}
MAY_NAME_HEAVY = {"backends", "training", "demo", "cluster"}
PURE_FORBIDDEN = {"pathlib", "os", "io", "time", "datetime", "random", "subprocess", "polars", "soundfile"}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def package_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_only_what_lies_below_it(path: Path) -> None:
    package = package_of(path)
    if package == "__init__":
        return
    own = {name.split(".")[1] for name in imported(path) if name.startswith("voxemo.")} - {package, "__version__"}

    assert own <= ALLOWED[package], f"{name_of(path)} imports {own - ALLOWED[package]}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_heavy_packages_are_named_only_where_they_belong(path: Path) -> None:
    named = {name.split(".")[0] for name in imported(path)} & HEAVY

    assert not named or package_of(path) in MAY_NAME_HEAVY


@pytest.mark.parametrize("path", [path for path in modules() if package_of(path) in L1 | {"core"}], ids=name_of)
def test_pure_packages_touch_no_file_clock_or_global_state(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & PURE_FORBIDDEN


@pytest.mark.parametrize(
    "module", ["voxemo", "voxemo.cli.main", "voxemo.steps.run", "voxemo.cluster.on_ray", "voxemo.backends.registry"]
)
def test_importing_needs_no_heavy_package(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set(m.split('.')[0] for m in sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not set(done.stdout.split()) & HEAVY


def test_help_imports_no_table_or_array_package() -> None:
    code = "import sys, voxemo.cli.main; print(*sorted(set(m.split('.')[0] for m in sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not set(done.stdout.split()) & {"polars", "numpy", "pydantic", "soundfile"}


def test_every_package_says_what_belongs_in_it() -> None:
    for init in SOURCE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), name_of(init)
