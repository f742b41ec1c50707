"""Cards, split and prompts to a run folder: every question that must be answered, before any is asked."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from voxemo import __version__
from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard, ModelCard, PromptText, RunManifest, SplitFacts
from voxemo.core.errors import RunError, UnknownName
from voxemo.core.ids import canonical_json, run_id, sha256_lines, sha256_text
from voxemo.core.types import Generation, LabelSource, PromptForm, Split, Utterance
from voxemo.parsing.reasons import PARSER_VERSION
from voxemo.prompts.render import render_prompt
from voxemo.scoring.table import SCORER_VERSION
from voxemo.splits.policies import utterances_sha256 as split_base_sha256
from voxemo.store.files import write_text
from voxemo.store.layout import MODEL_CARD, RunPaths, Workspace
from voxemo.store.manifest import read_manifest, write_manifest
from voxemo.store.models import checkpoint_revision, remember_model
from voxemo.store.provenance import git_state, package_versions
from voxemo.store.tables import PLAN, frame, read_table, write_table
from voxemo.store.workspace import PreparedCorpus, read_prepared, read_split

SUPERVISED_BACKENDS = ("acoustic-baseline",)
"""Backends whose models are trained on a split and have one card per fold."""

AUDIO_HANDLING = "16 kHz mono float32; channels averaged; soxr HQ resampling"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What a user can say about a run beyond corpus, model and split. None takes the protocol's value."""

    forms: tuple[PromptForm, ...] | None = None
    """``hard`` and/or ``distribution``; the protocol asks the distribution form where votes exist."""
    variants: tuple[str, ...] | None = None
    """Prompt names or paths; the five of the paper by default, ``direct`` alone for supervised systems."""
    folds: tuple[str, ...] | None = None
    label_source: LabelSource | None = None
    limit: int | None = None
    """Answer only so many utterances of each fold's test part; marks the run as partial."""
    generation: Generation = field(default_factory=Generation)


def fold_cards(
    workspace: Workspace, model: str, *, corpus_id: str, split: Split, folds: Sequence[str]
) -> dict[str, ModelCard]:
    """The card of each fold for a model that is trained per fold; the key ``all`` for any other.

    Raises:
        RunError: a fold's model has not been trained.
    """
    card = lookup.model_card(model)
    if card.repository is not None and Path(card.repository).is_dir():
        return {"all": _local_checkpoint(workspace, card, Path(card.repository))}
    if card.training is not None:
        remember_model(workspace, card, Path(model).parent)
        same = card.training.corpus_id == corpus_id and card.training.split_id == split.split_id
        return {card.training.fold_id: card} if same else {"all": card}
    if card.backend not in SUPERVISED_BACKENDS:
        return {"all": card}
    cards: dict[str, ModelCard] = {}
    for fold_id in folds:
        path = workspace.model_folder(card.model_id, corpus_id, split.split_id, fold_id) / MODEL_CARD
        if not path.is_file():
            raise RunError(
                f"{model} has not been trained on fold {fold_id} of {corpus_id}, split {split.split_id}. "
                f"Run: voxemo train {corpus_id} --model {model} --split {split.split_id}"
            )
        cards[fold_id] = lookup.model_card(str(path))
        remember_model(workspace, cards[fold_id], path.parent)
    return cards


def _local_checkpoint(workspace: Workspace, card: ModelCard, folder: Path) -> ModelCard:
    """The card of a checkpoint on this machine's disk as a run may name it: by content, not by path."""
    named = card.model_copy(
        update={"repository": folder.resolve().name, "revision": card.revision or checkpoint_revision(folder)}
    )
    remember_model(workspace, named, folder)
    return named


