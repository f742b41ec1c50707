"""What the pages of the web report say, and the folder they are written into. How they behave is in tests/web."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from site_world import HOSTILE_NAME, scored, toy_runs
from toy import licensed, toy_answer
from voxemo.backends.base import Question
from voxemo.catalog import lookup
from voxemo.cli.report import show_report
from voxemo.core.cards import ModelCard, TrainingRecord
from voxemo.core.errors import MissingDependency, RunError
from voxemo.core.reasons import REASONS
from voxemo.core.types import ENSEMBLE
from voxemo.reports import figures
from voxemo.reports.hearing import heard_gains
from voxemo.reports.ranking import RankedSplit, Ranking
from voxemo.reports.scoreboard import FinishedRun, boards, prompt_title, read_runs
from voxemo.reports.site import build
from voxemo.reports.site.assets import classic_script
from voxemo.reports.site.audit import audit_page
from voxemo.reports.site.build import MARKER, Site, SiteOptions, audit_of, board_places, build_site, write_corpus
from voxemo.reports.site.corpus import confusion_table, corpus_page
from voxemo.reports.site.evidence import read_evidence
from voxemo.reports.site.index import index_page
from voxemo.reports.site.model import model_page
from voxemo.reports.site.parts import MARKS, Cell, Page, Row, Section, Table, page_name
from voxemo.reports.site.ranks import ranking_blocks, tied_on
from voxemo.reports.site.render import address, render
from voxemo.reports.site.run import run_page
from voxemo.reports.site.standings import Standing, standings, training_data
from voxemo.reports.site.transfer import NO_BASE, pairs_by_base, transfer_page, transfer_run
from voxemo.steps.plan import PlanOptions
from voxemo.store.files import write_json
from voxemo.store.layout import RunPaths, Workspace

# What these tests share takes long to make: one process makes it, once.
pytestmark = pytest.mark.xdist_group("site")


@pytest.fixture(scope="module")
def runs(toy_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The runs of the toy site; read them, do not change them."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(toy_workspace.root, folder / "workspace")
    return toy_runs(Workspace(folder / "workspace"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take most of the time, and say nothing about folders."""
    monkeypatch.setattr(figures, "can_draw", lambda: False)


@pytest.fixture(scope="module")
def finished(runs: list[Path]) -> list[FinishedRun]:
    return read_runs(runs)


def standing_of(finished: list[FinishedRun], model: str = "scripted", *, soft: bool = False) -> Standing:
    made = boards(finished)
    places = board_places(made, finished)
    found = [one for board, place in zip(made, places, strict=True) for one in standings(board, finished, place)]
    return next(
        one
        for one in found
        if (one.model_id, one.place.soft, one.place.audio_condition, one.place.split_id)
        == (model, soft, "clean", "protocol")
    )


def toy_page(runs: list[FinishedRun]) -> Page:
    """The page of the toy corpus, over some of its runs."""
    made = boards(runs)
    places = board_places(made, runs)
    found = [one for board, place in zip(made, places, strict=True) for one in standings(board, runs, place)]
    return corpus_page(made, places, found, [read_evidence(run) for run in runs], tied={})


def section(page: Page, anchor: str) -> Section:
    return next(inner for one in page.sections for inner in one.walk() if inner.anchor == anchor)


def tables(page: Page, anchor: str) -> list[Table]:
    return [block for block in section(page, anchor).blocks if isinstance(block, Table)]


def texts(rows: tuple[Row, ...], column: int) -> list[str]:
    return [row.cells[column].text for row in rows]


# --- standings ------------------------------------------------------------------------------------------------------


def test_a_standing_has_the_best_prompt_and_the_vote_of_its_run(finished: list[FinishedRun]) -> None:
    one = standing_of(finished)

    prompts = [entry for entry in one.entries if entry.system in lookup.prompt_names()]
    assert one.best.cells["unweighted_accuracy"].value == max(
        entry.cells["unweighted_accuracy"].value or 0 for entry in prompts
    )
    assert one.ensembles[ENSEMBLE].system == ENSEMBLE


@pytest.mark.parametrize(
    ("known", "state"),
    [("undisclosed", "undisclosed"), (("toy",), "contains"), (("urdu",), "not_listed"), ((), "not_listed")],
)
def test_training_data_is_undisclosed_known_to_hold_the_corpus_or_known_without_it(
    known: tuple[str, ...] | str, state: str
) -> None:
    card = lookup.model_card("scripted").model_copy(update={"training_corpora": known})

    assert training_data(card, "toy") == state


