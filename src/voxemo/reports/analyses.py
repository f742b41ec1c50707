"""The paper's analyses as tables: what prompts, fine-tuning and the kind of speech do, over many corpora.

Every analysis reads one table of scores (`SCORES`), of finished runs (`measured`) or of the paper (`printed`), so that
the paper's figures go through the same formulas as ours, and stand beside them (`beside`). A split is a corpus and a
test partition. Scores are fractions; every mean says over how many splits it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard, RunManifest
from voxemo.core.types import ENSEMBLE
from voxemo.reports.ranking import evaluation_boards
from voxemo.reports.scoreboard import PUBLISHED_SOFT, Board, Entry, FinishedRun

METRIC = "macro_f1"
"""What the paper's analyses are about: of 36 best prompts by macro-F1 Qwen2-Audio has the better 26, as it says."""
SFT = "sft"
DIRECT = "direct"

SCORES: Mapping[str, type[pl.DataType]] = {
    "model": pl.String,
    "setting": pl.String,
    "corpus_id": pl.String,
    "partition": pl.String,
    "split_id": pl.String,
    "form": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "failure_rate": pl.Float64,
    "n_training": pl.Float64,
}
"""One score a row. ``setting``: a prompt variant, ``ensemble`` or ``sft``; ``model``: of a fine-tuned one, its base;
``form``: ``hard`` or ``distribution``; ``n_training``: utterances that a fine-tuned model was trained on, mean over
folds."""

CORPORA: Mapping[str, type[pl.DataType]] = {
    "corpus_id": pl.String,
    "setting": pl.String,
    "language": pl.String,
    "n_utterances": pl.Int64,
    "hours": pl.Float64,
}
"""One corpus a row, from its card; ``language`` names all, in alphabetical order, Taiwanese Mandarin as Mandarin."""

PLACE = ("corpus_id", "partition")
N = pl.len().cast(pl.Int64)
GroupBy: TypeAlias = Literal["setting", "language"]


# --- scores ------------------------------------------------------------------------------------------------------


def measured(boards: Sequence[Board], runs: Sequence[FinishedRun], *, synthetic: bool = False) -> pl.DataFrame:
    """Scores of finished zero-shot and fine-tuned runs, by `SCORES`: those of the boards that the ranking counts.

    Hard scores on every such board, and set scores of stated distributions where votes are counted by the card's
    default rule. Partial runs, transfers and supervised systems are left out; so are runs that deviate from the
    protocol, where a standard one of the same system stands beside them.

    Args:
        boards: of ``scoreboard.boards(runs)``.
        runs: the runs that the boards were made of.
        synthetic: take synthetic corpora, and no real ones; the two are never averaged.
    """
    by_id = {run.manifest.run_id: run.manifest for run in runs if run.manifest.corpus_card.synthetic == synthetic}
    hard = evaluation_boards(
        [board for board in boards if any(entry.run_id in by_id for entry in board.entries)],
        [run for run in runs if run.manifest.run_id in by_id],
    )
    rows = []
    for board in [*hard.values(), *_soft_boards(boards, hard, by_id)]:
        chosen: dict[tuple[str, str], Entry] = {}
        for entry in board.entries:
            if entry.kind != "run" or entry.partial or entry.training not in ("zero-shot", SFT):
                continue
            setting = SFT if entry.training == SFT else entry.system
            if setting not in (*lookup.prompt_names(), ENSEMBLE, SFT):
                continue
            system = (_base_model(by_id[str(entry.run_id)]), setting)
            if system not in chosen or (chosen[system].note and not entry.note):
                chosen[system] = entry
        names = {name: PUBLISHED_SOFT_NAMES.get(name, name) for name in board.columns}
        rows += [
            {
                "model": model,
                "setting": setting,
                "corpus_id": board.corpus_id,
                "partition": board.partition,
                "split_id": board.split_id,
                "form": "hard" if board.vote_rule is None else "distribution",
                "metric": names[metric],
                "value": cell.value,
                "failure_rate": entry.failure_rate,
                "n_training": _n_training(by_id[str(entry.run_id)]),
            }
            for (model, setting), entry in chosen.items()
            for metric, cell in entry.cells.items()
            if cell.value is not None
        ]
    return pl.DataFrame(rows, schema=dict(SCORES), orient="row")


