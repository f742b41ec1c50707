"""A run's manifest and worker files as the paper's disclosure checklist (PROTOCOL section 9), in Markdown."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxemo.core.cards import ModelCard, RunManifest
from voxemo.reports.scoreboard import FinishedRun
from voxemo.store.files import read_json, write_text
from voxemo.store.layout import RunPaths


def read_workers(run: Path) -> list[dict[str, Any]]:
    """What the workers of a run learned, in file-name order."""
    return [read_json(path) for path in sorted(RunPaths(run).workers.glob("*.json"))]


def read_checks(run: Path) -> dict[str, dict[str, Any]]:
    """What `voxemo doctor` found about a run's model, by the name of the check."""
    return {path.stem: read_json(path) for path in sorted(RunPaths(run).checks.glob("*.json"))}


def disclosure(
    manifest: RunManifest,
    workers: Sequence[dict[str, Any]],
    checks: Mapping[str, dict[str, Any]],
    *,
    scorer_version: str | None = None,
) -> str:
    """The disclosure of a run. Says "not recorded" where nothing is known, never leaves a point out."""
    parts = [f"# Disclosure: {manifest.run_id}\n"]
    if manifest.partial:
        parts.append(f"**Partial run:** {manifest.partial}.\n")
    for title, items in disclosure_sections(manifest, workers, checks, scorer_version=scorer_version):
        lines = [f"- {name}: {value}" if name else f"- {value}" for name, value in items]
        parts.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    parts.append("## Prompts\n")
    for prompt in manifest.prompts:
        fence = "```"
        parts.append(
            f"### {prompt.variant_id}, {prompt.form} form (version {prompt.variant_version})\n\n"
            f"{fence}text\n{prompt.text}\n{fence}\n"
        )
    return "\n".join(parts)


def disclosure_sections(
    manifest: RunManifest,
    workers: Sequence[dict[str, Any]],
    checks: Mapping[str, dict[str, Any]],
    *,
    scorer_version: str | None = None,
) -> list[tuple[str, list[tuple[str, str]]]]:
    """The checklist of a run: title of each section, and its points with what is known of them."""
    card, split = manifest.corpus_card, manifest.split
    return [
        ("Run", _run(manifest)),
        ("Model", _model(manifest)),
        ("Training-data overlap", [("with the tested corpus", manifest.training_overlap)]),
        (
            "Corpus",
            [
                ("corpus", f"{card.name} ({card.corpus_id}), card version {card.version}"),
                ("card hash", manifest.corpus_card_sha256),
                ("manifest hash", manifest.utterances_sha256),
                ("counts", ", ".join(f"{n} {what}" for what, n in manifest.corpus_counts.items())),
                ("complete", "yes" if manifest.corpus_complete else "no: counts differ from the card"),
                ("licence", card.access.license),
            ],
        ),
        (
            "Split",
            [
                ("split", f"{split.split_id}: {split.policy}, {split.source}"),
                ("hash", split.split_sha256),
                ("seed", _or_none(split.seed)),
                ("folds answered", f"{', '.join(split.folds)} of {split.n_folds}"),
                ("test partitions", ", ".join(split.partitions)),
                ("speaker overlap", split.overlap),
                ("speaker-independent", _claim(split.speaker_independent)),
            ],
        ),
        (
            "Labels",
            [
                ("label set, in order", ", ".join(manifest.label_names)),
                ("label source", manifest.label_source),
                ("vote rule", _votes(manifest)),
            ],
        ),
        (
            "Decoding",
            [
                ("asked for", _pairs(manifest.generation)),
                *(("in force, read back", _pairs(w["effective"])) for w in _distinct(workers, "effective")),
            ],
        ),
        ("Audio", [("handling", manifest.audio_handling), ("condition", manifest.audio_condition)]),
        (
            "Reading and scoring",
            [
                ("parser version", manifest.parser_version),
                ("label table", manifest.label_table),
                ("scorer version", scorer_version or "not scored yet"),
                ("failure policy", _pairs(manifest.failure_policy)),
                ("ties", "to the first label in label-set order"),
                ("answers", _counts(manifest)),
            ],
        ),
        ("Checks", _checks(checks)),
        ("Hardware and software", _machines(manifest, workers)),
        ("Seeds", [(name, str(seed)) for name, seed in manifest.seeds.items()]),
        (
            "Deviations from the protocol",
            [("", text) for text in manifest.deviations] or [("", "none")],
        ),
    ]


