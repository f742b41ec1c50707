"""The promises of plugins, kept by the built-in ones and by the example plugin."""

import importlib.metadata
from pathlib import Path

import pytest
from voxemo_example.backend import create
from voxemo_example.corpus import CORPUS
from voxemo_example.toy import make_toy_corpus

from voxemo.backends.registry import backend_names, create_backend
from voxemo.catalog import lookup
from voxemo.core.cards import ModelCard
from voxemo.core.errors import DuplicateName, PluginError, UnknownName
from voxemo.core.types import Generation
from voxemo.corpora.parsers import parser_for
from voxemo.corpora.tree import CorpusTree
from voxemo.scoring.table import Metric
from voxemo.steps.score import metrics
from voxemo.testing import check_backend, check_corpus, check_metric

EXAMPLE_TREE = {f"audio/s{s}-{e}-{t}.wav": b"" for s in (1, 2) for e in ("ang", "hap") for t in (1, 2)}


@pytest.mark.parametrize("metric", metrics().values(), ids=lambda metric: metric.name)
def test_a_metric_keeps_to_its_record(metric: Metric) -> None:
    check_metric(metric)


def test_the_example_corpus_is_found_by_name_and_described_by_its_card() -> None:
    assert "example-corpus" in lookup.corpus_names()

    card = lookup.corpus_card("example-corpus")

    assert len(check_corpus(card, parser_for("example-corpus"), CorpusTree(EXAMPLE_TREE))) == 8


def test_the_toy_corpus_comes_through_the_same_door(tmp_path: Path) -> None:
    make_toy_corpus(tmp_path)

    assert len(check_corpus(lookup.corpus_card("toy"), parser_for("toy"), CorpusTree(tmp_path))) == 240


def test_the_example_backend_is_found_by_the_name_on_a_card() -> None:
    assert "example-backend" in backend_names()

    check_backend(create_backend(example_card(), Generation()))


def test_the_example_metric_is_found_by_name() -> None:
    assert "example_error_rate" in metrics()


def test_an_unknown_backend_names_the_nearest() -> None:
    card = example_card().model_copy(update={"backend": "example-backnd"})

    with pytest.raises(UnknownName, match="Did you mean 'example-backend'"):
        create_backend(card, Generation())


def point(name: str, value: str, group: str) -> importlib.metadata.EntryPoint:
    return importlib.metadata.EntryPoint(name=name, value=value, group=group)


def test_a_plugin_that_does_not_import_is_an_error_with_its_name_and_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"broken": point("broken", "voxemo_example.nowhere:CORPUS", lookup.CORPORA_GROUP)}
    monkeypatch.setattr(lookup, "plugins", lambda group: broken)

    with pytest.raises(PluginError, match=r"'broken'.*nowhere") as caught:
        lookup.corpus_card("broken")

    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_plugin_that_takes_a_built_in_name_is_an_error_that_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    thief = {"urdu": point("urdu", "voxemo_example.corpus:CORPUS", lookup.CORPORA_GROUP)}
    monkeypatch.setattr(lookup, "plugins", lambda group: thief)

    with pytest.raises(DuplicateName, match=r"voxemo itself and voxemo_example\.corpus:CORPUS"):
        lookup.corpus_card("urdu")


def test_a_corpus_plugin_whose_card_has_another_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"other": point("other", "voxemo_example.corpus:CORPUS", lookup.CORPORA_GROUP)}
    monkeypatch.setattr(lookup, "plugins", lambda group: other)

    with pytest.raises(PluginError, match="calls itself 'example-corpus'"):
        lookup.corpus_card("other")


def example_card() -> ModelCard:
    return ModelCard(
        model_id="example",
        name="Example",
        backend="example-backend",
        training_corpora=(),
        training_data="none",
        license="none",
        reference="this test",
        support="tested",
    )


def test_the_example_objects_are_what_the_groups_ask_for() -> None:
    card, parse = CORPUS

    assert card.corpus_id == "example-corpus"
    assert callable(parse)
    assert create(example_card(), Generation()).questions_per_call >= 1