PUBLISHED_SOFT_NAMES = {ours: theirs for theirs, ours in PUBLISHED_SOFT.items()}
"""Soft metrics of ours to the paper's name; the form tells them from hard ones."""


def _soft_boards(
    boards: Sequence[Board], hard: Mapping[tuple[str, str], Board], by_id: Mapping[str, RunManifest]
) -> list[Board]:
    found = []
    for board in boards:
        own = hard.get((board.corpus_id, board.partition))
        manifest = next((by_id[str(entry.run_id)] for entry in board.entries if entry.run_id in by_id), None)
        if own is None or manifest is None or manifest.corpus_card.perception is None or board.vote_rule is None:
            continue
        same = [
            (one.split_id, one.label_source, one.audio_condition, one.reading, rule, policy)
            for one, rule, policy in (
                (own, manifest.corpus_card.perception.default_vote_rule, "uniform"),
                (board, board.vote_rule, board.failure_policy),
            )
        ]
        if same[0] == same[1] and manifest.label_names == manifest.corpus_card.labels.names:
            found.append(board)
    return found


def _base_model(manifest: RunManifest) -> str:
    card = next(iter(manifest.model_cards.values()))
    return card.model_id if card.training is None else card.training.base_model_id or card.model_id


def _n_training(manifest: RunManifest) -> float | None:
    sizes = [card.training.n_utterances for card in manifest.model_cards.values() if card.training is not None]
    return sum(sizes) / len(sizes) if sizes else None


def printed() -> pl.DataFrame:
    """What the paper prints in Tables 4, 5 and 6, by `SCORES`; it gives failure rates only as means (Figure 1)."""
    rows = [
        {
            "model": row["system"],
            "split_id": "as published",
            "failure_rate": None,
            "n_training": None,
            **{name: row[name] for name in ("setting", "corpus_id", "partition", "form", "metric")},
            "value": float(row["value"]),
        }
        for row in lookup.published()
        if row["source"].endswith(("Table 4/5", "Table 6"))
        and row["setting"] in (*lookup.prompt_names(), ENSEMBLE, SFT)
    ]
    return pl.DataFrame(rows, schema=dict(SCORES), orient="row")


def printed_sensitivity() -> pl.DataFrame:
    """The bars of the paper's Figure 1, in the columns of `prompt_sensitivity`; it does not say which splits it means.

    The bars fit the means of Table 6 best (six voted splits), and the direct ones not quite (PROTOCOL section 10).
    """
    bars: dict[tuple[str, str], dict[str, float]] = {}
    for row in lookup.published():
        if row["metric"] in ("avg_macro_f1", "avg_parse_failure_rate"):
            bars.setdefault((row["system"], row["setting"]), {})[row["metric"]] = float(row["value"])
    rows = [
        {
            "model": model,
            "form": "distribution",
            "setting": setting,
            "mean": bar["avg_macro_f1"],
            "failure_rate": bar["avg_parse_failure_rate"],
            "n_splits": None,
        }
        for (model, setting), bar in bars.items()
    ]
    return pl.DataFrame(rows, schema=SENSITIVITY, orient="row")


def corpora(cards: Iterable[CorpusCard] | None = None) -> pl.DataFrame:
    """What the analyses ask of corpora, by `CORPORA`; of the benchmark's own when no cards are given.

    Size is that of the benchmark's subset, or the paper's where the card counts none.
    """
    chosen = lookup.builtin_corpus_cards() if cards is None else {card.corpus_id: card for card in cards}.values()
    return pl.DataFrame([_corpus(card) for card in chosen], schema=dict(CORPORA), orient="row")


