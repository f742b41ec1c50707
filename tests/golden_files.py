"""Golden files: what the package is known to print, compared byte for byte, rewritten only by `make golden`."""

import os
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent / "golden"
UPDATING = os.environ.get("VOXEMO_UPDATE_GOLDEN") == "1"


def check_golden(name: str, content: str) -> None:
    """Compare with the golden file of this name below tests/golden; with VOXEMO_UPDATE_GOLDEN=1, write it first."""
    path = GOLDEN / name
    if UPDATING:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")
    known = path.read_bytes().decode("utf-8") if path.is_file() else None
    assert content == known, (
        f"tests/golden/{name} differs; if the change is meant, run `make golden` and review the diff"
    )
