"""What to look at before believing a score: failed answers, splits and who is in both parts, and training data."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voxemo.core.cards import SplitFacts
from voxemo.core.reasons import REASONS
from voxemo.reports.scoreboard import prompt_title
from voxemo.reports.site.cells import SPEAKERS, corpus_path, model_path, run_path
from voxemo.reports.site.parts import (
    Block,
    Cell,
    Facts,
    Folded,
    Head,
    Page,
    Paragraph,
    Row,
    Section,
    Table,
    Verbatim,
    count,
    how_many,
    number,
    percent,
    word,
)
from voxemo.reports.site.standings import TRAINING_DATA, TrainingData

N_EXAMPLES = 3
"""Of each reason on the audit page; the page of a run has all that were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAudit:
    """What the audit page needs of a run."""

    run_id: str
    model_id: str
    corpus_id: str
    corpus_name: str
    split: SplitFacts
    training_data: TrainingData
    training_overlap: str
    n_answers: int
    n_failed: int
    failures: tuple[dict[str, Any], ...] | None
    """None where the run was parsed by an older version."""
    withheld: str | None
    """Why the failures have no examples, which are answers word for word; None where they have them."""


def audit_page(audits: Sequence[RunAudit]) -> Page:
    """The audit page of all runs."""
    return Page(
        path="audit.html",
        title="Audit",
        lead="Why answers failed, who is in both the training and the test part, and what models may have seen before.",
        sections=(
            Section(title="Failed answers", anchor="failures", blocks=_failures(audits)),
            Section(title="Splits and speakers", anchor="splits", blocks=(_splits(audits),)),
            Section(title="Contamination ledger", anchor="contamination", blocks=(_ledger(audits),)),
        ),
    )


# --- failures -----------------------------------------------------------------------------------------------------


def _failures(audits: Sequence[RunAudit]) -> tuple[Block, ...]:
    reasons: Counter[str] = Counter()
    for audit in audits:
        for failure in audit.failures or ():
            reasons[failure["reason"]] += failure["n"]
    names = [name for name, _ in reasons.most_common()]
    by_model: dict[str, list[RunAudit]] = {}
    for audit in audits:
        by_model.setdefault(audit.model_id, []).append(audit)
    models = _failure_table(
        [((Cell(text=model_id, head=True, href=model_path(model_id)),), own) for model_id, own in by_model.items()],
        names,
        ("model",),
        caption="Answers of each model that could not be read, by the strict reading",
    )
    runs = _failure_table(
        [
            (
                (
                    Cell(text=audit.run_id, head=True, href=f"{run_path(audit.run_id)}#failures"),
                    Cell(text=audit.corpus_name, href=corpus_path(audit.corpus_id)),
                ),
                [audit],
            )
            for audit in audits
        ],
        names,
        ("run", "corpus"),
        caption="Answers of each run that could not be read",
    )
    unread = sum(audit.failures is None for audit in audits)
    old = (
        [
            Paragraph(
                text=f"Parsed by an older version, which kept no reasons: {how_many(unread, 'run')}.",
                warning=True,
            )
        ]
        if unread
        else []
    )
    folded = Folded(summary=f"Run by run ({len(audits)})", blocks=(runs,))
    withheld = tuple(map(withheld_note, withheld_of(audits)))
    examples = (found for name in names if (found := _examples(audits, name)) is not None)
    return (*old, models, *_meanings(names), folded, *withheld, *examples)


def _meanings(names: Sequence[str]) -> tuple[Block, ...]:
    """The codes that head the columns of the tables, in words."""
    return (Facts(items=tuple((name, word(meaning(name))) for name in names)),) if names else ()


def meaning(reason: str) -> str:
    """What a reason code says, in words; a run may have codes of another version."""
    return REASONS.get(reason, "Not known to this version.")


def withheld_of(audits: Sequence[RunAudit]) -> tuple[str, ...]:
    """Why failed answers are not shown, once for each corpus of which there are any."""
    return tuple(dict.fromkeys(one.withheld for one in audits if one.withheld and one.failures))


def withheld_note(why: str) -> Paragraph:
    """Says that answers are counted here and not shown."""
    return Paragraph(text=f"Failed answers are counted here and not shown word for word: {why}.")