def test_a_published_figure_stands_beside_the_same_model_and_prompt_only(finished: list[FinishedRun]) -> None:
    def as_if(model_id: str) -> Standing:
        run = finished[0]
        card = run.manifest.corpus_card.model_copy(update={"corpus_id": "urdu"})
        models = {"all": lookup.model_card("scripted").model_copy(update={"model_id": model_id})}
        manifest = run.manifest.model_copy(update={"corpus_card": card, "model_cards": models})
        scores = run.scores.with_columns(corpus_id=pl.lit("urdu"), model_id=pl.lit(model_id))
        return standing_of([FinishedRun(run.path, manifest, scores)], model_id)

    row = next(
        row
        for row in lookup.published()
        if (row["corpus_id"], row["system"], row["setting"], row["metric"])
        == ("urdu", "qwen2-audio-7b-instruct", "direct", "macro_f1")
    )
    assert as_if("qwen2-audio-7b-instruct").published["direct", "macro_f1"][0] == float(row["value"])
    assert as_if("nobody").published == {}
    assert as_if("nobody").place.emobox["unweighted_accuracy"] > 0


# --- the scoreboard -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def index(finished: list[FinishedRun]) -> Page:
    made = boards(finished)
    places = board_places(made, finished)
    found = [one for board, place in zip(made, places, strict=True) for one in standings(board, finished, place)]
    clean = [one for one in found if one.place.audio_condition == "clean"]
    return index_page(clean, tied={}, ranking=(), notes=["a note"])


def test_the_scoreboard_has_every_run_and_every_reference_once_for_each_board(index: Page) -> None:
    (table,) = tables(index, "hard-all")

    ours = [row.cells[1].text for row in table.rows if not row.quiet]
    assert len(ours) == 3
    assert {"hostile"} < set(ours)
    assert sorted(row.cells[1].text for row in table.rows if row.quiet) == sorted(
        ["uniform guess", "train prior", "train majority"] * 2
    )


def test_every_score_of_the_scoreboard_has_its_interval_and_coverage(index: Page) -> None:
    (table,) = tables(index, "hard-all")

    for row in table.rows:
        main = row.cells[4]
        assert main.sort is not None
        assert any(line.startswith("[") for line in main.below)
        assert any(line.startswith("n ") for line in main.below)
        assert row.quiet or any("failed" in line for line in main.below)


def test_the_matrix_has_a_row_for_each_board_and_a_column_for_each_model_and_reference(index: Page) -> None:
    (table,) = tables(index, "hard-matrix")

    heads = [head.text for head in table.heads]
    assert len(table.rows) == 2
    assert {"hostile", "uniform guess", "train prior", "train majority"} < set(heads)
    assert all(len(row.cells) == len(heads) for row in table.rows)


def test_rows_are_as_wide_as_their_heads_on_every_page(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Page] = []

    def keep(out: Path, pages: list[Page], colophon: str) -> set[str]:
        seen.extend(pages)
        return set()

    monkeypatch.setattr(build, "_write_pages", keep)
    build_site(runs, tmp_path / "site", jobs=1)

    every = [table for page in seen for table in page.tables]
    assert len(every) > 20
    for table in every:
        assert table.caption
        assert {len(row.cells) for row in table.rows} <= {len(table.heads)}, table.caption
    for page in seen:
        assert set(page.marks) <= set(MARKS)
        names = [figure.name for figure in page.figures]
        assert len(names) == len(set(names))


def test_published_columns_are_marked_and_stand_apart(index: Page) -> None:
    (table,) = tables(index, "hard-all")

    published = [head for head in table.heads if head.published]
    assert len(published) == 8
    assert all(head.group.startswith("published: ") for head in published)
    assert [head.text for head in published[:2]] == ["UA %", "difference"]


def test_each_board_has_one_best_row_and_marks_what_cannot_be_told_apart_from_it(finished: list[FinishedRun]) -> None:
    made = boards(finished)
    for board in made:
        tied = tied_on(board, finished)
        shown = {(entry.run_id, entry.system) for entry in board.entries if entry.kind == "run"}

        assert list(tied.values()).count("best") == 1
        assert set(tied) <= shown
    # Half of the hostile model's answers cannot be read, so it is told apart from the other one.
    hard = next(board for board in made if {"hostile", "scripted"} <= {entry.model for entry in board.entries})
    marked = set(tied_on(hard, finished))
    assert not any("hostile" in run_id for run_id, _ in marked)


