"""A matrix of sources and targets as trainings and runs. It expands, and holds no other logic (PROTOCOL section 8)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from pydantic import Field

from voxemo.catalog import lookup
from voxemo.catalog.transfer import CorpusShift, LanguageGroup, corpus_shift, language_groups, language_shift
from voxemo.core.cards import CorpusCard, Document, Text
from voxemo.core.errors import RunError, UnknownName, listing
from voxemo.core.ids import sha256_json
from voxemo.steps.leaks import shared_samples
from voxemo.steps.mixtures import Mixture, Source, Training
from voxemo.steps.plan import PlanOptions
from voxemo.steps.study_run import StudyRun
from voxemo.store.layout import Workspace
from voxemo.training.lora import LoraRecipe

LEAVE_ONE_OUT = "leave-one-out"
EVERY_LANGUAGE = "*"

FindCard = Callable[[str], CorpusCard]


class MatrixFile(Document):
    """Sources and targets of transfers; every source is tested on every target."""

    source: tuple[Text, ...] = Field(min_length=1)
    """Corpora, or mixtures of several: ``crema-d``, ``crema-d+meld``, ``2*crema-d+1*meld``."""
    target: tuple[Text, ...] = Field(min_length=1)
    split: Text = "protocol"
    splits: dict[Text, Text] = Field(default_factory=dict)
    """Corpus to another split."""
    partitions: dict[Text, Text] = Field(default_factory=dict)
    """Corpus to the test part that stands for it, where it has several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is tested on."""

    corpus: str
    split_id: str = "protocol"
    partition: str | None = None
    """The test part that counts; the only one when None."""
    labels: tuple[str, ...] | None = None
    """That are asked about; all of the corpus when None."""
    language: str | None = None

    @property
    def title(self) -> str:
        """The target in a column's head."""
        if self.labels is None:
            return self.corpus
        spoken = "" if self.language is None else f" {self.language},"
        return f"{self.corpus} ({spoken.strip()}{' ' if spoken else ''}{len(self.labels)} labels)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One cell of a matrix."""

    source: str
    """In a row's head."""
    target: Target
    training: Training
    run: StudyRun
    zero_shot: StudyRun
    """The base model on the same target."""
    in_domain: bool
    shifts: tuple[CorpusShift, ...] = ()
    """From each corpus of the source; none in domain."""
    refused: str | None = None
    """Why the pair is no test of transfer; such a pair is neither trained for nor asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferMatrix:
    """A matrix of transfers of one base model."""

    name: str
    model: str
    pairs: tuple[Pair, ...]

    @property
    def runs(self) -> tuple[StudyRun, ...]:
        """Everything to run, each once: the base model on every target, then the pairs."""
        open_pairs = [pair for pair in self.pairs if pair.refused is None]
        zero_shot = [pair.zero_shot for pair in open_pairs]
        return tuple(dict.fromkeys([*zero_shot, *(pair.run for pair in open_pairs)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOptions:
    """What holds for every training and run of a matrix."""

    recipe: LoraRecipe = field(default_factory=LoraRecipe)
    seed: int = 0
    name: str | None = None
    """Of the trained models; the base's with ``-sft`` when None."""
    plan: PlanOptions = field(default_factory=PlanOptions)


# --- what a user writes -------------------------------------------------------------------------------------------


def matrix_names() -> tuple[str, ...]:
    """The built-in matrices."""
    return lookup.builtin_names("matrices")


def read_matrix(name: str) -> MatrixFile:
    """A built-in matrix by name, or one from a TOML file.

    Raises:
        UnknownName: no matrix or file answers to the name.
        CardError: the file does not fit.
    """
    if lookup.is_path(name):
        return lookup.read_document(Path(name), MatrixFile)
    if name not in matrix_names():
        raise UnknownName("matrix", name, matrix_names())
    return lookup.read_document(lookup.CATALOG / "matrices" / f"{name}.toml", MatrixFile)


def parse_source(text: str) -> tuple[tuple[str, float | None], ...]:
    """Corpora of a source with their weights.

    Raises:
        RunError: it is no source.

    >>> parse_source("crema-d")
    (('crema-d', None),)
    >>> parse_source("2*crema-d + meld")
    (('crema-d', 2.0), ('meld', 1.0))
    """
    parts = [part.strip().rpartition("*") for part in text.split("+")]
    try:
        weights = [float(weight) if star else None for weight, star, _ in parts]
    except ValueError as cause:
        raise RunError(f"{text!r} is no source: write CORPUS, A+B, or with weights 2*A+B.") from cause
    corpora = [corpus.strip() for *_, corpus in parts]
    if not all(corpora):
        raise RunError(f"{text!r} is no source: write CORPUS, A+B, or with weights 2*A+B.")
    weighted = any(weight is not None for weight in weights)
    return tuple(
        (corpus, 1.0 if weighted and weight is None else weight)
        for corpus, weight in zip(corpora, weights, strict=True)
    )


