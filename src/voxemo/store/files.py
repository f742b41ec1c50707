"""Atomic files: a reader sees the old content or the new, never a part of it."""

import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from voxemo.core.errors import RunError


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name in the same folder, flush, fsync, rename.

    On any failure the old file stays as it was and the temporary one is removed.

    Raises:
        RunError: the disk is full, the folder may not be written, or the like.
    """
    # Random, because containers that share a disk may share process ids.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as cause:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(cause, OSError):
            raise RunError(
                f"{path} could not be written ({cause.strerror or cause}). What stood there before is as it was. "
                "Make room or give access, and run the same command again."
            ) from cause
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file for people and programs: indented, keys in the given order, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def remove(path: Path) -> bool:
    """Remove a derived file; tells whether there was one.

    Raises:
        RunError: the folder may not be written.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as cause:
        raise RunError(f"{path} could not be removed ({cause.strerror}). Give access, or work on a copy.") from cause
    return True


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RunError: the file is missing, damaged, or may not be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as cause:
        raise RunError(f"{path} is missing; the step that writes it has not run or was interrupted.") from cause
    except OSError as cause:
        raise RunError(f"{path} cannot be opened ({cause.strerror}). Give access to it.") from cause
    except ValueError as cause:
        raise RunError(f"{path} is damaged ({cause}). Run the step that writes it again.") from cause