def test_a_model_whose_training_data_holds_the_corpus_is_marked(index: Page) -> None:
    (table,) = tables(index, "hard-all")
    marks = {row.cells[1].text: row.cells[4].marks for row in table.rows if not row.quiet}

    assert "contains" in marks["hostile"]
    assert all("undisclosed" in found for name, found in marks.items() if name != "hostile")


# --- models, corpora, runs ------------------------------------------------------------------------------------------


def test_a_model_page_shows_score_and_failures_of_every_prompt(finished: list[FinishedRun]) -> None:
    one = standing_of(finished)
    page = model_page(lookup.model_card("scripted"), [one], [], checks={}, tied={})
    table = tables(page, "prompts")[0]

    assert [head.text for head in table.heads[2:]] != []
    assert len(table.heads) == 2 + len(lookup.prompt_names())
    assert all("failed" in cell.below[0] for cell in table.rows[0].cells[2:])


def test_a_model_that_heard_silence_shows_what_hearing_is_worth(finished: list[FinishedRun]) -> None:
    gains = heard_gains(boards(finished), finished)

    page = model_page(lookup.model_card("scripted"), [standing_of(finished)], gains, checks={}, tied={})

    (table,) = tables(page, "hearing")
    assert set(texts(table.rows, 3)) == {"silence"}
    assert set(lookup.prompt_names()) < {gain.system_id for gain in gains}
    # The toy's answers come from the clip's name, whatever is heard.
    assert set(texts(table.rows, 6)) == {"0.0"}
    assert set(texts(table.rows, 7)) == {"[0.0, 0.0]"}


def test_what_a_run_does_not_record_is_shown_as_missing(finished: list[FinishedRun]) -> None:
    evidence = replace(read_evidence(finished[0]), workers=())
    page = run_page(evidence)

    shown = [value for block in page.every_block if block.kind == "facts" for _, value in block.items if value.missing]
    assert len(shown) > 1
    assert all(value.text for value in shown)


def test_a_confusion_matrix_is_tinted_by_the_share_of_the_row_and_marks_the_diagonal() -> None:
    table = confusion_table([[3, 1, 0], [0, 0, 0]], ["angry", "sad"], caption="")

    first, empty = table.rows
    assert [cell.tint for cell in first.cells[1:]] == [8, 2, 0]
    assert [cell.strong for cell in first.cells[1:]] == [True, False, False]
    assert [cell.tint for cell in empty.cells[1:]] == [0, 0, 0]


