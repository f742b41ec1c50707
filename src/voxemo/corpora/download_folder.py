"""The hidden folder that a download keeps below a corpus's, for what is not the corpus and what was found whole."""

import re
from pathlib import Path

STORE = ".voxemo-download"
"""Its name. It holds archives, ``.part`` files of cut downloads, and files that were not what they should be."""

SUMS = "SHA256SUMS"
"""File in it, in the form that ``sha256sum -c`` reads."""


def key_of(place: Path, folder: Path) -> str:
    """What a file is called in ``SHA256SUMS`` and in results: its path relative to the corpus's folder."""
    return place.relative_to(folder).as_posix()


def read_sums(folder: Path) -> dict[str, str]:
    """Files that were found whole: path relative to the corpus's folder, to SHA-256.

    Later lines count; a torn one does not.
    """
    path = folder / STORE / SUMS
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    matches = (re.fullmatch(r"([0-9a-f]{64})  (.+)", line) for line in lines)
    return {match[2]: match[1] for match in matches if match is not None}


def add_sum(folder: Path, key: str, sha256: str) -> None:
    """Note that a file is whole."""
    with (folder / STORE / SUMS).open("a", encoding="utf-8") as file:
        file.write(f"{sha256}  {key}\n")


def set_aside(place: Path, folder: Path) -> Path:
    """Move a file that is not what it should be out of the way; returns where it lies now.

    It is no longer noted as whole, so that any copy may take its place, also one that is put there by hand.
    """
    wrong = folder / STORE / f"{place.name}.wrong"
    place.replace(wrong)
    others = {key: sha256 for key, sha256 in read_sums(folder).items() if key != key_of(place, folder)}
    (folder / STORE / SUMS).write_text(
        "".join(f"{sha256}  {key}\n" for key, sha256 in others.items()), encoding="utf-8"
    )
    return wrong
