"""Reading and replacing a run's manifest."""

from pathlib import Path

from pydantic import ValidationError

from voxemo.core.cards import RunManifest
from voxemo.core.errors import RunError
from voxemo.store.files import read_json, write_json
from voxemo.store.layout import RunPaths


def read_manifest(run: Path) -> RunManifest:
    """The manifest of a run folder.

    Raises:
        RunError: there is no such run, or its manifest does not fit the schema.
    """
    paths = RunPaths(run)
    if not paths.manifest.is_file():
        raise RunError(f"{run} is no run folder: it has no manifest.json. `voxemo plan` or `voxemo run` makes one.")
    try:
        return RunManifest.model_validate(read_json(paths.manifest))
    except ValidationError as cause:
        where = "; ".join(".".join(map(str, error["loc"])) + ": " + error["msg"] for error in cause.errors()[:3])
        raise RunError(f"{paths.manifest} does not fit this version's schema ({where}). Plan the run again.") from cause


def write_manifest(run: Path, manifest: RunManifest) -> None:
    """Write or replace the manifest, atomically."""
    write_json(RunPaths(run).manifest, manifest.model_dump(mode="json"))
