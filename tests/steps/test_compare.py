"""Two systems or more side by side: what is comparable, differences, their mean, ranks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from toy import answered, make, planned, toy_answer
from voxemo.backends.base import Question
from voxemo.catalog import lookup
from voxemo.core.cards import RunManifest
from voxemo.core.errors import RunError, UnknownName
from voxemo.core.types import Generation
from voxemo.scoring.multiplicity import holm
from voxemo.steps import compare as comparing
from voxemo.steps.comparable import RULES, manifest_differences, shown_beside, system_names
from voxemo.steps.compare import CompareResult, compare_runs, compare_sets
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.rank import OWN_PROMPT, rank_runs
from voxemo.steps.score import ScoredTable, score_run
from voxemo.store.layout import Workspace
from voxemo.store.manifest import read_manifest

FAST = 200


def told(question: Question) -> str:
    """The truth, always."""
    truth = question.utterance_id.split("_")[1].capitalize()
    if question.form == "hard":
        return f"FINAL LABEL: {truth}"
    shares = {name: float(name == truth) for name in question.label_set.display}
    return f"EMOTION DISTRIBUTION: {shares}\nFINAL LABEL: {truth}".replace("'", '"')


def renamed(tmp_path: Path, name: str) -> str:
    """A model card like the toy's, under another name."""
    text = lookup.model_card("scripted").model_copy(update={"model_id": name, "name": name}).model_dump_json()
    path = tmp_path / f"{name}.json"
    path.write_text(text)
    return str(path)


def scores_of(workspace: Workspace, *runs: Path) -> list[dict[str, Any]]:
    """The pooled unweighted accuracy of each run, as `score` computes it."""
    rows = []
    for run in runs:
        scores = score_run(workspace, run, policies=("wrong",), resamples=2).scores
        rows += scores.filter(
            (pl.col("fold_id") == "pooled")
            & (pl.col("system_id") == "direct")
            & (pl.col("reading") == "strict")
            & (pl.col("metric") == "unweighted_accuracy")
        ).to_dicts()
    return rows


@pytest.fixture
def system(workspace: Workspace, tmp_path: Path) -> Callable[..., Path]:
    """A parsed run of a model by the name of its own."""

    def made(
        name: str, answer: Callable[[Question], str] = toy_answer, split_id: str = "protocol", **given: Any
    ) -> Path:
        options = PlanOptions(**{"forms": ("hard",), "variants": ("direct",), **given})
        run = plan_run(
            workspace,
            tmp_path / "runs",
            corpus="toy",
            model=renamed(tmp_path, name),
            split_id=split_id,
            options=options,
        )
        infer_run(workspace, run, make_backend=make(answer))
        parse_run(run)
        return run

    return made


# --- comparable or not -------------------------------------------------------------------------------------------


def test_every_field_of_a_manifest_is_judged_and_every_judgement_has_a_reason() -> None:
    assert set(RULES) == set(RunManifest.model_fields)
    assert all(rule.why for rule in RULES.values())


