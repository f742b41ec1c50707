"""MELD: train_splits, dev_splits_complete and output_repeated_splits_test with dia<n>_utt<n>.mp4, and three tables.

Each inner archive may have been unpacked into a folder of its own (``train/train_splits``) or beside the others, and
the tables come with the videos or from the corpus's repository.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

# The provider's name of each part, ours, and the folder of its videos where none is found to look into.
PARTS = {
    "train": ("train", "train/train_splits"),
    "dev": ("valid", "dev_splits_complete"),
    "test": ("test", "output_repeated_splits_test"),
}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
UNREADABLE = {"train/dia125_utt3", "dev/dia110_utt7"}
"""Broken or missing in the distribution; left out whatever a copy holds in their place, so that all count the same."""
OVER_40_S = {"train/dia309_utt0", "test/dia38_utt4", "test/dia220_utt0"}


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every row of the three tables with the annotators' majority label; names repeat between the parts.

    A row whose video is not there is yielded with the path where it should be, so that it counts as unusable.

    Raises:
        WrongLayout: a table is missing or not in its provider's form.
    """
    yield from sorted((one for part in PARTS for one in _part(tree, part)), key=lambda one: one.audio_path)


def _part(tree: CorpusTree, part: str) -> Iterator[ParsedUtterance]:
    partition, folder = PARTS[part]
    videos = _videos(tree, PurePosixPath(folder))
    for row in _rows(tree, part):
        dialogue = f"dia{row['Dialogue_ID']}"
        clip = f"{dialogue}_utt{row['Utterance_ID']}"
        stem = f"{part}/{clip}"
        yield ParsedUtterance(
            stem=stem,
            audio_path=f"{videos}/{clip}.mp4",
            perceived_raw=row["Emotion"],
            speaker_id=row["Speaker"],
            transcript=row["Utterance"],
            session_id=f"{part}/{dialogue}",
            provider_partition=partition,
            excluded_reason="unreadable or missing as video in the distribution" if stem in UNREADABLE else None,
            outside_paper="longer than 40 s" if stem in OVER_40_S else None,
        )


def _videos(tree: CorpusTree, folder: PurePosixPath) -> PurePosixPath:
    """The folder of a part's videos, the one nearest to the root; ``folder`` where there is none."""
    video = tree.nearest(f"{folder.name}/dia*_utt*.mp4")
    return folder if video is None else video.parent


def _rows(tree: CorpusTree, part: str) -> list[dict[str, str]]:
    name = f"{part}_sent_emo.csv"
    table = tree.nearest(name)
    if table is None:
        raise tree.wrong_layout(
            f"the table {name!r}",
            "none",
            "It is in data/MELD of github.com/declare-lab/MELD; put it anywhere below the root.",
        )
    return tree.read_csv(table, columns=COLUMNS)
