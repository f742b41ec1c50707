"""Many runs in one go."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from voxemo.backends.base import Backend
from voxemo.backends.scripted import ScriptedBackend
from voxemo.catalog import lookup
from voxemo.core.errors import NotPrepared, RunError
from voxemo.core.types import Generation
from voxemo.steps.kept_backend import KeptBackend
from voxemo.steps.plan import PlanOptions
from voxemo.steps.prepare import Progress, prepare_corpus
from voxemo.steps.study import StudyRun, read_study, run_study
from voxemo.store.journal import read_journal
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.manifest import read_manifest

FEW = PlanOptions(forms=("hard",), variants=("direct",), folds=("1",), limit=3)


@contextlib.contextmanager
def no_bar(title: str, unit: str) -> Iterator[Progress]:
    yield lambda done, total: None


class Maker:
    """Makes scripted backends, and counts them."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, card: Any, generation: Generation, **options: Any) -> Backend:
        self.made.append(card.model_id)
        return ScriptedBackend(lambda question: "FINAL LABEL: Sad")


def scripted_card(folder: Path, model_id: str) -> str:
    path = folder / f"{model_id}.json"
    card = lookup.model_card("scripted").model_copy(update={"model_id": model_id})
    path.write_text(card.model_dump_json(), encoding="utf-8")
    return str(path)


def entries(models: list[str], corpora: list[str]) -> list[StudyRun]:
    return [
        StudyRun(corpus=corpus, model=model, split_id="protocol", options=FEW) for corpus in corpora for model in models
    ]


def run_all(workspace: Workspace, study: list[StudyRun], maker: Callable[..., Backend]) -> list[Path]:
    runs = workspace.root.parent / "runs"
    results = run_study(workspace, runs, study, make_backend=maker, bar=no_bar, resamples=10)
    return [result.run for result in results]


def test_each_model_is_loaded_once_for_all_its_corpora(workspace: Workspace, tmp_path: Path) -> None:
    prepare_corpus(workspace, "demo")
    models = [scripted_card(tmp_path, name) for name in ("one", "two")]
    maker = Maker()

    made = run_all(workspace, entries(models, ["toy", "demo"]), maker)

    assert maker.made == ["one", "two"]
    assert [path.name.rsplit(".", 1)[0] for path in made] == [
        "toy.one.zero-shot",
        "demo.one.zero-shot",
        "toy.two.zero-shot",
        "demo.two.zero-shot",
    ]
    assert all(len(read_journal(RunPaths(path).responses).responses) == 3 for path in made)


def test_a_study_again_asks_nothing_again(workspace: Workspace, tmp_path: Path) -> None:
    study = entries([scripted_card(tmp_path, "one")], ["toy"])
    first = run_all(workspace, study, Maker())
    again = Maker()

    assert run_all(workspace, [*study, *study], again) == first
    assert again.made == []


def test_nothing_is_asked_before_all_is_planned(workspace: Workspace, tmp_path: Path) -> None:
    maker = Maker()

    with pytest.raises(NotPrepared, match="voxemo prepare demo"):
        run_all(workspace, entries([scripted_card(tmp_path, "one")], ["toy", "demo"]), maker)

    assert maker.made == []


def test_other_settings_load_the_model_again() -> None:
    maker = Maker()
    kept = KeptBackend(maker)
    card = lookup.model_card("scripted")

    first = kept(card, Generation(), batch_size=4)

    assert kept(card, Generation(), batch_size=4) is first
    assert kept(card, Generation(), batch_size=8) is not first
    kept(card, Generation(max_new_tokens=9), batch_size=8)
    assert len(maker.made) == 3


def test_a_served_model_counts_tokens_and_cost_anew_for_every_run() -> None:
    maker = Maker()
    kept = KeptBackend(maker)
    served = lookup.model_card("scripted").model_copy(update={"backend": "endpoint"})

    assert kept(served, Generation()) is not kept(served, Generation())
    assert len(maker.made) == 2


def test_a_study_file_is_every_corpus_with_every_model_of_each_table(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(
        '[[run]]\ncorpus = ["toy", "demo"]\nmodel = ["voxemo-tiny", "scripted"]\nmax-new-tokens = 64\n'
        '[[run]]\ncorpus = ["toy"]\nmodel = ["scripted"]\nsplit = "speaker-disjoint"\nform = ["likelihood"]\n'
        'audio = "silence"\nlimit = 2\n',
        encoding="utf-8",
    )

    study = read_study(path).runs

    assert [(one.model, one.corpus, one.split_id) for one in study] == [
        ("voxemo-tiny", "toy", "protocol"),
        ("voxemo-tiny", "demo", "protocol"),
        ("scripted", "toy", "protocol"),
        ("scripted", "demo", "protocol"),
        ("scripted", "toy", "speaker-disjoint"),
    ]
    assert {one.options.generation.max_new_tokens for one in study[:4]} == {64}
    last = study[-1].options
    assert (last.forms, last.audio_condition, last.limit) == (("likelihood",), "silence", 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[run]]\ncorpus = []\nmodel = ['m']\n", "run.0.corpus"),
        ("[[run]]\ncorpus = ['c']\nmodel = ['m']\nlimits = 3\n", "run.0.limits"),
        ("[[run]]\ncorpus = ['c']\nmodel = ['m']\naudio = 'loud'\n", "run.0.audio"),
        ("runs = 3\n", "runs: Extra inputs"),
        ("", "asks for nothing"),
        ("[[train]]\ncorpus = ['c']\nmodel = ['scripted']\nrank = 3\n", "train.0.rank"),
        ("[[transfer]]\nmodel = ['m']\n", "transfer.0.matrix"),
        ("[[run]\n", "cannot be read"),
    ],
)
def test_a_study_file_with_a_mistake_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(RunError, match=said):
        read_study(path)


def test_a_study_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"study file .*missing\.toml cannot be read"):
        read_study(tmp_path / "missing.toml")


def test_a_manifest_of_a_study_is_that_of_a_single_run(workspace: Workspace, tmp_path: Path) -> None:
    (run,) = run_all(workspace, entries([scripted_card(tmp_path, "one")], ["toy"]), Maker())

    assert read_manifest(run).partial == "at most 3 utterances of each test partition; 1 of 4 folds (1)"
