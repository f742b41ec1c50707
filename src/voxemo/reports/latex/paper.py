"""The paper's tables of our own runs, each a file for ``input``; ``tables.tex`` shows all.

Corpora are its Table 1, hard labels 4 and 5, soft labels 6, supervised systems 7, transfer 8.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.escape import Latex, for_latex
from voxemo.core.types import ENSEMBLE
from voxemo.reports import transfer
from voxemo.reports.latex.marks import DAGGER, MARKS, in_grey, numbers
from voxemo.reports.scoreboard import (
    HARD_COLUMNS,
    SOFT_COLUMNS,
    TITLES,
    Board,
    Cell,
    Entry,
    FinishedRun,
    format_cell,
    prompt_title,
)
from voxemo.reports.tables import latex_table
from voxemo.store.files import write_text

PACKAGES = "% Needs: \\usepackage[T1]{fontenc} \\usepackage{booktabs} \\usepackage{longtable}\n"
SFT = "sft"


def write_tables(
    boards: Sequence[Board], runs: Sequence[FinishedRun], folder: Path, *, published: bool = True
) -> list[Path]:
    """Write every table that the runs have numbers for, and ``tables.tex``, which shows all of them.

    Args:
        boards: of ``scoreboard.boards(runs)``.
        runs: what the boards were made of.
        folder: to write into.
        published: put what others published beside, in italics.
    """
    named = {
        "table-1-corpora": corpora_table(runs, published=published),
        **{
            f"table-4-hard-{_file_word(model)}": text
            for model, text in hard_tables(boards, runs, published=published).items()
        },
        "table-6-soft": soft_table(boards, published=published),
        "table-7-supervised": supervised_table(boards, published=published),
        **{f"table-8-transfer-{_file_word(model)}": text for model, text in transfer_tables(runs).items()},
    }
    made = {name: text for name, text in named.items() if text}
    for name, text in made.items():
        write_text(folder / f"{name}.tex", PACKAGES + text)
    write_text(folder / "tables.tex", document(made))
    return [folder / f"{name}.tex" for name in (*made, "tables")]


def document(names: Sequence[str] | Mapping[str, str]) -> str:
    """A LaTeX document that shows tables, each from its own file."""
    return "\n".join(
        [
            r"\documentclass{article}",
            r"\usepackage[T1]{fontenc}",
            r"\usepackage[a4paper,landscape,margin=15mm]{geometry}",
            r"\usepackage{booktabs}",
            r"\usepackage{longtable}",
            # Captions stand above, where the class leaves no room below them.
            r"\setlength{\belowcaptionskip}{4pt}",
            r"\begin{document}",
            r"\footnotesize",
            *(rf"\input{{{name}}}" for name in names),
            r"\end{document}",
            "",
        ]
    )


def _file_word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.")


# --- table 1: corpora ---------------------------------------------------------------------------------------------

CORPORA_HEADER = (
    "Corpus",
    "Year",
    "Setting",
    "Audio source",
    "Label source",
    "Language",
    "Emotions",
    "Speakers",
    "Utterances",
    "Hours",
)
SETTINGS = {"acted": "acted", "in_the_wild": "in-the-wild"}


def corpora_table(runs: Sequence[FinishedRun], *, published: bool) -> str:
    """Table 1 of the corpora that were run: the prepared set, and in round brackets what the paper prints instead."""
    found: dict[str, FinishedRun] = {}
    for run in runs:
        found.setdefault(run.manifest.corpus_card.corpus_id, run)
    rows = [_corpus_row(run, published=published) for _, run in sorted(found.items())]
    note = "Counts of the corpora as they were prepared for these runs."
    note += " In round brackets: what the paper prints, where it differs." if published else ""
    note += " A dagger marks a corpus that was not complete on disk."
    return latex_table(CORPORA_HEADER, rows, caption=note, label="tab:corpora", n_text=6)


def _corpus_row(run: FinishedRun, *, published: bool) -> list[str]:
    card, counts = run.manifest.corpus_card, run.manifest.corpus_counts
    paper = card.paper if published else None
    hours = card.expected.hours
    numbers_here = {
        "n_emotions": len(card.labels.names),
        "n_speakers": counts.get("speakers") or None,
        "n_utterances": counts.get("utterances"),
        "hours": hours,
    }
    cells = []
    for field, number in numbers_here.items():
        text = "-" if number is None else f"{number:,.1f}" if field == "hours" else f"{number:,}"
        printed = getattr(paper, field, None)
        theirs = None if printed is None else f"{printed:,}"
        cells.append(text if theirs is None or theirs == text or printed == number else f"{text} ({theirs})")
    name: str = card.name
    if not run.manifest.corpus_complete:
        name = Latex(for_latex(name) + DAGGER)
    return [
        name,
        str(card.year),
        SETTINGS[card.setting],
        _audio_source(card),
        ", ".join(card.label_sources),
        card.paper.language if card.paper is not None else ", ".join(card.languages),
        *cells,
    ]


def _audio_source(card: CorpusCard) -> str:
    if card.paper is not None:
        return card.paper.audio_source
    return (card.elicitation if card.recording in ("unknown", "studio") else card.recording).replace("_", " ")


# --- tables 4 and 5: hard labels ----------------------------------------------------------------------------------


PRINTED = in_grey("published")
"""Head of a row of published figures."""


@dataclass(frozen=True, slots=True)
class _Column:
    cells: Mapping[str, Cell]
    partial: bool
    failure_rate: float | None


def hard_tables(boards: Sequence[Board], runs: Sequence[FinishedRun], *, published: bool) -> dict[str, str]:
    """Tables 4 and 5, one for each base model: UA, WA, macro-F1 and micro-F1 by corpus, prompt, vote and fine-tuning.

    Below each metric what the paper prints, in italics, where asked for. Returns the model's name to its table.
    """
    bases = {run.manifest.run_id: transfer.base_model(run) for run in runs}
    systems = [*lookup.prompt_names(), ENSEMBLE, SFT]
    rows: dict[str, list[list[str] | None]] = {}
    for board in boards:
        if board.vote_rule is not None or board.audio_condition != "clean":
            continue
        columns: dict[str, dict[str, _Column]] = {}
        tuned: dict[str, _Column] = {}
        for entry in board.entries:
            made = _Column(entry.cells, entry.partial, entry.failure_rate)
            if entry.kind != "run":
                continue
            if entry.training == "zero-shot" and entry.system in systems:
                columns.setdefault(entry.model, {})[entry.system] = made
            elif entry.training == SFT and entry.system == "direct":
                tuned.setdefault(bases[str(entry.run_id)], made)
        for base, made in tuned.items():
            for model in [model for model in columns if _is_of(model, base)] or [base]:
                columns.setdefault(model, {})[SFT] = made
        for model, own in columns.items():
            block = _hard_block(board, model, [own.get(system) for system in systems], published=published)
            rows.setdefault(model, []).extend([*([None] if rows.get(model) else []), *block])
    header = ("Corpus", "", *(prompt_title(system) for system in systems[:-1]), "SFT")
    theirs = {model: any(row is not None and row[1] == PRINTED for row in lines) for model, lines in rows.items()}
    return {
        model: latex_table(
            header,
            lines,
            caption=f"{model}: hard labels, in percent. {MARKS} Failed answers count as wrong."
            + (" In italics: as published." if theirs[model] else ""),
            label=f"tab:hard-{_file_word(model)}",
            n_text=2,
        )
        for model, lines in rows.items()
    }


def _is_of(model: str, base: str) -> bool:
    # A board puts the hash of the run behind names that would read the same.
    return model == base or model.startswith(f"{base} (")


def _hard_block(
    board: Board, model: str, columns: Sequence[_Column | None], *, published: bool
) -> Iterator[list[str] | None]:
    partial = [column is not None and column.partial for column in columns]
    printed = _published_cells(board, model) if published else {}
    told = _told_of(board)
    for metric in HARD_COLUMNS:
        cells = [None if column is None else column.cells.get(metric) for column in columns]
        yield [next(told, ""), TITLES[metric], *numbers(metric, cells, partial)]
        theirs = [printed.get(system, {}).get(metric) for system in (*lookup.prompt_names(), ENSEMBLE, SFT)]
        if any(cell is not None for cell in theirs):
            shown = ["" if cell is None else format_cell(metric, cell, interval=False) for cell in theirs]
            yield [next(told, ""), PRINTED, *map(in_grey, shown)]
    failed = [None if column is None else column.failure_rate for column in columns]
    yield [next(told, ""), "failed %", *("-" if rate is None else f"{100 * rate:.1f}" for rate in failed)]
    yield from ([text, *[""] * (len(columns) + 1)] for text in told)


def _told_of(board: Board) -> Iterator[str]:
    """What the first column says of a corpus, line by line."""
    yield board.corpus_name
    yield f"{board.partition}, {board.split_id}"
    sizes = {entry.n for entry in board.entries if entry.kind == "run" and entry.n is not None}
    yield f"n = {max(sizes, default=0):,}"
    if board.speaker_independent is False:
        yield "speakers shared"
    elif board.speaker_independent is None:
        yield "speakers unknown"


def _published_cells(board: Board, model: str) -> dict[str, Mapping[str, Cell]]:
    return {
        entry.system: entry.cells for entry in board.entries if entry.kind == "published" and _is_of(model, entry.model)
    }


# --- table 6: soft labels -----------------------------------------------------------------------------------------

SOFT_SHOWN = tuple(metric for metric in SOFT_COLUMNS if metric != "jsd_skill")


def soft_table(boards: Sequence[Board], *, published: bool) -> str:
    """Table 6: soft labels by corpus, model and variant, with what needs no listening and one human rater below.

    Empty where no run has soft scores.
    """
    rows: list[list[str] | None] = []
    rules = set()
    for board in boards:
        if board.vote_rule is None or board.audio_condition != "clean":
            continue
        ours = [entry for entry in board.entries if entry.kind == "run"]
        others = [
            entry
            for entry in board.entries
            if entry.kind == "reference" or (entry.kind == "published" and published and len(entry.cells) > 1)
        ]
        partial = [entry.partial for entry in ours]
        marked = [numbers(metric, [entry.cells.get(metric) for entry in ours], partial) for metric in SOFT_SHOWN]
        rules.add(f"{board.corpus_name}: {board.vote_rule}")
        told = _told_of(board)
        block: list[list[str] | None] = []
        for index, entry in enumerate(ours):
            model = f"{entry.model}, {entry.training}" if entry.training != "zero-shot" else entry.model
            cells = [column[index] for column in marked]
            block.append([next(told, ""), model, prompt_title(entry.system), *cells, _failed(entry)])
        for entry in others:
            shown = [in_grey(format_cell(metric, entry.cells.get(metric), interval=False)) for metric in SOFT_SHOWN]
            what = "reference" if entry.kind == "reference" else f"published, {prompt_title(entry.system)}"
            block.append([next(told, ""), in_grey(entry.model), in_grey(what), *shown, ""])
        rows += [*([None] if rows else []), *block]
    if not rows:
        return ""
    caption = (
        f"Soft labels. {MARKS} Failed answers count as a uniform guess. In italics: what hears no audio, one human "
        f"rater{', and published figures' if published else ''}. Votes counted: {'; '.join(sorted(rules))}."
    )
    header = ("Corpus", "Model", "Prompt", *(TITLES[metric] for metric in SOFT_SHOWN), "failed %")
    return latex_table(header, rows, caption=caption, label="tab:soft", n_text=3)


def _failed(entry: Entry) -> str:
    return "-" if entry.failure_rate is None else f"{100 * entry.failure_rate:.1f}"


# --- table 7: supervised systems ----------------------------------------------------------------------------------

SUPERVISED = "supervised"


def supervised_table(boards: Sequence[Board], *, published: bool) -> str:
    """Table 7: macro-F1 of thresholded soft labels beside that of published supervised systems.

    Of each of our models the variant that is best on the very test part, as the paper does it. Empty where no corpus of
    the runs has a published supervised system, or where published figures are not asked for.
    """
    metric = "soft_macro_f1"
    rows: list[list[str] | None] = []
    for board in boards:
        theirs = [entry for entry in board.entries if entry.kind == "published" and entry.system == SUPERVISED]
        if not published or board.vote_rule is None or board.audio_condition != "clean" or not theirs:
            continue
        best: dict[str, Entry] = {}
        for entry in board.entries:
            value = _value(entry, metric)
            known = best.get(entry.model)
            if entry.kind == "run" and value is not None and (known is None or value > (_value(known, metric) or 0.0)):
                best[entry.model] = entry
        shown = sorted((*theirs, *best.values()), key=lambda entry: -(_value(entry, metric) or 0.0))
        cells = numbers(metric, [entry.cells.get(metric) for entry in shown], [entry.partial for entry in shown])
        block: list[list[str] | None] = [
            [
                board.corpus_name if index == 0 else "",
                entry.model if entry.kind == "run" else in_grey(entry.model),
                prompt_title(entry.system) if entry.kind == "run" else in_grey("supervised, published"),
                cell,
            ]
            for index, (entry, cell) in enumerate(zip(shown, cells, strict=True))
        ]
        rows += [*([None] if rows else []), *block]
    if not rows:
        return ""
    caption = (
        f"Against supervised systems: macro-F1 of thresholded soft labels, in percent. {MARKS} Of our models the "
        "variant that is best on this very test part. In italics: as published, on their authors' splits."
    )
    header = ("Corpus", "System", "", TITLES[metric])
    return latex_table(header, rows, caption=caption, label="tab:supervised", n_text=3)


def _value(entry: Entry, metric: str) -> float | None:
    cell = entry.cells.get(metric)
    return None if cell is None else cell.value


# --- table 8: transfer --------------------------------------------------------------------------------------------


def transfer_tables(runs: Sequence[FinishedRun]) -> dict[str, str]:
    """Table 8, one for each base model that was trained on one corpus and tested on another."""
    made = {}
    for base, pairs in transfer.transfer_pairs(runs).items():
        if any(not pair.in_domain for pair in pairs):
            label = f"tab:transfer-{_file_word(base)}"
            made[base] = transfer.latex(f"Transfer of {base}", transfer.read_cells(pairs), label=label)
    return made
