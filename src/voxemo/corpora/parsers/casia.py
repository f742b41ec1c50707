"""CASIA, the public part: <speaker>/<emotion>/<three digits of the sentence>.wav."""

from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

SPEAKERS = ("liuchanhg", "wangzhe", "zhaoquanyin", "zhaozuoxiang")
EMOTIONS = ("angry", "fear", "happy", "neutral", "sad", "surprise")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the speaker's intended label. A file's name tells only the sentence."""
    for path in nearest_copies(tree.glob("**/*/*/[0-9][0-9][0-9].wav"), n_parts=3):
        speaker, emotion = path.parts[-3:-1]
        if speaker in SPEAKERS and emotion in EMOTIONS:
            yield ParsedUtterance(
                stem=f"{speaker}/{emotion}/{path.stem}",
                audio_path=str(path),
                expressed_raw=emotion,
                speaker_id=speaker,
            )
