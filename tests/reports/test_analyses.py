import math
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from toy import answered, make, planned, toy_answer
from voxemo.catalog import lookup
from voxemo.core.types import Generation
from voxemo.reports.analyses import (
    CORPORA,
    SCORES,
    beside,
    best_variant_counts,
    corpora,
    gain_by_size,
    mean_spread,
    measured,
    model_wins,
    printed,
    printed_sensitivity,
    prompt_effect,
    prompt_sensitivity,
    sft_gain,
    variant_spread,
)
from voxemo.reports.scoreboard import FinishedRun, boards, read_runs
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.score import score_run
from voxemo.store.layout import Workspace

FIVE = lookup.prompt_names()
QWEN, FLAMINGO = "qwen2-audio-7b-instruct", "audio-flamingo-3"


def scores(*rows: tuple[str, str, str, float], form: str = "hard", metric: str = "macro_f1") -> pl.DataFrame:
    """Rows of (model, setting, corpus, value)."""
    return pl.DataFrame(
        [
            {
                "model": model,
                "setting": setting,
                "corpus_id": corpus,
                "partition": "test",
                "split_id": "protocol",
                "form": form,
                "metric": metric,
                "value": value,
                "failure_rate": 0.1,
                "n_training": 300.0 if setting == "sft" else None,
            }
            for model, setting, corpus, value in rows
        ],
        schema=dict(SCORES),
        orient="row",
    )


def five(model: str, corpus: str, *values: float) -> list[tuple[str, str, str, float]]:
    return [(model, name, corpus, value) for name, value in zip(FIVE, values, strict=True)]


def facts(**settings: str) -> pl.DataFrame:
    sizes = {"n_utterances": 1000, "hours": 2.0}
    rows = [{"corpus_id": name, "setting": setting, "language": "en", **sizes} for name, setting in settings.items()]
    return pl.DataFrame(rows, schema=dict(CORPORA), orient="row")


def row(table: pl.DataFrame, **where: str) -> dict[str, float]:
    (found,) = table.filter(**where).iter_rows(named=True)
    return found


# --- the paper's figures through the same formulas ---------------------------------------------------------------


def test_the_better_model_of_the_paper_has_the_better_best_prompt_on_26_splits() -> None:
    # Section 4: "26/35"; the 35 corpora give 36 evaluation splits.
    one = row(model_wins(printed()), model=QWEN, other=FLAMINGO)

    assert (one["wins"], one["ties"], one["n_splits"]) == (26, 0, 36)


@pytest.mark.parametrize(
    ("model", "corpus", "partition"),
    [
        (FLAMINGO, "crema-d", "test"),
        (FLAMINGO, "iemocap", "test"),
        (FLAMINGO, "meld", "test"),
        (FLAMINGO, "msp-podcast", "test1"),
        (QWEN, "meld", "test"),
        (QWEN, "msp-podcast", "test1"),
    ],
)
def test_gains_of_fine_tuning_are_those_that_table_8_prints(model: str, corpus: str, partition: str) -> None:
    gains = sft_gain(printed(), corpora())
    (delta,) = (
        float(one["value"])
        for one in lookup.published()
        if (one["system"], one["setting"], one["corpus_id"], one["partition"], one["metric"])
        == (model, f"sft:{corpus}", corpus, partition, "delta_macro_f1")
    )

    assert row(gains, model=model, corpus_id=corpus, partition=partition)["gain"] == pytest.approx(delta, abs=0.00051)


@pytest.mark.parametrize(("corpus", "implied"), [("crema-d", 0.694), ("iemocap", 0.594)])
def test_two_gains_of_table_8_imply_other_zero_shot_scores_than_the_paper_prints(corpus: str, implied: float) -> None:
    # PROTOCOL section 10; the numbers are the paper's.
    best = row(sft_gain(printed(), corpora()), model=QWEN, corpus_id=corpus)["best"]

    assert implied - best > 0.01


