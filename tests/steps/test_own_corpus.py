"""A user's own corpus: from a table or a folder to a card, a prepared corpus and a run."""

import json
import shlex
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voxemo_example import toy

from voxemo.catalog import lookup
from voxemo.catalog.lookup import read_document
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import (
    CardError,
    CorpusError,
    CountMismatch,
    DuplicateName,
    ManifestError,
    RunError,
    UnknownName,
    UnmappedLabel,
)
from voxemo.core.types import ParsedUtterance
from voxemo.corpora import parsers
from voxemo.corpora.new_card import FILL_IN, CardFacts, card_toml, draft_card, map_codes
from voxemo.corpora.prepare import Subset
from voxemo.corpora.tree import CorpusTree
from voxemo.steps.new_corpus import NewCorpus, new_corpus
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.prepare import PrepareResult, prepare_corpus
from voxemo.steps.split import split_corpus
from voxemo.steps.train import train_model
from voxemo.store.files import read_json, write_json
from voxemo.store.layout import Workspace
from voxemo.store.manifest import read_manifest

LABELS = ("angry", "happy", "neutral", "sad")
FACTS = CardFacts(year=2026, languages=("en",), setting="acted", license="CC0-1.0", citation="Nobody, 2026.")


@pytest.fixture
def audio(toy_workspace: Workspace) -> Path:
    """Clips of the toy corpus, named as ``t00_angry_0.wav``. Do not change them; copy them."""
    return Path(read_json(toy_workspace.corpus_root("toy"))["folder"]) / "clips"


@pytest.fixture
def table(tmp_path: Path, audio: Path) -> Path:
    """A table of four voices, two takes a label."""
    rows = [
        {"audio_path": f"t{voice:02d}_{label}_{take}.wav", "expressed": label.upper(), "speaker_id": f"t{voice:02d}"}
        for voice in range(4)
        for label in LABELS
        for take in range(2)
    ]
    path = tmp_path / "labels.csv"
    pl.DataFrame(rows).write_csv(path)
    return path


