"""Cards, split and prompts to a run folder: every question that must be answered, before any is asked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from voxemo import __version__
from voxemo.catalog import lookup
from voxemo.catalog.transfer import primary_language
from voxemo.core.cards import CorpusCard, LabelTable, ModelCard, PromptText, RunManifest, SplitFacts
from voxemo.core.errors import RunError, UnknownName, listing
from voxemo.core.ids import canonical_json, run_id, sha256_lines, sha256_text
from voxemo.core.types import (
    ENSEMBLE,
    MEAN_DISTRIBUTION,
    AudioCondition,
    Form,
    Generation,
    LabelSource,
    PromptForm,
    Split,
    Utterance,
)
from voxemo.parsing.reasons import PARSER_VERSION
from voxemo.prompts.render import render_prompt
from voxemo.splits.checks import is_test_partition
from voxemo.splits.policies import utterances_sha256
from voxemo.steps.corpora import find_card
from voxemo.steps.fold_models import EVERY_FOLD, SUPERVISED_BACKENDS, fold_cards, training_kind, training_overlap
from voxemo.steps.leaks import refuse_leaks
from voxemo.store.files import write_text
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.manifest import read_manifest, write_manifest
from voxemo.store.provenance import git_state, package_versions
from voxemo.store.tables import PLAN, frame, read_table, write_table
from voxemo.store.workspace import PreparedCorpus, read_prepared, read_split, split_command
from voxemo.training.lora import differences_from_paper

HEARD_INSTEAD = {"silence": "silence", "noise": "noise of the same power", "shuffled": "the clip of another utterance"}
AUDIO_HANDLING = "16 kHz mono float32; channels averaged without those of low frequency (LFE); soxr HQ resampling"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What a user can say about a run beyond corpus, model and split. None takes the protocol's value."""

    forms: tuple[Form, ...] | None = None
    """``hard``, ``distribution`` and/or ``likelihood``; the protocol asks the second where votes exist, and never the
    third."""
    variants: tuple[str, ...] | None = None
    """Prompt names or paths; the five of the paper by default, ``direct`` alone for trained systems."""
    folds: tuple[str, ...] | None = None
    label_source: LabelSource | None = None
    backend: str | None = None
    """Runs the model in place of the card's own backend; see ``fold_models.card_on``."""
    audio_condition: AudioCondition = "clean"
    """What is heard in place of the clips, to find out whether the model hears; see ``audio.conditions``."""
    labels: tuple[str, ...] | None = None
    """Ask about these labels of the corpus alone, and only utterances that have one of them: for transfer on labels
    that two languages share."""
    language: str | None = None
    """Ask only utterances in this language (a primary tag), of a corpus that has several."""
    partitions: tuple[str, ...] | None = None
    """Test partitions to ask, of a corpus that has several; all when None."""
    limit: int | None = None
    """Answer only so many utterances of each fold's test part; marks the run as partial."""
    generation: Generation = field(default_factory=Generation)


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
    corpus_card = find_card(workspace, corpus)
    prepared = read_prepared(workspace, corpus_card)
    split, split_facts = read_split(workspace, corpus_card.corpus_id, split_id)
    check_split(split, prepared, corpus_card)
    label_source = options.label_source or corpus_card.gold
    if label_source not in corpus_card.label_sources:
        raise RunError(
            f"{corpus_card.corpus_id} has no {label_source} labels; it has {', '.join(corpus_card.label_sources)}."
        )
    label_names = planned_labels(corpus_card, options)
    asked = _choose_folds(split, options.folds)
    cards = fold_cards(
        workspace,
        model,
        corpus_id=corpus_card.corpus_id,
        split_id=split.split_id,
        split_sha256=split_facts["sha256"],
        folds=asked,
        backend=options.backend,
    )
    folds = asked if EVERY_FOLD in cards else tuple(fold_id for fold_id in asked if fold_id in cards)
    card = next(iter(cards.values()))
    prompts = planned_prompts(corpus_card, card, options)
    eligible = eligible_utterances(prepared, label_source, label_names, options)
    table = frame(_rows(eligible, split, folds, cards, prompts, options), PLAN)
    if not table.height:
        raise RunError(f"There is nothing to ask: folds {', '.join(folds)} of {split_id} have no test utterances.")
    if training_kind(card, corpus_card.corpus_id) == "transfer":
        refuse_leaks(workspace, card, [eligible[name] for name in table["utterance_id"].unique(maintain_order=True)])
    manifest = _manifest(
        corpus_card,
        prepared,
        split,
        split_facts,
        cards,
        prompts,
        table,
        options,
        label_source=label_source,
        label_names=label_names,
        command=command,
    )
    return _write_plan(runs, manifest, table)