@pytest.mark.usefixtures("undrawn")
def test_a_run_of_an_older_version_says_which_commands_bring_what_is_missing(runs: list[Path], tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(runs[0], old)
    for path in (RunPaths(old).analyses, RunPaths(old).unit_counts, RunPaths(old).failures):
        path.unlink()

    site = build_site([old], tmp_path / "site")

    run_id = read_runs([old])[0].manifest.run_id
    page = (site.folder / "corpora" / "toy.html").read_text(encoding="utf-8")
    assert f"voxemo score {run_id}" in page
    assert f"voxemo parse {run_id}" in page
    assert "kept no reasons" in (site.folder / "audit.html").read_text(encoding="utf-8")


def test_the_audit_page_says_every_reason_of_its_tables_in_words(finished: list[FinishedRun]) -> None:
    page = audit_page([audit_of(read_evidence(run)) for run in finished])

    reasons = [head.text for table in tables(page, "failures") for head in table.heads if head.group == "reason"]
    (told,) = (block for block in section(page, "failures").blocks if block.kind == "facts")
    assert [name for name, _ in told.items] == reasons != []
    assert [value.text for _, value in told.items] == [REASONS[reason] for reason in reasons]


def test_a_reason_of_another_version_is_said_to_be_unknown(finished: list[FinishedRun]) -> None:
    audit = audit_of(read_evidence(finished[0]))
    failure = {"reason": "yawned", "n": 1, "system_id": "direct", "form": "hard", "examples": []}

    (told,) = (
        block for block in audit_page([replace(audit, failures=(failure,))]).every_block if block.kind == "facts"
    )

    assert told.items == (("yawned", Cell(text="Not known to this version.")),)


def test_calibration_counts_the_answers_that_it_is_of(finished: list[FinishedRun]) -> None:
    """Failed answers have no confidence."""
    run = next(run for run in finished if "hostile" in run.manifest.run_id)
    rows = read_evidence(run).analyses
    assert rows is not None
    bins = rows.filter(pl.col("kind") == "calibration", pl.col("group") != "all", pl.col("metric") == "accuracy")

    (table,) = (one for one in toy_page([run]).tables if one.caption.startswith("Calibration"))

    place = [head.text for head in table.heads].index("answers read")
    shown = {row.cells[1].text: row.cells[place].sort for row in table.rows if row.cells[2].text == "stated"}
    counted = {prompt_title(name): n for name, n in bins.group_by("system_id").agg(pl.col("n").sum()).iter_rows()}
    assert shown
    assert shown == {prompt: counted[prompt] for prompt in shown}
    assert min(shown.values()) < rows["n"].max()


def test_the_distributions_of_a_voted_board_stand_beside_the_listeners_votes(finished: list[FinishedRun]) -> None:
    rows = [row for table in toy_page(finished).tables if "mean distributions" in table.caption for row in table.rows]

    assert {row.cells[0].text for row in rows if row.cells[0].strong} == {"listeners' votes"}


@pytest.mark.parametrize(("n", "caption"), [(1, "over 1 evaluation split"), (2, "over 2 evaluation splits")])
def test_one_split_is_not_said_to_be_several(n: int, caption: str) -> None:
    split = RankedSplit(corpus_id="a", corpus_name="A", partition="test", split_id="protocol")
    blocks = ranking_blocks([Ranking(splits=(split,) * n, systems=(), synthetic=False)])

    (table,) = (block for block in blocks if block.kind == "table")
    assert table.caption == f"Overall rank {caption}"


# --- answers that may quote a corpus --------------------------------------------------------------------------------

HEARD = "quokka marmalade zeppelin"


@pytest.fixture
def overheard(workspace: Workspace) -> Path:
    """A run whose answers write down what was heard, readable ones and unreadable ones."""

    def answer(question: Question) -> str:
        said = toy_answer(question)
        return f"FINAL LABEL: {HEARD}, I hear" if said == "I hear something." else f"TRANSCRIPT: {HEARD}\n{said}"

    run = scored(workspace, answer=answer)
    write_json(RunPaths(run).parity_check, PARITY | {"examples": [{"fast": HEARD, "plain": HEARD}]})
    return run


PARITY = {
    "n_questions": 3,
    "n_answers_differ": 1,
    "n_labels_differ": 0,
    "dtype": "float32",
    "device": "cpu",
    "batch_size": 2,
}


def pages_with(folder: Path, text: str) -> set[str]:
    pages = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "assets")
    return {path.relative_to(folder).parts[0] for path in pages if text.encode() in path.read_bytes()}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("access", "why"),
    [
        ({"redistributable": False}, "may not be passed on"),
        ({"kind": "request", "downloads": ()}, "has to be asked for"),
    ],
    ids=["not to be passed on", "to be asked for"],
)
def test_no_page_quotes_an_answer_about_a_licensed_corpus_and_all_say_why(
    overheard: Path, tmp_path: Path, access: dict[str, Any], why: str
) -> None:
    licensed(overheard, **access)

    made = build_site([overheard], tmp_path / "html")

    assert [text for text in made.withheld if why in text] == list(made.withheld) != []
    assert not [word for word in HEARD.split() if pages_with(made.folder, word)]
    assert pages_with(made.folder, why) == {"audit.html", "runs"}
    assert pages_with(made.folder, "out_of_set") == {"audit.html", "runs"}


@pytest.mark.usefixtures("undrawn")
def test_failed_answers_about_an_open_corpus_are_shown_unless_they_are_asked_to_be_left_out(
    overheard: Path, tmp_path: Path
) -> None:
    shown = build_site([overheard], tmp_path / "html")
    left_out = build_site([overheard], tmp_path / "without", SiteOptions(redact=True))

    assert shown.withheld == ()
    assert pages_with(shown.folder, HEARD) == {"audit.html", "runs"}
    assert not pages_with(shown.folder, "not shown word for word")
    assert not pages_with(left_out.folder, HEARD)
    assert pages_with(left_out.folder, "not shown word for word: asked for") == {"audit.html", "runs"}


