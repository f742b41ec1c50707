"""The label tables of MSP-Podcast and of what was made by its protocol.

A folder of labels holds a consensus table (a row per recording) and a detailed one (a row per rating), each as CSV or
as JSON, and both have changed their spelling and columns between releases. With more than a million ratings they are
read by columns, not by rows.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from voxemo.core.errors import listing
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.parsers._json import field, of_kind
from voxemo.corpora.tree import CorpusTree

FOLDER = "[Ll]abel*"
CONSENSUS = ("FileName", "EmoClass", "SpkrID", "Gender", "Split_Set")
PARTITIONS = {
    "Train": "train",
    "Development": "valid",
    "Validation": "valid",
    "Test": "test",
    "Test1": "test1",
    "Test2": "test2",
}
HIDDEN = "Test3"
UNKNOWN = "Unknown"
GENDERS = {"Female": "female", "Male": "male"}


def utterances(
    tree: CorpusTree, consensus: pl.DataFrame, *, folder: str, names: re.Pattern[str]
) -> Iterator[ParsedUtterance]:
    """Yield every row of a consensus table, with the votes of the detailed table where there is one.

    A row whose audio is not there is yielded all the same, so that it counts as unusable. A rater may type a word
    instead of choosing one: ``Other-Concerned`` is a vote for ``Other``.

    Args:
        tree: the corpus's files.
        consensus: with the columns ``CONSENSUS``, all text.
        folder: of the audio files.
        names: form of their names.

    Raises:
        WrongLayout: the table is about other recordings or partitions, or the detailed table is in another form.
    """
    _refuse_strangers(tree, consensus, folder, names)
    votes = _votes(tree, consensus)
    for file_name, code, speaker, gender, part in consensus.sort("FileName").select(CONSENSUS).iter_rows():
        yield ParsedUtterance(
            stem=file_name.removesuffix(".wav"),
            audio_path=f"{folder}/{file_name}",
            perceived_raw=None if part == HIDDEN else code,
            votes_raw={"all": votes[file_name]} if file_name in votes else {},
            speaker_id=None if speaker in ("", UNKNOWN) else speaker,
            speaker_gender=GENDERS.get(gender),
            provider_partition=PARTITIONS.get(part),
            excluded_reason="Test3, whose labels are hidden" if part == HIDDEN else None,
        )


def _refuse_strangers(tree: CorpusTree, consensus: pl.DataFrame, folder: str, names: re.Pattern[str]) -> None:
    files = consensus["FileName"].to_list()
    if strange := [name for name in files if not names.fullmatch(name)]:
        raise tree.wrong_layout(f"file names like {names.pattern!r} in the consensus table", listing(strange))
    if not any(tree.exists(f"{folder}/{name}") for name in files):
        raise tree.wrong_layout(
            f"labels of the recordings in {folder!r} in the consensus table",
            f"labels of {listing(files)}" if files else "no row",
            "Labels and audio may be of different releases.",
        )
    if parts := sorted(set(consensus["Split_Set"]) - {*PARTITIONS, HIDDEN}):
        raise tree.wrong_layout(f"Split_Set to be {listing([*PARTITIONS, HIDDEN], most=9)}", listing(parts))


# --- consensus ---------------------------------------------------------------------------------------------------


def consensus_table(tree: CorpusTree) -> pl.DataFrame:
    """Read the consensus table, from CSV where both forms are there.

    Returns:
        The columns ``CONSENSUS``, all text.

    Raises:
        WrongLayout: there is none, or it is not in the form that public readers of it document.
    """
    # Old releases misspell it.
    if path := find(tree, f"{FOLDER}/labels_con[cs]ensus.csv"):
        return read_columns(tree, path, CONSENSUS)
    if path := find(tree, f"{FOLDER}/labels_con[cs]ensus.json"):
        content = of_kind(tree, tree.read_json(path), dict, place=repr(str(path)))
        rows = [(name, *_facts(tree, content, name, path)) for name in content]
        return pl.DataFrame(rows, schema=dict.fromkeys(CONSENSUS, pl.String), orient="row")
    raise tree.wrong_layout(
        "the table 'Labels/labels_consensus.csv' or 'labels_consensus.json'",
        listing(tree.top_level(), most=10),
        "It comes with the audio, from the corpus's provider.",
    )


def _facts(tree: CorpusTree, content: Mapping[str, Any], name: str, path: PurePosixPath) -> Iterator[str]:
    row = field(tree, content, name, dict, place=repr(str(path)))
    for column in CONSENSUS[1:]:
        value = row.get(column)
        # Speakers are numbers or `Unknown`, and JSON tells the two apart.
        number = str(value) if isinstance(value, int) else None
        yield number or field(tree, row, column, str, place=f"{name!r} in {str(path)!r}")


def find(tree: CorpusTree, pattern: str) -> PurePosixPath | None:
    """The first file that matches, if any."""
    return next(iter(tree.glob(pattern)), None)


def read_columns(tree: CorpusTree, path: PurePosixPath, *forms: Sequence[str]) -> pl.DataFrame:
    """Read columns of a large table as text, empty where nothing stands.

    Args:
        tree: the corpus's files.
        path: the table.
        forms: the columns to read; of several forms, the first that the table has.

    Raises:
        WrongLayout: it has none of the forms, or is no table.
    """
    content = tree.read_text(path).encode()
    try:
        # All columns, since a row with a field too many is only noticed so.
        table = pl.read_csv(content, infer_schema=False)
    except pl.exceptions.PolarsError as cause:
        raise tree.wrong_layout(
            f"a table in {str(path)!r}", f"what cannot be read as one ({str(cause).splitlines()[0]})"
        ) from cause
    for columns in forms:
        if set(columns) <= set(table.columns):
            return table.select(columns).fill_null("")
    expected = " or ".join(listing(columns, most=len(columns)) for columns in forms)
    raise tree.wrong_layout(f"the columns {expected} in {str(path)!r}", listing(table.columns, most=20))


# --- votes -------------------------------------------------------------------------------------------------------


def _votes(tree: CorpusTree, consensus: pl.DataFrame) -> dict[str, dict[str, float]]:
    """File name to primary emotion to number of raters; empty without a detailed table."""
    if path := find(tree, f"{FOLDER}/labels_detailed.csv"):
        ratings = _rated_rows(tree, path)
    elif path := find(tree, f"{FOLDER}/labels_detailed.json"):
        ratings = _rated_entries(tree, path)
    else:
        return {}
    codes = pl.col("code").str.strip_chars().str.replace("(?s)^Other-.*$", "Other")
    ratings = ratings.select("FileName", codes).filter(pl.col("FileName").is_in(consensus["FileName"].implode()))
    if ratings.is_empty() or (ratings["code"] == "").any():
        raise tree.wrong_layout(
            f"primary emotions of the recordings in {str(path)!r}",
            "none of them" if ratings.is_empty() else "ratings without",
        )
    votes: dict[str, dict[str, float]] = {}
    for name, code, n in ratings.group_by("FileName", "code").len().sort("FileName", "code").iter_rows():
        votes.setdefault(name, {})[code] = n
    return votes


def _rated_rows(tree: CorpusTree, path: PurePosixPath) -> pl.DataFrame:
    """A row per rating, in the columns of recent releases or of old ones."""
    ratings = read_columns(tree, path, ("FileName", "EmoClass_Major"), ("FileName", "EmoDetail"))
    if "EmoClass_Major" in ratings.columns:
        return ratings.rename({"EmoClass_Major": "code"})
    # Each is a line of labels.txt: "WORKER00000001; Sad; Sad,Concerned; A:2.000000; V:4.000000; D:4.000000;".
    primary = pl.col("EmoDetail").str.split(";").list.get(1, null_on_oob=True).fill_null("")
    return ratings.select("FileName", code=primary)


def _rated_entries(tree: CorpusTree, path: PurePosixPath) -> pl.DataFrame:
    content = of_kind(tree, tree.read_json(path), dict, place=repr(str(path)))
    rows = [
        (name, field(tree, rating, "EmoClass_Major", str, place=f"the ratings of {name!r} in {str(path)!r}"))
        for name in content
        for rating in field(tree, content, name, dict, place=repr(str(path))).values()
    ]
    return pl.DataFrame(rows, schema={"FileName": pl.String, "code": pl.String}, orient="row")