def _corpus(card: CorpusCard) -> dict[str, str | int | float | None]:
    n_in_paper, hours_in_paper = (None, None) if card.paper is None else (card.paper.n_utterances, card.paper.hours)
    return {
        "corpus_id": card.corpus_id,
        "setting": card.setting,
        "language": ", ".join(sorted({tag.split("-")[0] for tag in card.languages})),
        "n_utterances": card.expected.n_utterances or n_in_paper,
        "hours": card.expected.hours or hours_in_paper,
    }


def beside(ours: pl.DataFrame, paper: pl.DataFrame, *, on: Sequence[str]) -> pl.DataFrame:
    """Ours with the paper's columns beside, as ``<name>_paper``; rows that only one has stay.

    Args:
        ours: a table of one of the analyses.
        paper: the same analysis of `printed`.
        on: the columns that name a row.
    """
    return ours.join(
        paper, on=list(on), how="full", suffix="_paper", coalesce=True, nulls_equal=True, maintain_order="left_right"
    )


# --- analyses ----------------------------------------------------------------------------------------------------


def _prompts(scores: pl.DataFrame, metric: str, form: str) -> pl.DataFrame:
    """Zero-shot scores of the paper's prompts, on the splits where a model was asked all that it was asked anywhere.

    So that means of different prompts are about the same speech. A model that was asked one prompt has no rows.
    """
    rows = scores.filter(
        pl.col("metric") == metric, pl.col("form") == form, pl.col("setting").is_in(lookup.prompt_names())
    )
    n_here = pl.col("setting").n_unique().over("model", *PLACE)
    n_anywhere = pl.col("setting").n_unique().over("model")
    return rows.filter(n_here == n_anywhere, n_anywhere > 1).sort("model", *PLACE, _place_of_prompt())


def _place_of_prompt() -> pl.Expr:
    return pl.col("setting").replace_strict(
        {name: place for place, name in enumerate(lookup.prompt_names())}, return_dtype=pl.Int64
    )


def prompt_effect(
    scores: pl.DataFrame, facts: pl.DataFrame, *, by: GroupBy, metric: str = METRIC, form: str = "hard"
) -> pl.DataFrame:
    """Mean score of each prompt by kind of corpus, and what it gains over the direct one.

    Args:
        scores: by `SCORES`; splits where a model was not asked all of its prompts are left out.
        facts: by `CORPORA`.
        by: ``setting`` (acted or in the wild) or ``language``.
        metric: name of the metric.
        form: ``hard`` or ``distribution``.

    Returns:
        Columns model, group, setting, mean, gain, gain_low, gain_high (least and largest gain of a split), n_splits;
        prompts in the paper's order, the group ``all`` last.
    """
    rows = _prompts(scores, metric, form).join(
        facts.select("corpus_id", group=by), on="corpus_id", how="left", maintain_order="left"
    )
    direct = pl.col("value").filter(pl.col("setting") == DIRECT).first().over("model", *PLACE)
    rows = rows.with_columns(gain=pl.col("value") - direct)
    grouped = pl.concat([rows.filter(pl.col("group").is_not_null()), rows.with_columns(group=pl.lit("all"))])
    return (
        grouped.group_by("model", "group", "setting", maintain_order=True)
        .agg(
            mean=pl.col("value").mean(),
            gain=pl.col("gain").mean(),
            gain_low=pl.col("gain").min(),
            gain_high=pl.col("gain").max(),
            n_splits=N,
        )
        .sort("model", pl.col("group") == "all", "group", _place_of_prompt())
    )