def test_the_caption_bars_of_figure_1_are_the_means_of_table_6_and_the_direct_ones_are_not_quite() -> None:
    ours = prompt_sensitivity(printed()).filter(form="distribution")
    both = beside(ours, printed_sensitivity(), on=["model", "form", "setting"])

    for model in (QWEN, FLAMINGO):
        caption, direct = (row(both, model=model, setting=name) for name in ("caption", "direct"))
        assert (caption["n_splits"], direct["n_splits"]) == (6, 6)
        assert caption["mean"] == pytest.approx(caption["mean_paper"], abs=0.00051)
        assert 0.005 < direct["mean"] - direct["mean_paper"] < 0.02
        assert row(both, model=model, setting="transcript")["mean"] is None


def test_every_analysis_of_the_paper_is_over_all_its_splits() -> None:
    table, known = printed(), corpora()

    effect = prompt_effect(table, known, by="setting")
    assert set(effect.filter(group="all")["n_splits"]) == {36}
    assert set(effect.filter(group="acted")["n_splits"]) == {28}
    assert set(effect.filter(group="in_the_wild")["n_splits"]) == {8}
    languages = prompt_effect(table, known, by="language").filter(model=QWEN, setting="direct")
    assert languages.filter(pl.col("group") != "all")["n_splits"].sum() == 36
    # The paper's 15 languages, and two corpora of English and Mandarin together.
    assert len(set(", ".join(languages["group"]).split(", ")) - {"all"}) == 15
    counts = best_variant_counts(table)
    assert counts.group_by("model").agg(pl.col("count").sum())["count"].to_list() == [36.0, 36.0]
    assert sft_gain(table, known).height == variant_spread(table).height == 72
    assert set(gain_by_size(sft_gain(table, known))["n_splits"]) == {36}


def test_the_correlation_with_size_is_that_of_scipy() -> None:
    gains = sft_gain(printed(), corpora())
    for one in gain_by_size(gains).iter_rows(named=True):
        part = gains.filter(model=one["model"])
        assert one["rho_utterances"] == pytest.approx(spearmanr(part["n_utterances"], part["gain"]).statistic)
        assert one["rho_hours"] == pytest.approx(spearmanr(part["hours"], part["gain"]).statistic)


# --- the formulas ------------------------------------------------------------------------------------------------

values = st.lists(st.integers(0, 10).map(lambda k: k / 10), min_size=5, max_size=5)


@given(st.lists(values, min_size=1, max_size=6))
def test_best_variant_counts_add_up_to_the_splits_however_prompts_tie(splits: list[list[float]]) -> None:
    table = scores(*(one for k, of_split in enumerate(splits) for one in five("m", f"c{k}", *of_split)))
    counts = best_variant_counts(table)

    assert counts["setting"].to_list() == list(FIVE)
    assert counts["count"].sum() == pytest.approx(len(splits))
    for place, name in enumerate(FIVE):
        shares = [(v[place] == max(v)) / v.count(max(v)) for v in splits]
        assert row(counts, setting=name)["count"] == pytest.approx(sum(shares))


@given(st.lists(values, min_size=1, max_size=6))
def test_the_spread_is_never_below_the_distance_of_two_prompts(splits: list[list[float]]) -> None:
    table = scores(*(one for k, of_split in enumerate(splits) for one in five("m", f"c{k}", *of_split)))
    spreads = variant_spread(table)

    assert spreads["spread"].to_list() == pytest.approx(sorted((max(v) - min(v) for v in splits), reverse=True))
    for one in spreads.iter_rows(named=True):
        assert one["spread"] == pytest.approx(one["best"] - one["worst"])
    (mean,) = mean_spread(spreads, facts()).iter_rows(named=True)
    assert mean["mean"] == pytest.approx(sum(max(v) - min(v) for v in splits) / len(splits))


