"""What the catalogue promises about every model card."""

import tomllib
from importlib.util import find_spec
from typing import Any

import jsonschema
import pytest

from tiny_generic_checkpoints import GENERIC_BUILDERS
from voxemo.backends.local.families import FAMILIES, GENERIC
from voxemo.backends.registry import BUILTIN, backend_names
from voxemo.catalog import lookup
from voxemo.core.cards import ModelCard
from voxemo.core.schemas import json_schema

NAMES = lookup.model_names()
CARDS = [lookup.model_card(name) for name in NAMES]

for_every = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.model_id)
for_tested = pytest.mark.parametrize(
    "card", [card for card in CARDS if card.support == "tested"], ids=lambda card: card.model_id
)
for_untested = pytest.mark.parametrize(
    "card", [card for card in CARDS if card.support == "untested"], ids=lambda card: card.model_id
)


def content(name: str) -> dict[str, Any]:
    return tomllib.loads((lookup.CATALOG / "models" / f"{name}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_called_as_its_file(name: str) -> None:
    assert lookup.model_card(name).model_id == name


@pytest.mark.parametrize("name", NAMES)
def test_a_card_file_fits_the_exported_schema(name: str) -> None:
    jsonschema.Draft202012Validator(json_schema("model")).validate(content(name))


@for_every
def test_training_corpora_are_corpora_of_the_benchmark_or_undisclosed(card: ModelCard) -> None:
    if card.training_corpora != "undisclosed":
        assert set(card.training_corpora) <= set(lookup.builtin_names("corpora"))


@for_every
def test_a_card_says_what_is_known_of_its_training_data_licence_and_origin(card: ModelCard) -> None:
    assert card.training_data.strip()
    assert card.license.strip()
    assert card.reference.strip()


@for_every
def test_a_card_survives_writing_and_reading_with_the_same_hash(card: ModelCard) -> None:
    assert ModelCard.model_validate_json(card.model_dump_json()).sha256() == card.sha256()


@for_every
def test_a_card_names_a_backend_that_the_package_has(card: ModelCard) -> None:
    assert card.backend in backend_names()


@for_every
def test_a_local_model_says_where_its_weights_are_and_in_which_precision(card: ModelCard) -> None:
    if card.backend == "local":
        assert card.repository
        # float16 overflows in some of these models and gives rows of exclamation marks.
        assert card.dtype in ("bfloat16", "float32")


@for_every
def test_sources_are_about_fields_of_the_card(card: ModelCard) -> None:
    assert set(card.sources) <= set(ModelCard.model_fields)
    assert all(text.strip() for text in card.sources.values())


@for_every
def test_known_issues_have_ids_of_their_own(card: ModelCard) -> None:
    ids = [issue.id for issue in card.known_issues]

    assert len(set(ids)) == len(ids)


@for_tested
def test_a_tested_model_has_the_code_that_runs_it(card: ModelCard) -> None:
    if card.family == GENERIC:
        assert card.architecture in GENERIC_BUILDERS
    elif card.backend == "local":
        assert card.family in FAMILIES
        assert card.architecture == FAMILIES[card.family].architecture
    elif card.backend != "scripted":
        assert find_spec(BUILTIN[card.backend]) is not None


@for_untested
def test_an_untested_model_says_why_and_what_it_would_need(card: ModelCard) -> None:
    assert card.support_note.startswith(("VoxEmo does not run this model yet: ", "Not tested: "))
    assert "transformers" in card.support_note or "vLLM" in card.support_note


@for_untested
def test_a_model_whose_family_we_have_is_not_left_untested(card: ModelCard) -> None:
    assert card.family not in FAMILIES


def test_the_models_of_the_paper_and_our_own_are_tested_beside_those_of_the_generic_family() -> None:
    tested = {card.model_id for card in CARDS if card.support == "tested"}

    assert tested == {
        "acoustic-baseline",
        "audio-flamingo-3",
        "gemma-4-12b-it",
        "gemma-4-e2b-it",
        "music-flamingo-2601",
        "qwen2-audio-7b-instruct",
        "qwen2.5-omni-3b",
        "qwen2.5-omni-7b",
        "qwen3-omni-30b-a3b-instruct",
        "scripted",
        "voxemo-tiny",
    }


def test_audio_flamingo_3_is_known_to_have_seen_iemocap_and_meld() -> None:
    assert lookup.model_card("audio-flamingo-3").training_corpora == ("iemocap", "meld")