def deafened_plan(run: Path, condition: AudioCondition) -> Path:
    """Plan a run's hard prompts again with something else in place of the clips; beside the run.

    Raises:
        RunError: the run's plan was changed, it has no hard prompts, or is itself such a run.
    """
    manifest, table = check_plan(run)
    if manifest.audio_condition != "clean" or condition == "clean":
        raise RunError(f"{manifest.run_id} hears {manifest.audio_condition}; give a run that hears the clips.")
    hard = table.filter(pl.col("form") == "hard")
    if not hard.height:
        raise RunError(f"{manifest.run_id} asks no hard prompts, by which hearing is measured. Plan with --form hard.")
    content = [name for name in PLAN if name not in ("request_id", "fold_id", "partition")]
    rows = []
    for row in hard.iter_rows(named=True):
        asked = {name: row[name] for name in content} | {"audio_condition": condition}
        rows.append({**row, **asked, "request_id": request_id(asked, manifest.generation)})
    changed = frame(rows, PLAN)
    plan_hash = _hash_under(manifest, changed)
    card = next(iter(manifest.model_cards.values()))
    commit, dirty = git_state()
    deaf = manifest.model_copy(
        update={
            "run_id": run_id(
                corpus_id=manifest.corpus_card.corpus_id,
                model_id=card.model_id,
                protocol=manifest.protocol,
                plan_sha256=plan_hash,
            ),
            "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            "voxemo_version": __version__,
            "git_commit": commit,
            "git_dirty": dirty,
            "command": None,
            "plan_sha256": plan_hash,
            "n_requests": changed["request_id"].n_unique(),
            "prompts": tuple(prompt for prompt in manifest.prompts if prompt.form == "hard"),
            "audio_condition": condition,
            "counts": {},
            "deviations": (*manifest.deviations, _heard_instead(condition)),
        }
    )
    return _write_plan(run.parent, deaf, changed)


def _heard_instead(condition: AudioCondition) -> str:
    return f"audio: {HEARD_INSTEAD[condition]} in place of each clip"


def _write_plan(runs: Path, manifest: RunManifest, table: pl.DataFrame) -> Path:
    run = runs / manifest.run_id
    paths = RunPaths(run)
    if paths.manifest.is_file() and paths.plan.is_file():
        check_plan(run)
        return run
    write_table(paths.plan, table, PLAN)
    prompts = (canonical_json(prompt.model_dump(mode="json")) for prompt in manifest.prompts)
    write_text(paths.prompts, "".join(f"{prompt}\n" for prompt in prompts))
    # Last: a folder without a manifest is no run, so an interrupted plan leaves nothing that looks finished.
    write_manifest(run, manifest)
    return run


def check_split(split: Split, prepared: PreparedCorpus, card: CorpusCard) -> None:
    """Refuse a split that was made from another version of the corpus than the one prepared now.

    Raises:
        RunError: utterances, speakers or labels have changed since the split was made.
    """
    if split.utterances_sha256 != utterances_sha256(prepared.benchmark, label_source=card.gold):
        raise RunError(
            f"The split {split.split_id!r} of {card.corpus_id} was made from another manifest than the one prepared "
            f"now. Run again: {split_command(card.corpus_id, split.split_id)}"
        )