# --- between corpora ----------------------------------------------------------------------------------------------


def expand(
    name: str, matrix: MatrixFile, *, model: str, find_card: FindCard, options: TransferOptions | None = None
) -> TransferMatrix:
    """Every source with every target, row by row.

    A k-fold source is represented by the model of its first fold, a k-fold target by all its test folds. In domain,
    each fold is tested by its own model.

    Args:
        name: of the matrix, for people.
        matrix: what to expand.
        model: of the base.
        find_card: name to corpus card.
        options: of every training and run.

    Raises:
        UnknownName: a corpus that there is not.
        RunError: a source that is none.
    """
    options = options or TransferOptions()
    pairs = []
    for source, tested in product(matrix.source, matrix.target):
        parts = parse_source(source)
        target = Target(corpus=tested, split_id=_split_of(matrix, tested), partition=matrix.partitions.get(tested))
        training = _training(parts, matrix, model, options, every_fold=source in matrix.target)
        pairs.append(_pair(source, target, training, model, find_card, options))
    return TransferMatrix(name=name, model=model, pairs=tuple(pairs))


def _split_of(matrix: MatrixFile, corpus: str) -> str:
    return matrix.splits.get(corpus, matrix.split)


def _training(
    parts: Sequence[tuple[str, float | None]],
    matrix: MatrixFile,
    model: str,
    options: TransferOptions,
    *,
    every_fold: bool,
) -> Training:
    if len(parts) == 1:
        corpus = parts[0][0]
        return _of(corpus, model, options, split_id=_split_of(matrix, corpus), every_fold=every_fold)
    sources = tuple(
        Source(corpus=corpus, split_id=_split_of(matrix, corpus), weight=weight) for corpus, weight in parts
    )
    return _of(_mixture("-and-".join(corpus for corpus, _ in parts), sources), model, options)


def _of(
    source: str | Mixture,
    model: str,
    options: TransferOptions,
    *,
    split_id: str = "protocol",
    every_fold: bool = False,
) -> Training:
    return Training(
        model=model,
        source=source,
        split_id=split_id,
        every_fold=every_fold,
        recipe=options.recipe,
        seed=options.seed,
        name=options.name,
    )


def _mixture(title: str, sources: tuple[Source, ...]) -> Mixture:
    """A mixture under a name of its own: what is mixed otherwise is called otherwise."""
    content = [[one.corpus, one.split_id, one.fold_id, one.weight, one.labels, one.language] for one in sources]
    return Mixture(mixture_id=f"{title[:40]}-{sha256_json(content)[:8]}", sources=sources)


def _pair(
    source: str, target: Target, training: Training, model: str, find_card: FindCard, options: TransferOptions
) -> Pair:
    in_domain = training.source == target.corpus
    asked = replace(options.plan, labels=target.labels, language=target.language)
    # The protocol's own runs where they can be, so that they are asked once whoever asks for them.
    zero_shot = asked if target.labels is None else replace(asked, forms=("hard",))
    # Of a corpus that is not the model's own, nothing but the part that counts.
    part = None if in_domain or target.partition is None else (target.partition,)
    refused = None
    if not in_domain and target.corpus in training.corpora:
        refused = f"the source holds {target.corpus} itself"
    card = find_card(target.corpus)
    return Pair(
        source=source,
        target=target,
        training=training,
        run=StudyRun(
            corpus=target.corpus,
            model=model,
            split_id=target.split_id,
            options=replace(asked, partitions=part),
            training=training,
        ),
        zero_shot=StudyRun(corpus=target.corpus, model=model, split_id=target.split_id, options=zero_shot),
        in_domain=in_domain,
        shifts=tuple(corpus_shift(find_card(one), card) for one in training.corpora if one != target.corpus),
        refused=refused,
    )


# --- between languages --------------------------------------------------------------------------------------------


def is_language_matrix(name: str) -> bool:
    """Whether a matrix is named by languages: ``zh:en``, ``zh:*``, ``leave-one-out:en``, or several of them."""
    return ":" in name and not lookup.is_path(name)


