"""The acoustic baseline end to end: features, training, the files it writes, and its answers."""

import io
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxemo.audio.load import SAMPLE_RATE_HZ, load_audio
from voxemo.backends import acoustic
from voxemo.backends.acoustic import (
    CONTOURS,
    FEATURE_NAMES,
    FUNCTIONALS,
    AcousticBackend,
    AcousticWeights,
    Features,
    answer_text,
    clip_features,
    create,
    extract_features,
    label_probabilities,
)
from voxemo.backends.base import Backend, Question, Waveform
from voxemo.catalog.lookup import corpus_card, label_table, model_card
from voxemo.core.cards import AudioLimits, ModelCard
from voxemo.core.errors import AudioError, BackendError, MissingDependency, RunError, SplitError
from voxemo.core.labels import LabelSet
from voxemo.core.types import Fold, Form, Generation, Response, Split
from voxemo.store.layout import MODEL_CARD
from voxemo.store.models import write_model
from voxemo.training.acoustic import WEIGHTS_FILE, train, train_acoustic

BASE = model_card("acoustic-baseline")
URDU = corpus_card("urdu")
URDU_LABELS = URDU.label_set(label_table())


def tone(hz: float, *, level: float = 0.3, seconds: float = 0.4, seed: int = 0) -> Waveform:
    """A buzzing tone in faint noise."""
    time_s = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    buzz = sum(np.sin(2 * np.pi * hz * k * time_s) / k for k in range(1, 6))
    noise = np.random.default_rng(seed).normal(0, 0.003, len(time_s))
    return (level * buzz / 2 + noise).astype(np.float32)


def feature(vector: np.ndarray[Any, Any], name: str) -> float:
    return float(vector[FEATURE_NAMES.index(name)])


# --- features ----------------------------------------------------------------------------------------------------

ODD_CLIPS: dict[str, Waveform] = {
    "empty": np.zeros(0, np.float32),
    "one sample": np.ones(1, np.float32),
    "20 ms": tone(200, seconds=0.02),
    "silence": np.zeros(SAMPLE_RATE_HZ, np.float32),
    "constant": np.ones(8_000, np.float32),
    "one click": np.eye(1, 8_000, 4_000, dtype=np.float32)[0],
    "nearly nothing": np.full(8_000, 1e-30, np.float32),
    "far too loud": (1e4 * tone(200)).astype(np.float32),
    "noise": np.random.default_rng(1).normal(0, 0.3, 8_000).astype(np.float32),
}


@pytest.mark.parametrize("clip", ODD_CLIPS.values(), ids=ODD_CLIPS)
def test_every_clip_has_all_features_and_all_are_finite(clip: Waveform) -> None:
    vector = clip_features(clip)

    assert vector.shape == (len(FEATURE_NAMES),)
    assert vector.dtype == np.float64
    assert np.isfinite(vector).all()


def test_every_feature_has_a_name_of_its_own() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) > len(CONTOURS) * len(FUNCTIONALS)


def test_an_octave_is_twelve_semitones_of_pitch() -> None:
    low, high = (feature(clip_features(tone(hz)), "pitch_semitones:p50") for hz in (120.0, 240.0))

    assert high - low == pytest.approx(12, abs=0.3)


def test_ten_times_the_amplitude_is_twenty_decibels_of_level() -> None:
    soft, loud = (feature(clip_features(factor * tone(150, level=0.05)), "level_db:mean") for factor in (1, 10))

    assert loud - soft == pytest.approx(20, abs=0.1)


def test_silence_has_no_voiced_frames_and_no_onsets() -> None:
    vector = clip_features(ODD_CLIPS["silence"])

    assert [feature(vector, name) for name in ("voiced_share", "onsets_per_s", "pitch_semitones:mean")] == [0, 0, 0]


def test_separate_bursts_are_counted_as_onsets() -> None:
    burst, pause = tone(200, seconds=0.15), np.zeros(1_600, np.float32)
    four = np.concatenate([pause, burst] * 4)
    vector = clip_features(four)

    assert feature(vector, "onsets_per_s") * len(four) / SAMPLE_RATE_HZ == pytest.approx(4)


