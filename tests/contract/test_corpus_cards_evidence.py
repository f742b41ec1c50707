"""What corpus cards say, held against listings of the real files.

A listing has a row per file with the provider's own code in ``label``. Where a listing is not simply the benchmark
subset, the tables below say so, corpus by corpus.
"""

import csv
import math
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from evidence_listings import LISTED
from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.corpora.tree import CorpusTree

pytestmark = pytest.mark.evidence

# Rows outside the benchmark subset: column, and the value by which a row is left out.
LEFT_OUT = {
    "emns": ("status", "Needs Updating"),
    "iemocap": ("label", ""),  # turns outside the four classes, whose native code was not seen
    "meld": ("duration_s", ""),  # the two clips that cannot be read
    "msp-podcast": ("label", ""),  # clips known from a vote table alone
    "shemo": ("emobox_label", ""),  # files that the cleaned list does not name
}

# Files of the distribution that the listing lacks, by label; EmoBox keyed files by a part of their name, and those of
# the same key overwrote each other.
UNLISTED: dict[str, dict[str, int]] = {
    "emov-db": {"amused": 2, "angry": 1, "neutral": 2, "sleepy": 1},
    "enterface": dict.fromkeys(("angry", "disgust", "fear", "happy", "sad", "surprise"), 5),
}
UNLISTED_SPEAKERS = {"enterface": 1}

# The listing is of another release than the card, so that only codes, names and speakers can be compared.
OTHER_RELEASE = {
    "emodb": "version 1.x, the card is of version 2.0",
    "msp-podcast": "a union of parts of releases 1.8 and 1.11",
}

# Columns with the provider's codes other than `label`.
MORE_CODES = {
    "emotiontalk": ("label_audio", "label_text", "label_video"),
    "msp-podcast": ("label_odyssey",),
}

# A third party merged two of the provider's codes into one; its spelling of what can be either is no native code.
NOT_NATIVE = {"emns": {"Happy|Excited"}}

# Vote tables whose columns are the provider's codes.
VOTE_COLUMNS = {
    "crema-d": ("A", "D", "F", "H", "N", "S"),
    "emozionalmente": ("anger", "disgust", "fear", "joy", "neutrality", "sadness", "surprise"),
}

# EmoBox's merged label names that are no word of the shared label table.
EMOBOX_WORDS = {
    "asvp-esd": {"disappointment, disapproval": "disappointed", "pain, groan": "pain"},
}

COUNTED = tuple(corpus_id for corpus_id in LISTED if corpus_id not in OTHER_RELEASE)


@cache
def read_table(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False).fill_null("")


def listing(evidence: Path, corpus_id: str) -> pl.DataFrame:
    return read_table(evidence / "listings" / f"{corpus_id}.csv.gz")


def subset(evidence: Path, card: CorpusCard) -> pl.DataFrame:
    """The rows of the benchmark subset, with the column ``canonical``."""
    rows = listing(evidence, card.corpus_id)
    if card.corpus_id in LEFT_OUT:
        column, value = LEFT_OUT[card.corpus_id]
        rows = rows.filter(pl.col(column) != value)
    rows = rows.filter(~pl.col("label").is_in(list(card.labels.dropped)))
    return rows.with_columns(canonical=pl.col("label").replace_strict(card.labels.raw, return_dtype=pl.String))


def policy_by_balance(rows: pl.DataFrame) -> str:
    """The rule of PROTOCOL section 3 for a corpus without a provider's split."""
    speakers: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for speaker, label in rows.select("speaker", "canonical").iter_rows():
        speakers[speaker][label] += 1
    uneven = len({tuple(sorted(counts.items())) for counts in speakers.values()}) > 1
    if "" in speakers or len(speakers) < 4 or uneven:
        return "stratified_random"
    return "leave_one_speaker_out" if len(speakers) <= 6 else "speaker_k_fold"


@pytest.fixture(params=LISTED)
def listed(request: pytest.FixtureRequest) -> CorpusCard:
    return lookup.corpus_card(request.param)


@pytest.fixture(params=COUNTED)
def counted(request: pytest.FixtureRequest) -> CorpusCard:
    return lookup.corpus_card(request.param)


def test_every_listing_is_looked_at(evidence: Path) -> None:
    names = sorted(path.name.removesuffix(".csv.gz") for path in (evidence / "listings").iterdir())

    assert names == list(LISTED)


# --- codes -------------------------------------------------------------------------------------------------------


def test_every_provider_code_is_mapped_or_dropped(evidence: Path, listed: CorpusCard) -> None:
    rows = listing(evidence, listed.corpus_id)
    codes = {code for column in ("label", *MORE_CODES.get(listed.corpus_id, ())) for code in rows[column].unique()}

    unknown = codes - set(listed.labels.raw) - set(listed.labels.dropped) - NOT_NATIVE.get(listed.corpus_id, set())
    assert unknown <= {""}


@pytest.mark.parametrize("corpus_id", VOTE_COLUMNS)
def test_every_code_of_the_vote_tables_is_mapped(evidence: Path, corpus_id: str) -> None:
    codes = VOTE_COLUMNS[corpus_id]

    assert set(codes) <= set(read_table(evidence / "votes" / f"{corpus_id}.csv.gz").columns)
    assert set(codes) <= set(lookup.corpus_card(corpus_id).labels.raw)


