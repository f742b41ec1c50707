"""The page of a model: its card, what is known of its training data, its prompts and its results on every corpus."""

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import mean
from typing import Any

import polars as pl

from voxemo.catalog import lookup
from voxemo.core.cards import ModelCard
from voxemo.reports import figures
from voxemo.reports.hearing import HEADER as GAIN_HEADER
from voxemo.reports.hearing import HeardGain
from voxemo.reports.scoreboard import TITLES, Entry, prompt_title
from voxemo.reports.site.cells import (
    PLACE_HEADS,
    Tied,
    coverage,
    marks_of,
    model_path,
    place_cells,
    place_head,
    plain_score,
    run_path,
    score,
    value_of,
)
from voxemo.reports.site.parts import (
    Block,
    Cell,
    Facts,
    Figure,
    Head,
    Listing,
    Page,
    Paragraph,
    Row,
    Section,
    Table,
    how_many,
    number,
    page_name,
    percent,
    points,
    word,
)
from voxemo.reports.site.standings import TRAINING_DATA, Standing, TrainingData

NOT_HEARD = "not checked: `voxemo doctor hearing RUN` asks with silence and noise in place of the clips"
GAIN_NOTE = (
    "Pooled over folds, failed answers as wrong. The interval is that of the gain: the same speakers are drawn for "
    "both scores. A gain whose interval holds 0 is no sign of hearing."
)
CONTAMINATION_NOTE = "What is known of each corpus that was tested here being in the model's training data."
SENSITIVITY_NOTE = (
    "Score and share of failed answers of every prompt, as the paper's Figure 1: a prompt that is hard to follow fails "
    "before it is wrong. Means over test parts hold every test part alike, and only whole runs."
)


def model_page(
    card: ModelCard,
    standings: Sequence[Standing],
    gains: Sequence[HeardGain],
    *,
    checks: Mapping[str, Mapping[str, Any]],
    tied: Mapping[str, Tied],
) -> Page:
    """The page of one model.

    Args:
        card: of the model, or of its first fold.
        standings: of its runs about the clips themselves.
        gains: of its runs over what they score with something else in place of the clips.
        checks: run to what `voxemo doctor hearing` found.
        tied: of each board, what cannot be told apart from its best.
    """
    sections = [
        Section(title="Card", anchor="card", blocks=(_card(card),)),
        Section(
            title="Training data",
            anchor="training-data",
            blocks=(Paragraph(text=CONTAMINATION_NOTE), _contamination(standings)),
        ),
        *_results(standings, tied),
        *_sensitivity(card, standings),
        _hearing(standings, gains, checks),
    ]
    return Page(
        path=model_path(card.model_id),
        title=card.model_id,
        lead=card.name,
        sections=tuple(sections),
    )


def _card(card: ModelCard) -> Facts:
    audio = card.audio
    items: dict[str, Cell] = {
        "Model": word(f"{card.name} (card version {card.version})"),
        "Backend": word(" ".join(filter(None, (card.backend, card.family)))),
        "Repository": _known(card.repository),
        "Revision": _known(card.revision, "none" if card.repository is None else "not pinned"),
        "Precision": _known(card.dtype, "not applicable" if card.repository is None else "not stated"),
        "Audio": word(
            f"{audio.sample_rate_hz} Hz; "
            + ("any length" if audio.max_s is None else f"at most {audio.max_s:g} s, beyond: {audio.beyond}")
        ),
        "Training data": word(card.training_data),
        "Licence": word(card.license),
        "Reference": word(card.reference),
        "Support": word(f"{card.support}. {card.support_note}".strip()),
    }
    if card.training is not None:
        record = card.training
        items["Trained"] = word(
            f"{record.kind} on {', '.join(record.corpora)}, split {record.split_id}, {record.n_utterances} utterances, "
            f"seed {record.seed}" + (f"; base model {record.base_model_id}" if record.base_model_id else "")
        )
    items |= {f"Known: {issue.id}": word(issue.text) for issue in card.known_issues}
    return Facts(items=tuple(items.items()))


def _known(value: str | None, otherwise: str = "none") -> Cell:
    return (
        word(value) if value is not None else Cell(text=otherwise, missing=otherwise not in ("none", "not applicable"))
    )