def plan_run(
    workspace: Workspace,
    runs: Path,
    *,
    corpus: str,
    model: str,
    split_id: str = "protocol",
    options: PlanOptions | None = None,
    command: str | None = None,
) -> Path:
    """Write a run folder; the same plan again gives the same folder, with its answers kept.

    Args:
        workspace: holds the prepared corpus, the split and trained models.
        runs: folder that run folders go into.
        corpus: name of the corpus.
        model: name of a model card, or path to one.
        split_id: name of a split that `voxemo split` made.
        options: differences from the protocol.
        command: the command line, for the manifest; None when there was none.

    Returns:
        The run folder.

    Raises:
        UnknownName, NotPrepared, SplitError, RunError: as the message says.
    """
    options = options or PlanOptions()
    corpus_card = lookup.corpus_card(corpus)
    prepared = read_prepared(workspace, corpus_card)
    split, split_facts = read_split(workspace, corpus_card.corpus_id, split_id)
    if split.utterances_sha256 != split_base_sha256(prepared.benchmark, label_source=corpus_card.gold):
        raise RunError(
            f"The split {split_id!r} of {corpus_card.corpus_id} was made from another manifest than the one prepared "
            f"now. Run again: voxemo split {corpus_card.corpus_id} --policy {split_id}"
        )
    chosen = _choose_folds(split, options.folds)
    cards = fold_cards(workspace, model, corpus_id=corpus_card.corpus_id, split=split, folds=chosen)
    if "all" not in cards:
        chosen = tuple(fold_id for fold_id in chosen if fold_id in cards)
    prompts = _render(corpus_card, next(iter(cards.values())), options)
    rows = _rows(prepared, split, chosen, cards, prompts, options)
    label_source = options.label_source or corpus_card.gold
    if label_source not in corpus_card.label_sources:
        raise RunError(
            f"{corpus_card.corpus_id} has no {label_source} labels; it has {', '.join(corpus_card.label_sources)}."
        )
    table = frame(rows, PLAN)
    plan_hash = plan_sha256(table, split_sha256=split_facts["sha256"], label_source=label_source)
    card = next(iter(cards.values()))
    protocol = _protocol(card, corpus_card)
    name = run_id(corpus_id=corpus_card.corpus_id, model_id=card.model_id, protocol=protocol, plan_sha256=plan_hash)
    run = runs / name
    paths = RunPaths(run)
    if paths.manifest.is_file() and read_manifest(run).plan_sha256 == plan_hash:
        check_plan(run)
        return run
    commit, dirty = git_state()
    partial = _partial(prepared, split, chosen, options)
    manifest = RunManifest(
        run_id=name,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        voxemo_version=__version__,
        git_commit=commit,
        git_dirty=dirty,
        command=command,
        protocol=protocol,
        plan_sha256=plan_hash,
        n_requests=table["request_id"].n_unique(),
        corpus_card=corpus_card,
        corpus_card_sha256=corpus_card.sha256(),
        utterances_sha256=prepared.report["utterances_sha256"],
        corpus_counts={
            "utterances": len(prepared.benchmark),
            "speakers": len({u.speaker_id for u in prepared.benchmark if u.speaker_id is not None}),
            "excluded": len(prepared.utterances) - len(prepared.benchmark),
            "unusable": sum(u.unusable_reason is not None for u in prepared.benchmark),
        },
        corpus_complete=not prepared.report["differences"],
        split=SplitFacts(
            split_id=split.split_id,
            policy=split.policy,
            source=split.source,
            seed=split.seed,
            split_sha256=split_facts["sha256"],
            speaker_independent=split.speaker_independent,
            overlap=split_facts["overlap"],
            n_folds=len(split.folds),
            folds=chosen,
            partitions=tuple(sorted(table["partition"].unique())),
        ),
        model_cards=cards,
        prompts=tuple(prompts),
        label_names=corpus_card.labels.names,
        label_source=label_source,
        vote_rule=corpus_card.perception.default_vote_rule if corpus_card.perception else None,
        generation=asdict(options.generation),
        audio_condition="clean",
        audio_handling=_audio_handling(card),
        parser_version=PARSER_VERSION,
        scorer_version=SCORER_VERSION,
        failure_policy={"hard": "wrong", "soft": "uniform"},
        tie_break="label_order",
        seeds={"split": split.seed or 0, "bootstrap": 0},
        package_versions=package_versions(),
        training_overlap=training_overlap(card, corpus_card),
        partial=partial,
        deviations=_deviations(corpus_card, card, prompts, options, split, label_source),
    )
    write_table(paths.plan, table, PLAN)
    write_text(
        paths.prompts, "".join(json.dumps(p.model_dump(mode="json"), ensure_ascii=False) + "\n" for p in prompts)
    )
    # Last: a folder without a manifest is no run, so an interrupted plan leaves nothing that looks finished.
    write_manifest(run, manifest)
    return run


