import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import UnknownName
from voxemo.core.types import ParsedUtterance
from voxemo.corpora import parsers
from voxemo.corpora.parsers import crema_d, parser_for


def test_a_hyphen_in_an_id_is_an_underscore_in_the_module() -> None:
    assert parser_for("crema-d") is crema_d.parse


def test_an_unknown_corpus_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match=r"no corpus called 'cremad'\. Did you mean 'crema-d'"):
        parser_for("cremad")


def test_a_plugin_brings_its_own_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(tree: object) -> list[ParsedUtterance]:
        return []

    monkeypatch.setattr(parsers, "corpus_plugin", lambda name: (corpus_card("urdu"), parse))

    assert parser_for("mine") is parse
