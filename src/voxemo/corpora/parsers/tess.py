"""TESS: <OAF|YAF>_<word>_<emotion>.wav, in one folder or in one per speaker and emotion."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

# Read from both ends, so that a word may hold an underscore. Some copies spell one file "OA_bite_neutral.wav".
NAME = re.compile(r"(?P<speaker>OAF?|YAF)_(?P<word>.+)_(?P<emotion>angry|disgust|fear|happy|neutral|ps|sad)")
# The older and the younger actress, from the corpus's description.
AGES = {"OAF": 64, "YAF": 26}


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the actress's intended label; of files that occur twice, the outer copy.

    The label comes from the file's name: mirrors spell the folders in many ways.
    """
    # A copy on Kaggle holds every folder again in an inner folder.
    for path in nearest_copies(tree.glob("**/[OY]A*_*_*.wav")):
        if name := NAME.fullmatch(path.stem):
            speaker = "OAF" if name["speaker"].startswith("O") else "YAF"
            yield ParsedUtterance(
                stem=f"{speaker}_{name['word']}_{name['emotion']}",
                audio_path=str(path),
                expressed_raw=name["emotion"],
                speaker_id=speaker,
                speaker_gender="female",
                speaker_age=AGES[speaker],
                transcript=f"Say the word {name['word']}.",
            )