# --- many clips --------------------------------------------------------------------------------------------------


def failing() -> Waveform:
    raise AudioError("b.wav", "it cannot be decoded")


def test_clips_that_cannot_be_read_are_kept_with_their_reason() -> None:
    features = extract_features(
        {
            "a": lambda: tone(200),
            "b": failing,
            "c": lambda: np.full(4_000, np.nan, np.float32),
            "d": lambda: tone(200, seconds=0.05),
        }
    )

    assert set(features.vectors) == {"a", "d"}
    assert features.refused["b"] == "b.wav: it cannot be decoded"
    assert "not finite" in features.refused["c"]
    assert features.handling == {"a": None, "d": "padded"}


def test_progress_counts_every_clip() -> None:
    seen: list[tuple[int, int]] = []
    extract_features({"a": lambda: tone(200), "b": failing}, on_progress=lambda done, total: seen.append((done, total)))

    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("package", "use"),
    [
        ("librosa", lambda: extract_features({})),
        ("sklearn", lambda: train_acoustic(np.zeros((2, len(FEATURE_NAMES))), ["angry", "sad"], seed=0)),
    ],
    ids=["features", "training"],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, package: str, use: Callable[[], object]
) -> None:
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(MissingDependency) as raised:
        use()
    assert raised.value.extra == "baseline"


# --- weights -----------------------------------------------------------------------------------------------------


def random_weights(*names: str) -> AcousticWeights:
    rng = np.random.default_rng(3)
    n_features = len(FEATURE_NAMES)
    return AcousticWeights(
        label_names=names,
        mean=rng.normal(size=n_features),
        scale=rng.uniform(1, 2, n_features),
        coefficients=rng.normal(size=(len(names), n_features)),
        intercepts=rng.normal(size=len(names)),
    )


def npz(**arrays: Any) -> bytes:
    weights = random_weights("angry", "sad")
    fields = ("mean", "scale", "coefficients", "intercepts")
    content: dict[str, Any] = {name: getattr(weights, name) for name in fields} | {
        "feature_version": np.array(acoustic.FEATURE_VERSION),
        "label_names": np.array(weights.label_names),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array for name, array in (content | arrays).items() if array is not None})
    return buffer.getvalue()


def test_weights_come_back_from_their_bytes_and_give_the_same_bytes_again() -> None:
    weights = random_weights("angry", "happy", "sad")
    again = AcousticWeights.from_bytes(weights.to_bytes())

    assert again.label_names == weights.label_names
    assert again.to_bytes() == weights.to_bytes()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read"),
        (b"PK\x03\x04 torn", "cannot be read"),
        (npz()[:-40], "cannot be read"),
        (npz(mean=None), "cannot be read"),
        (npz(label_names=np.array(["angry", object()], dtype=object)), "cannot be read"),
        (npz(feature_version=np.array("0")), "version 0 of the features"),
        (npz(mean=np.zeros(3)), "do not fit together"),
        (npz(label_names=np.array(["angry"])), "do not fit together"),
    ],
    ids=["empty", "no zip", "cut", "array missing", "pickled", "other features", "other length", "other labels"],
)
def test_bytes_that_are_no_weights_are_refused(content: bytes, said: str) -> None:
    with pytest.raises(BackendError, match=said):
        AcousticWeights.from_bytes(content)


# --- answers -----------------------------------------------------------------------------------------------------

NAMES = ("angry", "bored", "calm", "disgust", "happy")


@settings(max_examples=60)
@given(
    logits=st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3),
    asked=st.lists(st.sampled_from(NAMES), min_size=2, unique=True),
)
def test_probabilities_over_the_labels_asked_for_sum_to_one_in_their_order(
    logits: list[float], asked: list[str]
) -> None:
    trained = ("angry", "calm", "happy")
    probabilities = label_probabilities(np.array(logits), trained, asked)

    if not set(asked) & set(trained):
        assert probabilities is None
    else:
        assert probabilities is not None
        assert probabilities.sum() == pytest.approx(1)
        assert all(probabilities[number] == 0 for number, name in enumerate(asked) if name not in trained)