@pytest.fixture
def own(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


def made(tmp_path: Path, table: Path, **given: Any) -> NewCorpus:
    return new_corpus("mine", manifest=table, out=tmp_path / "mine", **{"facts": FACTS, **given})


def changed(table: Path, old: str, new: str) -> Path:
    table.write_text(table.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return table


# --- the card ----------------------------------------------------------------------------------------------------


def test_the_card_counts_what_the_table_holds_and_names_where_it_lies(tmp_path: Path, table: Path) -> None:
    new = made(tmp_path, table)

    card = read_document(new.place, CorpusCard)
    assert card == new.card
    assert card.manifest == "../labels.csv"
    assert (card.expected.n_utterances, card.expected.n_speakers) == (32, 4)
    assert card.expected.per_label == dict.fromkeys(LABELS, 8)
    assert dict(card.labels.raw) == {label.upper(): label for label in LABELS}
    assert new.notes == ()


def test_what_nobody_said_is_a_placeholder_that_is_named(tmp_path: Path, table: Path) -> None:
    new = made(tmp_path, table, facts=CardFacts())

    assert new.notes == ("the card still holds placeholders: languages, access.license, citation, setting, year",)
    text = new.place.read_text(encoding="utf-8")
    assert text.count(FILL_IN) == 6  # four fields, and the two lines that explain them


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(codes=st.lists(texts, min_size=1, max_size=5, unique=True), citation=texts)
def test_the_card_is_valid_toml_that_says_the_same_whatever_the_codes_are(codes: list[str], citation: str) -> None:
    rows = [ParsedUtterance(stem=str(n), audio_path=f"{n}.wav", expressed_raw=code) for n, code in enumerate(codes)]
    means = map_codes(rows, table=lookup.label_table(), dropped={codes[0]: "too rare"})
    facts = CardFacts(year=2026, citation=citation)
    card = draft_card("mine", rows, codes=means, facts=facts, manifest="a.csv", source="a.csv")

    text = card_toml(card, codes=means)

    assert CorpusCard.model_validate(tomllib.loads(text)) == card


@pytest.mark.parametrize(
    ("rows", "policy", "why"),
    [
        ([("a", None, None)] * 4, "stratified_random", "No utterance names its speaker"),
        ([("a", "1", None), ("a", None, None)] * 4, "stratified_random", "Some utterances do not name their speaker"),
        ([("a", "1", None)] * 4, "stratified_random", "There is one speaker, fewer than 4"),
        ([("a", "1", None), ("a", "2", None)], "stratified_random", "There are 2 speakers, fewer than 4"),
        (
            [("a", "1", None), *(("a", str(n), None) for n in range(4))],
            "stratified_random",
            "The 4 speakers do not all have the same number of utterances per label",
        ),
        ([("a", str(n), None) for n in range(5)], "leave_one_speaker_out", "5 speakers, each with the same number"),
        ([("a", str(n), None) for n in range(9)], "speaker_k_fold", "9 speakers, each with the same number"),
        ([("a", "1", "train"), ("a", "2", "test")], "provider", "Every utterance comes with a partition"),
        ([("a", "1", "fold:1"), ("a", "2", "fold:2")], "provider", "Every utterance comes with a partition"),
        ([("a", "1", "test")] * 2, "stratified_random", "The given partitions lack a training or a test part"),
    ],
)
def test_the_split_rule_is_the_protocols_and_says_why(
    rows: list[tuple[str, str | None, str | None]], policy: str, why: str
) -> None:
    parsed = [
        ParsedUtterance(
            stem=str(n), audio_path=f"{n}.wav", expressed_raw=code, speaker_id=speaker, provider_partition=part
        )
        for n, (code, speaker, part) in enumerate(rows)
    ]
    means = map_codes(parsed, table=lookup.label_table())

    rule = draft_card("mine", parsed, codes=means, facts=FACTS, manifest="a.csv", source="a.csv").split

    assert rule.policy == policy
    assert why in rule.why


def test_votes_and_perceived_labels_bring_the_facts_of_perception(tmp_path: Path, table: Path) -> None:
    rows = pl.read_csv(table).with_columns(
        pl.col("expressed").alias("perceived"), pl.lit(3).alias("votes.all.ANGRY"), pl.lit(1).alias("votes.first.SAD")
    )
    rows.write_csv(table)

    card = made(tmp_path, table).card

    assert card.label_sources == ("expressed", "perceived")
    assert card.perception is not None
    assert (sorted(card.perception.vote_rules), card.perception.default_vote_rule) == (["all", "first"], "all")


def test_hard_scores_use_the_label_source_that_was_asked_for(tmp_path: Path, table: Path) -> None:
    heard = changed(table, "expressed", "perceived")

    assert made(tmp_path, heard).card.gold == "perceived"
    with pytest.raises(CorpusError, match="has no expressed labels; it has perceived ones"):
        made(tmp_path, heard, facts=CardFacts(year=2026, gold="expressed"), replace_card=True)


# --- renewed -----------------------------------------------------------------------------------------------------


def edited(card: Path, **pairs: str) -> Path:
    text = card.read_text(encoding="utf-8")
    for old, new in pairs.items():
        assert old in text
        text = text.replace(old, new)
    card.write_text(text, encoding="utf-8")
    return card


def test_a_renewed_card_keeps_every_edit_that_the_table_does_not_tell(tmp_path: Path, table: Path) -> None:
    rows = pl.read_csv(table).with_columns(pl.col("expressed").alias("perceived"), pl.lit(3).alias("votes.all.SAD"))
    rows.drop("speaker_id").write_csv(table)
    first = made(tmp_path, changed(table, "ANGRY", "W"), facts=CardFacts(), dropped={"NEUTRAL": "too many"})
    issue = {"id": "hiss", "text": "All hiss.", "source": "heard"}
    content = first.card.model_dump(mode="json")
    content |= {"name": "Mine", "year": 2020, "setting": "in_the_wild", "citation": "Me, 2020.", "gold": "perceived"}
    content |= {"languages": ["de"], "recording": "tv", "known_issues": [issue]}
    content["access"] |= {"license": "CC-BY-4.0", "homepage": "a shelf", "kind": "open"}
    content["perception"] |= {"given": "voice only", "vote_rules": {"all": "everybody"}, "n_raters": "three"}
    content["expected"] |= {"sample_rates_hz": [16000], "hours": 1.5}
    content["sources"] |= {"setting": "the diary", "year": "the diary"}
    content["labels"]["names"] = ["happy", "sad", "wistful"]
    content["labels"]["raw"]["W"] = "wistful"
    content["labels"]["aliases"] = {"pensive": "wistful"}
    before = CorpusCard.model_validate(content)
    first.place.write_text(card_toml(before, codes=map_codes([], table=lookup.label_table())), encoding="utf-8")
    rows.write_csv(table)  # with the speakers this time
    changed(table, "ANGRY", "W")

    new = made(tmp_path, table, facts=CardFacts(year=2026), replace_card=True)

    assert new.renewed == ("expected", "split")
    assert new.card.split.policy == "leave_one_speaker_out"
    assert new.card.expected.n_speakers == 4
    assert new.card.model_copy(update={"expected": before.expected, "split": before.split}) == before.model_copy(
        update={"expected": before.expected}
    )
    assert (new.card.expected.hours, new.card.expected.sample_rates_hz) == (1.5, (16000,))
    assert read_document(new.place, CorpusCard) == new.card


def test_what_the_user_says_now_counts_more_than_the_earlier_card(tmp_path: Path, table: Path) -> None:
    made(tmp_path, changed(table, "ANGRY", "W"), dropped={"SAD": "too few"}, mapped={"W": "angry"})

    facts = CardFacts(languages=("de",), license="none", citation="Anna.")
    new = made(tmp_path, table, facts=facts, mapped={"W": "bored", "SAD": "sad"}, replace_card=True)

    assert (new.card.languages, new.card.access.license, new.card.citation) == (("de",), "none", "Anna.")
    assert dict(new.card.labels.raw) == {"W": "bored", "HAPPY": "happy", "NEUTRAL": "neutral", "SAD": "sad"}
    assert new.card.labels.dropped == {}
    assert new.renewed == ("languages", "labels", "expected", "access", "citation")


def test_votes_that_came_or_went_bring_or_take_the_facts_of_perception(tmp_path: Path, table: Path) -> None:
    plain = table.read_text(encoding="utf-8")
    made(tmp_path, table)
    pl.read_csv(table).with_columns(pl.lit(3).alias("votes.all.SAD")).write_csv(table)

    voted = made(tmp_path, table, replace_card=True).card
    table.write_text(plain, encoding="utf-8")
    again = made(tmp_path, table, replace_card=True).card

    assert voted.perception is not None
    assert voted.perception.default_vote_rule == "all"
    assert again.perception is None


def test_a_card_that_cannot_be_read_is_not_renewed(tmp_path: Path, table: Path) -> None:
    new = made(tmp_path, table)
    new.place.write_text("corpus_id = = 1\n", encoding="utf-8")

    with pytest.raises(CardError, match=r"it is no TOML: .*line 1, column 13.*Mend it.*or move it away"):
        made(tmp_path, table, replace_card=True)
    assert new.place.read_text(encoding="utf-8") == "corpus_id = = 1\n"


# --- from a folder -----------------------------------------------------------------------------------------------


def test_a_folder_alone_gives_a_first_table_with_the_folders_names(tmp_path: Path, audio: Path) -> None:
    for label in LABELS:
        (tmp_path / "audio" / label).mkdir(parents=True)
        for path in audio.glob(f"t0[01]_{label}_0.wav"):
            shutil.copy(path, tmp_path / "audio" / label)

    new = new_corpus("mine", root=tmp_path / "audio", out=tmp_path / "mine", facts=FACTS)

    assert [path.name for path in new.written] == ["manifest.csv", "card.toml"]
    assert pl.read_csv(new.manifest).columns == ["audio_path", "expressed"]
    assert new.card.expected.per_label == dict.fromkeys(LABELS, 2)


def test_clips_in_one_folder_are_listed_and_their_labels_asked_for(tmp_path: Path, audio: Path) -> None:
    message = r"All clips lie in one folder, which tells no emotion: fill the column 'expressed' of .*manifest\.csv"
    with pytest.raises(CorpusError, match=message):
        new_corpus("mine", root=audio, out=tmp_path / "mine", facts=FACTS)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["manifest.csv"]

    listed = tmp_path / "mine" / "manifest.csv"
    rows = pl.read_csv(listed)
    assert rows.columns == ["audio_path", "expressed"]
    rows.with_columns(pl.col("audio_path").str.split("_").list.get(1).alias("expressed")).write_csv(listed)
    new = new_corpus("mine", root=audio, manifest=listed, out=tmp_path / "mine", facts=FACTS)
    assert new.card.labels.names == LABELS


def test_folders_in_folders_may_be_speakers(tmp_path: Path, audio: Path) -> None:
    for path in audio.glob("t0[01]_*_0.wav"):
        voice, label, _ = path.stem.split("_")
        (tmp_path / "audio" / voice / label).mkdir(parents=True)
        shutil.copy(path, tmp_path / "audio" / voice / label)

    new = new_corpus("mine", root=tmp_path / "audio", out=tmp_path / "mine", facts=FACTS)

    assert new.card.labels.names == LABELS
    assert "'speaker_id'" in new.notes[0]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("wut", r"only 'wut'\."),
        ("W", r"only 'W'\."),
        (("wut", "anger"), "only 'anger', 'wut', which all mean 'angry'"),
    ],
)
def test_a_table_of_one_label_is_refused_in_words(
    tmp_path: Path, table: Path, words: str | tuple[str, str], found: str
) -> None:
    for number, label in enumerate(LABELS):
        changed(table, label.upper(), words if isinstance(words, str) else words[number % 2])

    with pytest.raises(CorpusError, match=f"a corpus needs at least two labels; found {found}"):
        made(tmp_path, table)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("language", ["german", "en,de", "e"])
