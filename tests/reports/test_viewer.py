"""The listening page over HTTP: who may ask, and what is given."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from viewing import FORMULA, TOKEN, Served, clip_file, names_of, served
from voxemo.audio.decoded import Decoded
from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.core.errors import MissingDependency, RunError
from voxemo.reports.tables import csv_text
from voxemo.reports.viewer import app
from voxemo.reports.viewer.clips import clip_of
from voxemo.reports.viewer.exports import names_of as names_in
from voxemo.reports.viewer.kept import Kept
from voxemo.reports.viewer.pictures import FLOOR_DB, MOST_COLUMNS, describe, draw, envelope, spectrogram_db
from voxemo.reports.viewer.ranges import UnsatisfiableError, byte_range
from voxemo.reports.viewer.server import listen
from voxemo.reports.viewer.visible import MOST_CHARS, is_hidden, pieces
from voxemo.store.layout import Workspace

any_text = st.text(alphabet=st.characters(exclude_categories=()))


@pytest.fixture(scope="module")
def page(toy_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(toy_workspace, tmp_path_factory.mktemp("viewer")) as running:
        yield running


# --- who may ask --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["", "/", f"/{TOKEN}", f"/{TOKEN[:-1]}/", f"/{TOKEN}x/", "/api/utterances", f"//{TOKEN}/", f"/x/../{TOKEN}/"],
)
def test_without_the_whole_token_there_is_nothing(page: Served, path: str) -> None:
    got = page.get(path, root=f"http://127.0.0.1:{page.port}")

    assert (got.status, got.body) == (404, b"")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "127.0.0.1.evil.example:80", ""]
)
def test_a_request_to_another_host_is_refused(page: Served, host: str) -> None:
    got = page.get("api/utterances", headers={"Host": host})

    assert got.status in (400, 403)
    assert b"toy" not in got.body


def test_localhost_is_this_machine_too(page: Served) -> None:
    assert page.get("", headers={"Host": f"localhost:{page.port}"}).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(page: Served, method: str) -> None:
    assert page.get("", method=method).status == 405


@pytest.mark.parametrize("path", ["", "script.js", "api/utterances", "utterances.csv", "missing"])
def test_every_answer_forbids_keeping_framing_and_foreign_scripts(page: Served, path: str) -> None:
    headers = page.get(path).headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "app.py", "page.html", "%2e%2e/app.py", "static/style.css"]
)
def test_no_other_file_is_given(page: Served, path: str) -> None:
    assert page.get(path).status == 404


@pytest.mark.parametrize(
    "name", ["", "clips/t00_angry_0.wav", "../corpus/votes.csv", "/etc/passwd", "toy/../toy/t00", "toy"]
)
@pytest.mark.parametrize("path", ["audio", "picture", "api/clip", "api/utterance"])
def test_audio_is_known_by_utterance_and_never_by_path(page: Served, path: str, name: str) -> None:
    got = page.get(path, id=name)

    assert got.status == 404
    assert "tests no utterance" in json.loads(got.body)["problem"]


def test_utterances_that_the_run_does_not_test_are_not_given(page: Served) -> None:
    tested = set(names_of(page.run))
    others = set(page.run.utterances.select("utterance_id").collect().to_series()) - tested

    assert not others or page.get("audio", id=min(others)).status == 404


def test_a_port_in_use_is_said() -> None:
    with listen(0) as taken, pytest.raises(RunError, match="--port"):
        listen(taken.getsockname()[1])


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "find_spec", lambda name: None if name == "starlette" else name)

    with pytest.raises(MissingDependency, match="report"):
        app.check_packages()


# --- what is given ------------------------------------------------------------------------------------------------


def test_pages_are_filtered_on_the_server(page: Served) -> None:
    everything = json.loads(page.get("api/utterances").body)
    happy = json.loads(page.get("api/utterances", gold="happy").body)

    assert everything["n"] == everything["n_all"] == len(names_of(page.run))
    assert 0 < happy["n"] < everything["n"]
    assert {row["gold"] for row in happy["rows"]} == {"happy"}


def test_a_page_beyond_the_last_is_the_last(page: Served) -> None:
    asked = [json.loads(page.get("api/utterances", page=number).body)["page"] for number in ("0", "-1", "x", "99999")]

    assert asked == [1, 1, 1, json.loads(page.get("api/utterances").body)["n_pages"]]


@pytest.mark.parametrize("words", [{"outcome": "x"}, {"gold": "bored"}, {"system": "none"}])
def test_a_question_that_means_nothing_is_told_why(page: Served, words: dict[str, str]) -> None:
    got = page.get("api/utterances", **words)

    assert got.status == 400
    assert "There is no" in json.loads(got.body)["problem"]


def test_hostile_text_comes_as_visible_pieces_with_the_read_part_marked(page: Served) -> None:
    (name, *_) = names_of(page.run, gold="happy")
    content = json.loads(page.get("api/utterance", id=name).body)
    (answer,) = [one for one in content["answers"] if (one["system_id"], one["form"]) == ("direct", "hard")]

    shown = "".join(piece["text"] for piece in answer["pieces"])
    read = "".join(piece["text"] for piece in answer["pieces"] if "part" in piece)
    assert "<script>" in shown
    assert [code in shown for code in ("U+001B", "U+202E", "U+D800")] == [True] * 3
    assert not any(is_hidden(character) for character in shown)
    assert read == "Happy"


def test_audio_comes_whole_or_in_parts(page: Served) -> None:
    (name, *_) = names_of(page.run, gold="sad")
    whole = page.get("audio", id=name)
    part = page.get("audio", id=name, headers={"Range": "bytes=100-199"})
    beyond = page.get("audio", id=name, headers={"Range": "bytes=99999999-"})

    known, rate = sf.read(clip_file(page.workspace, name), dtype="int16")
    given_back, given_rate = sf.read(io.BytesIO(whole.body), dtype="int16")
    assert (whole.status, whole.headers["content-type"], given_rate) == (200, "audio/wav", rate)
    # Through 32-bit floats and back, which may round the last bit.
    assert np.abs(known.astype(int) - given_back).max() <= 1
    assert (part.status, part.body) == (206, whole.body[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.body)}"
    assert beyond.status == 416


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_is_drawn_for_both_themes(page: Served, theme: str) -> None:
    (name, *_) = names_of(page.run)

    assert page.get("picture", id=name, theme=theme).body.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "there is no such file"),
        (lambda path: path.write_bytes(b"RIFF"), "cannot be decoded"),
    ],
    ids=["missing", "broken"],
)
def test_broken_audio_is_said_and_everything_else_stays(page: Served, damage: object, said: str) -> None:
    name = names_of(page.run)[-1]
    path = clip_file(page.workspace, name)
    content = path.read_bytes()
    try:
        damage(path)  # type: ignore[operator]
        clip, audio = page.get("api/clip", id=name), page.get("audio", id=name)
        utterance = page.get("api/utterance", id=name)
    finally:
        path.write_bytes(content)

    assert said in json.loads(clip.body)["problem"]
    assert (clip.status, audio.status, utterance.status) == (200, 404, 200)


def test_samples_that_changed_since_prepare_are_said(page: Served) -> None:
    name = names_of(page.run)[-2]
    path = clip_file(page.workspace, name)
    content = path.read_bytes()
    try:
        sf.write(path, np.zeros(800), 16_000)
        clip = json.loads(page.get("api/clip", id=name).body)
    finally:
        path.write_bytes(content)

    assert "not those of `voxemo prepare`" in clip["note"]
    assert "silence" in clip["description"]


def test_a_corpus_that_is_not_on_this_machine_is_said(page: Served, tmp_path: Path) -> None:
    place = page.workspace.corpus_root("toy")
    content = place.read_text()
    name = names_of(page.run)[-3]
    try:
        place.write_text(json.dumps({"folder": str(tmp_path / "gone")}))
        clip = json.loads(page.get("api/clip", id=name).body)
    finally:
        place.write_text(content)

    assert "voxemo prepare" in clip["problem"]


def test_an_export_holds_the_selection_and_no_formula(page: Served) -> None:
    got = page.get("utterances.csv", outcome="wrong", system="hard/direct")
    rows = list(csv.DictReader(io.StringIO(got.body.decode())))
    names = page.get("utterances.txt", outcome="wrong", system="hard/direct").body.decode().splitlines()

    assert got.headers["content-disposition"].startswith("attachment")
    assert [row["utterance_id"] for row in rows] == names == names_of(page.run, outcome="wrong", system="hard/direct")
    assert all(row["hard/direct"] != row["true_label"] for row in rows)
    everything = page.get("utterances.csv").body.decode()
    assert f'"\'{FORMULA.replace(chr(34), chr(34) * 2)}"' in everything
    assert not [cell for row in csv.reader(io.StringIO(everything)) for cell in row if cell.startswith(("=", "+", "@"))]


# --- parts of it --------------------------------------------------------------------------------------------------


@given(text=any_text, data=st.data())
def test_pieces_hold_the_whole_text_and_nothing_hidden(text: str, data: st.DataObject) -> None:
    edges = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=4, max_size=4)))
    parts = [{"start": start, "end": end} for start, end in (edges[:2], edges[2:]) if start < end]

    found = pieces(text, parts)

    plain = "".join(chr(int(piece["text"][2:], 16)) if piece.get("code") else piece["text"] for piece in found)
    assert plain == text
    assert not any(is_hidden(character) for piece in found for character in piece["text"])
    for number, part in enumerate(parts):
        lengths = (1 if piece.get("code") else len(piece["text"]) for piece in found if piece.get("part") == number)
        assert sum(lengths) == part["end"] - part["start"]


def test_of_a_long_answer_the_ends_and_what_was_read_are_shown() -> None:
    text = "x" * 500_000 + "Sad" + "y" * 500_000

    found = pieces(text, [{"start": 500_000, "end": 500_003}])

    assert [piece["text"] for piece in found if "part" in piece] == ["Sad"]
    shown = sum(len(piece["text"]) for piece in found)
    assert shown + sum(piece.get("left_out", 0) for piece in found) == len(text)
    assert shown < 2 * MOST_CHARS


@given(first=st.integers(0, 30), last=st.integers(0, 30), size=st.integers(1, 20))
def test_a_range_is_within_the_file_or_refused(first: int, last: int, size: int) -> None:
    for header in (f"bytes={first}-{last}", f"bytes={first}-", f"bytes=-{last}"):
        try:
            found = byte_range(header, size)
        except UnsatisfiableError:
            assert first >= size or last == 0
        else:
            assert found is None or 0 <= found[0] < found[1] <= size


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "bytes=5-2", "items=0-1"]
)
def test_another_header_asks_for_the_whole_file(header: str | None) -> None:
    assert byte_range(header, 10) is None


@given(cells=st.lists(any_text.filter(lambda text: text.isprintable()), max_size=5))
def test_no_cell_of_a_table_is_a_formula(cells: list[str]) -> None:
    table = pl.DataFrame({"a": ["=1", "+1", "-1", "@x", "＝1", "\t=1", *cells]})  # noqa: RUF001

    rows = list(csv.reader(io.StringIO(csv_text(table))))[1:]

    assert not [cell for row in rows for cell in row if len(cell) > 1 and cell[0] in "=+-@\t\r"]


def test_names_are_one_in_a_line_whatever_they_hold() -> None:
    assert names_in(pl.DataFrame({"utterance_id": ["a\nb", "c\u2028d"]})) == "a\ufffdb\nc\ufffdd\n"


def test_a_tone_is_drawn_at_its_frequency() -> None:
    time_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    tone = (0.5 * np.sin(2 * np.pi * 2000 * time_s)).astype(np.float32)

    levels = spectrogram_db(tone)

    assert levels.shape[0] == 257
    assert levels.max() == 0
    assert levels.mean(axis=1).argmax() == 2000 / 31.25
    assert "centre is at 20" in describe(tone)


@pytest.mark.parametrize("n_samples", [1, 2, 160, 399, 400, 16_001, 16_000 * 40])
def test_any_length_can_be_drawn(n_samples: int) -> None:
    clip = np.random.default_rng(0).normal(0, 0.1, n_samples).astype(np.float32)

    levels = spectrogram_db(clip)
    low, high = envelope(clip)

    assert levels.shape[1] <= MOST_COLUMNS
    assert FLOOR_DB <= levels.min() <= levels.max() <= 1e-9
    assert (low.min(), high.max()) == (clip.min(), clip.max())


def test_silence_is_drawn_and_described() -> None:
    silence = np.zeros(800, np.float32)

    assert (spectrogram_db(silence) == FLOOR_DB).all()
    assert "digital silence" in describe(silence)
    assert draw(silence, "dark").startswith(b"\x89PNG")


def test_more_than_two_channels_are_sent_as_their_mean() -> None:
    surround = Decoded(samples=np.full((4800, 6), 2.0, np.float32), sample_rate_hz=48_000, lossy=False)

    clip = clip_of(surround, None)

    sent, rate = sf.read(io.BytesIO(clip.wav))
    assert (sent.ndim, rate, clip.n_channels, clip.sample_rate_hz) == (1, 16_000, 6, 48_000)
    assert sent.max() <= 1


def test_what_is_kept_is_made_once_and_the_oldest_goes() -> None:
    made: list[int] = []
    kept = Kept(lambda key: made.append(key) or key, most=2)  # type: ignore[func-returns-value]

    for key in (1, 2, 1, 3, 1, 2):
        assert kept.get(key) == key

    assert made == [1, 2, 3, 2]


def test_what_cannot_be_made_is_tried_again() -> None:
    kept = Kept(lambda key: [1, 2].index(key), most=2)

    for _ in range(2):
        with pytest.raises(ValueError, match="3"):
            kept.get(3)
    assert kept.get(2) == 1