def _manifest(
    corpus: CorpusCard,
    prepared: PreparedCorpus,
    split: Split,
    split_facts: dict[str, Any],
    cards: dict[str, ModelCard],
    prompts: Sequence[PromptText],
    table: pl.DataFrame,
    options: PlanOptions,
    *,
    label_source: LabelSource,
    label_names: tuple[str, ...],
    command: str | None,
) -> RunManifest:
    card = next(iter(cards.values()))
    commit, dirty = git_state()
    folds = tuple(table["fold_id"].unique(maintain_order=True))
    protocol = _protocol(card, corpus)
    facts = SplitFacts(
        split_id=split.split_id,
        policy=split.policy,
        source=split.source,
        seed=split.seed,
        split_sha256=split_facts["sha256"],
        speaker_independent=split.speaker_independent,
        overlap=split_facts["overlap"],
        n_folds=len(split.folds),
        folds=folds,
        partitions=tuple(sorted(table["partition"].unique())),
    )
    plan_hash = plan_sha256(
        table,
        split_sha256=facts.split_sha256,
        utterances_sha256=prepared.report["utterances_sha256"],
        label_source=label_source,
        label_names=label_names,
        generation=asdict(options.generation),
    )
    seeds = {"bootstrap": 0} if split.seed is None else {"bootstrap": 0, "split": split.seed}
    return RunManifest(
        run_id=run_id(corpus_id=corpus.corpus_id, model_id=card.model_id, protocol=protocol, plan_sha256=plan_hash),
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        voxemo_version=__version__,
        git_commit=commit,
        git_dirty=dirty,
        command=command,
        protocol=protocol,
        plan_sha256=plan_hash,
        n_requests=table["request_id"].n_unique(),
        corpus_card=corpus,
        corpus_card_sha256=corpus.sha256(),
        utterances_sha256=prepared.report["utterances_sha256"],
        corpus_counts={
            "utterances": len(prepared.benchmark),
            "speakers": len({u.speaker_id for u in prepared.benchmark if u.speaker_id is not None}),
            "excluded": len(prepared.utterances) - len(prepared.benchmark),
            "unusable": sum(u.unusable_reason is not None for u in prepared.benchmark),
        },
        corpus_complete=not prepared.report["differences"],
        split=facts,
        model_cards=cards,
        prompts=tuple(prompts),
        label_names=label_names,
        label_source=label_source,
        vote_rule=_vote_rule(corpus),
        generation=asdict(options.generation),
        audio_condition=options.audio_condition,
        audio_handling=_audio_handling(card),
        parser_version=PARSER_VERSION,
        label_table=label_table_version(lookup.label_table()),
        failure_policy={"hard": "wrong", "soft": "uniform"},
        tie_break="label_order",
        seeds=seeds,
        package_versions=package_versions(),
        training_overlap=training_overlap(card, corpus),
        partial=_partial(prepared, split, split_facts["n_placed"], corpus, folds, options),
        deviations=_deviations(corpus, card, prompts, options, split, label_source, prepared),
    )


def label_table_version(table: LabelTable) -> str:
    """Version and hash of the shared label table; its English words decide strict distribution answers too."""
    return f"{table.version} ({table.sha256()[:8]})"


def plan_sha256(
    table: pl.DataFrame,
    *,
    split_sha256: str,
    utterances_sha256: str,
    label_source: str,
    label_names: Sequence[str],
    generation: dict[str, Any],
) -> str:
    """Hash of what a run asks and is judged by: every column of every row of the plan, and what they rest on."""
    header = {
        "split_sha256": split_sha256,
        "utterances_sha256": utterances_sha256,
        "label_source": label_source,
        "label_names": list(label_names),
        "generation": generation,
    }
    rows = table.select(list(PLAN)).iter_rows()
    return sha256_lines([canonical_json(header), *("\t".join(map(str, row)) for row in rows)])


def _hash_under(manifest: RunManifest, table: pl.DataFrame) -> str:
    return plan_sha256(
        table,
        split_sha256=manifest.split.split_sha256,
        utterances_sha256=manifest.utterances_sha256,
        label_source=manifest.label_source,
        label_names=manifest.label_names,
        generation=manifest.generation,
    )


def check_plan(run: Path) -> tuple[RunManifest, pl.DataFrame]:
    """Read a run's manifest and plan, and refuse them if either was changed.

    Raises:
        RunError: the plan, a prompt's text or a card is not the one that the run was planned with.
    """
    manifest = read_manifest(run)
    table = read_table(RunPaths(run).plan, PLAN)
    if changed := plan_changes(manifest, table):
        raise RunError(
            f"{run.name} was changed after it was made: {'; '.join(changed)}. "
            "Restore plan.parquet and manifest.json, or plan a new run."
        )
    return manifest, table


def plan_changes(manifest: RunManifest, table: pl.DataFrame) -> list[str]:
    """What of a run is not as it was planned, in words: the plan, a prompt's text or a card."""
    found = _hash_under(manifest, table)
    changed = []
    if found != manifest.plan_sha256:
        changed.append(f"the plan's hash is {found[:8]}, the manifest says {manifest.plan_sha256[:8]}")
    if any(sha256_text(prompt.text) != prompt.prompt_sha256 for prompt in manifest.prompts):
        changed.append("the text of a prompt")
    if manifest.corpus_card.sha256() != manifest.corpus_card_sha256:
        changed.append("the corpus card")
    if set(table["model_sha256"]) != {card.sha256() for card in manifest.model_cards.values()}:
        changed.append("a model card")
    return changed


