"""Reads runs, makes every page, and writes the folder. The only part of the site that touches files.

One corpus after another, or several at a time in processes of their own: the boards of a corpus need nothing of the
others. What the pages over all corpora need comes back as small values.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import voxemo
from voxemo.core.cards import ModelCard
from voxemo.core.errors import RunError
from voxemo.reports.analyses import measured
from voxemo.reports.hearing import HeardGain, heard_gains
from voxemo.reports.ranking import Ranking, rankings
from voxemo.reports.scoreboard import Board, FinishedRun, boards, read_runs
from voxemo.reports.site.analyses import analyses_page
from voxemo.reports.site.assets import assets
from voxemo.reports.site.audit import RunAudit, audit_page, withheld_of
from voxemo.reports.site.cells import Tied
from voxemo.reports.site.corpus import corpus_page
from voxemo.reports.site.evidence import RunEvidence, read_evidence
from voxemo.reports.site.index import index_page
from voxemo.reports.site.model import model_page
from voxemo.reports.site.parts import Page, anchor_name, how_many
from voxemo.reports.site.ranks import ranking_blocks, tied_on
from voxemo.reports.site.render import check_templates, render
from voxemo.reports.site.run import run_page, runs_page
from voxemo.reports.site.standings import Place, Standing, place_of, standings, training_data
from voxemo.reports.site.transfer import TransferRun, transfer_page, transfer_run
from voxemo.store.files import remove, write_json, write_text
from voxemo.store.layout import RunPaths

MARKER = "voxemo-site.json"
"""Says that a folder is a site of ours, which may be written over."""
FOLDERS = ("assets", "corpora", "figures", "models", "runs")
ENDINGS = frozenset({".html", ".svg", ".css", ".js", ".txt"})
NAVIGATION = (
    ("Scoreboard", "index.html"),
    ("Models", "index.html#models"),
    ("Corpora", "index.html#corpora"),
    ("Transfer", "transfer.html"),
    ("Analyses", "analyses.html"),
    ("Audit", "audit.html"),
    ("Disclosure", "runs.html"),
)
FEWEST_FOR_PROCESSES = 24
"""Runs from which on a second process saves more time than its start costs."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteOptions:
    """What to show."""

    reading: str = "strict"
    policy: str | None = None
    """Failure policy; by default ``wrong`` for hard and ``uniform`` for soft scores."""
    partial: bool = False
    """Show partial runs too; they are marked."""
    published: bool = True
    redact: bool = False
    """Show no answer word for word, whatever the corpora's licences say."""


DEFAULT = SiteOptions()


