"""The disclosure checklist (PROTOCOL section 9): of a run, from its manifest and worker files; and as Markdown."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from voxemo.catalog import lookup
from voxemo.core.cards import PromptText, RunManifest
from voxemo.core.disclosure import (
    AudioPart,
    CheckPart,
    CorpusPart,
    DecodingPart,
    Disclosure,
    LabelPart,
    MachinePart,
    ModelPart,
    Point,
    PromptPart,
    RunPart,
    ScoringPart,
    SplitPart,
    checklist,
    contradictions,
    expectation,
)
from voxemo.core.errors import CardError, DisclosureError
from voxemo.core.escape import fenced, for_markdown
from voxemo.reports.scoreboard import FinishedRun, scorer_version
from voxemo.store.files import read_json, write_text
from voxemo.store.layout import RunPaths
from voxemo.store.manifest import read_manifest
from voxemo.store.tables import SCORES, read_table


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
    scored_by: str | None = None,
) -> Disclosure:
    """The disclosure of a run; what nobody recorded is missing in it."""
    return Disclosure(
        partial=manifest.partial,
        run=_run(manifest),
        model=_model(manifest),
        corpus=_corpus(manifest),
        split=_split(manifest),
        labels=LabelPart(names=manifest.label_names, source=manifest.label_source, votes=_votes(manifest)),
        decoding=_decoding(manifest, workers),
        audio=AudioPart(handling=manifest.audio_handling, condition=manifest.audio_condition),
        scoring=_scoring(manifest, scored_by),
        checks=_checks(checks),
        machine=_machine(manifest, workers),
        seeds=manifest.seeds,
        deviations=manifest.deviations,
        prompts=tuple(_prompt(prompt) for prompt in manifest.prompts),
    )


def disclosure_markdown(document: Disclosure) -> str:
    """A disclosure as a checklist in Markdown. What is missing is said to be, never left out.

    The document may be a run's own, or one that somebody filled in; whatever texts it has show as they are.
    """
    parts = [f"# Disclosure: {for_markdown(document.title)}\n"]
    if document.partial:
        parts.append(f"**Partial run:** {for_markdown(document.partial)}.\n")
    for section in checklist(document):
        lines = "".join(f"- {_line(point)}\n" for point in section.points)
        parts.append(f"## {section.title}\n\n{lines}")
    parts.append("## Prompts\n")
    if not document.prompts:
        parts.append("- **MISSING**\n")
    for prompt in document.prompts:
        name, form = (for_markdown(one) if one else "**MISSING**" for one in (prompt.name, prompt.form))
        parts.append(f"### {name}, {form} form\n\n{fenced(prompt.text) if prompt.text else '**MISSING**'}\n")
    wrong = contradictions(document)
    if wrong:
        parts.append("## Contradictions\n\n" + "".join(f"- {for_markdown(one)}\n" for one in wrong))
    return "\n".join(parts)


def _line(point: Point) -> str:
    if point.value is None:
        return f"{point.name}: **MISSING** ({for_markdown(point.asks)})"
    value = f"**OPEN:** {for_markdown(point.value)}" if point.is_open else for_markdown(point.value)
    return f"{for_markdown(point.name)}: {value}" if point.name else value


def _run(manifest: RunManifest) -> RunPart:
    commit = manifest.git_commit or "not a checkout"
    if manifest.git_dirty:
        commit += ", with uncommitted changes"
    return RunPart(
        run=manifest.run_id,
        made=manifest.created_utc,
        protocol=manifest.protocol,
        software=f"voxemo {manifest.voxemo_version} ({commit})",
        command=manifest.command,
        also={"plan hash": manifest.plan_sha256, "requests": str(manifest.n_requests)},
    )


def _model(manifest: RunManifest) -> ModelPart:
    cards = manifest.model_cards
    card = next(iter(cards.values()))
    trained = [
        f"fold {fold_id}: {record.kind} on {record.corpus_id}/{record.split_id}, {record.n_utterances} utterances, "
        f"seed {record.seed}, weights {record.artefact_sha256[:16]}, recipe {_pairs(record.recipe)}"
        for fold_id, one in cards.items()
        if (record := one.training) is not None
    ]
    return ModelPart(
        model=f"{card.name} ({card.model_id}), card version {card.version}",
        repository=card.repository or "none",
        revision=card.revision or ("not applicable" if card.repository is None else "not pinned"),
        dtype=card.dtype or "not applicable",
        training_data=card.training_data,
        training_overlap=manifest.training_overlap,
        trained="; ".join(trained) or None,
        license=card.license,
        also={"backend": card.backend},
    )


def _corpus(manifest: RunManifest) -> CorpusPart:
    card, counts = manifest.corpus_card, manifest.corpus_counts
    n_speakers = counts.get("speakers")
    excluded = [f"{counts[what]} {what}" for what in ("excluded", "unusable") if counts.get(what)]
    return CorpusPart(
        corpus=f"{card.name} ({card.corpus_id}), card version {card.version}",
        version=f"manifest {manifest.utterances_sha256}",
        n_utterances=counts.get("utterances"),
        n_speakers=n_speakers or "unknown",
        complete=manifest.corpus_complete,
        left_out=", ".join(excluded) or "none",
        license=card.access.license,
        also={
            "card hash": manifest.corpus_card_sha256,
            "counts": ", ".join(f"{n} {what}" for what, n in counts.items()) or "none",
        },
    )


SHARED = re.compile(r"(\d+) of \d+ test speakers")
"""How `splits.checks` says that speakers are shared."""


def _split(manifest: RunManifest) -> SplitPart:
    split = manifest.split
    shared = SHARED.match(split.overlap)
    independent = split.speaker_independent
    # Every prompt asks about every utterance once.
    n_tested = manifest.n_requests // len(manifest.prompts) if manifest.prompts else None
    return SplitPart(
        split=f"{split.split_id}: {split.policy}, {split.source}",
        identity=split.split_sha256,
        seed="none" if split.seed is None else split.seed,
        folds=f"{', '.join(split.folds)} of {split.n_folds}",
        test_partitions=split.partitions,
        n_tested=n_tested,
        n_shared_speakers=int(shared[1]) if shared else 0 if independent else "unknown",
        speaker_independent="unknown" if independent is None else independent,
        also={"speaker overlap": split.overlap},
    )


def _decoding(manifest: RunManifest, workers: Sequence[dict[str, Any]]) -> DecodingPart:
    asked = manifest.generation
    named = {name: asked[name] for name in DecodingPart.model_fields if name in asked}
    other = {name: value for name, value in asked.items() if name not in named}
    return DecodingPart(
        **named,
        in_force=tuple(_pairs(worker["effective"]) for worker in _distinct(workers, "effective")) or None,
        also={"asked for": _pairs(other)} if other else {},
    )


def _scoring(manifest: RunManifest, scored_by: str | None) -> ScoringPart:
    counts = manifest.counts
    strict = {status: counts.get(f"strict.{status}") for status in ("ok", "repaired", "failed")}
    others = {name: n for name, n in counts.items() if name not in ("planned", "answered", "journal_bytes")}
    return ScoringPart(
        parser=f"voxemo's, version {manifest.parser_version}",
        scorer=f"voxemo's, version {scored_by}" if scored_by else None,
        failure_policy=_pairs(manifest.failure_policy),
        ties="to the first label in label-set order",
        n_asked=counts.get("planned", manifest.n_requests),
        n_answered=counts.get("answered"),
        n_read=strict["ok"],
        n_repaired=strict["repaired"],
        n_failed=strict["failed"],
        also={"label table": manifest.label_table}
        | ({"counts": ", ".join(f"{name} {n}" for name, n in others.items())} if others else {}),
    )


def _prompt(prompt: PromptText) -> PromptPart:
    # The versions of two cards may have the same name.
    return PromptPart(
        name=f"{prompt.variant_id} (version {prompt.variant_version})", form=prompt.form, text=prompt.text
    )


def _votes(manifest: RunManifest) -> str:
    perception = manifest.corpus_card.perception
    if perception is None or not perception.vote_rules:
        return "no votes"
    rules = "; ".join(f"{name}: {text}" for name, text in perception.vote_rules.items())
    return f"{manifest.vote_rule} by default, every rule scored and named ({rules})"


def _checks(checks: Mapping[str, dict[str, Any]]) -> CheckPart:
    also = {}
    hearing, parity = checks.get("hearing"), checks.get("parity")
    if hearing is None:
        hears = "not checked; voxemo doctor hearing asks with silence and noise for clips"
    else:
        hears = "NO: " + "; ".join(hearing["problems"]) if hearing["problems"] else "yes"
        asked = f"{hearing['n_clips']} clips, {hearing['variant_id']} ({hearing['form']})"
        also[f"answers that changed, of {asked}"] = json.dumps(hearing["changed"])
        # Checks made before this was recorded do not say.
        if hearing.get("not_checked"):
            also["not checked"] = "; ".join(hearing["not_checked"])
    if parity is not None:
        first = parity.get("first_tokens")
        also["against plain generate"] = (
            f"{parity['n_answers_differ']} of {parity['n_questions']} answers and {parity['n_labels_differ']} labels "
            f"differ{f', the first at token {first[0]}' if first else ''} ({parity['dtype']}, {parity['device']}, "
            f"batch size {parity['batch_size']})"
        )
    return CheckPart(hears=hears, also=also)


def _machine(manifest: RunManifest, workers: Sequence[dict[str, Any]]) -> MachinePart:
    sizes = sorted({size for one in workers if (size := one["effective"].get("batch_size")) is not None})
    asked = [worker["throughput"] for worker in workers if "throughput" in worker]
    also = {"planned with": _pairs(manifest.package_versions)}
    used: dict[str, list[str]] = {}
    for worker in workers:
        for package, version in worker["package_versions"].items():
            versions = used.setdefault(package, [])
            versions += [] if version in versions else [version]
    if asked:
        also["throughput"] = _throughput(asked)
    return MachinePart(
        hardware="; ".join(_pairs(worker["hardware"]) for worker in _distinct(workers, "hardware")) or None,
        batch_size=(", ".join(map(str, sizes)) or "chosen by the backend") if workers else None,
        packages={package: " and ".join(map(str, versions)) for package, versions in used.items()} or None,
        also=also,
    )


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


def run_disclosure(run: Path) -> Disclosure:
    """The disclosure of a run folder, as far as the run has come.

    Raises:
        RunError: the folder is no run.
    """
    scores = RunPaths(run).scores
    version = scorer_version(read_table(scores, SCORES)) if scores.exists() else None
    return disclosure(read_manifest(run), read_workers(run), read_checks(run), scored_by=version)


def read_disclosure(path: Path) -> Disclosure:
    """A disclosure that somebody filled in, from a TOML or JSON file.

    Raises:
        DisclosureError: the file is none: what is wrong in it, at which point, and what that point asks.
    """
    try:
        return lookup.read_document(path, Disclosure)
    except CardError as error:
        cause = error.__cause__
        if isinstance(cause, ValidationError):
            raise DisclosureError(str(path), _problems(cause)) from cause
        raise DisclosureError(str(path), error.problems) from cause


def _problems(error: ValidationError) -> list[str]:
    """One problem for each point: a value that may be of several types is refused once for each of them."""
    found: dict[str, list[ErrorDetails]] = {}
    for one in error.errors():
        # The first of several prompts is the first, as in the list of what is missing.
        steps = [step + 1 if isinstance(step, int) else step for step in one["loc"][: _depth(one["loc"])]]
        found.setdefault(".".join(map(str, steps)) or "the file", []).append(one)
    return [_problem(name, of) for name, of in found.items()]


def _depth(location: Sequence[str | int]) -> int:
    """How many steps lead to a point; what follows says which type of value was tried."""
    return 3 if location[:1] == ("prompts",) else 2


def _problem(name: str, errors: Sequence[ErrorDetails]) -> str:
    first = errors[0]
    if first["type"] == "extra_forbidden":
        return f"{name}: no such point is asked for"
    wanted = " or ".join(dict.fromkeys(one["msg"].removeprefix("Input should be ").partition(",")[0] for one in errors))
    asks = expectation(first["loc"][: _depth(first["loc"])])
    explained = "" if asks is None else f" ({asks.rstrip('.')})"
    return f"{name} is {_shown(first['input'])}, expected {wanted}{explained}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def write_disclosure(run: FinishedRun) -> Path:
    """Write ``report/disclosure.md`` of a run and return its path."""
    path = RunPaths(run.path).report / "disclosure.md"
    write_text(path, disclosure_markdown(run_disclosure(run.path)))
    return path
