"""Scores as cells of tables: every number with its interval and coverage, every mark with its reason."""

from collections.abc import Mapping
from typing import TypeAlias

from voxemo.reports.scoreboard import PERCENT, Entry, format_cell
from voxemo.reports.site.parts import Cell, number, page_name
from voxemo.reports.site.standings import Place, Standing
from voxemo.reports.tables import signed

EMPTY = Cell(text="-", numeric=True)


def score(entry: Entry | None, metric: str, *, marks: tuple[str, ...] = (), below: tuple[str, ...] = ()) -> Cell:
    """A score with its interval and coverage under it; a dash where there is none."""
    cell = None if entry is None else entry.cells.get(metric)
    if entry is None or cell is None or cell.value is None:
        return EMPTY
    with_interval = format_cell(metric, cell, interval=True)
    text, _, interval = with_interval.partition(" ")
    return number(cell.value, text, below=(*filter(None, (*below, interval, coverage(entry))),), marks=marks)


def coverage(entry: Entry) -> str:
    """Scored utterances and the share of them without a usable answer.

    >>> about = {"kind": "run", "model": "", "system": "", "training": "", "cells": {}, "partial": False, "run_id": ""}
    >>> coverage(Entry(n=400, n_failed=6, **about))
    'n 400, failed 1.5 %'
    """
    failed = "" if entry.failure_rate is None else f", failed {100 * entry.failure_rate:.1f} %"
    return "" if entry.n is None else f"n {entry.n:,}{failed}"


def plain_score(metric: str, value: float | None) -> str:
    """A value as reports print it, without an interval."""
    if value is None:
        return "-"
    return f"{100 * value:z.1f}" if metric in PERCENT else f"{value:z.3f}"


def difference(metric: str, ours: float | None, theirs: float | None) -> Cell:
    """Ours minus theirs, in points of percent or in the metric's own unit."""
    if ours is None or theirs is None:
        return EMPTY
    by = ours - theirs
    return number(by, signed(100 * by) if metric in PERCENT else signed(by, 3))


def value_of(entry: Entry | None, metric: str) -> float | None:
    """A score of an entry; None where it has none."""
    cell = None if entry is None else entry.cells.get(metric)
    return None if cell is None else cell.value


Tied: TypeAlias = Mapping[tuple[str, str], str]
"""Run and system to ``best`` or ``tied``; those that are told apart from the best are not in it."""


def marks_of(standing: Standing, entry: Entry, tied: Tied) -> tuple[str, ...]:
    """What must be known of a row of a board at a glance."""
    marks = [*tied_mark(standing, entry, tied)]
    if standing.training_data in ("contains", "undisclosed"):
        marks.append(standing.training_data)
    if standing.partial:
        marks.append("partial")
    if "deviates" in standing.best.note:
        marks.append("deviates")
    return tuple(marks)


def tied_mark(standing: Standing, entry: Entry | None, tied: Tied) -> tuple[str, ...]:
    """Whether a row is the best of its board, or cannot be told apart from it."""
    mark = None if entry is None else tied.get((standing.run_id, entry.system))
    return () if mark is None else (mark,)


SPEAKERS = {True: "yes", False: "no", None: "unknown"}


def facets_of(place: Place) -> dict[str, str]:
    """What the filters ask of a board."""
    return {
        "language": " ".join(place.languages),
        "setting": place.setting,
        "labels": place.label_source,
        "speakers": SPEAKERS[place.speaker_independent],
    }


def place_head(place: Place, *, root: str) -> Cell:
    """The cell that names a board and leads to it."""
    where = f"{place.partition}, split {place.split_id}"
    path = f"{root}{corpus_path(place.corpus_id)}#{place.board_id}"
    return Cell(text=place.corpus_name, href=path, below=(where,), head=True)


def place_cells(place: Place) -> tuple[Cell, ...]:
    """A board's language, setting, labels and speaker independence."""
    votes = (f"votes: {place.vote_rule}",) if place.soft else ()
    return (
        Cell(text=", ".join(place.languages)),
        Cell(text=place.setting.replace("_", " ")),
        Cell(text=place.label_source, below=votes),
        Cell(text=SPEAKERS[place.speaker_independent]),
    )


PLACE_HEADS = ("language", "setting", "labels", "speaker-independent")


def corpus_path(corpus_id: str) -> str:
    """Page of a corpus, from the site's folder."""
    return f"corpora/{page_name(corpus_id)}.html"


def model_path(model_id: str) -> str:
    """Page of a model, from the site's folder."""
    return f"models/{page_name(model_id)}.html"


def run_path(run_id: str) -> str:
    """Page of a run, from the site's folder."""
    return f"runs/{page_name(run_id)}.html"
