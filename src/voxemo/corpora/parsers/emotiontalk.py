"""EmotionTalk: Audio/wav/<group>/<dialogue>/<dialogue>_<speaker>/<dialogue>_<speaker>_<number>.wav, and its labels.

The distribution has the labels in Multimodal/json, one file per utterance with the vote's result and what each
annotator chose. The corpus's repository has the results alone, in mm.csv; it is read where there are no JSON files.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from voxemo.core.errors import listing
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.parsers._json import field
from voxemo.corpora.tree import CorpusTree

NAME = re.compile(
    r"Audio/wav/(?P<key>(?P<group>G\d+)/(?P<dialogue>(?P=group)_\d+)/"
    r"(?P<folder>(?P=dialogue)_(?P<speaker>\d+))/(?P=folder)_\d+)\.wav"
)
# The provider's rule: two groups validate, two test, all others train.
PARTITIONS = {"G00001": "valid", "G00012": "valid", "G00003": "test", "G00015": "test"}
JUDGED = "Multimodal/json"
SPOKEN = "Text/json"
LABELS = "mm.csv"
TRANSCRIPTS = "transcription.csv"


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every utterance with the label and the votes that annotators gave on sound, text and picture together.

    Raises:
        WrongLayout: the labels are missing, or not in the form that the corpus's readme documents.
    """
    recordings = [name for path in tree.glob("Audio/wav/*/*/*/*.wav") if (name := NAME.fullmatch(str(path)))]
    keys = [name["key"] for name in recordings]
    judged = tree.has(f"{JUDGED}/**/*.json")
    labels, votes = _from_json(tree, keys) if judged else (_from_table(tree, keys), {})
    transcripts = _transcripts(tree, keys)

    for name in recordings:
        key = name["key"]
        yield ParsedUtterance(
            stem=PurePosixPath(key).name,
            audio_path=name[0],
            perceived_raw=labels[key],
            votes_raw={"all": votes[key]} if key in votes else {},
            speaker_id=name["speaker"],
            transcript=transcripts.get(key),
            session_id=name["dialogue"],
            provider_partition=PARTITIONS.get(name["group"], "train"),
        )


def _from_json(tree: CorpusTree, keys: Iterable[str]) -> tuple[dict[str, str], dict[str, Mapping[str, float]]]:
    """The vote's result and the votes of each utterance."""
    labels: dict[str, str] = {}
    votes: dict[str, Mapping[str, float]] = {}
    for key in keys:
        path = f"{JUDGED}/{key}.json"
        content = tree.read_json(path)
        labels[key] = field(tree, content, "emotion_result", str, place=repr(path))
        votes[key] = Counter(
            field(tree, judgement, "emotion_result", str, place=f"each entry of 'data' in {path!r}")
            for judgement in field(tree, content, "data", list, place=repr(path))
        )
    return labels, votes


def _from_table(tree: CorpusTree, keys: Iterable[str]) -> dict[str, str]:
    """The vote's result of each utterance."""
    table = tree.nearest(LABELS)
    if table is None:
        hint = (
            f"Unpack Multimodal too. Or put {LABELS} of github.com/flageval-baai/EmotionTalk (dataset/mm-process) "
            "anywhere below the root: it has the labels, without the votes."
        )
        raise tree.wrong_layout(f"labels in {JUDGED!r} or {LABELS!r}", "neither", hint)
    rows = tree.read_csv(table, columns=("file_name", "emotion"))
    labels = {str(PurePosixPath(row["file_name"]).with_suffix("")): row["emotion"] for row in rows}
    if missing := [key for key in keys if key not in labels]:
        raise tree.wrong_layout(f"a row for {listing(missing)} in {str(table)!r}", f"rows for {listing(list(labels))}")
    return labels


def _transcripts(tree: CorpusTree, keys: Iterable[str]) -> dict[str, str]:
    """What was said, where a table or file tells; no label depends on it, so other forms are passed over."""
    if table := tree.nearest(TRANSCRIPTS):
        return {row["name"]: row["chinese"] for row in tree.read_csv(table, columns=("name", "chinese"))}
    transcripts = {}
    for key in keys:
        path = f"{SPOKEN}/{key}.json"
        content = tree.read_json(path) if tree.exists(path) else None
        if isinstance(content, dict) and isinstance(text := content.get("content"), str):
            transcripts[key] = text
    return transcripts