def test_prompt_effects_are_gains_over_the_direct_prompt_on_the_same_splits() -> None:
    table = scores(
        *five("m", "a", 0.5, 0.6, 0.4, 0.5, 0.5),
        *five("m", "b", 0.3, 0.6, 0.4, 0.3, 0.3),
        *five("m", "w", 0.2, 0.1, 0.2, 0.2, 0.2),
    )
    effect = prompt_effect(table, facts(a="acted", b="acted", w="in_the_wild"), by="setting")

    acted = row(effect, group="acted", setting="transcript")
    assert (acted["mean"], acted["gain"], acted["n_splits"]) == (pytest.approx(0.6), pytest.approx(0.2), 2)
    assert (acted["gain_low"], acted["gain_high"]) == (pytest.approx(0.1), pytest.approx(0.3))
    assert row(effect, group="in_the_wild", setting="transcript")["gain"] == pytest.approx(-0.1)
    assert row(effect, group="all", setting="transcript")["n_splits"] == 3
    assert set(effect.filter(setting="direct")["gain"]) == {0.0}


def test_a_split_where_not_all_prompts_were_asked_is_in_no_mean_over_prompts() -> None:
    table = scores(*five("m", "a", 0.5, 0.6, 0.4, 0.5, 0.5), ("m", "direct", "b", 0.9))

    assert set(prompt_sensitivity(table)["n_splits"]) == {1}
    assert set(prompt_effect(table, facts(a="acted", b="acted"), by="setting")["n_splits"]) == {1}
    assert variant_spread(table)["corpus_id"].to_list() == ["a"]
    assert best_variant_counts(table)["count"].sum() == 1


def test_one_prompt_alone_has_no_spread_and_no_best() -> None:
    table = scores(("m", "direct", "a", 0.5), ("m", "sft", "a", 0.8))

    assert variant_spread(table).is_empty()
    assert best_variant_counts(table).is_empty()
    assert prompt_sensitivity(table).is_empty()


def test_the_gain_of_fine_tuning_is_over_the_best_prompt_and_knows_the_training_part() -> None:
    table = scores(*five("m", "a", 0.5, 0.6, 0.4, 0.5, 0.5), ("m", "sft", "a", 0.75), ("m", "sft", "b", 0.9))

    (gain,) = sft_gain(table, facts(a="acted")).iter_rows(named=True)

    assert (gain["corpus_id"], gain["best"], gain["best_prompt"], gain["n_prompts"]) == ("a", 0.6, "transcript", 5)
    assert gain["gain"] == pytest.approx(0.15)
    assert (gain["n_training"], gain["training_hours"]) == (300, pytest.approx(0.6))
    assert gain_by_size(sft_gain(table, facts(a="acted")))["rho_hours"].to_list() == [None]


def test_scores_without_rows_give_tables_without_rows() -> None:
    nothing, known = scores(), facts()

    for table in (
        prompt_effect(nothing, known, by="language"),
        best_variant_counts(nothing),
        model_wins(nothing),
        variant_spread(nothing),
        mean_spread(variant_spread(nothing), known),
        sft_gain(nothing, known),
        gain_by_size(sft_gain(nothing, known)),
        prompt_sensitivity(nothing),
    ):
        assert table.is_empty()


def test_ours_and_the_paper_s_stand_side_by_side_with_what_only_one_has() -> None:
    ours = best_variant_counts(scores(*five(QWEN, "urdu", 0.5, 0.6, 0.4, 0.5, 0.5)))

    both = beside(ours, best_variant_counts(printed()), on=["model", "setting"])

    assert row(both, model=QWEN, setting="caption")["count_paper"] == 18
    assert row(both, model=QWEN, setting="transcript")["count"] == 1
    assert row(both, model=FLAMINGO, setting="direct")["count"] is None