def plan_sha256(table: pl.DataFrame, *, split_sha256: str, label_source: str) -> str:
    """Hash of what a run asks and is judged by: split, label source, and every row of the plan in order."""
    header = canonical_json({"split_sha256": split_sha256, "label_source": label_source})
    columns = table.select("request_id", "fold_id", "partition").iter_rows()
    return sha256_lines([header, *("\t".join(row) for row in columns)])


def check_plan(run: Path) -> tuple[RunManifest, pl.DataFrame]:
    """Read a run's manifest and plan, and refuse them if the plan was changed.

    Raises:
        RunError: the plan is not the one that the manifest was written for.
    """
    manifest = read_manifest(run)
    table = read_table(RunPaths(run).plan, PLAN)
    found = plan_sha256(table, split_sha256=manifest.split.split_sha256, label_source=manifest.label_source)
    if found != manifest.plan_sha256:
        raise RunError(
            f"The plan of {run.name} was changed after it was made: its hash is {found[:8]}, the manifest says "
            f"{manifest.plan_sha256[:8]}. Restore plan.parquet and manifest.json, or plan a new run."
        )
    return manifest, table


def _choose_folds(split: Split, asked: tuple[str, ...] | None) -> tuple[str, ...]:
    there = tuple(fold.fold_id for fold in split.folds)
    for fold_id in asked or ():
        if fold_id not in there:
            raise UnknownName("fold", fold_id, there)
    return asked or there


def _render(corpus: CorpusCard, model: ModelCard, options: PlanOptions) -> list[PromptText]:
    forms = options.forms or default_forms(corpus)
    names = options.variants or default_variants(model)
    label_set = corpus.label_set(lookup.label_table())
    prompts = []
    for name in names:
        variant, template = lookup.prompt(name)
        for form in forms:
            text = render_prompt(variant, template, form=form, label_set=label_set)
            prompts.append(
                PromptText(
                    prompt_sha256=sha256_text(text),
                    variant_id=variant.variant_id,
                    variant_version=variant.version,
                    form=form,
                    label_names=label_set.names,
                    text=text,
                )
            )
    return prompts


def default_forms(corpus: CorpusCard) -> tuple[PromptForm, ...]:
    """Forms that the protocol asks: hard everywhere, distribution where votes are released (PROTOCOL section 4)."""
    voted = corpus.perception is not None and corpus.perception.votes_released
    return ("hard", "distribution") if voted else ("hard",)


def default_variants(model: ModelCard) -> tuple[str, ...]:
    """Prompt variants that the protocol asks: all five of a speech LLM, ``direct`` of a supervised system."""
    return ("direct",) if model.backend in SUPERVISED_BACKENDS else lookup.prompt_names()


def _rows(
    prepared: PreparedCorpus,
    split: Split,
    folds: Sequence[str],
    cards: dict[str, ModelCard],
    prompts: Sequence[PromptText],
    options: PlanOptions,
) -> list[dict[str, Any]]:
    utterances = {utterance.utterance_id: utterance for utterance in prepared.benchmark}
    hashes = {fold_id: card.sha256() for fold_id, card in cards.items()}
    generation = asdict(options.generation)
    rows = []
    for fold in split.folds:
        if fold.fold_id not in folds:
            continue
        card_key = fold.fold_id if fold.fold_id in cards else "all"
        for partition in sorted(name for name in fold.partitions if name.startswith("test")):
            for name in _limited(fold.partitions[partition], options.limit):
                for prompt in prompts:
                    rows.append(
                        _request(utterances[name], prompt, cards[card_key], hashes[card_key], generation)
                        | {"fold_id": fold.fold_id, "partition": partition}
                    )
    return rows


