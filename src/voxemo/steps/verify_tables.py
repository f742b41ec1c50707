"""Do a bundle's tables fit the plan, the label set and each other, so that they can be scored?"""

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import polars as pl

from voxemo.core.types import CORRECTED, LIKELIHOOD, Response
from voxemo.splits.checks import is_test_partition
from voxemo.steps.bundle_contents import TRAIT_KINDS, Contents, Finding, wrong
from voxemo.steps.parse import READINGS
from voxemo.steps.verify_scores import ABOUT
from voxemo.store.bundles import (
    GOLD,
    MANIFEST,
    PLAN,
    PREDICTIONS,
    PRIORS,
    RESPONSES,
    SCORES,
    TRAITS,
    VOTES,
)
from voxemo.store.tables import PLAN as PLAN_COLUMNS

MAX_LABELS = 100
MAX_TRAINING_LABELS = 100_000_000


def misfits(content: Contents) -> Iterator[Finding]:
    """Whatever keeps the tables from being scored: what does not fit the plan, the label set or the other tables."""
    manifest = content.manifest
    labels = manifest.label_names
    known = set(manifest.corpus_card.labels.names)
    if not 2 <= len(labels) <= MAX_LABELS or len(set(labels)) < len(labels) or not set(labels) <= known:
        yield wrong("label_set", MANIFEST, "the label set is none of the corpus card's, or has labels twice")
        return
    if not manifest.model_cards:
        yield wrong("no_model", MANIFEST, "the manifest names no model")
    yield from _plan_misfits(content)
    yield from _prediction_misfits(content)
    yield from _response_misfits(content)
    yield from _truth_misfits(content)
    if content.scores.select(pl.struct(ABOUT).n_unique()).item() < content.scores.height:
        yield wrong("score_twice", SCORES, "two score rows are about the same")


def _plan_misfits(content: Contents) -> Iterator[Finding]:
    plan, manifest = content.plan, content.manifest
    needed = [name for name in PLAN_COLUMNS if name != "audio_sha256"]
    if not plan.height:
        yield wrong("plan_empty", PLAN, "the plan asks nothing")
        return
    if any(plan[name].null_count() for name in needed):
        yield wrong("plan_gaps", PLAN, "requests lack what a request needs")
        return
    if plan.select(pl.struct("request_id", "fold_id", "partition").n_unique()).item() < plan.height:
        yield wrong("plan_twice", PLAN, "requests stand twice in one test part")
    per_request = plan.group_by("request_id").agg(pl.struct("utterance_id", "variant_id", "form").n_unique())
    if (per_request.to_series(1) > 1).any():
        yield wrong("plan_twice", PLAN, "one request id stands for different questions")
    if set(plan["fold_id"]) != set(manifest.split.folds) or set(plan["partition"]) != set(manifest.split.partitions):
        yield wrong("plan_folds", PLAN, "folds or test parts are not those of the manifest")
    if set(plan["audio_condition"]) != {manifest.audio_condition}:
        yield wrong(
            "plan_audio", PLAN, f"requests hear something else than the manifest says ({manifest.audio_condition})"
        )
    if not all(map(is_test_partition, set(plan["partition"]))):
        yield wrong("plan_folds", PLAN, "parts are asked that are no test parts")
    prompts = {(prompt.variant_id, prompt.form, prompt.prompt_sha256) for prompt in manifest.prompts}
    if not set(plan.select("variant_id", "form", "prompt_sha256").unique().iter_rows()) <= prompts:
        yield wrong("plan_prompts", PLAN, "prompts are asked that the manifest lacks")
    if not manifest.model_cards.keys() <= {"all", *manifest.split.folds}:
        yield wrong("plan_folds", MANIFEST, "a model answers a fold that the run does not have")


def _prediction_misfits(content: Contents) -> Iterator[Finding]:
    predictions, n_labels = content.predictions, len(content.manifest.label_names)
    asked, answered = set(content.plan["request_id"]), set(predictions["request_id"])
    if missing := asked - answered:
        yield wrong("predictions_missing", PREDICTIONS, f"{len(missing)} of {len(asked)} requests have no prediction")
    if extra := answered - asked:
        yield wrong("predictions_unplanned", PREDICTIONS, f"{len(extra)} requests were answered and never planned")
    key = ["request_id", "system_id", "reading"]
    if predictions.select(pl.struct(key).n_unique()).item() < predictions.height:
        yield wrong("predictions_twice", PREDICTIONS, "an answer has two predictions by one reading")
    variant = pl.col("variant_id")
    joined = predictions.join(
        content.requests.select("request_id", "variant_id", asked_form="form", asked_utterance="utterance_id"),
        on="request_id",
        maintain_order="left",
    ).with_columns(
        right_system=pl.when(pl.col("asked_form") == "likelihood")
        .then(
            (pl.col("system_id") == pl.lit(LIKELIHOOD) + variant) | (pl.col("system_id") == pl.lit(CORRECTED) + variant)
        )
        .otherwise(pl.col("system_id") == variant)
    )
    strays = joined.filter(
        ~pl.all_horizontal(
            pl.col("right_system").fill_null(False),
            pl.col("asked_form").eq_missing(pl.col("form")),
            pl.col("asked_utterance").eq_missing(pl.col("utterance_id")),
            pl.col("reading").is_in(READINGS).fill_null(False),
            pl.col("status").is_in(["ok", "repaired", "failed"]).fill_null(False),
        )
    )
    if strays.height:
        yield wrong("predictions_stray", PREDICTIONS, f"{strays.height} predictions are not about what was asked")
    per_system = predictions.group_by("request_id", "system_id").len()
    if (per_system["len"] != len(READINGS)).any():
        yield wrong("predictions_missing", PREDICTIONS, "answers lack one of the two readings")
    usable = predictions.filter(pl.col("status") != "failed")
    labelled = usable.filter(pl.col("form") != "distribution")
    strangers = ~labelled["label"].is_in(list(content.manifest.label_names)).fill_null(False)
    if strangers.any():
        yield wrong("predictions_label", PREDICTIONS, f"{strangers.sum()} predictions are no label of the label set")
    shares = usable.filter(pl.col("form") != "hard")["distribution"]
    if not _are_distributions(shares, n_labels):
        yield wrong("predictions_distribution", PREDICTIONS, "predictions are no distributions over the label set")


