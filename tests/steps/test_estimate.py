"""What a study comes to: counted where corpora are prepared, known from cards, or said to be unknown."""

from pathlib import Path

import pytest

from toy import answered, planned
from voxemo.catalog import lookup
from voxemo.steps.estimate import estimate, measured_rates
from voxemo.steps.mixtures import Training
from voxemo.steps.plan import PlanOptions
from voxemo.steps.study import Study, only_prepared, read_study
from voxemo.steps.study_run import StudyRun
from voxemo.store.files import read_json, write_json
from voxemo.store.layout import TRAINING_PACE, RunPaths, Workspace
from voxemo.store.manifest import read_manifest
from voxemo.store.workspace import read_split
from voxemo.training.lora import LoraRecipe


@pytest.mark.parametrize(
    "given",
    [{}, {"limit": 3}, {"folds": ("1", "2")}, {"labels": ("angry", "sad"), "forms": ("hard",)}, {"language": "xx"}],
    ids=["whole", "limit", "folds", "labels", "no such language"],
)
def test_a_prepared_corpus_is_counted_as_it_would_be_planned(workspace: Workspace, given: dict[str, object]) -> None:
    options = PlanOptions(**given)  # type: ignore[arg-type]
    (one,) = estimate(workspace, Path("none"), [StudyRun(corpus="toy", model="scripted", options=options)]).runs

    if "language" in given:
        assert (one.n_utterances, one.n_requests) == (0, 0)
        return
    assert one.n_requests == read_manifest(planned(workspace, **given)).n_requests
    assert one.known_from == "prepared"
    assert one.audio_h is not None
    assert one.audio_h > 0
    assert one.gpu_h is None


def test_a_split_that_is_not_made_yet_is_counted_and_not_written(workspace: Workspace) -> None:
    for path in (workspace.root / "splits").rglob("*"):
        path.unlink() if path.is_file() else None
    (one,) = estimate(workspace, Path("none"), [StudyRun(corpus="toy", model="scripted")]).runs

    assert one.n_utterances == 240
    assert not list((workspace.root / "splits" / "toy").iterdir())


def test_folds_that_only_their_publisher_has_are_unknown(workspace: Workspace) -> None:
    (one,) = estimate(workspace, Path("none"), [StudyRun(corpus="toy", model="scripted", split_id="emobox")]).runs

    assert (one.n_requests, one.known_from) == (None, "the split 'emobox' has not been made")


def test_of_a_corpus_that_is_not_there_the_card_tells_what_it_can(tmp_path: Path) -> None:
    study = read_study(Path("voxemo-paper"))
    found = estimate(Workspace(tmp_path), Path("none"), study.runs)
    by_corpus = {one.run.corpus: one for one in found.runs if one.kind == "zero-shot"}
    ravdess = lookup.corpus_card("ravdess")

    assert set(found.missing) == {card.corpus_id for card in lookup.builtin_corpus_cards()}
    assert "access: request" in found.missing["iemocap"]
    assert ravdess.emobox is not None
    # Six folds test every clip once.
    assert by_corpus["ravdess"].n_utterances == ravdess.emobox.n_utterances
    # One fold tests a part, and no card says how large.
    assert by_corpus["urdu"].n_utterances is None
    assert by_corpus["iemocap"].n_prompts == 10
    assert not list(tmp_path.iterdir())


def test_the_last_measured_rate_gives_the_hours(workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",))
    (path,) = RunPaths(run).workers.glob("*.json")
    record = read_json(path)
    speed = {"n_requests": 1200, "seconds": 300.0, "requests_per_s": 4.0}
    write_json(path, {**record, "throughput": speed, "effective": {"device": "cuda:0"}})
    earlier = {**record, "started_utc": "2000-01-01T00:00:00+00:00", "throughput": {**speed, "requests_per_s": 9.0}}
    write_json(path.with_name("earlier.json"), earlier)
    (run.parent / "no-run").mkdir()

    assert measured_rates(run.parent) == {"scripted": (4.0, "cuda:0")}
    (one,) = estimate(workspace, run.parent, [StudyRun(corpus="toy", model="scripted")]).runs
    assert one.n_requests is not None
    assert one.gpu_h == pytest.approx(one.n_requests / 4 / 3600)


def test_hours_of_trainings_follow_from_the_last_one_that_ended(workspace: Workspace) -> None:
    training = Training(model="voxemo-tiny", source="toy", recipe=LoraRecipe(n_epochs=3))
    study = [StudyRun(corpus="toy", model="voxemo-tiny", training=training)]
    unmeasured = estimate(workspace, Path("none"), study)
    folder = workspace.model_folder("earlier", "toy", "protocol", "1")
    pace = {"base_model_id": "voxemo-tiny", "device": "cuda", "dtype": "bfloat16", "n_processes": 2}
    for fold_id, ended, rate in (("1", "2026-01-02", 4.0), ("2", "2026-01-01", 9.0)):
        path = folder.with_name(f"fold-{fold_id}") / TRAINING_PACE
        path.parent.mkdir(parents=True)
        write_json(path, {**pace, "ended_utc": ended, "utterances_per_s": rate})

    found = estimate(workspace, Path("none"), study)
    split, _ = read_split(workspace, "toy", "protocol")

    assert [one.n_learned for one in found.trainings] == [3 * len(fold.partitions["train"]) for fold in split.folds]
    assert found.training_rates == {"voxemo-tiny": (4.0, "2 x cuda, bfloat16")}
    assert [one.gpu_h for one in found.trainings] == [one.n_learned / 4 / 3600 for one in found.trainings]  # type: ignore[operator]
    assert {one.gpu_h for one in unmeasured.trainings} == {None}


def test_what_is_left_of_a_study_has_no_corpus_that_is_missing() -> None:
    study = read_study(Path("voxemo-paper"))
    left = only_prepared(study, {"iemocap": "not prepared", "urdu": "not prepared"})

    assert {"iemocap", "urdu"}.isdisjoint(run.corpus for run in left.runs)
    assert {"iemocap", "urdu"}.isdisjoint(c for run in left.runs if run.training for c in run.training.corpora)
    assert [len(matrix.pairs) for matrix in left.matrices] == [16, 16]
    assert only_prepared(study, {}) == study
    assert Study().runs == ()