def test_comparing_a_run_with_itself_finds_nothing(workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",), variants=("direct",))

    result = compare_runs(workspace, run, run, resamples=FAST)

    assert result.pairs[0].differences == ()
    (one,) = result.comparisons
    assert (one.difference.value, one.difference.ci_low, one.difference.ci_high) == (0, 0, 0)
    assert (one.difference.p, one.p_holm) == (1.0, 1.0)


def test_comparing_two_splits_names_what_differs_and_that_it_weakens(workspace: Workspace) -> None:
    a = answered(workspace, forms=("hard",), variants=("direct",))
    b = answered(workspace, forms=("hard",), variants=("direct",), split_id="speaker-disjoint")

    result = compare_sets(workspace, [a], [b], resamples=FAST)

    weights = {one.field: one.weight for one in result.pairs[0].differences}
    assert weights["split"] == "weakens"
    assert set(weights.values()) == {"weakens", "harmless"}
    assert result.comparisons[0].difference.ci_unit == "speaker"


def test_two_models_differ_in_what_is_compared_and_in_names_alone(system: Callable[..., Path]) -> None:
    a, b = (read_manifest(system(name)) for name in ("first", "second"))

    differences = manifest_differences(a, b)

    assert {one.weight for one in differences} == {"harmless"}
    assert {"model_cards", "run_id", "plan_sha256"} <= {one.field for one in differences}


@pytest.mark.parametrize(
    ("changed", "field", "weight"),
    [
        ({"label_source": "perceived"}, "label_source", "breaks"),
        ({"audio_condition": "silence"}, "audio_condition", "breaks"),
        ({"utterances_sha256": "0" * 64}, "utterances_sha256", "breaks"),
        ({"label_names": ("happy", "sad")}, "label_names", "breaks"),
        ({"generation": {"max_new_tokens": 7}}, "generation", "weakens"),
        ({"parser_version": "0"}, "parser_version", "weakens"),
        ({"training_overlap": "yes: it holds toy"}, "training_overlap", "weakens"),
        ({"partial": "at most 3"}, "partial", "weakens"),
        ({"created_utc": "yesterday"}, "created_utc", "harmless"),
        ({"package_versions": {"numpy": "1"}}, "package_versions", "harmless"),
    ],
)
def test_a_difference_is_weighed_by_what_it_does_to_scores(
    workspace: Workspace, changed: dict[str, Any], field: str, weight: str
) -> None:
    manifest = read_manifest(planned(workspace, forms=("hard",), variants=("direct",), limit=1))

    (one,) = manifest_differences(manifest, manifest.model_copy(update=changed))

    assert (one.field, one.weight) == (field, weight)


@given(same=st.text(), a=st.text(), b=st.text())
def test_two_values_never_look_alike_where_they_are_cut(same: str, a: str, b: str) -> None:
    left, right = same + a, same + b
    assume(left != right)

    shown = shown_beside(left, right)

    assert shown[0] != shown[1]
    assert max(map(len, shown)) <= 81


def test_prompts_that_only_one_run_asked_do_not_count_but_other_texts_of_one_name_do(workspace: Workspace) -> None:
    few = read_manifest(planned(workspace, forms=("hard",), variants=("direct",), limit=1))
    many = read_manifest(planned(workspace, forms=("hard",), limit=1))
    other = few.prompts[0].model_copy(update={"prompt_sha256": "0" * 64})

    assert "prompts" not in {one.field for one in manifest_differences(few, many)}
    (one,) = manifest_differences(few, few.model_copy(update={"prompts": (other,)}))
    assert (one.field, one.weight) == ("prompts", "weakens")


def test_what_makes_a_comparison_meaningless_is_refused_unless_forced(
    system: Callable[..., Path], workspace: Workspace
) -> None:
    a, b = system("first"), system("second", audio_condition="silence")

    with pytest.raises(RunError, match=r"not comparable: audio_condition .* does not hear the clips.*--force"):
        compare_sets(workspace, [a], [b], resamples=FAST)

    forced = compare_sets(workspace, [a], [b], resamples=FAST, force=True)
    assert [one.field for one in forced.pairs[0].breaking] == ["audio_condition"]


# --- differences -------------------------------------------------------------------------------------------------


def test_a_better_system_is_told_apart_and_the_test_says_what_it_could_have_found(
    system: Callable[..., Path], workspace: Workspace
) -> None:
    a, b = system("truthful", told), system("toy-like")

    (one,) = compare_sets(workspace, [a], [b], resamples=FAST).comparisons

    assert one.difference.value_a == 1.0
    assert one.difference.value is not None
    assert one.difference.p is not None
    assert one.difference.standard_error is not None
    assert one.p_holm is not None
    assert one.detectable is not None
    assert one.difference.p < 0.001
    assert one.difference.value > one.detectable > 2 * one.difference.standard_error
    (turned,) = compare_sets(workspace, [b], [a], resamples=FAST).comparisons
    assert turned.difference.value == -one.difference.value
    assert turned.difference.p == pytest.approx(one.difference.p, rel=0.5)


def test_p_values_are_corrected_over_all_prompts_of_a_metric(workspace: Workspace) -> None:
    a = answered(workspace, forms=("hard",))
    b = answered(workspace, forms=("hard",), split_id="speaker-disjoint")

    result = compare_sets(workspace, [a], [b], metric_names=("macro_f1", "weighted_accuracy"), resamples=FAST)

    for metric in ("macro_f1", "weighted_accuracy"):
        rows = [one for one in result.comparisons if one.metric == metric]
        assert len(rows) == 6
        expected = holm(np.array([one.difference.p for one in rows]))
        assert [one.p_holm for one in rows] == pytest.approx(expected.tolist())


def test_soft_metrics_are_compared_against_the_votes(system: Callable[..., Path], workspace: Workspace) -> None:
    both = {"forms": ("hard", "distribution")}
    a, b = system("truthful", told, **both), system("toy-like", **both)

    result = compare_sets(workspace, [a], [b], metric_names=("jsd", "unweighted_accuracy"), resamples=FAST)

    found = {(one.metric, one.form): one for one in result.comparisons}
    assert set(found) == {("jsd", "distribution"), ("unweighted_accuracy", "hard")}
    assert found["jsd", "distribution"].policy == "uniform"
    assert found["unweighted_accuracy", "hard"].policy == "wrong"
    assert found["jsd", "distribution"].difference.ci_unit == "speaker"


def test_a_metric_that_runs_cannot_have_is_named_as_left_out(system: Callable[..., Path], workspace: Workspace) -> None:
    a, b = system("first", told), system("second")

    result = compare_sets(workspace, [a], [b], metric_names=("jsd", "macro_f1"), resamples=FAST)

    assert {one.metric for one in result.comparisons} == {"macro_f1"}
    assert result.left_out[0].startswith("jsd: ")
    with pytest.raises(RunError, match="share no prompt variant"):
        compare_sets(workspace, [a], [b], metric_names=("jsd",), resamples=FAST)


@pytest.mark.parametrize(("metric", "system_id"), [("recall", None), ("cleverness", None), ("macro_f1", "caption")])
def test_unknown_metrics_and_systems_are_named(
    system: Callable[..., Path], workspace: Workspace, metric: str, system_id: str | None
) -> None:
    run = system("first")
    systems = None if system_id is None else [system_id]

    with pytest.raises(UnknownName):
        compare_sets(workspace, [run], [run], metric_names=(metric,), systems=systems, resamples=FAST)


# --- which utterances --------------------------------------------------------------------------------------------


def test_a_whole_run_is_compared_with_a_limited_one_on_what_both_answered(
    system: Callable[..., Path], workspace: Workspace
) -> None:
    whole, few = system("toy-like"), system("truthful", told, limit=9)
    alike = system("toy-like", limit=9)

    (one,) = compare_sets(workspace, [whole], [few], resamples=FAST).comparisons
    (other,) = compare_sets(workspace, [alike], [few], resamples=FAST).comparisons
    (turned,) = compare_sets(workspace, [few], [whole], resamples=FAST).comparisons

    n_few, n_all = (read_manifest(run).n_requests for run in (few, whole))
    assert one.utterances.left_out
    assert (one.utterances.n_shared, one.utterances.n_alone) == (n_few, (n_all - n_few, 0))
    assert turned.utterances.n_alone == (0, n_all - n_few)
    assert other.utterances.n_alone == (0, 0)
    assert one.difference == other.difference


def test_soft_answers_of_a_whole_run_are_compared_on_what_both_answered(
    system: Callable[..., Path], workspace: Workspace
) -> None:
    both = {"forms": ("hard", "distribution")}
    whole, few, alike = system("toy-like", **both), system("b", told, limit=9, **both), system("c", limit=9, **both)

    (one,) = compare_sets(workspace, [whole], [few], metric_names=("jsd",), resamples=FAST).comparisons
    (other,) = compare_sets(workspace, [alike], [few], metric_names=("jsd",), resamples=FAST).comparisons

    assert one.utterances.n_alone[0] > 0 == one.utterances.n_alone[1]
    assert one.difference == other.difference


def test_runs_of_one_split_that_share_no_utterance_are_refused(
    system: Callable[..., Path], workspace: Workspace
) -> None:
    a, b = system("first", folds=("1",)), system("second", folds=("2",))

    with pytest.raises(RunError, match="answer no utterance in common"):
        compare_sets(workspace, [a], [b], resamples=FAST)
    with pytest.raises(RunError, match="answer no utterance in common"):
        rank_runs(workspace, [a, b, system("third", folds=("1",))], resamples=FAST)


def test_over_different_splits_each_run_counts_whole_and_the_counts_say_so(
    system: Callable[..., Path], workspace: Workspace
) -> None:
    a, b = system("first"), system("second", split_id="speaker-disjoint", limit=3)

    (one,) = compare_sets(workspace, [a], [b], resamples=FAST).comparisons

    own = {row["value"] for row in scores_of(workspace, a, b)}
    assert not one.utterances.left_out
    assert one.utterances.n_alone != (0, 0)
    assert {one.difference.value_a, one.difference.value_b} == own


def test_ranks_are_of_the_utterances_that_all_runs_answered(system: Callable[..., Path], workspace: Workspace) -> None:
    runs = [system("toy-like"), system("truthful", told, limit=9), system("toy-twin", limit=12)]

    ranked = rank_runs(workspace, runs, resamples=FAST).ranked

    n = {read_manifest(run).run_id: read_manifest(run).n_requests for run in runs}
    assert {one.n_utterances for one in ranked} == {min(n.values())}
    assert {one.run: one.n_left_out for one in ranked} == {run: all_of - min(n.values()) for run, all_of in n.items()}
    assert len({one.value for one in ranked if one.name.startswith("toy")}) == 1


# --- over corpora ------------------------------------------------------------------------------------------------


@pytest.fixture
def over_two(
    system: Callable[..., Path], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., CompareResult]:
    """Compare a truthful and a toy system over the toy's two splits as if they were two corpora."""
    load = comparing.load_scored

    def as_corpora(where: Workspace, run: Path) -> Any:
        table = load(where, run)
        manifest = table.manifest
        card = manifest.corpus_card.model_copy(update={"corpus_id": f"toy-{manifest.split.split_id}"})
        return ScoredTable(
            manifest=manifest.model_copy(update={"corpus_card": card}), rows=table.rows, truth=table.truth
        )

    monkeypatch.setattr(comparing, "load_scored", as_corpora)
    splits = ("protocol", "speaker-disjoint")
    a = [system("truthful", told, split_id=split) for split in splits]
    b = [system("toy-like", split_id=split) for split in splits]
    return lambda **given: compare_sets(workspace, a, b, **{"resamples": FAST, **given})


def test_the_mean_over_corpora_counts_each_the_same(over_two: Callable[..., CompareResult]) -> None:
    result = over_two()

    (mean,) = result.means
    values = [one.difference.value for one in result.comparisons]
    errors = [one.difference.standard_error for one in result.comparisons]
    assert len(values) == mean.n_parts == 2
    assert mean.difference.value == pytest.approx(np.mean(values))
    assert mean.difference.standard_error == pytest.approx(np.sqrt(np.sum(np.square(errors))) / 2)
    assert mean.difference.ci_low < mean.difference.value < mean.difference.ci_high
    assert mean.detectable < max(one.detectable for one in result.comparisons)


def test_corpora_are_resampled_independently(over_two: Callable[..., CompareResult]) -> None:
    result = over_two(resamples=2000)

    (mean,) = result.means
    width = mean.difference.ci_high - mean.difference.ci_low
    assert width == pytest.approx(2 * 1.96 * mean.difference.standard_error, rel=0.15)


def test_runs_without_a_counterpart_are_named(system: Callable[..., Path], workspace: Workspace) -> None:
    a = [system("first"), system("first", split_id="speaker-disjoint")]
    b = [system("second")]

    result = compare_sets(workspace, a, b, resamples=FAST)

    assert len(result.comparisons) == 1
    assert result.left_out == (f"{a[1].name} has no counterpart over the same corpus and split",)


def test_two_runs_of_one_side_over_one_split_are_refused(system: Callable[..., Path], workspace: Workspace) -> None:
    with pytest.raises(RunError, match="A side is one system"):
        compare_sets(workspace, [system("first"), system("second")], [system("third")], resamples=FAST)


# --- ranks -------------------------------------------------------------------------------------------------------


def test_systems_are_ranked_with_intervals_from_one_set_of_resamples(
    system: Callable[..., Path], workspace: Workspace
) -> None:
    def mute(question: Question) -> str:
        return "I cannot say."

    runs = [system("mute", mute), system("truthful", told), system("toy-like"), system("toy-twin")]

    result = rank_runs(workspace, runs, resamples=FAST)

    found = {one.name.split(",")[0]: one for one in result.ranked}
    assert [(found[name].rank, found[name].rank_low, found[name].rank_high) for name in ("truthful", "mute")] == [
        (1, 1, 1),
        (4, 4, 4),
    ]
    assert {found[name].rank for name in ("toy-like", "toy-twin")} == {2}
    assert found["toy-like"].place == "toy test"
    assert [one.rank for one in result.ranked] == sorted(one.rank for one in result.ranked)


def test_ranked_systems_are_tested_two_by_two_as_a_comparison_of_the_two_would(
    system: Callable[..., Path], workspace: Workspace
) -> None:
    runs = [system("toy-like"), system("truthful", told), system("toy-twin")]

    pairs = rank_runs(workspace, runs, resamples=FAST).told_apart
    (alone,) = compare_sets(workspace, [runs[1]], [runs[0]], resamples=FAST).comparisons

    assert [pair.name_a.split(",")[0] for pair in pairs] == ["truthful", "truthful", "toy-like"]
    assert pairs[0].difference.value == alone.difference.value
    assert pairs[0].difference.standard_error == pytest.approx(alone.difference.standard_error, rel=0.3)
    assert pairs[2].difference.p == 1.0
    expected = holm(np.array([pair.difference.p for pair in pairs]))
    assert [pair.p_holm for pair in pairs] == pytest.approx(expected.tolist())


def test_lower_is_better_where_the_metric_says_so(system: Callable[..., Path], workspace: Workspace) -> None:
    both = {"forms": ("hard", "distribution")}
    runs = [system("truthful", told, **both), system("toy-like", **both)]

    ranked = rank_runs(workspace, runs, metric_names=("jsd",), resamples=FAST).ranked

    assert ranked[0].value < ranked[-1].value


def test_three_runs_of_one_model_are_ranked_by_the_names_of_what_differs(
    system: Callable[..., Path], workspace: Workspace
) -> None:
    runs = [
        system("one", told, generation=Generation(max_new_tokens=64)),
        system("one", generation=Generation(max_new_tokens=128)),
        system("one", split_id="speaker-disjoint"),
    ]

    ranked = rank_runs(workspace, runs, resamples=FAST).ranked

    assert {one.run: one.name for one in ranked} == {
        runs[0].name: "one, zero-shot, split protocol, max_new_tokens 64",
        runs[1].name: "one, zero-shot, split protocol, max_new_tokens 128",
        runs[2].name: "one, zero-shot, split speaker-disjoint, max_new_tokens 512",
    }
    assert ranked[0].run == runs[0].name


def test_runs_of_one_model_that_each_asked_another_prompt_are_ranked_by_their_prompts(
    system: Callable[..., Path], workspace: Workspace
) -> None:
    names = ("direct", "caption", "transcript")
    runs = [system("one", told if name == "caption" else toy_answer, variants=(name,)) for name in names]

    ranked = rank_runs(workspace, runs, resamples=FAST).ranked

    assert {one.name for one in ranked} == {f"one, zero-shot, prompts {name}" for name in names}
    assert {one.system_id for one in ranked} == {OWN_PROMPT}
    assert ranked[0].name == "one, zero-shot, prompts caption"


def test_other_models_are_not_ranked_by_other_prompts(system: Callable[..., Path], workspace: Workspace) -> None:
    runs = [system("first"), system("second", variants=("caption",)), system("third", variants=("caption",))]

    with pytest.raises(RunError, match="share no prompt variant"):
        rank_runs(workspace, runs, resamples=FAST)


def test_a_run_that_is_given_twice_is_refused(system: Callable[..., Path], workspace: Workspace) -> None:
    run = system("first")

    with pytest.raises(RunError, match="is given twice"):
        rank_runs(workspace, [run, run, system("second")], resamples=FAST)


def test_a_name_tells_only_what_differs_and_is_the_same_over_corpora(workspace: Workspace) -> None:
    manifest = read_manifest(planned(workspace, forms=("hard",), variants=("direct",), limit=1))
    card = manifest.corpus_card.model_copy(update={"corpus_id": "other"})
    longer = {"generation": {**manifest.generation, "max_new_tokens": 9}}
    alone = manifest.model_copy(update={"run_id": "b", "corpus_card": card})
    longer_here = manifest.model_copy(update={"run_id": "c", **longer})

    assert system_names([manifest, alone]) == ["scripted, zero-shot"] * 2
    assert system_names([manifest, alone, longer_here]) == [
        "scripted, zero-shot, max_new_tokens 512",
        "scripted, zero-shot, max_new_tokens 512",
        "scripted, zero-shot, max_new_tokens 9",
    ]


def test_runs_that_nothing_tells_apart_are_named_by_their_plans(workspace: Workspace) -> None:
    manifest = read_manifest(planned(workspace, forms=("hard",), variants=("direct",), limit=1))
    twin = manifest.model_copy(update={"run_id": "twin", "plan_sha256": "f" * 64})

    assert system_names([manifest, twin])[1] == "scripted, zero-shot, ffffffff"