@pytest.mark.usefixtures("undrawn")
def test_one_licensed_corpus_leaves_the_answers_about_an_open_one_on_the_audit_page(
    overheard: Path, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    shutil.copytree(overheard, closed)
    licensed(closed, redistributable=False)
    open_run, closed_run = (audit_of(read_evidence(run)) for run in read_runs([overheard]) + read_runs([closed]))

    page = audit_page([open_run, replace(closed_run, model_id="other", run_id="closed")])

    quoted = [block.label for block in page.every_block if block.kind == "verbatim"]
    assert quoted
    assert not [label for label in quoted if label.startswith("other")]
    told = [block.text for block in page.every_block if block.kind == "paragraph"]
    assert any("may not be passed on" in text for text in told)


@pytest.mark.usefixtures("undrawn")
def test_no_table_or_disclosure_of_a_run_quotes_an_answer(overheard: Path, tmp_path: Path) -> None:
    """What `voxemo report` writes beside the site, of an open corpus too."""
    show_report([overheard], out=tmp_path / "out", latex=tmp_path / "latex")

    written = [*(tmp_path / "out").iterdir(), *(tmp_path / "latex").iterdir(), *RunPaths(overheard).report.iterdir()]
    assert len(written) > 4
    assert not [path.name for path in written if b"quokka" in path.read_bytes()]


# --- transfer -------------------------------------------------------------------------------------------------------


def trained_on(card: ModelCard, corpus_id: str) -> ModelCard:
    record = TrainingRecord(
        kind="sft",
        base_model_id="scripted",
        corpus_id=corpus_id,
        corpus_card_sha256="a",
        split_id="protocol",
        split_sha256="b",
        fold_id="1",
        partitions=("train",),
        label_source="expressed",
        label_names=("angry", "sad"),
        n_utterances=8,
        seed=0,
        recipe={},
        package_versions={},
        artefact="adapter",
        artefact_sha256="c",
    )
    return card.model_copy(update={"model_id": f"tuned-{corpus_id}", "training": record})


def test_transfers_are_paired_with_their_base_model_on_the_same_test_part(finished: list[FinishedRun]) -> None:
    base = transfer_run(finished[0])
    assert base is not None
    tuned = [
        replace(base, run_id=name, model_card=trained_on(base.model_card, name)) for name in ("toy", "urdu", "nowhere")
    ]

    ((model, pairs),) = pairs_by_base([base, *tuned]).items()
    alone = pairs_by_base(tuned)["scripted"]

    assert model == "scripted"
    assert {pair.source: pair.in_domain for pair in pairs} == {
        "toy (tuned-toy)": True,
        "urdu (tuned-urdu)": False,
        "nowhere (tuned-nowhere)": False,
    }
    assert {pair.zero_shot for pair in pairs} == {base.path}
    assert [len(pair.shifts) for pair in pairs] == [0, 0, 1]
    assert {pair.refused for pair in alone} == {NO_BASE}


def test_the_transfer_page_has_the_matrix_with_gains_and_what_changes(finished: list[FinishedRun]) -> None:
    base = transfer_run(finished[0])
    assert base is not None
    # The base's own scores stand for the tuned model's: what is read is a folder, whatever made it.
    tuned = replace(base, run_id="tuned", model_card=trained_on(base.model_card, "urdu"))

    page = transfer_page([base, tuned])
    matrix, changes = tables(page, "base-scripted")

    assert texts(matrix.rows, 0) == ["zero-shot, best prompt", "urdu (tuned-urdu)"]
    assert "(" in matrix.rows[1].cells[1].text
    assert texts(changes.rows, 0) == ["urdu"]
    assert transfer_page([base]).sections == ()


def test_a_run_that_heard_something_else_is_no_transfer(finished: list[FinishedRun]) -> None:
    assert [transfer_run(run) is None for run in finished] == [False, False, False, True]


# --- names, links, scripts ------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=130), unique=True, min_size=1, max_size=20))
def test_every_name_gives_a_safe_file_name_of_its_own(names: list[str]) -> None:
    made = [page_name(name) for name in names]

    assert len(set(made)) == len(names)
    for name in made:
        assert name
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        assert not name.startswith((".", "-"))


@pytest.mark.parametrize("href", ["javascript:alert(1)", "data:text/html,x", "/etc/passwd", "//host/x", "\\\\host\\x"])
def test_a_link_that_leads_neither_within_the_site_nor_to_the_web_is_none(href: str) -> None:
    assert address(href) is None


@pytest.mark.parametrize("module", ["var a=1;", "export{a as b};", "import x from 'y';export{a as default};"])
def test_a_bundle_of_an_unknown_form_is_refused_and_not_taken_apart(module: str) -> None:
    with pytest.raises(MissingDependency, match="itables"):
        classic_script(module)


def test_a_hostile_text_is_escaped_wherever_it_stands() -> None:
    page = Page(
        path="a/b.html",
        title=HOSTILE_NAME,
        lead=HOSTILE_NAME,
        sections=(
            Section(
                title=HOSTILE_NAME,
                anchor="one",
                blocks=(Table(caption=HOSTILE_NAME, heads=(), rows=(Row(cells=(Cell(text=HOSTILE_NAME),)),)),),
            ),
        ),
    )

    text = render(page, navigation=(), colophon=HOSTILE_NAME)

    assert "<script>document" not in text
    assert "\x1b" not in text
    assert "{{ 7 * 7 }}" in text
    assert 'href="../assets/site.css"' in text


# --- the folder -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Site:
    return build_site(runs, tmp_path_factory.mktemp("site") / "html")


def test_the_same_runs_give_the_same_bytes(runs: list[Path], site: Site, tmp_path: Path) -> None:
    again = build_site(runs, tmp_path / "html").folder

    def content(folder: Path) -> dict[str, bytes]:
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert content(again) == content(site.folder)


def test_two_processes_write_what_one_writes(runs: list[Path], site: Site, tmp_path: Path) -> None:
    parts = list(
        build._corpus_parts({"a": runs[:1], "b": runs[1:2]}, tmp_path / "html", SiteOptions(), jobs=2, on_progress=None)
    )

    for part in parts:
        for name in part.written:
            if name.startswith("runs/"):
                assert (tmp_path / "html" / name).read_bytes() == (site.folder / name).read_bytes()


@pytest.mark.usefixtures("undrawn")
def test_a_folder_with_other_files_is_refused_and_left_as_it_is(runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(RunError, match="no site of ours"):
        build_site(runs, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.usefixtures("undrawn")
def test_an_earlier_site_is_replaced_and_its_other_pages_go(runs: list[Path], site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.folder, tmp_path / "html")
    notes = tmp_path / "html" / "CNAME"
    notes.write_text("somebody's own")

    made = build_site(runs[:1], tmp_path / "html")

    left = {path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*.html")}
    assert "models/hostile.html" not in left
    assert len(left) == made.n_pages
    assert notes.exists()
    assert (made.folder / MARKER).exists()


@pytest.mark.usefixtures("undrawn")
def test_a_folder_that_is_no_run_is_skipped_with_its_reason(runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()

    made = build_site([tmp_path / "nothing", runs[0]], tmp_path / "html")

    assert made.n_runs == 1
    assert "is no run folder" in made.skipped[0]
    with pytest.raises(RunError, match="is no run folder"):
        build_site([tmp_path / "nothing"], tmp_path / "none")


@pytest.mark.usefixtures("undrawn")
def test_partial_runs_are_left_out_unless_asked_for_and_then_marked(workspace: Workspace, tmp_path: Path) -> None:
    run = scored(workspace, options=PlanOptions(limit=4))

    with pytest.raises(RunError, match="is partial"):
        build_site([run], tmp_path / "none")
    made = build_site([run], tmp_path / "html", SiteOptions(partial=True))

    text = made.index.read_text(encoding="utf-8")
    assert "PARTIAL" in text
    assert "not ranked: 1 run." in text


@pytest.mark.usefixtures("undrawn")
def test_progress_counts_runs(runs: list[Path], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    build_site(runs[:2], tmp_path / "html", on_progress=lambda done, total: seen.append((done, total)))

    assert seen == [(0, 2), (2, 2)]


@pytest.mark.usefixtures("undrawn")
def test_a_corpus_gives_back_no_table(runs: list[Path], tmp_path: Path) -> None:
    """What comes back from another process is small."""
    part = write_corpus(runs, tmp_path, SiteOptions())

    assert all(run.scores.is_empty() for run in part.runs)
