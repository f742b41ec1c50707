"""MEAD: <M|W><ddd>/audio/<emotion>/level_<1-3>/<ddd>.m4a; the videos lie beside the folder audio."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

PLACE = re.compile(
    r"(?:.*/)?(?P<actor>(?P<gender>[MW])\d{3})/audio/(?P<emotion>[a-z]+)/(?P<level>level_[123])/(?P<number>\d{3})\.m4a"
)


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the actor's intended label, whatever its intensity."""
    for path in nearest_copies(tree.glob("**/*/audio/*/level_[123]/*.m4a"), n_parts=5):
        if place := PLACE.fullmatch(str(path)):
            yield ParsedUtterance(
                # Clips are numbered anew in every folder.
                stem="/".join(place.group("actor", "emotion", "level", "number")),
                audio_path=str(path),
                expressed_raw=place["emotion"],
                speaker_id=place["actor"],
                speaker_gender="male" if place["gender"] == "M" else "female",
            )
