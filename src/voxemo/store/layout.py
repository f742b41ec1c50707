"""Every path of a workspace and of a run folder, named once."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

CORPUS_CARD = "card.json"
CORPUS_TABLE = "manifest.csv"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder that holds prepared corpora, splits and trained models."""

    root: Path

    @classmethod
    def default(cls) -> "Workspace":
        """``VOXEMO_HOME`` if set, else the platform's user data folder."""
        home = os.environ.get("VOXEMO_HOME")
        return cls(Path(home) if home else Path(platformdirs.user_data_dir("voxemo", appauthor=False)))

    def corpus_root(self, corpus_id: str) -> Path:
        """Where the corpus's audio lies on this machine; one file each, so that two commands never share one."""
        return self.root / "corpora" / corpus_id / "root.json"

    def corpus_card(self, corpus_id: str) -> Path:
        """The card that the corpus was prepared with."""
        return self.root / "corpora" / corpus_id / CORPUS_CARD

    def corpus_table(self, corpus_id: str) -> Path:
        """The table of utterances of a corpus that came in another form, such as audformat; beside its card."""
        return self.root / "corpora" / corpus_id / CORPUS_TABLE

    def utterances(self, corpus_id: str) -> Path:
        """The manifest: one row per utterance."""
        return self.root / "corpora" / corpus_id / "utterances.parquet"

    def votes(self, corpus_id: str) -> Path:
        """One row per utterance, counting rule and provider's code."""
        return self.root / "corpora" / corpus_id / "votes.parquet"

    def prepare_report(self, corpus_id: str) -> Path:
        """What `prepare` found, and hashes of what it wrote."""
        return self.root / "corpora" / corpus_id / "prepare.json"

    def split(self, corpus_id: str, split_id: str) -> Path:
        """One row per fold, partition and utterance."""
        return self.root / "splits" / corpus_id / f"{split_id}.parquet"

    def split_facts(self, corpus_id: str, split_id: str) -> Path:
        """What was computed about the split."""
        return self.root / "splits" / corpus_id / f"{split_id}.json"

    def model_folder(self, model_id: str, corpus_id: str, split_id: str, fold_id: str) -> Path:
        """Folder of one trained model: its card and its weights."""
        return self.root / "models" / model_id / corpus_id / split_id / f"fold-{fold_id}"

    def trained_models(self, model_id: str) -> tuple[Path, ...]:
        """The card of every fold that a model of this name was trained on, whatever the corpus."""
        return tuple(sorted((self.root / "models" / model_id).glob(f"*/*/fold-*/{MODEL_CARD}")))

    def trained_names(self) -> tuple[str, ...]:
        """Names under which models were trained in this workspace."""
        return tuple(sorted({path.parents[3].name for path in self.root.glob(f"models/*/*/*/fold-*/{MODEL_CARD}")}))

    def training_paces(self) -> tuple[Path, ...]:
        """How fast each training in this workspace went."""
        return tuple(sorted(self.root.glob(f"models/*/*/*/fold-*/{TRAINING_PACE}")))

    def embeddings(self, encoder_sha256: str) -> Path:
        """What a frozen audio tower gives of clips; derived, may be deleted."""
        return self.root / "embeddings" / encoder_sha256[:16]

    def model_root(self, card_sha256: str) -> Path:
        """Where a model's files lie on this machine, by the hash of its card."""
        return self.root / "model-roots" / f"{card_sha256}.json"


MODEL_CARD = "model.json"
TRAINING_PACE = "pace.json"
"""How fast a training went on its machine; beside the card, and no part of it."""


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files of one run folder (docs/reference/run-folder.md)."""

    root: Path

    @property
    def manifest(self) -> Path:
        """What the run is; written by `plan`, counts added by `parse`."""
        return self.root / "manifest.json"

    @property
    def plan(self) -> Path:
        """Every request that must be answered."""
        return self.root / "plan.parquet"

    @property
    def prompts(self) -> Path:
        """Each rendered prompt once, by hash."""
        return self.root / "prompts.jsonl"

    @property
    def workers(self) -> Path:
        """What each worker learned: effective decoding, hardware, versions, throughput."""
        return self.root / "workers"

    @property
    def responses(self) -> Path:
        """Append-only answer journals, one writer per file."""
        return self.root / "responses"

    @property
    def checks(self) -> Path:
        """What `voxemo doctor` found about the run's model, a file for each check."""
        return self.root / "checks"

    @property
    def hearing_check(self) -> Path:
        """Whether the model hears."""
        return self.checks / "hearing.json"

    @property
    def parity_check(self) -> Path:
        """Whether the fast engine answers as plain ``generate`` does."""
        return self.checks / "parity.json"

    @property
    def predictions(self) -> Path:
        """What the answers say; derived, may be deleted."""
        return self.root / "predictions.parquet"

    @property
    def scores(self) -> Path:
        """One number per row; derived, may be deleted."""
        return self.root / "scores.parquet"

    @property
    def confusions(self) -> Path:
        """Counts of true against predicted labels; derived, may be deleted."""
        return self.root / "confusions.parquet"

    @property
    def analyses(self) -> Path:
        """Scores of groups of utterances, calibration, mean distributions; derived, may be deleted."""
        return self.root / "analyses.parquet"

    @property
    def unit_counts(self) -> Path:
        """True against predicted labels of every speaker, to pair runs by; derived, may be deleted."""
        return self.root / "unit_counts.parquet"

    @property
    def unit_sums(self) -> Path:
        """Divergences of distributions, summed by speaker, to pair runs by; derived, may be deleted."""
        return self.root / "unit_sums.parquet"

    @property
    def failures(self) -> Path:
        """Why answers could not be read, with examples; derived, may be deleted."""
        return self.root / "failures.json"

    @property
    def report(self) -> Path:
        """Rendered reports of this run; derived, may be deleted."""
        return self.root / "report"
