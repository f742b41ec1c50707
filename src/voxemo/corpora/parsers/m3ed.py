"""M3ED: modality_speech/<A|B>_<show>_<dialogue>_<utterance>.wav, annotation.json and splitInfo/movie_list_*.txt.

The tables come from the corpus's repository and the audio from elsewhere, so the tables may lie in a folder of their
own. annotation.json nests show, dialogue, ``SpeakerInfo`` and ``Dialog``, utterance, ``EmoAnnotation``.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.parsers._json import field, of_kind
from voxemo.corpora.tree import CorpusTree
from voxemo.splits.policies import UNASSIGNED

TABLE = "annotation.json"
ANNOTATORS = ("EmoAnnotator1", "EmoAnnotator2", "EmoAnnotator3")
LISTS = {"train": "train", "val": "valid", "test": "test"}
# An annotator may give several labels. How the file separates them was not seen: a list, or one of these signs.
SEPARATORS = re.compile(r"[,;/]")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every annotated utterance with its main emotion and every label that the three annotators gave.

    The table names utterances that the provider ships no audio for. They are left out with a reason; the card counts
    all others, so a copy that lacks more audio is noticed.

    Raises:
        WrongLayout: a table is missing, or not in the form that the corpus's repository documents.
    """
    yield from sorted(_annotated(tree), key=lambda one: one.audio_path)


def _annotated(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    partitions = _partitions(tree)
    shows = of_kind(tree, tree.read_json(_table(tree, TABLE)), dict, place=repr(TABLE))
    for show in shows:
        dialogues = field(tree, shows, show, dict, place=repr(TABLE))
        for dialogue, content in dialogues.items():
            place = f"{dialogue!r} in {TABLE!r}"
            speakers = field(tree, content, "SpeakerInfo", dict, place=place)
            for name, utterance in field(tree, content, "Dialog", dict, place=place).items():
                one = _utterance(tree, name, utterance, speakers)
                # The letter tells two people apart in one dialogue; across dialogues only the role's name does.
                speaker_id = f"{show}_{one.speaker_id}"
                partition = partitions.get(show, UNASSIGNED)
                yield replace(one, speaker_id=speaker_id, session_id=dialogue, provider_partition=partition)


def _utterance(tree: CorpusTree, name: str, content: Any, speakers: Mapping[str, Any]) -> ParsedUtterance:
    """One utterance, as far as its own entry tells."""
    place = f"{name!r} in {TABLE!r}"
    letter = field(tree, content, "Speaker", str, place=place)
    speaker = field(tree, speakers, letter, dict, place=f"'SpeakerInfo' beside {place}")
    emotions = field(tree, content, "EmoAnnotation", dict, place=place)
    gender = str(speaker.get("Gender")).lower()
    path = f"modality_speech/{letter}_{name}.wav"
    return ParsedUtterance(
        stem=f"{letter}_{name}",
        audio_path=path,
        perceived_raw=field(tree, emotions, "final_main_emo", str, place=place) or None,
        votes_raw={"all": _votes(tree, emotions, place)},
        speaker_id=field(tree, speaker, "Name", str, place=f"the speaker of {place}"),
        speaker_gender=gender if gender in ("female", "male") else None,
        transcript=field(tree, content, "Text", str, place=place) or None,
        excluded_reason=None if tree.exists(path) else "no audio in the distribution",
    )


def _votes(tree: CorpusTree, emotions: Mapping[str, Any], place: str) -> dict[str, float]:
    votes: Counter[str] = Counter()
    for annotator in ANNOTATORS:
        given = emotions.get(annotator)
        if not isinstance(given, list):
            given = SEPARATORS.split(field(tree, emotions, annotator, str, place=place))
        votes.update(label for one in given if (label := of_kind(tree, one, str, place=place).strip()))
    return dict(votes)


def _partitions(tree: CorpusTree) -> dict[str, str]:
    """Show to the partition whose list names it."""
    return {
        show.strip(): partition
        for name, partition in LISTS.items()
        for show in tree.read_text(_table(tree, f"splitInfo/movie_list_{name}.txt")).splitlines()
    }


def _table(tree: CorpusTree, name: str) -> PurePosixPath:
    table = tree.nearest(name)
    if table is None:
        hint = "It is in github.com/AIM3-RUC/RUCM3ED; put it anywhere below the root."
        raise tree.wrong_layout(f"the file {name!r}", "none", hint)
    return table
