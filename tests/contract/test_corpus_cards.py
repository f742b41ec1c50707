"""What every built-in corpus card promises, one promise a test. Facts about real files: test_corpus_cards_evidence."""

import re
import tomllib
from collections.abc import Iterator

import jsonschema
import pytest

from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.schemas import json_schema

CORPUS_IDS = (
    "aesdd",
    "ased",
    "asvp-esd",
    "biic-podcast",
    "cafe",
    "casia",
    "crema-d",
    "emns",
    "emodb",
    "emotiontalk",
    "emov-db",
    "emovo",
    "emozionalmente",
    "enterface",
    "esd",
    "iemocap",
    "jl-corpus",
    "m3ed",
    "mead",
    "meld",
    "mesd",
    "msp-podcast",
    "nemo",
    "oreau",
    "pavoque",
    "polish",
    "ravdess",
    "resd",
    "savee",
    "shemo",
    "subesco",
    "tess",
    "thai-ser",
    "turev-db",
    "urdu",
)

# The corpora that the paper scores softly (PROTOCOL section 2).
SOFT_LABEL_CORPORA = ("biic-podcast", "crema-d", "emotiontalk", "iemocap", "msp-podcast")

# No file of the paper's subset tells these counts.
UNCOUNTED_CORPORA = ("biic-podcast", "msp-podcast")

# What `sources` may name beside fields: groups of them.
GROUPS = ("description",)
ALWAYS_SOURCED = ("description", "labels", "expected", "split", "access", "citation")
SOURCED_WHERE_GIVEN = ("perception", "emobox", "paper", "known_issues")


@pytest.fixture(params=CORPUS_IDS)
def card(request: pytest.FixtureRequest) -> CorpusCard:
    return lookup.corpus_card(request.param)


def numbers_in_issues(card: CorpusCard) -> Iterator[str]:
    for issue in card.known_issues:
        yield from re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d),(?=\d{3}\b)", "", issue.text))


# --- all cards together ------------------------------------------------------------------------------------------


def test_the_benchmark_has_exactly_its_35_corpora() -> None:
    assert lookup.builtin_names("corpora") == CORPUS_IDS


def test_the_cards_add_up_to_the_totals_of_the_paper() -> None:
    rows = [card.paper for card in lookup.builtin_corpus_cards() if card.paper is not None]

    assert sum(row.n_utterances for row in rows) == 518_427
    assert round(sum(row.hours for row in rows)) == 714


def test_the_cards_have_the_15_languages_of_the_paper_when_regions_are_not_counted_apart() -> None:
    languages = {tag.partition("-")[0] for card in lookup.builtin_corpus_cards() for tag in card.languages}

    assert languages == {"am", "bn", "de", "el", "en", "es", "fa", "fr", "it", "pl", "ru", "th", "tr", "ur", "zh"}


def test_no_two_corpora_share_a_folder_of_emobox() -> None:
    folders = [card.emobox.folder for card in lookup.builtin_corpus_cards() if card.emobox is not None]

    assert len(folders) == len(set(folders)) == 31


# --- labels ------------------------------------------------------------------------------------------------------


def test_label_names_are_in_the_shared_table(card: CorpusCard) -> None:
    assert set(card.labels.names) <= set(lookup.label_table().labels)


def test_models_see_capitalised_names_in_alphabetical_order(card: CorpusCard) -> None:
    shown = card.label_set(lookup.label_table()).display

    assert list(shown) == sorted(name.capitalize() for name in card.labels.names)


def test_every_label_has_a_provider_code_and_every_code_a_label(card: CorpusCard) -> None:
    assert set(card.labels.raw.values()) == set(card.labels.names)


def test_no_alias_of_a_card_means_another_label_in_the_same_set(card: CorpusCard) -> None:
    shared = card.model_copy(update={"labels": card.labels.model_copy(update={"aliases": {}})})
    without = shared.label_set(lookup.label_table())

    clashes = {word: name for word, name in card.labels.aliases.items() if without.canonical(word) not in (None, name)}
    assert not clashes


def test_the_number_of_labels_is_the_papers(card: CorpusCard) -> None:
    assert card.paper is not None
    assert len(card.labels.names) == card.paper.n_emotions


# --- the paper ---------------------------------------------------------------------------------------------------


def test_hard_scores_use_a_label_source_that_the_paper_names(card: CorpusCard) -> None:
    assert card.paper is not None
    assert card.gold in card.paper.label_source.split("+")
    assert set(card.paper.label_source.split("+")) <= set(card.label_sources)