def _contamination(standings: Sequence[Standing]) -> Facts:
    found: dict[TrainingData, set[str]] = {}
    for one in standings:
        found.setdefault(one.training_data, set()).add(one.place.corpus_name)
    return Facts(
        items=tuple(
            (TRAINING_DATA[state], word(", ".join(sorted(found[state])))) for state in TRAINING_DATA if state in found
        )
    )


def _results(standings: Sequence[Standing], tied: Mapping[str, Tied]) -> list[Section]:
    sections = []
    for title, soft, metrics in (
        ("Results, hard labels", False, ("unweighted_accuracy", "weighted_accuracy", "macro_f1")),
        ("Results, soft labels", True, ("jsd", "soft_macro_f1", "top1_accuracy", "jsd_skill")),
    ):
        own = [one for one in standings if one.place.soft == soft]
        if not own:
            continue
        rows = []
        for one in own:
            marks = marks_of(one, one.best, tied.get(one.place.board_id, {}))
            first, *others = metrics
            cells = (
                place_head(one.place, root="../"),
                Cell(text=one.training, href=f"../{run_path(one.run_id)}", below=("labels weighed",) * one.weighed),
                word(prompt_title(one.best.system)),
                score(one.best, first, marks=marks),
                *(score(one.best, metric) for metric in others),
                *(
                    score(one.ensembles.get(name), first)
                    for name in ("ensemble", *(("mean_distribution",) if soft else ()))
                ),
                *place_cells(one.place),
            )
            rows.append(Row(cells=cells))
        heads = (
            *(Head(text=name) for name in ("corpus", "met the corpus", "best prompt")),
            *(Head(text=TITLES[metric], numeric=True, group="best prompt") for metric in metrics),
            Head(text=TITLES[metrics[0]], numeric=True, group="vote of 5"),
            *([Head(text=TITLES[metrics[0]], numeric=True, group="mean of 5")] if soft else []),
            *(Head(text=name) for name in PLACE_HEADS),
        )
        table = Table(caption=title, heads=heads, rows=tuple(rows), sortable=True)
        sections.append(Section(title=title, anchor="soft" if soft else "hard", blocks=(table,)))
    return sections


# --- prompt sensitivity -------------------------------------------------------------------------------------------


def _sensitivity(card: ModelCard, standings: Sequence[Standing]) -> list[Section]:
    blocks: list[Block] = [Paragraph(text=SENSITIVITY_NOTE)]
    drawn: list[dict[str, object]] = []
    for soft, metric, form in ((False, "macro_f1", "hard"), (True, "soft_macro_f1", "distribution")):
        own = [one for one in standings if one.place.soft == soft and not one.weighed]
        asked = {entry.system for one in own for entry in one.entries if entry.system not in one.ensembles}
        paper = lookup.prompt_names()
        systems = [*(name for name in paper if name in asked), *sorted(asked - set(paper))]
        if not systems:
            continue
        blocks.append(_sensitivity_table(own, systems, metric))
        whole = [one for one in own if not one.partial]
        drawn += [
            row for system in systems if (row := _mean_row(card.model_id, form, metric, system, whole)) is not None
        ]
    if len(blocks) == 1:
        return []
    if figures.can_draw() and drawn:
        title = f"{card.model_id}: macro-F1 and failed answers of every prompt, mean over test parts"
        draw = partial(figures.prompt_sensitivity, pl.DataFrame(drawn, infer_schema_length=None), title=title)
        blocks.append(
            Figure(
                name=page_name(f"{card.model_id}-prompts"),
                alt=f"{title}. The numbers are in the tables of this section.",
                caption=title,
                draw=lambda folder, name: draw(folder, name, kinds=("svg",)),
            )
        )
    return [Section(title="Prompt sensitivity", anchor="prompts", blocks=tuple(blocks))]


