"""Hostile text through every report: nothing acts, nothing is taken for markup, nothing breaks."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hostile import (
    CODES,
    FILE_NAME,
    HOSTILE,
    NAME,
    ON_CARDS,
    OWN,
    HostileWorld,
    Page,
    acting,
    acting_elements,
    forged,
    formulas,
    is_number,
    page_problems,
    rendered,
)
from latex_check import columns, problems
from viewing import Served, names_of, serving
from voxemo.core.escape import (
    FORMULA,
    fenced,
    for_csv,
    for_figure,
    for_json,
    for_latex,
    for_markdown,
    for_terminal,
    visible,
)
from voxemo.reports import figures, scoreboard, transfer
from voxemo.reports.figures.of_runs import write_figures
from voxemo.reports.tables import csv_text, latex_table, markdown_table
from voxemo.reports.transfer import TransferCell

# What these tests share takes long to make: one process makes it, once.
pytestmark = pytest.mark.xdist_group("hostile")

ANY = st.text(st.characters(), max_size=60) | st.sampled_from(list(HOSTILE.values())[:-1]).map(lambda text: text[:500])


# --- one function for each target ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("show", [visible, for_terminal, for_markdown, for_csv, for_latex, for_figure])
def test_nothing_acts_after_a_text_was_made_fit(name: str, show: Callable[[str], str]) -> None:
    shown = show(HOSTILE[name])

    assert acting(shown, keep="\n" if show is for_terminal else "") == set()
    shown.encode()


@given(ANY)
@example("-")
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    made = rendered(f"- point: {for_markdown(text)}\n- {for_markdown(text)}\n")

    assert set(made.tags) <= {"ul", "li"}
    assert made.attributes == []
    shown = " ".join(visible(text).split())
    assert " ".join(made.text.split()) == " ".join(f"point: {shown} {shown}".split())


@given(st.lists(ANY, min_size=2, max_size=2))
def test_a_markdown_table_keeps_its_cells(cells: list[str]) -> None:
    made = rendered(markdown_table(["a", "b"], [cells], n_text=2))

    assert set(made.tags) == {"table", "thead", "tbody", "tr", "th", "td"}
    assert (made.tags.count("td"), made.attributes) == (2, [])


@given(ANY)
def test_a_fence_holds_any_text(text: str) -> None:
    made = rendered(fenced(text))

    assert made.tags == ["pre", "code"]


@given(ANY)
def test_no_cell_of_a_csv_file_begins_a_formula(text: str) -> None:
    made = for_csv(text)

    assert len(made) < 2 or not made.lstrip().startswith(FORMULA)
    assert made in (visible(text), f"'{visible(text)}")


@given(st.lists(ANY, min_size=2, max_size=2), ANY)
def test_a_latex_table_is_sound_whatever_stands_in_it(cells: list[str], caption: str) -> None:
    made = latex_table(["a", "b"], [cells, None, cells], caption=caption, label="tab:x", n_text=1)

    assert problems(made) == []
    assert columns(made) == {2}


@given(st.dictionaries(ANY, ANY, max_size=3))
def test_json_says_the_same_and_nothing_in_it_acts(value: dict[str, str]) -> None:
    made = for_json(value)

    assert json.loads(made) == value
    assert acting(made) == set()


def matrix(text: str) -> list[TransferCell]:
    """Two scores and a refusal, with the text wherever there is one."""
    cells = [
        TransferCell(source=text, target=target, in_domain=False, value=0.5, zero_shot=0.4, zero_shot_prompt=text)
        for target in (text, "plain")
    ]
    return [*cells, TransferCell(source=text, target="third", in_domain=False, refused=text)]


@pytest.mark.parametrize("name", ON_CARDS)
def test_a_matrix_of_transfers_shows_any_name(name: str) -> None:
    cells = matrix(ON_CARDS[name])
    markdown = rendered(transfer.markdown(ON_CARDS[name], cells))
    table = transfer.latex(ON_CARDS[name], cells)
    written = csv_text(transfer.csv_table(cells))

    assert (markdown.attributes, set(markdown.tags) - OWN) == ([], set())
    assert (problems(table), columns(table)) == ([], {4})
    assert (acting(written), formulas(written)) == (set(), [])


def test_a_map_of_transfers_shows_any_name(tmp_path: Path) -> None:
    cells = [cell for text in ON_CARDS.values() for cell in matrix(text)]
    (drawn,) = figures.transfer_map(cells, tmp_path, "map", title=NAME, kinds=("svg",))
    text = drawn.read_text(encoding="utf-8")

    assert (acting(text), acting_elements(text)) == (set(), set())


# --- a hostile run -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(hostile: HostileWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forged(hostile, tmp_path_factory.mktemp("reported")).run


@pytest.fixture(scope="module")
def reported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of every report of the run, and what the terminal showed."""
    from typer.testing import CliRunner

    from voxemo.cli.main import app

    folder = tmp_path_factory.mktemp("reports")
    words = ["report", str(run), "--out", str(folder), "--latex", str(folder), "--html", str(folder / "site")]
    shown = CliRunner().invoke(app, words, env={"COLUMNS": "300"})
    assert shown.exit_code == 0, shown.output
    return folder, shown.output


