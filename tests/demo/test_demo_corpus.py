"""The corpus `demo` as it is shipped, and the design that it was made from."""

import csv
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.audio.load import load_audio
from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import CorpusError
from voxemo.corpora.parsers import parser_for
from voxemo.corpora.prepare import Prepared, prepare
from voxemo.corpora.tree import CorpusTree
from voxemo.demo.build import SEED, corpus_clips, utterance_rows
from voxemo.demo.corpus import FOLDER
from voxemo.demo.design import SETTINGS, Pool, design, draw_prosody, labels, sentences, voices
from voxemo.demo.measure import measure
from voxemo.splits.policies import speaker_k_fold
from voxemo.steps.prepare import prepare_corpus
from voxemo.store.layout import Workspace
from voxemo.testing import check_corpus

MOST_BYTES = 4_000_000


@pytest.fixture(scope="module")
def card() -> CorpusCard:
    return lookup.corpus_card("demo")


@pytest.fixture(scope="module")
def prepared(card: CorpusCard) -> Prepared:
    folder = lookup.shipped_folder("demo")
    assert folder is not None
    return prepare(card, parser_for("demo"), folder, jobs=1)


# --- what is shipped ---------------------------------------------------------------------------------------------


def test_the_shipped_files_are_described_by_their_card(card: CorpusCard, prepared: Prepared) -> None:
    assert len(check_corpus(card, parser_for("demo"), CorpusTree(FOLDER))) == card.expected.n_utterances
    assert prepared.report.complete
    assert prepared.report.unread == ()
    assert prepared.report.unusable == {}
    assert prepared.report.duplicates == ()
    assert prepared.report.hours == pytest.approx(card.expected.hours, abs=0.005)
    assert {one.sample_rate_hz for one in prepared.utterances} == set(card.expected.sample_rates_hz)
    assert {one.n_channels for one in prepared.utterances} == set(card.expected.n_channels)


def test_the_card_says_that_it_is_synthetic(card: CorpusCard) -> None:
    assert card.synthetic
    assert "synthetic" in card.name


def test_everything_shipped_fits_into_four_megabytes() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= MOST_BYTES


def test_every_clip_lasts_one_to_four_seconds(prepared: Prepared) -> None:
    durations_s = [one.duration_s for one in prepared.utterances if one.duration_s is not None]

    assert len(durations_s) == len(prepared.utterances)
    assert min(durations_s) >= 1.0
    assert max(durations_s) <= 4.0


def test_no_voice_is_in_two_test_parts_and_each_has_three(card: CorpusCard, prepared: Prepared) -> None:
    speakers = {one.utterance_id: one.speaker_id for one in prepared.utterances}
    assert card.split.k is not None
    folds = speaker_k_fold(prepared.utterances, label_source="expressed", seed=card.split.seed or 0, k=card.split.k)

    tested = [{speakers[name] for name in fold.partitions["test"]} for fold in folds]

    assert [len(voices) for voices in tested] == [3, 3, 3, 3]
    assert len(set().union(*tested)) == 12
    for fold in folds:
        learned = {speakers[name] for part in ("train", "valid") for name in fold.partitions[part]}
        assert not learned & {speakers[name] for name in fold.partitions["test"]}


def test_ten_listeners_vote_on_every_clip_and_disagree_as_people_do(prepared: Prepared) -> None:
    votes: dict[str, list[float]] = {}
    for row in prepared.votes:
        votes.setdefault(row.utterance_id, []).append(row.n)

    assert set(votes) == {one.utterance_id for one in prepared.utterances}
    assert {sum(counts) for counts in votes.values()} == {10}
    assert 0.6 <= np.mean([max(counts) for counts in votes.values()]) / 10 <= 0.75


def test_what_is_heard_is_mostly_but_not_always_what_was_meant(prepared: Prepared) -> None:
    heard = [one.expressed == one.perceived for one in prepared.utterances if one.perceived is not None]

    assert len(heard) > 0.9 * len(prepared.utterances)
    assert 0.6 < np.mean(heard) < 0.95


def test_words_tell_nothing_about_the_label(prepared: Prepared) -> None:
    said = Counter((one.speaker_id, one.transcript, one.expressed) for one in prepared.utterances)

    assert set(said.values()) == {1}
    assert len(said) == 12 * 6 * 7


# --- the design --------------------------------------------------------------------------------------------------


def test_the_same_seed_draws_what_is_shipped() -> None:
    with (FOLDER / "utterances.csv").open(encoding="utf-8", newline="") as file:
        shipped = list(csv.DictReader(file))

    assert utterance_rows(corpus_clips(SEED)) == shipped
    assert utterance_rows(corpus_clips(SEED + 1)) != shipped


