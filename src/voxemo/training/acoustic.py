"""Training of the acoustic baseline: features of a fold's training part in, a model card and its weights out.

The classifier is a multinomial logistic regression with balanced class weights on standardised features. Its
regularisation is the one of ``STRENGTHS`` with the best unweighted accuracy on the validation part, the stronger of
equals; the final fit uses train and valid together. Features, and everything about answers, are in
``backends.acoustic``.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxemo.backends.acoustic import (
    FEATURE_NAMES,
    FEATURE_VERSION,
    Z_MOST,
    AcousticWeights,
    Array,
    Features,
    standardise,
)
from voxemo.backends.acoustic import extract_features as extract_features
from voxemo.core.cards import CorpusCard, ModelCard, TrainingRecord
from voxemo.core.errors import BackendError, MissingDependency, SplitError, listing
from voxemo.core.types import LabelSource, Split

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Inverse regularisation, scikit-learn's C, from strong to weak."""
WITHOUT_VALIDATION = 0.01
MOST_ITERATIONS = 5_000
PARTITIONS = ("train", "valid")
WEIGHTS_FILE = "weights.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A fitted classifier, and how its regularisation was chosen."""

    weights: AcousticWeights
    strength: float
    validation: Mapping[float, float]
    """Strength to unweighted accuracy on the validation part, 0 to 1; empty without one."""


def train_acoustic(
    features: Array,
    labels: Sequence[str],
    *,
    valid_features: Array | None = None,
    valid_labels: Sequence[str] = (),
    seed: int,
) -> Trained:
    """Fit the classifier.

    Args:
        features: of the train part, shape (n_train, n_features).
        labels: their labels; two different ones at least.
        valid_features: of the validation part, shape (n_valid, n_features); None or no rows without one.
        valid_labels: their labels.
        seed: handed to scikit-learn, whose solver here does not use it.

    Raises:
        BackendError: there are labels of fewer than two kinds.
        MissingDependency: scikit-learn is not installed.
    """
    try:
        from sklearn.metrics import recall_score
    except ImportError as cause:
        raise MissingDependency("The acoustic baseline", package="scikit-learn", extra="baseline") from cause
    if len(set(labels)) < 2:
        raise BackendError(
            f"The training part has utterances of {len(set(labels))} labels ({listing(sorted(set(labels)))}); "
            "a classifier needs two or more. Take another split."
        )
    validation: dict[float, float] = {}
    if valid_features is None or not len(valid_features):
        strength = WITHOUT_VALIDATION
    else:
        for candidate in STRENGTHS:
            weights = _fit(features, labels, strength=candidate, seed=seed)
            predicted = [weights.label_names[best] for best in weights.logits(valid_features).argmax(axis=1)]
            validation[candidate] = float(
                recall_score(valid_labels, predicted, labels=sorted(set(valid_labels)), average="macro")
            )
        strength = max(STRENGTHS, key=lambda candidate: validation[candidate])
        features, labels = np.concatenate([features, valid_features]), [*labels, *valid_labels]
    return Trained(
        weights=_fit(features, labels, strength=strength, seed=seed), strength=strength, validation=validation
    )


def _fit(features: Array, labels: Sequence[str], *, strength: float, seed: int) -> AcousticWeights:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # One thread: sums in another order would give other coefficients on a machine with more processors.
    with threadpool_limits(1):
        scaler = StandardScaler().fit(features)
        classifier = LogisticRegression(
            C=strength, class_weight="balanced", max_iter=MOST_ITERATIONS, random_state=seed
        ).fit(standardise(features, scaler.mean_, scaler.scale_), np.asarray(labels))
    coefficients, intercepts = classifier.coef_, classifier.intercept_
    if len(classifier.classes_) == 2:  # scikit-learn keeps only the second class's row, against zeros for the first
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
    return AcousticWeights(
        label_names=tuple(map(str, classifier.classes_)),
        mean=scaler.mean_,
        scale=scaler.scale_,
        coefficients=coefficients,
        intercepts=intercepts,
    )


