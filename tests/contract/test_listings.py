"""Every parser against the real file names of its corpus, row by row (tests/native says how a corpus is rebuilt)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import native
from evidence_listings import LISTED, read_listing
from voxemo.catalog.lookup import corpus_card
from voxemo.corpora.parsers import parser_for
from voxemo.corpora.prepare import check_layout, describe
from voxemo.corpora.tree import CorpusTree

pytestmark = pytest.mark.evidence


def written(contents: dict[str, str | bytes], folder: Path) -> Path:
    for parent in {(folder / path).parent for path in contents}:
        parent.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def place(audio_path: str, start_s: float | None) -> tuple[str, int | None]:
    return audio_path, None if start_s is None else round(start_s * 1000)


def what_tells_apart(fields: Mapping[str, Any]) -> str | tuple[str, int | None]:
    """The utterance's name where an expectation gives it, else the file and the start."""
    return fields["stem"] if "stem" in fields else place(fields["audio_path"], fields.get("start_s"))


@pytest.mark.parametrize("corpus_id", LISTED)
def test_the_parser_reads_the_real_names_row_by_row(corpus_id: str, evidence: Path, tmp_path: Path) -> None:
    card = corpus_card(corpus_id)
    rows = read_listing(evidence, corpus_id)
    tree = CorpusTree(written(native.tree(card, rows, evidence), tmp_path))

    check_layout(card, tree)
    parsed = list(parser_for(corpus_id)(tree))

    wanted = [fields for row in rows if (fields := native.expected(card, row, evidence)) is not None]
    by_name = "stem" in wanted[0]
    found = {one.stem if by_name else place(one.audio_path, one.start_s): one for one in parsed}
    assert len(found) == len(parsed)
    assert set(found) == {what_tells_apart(fields) for fields in wanted}
    wrong = []
    for fields in wanted:
        one = found[what_tells_apart(fields)]
        for name, value in fields.items():
            seen = getattr(one, name)
            if name == "excluded_reason" and isinstance(value, bool):
                seen = seen is not None
            if seen != (pytest.approx(value) if isinstance(value, float) else value):
                wrong.append(f"{one.stem}: {name} is {seen!r}, the listing says {value!r}")
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:20]])
    assert describe(card, parsed).report.differences == native.differences(card)