def _choose_folds(split: Split, asked: tuple[str, ...] | None) -> tuple[str, ...]:
    there = tuple(fold.fold_id for fold in split.folds)
    for fold_id in asked or ():
        if fold_id not in there:
            raise UnknownName("fold", fold_id, there)
    return tuple(fold_id for fold_id in there if asked is None or fold_id in asked)


def planned_labels(corpus: CorpusCard, options: PlanOptions) -> tuple[str, ...]:
    """The labels that a run asks about, in the corpus's order: all of them unless options say otherwise.

    Raises:
        RunError: labels that the corpus lacks, or fewer than two.
    """
    if options.labels is None:
        return corpus.labels.names
    unknown = sorted(set(options.labels) - set(corpus.labels.names))
    if unknown or len(set(options.labels)) < 2:
        raise RunError(
            f"{corpus.corpus_id} cannot be asked about {listing(options.labels)}: two or more of its own labels are "
            f"needed, which are {', '.join(corpus.labels.names)}."
        )
    return tuple(name for name in corpus.labels.names if name in options.labels)


def _render(
    corpus: CorpusCard, names: Sequence[str], forms: Sequence[Form], labels: Sequence[str] | None = None
) -> list[PromptText]:
    label_set = corpus.label_set(lookup.label_table(), names=labels)
    prompts = []
    for name in names:
        variant, template = lookup.prompt(name)
        for form in forms:
            asked: PromptForm = "distribution" if form == "distribution" else "hard"
            text = render_prompt(variant, template, form=asked, label_set=label_set)
            prompts.append(
                PromptText(
                    prompt_sha256=sha256_text(text),
                    variant_id=variant.variant_id,
                    variant_version=variant.version,
                    form=form,
                    label_names=label_set.names,
                    text=text,
                    label_answer=template.sft_target if form == "likelihood" else None,
                )
            )
    return prompts


def planned_prompts(corpus: CorpusCard, model: ModelCard, options: PlanOptions) -> list[PromptText]:
    """Every prompt of a run, rendered for the corpus: the protocol's, or those that the user names.

    Raises:
        UnknownName: a prompt that there is not.
        RunError: prompts whose answers would be taken for another prompt's.
    """
    names, forms = options.variants or default_variants(model), options.forms or default_forms(corpus, model)
    labels = planned_labels(corpus, options)
    prompts = _render(corpus, names, forms, labels)
    _check_prompts(corpus, prompts, labels)
    return prompts


def _check_prompts(corpus: CorpusCard, prompts: Sequence[PromptText], labels: Sequence[str]) -> None:
    """Refuse prompts whose answers would be scored or shown as another prompt's.

    Raises:
        RunError: two prompts of one name, a name that scores use, or the name of a built-in prompt with another text.
    """
    doubled = [name for (name, _), n in Counter((p.variant_id, p.form) for p in prompts).items() if n > 1]
    if doubled:
        raise RunError(
            f"Two prompts of one run are called {listing(sorted(set(doubled)))}; give each a variant_id of its own."
        )
    ids = {prompt.variant_id for prompt in prompts}
    reserved = sorted({ENSEMBLE, MEAN_DISTRIBUTION} & ids)
    if reserved:
        raise RunError(f"A prompt may not be called {listing(reserved)}: scores use that name. Rename its variant_id.")
    built_in = lookup.prompt_names()
    texts = {prompt.prompt_sha256 for prompt in _render(corpus, built_in, ("hard", "distribution"), labels)}
    posing = sorted({p.variant_id for p in prompts if p.variant_id in built_in and p.prompt_sha256 not in texts})
    if posing:
        raise RunError(
            f"A prompt with a text of its own calls itself {listing(posing)}, as the benchmark's does, and would be "
            "voted on and shown as that. Give it a variant_id of its own."
        )


def default_forms(corpus: CorpusCard, model: ModelCard) -> tuple[Form, ...]:
    """Forms that the protocol asks: hard everywhere, distribution where votes are released (PROTOCOL section 4).

    A fine-tuned model is asked what it was taught, which is the hard form alone.
    """
    voted = corpus.perception is not None and corpus.perception.votes_released
    return ("hard", "distribution") if voted and not _is_tuned(model) else ("hard",)


