"""A corpus of one's own: a card beside this file, and a parser."""

from collections.abc import Iterator
from pathlib import Path

from voxemo.catalog.lookup import read_document
from voxemo.core.cards import CorpusCard
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield ``<speaker>-<emotion>-<take>.wav``."""
    for path in tree.glob("audio/*.wav"):
        speaker, emotion, _take = path.stem.split("-")
        yield ParsedUtterance(stem=path.stem, audio_path=str(path), speaker_id=speaker, expressed_raw=emotion)


CORPUS = (read_document(Path(__file__).with_name("corpus.toml"), CorpusCard), parse)
