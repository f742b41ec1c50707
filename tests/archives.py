"""Archives made in memory, and folders as what they hold."""

import io
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from voxemo.corpora.download_folder import STORE


def zip_of(files: dict[str, bytes]) -> bytes:
    """A zip archive with these names as they are."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


def tar_of(files: dict[str, bytes], mode: str = "w", others: Iterable[tuple[tarfile.TarInfo, bytes]] = ()) -> bytes:
    """A tar archive; ``others`` come before the files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        for info, content in (*others, *((tarfile.TarInfo(name), content) for name, content in files.items())):
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, without what a download keeps for itself."""
    files = (path for path in folder.rglob("*") if path.is_file() and STORE not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
