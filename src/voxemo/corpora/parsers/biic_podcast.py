"""BIIC-Podcast: Audios/BIIC-PODCAST_<4 digits>_<4 digits>_<4 digits>.wav and labels in one of two documented forms.

No label file was seen. Either ``Labels`` holds the tables of MSP-Podcast, by whose protocol the corpus was made, or
``Primary/labels_consensus_1.csv`` is the table that EMO-SUPERB works with, a column of shares for each class.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import polars as pl

from voxemo.core.errors import listing
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.parsers._msp import consensus_table, read_columns, utterances
from voxemo.corpora.tree import CorpusTree

NAMES = re.compile(r"BIIC-PODCAST_\d{4}_\d{4}_\d{4}\.wav")
SHARES = PurePosixPath("Primary/labels_consensus_1.csv")
CLASSES = ("angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
NO_AGREEMENT = "X"


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the raters' plurality and, from a detailed table, the primary emotion of each.

    Raises:
        WrongLayout: the labels are missing, in another form, or about other recordings.
    """
    consensus = _from_shares(tree) if tree.exists(SHARES) else consensus_table(tree)
    yield from utterances(tree, consensus, folder="Audios", names=NAMES)


def _from_shares(tree: CorpusTree) -> pl.DataFrame:
    """The class of the largest share; no agreement where two are equal.

    Tables of this form that were seen hold smoothed shares and no number of raters, so these are no votes.
    """
    facts = ("FileName", "SpkrID", "Gender", "Split_Set")
    table = read_columns(tree, SHARES, (*facts, *CLASSES))
    shares = table.select(pl.col(CLASSES).cast(pl.Float64, strict=False))
    if bad := table["FileName"].filter(shares.select(pl.any_horizontal(pl.all().is_null())).to_series()).to_list():
        raise tree.wrong_layout(f"numbers as shares of the classes in {str(SHARES)!r}", f"others for {listing(bad)}")
    largest = pl.max_horizontal(pl.all())
    winners = pl.concat_list(pl.when(pl.col(name) == largest).then(pl.lit(name)) for name in CLASSES).list.drop_nulls()
    code = pl.when(winners.list.len() == 1).then(winners.list.first()).otherwise(pl.lit(NO_AGREEMENT))
    return table.select(facts).with_columns(shares.select(EmoClass=code))