def expand_languages(
    name: str, cards: Sequence[CorpusCard], *, model: str, options: TransferOptions | None = None
) -> TransferMatrix:
    """Train on the corpora of one language, or of all but one, and test on each corpus of another; shared labels only.

    A label is shared that a corpus of the source can teach and one of the target can test. Every source corpus is asked
    about those of its labels, and corpora with fewer than two of them are left out. A corpus that has both languages is
    not trained on. Synthetic corpora are left out.

    Args:
        name: ``zh:en`` (train on Mandarin, test on English), ``zh:*`` (on each other language), ``leave-one-out:en``
            (train on all others), or several of these with commas between.
        cards: of the corpora that there are.
        model: of the base.
        options: of every training and run.

    Raises:
        UnknownName: a language that no corpus has.
        RunError: two languages share no two labels.
    """
    options = options or TransferOptions()
    by_id = {card.corpus_id: card for card in cards}
    groups = {group.language: group for group in language_groups(cards)}
    pairs: list[Pair] = []
    for text in name.split(","):
        learnt, _, asked = text.strip().partition(":")
        tested = [one for one in groups if one != learnt] if asked == EVERY_LANGUAGE else [asked]
        for language in tested:
            pairs += _language_pairs(learnt, language, groups, by_id, model, options)
    return TransferMatrix(name=name, model=model, pairs=tuple(pairs))


def _language_pairs(
    learnt: str,
    tested: str,
    groups: Mapping[str, LanguageGroup],
    cards: Mapping[str, CorpusCard],
    model: str,
    options: TransferOptions,
) -> list[Pair]:
    for language in (tested,) if learnt == LEAVE_ONE_OUT else (learnt, tested):
        if language not in groups:
            raise UnknownName("language", language, tuple(groups))
    target = groups[tested]
    others = [card for card in cards.values() if not card.synthetic and card.corpus_id not in target.corpora]
    if learnt == LEAVE_ONE_OUT:
        only, title = None, f"all but {tested}"
        chosen = others
    else:
        only, title = learnt, learnt
        chosen = [card for card in others if card.corpus_id in groups[learnt].corpora]
    labels = set().union(*(card.labels.names for card in chosen))
    group = LanguageGroup(
        language=title, corpora=tuple(card.corpus_id for card in chosen), labels=tuple(sorted(labels)), common_labels=()
    )
    shift = language_shift(group, target, tuple(cards.values()))
    shared = set(shift.shared_labels)
    sources = tuple(
        Source(
            corpus=card.corpus_id,
            labels=tuple(label for label in card.labels.names if label in shared),
            language=only if len(card.languages) > 1 else None,
        )
        for card in sorted(chosen, key=lambda card: card.corpus_id)
        if len(shared & set(card.labels.names)) > 1
    )
    if not sources or not shift.targets:
        raise RunError(
            f"{title} and {tested} share {listing(shift.shared_labels) or 'no label'}: no corpus of the one teaches "
            "two labels that a corpus of the other tests."
        )
    mixture = _mixture(f"{title.replace(' ', '-')}-for-{tested}", sources)
    return [
        _pair(
            title,
            Target(
                corpus=corpus_id,
                labels=names,
                language=tested if len(cards[corpus_id].languages) > 1 else None,
            ),
            _of(mixture, model, options),
            model,
            cards.__getitem__,
            options,
        )
        for corpus_id, names in shift.targets
    ]


# --- leaks --------------------------------------------------------------------------------------------------------


def without_unprepared(matrix: TransferMatrix, missing: Mapping[str, str]) -> TransferMatrix:
    """The matrix with those pairs refused that need a corpus which is not there.

    Args:
        matrix: of transfers.
        missing: corpus to what is missing.
    """
    pairs = []
    for pair in matrix.pairs:
        lacking = [corpus for corpus in (*pair.training.corpora, pair.target.corpus) if corpus in missing]
        refused = pair.refused or (f"{listing(sorted(set(lacking)))} not prepared" if lacking else None)
        pairs.append(replace(pair, refused=refused))
    return replace(matrix, pairs=tuple(pairs))


def without_leaks(workspace: Workspace, matrix: TransferMatrix, find_card: FindCard) -> TransferMatrix:
    """The matrix with those pairs refused whose source holds samples of the target under another name.

    Raises:
        NotPrepared, RunError: a corpus is not prepared, or otherwise than its card says.
    """
    pairs = []
    for pair in matrix.pairs:
        if pair.refused is None and not pair.in_domain:
            twins = shared_samples(workspace, pair.training.corpora, find_card(pair.target.corpus))
            if twins:
                reason = f"the source holds {len(twins)} clips of the target under other names: {listing(twins)}"
                pair = replace(pair, refused=reason)
        pairs.append(pair)
    return replace(matrix, pairs=tuple(pairs))
