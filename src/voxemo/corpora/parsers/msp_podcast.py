"""MSP-Podcast: Audios/MSP-PODCAST_<4 digits>_<4 digits>[_<4 digits>].wav, and the label tables in Labels.

Old releases write ``Audio``, ``label`` and ``labels_concensus``. Recordings of Test3 are called
``MSP-PODCAST_test3_<4 digits>``.
"""

import re
from collections.abc import Iterator

import polars as pl

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.parsers._msp import HIDDEN, UNKNOWN, consensus_table, utterances
from voxemo.corpora.tree import CorpusTree

NAMES = re.compile(r"MSP-PODCAST_(\d{4}_\d{4}(_\d{4})?|test3_\d{4})\.wav")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the raters' plurality and the primary emotion of each.

    Recordings of Test3 have hidden labels and are left out, whether or not the consensus table names them.

    Raises:
        WrongLayout: the labels are missing, in another form, or about other recordings.
    """
    folder = "Audios" if tree.has("Audios/MSP-PODCAST_*.wav") else "Audio"
    consensus = consensus_table(tree)
    hidden = {path.name for path in tree.glob(f"{folder}/MSP-PODCAST_test3_*.wav") if NAMES.fullmatch(path.name)}
    unnamed = sorted(hidden - set(consensus["FileName"]))
    rows = [(name, "", UNKNOWN, UNKNOWN, HIDDEN) for name in unnamed]
    consensus = consensus.vstack(pl.DataFrame(rows, schema=consensus.schema, orient="row"))
    yield from utterances(tree, consensus, folder=folder, names=NAMES)