def _failure_table(
    groups: Sequence[tuple[tuple[Cell, ...], Sequence[RunAudit]]],
    names: Sequence[str],
    keys: Sequence[str],
    *,
    caption: str,
) -> Table:
    """A row for each group of runs, a column for each reason."""
    rows = []
    for cells, audits in groups:
        n_answers, n_failed = (sum(getattr(one, name) for one in audits) for name in ("n_answers", "n_failed"))
        share = n_failed / n_answers if n_answers else None
        reasons: Counter[str] = Counter()
        for audit in audits:
            for failure in audit.failures or ():
                reasons[failure["reason"]] += failure["n"]
        counts = (count(n_answers), count(n_failed), number(share, percent(share)))
        rows.append(Row(cells=(*cells, *counts, *(count(reasons[name]) for name in names))))
    heads = (
        *(Head(text=text) for text in keys),
        *(Head(text=text, numeric=True) for text in ("answers", "failed", "failed %")),
        *(Head(text=name, numeric=True, group="reason") for name in names),
    )
    return Table(caption=caption, heads=heads, rows=tuple(rows), sortable=True)


def _examples(audits: Sequence[RunAudit], reason: str) -> Folded | None:
    """Of different runs where there are several; None where none may be shown."""
    found = [
        (audit, failure, failure["examples"][0])
        for audit in audits
        for failure in audit.failures or ()
        if failure["reason"] == reason and failure.get("examples")
    ]
    if not found:
        return None
    by_model = {audit.model_id: (audit, failure, example) for audit, failure, example in reversed(found)}
    chosen = list(by_model.values())[-N_EXAMPLES:] if len(by_model) >= N_EXAMPLES else found[:N_EXAMPLES]
    answers = tuple(
        Verbatim(
            label=f"{audit.model_id}, {_asked(failure)}, {example['utterance_id']}",
            text=example["text"],
        )
        for audit, failure, example in chosen
    )
    return Folded(summary=f"Examples of {reason}", blocks=answers)


def _asked(failure: dict[str, Any]) -> str:
    return f"{prompt_title(failure['system_id'])} ({failure['form']})"


def failure_blocks(failures: Sequence[dict[str, Any]], *, withheld: str | None) -> tuple[Block, ...]:
    """The failures of one run: a table, and every example that was kept, or why there is none."""
    rows = tuple(
        Row(
            cells=(
                Cell(text=failure["reason"], head=True, below=(meaning(failure["reason"]),)),
                word(prompt_title(failure["system_id"])),
                word(failure["form"]),
                count(failure["n"]),
            )
        )
        for failure in failures
    )
    heads = (Head(text="reason"), Head(text="prompt"), Head(text="form"), Head(text="answers", numeric=True))
    table = Table(
        caption="Answers that could not be read, by the strict reading", heads=heads, rows=rows, sortable=True
    )
    examples = tuple(
        Folded(
            summary=f"{failure['reason']}: {_asked(failure)}",
            blocks=tuple(Verbatim(label=one["utterance_id"], text=one["text"]) for one in failure["examples"]),
        )
        for failure in failures
        if failure.get("examples")
    )
    return (table, *([withheld_note(withheld)] if withheld else []), *examples)


# --- splits and training data -------------------------------------------------------------------------------------


def _splits(audits: Sequence[RunAudit]) -> Table:
    splits = {(audit.corpus_id, audit.split.split_sha256): audit for audit in audits}
    rows = tuple(
        Row(
            cells=(
                Cell(text=audit.corpus_name, head=True, href=corpus_path(audit.corpus_id)),
                word(audit.split.split_id),
                word(audit.split.policy.replace("_", " ")),
                word(audit.split.source),
                number(audit.split.seed, "none" if audit.split.seed is None else str(audit.split.seed)),
                number(audit.split.n_folds, str(audit.split.n_folds)),
                word(SPEAKERS[audit.split.speaker_independent]),
                word(audit.split.overlap),
            )
        )
        for _, audit in sorted(splits.items())
    )
    heads = (
        *(Head(text=text) for text in ("corpus", "split", "policy", "source")),
        *(Head(text=text, numeric=True) for text in ("seed", "folds")),
        *(Head(text=text) for text in ("speaker-independent", "speaker overlap, as computed")),
    )
    return Table(caption="Every split, and speakers in both parts", heads=heads, rows=rows, sortable=True)


def _ledger(audits: Sequence[RunAudit]) -> Table:
    pairs = {(audit.model_id, audit.corpus_id): audit for audit in audits}
    rows = tuple(
        Row(
            cells=(
                Cell(text=audit.model_id, head=True, href=model_path(audit.model_id)),
                Cell(text=audit.corpus_name, href=corpus_path(audit.corpus_id)),
                word(TRAINING_DATA[audit.training_data]),
                word(audit.training_overlap),
            )
        )
        for _, audit in sorted(pairs.items())
    )
    heads = tuple(Head(text=text) for text in ("model", "corpus", "training data", "as the run recorded it"))
    return Table(caption="Each model and each corpus it was tested on", heads=heads, rows=rows, sortable=True)