@settings(max_examples=60)
@given(weights=st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda ws: sum(ws) > 0.1))
def test_an_answer_s_distribution_is_json_in_label_order_and_its_final_label_has_the_largest_number(
    weights: list[float],
) -> None:
    label_set = LabelSet(("angry", "happy", "sad"))
    text = answer_text(np.array(weights) / sum(weights), label_set, distribution=True)

    distribution, final = text.split("\n")
    printed = json.loads(distribution.removeprefix("EMOTION DISTRIBUTION: "))
    assert tuple(printed) == label_set.display
    assert sum(printed.values()) == pytest.approx(1, abs=1e-5)
    assert final == f"FINAL LABEL: {max(printed, key=printed.__getitem__)}"


# --- training ----------------------------------------------------------------------------------------------------


def two_clouds(n: int, *, seed: int = 5, labels: tuple[str, ...] = ("angry", "sad")) -> tuple[Any, list[str]]:
    rng = np.random.default_rng(seed)
    kinds = [labels[number % len(labels)] for number in range(n)]
    centres = {label: rng.normal(0, 0.4, len(FEATURE_NAMES)) for label in labels}
    return np.stack([centres[kind] + rng.normal(size=len(FEATURE_NAMES)) for kind in kinds]), kinds


@pytest.mark.parametrize("labels", [("angry", "sad"), ("angry", "happy", "sad")], ids=["two", "three"])
def test_probabilities_are_those_of_scikit_learn(labels: tuple[str, ...]) -> None:
    from sklearn.linear_model import LogisticRegression

    features, kinds = two_clouds(60, labels=labels)
    trained = train_acoustic(features, kinds, seed=0)

    scaled = acoustic.standardise(features, features.mean(axis=0), features.std(axis=0))
    reference = LogisticRegression(C=trained.strength, class_weight="balanced", max_iter=5_000).fit(scaled, kinds)
    found = [label_probabilities(row, labels, labels) for row in trained.weights.logits(features)]
    np.testing.assert_allclose(np.array(found), reference.predict_proba(scaled), atol=1e-4)


def test_the_same_training_gives_the_same_bytes() -> None:
    features, kinds = two_clouds(60)
    one, other = (
        train_acoustic(features[:40], kinds[:40], valid_features=features[40:], valid_labels=kinds[40:], seed=1)
        for _ in range(2)
    )

    assert one.weights.to_bytes() == other.weights.to_bytes()


def test_the_strength_is_the_first_of_the_best_on_the_validation_part() -> None:
    features, kinds = two_clouds(60)
    trained = train_acoustic(features[:40], kinds[:40], valid_features=features[40:], valid_labels=kinds[40:], seed=0)

    best = max(trained.validation.values())
    assert trained.strength == min(strength for strength, accuracy in trained.validation.items() if accuracy == best)


@pytest.mark.parametrize("kinds", [[], ["sad"] * 4], ids=["none", "one"])
def test_fewer_than_two_labels_cannot_be_trained_on(kinds: list[str]) -> None:
    with pytest.raises(BackendError, match="needs two or more"):
        train_acoustic(np.zeros((len(kinds), len(FEATURE_NAMES))), kinds, seed=0)


# --- end to end on tones -----------------------------------------------------------------------------------------

HZ = {"angry": 240.0, "sad": 130.0}


def tones(n: int) -> dict[str, Callable[[], Waveform]]:
    """``urdu/angry_0``, ``urdu/sad_0``, ...: high tones are angry, low ones sad, all a little apart."""
    rng = np.random.default_rng(9)
    clips = {}
    for number in range(n):
        for label, hz in HZ.items():
            own = hz * 2 ** rng.normal(0, 0.15)
            clips[f"urdu/{label}_{number}"] = lambda own=own, number=number: tone(own, seed=number)
    return clips


