"""SAVEE: AudioData/<speaker>/<emotion><number>.wav, or all in one folder as <speaker>_<emotion><number>.wav."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

SPEAKERS = ("DC", "JE", "JK", "KL")
NAME = re.compile(rf"(?:(?P<speaker>{'|'.join(SPEAKERS)})_)?(?P<code>(?P<emotion>sa|su|[adfhn])\d{{2}})")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the actor's intended emotion; both layouts give the same names of utterances.

    Raises:
        WrongLayout: a file's name says another speaker than its folder.
    """
    found: dict[str, ParsedUtterance] = {}
    for path in sorted(tree.glob("**/*.wav"), key=lambda path: (len(path.parts), path)):
        name = NAME.fullmatch(path.stem)
        folder = path.parent.name if path.parent.name in SPEAKERS else None
        speaker = folder or (name and name["speaker"])
        if name is None or speaker is None:
            continue
        if folder and name["speaker"]:
            tree.check_folder(path, name["speaker"], by="its name says")
        # As in EmoBox's keys, whose paths fit the flat layout alone. Of two copies the nearer to the root is read.
        stem = f"{speaker}-{name['code']}"
        if stem not in found:
            found[stem] = ParsedUtterance(
                stem=stem,
                audio_path=str(path),
                expressed_raw=name["emotion"],
                speaker_id=speaker,
                speaker_gender="male",  # all four, by AudioData/Info.txt
            )
    yield from sorted(found.values(), key=lambda one: one.audio_path)