# --- from runs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(toy_workspace: Workspace) -> list[FinishedRun]:
    """A standard run, and one of the same model that deviates."""
    standard = answered(toy_workspace)
    other = planned(toy_workspace, generation=Generation(max_new_tokens=8))
    infer_run(toy_workspace, other, make_backend=make(toy_answer))
    parse_run(other)
    for run in (standard, other):
        score_run(toy_workspace, run, resamples=10)
    return read_runs([other, standard])


def test_scores_of_runs_are_those_of_their_boards(runs: list[FinishedRun]) -> None:
    table = measured(boards(runs), runs, synthetic=True)
    (standard,) = (run for run in runs if not run.manifest.deviations)
    (hard, soft) = boards([standard])

    assert set(table.filter(form="hard")["setting"]) == {*FIVE, "ensemble"}
    assert set(table.filter(form="distribution")["setting"]) == {*FIVE, "ensemble"}
    for board, form, metric, own in (
        (hard, "hard", "macro_f1", "macro_f1"),
        (soft, "distribution", "macro_f1", "soft_macro_f1"),
    ):
        for entry in board.entries:
            if entry.kind == "run" and entry.system != "mean_distribution":
                found = row(table, setting=entry.system, form=form, metric=metric)
                assert found["value"] == entry.cells[own].value
                assert found["failure_rate"] == entry.failure_rate
    assert set(prompt_sensitivity(table)["n_splits"]) == {1}


def test_synthetic_corpora_are_not_averaged_with_real_ones(runs: list[FinishedRun]) -> None:
    assert measured(boards(runs), runs).is_empty()


def test_a_fine_tuned_run_stands_under_its_base_with_the_size_of_its_training_part(
    runs: list[FinishedRun], tmp_path: Path
) -> None:
    (standard,) = (run for run in runs if not run.manifest.deviations)
    record = {
        "kind": "sft",
        "base_model_id": "scripted",
        "corpus_id": "toy",
        "corpus_card_sha256": "x",
        "split_id": "protocol",
        "split_sha256": "x",
        "fold_id": "1",
        "partitions": ("train",),
        "label_source": "expressed",
        "label_names": ("angry", "happy", "neutral", "sad"),
        "seed": 0,
        "recipe": {},
        "package_versions": {},
        "artefact": "adapter",
        "artefact_sha256": "x",
    }
    (base,) = standard.manifest.model_cards.values()
    cards = {
        str(fold): type(base).model_validate(
            {**base.model_dump(), "model_id": "scripted-sft", "training": {**record, "n_utterances": n}}
        )
        for fold, n in enumerate((100, 140))
    }
    tuned = FinishedRun(
        tmp_path,
        standard.manifest.model_copy(update={"run_id": "tuned", "model_cards": cards}),
        standard.scores.filter(system_id="direct").with_columns(
            run_id=pl.lit("tuned"), model_id=pl.lit("scripted-sft"), training=pl.lit("sft")
        ),
    )
    both = [standard, tuned]

    (gain,) = sft_gain(
        measured(boards(both), both, synthetic=True), corpora(run.manifest.corpus_card for run in both)
    ).iter_rows(named=True)

    assert (gain["model"], gain["n_training"]) == ("scripted", 120)
    assert gain["gain"] <= 0


def test_partial_runs_are_in_no_analysis(runs: list[FinishedRun]) -> None:
    made = [
        replace(board, entries=tuple(replace(entry, partial=True) for entry in board.entries)) for board in boards(runs)
    ]

    assert measured(made, runs, synthetic=True).is_empty()


def test_corpora_are_described_by_their_cards() -> None:
    known = {one["corpus_id"]: one for one in corpora().iter_rows(named=True)}

    assert len(known) == 35
    assert sum(one["setting"] == "in_the_wild" for one in known.values()) == 7
    assert known["biic-podcast"]["language"] == "zh"
    assert known["esd"]["language"] == "en, zh"
    assert all(one["n_utterances"] and not math.isnan(one["hours"]) for one in known.values())