def label_of(name: str) -> str:
    return name.removeprefix("urdu/").split("_")[0]


def fold_of(names: Sequence[str], *, n_train: int, n_valid: int) -> Split:
    partitions = {
        "train": tuple(sorted(names[:n_train])),
        "valid": tuple(sorted(names[n_train : n_train + n_valid])),
        "test": tuple(sorted(names[n_train + n_valid :])),
    }
    return Split(
        split_id="protocol",
        corpus_id="urdu",
        policy="stratified_random",
        source="generated",
        seed=1,
        speaker_independent=None,
        utterances_sha256="0" * 64,
        folds=(Fold(fold_id="1", partitions={name: members for name, members in partitions.items() if members}),),
    )


CLIPS = tones(12)
SPLIT = fold_of(list(CLIPS), n_train=12, n_valid=4)


@pytest.fixture(scope="module")
def tone_features() -> Features:
    return extract_features(CLIPS)


def train_on_tones(features: Features, folder: Path, **other: Any) -> ModelCard:
    labels: Mapping[str, str | None] = {name: label_of(name) for name in CLIPS}
    card, weights = train(
        other.pop("base", BASE),
        URDU,
        other.pop("split", SPLIT),
        other.pop("fold_id", "1"),
        features=features,
        labels=other.pop("labels", labels),
        label_source="perceived",
        seed=other.pop("seed", 3),
        split_sha256="1" * 64,
        package_versions={"librosa": "0"},
    )
    write_model(folder, card, weights)
    return card


def ask(
    backend: Backend,
    clips: Mapping[str, Callable[[], Waveform]],
    *,
    form: Form = "hard",
    label_set: LabelSet = URDU_LABELS,
) -> list[Response]:
    return backend.answer(
        [
            Question(
                request_id=f"request {name}",
                utterance_id=name,
                variant_id="direct",
                form=form,
                prompt="What emotion is it?",
                label_set=label_set,
                audio_key=name,
                load_audio=load,
            )
            for name, load in clips.items()
        ]
    )


@pytest.fixture
def trained(tone_features: Features, tmp_path: Path) -> tuple[ModelCard, Path]:
    return train_on_tones(tone_features, tmp_path), tmp_path


def test_a_baseline_trained_on_tones_tells_unheard_ones_apart(trained: tuple[ModelCard, Path]) -> None:
    card, folder = trained
    heard_last = {name: CLIPS[name] for name in SPLIT.folds[0].partitions["test"]}
    responses = ask(create(card, Generation(), folder=folder), heard_last)

    told = [response.text.removeprefix("FINAL LABEL: ").lower() for response in responses]
    assert [response.request_id for response in responses] == [f"request {name}" for name in heard_last]
    assert sum(said == label_of(name) for said, name in zip(told, heard_last, strict=True)) >= 7


def test_a_trained_card_says_what_it_was_made_from_and_reads_back_as_written(trained: tuple[ModelCard, Path]) -> None:
    card, folder = trained

    assert model_card(str(folder / MODEL_CARD)).sha256() == card.sha256()
    assert card.training is not None
    assert card.training_corpora == ("urdu",)
    assert (card.training.kind, card.training.fold_id, card.training.n_utterances) == ("supervised", "1", 16)
    assert (card.training.partitions, card.training.label_names) == (("train", "valid"), ("angry", "sad"))
    assert card.training.corpus_card_sha256 == URDU.sha256()
    assert card.training.artefact == WEIGHTS_FILE
    assert set(map(float, card.training.recipe["validation"])) == set(card.training.recipe["strengths"])


