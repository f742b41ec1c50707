"""A matrix of transfers as tables and as a figure, and a learning curve."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import pytest

from golden_files import check_golden
from latex_check import problems
from toy import answered
from voxemo.catalog import lookup
from voxemo.catalog.transfer import corpus_shift
from voxemo.core.cards import TrainingRecord
from voxemo.core.errors import MissingDependency
from voxemo.core.escape import for_latex
from voxemo.reports import figures, transfer
from voxemo.reports.figures import canvas
from voxemo.reports.figures.matrices import ink_on
from voxemo.reports.latex.paper import transfer_tables
from voxemo.reports.scoreboard import read_runs
from voxemo.reports.transfer import TransferCell
from voxemo.steps.score import score_run
from voxemo.store.layout import Workspace

SCORES = {
    ("crema-d", "crema-d"): (0.911, 0.694),
    ("crema-d", "iemocap"): (0.799, 0.594),
    ("iemocap", "crema-d"): (0.768, 0.694),
    ("iemocap", "iemocap"): (0.524, 0.594),
}


@pytest.fixture
def cells() -> list[TransferCell]:
    """Two corpora by two, and a mixture of weights that was refused on one of them."""
    made = []
    for (source, target), (value, best) in SCORES.items():
        cards = lookup.corpus_card(source), lookup.corpus_card(target)
        made.append(
            TransferCell(
                source=source,
                target=target,
                in_domain=source == target,
                shifts=() if source == target else (corpus_shift(*cards),),
                model="a_base",
                corpus_id=target,
                partition="test",
                value=value,
                zero_shot=best,
                zero_shot_prompt="transcript",
                n=100,
                published=0.9 if source == target == "crema-d" else None,
                published_delta=0.2 if source == target == "crema-d" else None,
            )
        )
    mixed = replace(made[0], source="2*meld+emodb", in_domain=False, published=None, value=0.5)
    shifts = tuple(corpus_shift(lookup.corpus_card(one), lookup.corpus_card("crema-d")) for one in ("meld", "emodb"))
    made.append(replace(mixed, shifts=shifts, weights=(("meld", 2 / 3), ("emodb", 1 / 3)), partial=True))
    made.append(
        TransferCell(source="2*meld+emodb", target="iemocap", in_domain=False, refused="50 % of it_is known & more")
    )
    return made


def test_golden_matrix_in_markdown(cells: list[TransferCell]) -> None:
    check_golden("reports/transfer.md", transfer.markdown("Transfer of a_base", cells))


def test_tables_of_several_models_in_one_document_have_labels_of_their_own(cells: list[TransferCell]) -> None:
    assert "\\label{tab:transfer-b}" in transfer.latex("Transfer of b", cells, label="tab:transfer-b")


def test_golden_matrix_in_latex(cells: list[TransferCell]) -> None:
    check_golden("reports/transfer.tex", transfer.latex("Transfer of a_base", cells))


def test_golden_matrix_in_csv(cells: list[TransferCell]) -> None:
    check_golden("reports/transfer.csv", transfer.csv_table(cells).write_csv())


def test_every_character_that_means_something_in_latex_is_escaped() -> None:
    plain = for_latex("a_b & 50 % of $x^2 {#~\\} <>")

    assert plain == (
        r"a\_b \& 50 \% of \$x\textasciicircum{}2 \{\#\textasciitilde{}\textbackslash{}\} \textless{}\textgreater{}"
    )


def test_a_pair_outside_the_matrix_is_blank_and_one_without_a_score_is_a_dash() -> None:
    assert transfer.cell_text(None) == ""
    assert transfer.cell_text(TransferCell(source="a", target="b", in_domain=False)) == "-"


# --- figures ------------------------------------------------------------------------------------------------------

EPOCHS = [
    {"epoch": n, "train_loss": 1 / n, "valid_loss": 1.2 / n, "valid_ua": 0.3 + 0.1 * n, "n_valid": 8, "n_failed": 0}
    for n in (1, 2, 3)
]


def words(path: Path) -> set[str]:
    return {text.strip() for node in ElementTree.parse(path).iter() for text in node.itertext() if text.strip()}


def test_the_figure_of_a_matrix_tells_every_number_in_words(cells: list[TransferCell], tmp_path: Path) -> None:
    svg, png, pdf = figures.transfer_map(cells, tmp_path, "transfer", title="Transfer of a_base")

    assert {f"{100 * value:.1f}" for value, _ in SCORES.values()} <= words(svg)
    assert {"+21.7", "-7.0", "refused", "tested on", "trained on"} <= words(svg)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("kind", ["map", "curve"])
def test_the_same_numbers_give_the_same_bytes_without_a_date(
    kind: str, cells: list[TransferCell], tmp_path: Path
) -> None:
    def draw(folder: Path) -> list[Path]:
        if kind == "map":
            return figures.transfer_map(cells, folder, "transfer", title="Transfer")
        return figures.learning_curve(EPOCHS, folder, title="tiny, fold 1", kept_epoch=2)

    first, second = draw(tmp_path / "one"), draw(tmp_path / "two")

    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert "date" not in first[0].read_text(encoding="utf-8").lower()


def test_a_learning_curve_shows_losses_validation_and_the_epoch_that_is_kept(tmp_path: Path) -> None:
    svg, _ = figures.learning_curve(EPOCHS, tmp_path, title="tiny, fold 1", kept_epoch=2)

    assert {"training", "validation", "kept", "validation UA (%)", "loss (nats per token)"} <= words(svg)


def test_a_curve_without_validation_has_one_part(tmp_path: Path) -> None:
    epochs = [{"epoch": 1, "train_loss": 0.5, "valid_loss": None, "valid_ua": None}]
    svg, _ = figures.learning_curve(epochs, tmp_path, title="tiny")

    assert not {"validation", "kept", "validation UA (%)"} & words(svg)


def test_without_matplotlib_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, cells: list[TransferCell], tmp_path: Path
) -> None:
    monkeypatch.setattr(canvas, "find_spec", lambda name: None)

    assert not figures.can_draw()
    with pytest.raises(MissingDependency, match=r"\[report\]"):
        figures.transfer_map(cells, tmp_path, "transfer", title="")
    with pytest.raises(MissingDependency, match=r"\[report\]"):
        figures.learning_curve(EPOCHS, tmp_path, title="")


def test_ink_can_be_read_on_every_shade() -> None:
    shades = list(product((0.0, 0.5, 1.0), repeat=3))
    inks = {shade: ink_on(shade) for shade in shades}

    assert inks[0.0, 0.0, 0.0] == "white"
    assert inks[1.0, 1.0, 1.0] == "black"


def test_runs_make_pairs_by_the_model_they_began_from(workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",), variants=("direct",))
    score_run(workspace, run, resamples=10)
    (base,) = read_runs([run])
    card = base.manifest.model_cards["all"]
    record = TrainingRecord.model_construct(kind="sft", base_model_id=card.model_id, corpus_id="urdu", sources=())
    tuned_card = card.model_copy(update={"model_id": "tuned", "training": record})
    tuned = replace(base, manifest=base.manifest.model_copy(update={"model_cards": {"1": tuned_card}}))

    (with_base,) = transfer.transfer_pairs([base, tuned])[card.model_id]
    (alone,) = transfer.transfer_pairs([tuned])[card.model_id]

    assert (with_base.source, with_base.target, with_base.in_domain) == ("urdu", "toy", False)
    assert with_base.zero_shot == base.path
    assert [shift.source_corpus_id for shift in with_base.shifts] == ["urdu"]
    assert alone.refused == "no zero-shot run of the base model beside it"
    (table,) = transfer_tables([base, tuned]).values()
    assert problems(table) == []
    assert "urdu" in table