def _limited(names: Sequence[str], limit: int | None) -> Sequence[str]:
    if limit is None:
        return names
    # By hash, so that the few are spread over speakers and labels instead of being the first speaker's.
    return sorted(sorted(names, key=sha256_text)[:limit])


def _request(
    utterance: Utterance, prompt: PromptText, card: ModelCard, model_sha256: str, generation: dict[str, Any]
) -> dict[str, Any]:
    content = {
        "utterance_id": utterance.utterance_id,
        "form": prompt.form,
        "variant_id": prompt.variant_id,
        "prompt_sha256": prompt.prompt_sha256,
        "audio_sha256": utterance.audio_sha256,
        "audio_condition": "clean",
        "model_id": card.model_id,
        "model_sha256": model_sha256,
        "sample_index": 0,
    }
    request_id = sha256_text(canonical_json({**content, "generation": generation}))[:32]
    return {"request_id": request_id, **content}


def _protocol(card: ModelCard, corpus: CorpusCard) -> str:
    kind = training_kind(card, corpus.corpus_id)
    return kind.replace("_", "-")


def training_kind(card: ModelCard, corpus_id: str) -> str:
    """How a model met the corpus: zero_shot, sft or supervised on it, or transfer from another."""
    if card.training is None:
        return "zero_shot"
    return card.training.kind if card.training.corpus_id == corpus_id else "transfer"


def training_overlap(card: ModelCard, corpus: CorpusCard) -> str:
    """What is known of the corpus being in the model's training data (PROTOCOL section 9)."""
    if card.training is not None and card.training.corpus_id == corpus.corpus_id:
        return f"trained on {corpus.corpus_id}, partitions {', '.join(card.training.partitions)} of the same fold only"
    if card.training_corpora == "undisclosed":
        return "undisclosed: the model's training data may hold this corpus"
    if corpus.corpus_id in card.training_corpora:
        return f"yes: the model's training data holds {corpus.corpus_id}"
    return "none known"


def _audio_handling(card: ModelCard) -> str:
    limits = card.audio
    beyond = f"; beyond {limits.max_s:g} s: {limits.beyond}" if limits.max_s is not None else ""
    return f"{AUDIO_HANDLING}; under {limits.min_s:g} s padded with zeros{beyond}"


def _partial(prepared: PreparedCorpus, split: Split, folds: Sequence[str], options: PlanOptions) -> str | None:
    reasons = []
    if prepared.report["differences"]:
        reasons.append("the corpus on disk is incomplete")
    if options.limit is not None:
        reasons.append(f"at most {options.limit} utterances of each test partition")
    if len(folds) < len(split.folds):
        reasons.append(f"folds {', '.join(folds)} of {len(split.folds)}")
    return "; ".join(reasons) or None


def _deviations(
    corpus: CorpusCard,
    model: ModelCard,
    prompts: Sequence[PromptText],
    options: PlanOptions,
    split: Split,
    label_source: str,
) -> tuple[str, ...]:
    found = []
    standard = asdict(Generation())
    changed = {name: value for name, value in asdict(options.generation).items() if value != standard[name]}
    if changed:
        found.append("decoding differs from the protocol: " + ", ".join(f"{k} = {v}" for k, v in changed.items()))
    variants = {prompt.variant_id for prompt in prompts}
    if variants != set(default_variants(model)):
        found.append(f"prompt variants: {', '.join(sorted(variants))}")
    forms = {prompt.form for prompt in prompts}
    if forms != set(default_forms(corpus)):
        found.append(f"answer forms: {', '.join(sorted(forms))}")
    if split.split_id != "protocol":
        found.append(f"split {split.split_id!r} instead of the protocol's")
    if label_source != corpus.gold:
        found.append(f"scored against {label_source} labels; the protocol takes {corpus.gold}")
    return tuple(found)