def test_nothing_acts_on_the_terminal(reported: tuple[Path, str]) -> None:
    shown = reported[1]

    assert acting(shown) == set()
    # Rich markup is text: it is shown, and colours nothing.
    assert "[bold red]x[/]" in shown
    assert len(shown) < 200_000


@pytest.mark.parametrize("name", ["scoreboard.md", "classes.md", "disclosure.md"])
def test_markdown_reports_have_no_markup_but_their_own(name: str, run: Path, reported: tuple[Path, str]) -> None:
    path = reported[0] / name if name == "scoreboard.md" else run / "report" / name
    text = path.read_text(encoding="utf-8")
    made = rendered(text)

    assert acting(text) == set()
    assert set(made.tags) <= OWN
    assert made.attributes == []
    if name != "classes.md":
        assert "<script>alert(1)</script>" in made.text


def test_the_csv_has_no_formula_and_its_numbers_are_numbers(reported: tuple[Path, str]) -> None:
    text = (reported[0] / "scoreboard.csv").read_text(encoding="utf-8")
    header, *rows = csv.reader(io.StringIO(text))

    assert acting(text) == set()
    assert formulas(text) == []
    assert {len(row) for row in rows} == {len(header)}
    assert all(is_number(row[header.index("value")]) for row in rows if row[header.index("value")])


def test_latex_tables_are_sound(reported: tuple[Path, str]) -> None:
    paths = sorted(reported[0].glob("*.tex"))

    assert len(paths) == 4
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert problems(text) == []
        if path.name != "tables.tex":
            assert len(columns(text)) == 1


def test_the_site_shows_any_text_and_runs_none(reported: tuple[Path, str]) -> None:
    paths = sorted((reported[0] / "site").rglob("*.html"))
    pages = [path.read_text(encoding="utf-8") for path in paths]

    assert len(pages) > 5
    for path, html in zip(paths, pages, strict=True):
        assert (path.name, page_problems(html), acting(html, keep="\n\t")) == (path.name, [], set())
    shown = "".join(Page(html).text for html in pages)
    for text in (HOSTILE["script"], HOSTILE["attribute"], HOSTILE["template"], HOSTILE["formula"]):
        assert text in shown


def test_figures_are_well_formed_and_hold_nothing_that_runs(run: Path, tmp_path: Path) -> None:
    finished = scoreboard.read_runs([run])
    skipped: list[str] = []
    paths = write_figures(scoreboard.boards(finished), finished, tmp_path, kinds=("svg",), on_skip=skipped.append)

    assert (len(paths) > 5, skipped) == (True, [])
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert re.fullmatch(r"[A-Za-z0-9._+-]+", path.name)
        assert acting(text) == set()
        assert acting_elements(text) == set()
        assert "onerror=" not in re.sub(r"<(title|desc|text)[^>]*>[^<]*<", "<", text)


def test_file_names_hold_nothing_hostile(reported: tuple[Path, str]) -> None:
    for path in reported[0].rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9._+-]+", path.name), path.name


@pytest.fixture(scope="module")
def listening(hostile: HostileWorld) -> Iterator[Served]:
    with serving(hostile.workspace, hostile.run) as running:
        yield running


def test_the_listening_page_shows_any_text_and_runs_none(listening: Served) -> None:
    html = listening.get("").body.decode()
    page = Page(html)

    assert page_problems(html) == []
    assert acting(page.text, keep="\n\t") == set()
    # What a choice stands for is asked for as it is.
    assert acting("".join(value or "" for name, value in page.attributes if name != "value")) == set()
    assert HOSTILE["script"] in page.text


def test_what_the_listening_page_asks_for_is_ascii_and_of_any_name(listening: Served) -> None:
    facts = listening.run.facts()
    for speaker in facts["speakers"]:
        found = listening.get("api/utterances", speaker=speaker).body.decode("ascii")
        assert json.loads(found)["n"] == len(CODES)
    for name in names_of(listening.run):
        got = listening.get("api/utterance", id=name).body.decode("ascii")
        for answer in json.loads(got)["answers"]:
            assert acting("".join(piece["text"] for piece in answer["pieces"]), keep="\n\t") == set()
    for words in ({"id": NAME}, {"id": FILE_NAME}):
        refused = listening.get("api/utterance", **words)
        assert refused.status == 404
        assert json.loads(refused.body.decode("ascii")).keys() == {"problem"}


def test_a_selection_has_no_formula_and_a_line_for_each_name(listening: Served) -> None:
    table = listening.get("utterances.csv").body.decode()
    names = listening.get("utterances.txt").body.decode()

    assert (acting(table), formulas(table)) == (set(), [])
    assert len(names.splitlines()) == len(names_of(listening.run))


def test_a_megabyte_of_an_answer_is_no_megabyte_of_a_report(run: Path, reported: tuple[Path, str]) -> None:
    texts = [path for path in (*reported[0].glob("*.*"), *(run / "report").glob("*.md")) if path.is_file()]

    assert all(path.stat().st_size < 600_000 for path in texts)
    assert len(NAME) < 5000