def test_training_again_writes_the_same_bytes(tone_features: Features, tmp_path: Path) -> None:
    for name in ("one", "other"):
        train_on_tones(tone_features, tmp_path / name)

    for file in (MODEL_CARD, WEIGHTS_FILE):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_a_distribution_is_asked_for_and_given(trained: tuple[ModelCard, Path]) -> None:
    card, folder = trained
    (response,) = ask(
        AcousticBackend(card, Generation(), folder=folder), dict([*CLIPS.items()][:1]), form="distribution"
    )

    match = re.fullmatch(r"EMOTION DISTRIBUTION: (\{.*\})\nFINAL LABEL: (\w+)", response.text)
    assert match is not None
    assert json.loads(match[1]).keys() == set(URDU_LABELS.display)
    assert json.loads(match[1])["Happy"] == 0


def test_the_likelihood_form_gives_a_log_probability_per_label(trained: tuple[ModelCard, Path]) -> None:
    card, folder = trained
    (response,) = ask(AcousticBackend(card, Generation(), folder=folder), dict([*CLIPS.items()][:1]), form="likelihood")

    assert response.label_logprobs is not None
    assert len(response.label_logprobs) == len(URDU_LABELS)
    assert np.exp(response.label_logprobs).sum() == pytest.approx(1)


def test_each_clip_is_read_once_however_many_questions_are_about_it(trained: tuple[ModelCard, Path]) -> None:
    card, folder = trained
    n_loaded = 0

    def load() -> Waveform:
        nonlocal n_loaded
        n_loaded += 1
        return tone(200)

    question = Question(
        request_id="r",
        utterance_id="urdu/a",
        variant_id="direct",
        form="hard",
        prompt="",
        label_set=URDU_LABELS,
        audio_key="a",
        load_audio=load,
    )
    responses = AcousticBackend(card, Generation(), folder=folder).answer(
        [question, replace(question, form="distribution")]
    )

    assert n_loaded == 1
    assert responses[0].text == responses[1].text.split("\n")[1]


def test_a_clip_that_cannot_be_read_is_a_permanent_error_among_answers(trained: tuple[ModelCard, Path]) -> None:
    card, folder = trained
    backend = AcousticBackend(card, Generation(), folder=folder)
    good, bad, short = ask(backend, {"a": lambda: tone(200), "b": failing, "c": lambda: tone(200, seconds=0.01)})

    assert (good.finish, good.error, good.audio_handling) == ("stop", None, None)
    assert (bad.finish, bad.error, bad.error_kind) == ("error", "b.wav: it cannot be decoded", "permanent")
    assert (short.finish, short.audio_handling) == ("stop", "padded")


def test_labels_that_were_not_trained_are_a_permanent_error_only_where_none_is_shared(
    trained: tuple[ModelCard, Path],
) -> None:
    card, folder = trained
    backend = AcousticBackend(card, Generation(), folder=folder)
    clip = {"a": lambda: tone(240)}
    (shared,) = ask(backend, clip, label_set=LabelSet(("calm", "sad")))
    (none,) = ask(backend, clip, label_set=LabelSet(("calm", "happy")))

    assert shared.text == "FINAL LABEL: Sad"
    assert (none.finish, none.error_kind) == ("error", "permanent")
    assert none.error is not None
    assert "shares no label" in none.error


def test_what_is_in_force_can_be_written_as_json_and_says_what_is_not_produced(trained: tuple[ModelCard, Path]) -> None:
    card, folder = trained
    backend = AcousticBackend(card, Generation(), folder=folder, batch_size=8)

    assert isinstance(backend, Backend)
    assert backend.questions_per_call == 8
    effective = json.loads(json.dumps(backend.effective()))
    assert "not produced" in effective["prompt"]
    assert effective["label_names"] == ["angry", "sad"]


def test_weights_that_were_changed_are_refused(trained: tuple[ModelCard, Path]) -> None:
    card, folder = trained
    (folder / WEIGHTS_FILE).write_bytes(random_weights("angry", "sad").to_bytes())

    with pytest.raises(BackendError, match="not those that the card names"):
        create(card, Generation(), folder=folder)


def test_weights_that_are_missing_are_named(trained: tuple[ModelCard, Path]) -> None:
    card, folder = trained
    (folder / WEIGHTS_FILE).unlink()

    with pytest.raises(BackendError, match=r"'weights\.npz' of acoustic-baseline \(fold 1 of urdu\)"):
        create(card, Generation(), folder=folder)


