import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from toy import answered, rewrite, without_votes
from voxemo.catalog import lookup
from voxemo.core.errors import RunError
from voxemo.core.types import Utterance
from voxemo.scoring.folds import HardFold, SoftFold
from voxemo.steps.analyse import agreement, analyse_partition, speaker_traits
from voxemo.steps.parse import parse_run
from voxemo.steps.score import score_run
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.tables import ANALYSES, CONFUSIONS, SCORES, UNIT_COUNTS, UNIT_SUMS, read_table

FAST = 20
GROUPED = ("speaker_gender", "speaker_age", "language", "agreement")


def described(one: Utterance) -> Utterance:
    """Voices of two genders, three decades and two languages; nothing is known of the last voice."""
    voice = int(str(one.speaker_id).removeprefix("t"))
    return replace(
        one,
        speaker_gender=None if voice == 11 else ("female", "male")[voice % 2],
        speaker_age=None if voice == 11 else 20 + 10 * (voice % 3),
        language=("de", "en")[voice % 2],
    )


@pytest.fixture(scope="module")
def told(toy_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose toy corpus tells of its speakers."""
    folder = tmp_path_factory.mktemp("told") / "workspace"
    shutil.copytree(toy_workspace.root, folder)
    rewrite(Workspace(folder), utterance=described)
    return Workspace(folder)


@pytest.fixture(scope="module")
def run(told: Workspace) -> Path:
    """A scored run there. Do not change it."""
    scored = answered(told)
    score_run(told, scored, resamples=FAST)
    return scored


def analyses(run: Path) -> pl.DataFrame:
    return read_table(RunPaths(run).analyses, ANALYSES)


def pooled(run: Path, **where: str) -> pl.DataFrame:
    """Pooled scores of the run, strict, as the benchmark counts failures."""
    return read_table(RunPaths(run).scores, SCORES).filter(
        pl.col("fold_id") == "pooled",
        pl.col("reading") == "strict",
        pl.col("failure_policy")
        == pl.when(pl.col("form") == "hard").then(pl.lit("wrong")).otherwise(pl.lit("uniform")),
        **where,
    )


def test_every_system_is_scored_on_every_group_of_what_the_corpus_tells(run: Path) -> None:
    rows = analyses(run)
    groups = {kind: sorted(rows.filter(kind=kind)["group"].unique()) for kind in GROUPED}

    assert groups["speaker_gender"] == ["female", "male"]
    assert groups["speaker_age"] == ["20-29", "30-39", "40-49"]
    assert groups["language"] == ["de", "en"]
    assert set(groups["agreement"]) <= {"0.2-0.4", "0.4-0.6", "0.6-0.8", "0.8-1.0"}
    for kind in GROUPED:
        of_kind = rows.filter(kind=kind)
        hard, soft = (of_kind.filter((pl.col("form") == "hard") == is_hard) for is_hard in (True, False))
        assert set(hard["system_id"]) == {*lookup.prompt_names(), "ensemble"}
        assert set(soft["system_id"]) == {*lookup.prompt_names(), "ensemble", "mean_distribution"}
        assert set(hard["metric"]) == {"unweighted_accuracy", "weighted_accuracy", "macro_f1"}
        assert set(soft["metric"]) == {"jsd", "top1_accuracy"}
        assert set(soft["vote_rule"]) == {"all"}
        assert set(hard["vote_rule"]) == ({"all"} if kind == "agreement" else {None})


def test_counts_of_the_groups_add_up_to_those_of_the_scores(run: Path) -> None:
    # One of twelve voices has no gender and no age; every one has a language, and every clip votes.
    share = {"speaker_gender": 11 / 12, "speaker_age": 11 / 12, "language": 1, "agreement": 1}
    for kind in GROUPED:
        one = analyses(run).filter(kind=kind, system_id="direct", form="hard", metric="weighted_accuracy")
        whole = pooled(run, system_id="direct", form="hard", metric="weighted_accuracy").row(0, named=True)
        assert one["n"].sum() == whole["n"] * share[kind]
        if share[kind] == 1:
            assert one["n_failed"].sum() == whole["n_failed"] > 0
            assert (one["n"] * one["value"]).sum() / whole["n"] == pytest.approx(whole["value"])


def test_divergences_of_groups_average_to_that_of_the_whole(run: Path) -> None:
    for system_id, form in (("direct", "distribution"), ("ensemble", "vote")):
        one = analyses(run).filter(kind="agreement", system_id=system_id, form=form, metric="jsd")
        whole = pooled(run, system_id=system_id, form=form, metric="jsd").row(0, named=True)
        assert (one["n"] * one["value"]).sum() / whole["n"] == pytest.approx(whole["value"])
        assert one["n_failed"].sum() == whole["n_failed"]


def test_groups_and_bins_carry_intervals_that_hold_their_values(run: Path) -> None:
    rows = analyses(run).filter(pl.col("kind") != "mean_distribution", pl.col("ci_low").is_not_null())

    assert rows.height > 100
    assert rows.filter(~pl.col("value").is_between("ci_low", "ci_high")).is_empty()


def test_calibration_is_about_every_system_that_gives_a_distribution(run: Path) -> None:
    rows = analyses(run).filter(kind="calibration")
    stated = rows.filter(system_id="direct")
    every = stated.filter(group="all", metric="ece").row(0, named=True)
    bins = stated.filter(pl.col("group") != "all", pl.col("metric") == "accuracy")

    assert set(rows["system_id"]) == {*lookup.prompt_names(), "ensemble", "mean_distribution"}
    # The toy states 0.7 for its answer, and is right two times in three; a tenth of its answers cannot be read.
    assert bins["group"].to_list() == ["0.6-0.7"]
    assert every["n_failed"] > 0
    assert bins["n"].sum() == every["n"] - every["n_failed"]
    assert every["value"] == pytest.approx(abs(bins["value"][0] - 0.7))
    assert rows.filter(system_id="ensemble", group="all")["n_failed"].unique().to_list() == [0]


def test_mean_distributions_stand_beside_that_of_the_listeners(run: Path) -> None:
    rows = analyses(run).filter(kind="mean_distribution")
    sums = rows.group_by("system_id", "form", "group").agg(pl.col("value").sum(), pl.col("n").first())

    assert sums["value"].to_list() == pytest.approx([1.0] * sums.height)
    assert set(sums["group"]) == {"all", "angry", "happy", "neutral", "sad"}
    of_one = sums.filter(system_id="reference:gold")
    assert of_one.filter(group="all")["n"].item() == 240
    assert of_one.filter(pl.col("group") != "all")["n"].to_list() == [60] * 4
    gold = rows.filter(system_id="reference:gold", group="angry", class_label="angry")["value"].item()
    assert gold > rows.filter(system_id="reference:gold", group="sad", class_label="angry")["value"].item()


def test_counts_by_speaker_are_the_confusions(run: Path) -> None:
    counts = read_table(RunPaths(run).unit_counts, UNIT_COUNTS)
    confusions = read_table(RunPaths(run).confusions, CONFUSIONS).filter(reading="strict").drop("reading")
    keys = [name for name in confusions.columns if name != "n"]

    summed = counts.group_by(keys).agg(pl.col("n").sum())

    assert summed.sort(keys).equals(confusions.sort(keys).select(summed.columns))
    assert set(counts["unit_kind"]) == {"speaker"}
    assert counts["unit"].n_unique() == 12
    assert "failed" in counts["predicted"]


def test_sums_by_speaker_are_the_divergences_of_every_system(run: Path) -> None:
    sums = read_table(RunPaths(run).unit_sums, UNIT_SUMS)
    keys = ["partition", "system_id", "form", "vote_rule", "metric", "fold_id"]
    by_fold = sums.group_by(keys).agg(pl.col("n").sum(), value=pl.col("sum").sum() / pl.col("n").sum())
    scores = read_table(RunPaths(run).scores, SCORES).filter(
        pl.col("fold_id").is_in(["mean", "pooled"]).not_(),
        pl.col("form") != "hard",
        pl.col("system_id").str.starts_with("reference:").not_(),
        metric="jsd",
        reading="strict",
        failure_policy="uniform",
    )

    both = by_fold.join(scores, on=keys, how="full", suffix="_scored")

    assert both.height == by_fold.height == scores.height > 0
    assert scores["n_failed"].sum() > 0
    assert both["n"].to_list() == both["n_scored"].to_list()
    assert both["value"].to_list() == pytest.approx(both["value_scored"].to_list())
    assert set(sums["unit_kind"]) == {"speaker"}
    assert sums["unit"].n_unique() == 12


@pytest.mark.parametrize(
    ("n_unknown", "kinds"),
    [(0, {"speaker": 6}), (1, {"speaker": 5, "utterance": 4}), (2, {"utterance": 24})],
    ids=["all are known", "five are known", "four are known"],
)
def test_where_speakers_are_not_known_utterances_are_the_units(n_unknown: int, kinds: dict[str, int]) -> None:
    speakers = [None if k // 4 < n_unknown else f"s{k // 4}" for k in range(24)]
    gold = np.arange(24) % 2
    ids = {
        "speakers": np.array(speakers, dtype=object),
        "utterances": np.array([f"u{k:02}" for k in range(24)], dtype=object),
    }
    fold = HardFold(fold_id="1", gold=gold, predicted=gold - 1, **ids)
    certain = np.eye(2)[gold]
    soft = SoftFold(fold_id="1", gold=certain, predicted=certain[::-1], failed=np.zeros(24, dtype=bool), **ids)

    analysed = analyse_partition(
        partition="test",
        label_names=("calm", "loud"),
        labels={},
        hard={"direct": [fold]},
        soft={"all": {("direct", "distribution"): [soft]}},
        certain={},
        traits={},
        agreements={"all": {}},
        resamples=FAST,
    )

    for table in (analysed.unit_counts, analysed.unit_sums):
        assert dict(table.group_by("unit_kind").agg(pl.col("unit").n_unique()).iter_rows()) == kinds
    assert analysed.unit_sums["n"].sum() == 24
    assert analysed.unit_sums["sum"].sum() == pytest.approx(24 * np.log(2))
    confused = analysed.unit_counts.group_by("gold", "predicted").agg(pl.col("n").sum())
    assert set(confused.iter_rows()) == {("calm", "failed", 12), ("loud", "calm", 12)}


def test_what_a_corpus_does_not_tell_is_not_analysed(workspace: Workspace) -> None:
    without_votes(workspace)
    scored = answered(workspace)
    score_run(workspace, scored, resamples=FAST)
    rows = analyses(scored)

    assert set(rows["kind"]) == {"calibration", "mean_distribution"}
    assert set(rows["vote_rule"]) == {None}
    assert read_table(RunPaths(scored).unit_sums, UNIT_SUMS).is_empty()
    gold = rows.filter(system_id="reference:gold", group="sad")
    assert dict(gold.select("class_label", "value").iter_rows()) == {"angry": 0, "happy": 0, "neutral": 0, "sad": 1}


def test_hard_answers_to_one_prompt_have_groups_and_nothing_that_needs_a_distribution(workspace: Workspace) -> None:
    scored = answered(workspace, forms=("hard",), variants=("direct",))
    score_run(workspace, scored, resamples=FAST)

    assert set(analyses(scored)["kind"]) == {"agreement"}


def test_distributions_alone_have_no_counts_by_speaker(workspace: Workspace) -> None:
    scored = answered(workspace, forms=("distribution",), variants=("direct",))
    score_run(workspace, scored, resamples=FAST)

    assert set(analyses(scored)["form"]) == {"distribution"}
    assert read_table(RunPaths(scored).unit_counts, UNIT_COUNTS).is_empty()


def test_scoring_again_gives_the_same_bytes(run: Path, told: Workspace) -> None:
    paths = (RunPaths(run).analyses, RunPaths(run).unit_counts, RunPaths(run).unit_sums)
    before = [path.read_bytes() for path in paths]

    score_run(told, run, resamples=FAST)

    assert [path.read_bytes() for path in paths] == before


def test_analyses_of_earlier_answers_are_gone_after_parse_and_say_what_to_run(workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",), variants=("direct",))
    score_run(workspace, run, resamples=FAST)

    removed = parse_run(run).removed

    paths = RunPaths(run)
    tables = ((paths.analyses, ANALYSES), (paths.unit_counts, UNIT_COUNTS), (paths.unit_sums, UNIT_SUMS))
    assert set(removed) == {"scores.parquet", "confusions.parquet", *(path.name for path, _ in tables)}
    for path, schema in tables:
        with pytest.raises(RunError, match=rf"{path.name} is missing. Run: voxemo score"):
            read_table(path, schema)


@pytest.mark.parametrize(("age", "decade"), [(9, "0-9"), (30, "30-39"), (39, "30-39"), (81, "80-89")])
def test_ages_are_grouped_by_decade(age: int, decade: str) -> None:
    one = Utterance(utterance_id="c/a", corpus_id="c", audio_path="a.wav", language="en", speaker_age=age)

    assert speaker_traits([one]) == {"speaker_age": {"c/a": decade}}


def test_agreement_is_the_share_of_the_likeliest_label() -> None:
    votes = {"clear": [0.0, 5.0], "most": [4.0, 1.0], "split": [1.0, 1.0], "shares": [0.9, 0.1]}

    groups = agreement({name: np.array(counts) for name, counts in votes.items()})

    assert groups == {"clear": "0.8-1.0", "most": "0.6-0.8", "split": "0.4-0.6", "shares": "0.8-1.0"}
