"""Real corpus listings, for tests that have them."""

import csv
import gzip
from pathlib import Path

LISTED = (
    "aesdd",
    "ased",
    "asvp-esd",
    "crema-d",
    "emns",
    "emodb",
    "emotiontalk",
    "emov-db",
    "emovo",
    "emozionalmente",
    "enterface",
    "iemocap",
    "m3ed",
    "meld",
    "msp-podcast",
    "nemo",
    "oreau",
    "pavoque",
    "polish",
    "ravdess",
    "resd",
    "savee",
    "shemo",
    "tess",
    "turev-db",
    "urdu",
)
"""Corpora whose real file names are listed."""


def read_listing(evidence: Path, corpus_id: str) -> list[dict[str, str]]:
    """The rows of a listing, one per file or segment."""
    with gzip.open(evidence / "listings" / f"{corpus_id}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