def test_codes_mean_what_emobox_reads_from_them(evidence: Path, listed: CorpusCard) -> None:
    label_set, special = listed.label_set(lookup.label_table()), EMOBOX_WORDS.get(listed.corpus_id, {})
    pairs = subset(evidence, listed).filter(pl.col("emobox_label") != "").select("emobox_label", "canonical").unique()

    assert [
        (word, ours) for word, ours in pairs.iter_rows() if special.get(word, label_set.canonical(word)) != ours
    ] == []


# --- counts ------------------------------------------------------------------------------------------------------


def test_mapped_codes_give_the_number_of_utterances(evidence: Path, counted: CorpusCard) -> None:
    unlisted = sum(UNLISTED.get(counted.corpus_id, {}).values())

    assert counted.expected.n_utterances == subset(evidence, counted).height + unlisted


def test_mapped_codes_give_the_utterances_per_label(evidence: Path, counted: CorpusCard) -> None:
    unlisted = Counter(UNLISTED.get(counted.corpus_id, {}))
    per_label = Counter(subset(evidence, counted)["canonical"].to_list()) + unlisted

    assert counted.expected.per_label == per_label


def test_the_number_of_speakers_is_that_of_the_files(evidence: Path, listed: CorpusCard) -> None:
    found = set(subset(evidence, listed)["speaker"]) - {""}

    unlisted = UNLISTED_SPEAKERS.get(listed.corpus_id, 0)
    assert (listed.expected.n_speakers or 0) == len(found) + unlisted


def test_the_utterances_per_speaker_are_those_of_the_files(evidence: Path, counted: CorpusCard) -> None:
    found = Counter(subset(evidence, counted)["speaker"].to_list())

    assert counted.expected.per_speaker in ({}, found)


def test_the_hours_are_the_sum_of_the_durations(evidence: Path, counted: CorpusCard) -> None:
    durations = subset(evidence, counted)["duration_s"]

    if counted.expected.hours is not None and (durations != "").any():
        hours = durations.replace("", "0").cast(pl.Float64).sum() / 3600
        assert math.isclose(counted.expected.hours, hours, rel_tol=0.01, abs_tol=0.005)


# --- splits ------------------------------------------------------------------------------------------------------


def test_the_split_follows_the_balance_of_the_files(evidence: Path, listed: CorpusCard) -> None:
    if listed.split.policy != "provider":
        assert listed.split.policy == policy_by_balance(subset(evidence, listed))
        assert listed.split.k == (4 if listed.split.policy == "speaker_k_fold" else None)


def test_the_folds_of_emobox_are_as_many_as_the_card_says(evidence: Path, listed: CorpusCard) -> None:
    rows = listing(evidence, listed.corpus_id).filter(pl.col("emobox_label") != "")
    parts = set(rows["emobox_folds"].unique())

    if listed.emobox is None:
        assert rows.is_empty()
    else:
        assert listed.emobox.n_folds == sum(part.startswith("test:") for part in parts)
        assert listed.emobox.has_valid == any(part.startswith("valid:") for part in parts)


def test_the_utterances_of_emobox_are_as_many_as_the_card_says(evidence: Path, listed: CorpusCard) -> None:
    # The training part of EmoBox's MSP-Podcast is not in the listing.
    if listed.emobox is not None and listed.corpus_id != "msp-podcast":
        rows = listing(evidence, listed.corpus_id).filter(pl.col("emobox_label") != "")
        assert listed.emobox.n_utterances == rows.height


# --- names -------------------------------------------------------------------------------------------------------


def test_every_listed_file_fits_the_cards_patterns(evidence: Path, listed: CorpusCard) -> None:
    tree = CorpusTree(dict.fromkeys(listing(evidence, listed.corpus_id)["path"], ""))

    fitting = {path for pattern in listed.audio_files for path in tree.glob(pattern)}
    assert set(tree.files()) - fitting == set()


def test_no_other_corpus_claims_the_listed_files(evidence: Path, listed: CorpusCard) -> None:
    some = listing(evidence, listed.corpus_id)["path"].unique(maintain_order=True).gather_every(50)
    tree = CorpusTree(dict.fromkeys(some, ""))

    others = [card for card in lookup.builtin_corpus_cards() if card.corpus_id != listed.corpus_id]
    assert [card.corpus_id for card in others if any(map(tree.has, card.audio_files))] == []


# --- the paper ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corpus_id", lookup.builtin_names("corpora"))
def test_the_papers_row_is_as_printed(evidence: Path, corpus_id: str) -> None:
    with (evidence.parent / "paper" / "table_1_corpora.csv").open(encoding="utf-8", newline="") as file:
        printed = next(row for row in csv.DictReader(file) if row["corpus"] == corpus_id)
    card = lookup.corpus_card(corpus_id)

    assert card.paper is not None
    assert card.paper.model_dump(exclude={"subset"}) == {
        "setting": printed["recording"],
        "audio_source": printed["audio_source"],
        "label_source": printed["label_source"],
        "n_emotions": int(printed["n_emotions"]),
        "n_speakers": int(printed["n_speakers"]) if printed["n_speakers"] else None,
        "n_utterances": int(printed["n_utterances"]),
        "hours": float(printed["hours"]),
        "language": printed["language"],
    }
    assert (card.name, card.year) == (printed["name"], int(printed["year"]))
