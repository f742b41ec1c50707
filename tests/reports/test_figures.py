"""Every figure: its files, its words, and that the same numbers give the same picture."""

from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from figure_data import FIGURES, LABELS, analyses, counts, prompt_scores
from voxemo.core.errors import MissingDependency
from voxemo.reports import figures
from voxemo.reports.figures import canvas
from voxemo.reports.figures.distributions import side_by_side
from voxemo.reports.figures.of_runs import vote_rule_parts
from voxemo.reports.figures.series import LOOKS
from voxemo.store.tables import ANALYSES, frame

SVG = "{http://www.w3.org/2000/svg}"


def texts(path: Path) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.parse(path).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_written_as_svg_png_and_pdf_and_twice_the_same(name: str, tmp_path: Path) -> None:
    draw, data = FIGURES[name]

    first = draw(data(), tmp_path / "a", name, title="A title")
    second = draw(data(), tmp_path / "b", name, title="A title")

    assert [path.name for path in first] == [f"{name}.{kind}" for kind in ("svg", "png", "pdf")]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize("name", FIGURES)
def test_an_svg_has_a_title_and_says_in_words_what_there_is_to_see(name: str, tmp_path: Path) -> None:
    draw, data = FIGURES[name]

    (path,) = draw(data(), tmp_path, name, title="Of <one> & all", kinds=("svg",))

    root = ElementTree.parse(path).getroot()
    assert (root.find(f"{SVG}title").text, root.get("role")) == ("Of <one> & all", "img")
    assert len(root.find(f"{SVG}desc").text) > 20
    assert "Of <one> & all" in texts(path)


@pytest.mark.parametrize("name", FIGURES)
def test_without_anything_to_draw_no_file_is_written(name: str, tmp_path: Path) -> None:
    draw, data = FIGURES[name]

    assert draw(data().clear(), tmp_path, name, title="Nothing") == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_what_is_missing_without_matplotlib(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, data = FIGURES[name]
    monkeypatch.setattr(canvas, "can_draw", lambda: False)

    with pytest.raises(MissingDependency, match="matplotlib"):
        draw(data(), tmp_path, name, title="A title")


def test_no_two_systems_of_a_figure_differ_by_colour_alone() -> None:
    assert len({(look.marker, look.filled) for look in LOOKS}) == len(LOOKS)
    assert len({look.hatch for look in LOOKS}) == len(LOOKS)


def test_a_figure_draws_eight_systems_and_says_how_many_it_leaves_out(tmp_path: Path) -> None:
    data = prompt_scores(tuple(f"model-{index}" for index in range(11)))

    (path,) = figures.prompt_sensitivity(data, tmp_path, "many", title="Many", kinds=("svg",))

    named = texts(path)
    assert ("model-7" in named, "model-8" in named, "and 3 more, not drawn" in named) == (True, False, True)


def test_a_confusion_has_shares_and_counts_and_keeps_failed_answers_apart(tmp_path: Path) -> None:
    data = pl.DataFrame({"gold": ["sad", "sad", "sad"], "predicted": ["sad", "failed", "sad"], "n": [2, 1, 1]})

    (path,) = figures.confusion(data, tmp_path, "c", title="C", kinds=("svg",), labels=("happy", "sad"))

    assert {"75 %", "25 %", "3", "1", "failed", "happy"} <= set(texts(path))
    assert "3 of 4 answers are right" in path.read_text()


def test_a_confusion_without_a_label_set_takes_the_labels_that_occur(tmp_path: Path) -> None:
    (path,) = figures.confusion(counts(), tmp_path, "c", title="C", kinds=("svg",))

    assert set(LABELS) <= set(texts(path))


def test_distributions_show_the_votes_and_one_system_for_each_way() -> None:
    rows = analyses().filter(pl.col("kind") == "mean_distribution")

    assert side_by_side(rows) == [
        "reference:gold",
        "mean_distribution",
        "ensemble",
        "likelihood:direct",
        "likelihood-corrected:direct",
    ]


def test_a_calibration_shows_the_ece_of_each_system(tmp_path: Path) -> None:
    (path,) = figures.calibration(analyses(), tmp_path, "c", title="C", kinds=("svg",))

    assert sum(text.startswith("ECE 0.") for text in texts(path)) == 5


def test_names_with_dollars_underscores_and_other_scripts_are_drawn_as_they_are(tmp_path: Path) -> None:
    data = prompt_scores(("_$x_1$", "模型"))

    (path, *_) = figures.prompt_sensitivity(data, tmp_path, "names", title="$\\frac{1}")

    assert {"_$x_1$", "模型", "$\\frac{1}"} <= {text.strip() for text in texts(path)}


@pytest.mark.parametrize("name", FIGURES)
def test_long_names_leave_room_for_what_is_drawn(name: str, tmp_path: Path) -> None:
    draw, data = FIGURES[name]
    outside = [column for column in ("model", "system", "corpus_id", "class_label", "gold") if column in data().columns]
    long = data().with_columns(pl.col(column) + " of a very long name " * 20 for column in outside)

    # A warning of matplotlib, that nothing fits, is an error here.
    assert draw(long, tmp_path, name, title="A title that goes on " * 20, kinds=("svg",))


@pytest.mark.parametrize(("rules", "parts"), [([], [None]), (["all"], ["all"]), (["all", "some"], ["all", "some"])])
def test_what_has_no_rule_of_counting_votes_stands_with_each_or_alone(
    rules: list[str], parts: list[str | None]
) -> None:
    rows = frame(({"partition": "test", "vote_rule": rule} for rule in (None, *rules)), ANALYSES)

    found = list(vote_rule_parts(rows))

    assert [rule for _, rule, _ in found] == parts
    assert all(part.height == 1 + (rule is not None) for _, rule, part in found)
