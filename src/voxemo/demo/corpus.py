"""The corpus `demo`: synthetic speech with emotion-like prosody, shipped with voxemo. ``build`` made it.

clips/<voice>_<language>_<label>_<number>.opus, utterances.csv, speakers.csv, and votes.csv with a column per listener.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from voxemo.catalog.lookup import read_document
from voxemo.core.cards import CorpusCard
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

NAME = re.compile(r"(?P<voice>v\d\d)_(?P<language>[a-z]{2})_(?P<label>[a-z]+)_\d\d")
FOLDER = Path(__file__).with_name("shipped")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every clip with what its voice was to play, and what ten simulated listeners called it."""
    transcripts = {row["clip"]: row["transcript"] for row in tree.read_csv("utterances.csv")}
    genders = {row["voice"]: row["gender"] for row in tree.read_csv("speakers.csv", columns=("voice", "gender"))}
    votes = {row.pop("clip"): Counter(row.values()) for row in tree.read_csv("votes.csv")}
    for path in tree.glob("clips/*.opus"):
        if name := NAME.fullmatch(path.stem):
            (first, most), *others = votes[path.stem].most_common(2)
            tied = any(n == most for _, n in others)
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                expressed_raw=name["label"],
                perceived_raw=None if tied else first,
                votes_raw={"all": dict(votes[path.stem])},
                speaker_id=name["voice"],
                speaker_gender=genders[name["voice"]],
                language=name["language"],
                transcript=transcripts[path.stem],
            )


DEMO = (read_document(Path(__file__).with_name("corpus.toml"), CorpusCard), parse, FOLDER)
"""What the entry point ``voxemo.corpora: demo`` names: card, parser, and the folder that is shipped."""
