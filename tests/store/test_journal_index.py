"""Single answers out of large journals."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxemo.core.ids import sha256_text
from voxemo.core.types import Response
from voxemo.store import journal_index
from voxemo.store.journal import JournalWriter, encode, read_journal
from voxemo.store.journal_index import index_journals

IDS = [sha256_text(str(number))[:32] for number in range(4)]
# Ids that begin alike, that are no hash, and that are too short for one.
STRANGE = [IDS[0][:16] + "0" * 16, "request", "", "0123456789ABCDEF", "日本"]

responses = st.builds(
    Response,
    request_id=st.sampled_from([*IDS, *STRANGE]),
    text=st.text(alphabet=st.characters(), max_size=20),
    error=st.sampled_from([None, "broken"]),
    error_kind=st.sampled_from([None, "permanent", "transient"]),
)
damage = st.sampled_from(
    [
        b"\n",
        b"{}\n",
        b"\xff\n",
        b'{"request_id": 3}\n',
        b'{"request_id": "\\ud800"}\n',
        b'{"request_id": "' + b"a" * 40 + b"\n",
    ]
)
lines = st.one_of(responses.map(encode), damage)
files = st.lists(st.tuples(st.lists(lines, max_size=6), st.sampled_from([b"", b'{"request_id": "torn'])), max_size=3)


@settings(max_examples=150)
@given(files=files, block=st.sampled_from([7, 64, 1 << 24]))
def test_an_index_finds_what_reading_everything_finds(files: list[tuple[list[bytes], bytes]], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr(journal_index, "BLOCK_BYTES", block)
        folder = Path(name)
        for number, (content, tail) in enumerate(files):
            (folder / f"worker-{number}.jsonl").write_bytes(b"".join(content) + tail)

        everything = read_journal(folder)
        index = index_journals(folder)

        for request_id in [*IDS, *STRANGE, "unknown"]:
            known = everything.responses.get(request_id) or everything.transient.get(request_id)
            assert index.find(request_id) == known


def test_a_run_without_answers_has_an_empty_index(tmp_path: Path) -> None:
    index = index_journals(tmp_path / "responses")

    assert (index.n_lines, index.find(IDS[0])) == (0, None)


def test_an_answer_written_after_the_index_was_made_is_not_in_it(tmp_path: Path) -> None:
    with JournalWriter(tmp_path, "main") as writer:
        writer.append([Response(request_id=IDS[0], text="early")])
        index = index_journals(tmp_path)
        writer.append([Response(request_id=IDS[1], text="late")])

    assert index.find(IDS[1]) is None
    assert index.find(IDS[0]) == Response(request_id=IDS[0], text="early")


def test_lines_of_other_writers_are_found_too(tmp_path: Path) -> None:
    line = json.dumps({"text": "FINAL LABEL: Sad", "request_id": IDS[2]}, separators=(",", ":"))
    (tmp_path / "merged.jsonl").write_text(line + "\n")

    found = index_journals(tmp_path).find(IDS[2])

    assert found is not None
    assert found.text == "FINAL LABEL: Sad"