def test_the_setting_is_the_papers(card: CorpusCard) -> None:
    assert card.paper is not None
    assert card.setting == card.paper.setting.replace("-", "_")


@pytest.mark.parametrize("corpus_id", SOFT_LABEL_CORPORA)
def test_corpora_with_soft_labels_in_the_paper_name_their_counting_rules(corpus_id: str) -> None:
    perception = lookup.corpus_card(corpus_id).perception

    assert perception is not None
    assert perception.votes_released
    assert perception.default_vote_rule in perception.vote_rules


def test_counting_rules_come_with_votes_and_votes_with_counting_rules(card: CorpusCard) -> None:
    if card.perception is not None:
        assert card.perception.votes_released == bool(card.perception.vote_rules)


# --- counts ------------------------------------------------------------------------------------------------------


def test_the_number_of_utterances_is_stated_where_files_tell_it(card: CorpusCard) -> None:
    assert (card.expected.n_utterances is None) == (card.corpus_id in UNCOUNTED_CORPORA)


def test_counts_per_label_name_every_label_and_add_up(card: CorpusCard) -> None:
    per_label = card.expected.per_label

    if per_label:
        assert set(per_label) == set(card.labels.names)
        assert sum(per_label.values()) == card.expected.n_utterances


def test_counts_per_speaker_name_every_speaker_and_add_up(card: CorpusCard) -> None:
    per_speaker = card.expected.per_speaker

    if per_speaker:
        assert len(per_speaker) == card.expected.n_speakers
        assert sum(per_speaker.values()) == card.expected.n_utterances


@pytest.mark.parametrize("corpus_id", ["iemocap", "turev-db", "urdu"])
def test_corpora_whose_speakers_need_watching_are_counted_per_speaker(corpus_id: str) -> None:
    assert lookup.corpus_card(corpus_id).expected.per_speaker


@pytest.mark.parametrize("count", ["n_utterances", "n_speakers"])
def test_a_known_issue_gives_the_papers_count_where_it_is_another(card: CorpusCard, count: str) -> None:
    ours, papers = getattr(card.expected, count), getattr(card.paper, count)

    if papers is not None and ours != papers:
        assert str(papers) in set(numbers_in_issues(card))


# --- documentation -----------------------------------------------------------------------------------------------


def test_the_file_is_named_after_the_corpus(card: CorpusCard) -> None:
    path = lookup.CATALOG / "corpora" / f"{card.corpus_id}.toml"

    assert lookup.corpus_card(str(path)) == card


def test_every_group_of_facts_names_its_source(card: CorpusCard) -> None:
    needed = {*ALWAYS_SOURCED, *(name for name in SOURCED_WHERE_GIVEN if getattr(card, name))}

    assert needed <= set(card.sources)


def test_sources_are_given_for_facts_that_the_card_has(card: CorpusCard) -> None:
    has = {*GROUPS, *(name for name in CorpusCard.model_fields if getattr(card, name))}

    assert set(card.sources) <= has


def test_known_issues_have_different_ids_and_are_sentences(card: CorpusCard) -> None:
    ids = [issue.id for issue in card.known_issues]

    assert len(ids) == len(set(ids))
    assert [issue.id for issue in card.known_issues if not issue.text.endswith(".")] == []


def test_the_citation_has_a_year(card: CorpusCard) -> None:
    assert re.search(r"\b(19|20)\d\d\b", card.citation)


def test_access_says_where_how_and_under_which_licence(card: CorpusCard) -> None:
    assert card.access.homepage.startswith(("https://", "http://"))
    assert card.access.how.endswith(".")
    assert card.access.license.strip()


def test_the_reason_for_the_split_is_in_sentences(card: CorpusCard) -> None:
    assert card.split.why.endswith(".")


# --- as a document -----------------------------------------------------------------------------------------------


def test_a_card_survives_json_with_the_same_hash(card: CorpusCard) -> None:
    again = CorpusCard.model_validate_json(card.model_dump_json())

    assert again == card
    assert again.sha256() == card.sha256()


def test_the_file_fits_the_published_json_schema(card: CorpusCard) -> None:
    schema = json_schema("corpus")
    text = (lookup.CATALOG / "corpora" / f"{card.corpus_id}.toml").read_text(encoding="utf-8")

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(tomllib.loads(text))