def test_training_shares_no_variant_sentence_or_phrase_with_the_corpus() -> None:
    def spoken(pool: Pool) -> tuple[set[str], set[str], set[str]]:
        variants = {voice.espeak.partition("+")[2].casefold() for voice in voices(pool)}
        texts = {text.text.casefold() for text in sentences(pool)}
        phrases = {part.casefold() for text in sentences(pool) for part in (text.opening, text.ending)}
        return variants, texts, phrases

    for ours, theirs in zip(spoken("corpus"), spoken("training"), strict=True):
        assert ours
        assert theirs
        assert not ours & theirs
    assert not {voice.voice_id for voice in voices("corpus")} & {voice.voice_id for voice in voices("training")}


@pytest.mark.parametrize("pool", ["corpus", "training"])
def test_every_voice_has_enough_to_say_in_its_language_and_both_genders_speak(pool: Pool) -> None:
    spoken = Counter(text.language for text in sentences(pool))

    assert len(spoken) >= 2
    for voice in voices(pool):
        assert spoken[voice.language] >= 10
    for language in spoken:
        assert {voice.gender for voice in voices(pool) if voice.language == language} == {"female", "male"}


def test_the_emotions_are_labels_of_the_shared_table(card: CorpusCard) -> None:
    assert labels() == card.labels.names
    assert set(labels()) <= set(lookup.label_table().labels)


@given(seed=st.integers(0, 2**32 - 1), first=st.integers(0, 11))
def test_a_clip_is_drawn_alike_in_any_company(seed: int, first: int) -> None:
    speakers, texts = voices("corpus"), sentences("corpus")

    alone = list(design(speakers[first : first + 1], texts, n_sentences=2, seed=seed, manner="corpus"))
    among_others = list(design(speakers, texts, n_sentences=2, seed=seed, manner="corpus"))

    assert [clip for clip in among_others if clip.voice == speakers[first]] == alone


@given(seed=st.integers(0, 2**32 - 1))
def test_anger_alone_is_played_otherwise_than_in_speech_that_models_learn_from(seed: int) -> None:
    played = {label: draw_prosody(label, seed, manner="corpus") for label in labels()}
    learned = {label: draw_prosody(label, seed, manner="training") for label in labels()}

    assert [label for label in labels() if played[label] != learned[label]] == ["angry"]
    assert played["angry"].pitch < learned["angry"].pitch
    assert played["angry"].rate < learned["angry"].rate
    assert played["angry"].brightness > learned["angry"].brightness


@given(seed=st.integers(0, 2**32 - 1), label=st.sampled_from(labels()), manner=st.sampled_from(("corpus", "training")))
def test_drawn_prosody_stays_within_what_can_be_spoken(seed: int, label: str, manner: Pool) -> None:
    prosody = draw_prosody(label, seed, manner=manner)

    assert prosody.tremble >= 0
    assert 0 <= prosody.pause < 1
    assert abs(prosody.rate) < 1
    assert abs(prosody.pitch) < 12.1


@pytest.mark.parametrize("manner", ["corpus", "training"])
def test_no_setting_alone_or_all_together_tell_every_emotion(manner: Pool) -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import recall_score

    takes = product(labels(), range(400))
    drawn = [(label, draw_prosody(label, "overlap", number, manner=manner)) for label, number in takes]
    settings = np.array([[getattr(prosody, name) for name in SETTINGS] for _, prosody in drawn])
    meant = np.array([label for label, _ in drawn])
    learn = np.arange(len(meant)) % 2 == 0

    guessed = LinearDiscriminantAnalysis().fit(settings[learn], meant[learn]).predict(settings[~learn])

    assert 0.80 <= recall_score(meant[~learn], guessed, average="macro") <= 0.90


# --- the sound is what was designed ------------------------------------------------------------------------------


@pytest.mark.parametrize("voice_id", ["v01", "v04", "v08", "v11"])
def test_shipped_clips_sound_as_they_were_drawn(voice_id: str) -> None:
    clips = [clip for clip in corpus_clips() if clip.voice.voice_id == voice_id]
    heard = [measure(load_audio(FOLDER / "clips" / f"{clip.name}.opus")) for clip in clips]

    for name, least in (
        ("pitch", 0.85),
        ("level", 0.9),
        ("rise", 0.6),
        ("rate", 0.5),
        ("pause", 0.6),
        ("tremble", 0.5),
    ):
        drawn = [getattr(clip.prosody, name) for clip in clips]
        assert np.corrcoef(drawn, [getattr(one, name) for one in heard])[0, 1] > least, name


@pytest.mark.parametrize("name", ["crema-d", "toy"])
def test_corpora_that_are_not_installed_have_no_folder(name: str) -> None:
    assert lookup.shipped_folder(name) is None


def test_preparing_an_installed_corpus_needs_no_folder_and_any_other_says_so(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)

    assert prepare_corpus(workspace, "demo").report["n_utterances"] == 504
    with pytest.raises(CorpusError, match="Say where crema-d lies: --root FOLDER"):
        prepare_corpus(workspace, "crema-d")
