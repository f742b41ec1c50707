"""Real corpus listings, for tests that have them."""

import csv
import gzip
from pathlib import Path


def read_listing(evidence: Path, corpus_id: str) -> list[dict[str, str]]:
    """The rows of a listing, one per file or segment."""
    with gzip.open(evidence / "listings" / f"{corpus_id}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
