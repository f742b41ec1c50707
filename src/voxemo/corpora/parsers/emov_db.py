"""EmoV-DB: <speaker>_<Style>/<style word>_<first>-<last>_<number>.wav, or <speaker>/<Style>/ in the sorted release."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

# Three forms: "amused_1-15_0001", "amused_141_168_0168" and "Neutral_1-28_0001".
PLACE = re.compile(
    r"(?:.*/)?(?P<speaker>bea|jenie|josh|sam)[_/](?P<style>[A-Za-z]+)"
    r"/(?P<word>[A-Za-z]+)_(?P<first>\d+)[-_](?P<last>\d+)_(?P<number>\d{4})\.wav"
)
# The style word of the file names is not the folder's.
FOLDERS = {
    "amused": "Amused",
    "anger": "Angry",
    "disgust": "Disgusted",
    "neutral": "Neutral",
    "sleepiness": "Sleepy",
}
# As a public reader of the files gives them.
GENDERS = {"bea": "female", "jenie": "female", "josh": "male", "sam": "male"}
COLLIDES = "another file has the same speaker, style and number"


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the speaker's intended style, as its folder names it.

    Raises:
        WrongLayout: a file's style word says another style than its folder.
    """
    places = {path: place for path in tree.glob("**/*_[0-9][0-9][0-9][0-9].wav") if (place := _place(tree, path))}
    collided = _collided(places)
    for path, place in places.items():
        yield ParsedUtterance(
            # Base names repeat across speakers, and both releases give the same name.
            stem=f"{place['speaker']}_{place['style']}/{path.stem}",
            audio_path=str(path),
            expressed_raw=place["style"],
            speaker_id=place["speaker"],
            speaker_gender=GENDERS[place["speaker"]],
            outside_paper=COLLIDES if path in collided else None,
        )


def _place(tree: CorpusTree, path: PurePosixPath) -> re.Match[str] | None:
    place = PLACE.fullmatch(str(path))
    if place is None or (style := FOLDERS.get(place["word"].lower())) is None:
        return None
    if style != place["style"]:
        expected = f"{path.name!r} in a folder of the style {style!r}, as its first word says"
        raise tree.wrong_layout(expected, f"it in {str(path.parent)!r}")
    return place


def _collided(places: dict[PurePosixPath, re.Match[str]]) -> set[PurePosixPath]:
    """Files that are not in the paper's set, which has one per speaker, style and number.

    In all six pairs that set, EmoBox's, has the file whose number lies outside the range in its own name
    ("anger_197-224_0024", not "anger_1-28_0024").
    """
    groups: defaultdict[tuple[str, ...], list[PurePosixPath]] = defaultdict(list)
    for path, place in places.items():
        groups[place.group("speaker", "style", "number")].append(path)
    kept = {max(paths, key=lambda path: (_out_of_range(places[path]), path)) for paths in groups.values()}
    return places.keys() - kept


def _out_of_range(place: re.Match[str]) -> bool:
    return not int(place["first"]) <= int(place["number"]) <= int(place["last"])