def can_write_site() -> bool:
    """Whether what the web report cannot do without is installed; figures are left out where matplotlib is not."""
    return all(find_spec(package) is not None for package in ("itables", "jinja2"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What was written."""

    folder: Path
    index: Path
    n_runs: int
    n_pages: int
    skipped: tuple[str, ...]
    """Why folders were left out."""
    withheld: tuple[str, ...]
    """Why failed answers are not shown word for word, of each corpus of which they are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusPart:
    """What the pages over all corpora need of one; free of tables, to come back from another process."""

    standings: tuple[Standing, ...] = ()
    gains: tuple[HeardGain, ...] = ()
    """Of runs that were answered again with something else in place of the clips."""
    tied: Mapping[str, Tied] = field(default_factory=dict)
    audits: tuple[RunAudit, ...] = ()
    transfers: tuple[TransferRun, ...] = ()
    model_cards: Mapping[str, ModelCard] = field(default_factory=dict)
    checks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Run to what `voxemo doctor hearing` found."""
    written: frozenset[str] = frozenset()
    """Files, relative to the site's folder."""
    skipped: tuple[str, ...] = ()
    boards: tuple[Board, ...] = ()
    runs: tuple[FinishedRun, ...] = ()
    """Without their scores."""


def build_site(
    folders: Sequence[Path],
    out: Path,
    options: SiteOptions = DEFAULT,
    *,
    jobs: int | None = None,
    on_progress: Progress | None = None,
) -> Site:
    """Write a static site of scored runs.

    Args:
        folders: run folders.
        out: the site's folder: a new one, an empty one, or an earlier site, which is replaced.
        options: what to show.
        jobs: processes; by default as many as there are cores, or one for a few runs.
        on_progress: called with (done, total) runs.

    Raises:
        RunError: no run can be shown, two hold the same answers of one run, or ``out`` holds something else.
        MissingDependency: a package of the extra ``report`` is not installed.
    """
    check_templates()
    files = assets()
    groups = runs_by_corpus(folders)
    _claim(out)
    write_json(out / MARKER, {"voxemo": voxemo.__version__})
    for name, content in files.items():
        write_text(out / "assets" / name, content)
    parts = list(_corpus_parts(groups, out, options, jobs=jobs, on_progress=on_progress))
    skipped = tuple(text for part in parts for text in part.skipped)
    if not any(part.audits for part in parts):
        raise RunError(" ".join(skipped) or "There is no run folder among what was given. `voxemo run` makes one.")
    pages = overall_pages(parts, options)
    written = _write_pages(out, pages, _colophon(options))
    written |= {MARKER, *(f"assets/{name}" for name in files)}.union(*(part.written for part in parts))
    _sweep(out, written)
    return Site(
        folder=out,
        index=out / "index.html",
        n_runs=sum(len(part.audits) for part in parts),
        n_pages=sum(name.endswith(".html") for name in written),
        skipped=skipped,
        withheld=withheld_of([audit for part in parts for audit in part.audits]),
    )


def runs_by_corpus(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """Run folders by their corpus, in its order; what is no run stands under no name, for its reader to say so."""
    groups: dict[str, list[Path]] = {}
    for folder in dict.fromkeys(folders):
        groups.setdefault(_corpus_of(folder), []).append(folder)
    return dict(sorted(groups.items()))


def _corpus_of(folder: Path) -> str:
    try:
        content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return str(content["corpus_card"]["corpus_id"])
    except (OSError, ValueError, KeyError, TypeError):
        # `read_runs` says what is wrong with it.
        return ""


# --- one corpus ---------------------------------------------------------------------------------------------------


def _corpus_parts(
    groups: Mapping[str, Sequence[Path]],
    out: Path,
    options: SiteOptions,
    *,
    jobs: int | None,
    on_progress: Progress | None,
) -> Iterator[CorpusPart]:
    total, done = sum(map(len, groups.values())), 0

    def note(part: CorpusPart, n_runs: int) -> CorpusPart:
        nonlocal done
        done += n_runs
        if on_progress is not None:
            on_progress(done, total)
        return part

    if on_progress is not None:
        on_progress(0, total)
    if jobs == 1 or len(groups) == 1 or (jobs is None and total < FEWEST_FOR_PROCESSES):
        for folders in groups.values():
            yield note(write_corpus(folders, out, options), len(folders))
        return
    import joblib  # slow to import, and most sites are of a few runs

    workers = joblib.Parallel(n_jobs=min(jobs or joblib.cpu_count(), len(groups)), return_as="generator")
    made = workers(joblib.delayed(write_corpus)(folders, out, options) for folders in groups.values())
    for part, folders in zip(made, groups.values(), strict=True):
        yield note(part, len(folders))


def write_corpus(folders: Sequence[Path], out: Path, options: SiteOptions) -> CorpusPart:
    """Write the pages of one corpus and of its runs.

    Args:
        folders: run folders of one corpus.
        out: the site's folder.
        options: what to show.

    Raises:
        RunError: two folders hold runs of one id, or a file of a run is damaged.
    """
    skipped: list[str] = []
    try:
        runs = read_runs(folders, allow_partial=options.partial, on_skip=skipped.append)
    except RunError:
        if len(skipped) < len(folders):
            raise
        return CorpusPart(skipped=tuple(skipped))
    evidence = [read_evidence(run, redact=options.redact) for run in sorted(runs, key=lambda run: run.manifest.run_id)]
    made = boards(runs, reading=options.reading, policy=options.policy, with_published=options.published)
    places = board_places(made, runs)
    found = [one for board, place in zip(made, places, strict=True) for one in standings(board, runs, place)]
    tied = {place.board_id: tied_on(board, runs) for board, place in zip(made, places, strict=True)}
    pages = [corpus_page(made, places, found, evidence, tied=tied), *(run_page(one) for one in evidence)]
    return CorpusPart(
        standings=tuple(one for one in found if one.place.audio_condition == "clean"),
        gains=tuple(heard_gains(made, runs)),
        tied=tied,
        audits=tuple(map(audit_of, evidence)),
        transfers=tuple(one for run in runs if (one := transfer_run(run)) is not None),
        model_cards={card.model_id: card for run in runs for card in (next(iter(run.manifest.model_cards.values())),)},
        checks={one.run_id: one.checks["hearing"] for one in evidence if "hearing" in one.checks},
        written=frozenset(_write_pages(out, pages, _colophon(options))),
        skipped=tuple(skipped),
        boards=tuple(made),
        # Their scores stay behind: to rank systems needs the counts by speaker, which lie in a file of their own.
        runs=tuple(replace(run, scores=run.scores.clear()) for run in runs),
    )


def board_places(made: Sequence[Board], runs: Sequence[FinishedRun]) -> list[Place]:
    """What each board of a corpus is about, each under a name of its own."""
    card = runs[0].manifest.corpus_card
    names: dict[str, int] = {}
    places = []
    for board in made:
        words = (board.corpus_id, board.partition, board.split_id, board.label_source, board.vote_rule or "hard")
        heard = () if board.audio_condition == "clean" else (board.audio_condition,)
        name = anchor_name(*words, *heard)
        names[name] = names.get(name, 0) + 1
        board_id = name if names[name] == 1 else f"{name}-{names[name]}"
        places.append(place_of(board, card, board_id=board_id))
    return places


def audit_of(evidence: RunEvidence) -> RunAudit:
    """What the audit page needs of a run."""
    manifest = evidence.run.manifest
    card = next(iter(manifest.model_cards.values()))
    return RunAudit(
        run_id=manifest.run_id,
        model_id=card.model_id,
        corpus_id=manifest.corpus_card.corpus_id,
        corpus_name=manifest.corpus_card.name,
        split=manifest.split,
        training_data=training_data(card, manifest.corpus_card.corpus_id),
        training_overlap=manifest.training_overlap,
        n_answers=manifest.counts.get("answered", 0),
        n_failed=manifest.counts.get("strict.failed", 0),
        failures=evidence.failures,
        withheld=evidence.withheld,
    )


# --- over all corpora ---------------------------------------------------------------------------------------------


def overall_pages(parts: Sequence[CorpusPart], options: SiteOptions) -> list[Page]:
    """The pages that need every corpus: scoreboard, models, transfer, analyses, audit, runs."""
    found = [one for part in parts for one in part.standings]
    gains = [one for part in parts for one in part.gains]
    tied = {board: runs for part in parts for board, runs in part.tied.items()}
    audits = tuple(audit for part in parts for audit in part.audits)
    cards = {name: card for part in parts for name, card in part.model_cards.items()}
    checks = {run_id: check for part in parts for run_id, check in part.checks.items()}
    models = [
        model_page(
            card,
            [one for one in found if one.model_id == name],
            [one for one in gains if one.model_id == name],
            checks=checks,
            tied=tied,
        )
        for name, card in sorted(cards.items())
    ]
    return [
        index_page(found, tied=tied, ranking=ranking_blocks(_rankings(parts)), notes=_notes(found, options)),
        *models,
        transfer_page([one for part in parts for one in part.transfers]),
        _analyses(parts),
        audit_page(audits),
        runs_page(audits),
    ]


def _analyses(parts: Sequence[CorpusPart]) -> Page:
    """Of real corpora, or of synthetic ones where there are no others."""
    runs = [run for part in parts for run in part.runs]
    made = [board for part in parts for board in part.boards]
    cards = {run.manifest.corpus_card.corpus_id: run.manifest.corpus_card for run in runs}
    scores = measured(made, runs)
    synthetic = scores.is_empty()
    return analyses_page(measured(made, runs, synthetic=True) if synthetic else scores, cards, synthetic=synthetic)


def _rankings(parts: Sequence[CorpusPart]) -> list[Ranking]:
    """Over the runs that have counts by speaker; those of an older version have none, and their pages say so."""
    counted = [run for part in parts for run in part.runs if RunPaths(run.path).unit_counts.is_file()]
    names = {run.manifest.run_id for run in counted}
    made = [
        replace(board, entries=tuple(entry for entry in board.entries if entry.kind != "run" or entry.run_id in names))
        for part in parts
        for board in part.boards
    ]
    return rankings(made, counted)


def _notes(found: Sequence[Standing], options: SiteOptions) -> list[str]:
    notes = []
    if options.reading != "strict":
        notes.append(f"Answers are read by the {options.reading} reading, which is not the benchmark's.")
    if options.policy is not None:
        notes.append(f"Failed answers count as {options.policy!r} on every board, as was asked for.")
    partial = {one.run_id for one in found if one.partial}
    if partial:
        notes.append(f"Partial, marked and not ranked: {how_many(len(partial), 'run')}.")
    synthetic = sorted({one.place.corpus_name for one in found if one.place.synthetic})
    if synthetic:
        notes.append(f"{', '.join(synthetic)}: shows how the benchmark works, and is never ranked beside real corpora.")
    return notes


def _colophon(options: SiteOptions) -> str:
    return f"Made by voxemo {voxemo.__version__} from run folders, {options.reading} reading. Works without a network."


# --- files --------------------------------------------------------------------------------------------------------


def _claim(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise RunError(
            f"{out} holds files that are no site of ours, which a site would be mixed with. "
            "Give --html a new or an empty folder."
        )
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file. Give --html a new or an empty folder.")


def _write_pages(out: Path, pages: Sequence[Page], colophon: str) -> set[str]:
    written = set()
    for page in pages:
        for figure in page.figures:
            written |= {path.relative_to(out).as_posix() for path in figure.draw(out / "figures", figure.name)}
        write_text(out / page.path, render(page, navigation=NAVIGATION, colophon=colophon))
        written.add(page.path)
    return written


def _sweep(out: Path, written: set[str]) -> None:
    """Remove what an earlier site had and this one has not; only files of the kinds that we write."""
    there = [*out.glob("*.html"), *(path for name in FOLDERS for path in (out / name).glob("*"))]
    for path in there:
        if path.suffix in ENDINGS and path.relative_to(out).as_posix() not in written:
            remove(path)