def default_variants(model: ModelCard) -> tuple[str, ...]:
    """Prompt variants that the protocol asks: all five of a speech LLM, ``direct`` of whatever was trained for it."""
    return ("direct",) if model.backend in SUPERVISED_BACKENDS or _is_tuned(model) else lookup.prompt_names()


def _is_tuned(model: ModelCard) -> bool:
    return model.training is not None and model.training.kind == "sft"


def eligible_utterances(
    prepared: PreparedCorpus, label_source: LabelSource, label_names: Sequence[str], options: PlanOptions
) -> dict[str, Utterance]:
    """The utterances that options leave to ask, by id."""
    found = {utterance.utterance_id: utterance for utterance in prepared.benchmark}
    if options.labels is not None:
        found = {name: u for name, u in found.items() if getattr(u, label_source) in label_names}
    if options.language is not None:
        found = {name: u for name, u in found.items() if primary_language(u.language) == options.language}
    return found


def _rows(
    utterances: Mapping[str, Utterance],
    split: Split,
    folds: Sequence[str],
    cards: dict[str, ModelCard],
    prompts: Sequence[PromptText],
    options: PlanOptions,
) -> list[dict[str, Any]]:
    hashes = {fold_id: card.sha256() for fold_id, card in cards.items()}
    rows = []
    for fold in split.folds:
        if fold.fold_id not in folds:
            continue
        card_key = fold.fold_id if fold.fold_id in cards else EVERY_FOLD
        for partition in sorted(filter(is_test_partition, fold.partitions)):
            if options.partitions is not None and partition not in options.partitions:
                continue
            asked = [name for name in fold.partitions[partition] if name in utterances]
            for name in _limited(asked, options.limit):
                for prompt in prompts:
                    rows.append(
                        _request(utterances[name], prompt, cards[card_key], hashes[card_key], options)
                        | {"fold_id": fold.fold_id, "partition": partition}
                    )
    return rows


def _limited(names: Sequence[str], limit: int | None) -> Sequence[str]:
    if limit is None:
        return names
    # By hash, so that the few are spread over speakers and labels instead of being the first speaker's.
    return sorted(sorted(names, key=sha256_text)[:limit])


def _request(
    utterance: Utterance, prompt: PromptText, card: ModelCard, model_sha256: str, options: PlanOptions
) -> dict[str, Any]:
    content = {
        "utterance_id": utterance.utterance_id,
        "form": prompt.form,
        "variant_id": prompt.variant_id,
        "prompt_sha256": prompt.prompt_sha256,
        "audio_sha256": utterance.audio_sha256,
        "audio_condition": options.audio_condition,
        "model_id": card.model_id,
        "model_sha256": model_sha256,
        "sample_index": 0,
    }
    return {"request_id": request_id(content, asdict(options.generation)), **content}


def request_id(content: Mapping[str, Any], generation: Mapping[str, Any]) -> str:
    """The id of a request: a hash of all that its answer can depend on."""
    return sha256_text(canonical_json({**content, "generation": generation}))[:32]


def _audio_handling(card: ModelCard) -> str:
    limits = card.audio
    beyond = f"; beyond {limits.max_s:g} s: {limits.beyond}" if limits.max_s is not None else ""
    return f"{AUDIO_HANDLING}; under {limits.min_s:g} s padded with zeros{beyond}"


def _partial(
    prepared: PreparedCorpus,
    split: Split,
    n_placed: int,
    card: CorpusCard,
    folds: Sequence[str],
    options: PlanOptions,
) -> str | None:
    reasons = []
    if split.policy == "published" and card.emobox is not None and n_placed < card.emobox.n_utterances:
        reasons.append(f"the published folds hold {n_placed} of {card.emobox.n_utterances} utterances")
    if prepared.report["differences"]:
        reasons.append("the corpus on disk is incomplete")
    largest = max(
        len(names)
        for fold in split.folds
        if fold.fold_id in folds
        for part, names in fold.partitions.items()
        if is_test_partition(part)
    )
    if options.limit is not None and options.limit < largest:
        reasons.append(f"at most {options.limit} utterances of each test partition")
    if options.language is not None:
        reasons.append(f"only utterances in {options.language}")
    if len(folds) < len(split.folds):
        reasons.append(f"{len(folds)} of {len(split.folds)} folds ({', '.join(folds)})")
    return "; ".join(reasons) or None


def _taught_sources(model: ModelCard) -> set[LabelSource]:
    if model.training is None:
        return set()
    return {source.label_source for source in model.training.sources} or {model.training.label_source}