def _run(manifest: RunManifest) -> list[tuple[str, str]]:
    commit = manifest.git_commit or "not a checkout"
    if manifest.git_dirty:
        commit += ", with uncommitted changes"
    return [
        ("run", manifest.run_id),
        ("made", manifest.created_utc),
        ("protocol", manifest.protocol),
        ("voxemo", f"{manifest.voxemo_version} ({commit})"),
        ("command", f"`{manifest.command}`" if manifest.command else "not recorded"),
        ("plan hash", manifest.plan_sha256),
        ("requests", str(manifest.n_requests)),
    ]


def _model(manifest: RunManifest) -> list[tuple[str, str]]:
    cards = manifest.model_cards
    card: ModelCard = next(iter(cards.values()))
    items = [
        ("model", f"{card.name} ({card.model_id}), card version {card.version}"),
        ("backend", card.backend),
        ("repository", card.repository or "none"),
        ("revision", card.revision or "not pinned"),
        ("dtype", card.dtype or "not applicable"),
        ("training data", card.training_data),
        ("licence", card.license),
    ]
    for fold_id, one in cards.items():
        if one.training is not None:
            record = one.training
            items.append(
                (
                    f"trained, fold {fold_id}",
                    f"{record.kind} on {record.corpus_id}/{record.split_id}, {record.n_utterances} utterances, "
                    f"seed {record.seed}, weights {record.artefact_sha256[:16]}, recipe {_pairs(record.recipe)}",
                )
            )
    return items


def _votes(manifest: RunManifest) -> str:
    perception = manifest.corpus_card.perception
    if perception is None or not perception.vote_rules:
        return "no votes"
    rules = "; ".join(f"{name}: {text}" for name, text in perception.vote_rules.items())
    return f"{manifest.vote_rule} by default, every rule scored and named ({rules})"


def _counts(manifest: RunManifest) -> str:
    shown = (f"{name} {n}" for name, n in manifest.counts.items() if name != "journal_bytes")
    return ", ".join(shown) or "not parsed yet"


def _checks(checks: Mapping[str, dict[str, Any]]) -> list[tuple[str, str]]:
    items = []
    if (hearing := checks.get("hearing")) is None:
        items.append(("does it hear", "not checked; `voxemo doctor hearing` asks with silence and noise for clips"))
    else:
        verdict = "NO: " + "; ".join(hearing["problems"]) if hearing["problems"] else "yes"
        asked = f"{hearing['n_clips']} clips, {hearing['variant_id']} ({hearing['form']})"
        items += [("does it hear", verdict), (f"answers that changed, of {asked}", json.dumps(hearing["changed"]))]
    if (parity := checks.get("parity")) is not None:
        found = (
            f"{parity['n_answers_differ']} of {parity['n_questions']} answers and {parity['n_labels_differ']} labels "
            f"differ ({parity['dtype']}, {parity['device']}, batch size {parity['batch_size']})"
        )
        items.append(("against plain generate", found))
    return items


def _machines(manifest: RunManifest, workers: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    items = [("planned with", _pairs(manifest.package_versions))]
    for field in ("hardware", "package_versions"):
        items += [(f"answered with, {field.replace('_', ' ')}", _pairs(w[field])) for w in _distinct(workers, field)]
    asked = [worker["throughput"] for worker in workers if "throughput" in worker]
    if asked:
        items.append(("throughput", _throughput(asked)))
    if not workers:
        items.append(("hardware", "not recorded: no answers yet"))
    return items


def _throughput(asked: Sequence[Mapping[str, Any]]) -> str:
    """All workers together: a run on a cluster has one for each share of its clips."""
    n_requests, seconds = sum(one["n_requests"] for one in asked), sum(one["seconds"] for one in asked)
    stages: Counter[str] = Counter()
    for one in asked:
        stages.update(one.get("stages_s", {}))
    shares = ", ".join(f"{name} {100 * spent / stages.total():.0f} %" for name, spent in stages.items() if spent)
    rate = f", {n_requests / seconds:.2f} requests per second of a worker" if seconds > 0 else ""
    where = f"; time by stage: {shares}" if shares else ""
    return f"{n_requests} requests in {seconds:.1f} s of {len(asked)} worker(s){rate}{where}"


def _distinct(workers: Sequence[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    seen: dict[str, dict[str, Any]] = {}
    for worker in workers:
        seen.setdefault(json.dumps(worker[field], sort_keys=True), worker)
    return list(seen.values())


def _pairs(content: Mapping[Any, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in content.items()) or "none"


def _claim(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "unknown, the corpus names no speakers"}[value]


def _or_none(value: object) -> str:
    return "none" if value is None else str(value)


def write_disclosure(run: FinishedRun) -> Path:
    """Write ``report/disclosure.md`` of a run and return its path."""
    path = RunPaths(run.path).report / "disclosure.md"
    workers, checks = read_workers(run.path), read_checks(run.path)
    write_text(path, disclosure(run.manifest, workers, checks, scorer_version=run.scorer_version))
    return path