def test_a_language_that_is_no_tag_is_refused(tmp_path: Path, table: Path, language: str) -> None:
    with pytest.raises(CorpusError, match=f"--language '{language}' is no BCP-47 tag.*voxemo list language"):
        made(tmp_path, table, facts=CardFacts(languages=("zh-TW", language)))


def test_what_is_there_is_not_written_over(tmp_path: Path, table: Path, audio: Path) -> None:
    made(tmp_path, table)

    with pytest.raises(CorpusError, match=r"card\.toml is there already.*--replace"):
        made(tmp_path, table)
    assert made(tmp_path, table, replace_card=True).card.expected.n_utterances == 32

    (tmp_path / "mine" / "manifest.csv").write_text("edited", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"manifest\.csv is there already, and may have been edited"):
        new_corpus("mine", root=audio, out=tmp_path / "mine", facts=FACTS, replace_card=True)


@pytest.mark.parametrize(
    ("name", "given", "error", "message"),
    [
        ("mine", {}, CorpusError, "--manifest FILE .*--root FOLDER"),
        ("My Corpus", {}, CorpusError, "Take 'my-corpus'"),
        ("urdu", {}, DuplicateName, "'urdu' has two origins: voxemo itself and the new card"),
        ("toy", {}, DuplicateName, "an installed plugin and the new card"),
    ],
)
def test_a_name_that_cannot_be_is_refused(
    tmp_path: Path, name: str, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        new_corpus(name, out=tmp_path / "new", facts=FACTS, **given)
    assert not (tmp_path / "new").exists()


def test_audio_that_the_table_names_and_the_folder_lacks_is_found_at_once(
    tmp_path: Path, table: Path, audio: Path
) -> None:
    message = r"labels\.csv, line 2.*'t77_angry_0\.wav'.*1 of 32 files are missing; mend the table, or take --root out"
    with pytest.raises(ManifestError, match=message):
        made(tmp_path, changed(table, "t00_angry_0", "t77_angry_0"), root=audio)


# --- codes -------------------------------------------------------------------------------------------------------


def test_codes_that_nobody_knows_are_left_to_the_user_and_prepare_refuses_until_then(
    tmp_path: Path, table: Path, audio: Path, own: Workspace
) -> None:
    new = made(tmp_path, changed(changed(table, "ANGRY", "W"), "SAD", "T"))

    assert new.unknown == {"T": 8, "W": 8}
    assert f"# W = {FILL_IN}" in new.place.read_text(encoding="utf-8")
    with pytest.raises(UnmappedLabel, match=r"'T'.*'W'.*card\.toml: below \[labels\.raw\]"):
        prepare_corpus(own, str(new.place), audio)

    text = new.place.read_text(encoding="utf-8")
    names = 'names = ["angry", "happy", "neutral", "sad"]'
    text = text.replace('names = ["happy", "neutral"]', names).replace(
        "[labels.raw]", '[labels.raw]\nW = "angry"\nT = "sad"'
    )
    new.place.write_text(text, encoding="utf-8")

    assert prepare_corpus(own, str(new.place), audio).report["per_label"] == dict.fromkeys(LABELS, 8)


def test_a_card_without_any_known_code_is_valid_and_its_placeholder_labels_do_not_pass(
    tmp_path: Path, table: Path, audio: Path, own: Workspace
) -> None:
    for number, label in enumerate(LABELS):
        changed(table, label.upper(), str(number))
    new = made(tmp_path, table)

    assert read_document(new.place, CorpusCard) == new.card
    text = new.place.read_text(encoding="utf-8").replace("[labels.raw]", '[labels.raw]\n0 = "fillin"\n1 = "fillin"')
    new.place.write_text(text.replace("# 2 =", '2 = "fillin" #').replace("# 3 =", '3 = "fillin" #'), encoding="utf-8")
    with pytest.raises(CardError, match=r"no code of labels\.raw means 'fillintoo'"):
        prepare_corpus(own, str(new.place), audio)


def test_the_user_may_say_what_codes_mean_and_which_are_left_out(tmp_path: Path, table: Path) -> None:
    changed(changed(table, "ANGRY", "W"), "SAD", "T")

    new = made(tmp_path, table, mapped={"W": "anger"}, dropped={"T": "too few"})

    assert new.card.labels.names == ("angry", "happy", "neutral")
    assert (new.card.expected.n_utterances, new.unknown) == (24, {})
    with pytest.raises(UnknownName, match=r"no label called 'angri'\. Did you mean 'angry'"):
        made(tmp_path, table, mapped={"W": "angri"}, replace_card=True)
    with pytest.raises(UnknownName, match="no code called 'X'"):
        made(tmp_path, table, dropped={"X": "none"}, replace_card=True)


def test_a_label_that_the_shared_table_lacks_is_possible_and_noted(
    tmp_path: Path, table: Path, audio: Path, own: Workspace
) -> None:
    new = made(tmp_path, changed(table, "SAD", "nostalgic"))
    text = new.place.read_text(encoding="utf-8").replace('"neutral"]', '"neutral", "nostalgic"]')
    new.place.write_text(text.replace("[labels.raw]", '[labels.raw]\nnostalgic = "nostalgic"'), encoding="utf-8")

    result = prepare_corpus(own, str(new.place), audio)

    assert "nostalgic" in result.notes[0]
    split_corpus(own, "mine")
    run = plan_run(own, tmp_path / "runs", corpus="mine", model="scripted", options=PlanOptions(variants=("direct",)))
    assert "Nostalgic" in read_manifest(run).prompts[0].text


# --- prepare and after -------------------------------------------------------------------------------------------


def prepared(tmp_path: Path, table: Path, audio: Path, own: Workspace, **given: Any) -> PrepareResult:
    return prepare_corpus(own, str(made(tmp_path, table).place), audio, **given)


def test_a_prepared_corpus_of_ones_own_goes_the_whole_line_by_its_name(
    tmp_path: Path, table: Path, audio: Path, own: Workspace
) -> None:
    result = prepared(tmp_path, table, audio, own)

    assert own.corpus_card("mine") in result.written
    assert split_corpus(own, "mine").split.policy == "leave_one_speaker_out"
    cards = train_model(own, "mine").cards
    run = plan_run(own, tmp_path / "runs", corpus="mine", model="acoustic-baseline")
    manifest = read_manifest(run)
    assert manifest.corpus_card == result.card
    assert manifest.model_cards == cards
    assert str(tmp_path) not in (run / "manifest.json").read_text(encoding="utf-8")


def test_it_is_prepared_again_by_its_name_with_the_card_as_it_is_now(
    tmp_path: Path, table: Path, audio: Path, own: Workspace
) -> None:
    first = prepared(tmp_path, table, audio, own)
    card = tmp_path / "mine" / "card.toml"
    card.write_text(card.read_text(encoding="utf-8").replace("Nobody", "Somebody"), encoding="utf-8")

    again = prepare_corpus(own, "mine", audio)

    assert (first.card.citation, again.card.citation) == ("Nobody, 2026.", "Somebody, 2026.")
    card.unlink()
    with pytest.raises(CorpusError, match=r"card\.toml, which is no longer there.*voxemo prepare PATH"):
        prepare_corpus(own, "mine", audio)


def test_a_workspace_card_that_was_edited_asks_for_prepare(
    tmp_path: Path, table: Path, audio: Path, own: Workspace
) -> None:
    prepared(tmp_path, table, audio, own)
    write_json(own.corpus_card("mine"), {**read_json(own.corpus_card("mine")), "version": "2"})

    with pytest.raises(RunError, match=r"another version of its card\. Run again: voxemo prepare mine"):
        split_corpus(own, "mine")


def test_a_name_near_that_of_ones_own_corpus_is_suggested(
    tmp_path: Path, table: Path, audio: Path, own: Workspace
) -> None:
    prepared(tmp_path, table, audio, own)

    with pytest.raises(UnknownName, match="Did you mean 'mine'"):
        split_corpus(own, "minne")


@pytest.mark.parametrize(("corpus_id", "origin"), [("urdu", "voxemo itself"), ("toy", "an installed plugin")])
def test_a_card_with_a_table_may_not_take_a_name_that_is_taken(
    tmp_path: Path, table: Path, audio: Path, own: Workspace, corpus_id: str, origin: str
) -> None:
    card = made(tmp_path, table).place
    card.write_text(
        card.read_text(encoding="utf-8").replace('corpus_id = "mine"', f'corpus_id = "{corpus_id}"'), encoding="utf-8"
    )

    with pytest.raises(DuplicateName, match=f"{origin} and the card .*give one another name"):
        prepare_corpus(own, str(card), audio)


def test_a_card_of_an_unknown_corpus_without_a_table_says_that_it_needs_one(
    tmp_path: Path, table: Path, audio: Path, own: Workspace
) -> None:
    card = made(tmp_path, table).place
    card.write_text(card.read_text(encoding="utf-8").replace("manifest = ", "# manifest = "), encoding="utf-8")

    with pytest.raises(CardError, match="manifest: voxemo has no parser for 'mine'"):
        prepare_corpus(own, str(card), audio)


def test_a_table_that_grew_since_the_card_was_made_does_not_fit_its_counts(
    tmp_path: Path, table: Path, audio: Path, own: Workspace
) -> None:
    card = made(tmp_path, table).place
    with table.open("a", encoding="utf-8") as file:
        file.write("t00_angry_2.wav,ANGRY,t00\n")

    with pytest.raises(CountMismatch, match="33 utterances, its card expects 32"):
        prepare_corpus(own, str(card), audio)
    assert prepare_corpus(own, str(card), audio, partial=True).report["n_utterances"] == 33


def test_speakers_that_came_after_the_card_are_noted_with_the_command_that_renews_it(
    tmp_path: Path, table: Path, audio: Path, own: Workspace
) -> None:
    rows = pl.read_csv(table)
    rows.drop("speaker_id").write_csv(table)
    card = made(tmp_path, table).place
    assert prepare_corpus(own, str(card), audio).notes == ()
    rows.write_csv(table)

    (note,) = prepare_corpus(own, str(card), audio).notes

    split, command = note.split("; ")[0], note.partition(": ")[2]
    assert split == "the card's split is stratified_random"
    assert "it would be leave_one_speaker_out" in note
    words = shlex.split(command.removesuffix(" renews it"))
    given = dict(zip(words[4:-1:2], map(Path, words[5:-1:2]), strict=True))
    assert (words[:4], words[-1]) == (["voxemo", "new", "corpus", "mine"], "--replace")
    renewed = new_corpus(
        words[3],
        manifest=given["--manifest"],
        root=given["--root"],
        out=given["--out"],
        facts=CardFacts(),
        replace_card=True,
    )
    assert renewed.card.split.policy == "leave_one_speaker_out"
    assert prepare_corpus(own, "mine", audio).notes == ()


def test_a_path_near_a_card_is_answered_with_what_to_give(tmp_path: Path, table: Path, own: Workspace) -> None:
    card = made(tmp_path, table).place

    with pytest.raises(CorpusError, match=r"mine is a folder\. Give the card in it: .*mine/card\.toml"):
        prepare_corpus(own, str(card.parent), tmp_path)
    with pytest.raises(CorpusError, match=r"is a table of utterances.*voxemo new corpus NAME --manifest .*labels\.csv"):
        split_corpus(own, str(table))
    card.write_text("x = = 1", encoding="utf-8")
    with pytest.raises(CardError, match=r"it is no TOML: .*line 1, column 5") as caught:
        prepare_corpus(own, str(card), tmp_path)
    assert "schema" not in str(caught.value)


# --- the paper's set ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("subset", "deviations"), [("benchmark", 0), ("paper", 1)])
def test_a_run_on_the_papers_set_says_so(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subset: Subset, deviations: int
) -> None:
    card = lookup.corpus_card("toy")
    facts = {"setting": "acted", "audio_source": "none", "label_source": "none", "n_emotions": 4, "hours": 1.0}
    paper = {**facts, "n_utterances": 239, "language": "none", "subset": "one clip fewer"}
    card = CorpusCard.model_validate({**card.model_dump(), "paper": paper})

    def parse(tree: CorpusTree) -> list[ParsedUtterance]:
        first, *others = toy.parse(tree)
        return [replace(first, outside_paper="its name is taken"), *others]

    for module in (lookup, parsers):
        monkeypatch.setattr(module, "corpus_plugin", lambda name: (card, parse))
    root = Path(read_json(workspace.corpus_root("toy"))["folder"])

    result = prepare_corpus(workspace, "toy", root, subset=subset, partial=True)
    report = result.report
    split_corpus(workspace, "toy")
    manifest = read_manifest(plan_run(workspace, tmp_path / "runs", corpus="toy", model="scripted"))

    assert json.loads(workspace.prepare_report("toy").read_text(encoding="utf-8"))["subset"] == subset
    assert report["n_utterances"] == 240 - deviations
    assert manifest.deviations == ("the paper's set of 239 utterances instead of the benchmark's 240",)[:deviations]
    assert ["replaces the manifest of the benchmark subset" in note for note in result.notes] == [True] * deviations
