"""The supervised reference: functionals of classic acoustic features, and a linear classifier that was trained on them.

It answers in the protocol's own text format, so that it goes down the same line as a speech LLM and makes the
supervised column real on any corpus. It hears no words and reads no prompt but its labels and its form.
Training is in ``training.acoustic``; this module says what the features are and how answers are made.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Question, Waveform
from voxemo.backends.local.clips import RefusedClip, fit_clip
from voxemo.core.cards import AudioLimits, ModelCard
from voxemo.core.errors import AudioError, BackendError, MissingDependency, listing
from voxemo.core.labels import LabelSet
from voxemo.core.types import Generation, Response

Array: TypeAlias = npt.NDArray[np.float64]

FEATURE_VERSION = "1"
"""Raised when any feature changes; weights trained on other features are refused."""

WINDOW = 512
HOP = 256
PITCH_WINDOW = 1024
"""Two periods of the lowest pitch need 985 samples."""
PITCH_HZ = (65.0, 500.0)
VOICED_RANGE_DB = 30.0
"""Frames this much below the loudest have no pitch worth reading."""
VOICED_MOST_CROSSINGS = 0.25
"""Fricatives cross zero more often, as a share of samples."""
N_MFCC = 20
N_MELS = 40
N_CONTRAST_BANDS = 5
Z_MOST = 5.0
BATCH_SIZE = 256
FLOOR = 1e-10
DB_FLOOR = 10 * np.log10(FLOOR)

CONTOURS = (
    *(f"mfcc_{number}" for number in range(1, N_MFCC + 1)),
    *(f"mfcc_delta_{number}" for number in range(1, N_MFCC + 1)),
    "spectral_centroid_hz",
    "spectral_bandwidth_hz",
    "spectral_rolloff_hz",
    "spectral_flatness_db",
    *(f"spectral_contrast_{number}_db" for number in range(1, N_CONTRAST_BANDS + 2)),
    "zero_crossing_rate",
    "level_db",
)
FUNCTIONALS = ("mean", "std", "p10", "p50", "p90")
SLOPED = ("spectral_centroid_hz", "level_db")
PITCH = "pitch_semitones"
WHOLE = ("voiced_share", "duration_log_s", "onsets_per_s")

FEATURE_NAMES = (
    *(f"{contour}:{functional}" for contour in (*CONTOURS, PITCH) for functional in FUNCTIONALS),
    *(f"{contour}:slope_per_s" for contour in (*SLOPED, PITCH)),
    *WHOLE,
)
"""One name per feature, in the order of the vector."""


# --- features ----------------------------------------------------------------------------------------------------


def clip_features(waveform: Waveform) -> Array:
    """Compute the feature vector of one clip, in the order of ``FEATURE_NAMES``, all finite.

    Pitch is in semitones over 65 Hz, read on frames that are loud and cross zero seldom; without such frames its
    features are 0, as ``voiced_share`` is.

    Args:
        waveform: mono samples at 16 kHz, shape (n_samples,), finite. Shorter than a pitch window, silent and even
            empty clips have features too.

    Returns:
        Shape (n_features,).

    Raises:
        MissingDependency: librosa is not installed.
    """
    librosa = _librosa()
    n_samples = len(waveform)
    samples = np.pad(waveform, (0, max(0, PITCH_WINDOW - n_samples))).astype(np.float32)
    spectrum = np.abs(librosa.stft(samples, n_fft=WINDOW, hop_length=HOP))
    mel_db = librosa.power_to_db(
        librosa.feature.melspectrogram(S=spectrum**2, sr=SAMPLE_RATE_HZ, n_mels=N_MELS), amin=FLOOR
    )
    mfcc = librosa.feature.mfcc(S=mel_db, n_mfcc=N_MFCC)
    level = librosa.feature.rms(S=spectrum, frame_length=WINDOW)
    level_db = 10 * np.log10(np.maximum(level**2, FLOOR))
    crossings = librosa.feature.zero_crossing_rate(samples, frame_length=WINDOW, hop_length=HOP)
    contours = np.concatenate(
        [
            mfcc,
            librosa.feature.delta(mfcc, mode="nearest"),
            librosa.feature.spectral_centroid(S=spectrum, sr=SAMPLE_RATE_HZ),
            librosa.feature.spectral_bandwidth(S=spectrum, sr=SAMPLE_RATE_HZ),
            librosa.feature.spectral_rolloff(S=spectrum, sr=SAMPLE_RATE_HZ),
            10 * np.log10(librosa.feature.spectral_flatness(S=spectrum)),
            librosa.feature.spectral_contrast(S=spectrum, sr=SAMPLE_RATE_HZ, n_bands=N_CONTRAST_BANDS),
            crossings,
            level_db,
        ]
    ).astype(np.float64)
    loud = level_db[0] > max(level_db.max() - VOICED_RANGE_DB, DB_FLOOR)
    voiced = loud & (crossings[0] < VOICED_MOST_CROSSINGS)
    pitch = _pitch_semitones(librosa, samples, voiced)
    onsets = librosa.onset.onset_detect(
        onset_envelope=librosa.onset.onset_strength(S=mel_db, sr=SAMPLE_RATE_HZ), sr=SAMPLE_RATE_HZ, hop_length=HOP
    )
    sloped = [_slope_per_s(contours[CONTOURS.index(name)], np.arange(contours.shape[1])) for name in SLOPED]
    duration_s = len(samples) / SAMPLE_RATE_HZ
    vector = np.concatenate(
        [
            _functionals(contours),
            _functionals(pitch[np.newaxis]) if len(pitch) else np.zeros(len(FUNCTIONALS)),
            sloped,
            [_slope_per_s(pitch, np.flatnonzero(voiced))],
            [voiced.mean(), np.log(duration_s), len(onsets) / duration_s],
        ]
    )
    return vector.astype(np.float64)


def _librosa() -> Any:
    try:
        import librosa
    except ImportError as cause:
        raise MissingDependency("The acoustic baseline", package="librosa", extra="baseline") from cause
    return librosa


def _pitch_semitones(librosa: Any, samples: Waveform, voiced: npt.NDArray[np.bool_]) -> Array:
    """Pitch of the voiced frames, shape (n_voiced,)."""
    if not voiced.any():
        return np.zeros(0)
    lowest, highest = PITCH_HZ
    pitch_hz = librosa.yin(
        samples, fmin=lowest, fmax=highest, sr=SAMPLE_RATE_HZ, frame_length=PITCH_WINDOW, hop_length=HOP
    )
    semitones: Array = 12 * np.log2(np.clip(pitch_hz[: len(voiced)], lowest, highest) / lowest)
    return semitones[voiced]


def _functionals(contours: Array) -> Array:
    """Mean, standard deviation and percentiles of each row, row by row."""
    return np.column_stack(
        [contours.mean(axis=1), contours.std(axis=1), *np.percentile(contours, (10, 50, 90), axis=1)]
    ).ravel()


def _slope_per_s(values: Array, frames: npt.NDArray[np.int64]) -> float:
    """Least-squares slope over time; 0 where fewer than two frames have a value."""
    if len(values) < 2:
        return 0.0
    time_s = frames * (HOP / SAMPLE_RATE_HZ)
    time_s = time_s - time_s.mean()
    return float(time_s @ (values - values.mean()) / (time_s @ time_s))


# --- many clips --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """Feature vectors of many clips, and what became of the clips."""

    vectors: Mapping[str, Array]
    """Clip name to its vector, for every clip that could be read."""
    refused: Mapping[str, str]
    """Name to the reason, for the other clips."""
    handling: Mapping[str, str | None]
    """Name to what was done to the clip beforehand: ``padded``, ``truncated`` or None."""
    limits: AudioLimits
    """What the clips were brought within."""


def extract_features(
    clips: Mapping[str, Callable[[], Waveform]],
    *,
    limits: AudioLimits | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Features:
    """Read clips and compute their features, one after the other.

    A clip of some seconds takes about 10 ms. Threads gain nothing, since many small calls hold the interpreter; to use
    more processors, give each a share of the clips.

    Args:
        clips: name to what loads the clip; an AudioError that it raises is kept as the clip's reason.
        limits: the card's policy for clips too short or too long; by default that of a card that declares none.
        on_progress: called with (clips done, clips in all).

    Raises:
        MissingDependency: librosa is not installed.
    """
    _librosa()
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits = limits or AudioLimits()
    vectors: dict[str, Array] = {}
    refused: dict[str, str] = {}
    handling: dict[str, str | None] = {}
    # The products are small: with threads of its own the linear algebra library spends four times the processor time.
    with threadpool_limits(1):
        for done, (name, load) in enumerate(clips.items(), start=1):
            try:
                clip = fit_clip(load(), limits)
            except AudioError as error:
                clip = RefusedClip(str(error))
            if isinstance(clip, RefusedClip):
                refused[name] = clip.reason
            else:
                vectors[name], handling[name] = clip_features(clip.samples), clip.handling
            if on_progress is not None:
                on_progress(done, len(clips))
    return Features(vectors=vectors, refused=refused, handling=handling, limits=limits)


# --- weights -----------------------------------------------------------------------------------------------------


def standardise(vectors: Array, mean: Array, scale: Array) -> Array:
    """Bring feature vectors, shape (n_clips, n_features), to zero mean and unit variance, cut at ``Z_MOST``.

    The cut keeps one wild value, such as a slope over three frames, from deciding an answer.
    """
    return np.clip((vectors - mean) / scale, -Z_MOST, Z_MOST)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AcousticWeights:
    """What was learned: scaling, and one row of a multinomial logistic regression per label."""

    label_names: tuple[str, ...]
    mean: Array
    """Shape (n_features,)."""
    scale: Array
    """Shape (n_features,), above 0."""
    coefficients: Array
    """Shape (n_labels, n_features)."""
    intercepts: Array
    """Shape (n_labels,)."""

    def logits(self, vectors: Array) -> Array:
        """Unnormalised log probabilities, shape (n_clips, n_labels)."""
        return standardise(vectors, self.mean, self.scale) @ self.coefficients.T + self.intercepts

    def to_bytes(self) -> bytes:
        """The weights as an npz file; the same weights give the same bytes."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            feature_version=np.array(FEATURE_VERSION),
            label_names=np.array(self.label_names),
            mean=self.mean,
            scale=self.scale,
            coefficients=self.coefficients,
            intercepts=self.intercepts,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "AcousticWeights":
        """Read what ``to_bytes`` wrote; nothing in it is ever executed.

        Raises:
            BackendError: it is no such file, or of another version of the features.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                version = str(arrays["feature_version"])
                weights = cls(
                    label_names=tuple(map(str, arrays["label_names"])),
                    **{name: arrays[name] for name in ("mean", "scale", "coefficients", "intercepts")},
                )
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as cause:
            raise BackendError(f"The weights cannot be read: {cause}. Train the model again.") from cause
        if version != FEATURE_VERSION:
            raise BackendError(
                f"The weights were learned on version {version} of the features, this is version {FEATURE_VERSION}. "
                "Train the model again."
            )
        n_labels, n_features = len(weights.label_names), len(FEATURE_NAMES)
        shapes = [array.shape for array in (weights.mean, weights.scale, weights.coefficients, weights.intercepts)]
        if shapes != [(n_features,), (n_features,), (n_labels, n_features), (n_labels,)]:
            raise BackendError(f"The weights do not fit together (shapes {shapes}). Train the model again.")
        return weights


# --- answers -----------------------------------------------------------------------------------------------------


def label_probabilities(logits: Array, trained: Sequence[str], asked: Sequence[str]) -> Array | None:
    """Probabilities over the labels asked for, shape (n_asked,), summing to 1.

    Trained labels that are not asked for are left out and the rest renormalised; labels that were never trained get 0.
    None where no label is shared.

    >>> label_probabilities(np.log([0.5, 0.25, 0.25]), ("angry", "happy", "sad"), ("angry", "bored", "sad")).round(3)
    array([0.667, 0.   , 0.333])
    """
    shared = [name for name in asked if name in trained]
    if not shared:
        return None
    chosen = logits[[trained.index(name) for name in shared]]
    weights = np.exp(chosen - chosen.max())
    found = dict(zip(shared, weights / weights.sum(), strict=True))
    return np.array([found.get(name, 0.0) for name in asked])


def answer_text(probabilities: Array, label_set: LabelSet, *, distribution: bool) -> str:
    """Write an answer as the protocol asks for it (PROTOCOL section 4), with six decimals.

    The final label is that of the largest printed probability, the first of equals.

    >>> print(answer_text(np.array([0.25, 0.75]), LabelSet(("angry", "sad")), distribution=True))
    EMOTION DISTRIBUTION: {"Angry": 0.250000, "Sad": 0.750000}
    FINAL LABEL: Sad
    """
    printed = [f"{probability:.6f}" for probability in probabilities]
    final = label_set.display[int(np.argmax([float(number) for number in printed]))]
    lines = [f"FINAL LABEL: {final}"]
    if distribution:
        pairs = ", ".join(
            f"{json.dumps(name, ensure_ascii=False)}: {number}"
            for name, number in zip(label_set.display, printed, strict=True)
        )
        lines.insert(0, f"EMOTION DISTRIBUTION: {{{pairs}}}")
    return "\n".join(lines)


class AcousticBackend:
    """A trained baseline, loaded from the weights beside its card.

    Args:
        card: a card that `voxemo train` wrote.
        generation: kept out of the answers: nothing is sampled and no token is counted.
        folder: where the card lies; by default the current folder.
        batch_size: questions that one call should hold.

    Raises:
        BackendError: the card is untrained, or its weights are missing or not those that it names.
        MissingDependency: librosa is not installed.
    """

    def __init__(
        self,
        card: ModelCard,
        generation: Generation,
        *,
        folder: Path | str = ".",
        batch_size: int = BATCH_SIZE,
    ) -> None:
        _librosa()
        self._card = card
        self._weights = _load_weights(card, Path(folder))
        self._batch_size = batch_size

    @property
    def questions_per_call(self) -> int:
        """Questions that one call should hold."""
        return self._batch_size

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        """Answer every question, in order; clips with one ``audio_key`` are read once.

        A clip that cannot be read, and a question that shares no label with what was trained, get a permanent error.
        """
        loaders: dict[str, Callable[[], Waveform]] = {}
        for question in questions:
            loaders.setdefault(question.audio_key, question.load_audio)
        features = extract_features(loaders, limits=self._card.audio)
        return [self._answer_one(question, features) for question in questions]

    def effective(self) -> Mapping[str, Any]:
        """What is in force; the blocks of a prompt beyond label and distribution have no part in it."""
        return {
            "backend": "acoustic-baseline",
            "feature_version": FEATURE_VERSION,
            "n_features": len(FEATURE_NAMES),
            "label_names": list(self._weights.label_names),
            "classifier": "multinomial logistic regression",
            "decoding": "the most probable label; nothing is sampled, and generation settings have no effect",
            "prompt": "only its labels and its form are read; transcript, caption and reasoning are not produced",
            "device": "cpu",
            "dtype": "float64",
            "audio": self._card.audio.model_dump(mode="json"),
        }

    def _answer_one(self, question: Question, features: Features) -> Response:
        reason = features.refused.get(question.audio_key)
        if reason is not None:
            return _permanent_error(question, reason)
        logits = self._weights.logits(features.vectors[question.audio_key][np.newaxis])[0]
        trained = self._weights.label_names
        probabilities = label_probabilities(logits, trained, question.label_set.names)
        if probabilities is None:
            return _permanent_error(
                question,
                f"the model was trained on {listing(trained)} and shares no label with "
                f"{listing(question.label_set.names)}",
            )
        return Response(
            request_id=question.request_id,
            text=answer_text(probabilities, question.label_set, distribution=question.form == "distribution"),
            label_logprobs=(
                tuple(float(value) for value in np.log(np.maximum(probabilities, FLOOR)))
                if question.form == "likelihood"
                else None
            ),
            audio_handling=features.handling[question.audio_key],
        )


def _permanent_error(question: Question, reason: str) -> Response:
    return Response(request_id=question.request_id, finish="error", error=reason, error_kind="permanent")


def _load_weights(card: ModelCard, folder: Path) -> AcousticWeights:
    if card.training is None:
        raise BackendError(
            f"{card.model_id} has not been trained: this card names no weights. "
            f"Run: voxemo train CORPUS --model {card.model_id}"
        )
    name = card.training.artefact
    try:
        content = (folder / name).read_bytes()
    except OSError as cause:
        raise BackendError(
            f"The weights {name!r} of {card.model_id} (fold {card.training.fold_id} of {card.training.corpus_id}) "
            f"cannot be read: {cause.strerror}. They lie beside the card; train the model again if they are lost."
        ) from cause
    if hashlib.sha256(content).hexdigest() != card.training.artefact_sha256:
        raise BackendError(
            f"The weights {name!r} of {card.model_id} (fold {card.training.fold_id} of {card.training.corpus_id}) "
            "are not those that the card names: they were changed or replaced. Train the model again."
        )
    return AcousticWeights.from_bytes(content)


def create(
    card: ModelCard,
    generation: Generation,
    *,
    folder: Path | str = ".",
    batch_size: int = BATCH_SIZE,
) -> AcousticBackend:
    """Load a trained baseline; the options are those of ``AcousticBackend``."""
    return AcousticBackend(card, generation, folder=folder, batch_size=batch_size)
