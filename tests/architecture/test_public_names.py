"""What others may rely on."""

import ast
from importlib.metadata import version
from pathlib import Path

import voxemo
from voxemo import testing

SOURCE = Path(voxemo.__file__).parent


def test_the_package_gives_its_version_and_nothing_else() -> None:
    assert voxemo.__version__ == version("voxemo")
    assert [name for name in vars(voxemo) if not name.startswith("_") and name not in submodules()] == []


def submodules() -> set[str]:
    return {path.stem for path in SOURCE.iterdir()}


def test_what_plugin_authors_use_is_named_and_sorted() -> None:
    assert testing.__all__ == sorted(testing.__all__)
    assert all(hasattr(testing, name) for name in testing.__all__)


def test_no_module_reaches_into_another_ones_private_names() -> None:
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("voxemo"):
                private = [
                    alias.name for alias in node.names if alias.name.startswith("_") and alias.name != "__version__"
                ]
                assert not private, f"{path.relative_to(SOURCE)} imports {private}"
