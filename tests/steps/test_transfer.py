"""Matrices of sources and targets, expanded without a folder; and what is refused as a leak."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toy import answered, planned
from voxemo.catalog import lookup
from voxemo.catalog.transfer import primary_language
from voxemo.core.errors import CardError, RunError, UnknownName
from voxemo.core.types import ENSEMBLE
from voxemo.steps.mixtures import Mixture
from voxemo.steps.plan import PlanOptions
from voxemo.steps.score import score_run
from voxemo.steps.transfer import (
    MatrixFile,
    TransferOptions,
    expand,
    expand_languages,
    is_language_matrix,
    parse_source,
    read_matrix,
    without_unprepared,
)
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.manifest import read_manifest
from voxemo.store.tables import PLAN, read_table

CARDS = {card.corpus_id: card for card in lookup.builtin_corpus_cards()}
MODEL = "qwen2-audio-7b-instruct"
names = st.lists(st.sampled_from(sorted(CARDS)), min_size=1, max_size=5, unique=True)
LANGUAGES = sorted({primary_language(tag) for card in CARDS.values() for tag in card.languages})


# --- between corpora ----------------------------------------------------------------------------------------------


@given(sources=names, targets=names)
def test_every_source_meets_every_target_once_and_its_own_corpus_in_domain(
    sources: list[str], targets: list[str]
) -> None:
    matrix = expand(
        "any", MatrixFile(source=tuple(sources), target=tuple(targets)), model=MODEL, find_card=CARDS.__getitem__
    )

    assert [(p.source, p.target.corpus) for p in matrix.pairs] == [(s, t) for s in sources for t in targets]
    for pair in matrix.pairs:
        assert pair.in_domain == (pair.source == pair.target.corpus)
        assert pair.refused is None
        assert len(pair.shifts) == (not pair.in_domain)
        # The source's labels are nowhere: the target's own are asked about.
        assert pair.run.options.labels is None
        assert pair.training.every_fold == (pair.source in targets)
    assert len(matrix.runs) == len(targets) + len(sources) * len(targets)
    assert len({pair.training for pair in matrix.pairs}) == len(sources)


@given(corpora=st.lists(st.sampled_from(sorted(CARDS)), min_size=2, max_size=4, unique=True))
def test_a_mixture_is_never_tested_on_a_corpus_that_it_holds(corpora: list[str]) -> None:
    matrix = expand(
        "any",
        MatrixFile(source=("+".join(corpora),), target=(*corpora, *sorted(set(CARDS) - set(corpora))[:1])),
        model=MODEL,
        find_card=CARDS.__getitem__,
    )

    assert [pair.refused is not None for pair in matrix.pairs] == [True] * len(corpora) + [False]
    assert all(isinstance(pair.training.source, Mixture) for pair in matrix.pairs)
    assert {run.corpus for run in matrix.runs} == {matrix.pairs[-1].target.corpus}


def test_one_part_stands_for_a_corpus_that_has_several_unless_it_is_the_models_own() -> None:
    matrix = expand("paper", read_matrix("paper"), model=MODEL, find_card=CARDS.__getitem__)
    asked = {pair.source: pair.run.options.partitions for pair in matrix.pairs if pair.target.corpus == "msp-podcast"}

    assert asked == {"crema-d": ("test1",), "iemocap": ("test1",), "meld": ("test1",), "msp-podcast": None}


def test_mixtures_of_other_weights_are_other_trainings() -> None:
    made = [
        expand("x", MatrixFile(source=(text,), target=("urdu",)), model=MODEL, find_card=CARDS.__getitem__)
        for text in ("crema-d+meld", "2*crema-d+meld", "2*crema-d+1*meld")
    ]
    trained = [matrix.pairs[0].training for matrix in made]

    assert trained[0] != trained[1] == trained[2]
    assert len({one.source.mixture_id for one in trained if isinstance(one.source, Mixture)}) == 2


@pytest.mark.parametrize("text", ["", "a+", "x*a", "*a"])
def test_what_is_no_source_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(RunError, match=r"2\*A\+B"):
        parse_source(text)


def test_a_matrix_that_is_not_there_or_not_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no matrix called 'papre'"):
        read_matrix("papre")
    (tmp_path / "m.toml").write_text("source = []\ntarget = ['a']\n", encoding="utf-8")
    with pytest.raises(CardError, match="source"):
        read_matrix(str(tmp_path / "m.toml"))


def test_pairs_without_one_of_their_corpora_stay_and_say_so() -> None:
    matrix = without_unprepared(
        expand("paper", read_matrix("paper"), model=MODEL, find_card=CARDS.__getitem__), {"meld": "not prepared"}
    )

    assert sum(pair.refused == "'meld' not prepared" for pair in matrix.pairs) == 7
    assert "meld" not in {run.corpus for run in matrix.runs}


# --- between languages --------------------------------------------------------------------------------------------


@given(
    learnt=st.sampled_from([*LANGUAGES, "leave-one-out"]),
    tested=st.sampled_from(LANGUAGES),
    chosen=st.sets(st.sampled_from(sorted(CARDS)), min_size=2),
)
def test_languages_meet_on_shared_labels_alone_and_share_no_corpus(learnt: str, tested: str, chosen: set[str]) -> None:
    cards = [CARDS[name] for name in sorted(chosen)]
    try:
        matrix = expand_languages(f"{learnt}:{tested}", cards, model=MODEL)
    except (UnknownName, RunError):
        return
    for pair in matrix.pairs:
        assert isinstance(pair.training.source, Mixture)
        target = CARDS[pair.target.corpus]
        assert tested in map(primary_language, target.languages)
        asked, learned = set(pair.target.labels or ()), set()
        for source in pair.training.source.sources:
            card = CARDS[source.corpus]
            spoken = set(map(primary_language, card.languages))
            assert tested not in spoken
            assert learnt == "leave-one-out" or learnt in spoken
            assert len(source.labels or ()) > 1
            learned |= set(source.labels or ())
        assert asked <= set(target.labels.names)
        assert len(asked) > 1
        assert pair.refused is None


def test_every_language_in_turn() -> None:
    cards = tuple(CARDS.values())
    matrix = expand_languages("zh:*", cards, model=MODEL)

    assert {pair.source for pair in matrix.pairs} == {"zh"}
    assert len({pair.target.corpus for pair in matrix.pairs}) > 20
    esd = [pair for pair in expand_languages("de:zh", cards, model=MODEL).pairs if pair.target.corpus == "esd"]
    assert [(pair.target.language, pair.run.options.language) for pair in esd] == [("zh", "zh")]


def test_a_language_that_no_corpus_has_is_named() -> None:
    with pytest.raises(UnknownName, match="no language called 'xx'"):
        expand_languages("xx:en", tuple(CARDS.values()), model=MODEL)
    assert is_language_matrix("leave-one-out:en")
    assert not is_language_matrix("paper")
    assert not is_language_matrix("c:/matrix.toml")


# --- what is asked ------------------------------------------------------------------------------------------------


def test_some_labels_are_asked_of_those_utterances_that_have_them(workspace: Workspace) -> None:
    run = answered(workspace, labels=("sad", "angry"))
    scores = score_run(workspace, run, resamples=10).scores
    manifest = read_manifest(run)
    plan = read_table(RunPaths(run).plan, PLAN)

    assert manifest.label_names == ("angry", "sad")
    assert all("{labels}" not in p.text and "Angry, Sad" in p.text and "Happy" not in p.text for p in manifest.prompts)
    assert set(plan["utterance_id"].str.split("_").list.get(1)) == {"angry", "sad"}
    assert set(scores["class_label"].drop_nulls()) == {"angry", "sad"}
    assert scores.filter(pl.col("system_id") == ENSEMBLE).height
    assert any("asked about 2 of 4 labels (angry, sad)" in text for text in manifest.deviations)
    assert manifest.partial is None


def test_all_labels_by_name_are_the_run_that_names_none(workspace: Workspace) -> None:
    everything = lookup.corpus_card("toy").labels.names

    assert planned(workspace, labels=everything) == planned(workspace)


def test_a_language_is_a_part_of_a_corpus(workspace: Workspace) -> None:
    with pytest.raises(RunError, match="nothing to ask"):
        planned(workspace, language="xx")
    card = lookup.corpus_card("toy")
    run = planned(workspace, language=primary_language(card.languages[0]))
    assert "only utterances in" in str(read_manifest(run).partial)


@pytest.mark.parametrize("labels", [("sad",), ("sad", "bored"), ("sad", "sad")])
def test_labels_that_a_corpus_lacks_or_one_alone_are_refused(workspace: Workspace, labels: tuple[str, ...]) -> None:
    with pytest.raises(RunError, match="two or more of its own labels"):
        planned(workspace, labels=labels)


def test_a_partition_that_is_not_asked_is_not_in_the_plan(workspace: Workspace) -> None:
    with pytest.raises(RunError, match="nothing to ask"):
        planned(workspace, partitions=("test2",))
    assert read_manifest(planned(workspace, partitions=("test",))).split.partitions == ("test",)


def test_options_of_a_matrix_reach_every_run() -> None:
    options = TransferOptions(plan=PlanOptions(limit=3), seed=4, name="mine")
    matrix = expand("paper", read_matrix("paper"), model=MODEL, find_card=CARDS.__getitem__, options=options)

    assert {run.options.limit for run in matrix.runs} == {3}
    assert {(pair.training.seed, pair.training.name) for pair in matrix.pairs} == {(4, "mine")}