def _are_distributions(column: pl.Series, n_labels: int) -> bool:
    if column.null_count():
        return False
    if (column.list.len() != n_labels).any() or column.explode(empty_as_null=False).null_count():
        return False
    return bool(((column.list.sum() - 1).abs() < 1e-6).all() and (column.list.min() >= 0).all())


def _response_misfits(content: Contents) -> Iterator[Finding]:
    names = [row["request_id"] for row in content.responses]
    if len(set(names)) < len(names):
        yield wrong("responses_twice", RESPONSES, "a request has two answers")
    asked = set(content.plan["request_id"])
    if set(names) != asked:
        yield wrong("responses", RESPONSES, f"answers are there to {len(asked & set(names))} of {len(asked)} requests")
    texts = [row["text"] for row in content.responses]
    if content.index.redacted is None and None in texts:
        yield wrong("texts_missing", RESPONSES, f"{texts.count(None)} answers have no text, and nothing says why")
    if content.index.redacted is not None and any(text is not None for text in texts):
        yield wrong("texts_left", RESPONSES, "texts are in a bundle that says they are left out")
    if not {row["finish"] for row in content.responses} <= set(get_args(get_type_hints(Response)["finish"])):
        yield wrong("responses_finish", RESPONSES, "answers end in a way that no answer ends")
    weighing = set(content.plan.filter(pl.col("form") == "likelihood")["request_id"])
    for row in content.responses:
        weighed, silent = row["label_logprobs"], row["silent_logprobs"]
        if row["request_id"] not in weighing and (weighed is not None or silent is not None):
            yield wrong("responses_likelihood", RESPONSES, "likelihoods are there of requests that ask for a text")
            return
        gaps = None in (weighed or ()) or None in (silent or ())
        if gaps or (silent is not None and len(silent) != len(weighed or ())):
            yield wrong("responses_likelihood", RESPONSES, "likelihoods are there of some labels alone")
            return


def _truth_misfits(content: Contents) -> Iterator[Finding]:
    gold, votes, priors = content.gold, content.votes, content.priors
    tested = set(content.plan["utterance_id"])
    labels = content.manifest.label_names
    if set(gold["utterance_id"]) != tested or gold["utterance_id"].n_unique() < gold.height:
        yield wrong("gold_utterances", GOLD, "gold labels are not those of the tested utterances, each once")
    if not gold["label"].drop_nulls().is_in(list(labels)).all():
        yield wrong("gold_label", GOLD, "gold labels are outside the label set")
    rules = priors.get("rules")
    folds = priors.get("label_counts")
    soft = priors.get("soft_priors")
    if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules) or len(set(rules)) < len(rules):
        yield wrong("priors", PRIORS, "expected 'rules', the names of the counting rules")
        return
    if not set(votes["utterance_id"]) <= tested or not set(votes["rule"]) <= set(rules):
        yield wrong("votes", VOTES, "votes are about other utterances, or by a counting rule that is not known")
    if votes.select(pl.struct("utterance_id", "rule").n_unique()).item() < votes.height:
        yield wrong("votes", VOTES, "an utterance has two rows of votes by one rule")
    counts = votes["votes"]
    if counts.null_count() or any(
        len(row) != len(labels) or None in row or min(row) < 0 or not 0 < sum(row) < 1e9 for row in counts.to_list()
    ):
        yield wrong("votes", VOTES, "votes are no counts of every label")
    traits = content.traits
    if not set(traits["utterance_id"]) <= tested or not set(traits["kind"]) <= set(TRAIT_KINDS):
        yield wrong("traits", TRAITS, "groups are of other utterances, or of a kind that is not known")
    if traits["group"].null_count() or traits.select(pl.struct("utterance_id", "kind").n_unique()).item() < len(traits):
        yield wrong("traits", TRAITS, "an utterance has no group, or two of one kind")
    if not isinstance(folds, dict) or folds.keys() != set(content.manifest.split.folds):
        yield wrong("priors", PRIORS, "expected 'label_counts' of every fold")
    elif not all(_are_counts(row, len(labels)) for row in folds.values()):
        yield wrong("priors", PRIORS, "'label_counts' are no counts of every label")
    wanted = {f"{rule}/{fold_id}" for rule in rules for fold_id in content.manifest.split.folds}
    if not isinstance(soft, dict) or soft.keys() != wanted:
        yield wrong("priors", PRIORS, "expected 'soft_priors' of every counting rule and fold")
    elif not all(row is None or _is_distribution(row, len(labels)) for row in soft.values()):
        yield wrong("priors", PRIORS, "'soft_priors' are no distributions over the labels")


def _are_counts(row: Any, n_labels: int) -> bool:
    if not isinstance(row, list) or len(row) != n_labels:
        return False
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in row)
    return whole and sum(row) <= MAX_TRAINING_LABELS


def _is_distribution(row: Any, n_labels: int) -> bool:
    if not isinstance(row, list) or len(row) != n_labels:
        return False
    numbers = all(isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1 for share in row)
    return numbers and abs(sum(row) - 1) < 1e-6
