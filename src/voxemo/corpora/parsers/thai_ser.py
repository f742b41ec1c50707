"""Thai-SER: studio*/studio<ddd>/con/*.flac, zoom*/zoom<ddd>/mic/*.flac, emotion_label.json and actor_demography.json.

A name is ``<s|z><session>_<con|mic>_actor<ddd>_<turn>``. The studio's other microphones (clip, middle) hold the same
speech again and are left unread.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from voxemo.core.errors import listing
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies
from voxemo.splits.policies import FOLD_PREFIX, FOLD_VALID, UNASSIGNED

LABELS = "emotion_label.json"
ACTORS = "actor_demography.json"
ACTOR_FIELDS = ("Actor's ID", "Sex", "Age")
RECORDINGS = ("**/con/s*.flac", "**/mic/z*.flac")

NAME = re.compile(
    r"(?P<session>(?P<place>[sz])(?P<number>\d{3}))_(?:con|mic)_actor(?P<actor>\d{3})"
    r"_(?:impro|script)\w+?(?:_(?P<digit>[1-5])[ab])?"
)
DIGITS = {"1": "Neutral", "2": "Angry", "3": "Happy", "4": "Sad", "5": "Frustrated"}
NO_EMOTION = {"None", "Other"}
"""Picks that are not counted; an annotator without another pick has no vote."""

# The authors' folds: ten sessions each, the first five for validation.
N_SESSIONS = 10
N_VALID = 5
FIRST_FOLD = {"s": 1, "z": 9}
LAST_SESSION = {"s": 80, "z": 20}


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every turn with its assigned emotion, the listeners' majority, their votes and the authors' fold.

    Every annotator has one vote, shared equally over the emotions picked.

    Raises:
        WrongLayout: the table of labels is missing, or a table is not in its documented form or contradicts a name.
    """
    labels = _labels(tree)
    actors = _actors(tree)
    for path in nearest_copies(path for pattern in RECORDINGS for path in tree.glob(pattern)):
        name = NAME.fullmatch(path.stem)
        if name is None:
            continue
        entry = labels.get(path.name)
        by_name = DIGITS.get(name["digit"] or "")
        assigned = by_name if entry is None else entry["assigned_emo"]
        if by_name is not None and assigned != by_name:
            raise tree.wrong_layout(f"{path.name!r} as {by_name!r} in {LABELS!r}, as its digit says", repr(assigned))
        votes = {} if entry is None else _votes(entry.get("annotated", []))
        gender, age = actors.get(name["actor"], (None, None))
        yield ParsedUtterance(
            stem=path.stem,
            audio_path=str(path),
            expressed_raw=assigned,
            perceived_raw=None if entry is None else entry.get("majority_emo"),
            votes_raw={"all": votes} if votes else {},
            # As in actor_demography.json.
            speaker_id=name["actor"],
            speaker_gender=gender,
            speaker_age=age,
            session_id=name["session"],
            provider_partition=_fold(name["place"], int(name["number"])),
            excluded_reason=f"improvised turn without a label in {LABELS}" if assigned is None else None,
        )


def _fold(place: str, number: int) -> str:
    if not 1 <= number <= LAST_SESSION[place]:
        return UNASSIGNED
    block, within = divmod(number - 1, N_SESSIONS)
    return f"{FOLD_PREFIX}{FIRST_FOLD[place] + block}{FOLD_VALID if within < N_VALID else ''}"


def _labels(tree: CorpusTree) -> dict[str, Mapping[str, Any]]:
    """File name to its one entry."""
    table = tree.nearest(LABELS)
    if table is None:
        hint = "It is a file of its own in release v1 of github.com/vistec-AI/dataset-releases."
        raise tree.wrong_layout(f"the table {LABELS!r} beside the recordings", listing(tree.top_level()), hint)
    content = tree.read_json(table)
    entries = {}
    for name, values in content.items() if isinstance(content, dict) else [("all of it", content)]:
        match values:
            case [{"assigned_emo": str()} as entry] if _are_lists(entry.get("annotated", [])):
                entries[name] = entry
            case _:
                expected = "a list of one object with 'assigned_emo', 'majority_emo' and a list of lists 'annotated'"
                raise tree.wrong_layout(f"{expected} for every file in {LABELS!r}", f"{name!r}: {str(values)[:200]}")
    return entries


def _are_lists(annotated: Any) -> bool:
    return isinstance(annotated, list) and all(isinstance(picks, list) for picks in annotated)


def _votes(annotated: list[list[str]]) -> dict[str, float]:
    votes: defaultdict[str, float] = defaultdict(float)
    for picks in annotated:
        # "Other" and "other" both occur.
        emotions = {str(pick).strip().capitalize() for pick in picks} - NO_EMOTION
        for emotion in emotions:
            votes[emotion] += 1 / len(emotions)
    return dict(sorted(votes.items()))


def _actors(tree: CorpusTree) -> dict[str, tuple[str, int | None]]:
    """Actor to gender and age."""
    table = tree.nearest(ACTORS)
    match {"data": []} if table is None else tree.read_json(table):
        case {"data": [*rows]} if all(isinstance(row, dict) and row.keys() >= {*ACTOR_FIELDS} for row in rows):
            found = ([str(row[field]) for field in ACTOR_FIELDS] for row in rows)
            return {actor: (sex.lower(), int(age) if age.isdecimal() else None) for actor, sex, age in found}
        case content:
            expected = f"'data', a list of objects with {listing(ACTOR_FIELDS)}, in {ACTORS!r}"
            raise tree.wrong_layout(expected, str(content)[:200])
