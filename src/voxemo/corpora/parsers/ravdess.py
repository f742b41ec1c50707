"""RAVDESS: Actor_<dd>/03-01-<emotion>-<intensity>-<statement>-<repetition>-<actor>.wav, speech as audio only."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

# 03 is audio without picture and 01 is speech: songs and videos have names of the same form.
NAME = re.compile(r"03-01-(?P<emotion>\d\d)-\d\d-(?P<statement>\d\d)-\d\d-(?P<actor>\d\d)")
# The two sentences, from the corpus's description.
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every spoken recording with the actor's intended label; of files that occur twice, the outer copy.

    Raises:
        WrongLayout: a file's name says another actor than its folder.
    """
    # A copy on Kaggle holds every actor's folder again in an inner folder.
    for path in nearest_copies(tree.glob("**/Actor_[0-9][0-9]/03-01-*.wav")):
        if name := NAME.fullmatch(path.stem):
            actor = name["actor"]
            tree.check_folder(path, f"Actor_{actor}", by="its last number says")
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                expressed_raw=name["emotion"],
                speaker_id=actor,
                speaker_gender="male" if int(actor) % 2 else "female",
                transcript=STATEMENTS.get(name["statement"]),
            )