def best_variant_counts(scores: pl.DataFrame, *, metric: str = METRIC, form: str = "hard") -> pl.DataFrame:
    """On how many splits each prompt is the best one of its model; prompts that tie share the split equally.

    Returns:
        Columns model, setting, count (a fraction where prompts tie), n_ties (splits that it shares), n_splits; every
        prompt, in the paper's order.
    """
    place = ("model", *PLACE)
    is_best = pl.col("value") == pl.col("value").max().over(place)
    n_best = is_best.sum().over(place)
    return (
        _prompts(scores, metric, form)
        .with_columns(share=pl.when(is_best).then(1 / n_best).otherwise(0.0), tied=is_best & (n_best > 1))
        .group_by("model", "setting", maintain_order=True)
        .agg(count=pl.col("share").sum(), n_ties=pl.col("tied").sum().cast(pl.Int64), n_splits=N)
        .sort("model", _place_of_prompt())
    )


def model_wins(scores: pl.DataFrame, *, metric: str = METRIC, form: str = "hard") -> pl.DataFrame:
    """On how many splits the best prompt of one model beats that of another, for each pair of models.

    Both are chosen on the test part, and both flattered alike.

    Returns:
        Columns model, other, wins, ties, n_splits, with both orders of each pair.
    """
    best = _best_prompt(scores, metric, form).select("model", *PLACE, "best")
    pairs = best.join(best, on=PLACE, suffix="_other").filter(pl.col("model") != pl.col("model_other"))
    return (
        pairs.group_by("model", other="model_other")
        .agg(
            wins=(pl.col("best") > pl.col("best_other")).sum().cast(pl.Int64),
            ties=(pl.col("best") == pl.col("best_other")).sum().cast(pl.Int64),
            n_splits=N,
        )
        .sort("model", "other")
    )


def variant_spread(scores: pl.DataFrame, *, metric: str = METRIC, form: str = "hard") -> pl.DataFrame:
    """How far apart the best and the worst prompt are, on each split where a model was asked all of its prompts.

    Returns:
        Columns model, corpus_id, partition, best, best_prompt (the first of several), worst, worst_prompt, spread; the
        largest spread of each model first.
    """
    by_value = pl.col("setting").sort_by("value", descending=True, maintain_order=True)
    return (
        _prompts(scores, metric, form)
        .group_by("model", *PLACE, maintain_order=True)
        .agg(
            best=pl.col("value").max(),
            best_prompt=by_value.first(),
            worst=pl.col("value").min(),
            worst_prompt=by_value.last(),
            spread=pl.col("value").max() - pl.col("value").min(),
        )
        .sort("model", "spread", *PLACE, descending=[False, True, False, False])
    )


