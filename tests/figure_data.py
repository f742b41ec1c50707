"""Made-up numbers for every figure, in the columns that the figures ask for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from voxemo.core.types import AnalysisRow
from voxemo.reports import figures
from voxemo.store.tables import ANALYSES

LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad")
PROMPTS = ("direct", "transcript", "caption", "transcript_caption", "transcript_caption_reasoning")


def _row(kind: str, system: str, form: str, group: str, metric: str, value: float, **more: Any) -> dict[str, Any]:
    given = {"partition": "test", "vote_rule": "all", "class_label": None, "ci_low": None, "ci_high": None}
    given |= {"n": 120, "n_failed": 0} | more
    assert set(AnalysisRow.__dataclass_fields__) >= set(given)
    return {"kind": kind, "system_id": system, "form": form, "group": group, "metric": metric, "value": value, **given}


def analyses() -> pl.DataFrame:
    """Rows of every kind."""
    draw = np.random.default_rng(0)
    rows = []
    for kind, names in {
        "agreement": ("0.2-0.4", "0.4-0.6", "0.6-0.8", "0.8-1.0"),
        "speaker_gender": ("female", "male"),
        "speaker_age": ("20-29", "30-39", "40-49"),
        "language": ("de", "en"),
    }.items():
        for systems, form, metric in (
            ((*PROMPTS, "ensemble"), "hard", "unweighted_accuracy"),
            ((*PROMPTS, "mean_distribution"), "distribution", "jsd"),
        ):
            for system in systems:
                for index, group in enumerate(names):
                    value = 0.25 + 0.1 * index + 0.1 * draw.random()
                    more = {"ci_low": value - 0.07, "ci_high": value + 0.06, "n": 40 + 25 * index}
                    rows.append(_row(kind, system, form, group, metric, value, **more))
    soft = {"mean_distribution": "distribution", "direct": "distribution", "ensemble": "vote"}
    soft |= {"likelihood:direct": "likelihood", "likelihood-corrected:direct": "likelihood"}
    for system, form in soft.items():
        rows.append(_row("calibration", system, form, "all", "ece", 0.1 + 0.2 * draw.random(), n=600))
        for low in range(3, 10):
            sure = low / 10 + 0.05
            more = {"n": int(200 * draw.random()) + 1}
            group = f"{low / 10:.1f}-{low / 10 + 0.1:.1f}"
            rows.append(_row("calibration", system, form, group, "confidence", sure, **more))
            rows.append(
                _row("calibration", system, form, group, "accuracy", sure * (0.5 + 0.4 * draw.random()), **more)
            )
    for system, form in {"reference:gold": "vote", **soft}.items():
        for group in (*LABELS, "all"):
            shares = draw.dirichlet([4 if label == group else 1 for label in LABELS])
            for label, share in zip(LABELS, shares, strict=True):
                rows.append(_row("mean_distribution", system, form, group, "probability", share, class_label=label))
    return pl.DataFrame(rows, schema=dict(ANALYSES), orient="row")


def prompt_scores(models: tuple[str, ...] = ("model-a", "model-b")) -> pl.DataFrame:
    """Scores and failure rates of every prompt in both forms; one has no score."""
    draw = np.random.default_rng(1)
    rows = []
    for model in models:
        for form, metric in (("hard", "macro_f1"), ("distribution", "soft_macro_f1")):
            for index, system in enumerate(PROMPTS):
                value = 0.45 - 0.04 * index + 0.1 * draw.random()
                row = {"model": model, "form": form, "system_id": system, "metric": metric, "value": value}
                row |= {"ci_low": value - 0.05, "ci_high": value + 0.05, "failure_rate": 0.12 * index}
                rows.append(row | ({"value": None} if (model, form, index) == (models[-1], "hard", 2) else {}))
    return pl.DataFrame(rows)


def prompt_effects() -> pl.DataFrame:
    draw = np.random.default_rng(2)
    return pl.DataFrame(
        [
            {"model": model, "by": by, "group": group, "system_id": system, "n_corpora": 3}
            | {"effect": float(draw.normal(0, 0.05))}
            for model in ("model-a", "model-b")
            for by, names in {"setting": ("acted", "in the wild"), "language": ("de", "en", "fr", "ur")}.items()
            for group in names
            for system in PROMPTS[1:]
        ]
    )


def gains() -> pl.DataFrame:
    draw = np.random.default_rng(3)
    return pl.DataFrame(
        [
            {"model": model, "corpus_id": corpus, "n_utterances": n, "gain": float(draw.normal(0.2, 0.1))}
            for model in ("model-a", "model-b")
            for corpus, n in {
                "urdu": 400,
                "emodb": 535,
                "crema-d": 7442,
                "meld": 13_706,
                "msp-podcast": 212_801,
            }.items()
        ]
    )


def rank_table() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"system": f"model-{index} · T+A", "rank": index, "rank_low": max(1, index - 1), "rank_high": index + 1}
            | {"mean": 0.6 - 0.03 * index, "ci_low": 0.57 - 0.03 * index, "ci_high": 0.63 - 0.03 * index}
            for index in range(1, 7)
        ]
    )


def counts() -> pl.DataFrame:
    draw = np.random.default_rng(4)
    return pl.DataFrame(
        [
            {"gold": gold, "predicted": said, "n": int(draw.integers(0, 12)) + (60 if gold == said else 0)}
            for gold in LABELS
            for said in (*LABELS, "failed")
        ]
    )


FIGURES: dict[str, tuple[Callable[..., list[Path]], Callable[[], pl.DataFrame]]] = {
    "prompt_sensitivity": (figures.prompt_sensitivity, prompt_scores),
    "prompt_effect": (figures.prompt_effect, prompt_effects),
    "calibration": (figures.calibration, analyses),
    "distributions": (figures.distributions, analyses),
    "agreement": (figures.agreement, analyses),
    "groups": (figures.groups, analyses),
    "confusion": (figures.confusion, counts),
    "sft_gain": (figures.sft_gain, gains),
    "ranks": (figures.ranks, rank_table),
}
"""Name of a figure to what draws it and what it is drawn from."""
