import errno
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxemo.core.errors import RunError
from voxemo.core.types import Response
from voxemo.store import journal
from voxemo.store.journal import JournalGrowth, JournalWriter, decode, encode, read_journal

texts = st.text(alphabet=st.characters(), max_size=60)
responses = st.builds(
    Response,
    request_id=st.text(alphabet="0123456789abcdef", min_size=4, max_size=4),
    text=texts,
    finish=st.sampled_from(["stop", "length"]),
    n_new_tokens=st.none() | st.integers(0, 512),
    latency_s=st.none() | st.floats(0, 100),
    label_logprobs=st.none() | st.lists(st.floats(-50, 0), max_size=4).map(tuple),
)


def answer(name: str, text: str = "FINAL LABEL: Happy") -> Response:
    return Response(request_id=name, text=text)


def write(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)


@given(response=responses)
def test_a_response_survives_its_line(response: Response) -> None:
    assert decode(encode(response)) == response


@given(response=responses)
def test_a_line_is_one_line_whatever_the_answer_holds(response: Response) -> None:
    line = encode(response)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1


def test_lone_surrogates_in_an_answer_are_kept(tmp_path: Path) -> None:
    with JournalWriter(tmp_path, "main") as writer:
        writer.append([answer("a", "\ud800 broken")])

    assert read_journal(tmp_path).responses["a"].text == "\ud800 broken"


@settings(max_examples=60, deadline=None)
@given(batch=st.lists(responses, min_size=1, max_size=5, unique_by=lambda r: r.request_id), data=st.data())
def test_a_journal_cut_at_any_byte_keeps_every_whole_line_and_resumes_to_the_same(
    tmp_path_factory: pytest.TempPathFactory, batch: list[Response], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    content = b"".join(encode(response) for response in batch)
    cut = data.draw(st.integers(0, len(content)))
    write(folder, "main-1.jsonl", content[:cut])

    read = read_journal(folder)
    whole = content[:cut].count(b"\n")

    assert read.responses == {response.request_id: response for response in batch[:whole]}
    assert bool(read.damaged) == (cut > 0 and not content[:cut].endswith(b"\n"))

    with JournalWriter(folder, "main") as writer:
        writer.append([response for response in batch if response.request_id not in read.responses])

    assert read_journal(folder).responses == {response.request_id: response for response in batch}


def test_the_first_answer_without_an_error_counts_and_the_others_are_counted(tmp_path: Path) -> None:
    broken = Response(request_id="a", finish="error", error="broken", error_kind="permanent")
    write(tmp_path, "w1-1.jsonl", encode(broken) + encode(answer("b", "first")))
    write(tmp_path, "w2-1.jsonl", encode(answer("a", "later")) + encode(answer("b", "second")))

    read = read_journal(tmp_path)

    assert read.responses["a"].text == "later"
    assert read.responses["b"].text == "first"
    assert read.n_duplicates == 2


def test_what_was_said_can_be_left_out(tmp_path: Path) -> None:
    write(tmp_path, "main-1.jsonl", encode(answer("a", "long")) + encode(answer("b", "longer")))

    assert {name: r.text for name, r in read_journal(tmp_path, texts=False).responses.items()} == {"a": "", "b": ""}


def test_a_transient_error_is_no_answer(tmp_path: Path) -> None:
    write(
        tmp_path,
        "main-1.jsonl",
        encode(Response(request_id="a", finish="error", error="dropped", error_kind="transient")),
    )

    read = read_journal(tmp_path)

    assert read.responses == {}
    assert list(read.transient) == ["a"]


@pytest.mark.parametrize(
    "line", [b"{}\n", b"[]\n", b"nonsense\n", b'{"request_id": "a", "color": 1}\n', b"\xff\xfe\n", b"\n"]
)
def test_a_damaged_line_is_reported_and_the_rest_is_read(tmp_path: Path, line: bytes) -> None:
    write(tmp_path, "main-1.jsonl", encode(answer("a")) + line + encode(answer("b")))

    read = read_journal(tmp_path)

    assert set(read.responses) == {"a", "b"}
    assert read.damaged == ("main-1.jsonl:2",)


def test_a_new_writer_never_appends_to_a_torn_file(tmp_path: Path) -> None:
    write(tmp_path, "main-1.jsonl", encode(answer("a"))[:-5])

    with JournalWriter(tmp_path, "main") as writer:
        writer.append([answer("a")])

    assert (tmp_path / "main-1.jsonl").read_bytes() == encode(answer("a"))[:-5]
    assert set(read_journal(tmp_path).responses) == {"a"}


def test_a_full_disk_says_what_is_safe_and_the_next_attempt_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with JournalWriter(tmp_path, "main") as writer:
        writer.append([answer("a")])
        with monkeypatch.context() as patched:
            patched.setattr(journal.os, "fsync", full)
            with pytest.raises(RunError, match=r"disk is full.*All answers written before are safe"):
                writer.append([answer("b")])
        writer.append([answer("c")])

    assert {"a", "c"} <= set(read_journal(tmp_path).responses)
    assert len(list(tmp_path.glob("*.jsonl"))) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_device_that_is_really_full_loses_nothing_written_before(tmp_path: Path) -> None:
    with JournalWriter(tmp_path, "main") as writer:
        writer.append([answer("a")])
        writer.close()
        writer._file = Path("/dev/full").open("wb")  # noqa: SIM115 the writer closes it
        with pytest.raises(RunError, match="disk is full"):
            writer.append([answer("b")])
        writer.append([answer("b")])

    assert set(read_journal(tmp_path).responses) == {"a", "b"}


WRITER = """
import sys
import time
from pathlib import Path
from voxemo.core.types import Response
from voxemo.store.journal import JournalWriter, read_journal

folder = Path(sys.argv[1])
done = read_journal(folder).responses
with JournalWriter(folder, "main") as writer:
    for start in range(0, 3000, 3):
        names = [f"{n:05d}" for n in range(start, start + 3) if f"{n:05d}" not in done]
        writer.append([Response(request_id=name, text="x" * 500) for name in names])
        time.sleep(0.001)  # a fast disk must not be done before it is killed
"""


def test_sigkill_at_random_moments_loses_at_most_a_batch_and_repeats_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    before = 0
    for wait_s in (0.25, 0.05, 0.15):
        process = subprocess.Popen(command)
        while len(read_journal(tmp_path).responses) <= before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(wait_s)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        read = read_journal(tmp_path)
        assert read.n_duplicates == 0
        assert len(read.responses) >= before
        before = len(read.responses)
    subprocess.run(command, check=True)

    read = read_journal(tmp_path)
    assert set(read.responses) == {f"{n:05d}" for n in range(3000)}
    assert all(response.text == "x" * 500 for response in read.responses.values())
    assert read.n_duplicates == 0


def test_growth_counts_whole_lines_of_all_writers_from_now_on(tmp_path: Path) -> None:
    folder = tmp_path / "responses"
    write(folder, "a.jsonl", encode(answer("1")) + encode(answer("2"))[:-5])
    growth = JournalGrowth(folder)

    assert growth.n_lines() == 0
    with JournalWriter(folder, "b") as one, JournalWriter(folder, "c") as other:
        one.append([answer("3"), answer("4")])
        assert growth.n_lines() == 2
        other.append([answer("5")])
        one.append([answer("6")])
        write(folder, "d.jsonl", encode(answer("7"))[:-5])
        assert growth.n_lines() == 4
    assert growth.n_lines() == 4
    assert JournalGrowth(tmp_path / "not yet").n_lines() == 0