def mean_spread(spreads: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Mean spread between prompts, of acted corpora, of those in the wild, and of all.

    Args:
        spreads: of `variant_spread`.
        facts: by `CORPORA`.

    Returns:
        Columns model, group, mean, low, high (least and largest), n_splits.
    """
    rows = spreads.join(facts.select("corpus_id", group="setting"), on="corpus_id", how="left", maintain_order="left")
    grouped = pl.concat([rows.filter(pl.col("group").is_not_null()), rows.with_columns(group=pl.lit("all"))])
    return (
        grouped.group_by("model", "group")
        .agg(
            mean=pl.col("spread").mean(),
            low=pl.col("spread").min(),
            high=pl.col("spread").max(),
            n_splits=N,
        )
        .sort("model", pl.col("group") == "all", "group")
    )


def _best_prompt(scores: pl.DataFrame, metric: str, form: str) -> pl.DataFrame:
    """The best of the prompts that were asked on each split: five, unless the paper's were not all asked."""
    asked = scores.filter(
        pl.col("metric") == metric, pl.col("form") == form, pl.col("setting").is_in(lookup.prompt_names())
    ).sort(_place_of_prompt())
    return (
        asked.sort("value", descending=True, maintain_order=True)
        .group_by("model", *PLACE, maintain_order=True)
        .agg(best=pl.col("value").first(), best_prompt=pl.col("setting").first(), n_prompts=N)
        .sort("model", *PLACE)
    )


def sft_gain(scores: pl.DataFrame, facts: pl.DataFrame, *, metric: str = METRIC) -> pl.DataFrame:
    """What fine-tuning on a corpus gains over the best zero-shot prompt, beside the corpus's size.

    The best prompt is chosen on the test part, as in the paper's Table 8: the gain is if anything too small.

    Args:
        scores: by `SCORES`.
        facts: by `CORPORA`.
        metric: name of the metric.

    Returns:
        Columns model, corpus_id, partition, sft, best, best_prompt, n_prompts (that the best is one of), gain,
        n_training and training_hours (that it was trained on, mean over folds, hours at the corpus's mean length; null
        where not known), n_utterances and hours of the corpus; smallest corpus first.
    """
    tuned = scores.filter(pl.col("metric") == metric, pl.col("form") == "hard", pl.col("setting") == SFT)
    return (
        tuned.select("model", *PLACE, "n_training", sft="value")
        .join(_best_prompt(scores, metric, "hard"), on=["model", *PLACE])
        .join(facts.select("corpus_id", "n_utterances", "hours"), on="corpus_id", how="left")
        .select(
            "model",
            *PLACE,
            "sft",
            "best",
            "best_prompt",
            "n_prompts",
            gain=pl.col("sft") - pl.col("best"),
            n_training="n_training",
            training_hours=pl.col("hours") * pl.col("n_training") / pl.col("n_utterances"),
            n_utterances="n_utterances",
            hours="hours",
        )
        .sort("model", "n_utterances", *PLACE, nulls_last=True)
    )


def gain_by_size(gains: pl.DataFrame) -> pl.DataFrame:
    """Whether fine-tuning gains more on larger corpora: Spearman's rank correlation of gain and size.

    Args:
        gains: of `sft_gain`.

    Returns:
        Columns model, mean_gain, n_gained (splits with a gain above 0), rho_utterances, rho_hours (-1 to 1; null with
        less than three splits, or where sizes are all the same), n_splits. Size is that of the corpus.
    """
    rows = []
    for (model,), part in gains.partition_by("model", as_dict=True, maintain_order=True).items():
        rows.append(
            {
                "model": model,
                "mean_gain": part["gain"].mean(),
                "n_gained": int((part["gain"] > 0).sum()),
                "rho_utterances": _spearman(part, "n_utterances"),
                "rho_hours": _spearman(part, "hours"),
                "n_splits": part.height,
            }
        )
    schema = {
        "model": pl.String,
        "mean_gain": pl.Float64,
        "n_gained": pl.Int64,
        "rho_utterances": pl.Float64,
        "rho_hours": pl.Float64,
        "n_splits": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _spearman(part: pl.DataFrame, size: str) -> float | None:
    known = part.filter(pl.col(size).is_not_null())
    if known.height < 3 or min(known[size].n_unique(), known["gain"].n_unique()) < 2:
        return None
    return float(np.corrcoef(known[size].rank("average"), known["gain"].rank("average"))[0, 1])


SENSITIVITY = {
    "model": pl.String,
    "form": pl.String,
    "setting": pl.String,
    "mean": pl.Float64,
    "failure_rate": pl.Float64,
    "n_splits": pl.Int64,
}


def prompt_sensitivity(scores: pl.DataFrame, *, metric: str = METRIC) -> pl.DataFrame:
    """Mean score and mean failure rate of each prompt in each form: the paper's Figure 1.

    Only splits where a model was asked all of its prompts in that form count, so that the bars of one figure are about
    the same speech. The paper prints two prompts of the distribution form in full (Table 6).

    Returns:
        Columns model, form, setting, mean, failure_rate (null where it is not known), n_splits; prompts in the paper's
        order.
    """
    parts = [
        _prompts(scores, metric, form)
        .group_by("model", "form", "setting", maintain_order=True)
        .agg(mean=pl.col("value").mean(), failure_rate=pl.col("failure_rate").mean(), n_splits=N)
        for form in ("hard", "distribution")
    ]
    return pl.concat(parts).sort("model", pl.col("form") == "distribution", _place_of_prompt()).select(*SENSITIVITY)
