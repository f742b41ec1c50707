"""The built-in matrix and the built-in study against every card."""

from collections import Counter

import pytest

from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.steps.study import Study, read_study, study_names
from voxemo.steps.transfer import expand, matrix_names, read_matrix
from voxemo.training.lora import LoraRecipe

CARDS = lookup.builtin_corpus_cards()
MODELS = ("qwen2-audio-7b-instruct", "audio-flamingo-3")


@pytest.fixture(scope="module")
def study() -> Study:
    from pathlib import Path

    return read_study(Path("voxemo-paper"))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.corpus_id)
def test_the_paper_asks_and_trains_both_models_on_every_corpus_with_its_folds(study: Study, card: CorpusCard) -> None:
    own = [run for run in study.single if run.corpus == card.corpus_id]

    assert {run.split_id for run in own} == {"emobox" if card.emobox is not None else "protocol"}
    assert Counter((run.model, run.training is not None) for run in own) == {
        (model, trained): 1 for model in MODELS for trained in (False, True)
    }
    for run in own:
        assert run.options.forms is None
        assert run.options.variants is None
        if run.training is not None:
            assert run.training.recipe == LoraRecipe()
            assert run.training.every_fold
            assert run.training.split_id == run.split_id


def test_the_paper_names_no_corpus_that_has_no_card_and_has_sixteen_transfers_a_model(study: Study) -> None:
    assert {run.corpus for run in study.single} == {card.corpus_id for card in CARDS}
    assert [(matrix.model, len(matrix.pairs)) for matrix in study.matrices] == [(model, 16) for model in MODELS]
    assert sum(2 if card.corpus_id == "msp-podcast" else 1 for card in CARDS) == 36


def test_transfers_in_domain_are_the_trainings_of_the_study(study: Study) -> None:
    single = set(study.single)
    for matrix in study.matrices:
        for pair in matrix.pairs:
            assert pair.zero_shot in single
            assert not pair.in_domain or pair.run in single
    assert len(study.runs) == len(study.single) + 2 * 12


@pytest.mark.parametrize("model", MODELS)
def test_the_builtin_matrix_has_every_published_transfer_and_no_other(model: str) -> None:
    matrix = expand("paper", read_matrix("paper"), model=model, find_card=lookup.corpus_card)
    published = {
        (row["setting"].removeprefix("sft:"), row["corpus_id"], row["partition"])
        for row in lookup.published()
        if row["system"] == model and row["setting"].startswith("sft:") and row["metric"] == "delta_macro_f1"
    }

    assert {(p.source, p.target.corpus, p.target.partition or "test") for p in matrix.pairs} == published


def test_what_is_built_in_can_be_named() -> None:
    assert matrix_names() == ("paper",)
    assert study_names() == ("voxemo-paper",)