def test_an_untrained_card_says_how_to_train_it() -> None:
    with pytest.raises(BackendError, match="voxemo train CORPUS --model acoustic-baseline"):
        create(BASE, Generation())


def test_utterances_without_label_or_clip_are_left_out_and_counted(tone_features: Features, tmp_path: Path) -> None:
    train_part = SPLIT.folds[0].partitions["train"]
    labels = {name: None if name in train_part[:2] else label_of(name) for name in CLIPS}
    fewer = replace(tone_features, vectors={n: v for n, v in tone_features.vectors.items() if n != train_part[5]})
    card = train_on_tones(fewer, tmp_path, labels=labels)

    assert card.training is not None
    assert card.training.n_utterances == 13
    assert (card.training.recipe["n_left_out_unlabelled"], card.training.recipe["n_left_out_unusable"]) == (2, 1)


def test_without_a_validation_part_the_strength_is_fixed_and_the_card_says_so(
    tone_features: Features, tmp_path: Path
) -> None:
    card = train_on_tones(tone_features, tmp_path, split=fold_of(list(CLIPS), n_train=16, n_valid=0))

    assert card.training is not None
    assert card.training.partitions == ("train",)
    assert card.training.recipe["chosen_by"] == "no validation part"


def test_a_fold_whose_clips_are_all_unreadable_is_refused_with_the_counts(
    tone_features: Features, tmp_path: Path
) -> None:
    nothing = replace(tone_features, vectors={})

    with pytest.raises(BackendError, match="0 have no label, the clips of 16 cannot be read"):
        train_on_tones(nothing, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_fold_that_the_split_lacks_is_refused(tone_features: Features, tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="has no fold '7'; it has '1'"):
        train_on_tones(tone_features, tmp_path, fold_id="7")


def test_features_of_clips_treated_otherwise_than_the_card_says_are_refused(
    tone_features: Features, tmp_path: Path
) -> None:
    cut = BASE.model_copy(update={"audio": AudioLimits(max_s=1.0)})

    with pytest.raises(BackendError, match="audio limits"):
        train_on_tones(tone_features, tmp_path, base=cut)


def test_a_full_disk_leaves_the_old_model_whole(
    trained: tuple[ModelCard, Path], tone_features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, folder = trained

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="No space"):
        train_on_tones(tone_features, folder, seed=4)

    assert sorted(path.name for path in folder.iterdir()) == [MODEL_CARD, WEIGHTS_FILE]
    assert model_card(str(folder / MODEL_CARD)) == card
    create(card, Generation(), folder=folder)


# --- real speech -------------------------------------------------------------------------------------------------


@pytest.mark.evidence
def test_real_clips_are_trained_on_and_all_answers_are_in_the_label_set(evidence: Path, tmp_path: Path) -> None:
    labels: dict[str, str | None] = {}
    clips: dict[str, Callable[[], Waveform]] = {}
    for number in range(15):
        for folder in ("Angry", "Happy", "Neutral", "Sad"):
            path = sorted((evidence / "audio" / "urdu" / folder).glob("*.wav"))[6 * number]
            name = f"urdu/{path.stem}"
            labels[name] = URDU.labels.raw[folder]
            clips[name] = lambda path=path: load_audio(path)
    split = fold_of(list(clips), n_train=22, n_valid=8)
    features = extract_features(clips)
    card, weights = train(
        BASE,
        URDU,
        split,
        "1",
        features=features,
        labels=labels,
        label_source="perceived",
        seed=0,
        split_sha256="1" * 64,
        package_versions={},
    )
    write_model(tmp_path, card, weights)
    tested = {name: clips[name] for name in split.folds[0].partitions["test"]}
    responses = ask(create(card, Generation(), folder=tmp_path), tested)

    assert features.refused == {}
    assert len(responses) == 30
    assert {response.text for response in responses} <= {f"FINAL LABEL: {name}" for name in URDU_LABELS.display}
