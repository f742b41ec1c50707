"""ShEMO: female/F<dd><emotion><dd>.wav, male/M<dd><emotion><dd>.wav, and shemo.json, its cleaned version's list."""

import re
from collections.abc import Iterator
from typing import Any

from voxemo.core.errors import listing
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

CLEANED = "shemo.json"
EMOTIONS = {"A": "angry", "F": "fearful", "H": "happy", "N": "neutral", "S": "sad", "W": "surprised"}
GENDERS = {"F": "female", "M": "male"}
NAME = re.compile(r"(?P<speaker>(?P<gender>[FM])\d\d)(?P<emotion>[AFHNSW])\d\d")
BYTE_ORDER_MARK = "\ufeff"


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the annotators' majority label; those that the cleaned list lacks are left out.

    Raises:
        WrongLayout: the cleaned list is missing or of another form, or it or a folder contradicts a file's name.
    """
    cleaned = _cleaned(tree)
    for path in tree.glob("*/*.wav"):
        name = NAME.fullmatch(path.stem)
        if name is None or path.parent.name not in GENDERS.values():
            continue
        tree.check_folder(path, GENDERS[name["gender"]], by="its first letter says")
        entry = cleaned.get(path.stem)
        if entry is not None and entry["emotion"] != EMOTIONS[name["emotion"]]:
            expected = f"{path.stem!r} as {EMOTIONS[name['emotion']]!r} in {CLEANED!r}, as its letter says"
            raise tree.wrong_layout(expected, repr(entry["emotion"]))
        # Some transcripts begin with a byte order mark of the files that they come from.
        transcript = "" if entry is None else str(entry.get("transcript", "")).strip(BYTE_ORDER_MARK).strip()
        yield ParsedUtterance(
            stem=path.stem,
            audio_path=str(path),
            perceived_raw=name["emotion"],
            speaker_id=name["speaker"],
            speaker_gender=GENDERS[name["gender"]],
            transcript=transcript or None,
            excluded_reason=f"not in the cleaned list {CLEANED}" if entry is None else None,
        )


def _cleaned(tree: CorpusTree) -> dict[str, dict[str, Any]]:
    """Name to entry. The list is known as objects that hold their ``id``, and as one object keyed by the names."""
    if not tree.exists(CLEANED):
        raise tree.wrong_layout(
            f"the cleaned list {CLEANED!r} beside the folders 'female' and 'male'",
            listing(tree.top_level()),
            "Get it from github.com/pariajm/sharif-emotional-speech-dataset; the corpus's own archives lack it.",
        )
    content = tree.read_json(CLEANED)
    if isinstance(content, list):
        content = {entry.get("id") if isinstance(entry, dict) else None: entry for entry in content}
    if not isinstance(content, dict) or not content:
        raise tree.wrong_layout(f"a list of utterances in {CLEANED!r}", type(content).__name__)
    for key, entry in content.items():
        if not isinstance(key, str) or not isinstance(entry, dict) or "emotion" not in entry:
            raise tree.wrong_layout(f"a name and an 'emotion' in every entry of {CLEANED!r}", f"{key!r}: {entry!r}")
    return {key.removesuffix(".wav"): entry for key, entry in content.items()}
