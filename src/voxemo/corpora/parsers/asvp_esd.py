"""ASVP-ESD: <Audio|Bonus>/actor_<n>/03-<channel>-<emotion>-<intensity>-<statement>-<actor>-<two to six more>.wav."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

# Fields have two digits as a rule, but not always, and a blank may stand before a hyphen ("-00-14 -05").
NAME = re.compile(r"03-\d\d-(?P<emotion>\d\d)(?: *-\d+){2} *-(?P<actor>\d+)(?: *-\d+){2,6} *")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every clip, speech or not, with the label that its raters heard.

    The speaker is the name's sixth field. Folders differ from it here and there, and one, ``actor_``, names nobody.
    Languages and ages are left open: readers contradict each other on the codes of the one, and the others are spans.
    """
    paths = (*tree.glob("**/Audio/actor_*/03-*.wav"), *tree.glob("**/Bonus/actor_*/03-*.wav"))
    for path in nearest_copies(paths, n_parts=3):
        if name := NAME.fullmatch(path.stem):
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                perceived_raw=name["emotion"],
                speaker_id=name["actor"],
                # The bonus tree's three numbers, 50, 150 and 200, are too round to be three men.
                speaker_gender=_gender(name["actor"]) if path.parts[-3] == "Audio" else None,
            )


def _gender(actor: str) -> str | None:
    """By the provider's rule, in which even numbers are men. Zero says nothing of a person."""
    if int(actor) == 0:
        return None
    return "female" if int(actor) % 2 else "male"
