"""One system on one board, as the scoreboard, the model pages and the analyses need it: small, and free of files.

A board has a row for every prompt; a standing gathers those of one run, picks the best prompt and the ensembles, and
puts the published figures of the same prompts beside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard, ModelCard
from voxemo.core.types import CORRECTED, ENSEMBLE, LIKELIHOOD, MEAN_DISTRIBUTION
from voxemo.reports.scoreboard import PUBLISHED_SOFT, Board, Entry, FinishedRun

TrainingData = Literal["trained", "contains", "undisclosed", "not_listed"]
TRAINING_DATA: Mapping[TrainingData, str] = {
    "trained": "trained on its training part",
    "contains": "contains the corpus",
    "undisclosed": "undisclosed",
    "not_listed": "known, without the corpus",
}
ENSEMBLES = (ENSEMBLE, MEAN_DISTRIBUTION)
EMOBOX = "emobox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a board is about."""

    board_id: str
    """Unique on the site, and an anchor on the corpus's page."""
    title: str
    corpus_id: str
    corpus_name: str
    partition: str
    split_id: str
    label_source: str
    vote_rule: str | None
    audio_condition: str
    languages: tuple[str, ...]
    setting: str
    speaker_independent: bool | None
    synthetic: bool
    main: str
    """The metric that rows are ordered by."""
    references: tuple[Entry, ...]
    emobox: Mapping[str, float]
    """EmoBox's figures by metric; they are of its own split."""

    @property
    def soft(self) -> bool:
        """Whether the truth is a soft label."""
        return self.vote_rule is not None

    def reference(self, system: str) -> Entry | None:
        """A reference row: ``uniform``, ``train_prior``, ``majority`` or ``human``."""
        return next((entry for entry in self.references if entry.system == system), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One run's answers on one board, asked for or weighed by likelihood."""

    place: Place
    run_id: str
    model_id: str
    model: str
    """As the board names it: with the run's hash, where two would read the same."""
    training: str
    """How the model met the corpus: ``zero-shot``, ``sft``, ``supervised``, ``transfer from ...``."""
    backend: str
    weighed: bool
    """Labels were weighed by their likelihood, nothing was asked."""
    best: Entry
    """The prompt with the best main metric on this very test part."""
    ensembles: Mapping[str, Entry]
    entries: tuple[Entry, ...]
    """Every row of the run, best first."""
    training_data: TrainingData
    published: Mapping[tuple[str, str], tuple[float, str]]
    """System and metric to a published figure of the same model and prompt, and its source."""

    @property
    def partial(self) -> bool:
        """The run does not cover what it should."""
        return self.best.partial

    @property
    def kind(self) -> str:
        """``zero-shot``, ``sft``, ``supervised`` or ``transfer``."""
        return self.training.split(" ")[0]

    @property
    def column(self) -> tuple[str, str]:
        """Model and training: what makes a column of models by corpora."""
        return self.model, f"{self.training}, likelihood" if self.weighed else self.training


def place_of(board: Board, card: CorpusCard, *, board_id: str) -> Place:
    """What a board is about, with its reference rows."""
    return Place(
        board_id=board_id,
        title=board.title,
        corpus_id=board.corpus_id,
        corpus_name=board.corpus_name,
        partition=board.partition,
        split_id=board.split_id,
        label_source=board.label_source,
        vote_rule=board.vote_rule,
        audio_condition=board.audio_condition,
        languages=card.languages,
        setting=card.setting,
        speaker_independent=board.speaker_independent,
        synthetic=card.synthetic,
        main=board.main,
        references=tuple(entry for entry in board.entries if entry.kind == "reference"),
        emobox={
            metric: cell.value
            for entry in board.entries
            if entry.kind == "published" and entry.model == EMOBOX
            for metric, cell in entry.cells.items()
            if cell.value is not None
        },
    )


def standings(board: Board, runs: Sequence[FinishedRun], place: Place) -> list[Standing]:
    """The standings of a board, in its order: best first, partial ones last."""
    by_id = {run.manifest.run_id: run for run in runs}
    groups: dict[tuple[str, bool], list[Entry]] = {}
    for entry in board.entries:
        if entry.kind == "run":
            weighed = entry.system.startswith((LIKELIHOOD, CORRECTED))
            groups.setdefault((str(entry.run_id), weighed), []).append(entry)
    return [_standing(board, by_id[run_id], place, entries, weighed) for (run_id, weighed), entries in groups.items()]


def _standing(board: Board, run: FinishedRun, place: Place, entries: Sequence[Entry], weighed: bool) -> Standing:
    card = next(iter(run.manifest.model_cards.values()))
    prompts = [entry for entry in entries if entry.system not in ENSEMBLES]
    # The board is ordered by its main metric.
    best = (prompts or entries)[0]
    return Standing(
        place=place,
        run_id=run.manifest.run_id,
        model_id=card.model_id,
        model=best.model,
        training=best.training,
        backend=card.backend,
        weighed=weighed,
        best=best,
        ensembles={entry.system: entry for entry in entries if entry.system in ENSEMBLES},
        entries=tuple(entries),
        training_data=training_data(card, place.corpus_id),
        published=_published(board, card, place, best.training),
    )


def training_data(card: ModelCard, corpus_id: str) -> TrainingData:
    """What is known of the corpus being in the model's training data."""
    if card.training is not None and corpus_id in card.training.corpora:
        return "trained"
    if card.training_corpora == "undisclosed":
        return "undisclosed"
    return "contains" if corpus_id in card.training_corpora else "not_listed"


def _published(board: Board, card: ModelCard, place: Place, training: str) -> dict[tuple[str, str], tuple[float, str]]:
    """Published figures of the same model, asked or trained the same way; only where they are of the same labels."""
    if not any(entry.kind == "published" for entry in board.entries):
        return {}
    record = card.training
    model_id = card.model_id if record is None else record.base_model_id
    trained = None if record is None else "sft" if training == "sft" else f"sft:{record.corpus_id}"
    found = {}
    for row in published_on(place.corpus_id, place.partition):
        if row["system"] != model_id or (row["form"] == "distribution") != place.soft:
            continue
        is_trained = row["setting"].startswith("sft")
        if row["setting"] != trained if trained is not None else is_trained:
            continue
        metric = PUBLISHED_SOFT.get(row["metric"], row["metric"]) if place.soft else row["metric"]
        # A fine-tuned model was asked in one way, which the paper's tables do not repeat.
        system = "direct" if is_trained else row["setting"]
        found[system, metric] = (float(row["value"]), row["source"])
    return found


@cache
def published_on(corpus_id: str, partition: str) -> tuple[dict[str, str], ...]:
    """Published figures of one test part."""
    return tuple(row for row in lookup.published() if (row["corpus_id"], row["partition"]) == (corpus_id, partition))