def _sensitivity_table(own: Sequence[Standing], systems: Sequence[str], metric: str) -> Table:
    rows = []
    for one in own:
        by_system = {entry.system: entry for entry in one.entries}
        cells = [_variant_cell(by_system.get(system), metric) for system in systems]
        rows.append(Row(cells=(place_head(one.place, root="../"), word(one.training), *cells)))
    whole = [one for one in own if not one.partial]
    if len(whole) > 1:
        means = []
        for system in systems:
            row = _mean_row("", "", metric, system, whole)
            value, failed = (None, None) if row is None else (row["value"], row["failure_rate"])
            below = () if failed is None else (f"failed {percent(failed)} %",)  # type: ignore[arg-type]
            means.append(number(value, plain_score(metric, value), below=below, strong=True))  # type: ignore[arg-type]
        head = Cell(text="mean over test parts", head=True, below=(how_many(len(whole), "test part"),))
        rows.append(Row(cells=(head, word(""), *means)))
    kind = "soft" if metric.startswith("soft") else "hard"
    return Table(
        caption=f"{TITLES[metric]} under each prompt, {kind} labels",
        heads=(
            Head(text="corpus"),
            Head(text="met the corpus"),
            *(Head(text=prompt_title(system), numeric=True) for system in systems),
        ),
        rows=tuple(rows),
    )


def _variant_cell(entry: Entry | None, metric: str) -> Cell:
    value = value_of(entry, metric)
    below = () if entry is None else (coverage(entry),)
    return number(value, plain_score(metric, value), below=below)


def _mean_row(model: str, form: str, metric: str, system: str, whole: Sequence[Standing]) -> dict[str, object] | None:
    """A prompt's mean score and failure rate, over the test parts where every prompt of theirs has a score."""
    entries = [entry for one in whole for entry in one.entries if entry.system == system]
    cells = [entry.cells[metric] for entry in entries if metric in entry.cells]
    values = [cell.value for cell in cells if cell.value is not None]
    if not values:
        return None
    rates = [entry.failure_rate for entry in entries if entry.failure_rate is not None]
    single = cells[0] if len(cells) == 1 else None
    return {
        "model": model,
        "form": form,
        "system_id": system,
        "metric": metric,
        "value": mean(values),
        "ci_low": None if single is None else single.ci_low,
        "ci_high": None if single is None else single.ci_high,
        "failure_rate": mean(rates) if rates else None,
    }


# --- hearing ------------------------------------------------------------------------------------------------------


def _hearing(
    standings: Sequence[Standing], gains: Sequence[HeardGain], checks: Mapping[str, Mapping[str, Any]]
) -> Section:
    items: list[Cell] = []
    for run_id in dict.fromkeys(one.run_id for one in standings):
        found = checks.get(run_id)
        if found is None:
            items.append(Cell(text=f"{run_id}: {NOT_HEARD}", missing=True))
            continue
        verdict = "NO: " + "; ".join(found["problems"]) if found["problems"] else "yes"
        changed = ", ".join(f"{condition} {n} of {found['n_clips']}" for condition, n in found["changed"].items())
        unknown = "".join(f" Not checked: {what}." for what in found.get("not_checked", ()))
        items.append(word(f"{run_id}: does it hear? {verdict}. Answers that changed: {changed}.{unknown}"))
    blocks: list[Block] = [Listing(items=tuple(items))]
    if gains:
        heads = tuple(Head(text=name, numeric=index > 3) for index, name in enumerate(("corpus", *GAIN_HEADER)))
        table = Table(
            caption="UA (%) about the clips and about what was heard in their place", heads=heads, rows=_gains(gains)
        )
        blocks += [Paragraph(text=GAIN_NOTE), table]
    return Section(title="Does it hear?", anchor="hearing", blocks=tuple(blocks))


def _gains(gains: Sequence[HeardGain]) -> tuple[Row, ...]:
    rows = []
    for one in gains:
        known = one.ci_low is not None and one.ci_high is not None
        cells = (
            Cell(text=one.corpus_name, head=True),
            word(one.partition),
            word(prompt_title(one.system_id)),
            word(one.condition),
            number(one.value, percent(one.value)),
            number(one.instead, percent(one.instead)),
            number(one.gain, points(one.gain)),
            number(one.ci_low, f"[{percent(one.ci_low)}, {percent(one.ci_high)}]" if known else "-"),
        )
        rows.append(Row(cells=cells))
    return tuple(rows)