def _deviations(
    corpus: CorpusCard,
    model: ModelCard,
    prompts: Sequence[PromptText],
    options: PlanOptions,
    split: Split,
    label_source: str,
    prepared: PreparedCorpus,
) -> tuple[str, ...]:
    found = []
    if prepared.report.get("subset") == "paper" and corpus.paper is not None and corpus.paper.subset is not None:
        ours = corpus.expected.n_utterances
        theirs = f"the paper's set of {len(prepared.benchmark)} utterances"
        found.append(f"{theirs} instead of the benchmark's{'' if ours is None else f' {ours}'}")
    found += [f"audio: {text}" for text in prepared.report.get("converted_audio", ())]
    found += _changed_decoding(asdict(options.generation))
    labels = planned_labels(corpus, options)
    found += _fewer_labels(corpus, labels)
    found += _other_prompts(corpus, model, prompts, labels)
    found += _other_judgement(corpus, model, split.split_id, options.audio_condition, label_source)
    return tuple(found)


def _changed_decoding(generation: Mapping[str, Any]) -> list[str]:
    standard = asdict(Generation())
    changed = {name: value for name, value in generation.items() if value != standard.get(name)}
    listed = ", ".join(f"{name} = {value}" for name, value in changed.items())
    return [f"decoding differs from the protocol: {listed}"] if changed else []


def _fewer_labels(corpus: CorpusCard, labels: tuple[str, ...]) -> list[str]:
    if labels == corpus.labels.names:
        return []
    return [f"asked about {len(labels)} of {len(corpus.labels.names)} labels ({', '.join(labels)})"]


def _other_prompts(
    corpus: CorpusCard, model: ModelCard, prompts: Sequence[PromptText], labels: tuple[str, ...]
) -> list[str]:
    standard = _render(corpus, default_variants(model), default_forms(corpus, model), labels)
    if {p.prompt_sha256 for p in prompts} == {p.prompt_sha256 for p in standard}:
        return []
    return ["prompts asked: " + ", ".join(f"{prompt.variant_id} ({prompt.form})" for prompt in prompts)]


def _other_judgement(
    corpus: CorpusCard, model: ModelCard, split_id: str, audio_condition: AudioCondition, label_source: str
) -> list[str]:
    found = []
    if split_id != "protocol":
        found.append(f"split {split_id!r} instead of the protocol's")
    if audio_condition != "clean":
        found.append(_heard_instead(audio_condition))
    if label_source != corpus.gold:
        found.append(f"scored against {label_source} labels; the protocol takes {corpus.gold}")
    taught = _taught_sources(model) - {label_source}
    if taught:
        found.append(f"trained on {' and '.join(sorted(taught))} labels, scored against {label_source} ones")
    if model.training is not None and model.training.kind == "sft":
        differing = differences_from_paper(model.training.recipe)
        found += [f"fine-tuning: {', '.join(differing)}"] if differing else []
    return found


def implied_deviations(manifest: RunManifest) -> tuple[str, ...]:
    """Deviations from the protocol that follow from a manifest's other fields, in the words that `plan_run` writes.

    What only the prepared corpus tells, such as converted audio, is not among them. A run that does not hear the clips
    asks the hard prompts alone by design, so its prompts imply nothing.
    """
    corpus, model, labels = manifest.corpus_card, next(iter(manifest.model_cards.values())), manifest.label_names
    found = _changed_decoding(manifest.generation) + _fewer_labels(corpus, labels)
    if manifest.audio_condition == "clean":
        found += _other_prompts(corpus, model, manifest.prompts, labels)
    split_id, condition = manifest.split.split_id, manifest.audio_condition
    return (*found, *_other_judgement(corpus, model, split_id, condition, manifest.label_source))


def implied_fields(manifest: RunManifest) -> dict[str, str | None]:
    """Fields of a manifest that follow from its cards, as `plan_run` fills them."""
    corpus, model = manifest.corpus_card, next(iter(manifest.model_cards.values()))
    return {
        "protocol": _protocol(model, corpus),
        "vote_rule": _vote_rule(corpus),
        "audio_handling": _audio_handling(model),
        "training_overlap": training_overlap(model, corpus),
    }


def _protocol(model: ModelCard, corpus: CorpusCard) -> str:
    return training_kind(model, corpus.corpus_id).replace("_", "-")


def _vote_rule(corpus: CorpusCard) -> str | None:
    return corpus.perception.default_vote_rule if corpus.perception else None