def train(
    base: ModelCard,
    corpus: CorpusCard,
    split: Split,
    fold_id: str,
    *,
    features: Features,
    labels: Mapping[str, str | None],
    label_source: LabelSource,
    seed: int,
    split_sha256: str,
    package_versions: Mapping[str, str],
) -> tuple[ModelCard, bytes]:
    """Train on one fold and write the card (``model.json``) and the weights beside it.

    Utterances whose clip could not be read, and those without a label, are left out and counted in the card's recipe.

    Args:
        base: the untrained card.
        corpus: the corpus that the split divides.
        split: holds the fold.
        fold_id: the fold.
        features: what ``extract_features`` gave for the corpus's clips, with the base card's audio limits.
        labels: utterance id to gold label.
        label_source: whose labels these are.
        seed: of the training.
        split_sha256: hash of the split.
        package_versions: of what the weights depend on.

    Returns:
        The trained card, and the content of the weights file that it names.

    Raises:
        SplitError: the split has no such fold.
        BackendError: nothing can be learned from its training part.
        MissingDependency: scikit-learn is not installed.
    """
    fold = next((fold for fold in split.folds if fold.fold_id == fold_id), None)
    if fold is None:
        known = listing([fold.fold_id for fold in split.folds])
        raise SplitError(f"The split {split.split_id} of {split.corpus_id} has no fold {fold_id!r}; it has {known}.")
    if features.limits != base.audio:
        raise BackendError(f"The features were not computed within the audio limits of {base.model_id}'s card.")
    members = {part: fold.partitions.get(part, ()) for part in PARTITIONS}
    usable = {part: [n for n in names if n in features.vectors and labels.get(n)] for part, names in members.items()}
    wanted = [name for names in members.values() for name in names]
    unlabelled = sum(1 for name in wanted if not labels.get(name))
    n_used = sum(map(len, usable.values()))
    if not usable["train"]:
        raise BackendError(
            f"None of the {len(wanted)} utterances that fold {fold_id} of {corpus.corpus_id} trains on can be used: "
            f"{unlabelled} have no label, the clips of {len(wanted) - unlabelled} cannot be read. "
            "`voxemo check` says what is wrong with them."
        )
    trained = train_acoustic(
        np.stack([features.vectors[name] for name in usable["train"]]),
        [str(labels[name]) for name in usable["train"]],
        valid_features=np.array([features.vectors[name] for name in usable["valid"]]),
        valid_labels=[str(labels[name]) for name in usable["valid"]],
        seed=seed,
    )
    content = trained.weights.to_bytes()
    record = TrainingRecord(
        kind="supervised",
        base_model_id=base.model_id,
        corpus_id=corpus.corpus_id,
        corpus_card_sha256=corpus.sha256(),
        split_id=split.split_id,
        split_sha256=split_sha256,
        fold_id=fold_id,
        partitions=tuple(part for part in PARTITIONS if usable[part]),
        label_source=label_source,
        label_names=trained.weights.label_names,
        n_utterances=n_used,
        seed=seed,
        recipe=_recipe(trained, n_unlabelled=unlabelled, n_unusable=len(wanted) - unlabelled - n_used),
        package_versions=dict(package_versions),
        artefact=WEIGHTS_FILE,
        artefact_sha256=hashlib.sha256(content).hexdigest(),
    )
    return base.model_copy(update={"training": record, "training_corpora": (corpus.corpus_id,)}), content


def _recipe(trained: Trained, *, n_unlabelled: int, n_unusable: int) -> dict[str, Any]:
    return {
        "feature_version": FEATURE_VERSION,
        "n_features": len(FEATURE_NAMES),
        "scaling": f"zero mean and unit variance over the training part, cut at {Z_MOST:g}",
        "classifier": "multinomial logistic regression, L2, balanced class weights",
        "strengths": list(STRENGTHS),
        "strength": trained.strength,
        "chosen_by": "unweighted accuracy on valid, then fitted on train and valid"
        if trained.validation
        else "no validation part",
        "validation": {str(strength): accuracy for strength, accuracy in trained.validation.items()},
        "n_left_out_unlabelled": n_unlabelled,
        "n_left_out_unusable": n_unusable,
    }
