"""Real corpora rebuilt from their listings: real names, empty audio, and native tables in their provider's form.

A listing has one row per file (or segment). For most corpora the names alone are the corpus, and the functions here
say what its parser must yield. A corpus with tables has a module of its own here (``-`` in the id becomes ``_``), which
may define

- ``tree(rows, evidence)``: path to content, instead of empty files under the listed paths;
- ``expected(row, evidence)``: fields of ``ParsedUtterance`` that the parser must yield for a row, instead of
  ``audio_path``, the gold label source's raw code and ``speaker_id``; ``excluded_reason`` is compared by whether there
  is one, unless text is given; None for a row that the parser must not yield; with ``stem`` where several rows share
  a file and a start;
- ``DIFFERENCES``: what the card's counts and the listing differ in, where the listing is not the whole subset.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from voxemo.core.cards import CorpusCard

Row = Mapping[str, str]


def native(corpus_id: str, name: str, otherwise: Any) -> Any:
    """What the corpus's own module says, or what holds without one."""
    module = f"native.{corpus_id.replace('-', '_')}"
    return getattr(import_module(module), name, otherwise) if find_spec(module) is not None else otherwise


def tree(card: CorpusCard, rows: list[Row], evidence: Path) -> dict[str, str | bytes]:
    """The corpus's folder: path to content."""
    build: Callable[[list[Row], Path], dict[str, str | bytes]] = native(card.corpus_id, "tree", _names_alone)
    return build(rows, evidence)


def _names_alone(rows: list[Row], evidence: Path) -> dict[str, str | bytes]:
    return {row["path"]: "" for row in rows}


def expected(card: CorpusCard, row: Row, evidence: Path) -> dict[str, Any] | None:
    """What the parser must yield for a row; None for a row that it must not yield."""
    describe: Callable[[Row, Path], dict[str, Any] | None] | None = native(card.corpus_id, "expected", None)
    if describe is not None:
        return describe(row, evidence)
    return {"audio_path": row["path"], f"{card.gold}_raw": row["label"], "speaker_id": row["speaker"] or None}


def differences(card: CorpusCard) -> dict[str, tuple[int, int]]:
    """What the card's counts and the listing differ in: (the card's, the listing's)."""
    known: dict[str, tuple[int, int]] = native(card.corpus_id, "DIFFERENCES", {})
    return known
