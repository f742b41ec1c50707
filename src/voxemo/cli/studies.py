"""What `voxemo run` and `voxemo transfer` share: running whole studies, and showing matrices, sweeps and estimates."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxemo.cli.common import command_line, console, emit, print_table, progress, say, shown_path, table

if TYPE_CHECKING:
    from voxemo.reports.transfer import TransferCell
    from voxemo.steps.estimate import RunEstimate, StudyEstimate
    from voxemo.steps.mixtures import Training
    from voxemo.steps.run import RunResult
    from voxemo.steps.study import Study
    from voxemo.steps.train import TrainResult
    from voxemo.steps.transfer import TransferMatrix
    from voxemo.store.layout import Workspace

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Count requests, hours of audio and tokens, and write nothing.")
]
SkipOption = Annotated[bool, typer.Option("--skip-unprepared", help="Run what is prepared, and list what is left out.")]

Outcome = list["TransferCell"]


def prepared_part(workspace: "Workspace", study: "Study", *, skip: bool) -> "tuple[Study, Mapping[str, str]]":
    """The study without corpora that are not prepared, and these with what is missing; all of it where all are there.

    Raises:
        RunError: several corpora are missing, and they were not to be skipped; or nothing is left.
    """
    from voxemo.core.errors import RunError
    from voxemo.steps.study import only_prepared, unprepared

    missing = unprepared(workspace, study.runs)
    if skip and missing:
        left = only_prepared(study, missing)
        if not left.runs:
            raise RunError(f"Nothing of the study is prepared: {_listed(missing)}. Run `voxemo prepare` on them.")
        return left, missing
    # One that is missing is told of by the step that needs it, with the command to run.
    if len(missing) > 1:
        raise RunError(
            f"{len(missing)} corpora of the study cannot be run: {_listed(missing)}. Run `voxemo prepare` on them, or "
            "give --skip-unprepared. --dry-run tells how to get each."
        )
    return study, {}


def _listed(missing: Mapping[str, str]) -> str:
    return "; ".join(f"{corpus} ({reason})" for corpus, reason in missing.items())


def run_whole_study(
    workspace: "Workspace",
    runs: Path,
    study: "Study",
    *,
    backend_options: dict[str, Any],
    train: "Callable[[Training], TrainResult]",
    quiet: bool,
) -> "tuple[list[RunResult], list[tuple[TransferMatrix, Outcome]]]":
    """Run everything of a study; gives each run once, and each matrix with its cells."""
    from voxemo.core.errors import RunError
    from voxemo.reports.transfer import read_cells
    from voxemo.steps.corpora import find_card
    from voxemo.steps.study import Study, run_all
    from voxemo.steps.transfer import without_leaks

    trains = any(one.training is not None for one in study.runs)
    if trains and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RunError(
            "A study runs in one process. Do its trainings with `torchrun ... voxemo train` first, by the same names; "
            "they are found done then."
        )
    checked = [without_leaks(workspace, matrix, lambda name: find_card(workspace, name)) for matrix in study.matrices]
    study = Study(single=study.single, matrices=tuple(checked))
    for matrix in study.matrices:
        if not matrix.runs:
            reasons = "; ".join(dict.fromkeys(str(pair.refused) for pair in matrix.pairs))
            raise RunError(f"Every pair of the matrix {matrix.name} is refused: {reasons}.")
    results = run_all(
        workspace,
        runs,
        study.runs,
        backend_options=backend_options,
        train=train,
        command=command_line(),
        bar=lambda title, unit: progress(title, unit=unit, quiet=quiet),
        # Before anything is asked, so that the folders are known whatever happens then.
        on_plan=lambda run: None if quiet else say(f"run {shown_path(run)}"),
    )
    cells = [(matrix, read_cells(_pair_runs(matrix, results))) for matrix in study.matrices]
    return list({result.run: result for result in results.values()}.values()), cells


def _pair_runs(matrix: "TransferMatrix", results: "Mapping[Any, RunResult]") -> list[Any]:
    from voxemo.reports.transfer import PairRuns

    return [
        PairRuns(
            source=pair.source,
            target=pair.target.title,
            partition=pair.target.partition,
            in_domain=pair.in_domain,
            shifts=pair.shifts,
            refused=pair.refused,
            run=results[pair.run].run if pair.refused is None else None,
            zero_shot=results[pair.zero_shot].run if pair.refused is None else None,
        )
        for pair in matrix.pairs
    ]


# --- matrices -----------------------------------------------------------------------------------------------------


def matrix_title(matrix: "TransferMatrix") -> str:
    """What a matrix is about, in a line."""
    return f"Transfer {Path(matrix.name).stem}, {Path(matrix.model).stem}"


def write_matrix(matrix: "TransferMatrix", cells: "Sequence[TransferCell]", folder: Path) -> list[Path]:
    """Write a matrix as Markdown, CSV and LaTeX, and as figures where matplotlib is there."""
    from voxemo.reports import transfer
    from voxemo.reports.figures import can_draw, transfer_map
    from voxemo.reports.tables import csv_text
    from voxemo.store.files import write_text

    title, name = matrix_title(matrix), file_name(matrix)
    texts = {
        "md": transfer.markdown(title, cells),
        "csv": csv_text(transfer.csv_table(cells)),
        "tex": transfer.latex(title, cells),
    }
    for ending, text in texts.items():
        write_text(folder / f"{name}.{ending}", text)
    written = [folder / f"{name}.{ending}" for ending in texts]
    return written + (transfer_map(cells, folder, name, title=title) if can_draw() else [])


def file_name(matrix: "TransferMatrix") -> str:
    """Name of a matrix's files, without their ending."""
    words = f"transfer-{Path(matrix.name).stem}-{Path(matrix.model).stem}"
    trained = next((pair.training.name for pair in matrix.pairs if pair.training.name), None)
    words += f"-{trained}" if trained else ""
    return "".join(character if character.isalnum() or character in "._-" else "-" for character in words)


def print_matrix(matrix: "TransferMatrix", cells: "Sequence[TransferCell]") -> None:
    """Print a matrix, what changes between its corpora, and how to read it."""
    from voxemo.reports import transfer
    from voxemo.reports.figures import can_draw

    screen = console()
    header, *rows = transfer.table_rows(cells)
    screen.print()
    print_table(screen, table(header, rows, title=matrix_title(matrix), numbers_from=1))
    shifts = transfer.shift_rows(cells)
    if shifts:
        screen.print()
        print_table(screen, table(transfer.SHIFT_HEADER, shifts, title="What changes"))
    for remark in transfer.remarks(cells):
        say(f"  {remark}")
    if not can_draw():
        say("  no figure: it needs matplotlib, which voxemo's extra 'report' brings")


# --- sweeps -------------------------------------------------------------------------------------------------------


def write_sweep(runs: Sequence[Path], folder: Path, *, as_json: bool) -> list[Path]:
    """Write and print the trainings that are a sweep; nothing where there is none."""
    from voxemo.reports import sweep
    from voxemo.reports.scoreboard import read_runs
    from voxemo.reports.tables import csv_text
    from voxemo.store.files import write_text

    rows = sweep.sweep_rows(read_runs(runs, allow_partial=True))
    if not rows:
        return []
    write_text(folder / "sweep.md", sweep.markdown(rows))
    write_text(folder / "sweep.csv", csv_text(sweep.csv_table(rows)))
    if not as_json:
        header, *lines = sweep.table_rows(rows)
        screen = console()
        screen.print()
        print_table(screen, table(header, lines, title="Sweep, the best validation UA first", numbers_from=3))
        say(f"  {sweep.WARNING}")
    return [folder / "sweep.md", folder / "sweep.csv"]


# --- estimates ----------------------------------------------------------------------------------------------------

ESTIMATE_HEADER = ("model", "kind", "runs", "unknown", "requests", "audio h", "prompt tokens", "hours")


def show_estimate(workspace: "Workspace", runs: Path, study: "Study", *, as_json: bool) -> None:
    """Print what a study comes to; nothing is written."""
    from voxemo.steps.estimate import estimate

    found = estimate(workspace, runs, study.runs)
    if as_json:
        emit(
            {"runs": [_for_programs(one) for one in found.runs], "n_trainings": found.n_trainings}
            | {"trainings": found.trainings, "missing": found.missing}
            | {"rates": found.rates, "training_rates": found.training_rates}
        )
        return
    screen = console()
    print_table(screen, table(ESTIMATE_HEADER, estimate_rows(found), title="What the study comes to", numbers_from=2))
    for line in estimate_lines(found):
        say(line)


def _for_programs(one: "RunEstimate") -> dict[str, Any]:
    names = ("kind", "n_prompts", "n_utterances", "n_requests", "audio_h", "prompt_tokens", "gpu_h", "known_from")
    place = {"corpus": one.run.corpus, "model": one.run.model, "split": one.run.split_id}
    return place | {name: getattr(one, name) for name in names}


def estimate_rows(found: "StudyEstimate") -> list[list[str]]:
    """A row for each model and kind of run; sums are over the runs whose size is known."""
    groups: dict[tuple[str, str], list[RunEstimate]] = {}
    for one in found.runs:
        groups.setdefault((one.run.model, one.kind), []).append(one)
    rows = []
    for (model, kind), members in groups.items():
        known = [one for one in members if one.n_requests is not None]
        hours = [one.gpu_h for one in known if one.gpu_h is not None]
        tokens = [one.prompt_tokens for one in known if one.prompt_tokens is not None]
        rows.append(
            [
                model,
                kind,
                str(len(members)),
                str(len(members) - len(known)),
                f"{sum(one.n_requests or 0 for one in known):,}",
                f"{sum(one.audio_h or 0.0 for one in known):.1f}",
                f"{sum(tokens):,}" if tokens else "-",
                f"{sum(hours):.2f}" if hours else "-",
            ]
        )
    return rows


def _training_lines(found: "StudyEstimate") -> list[str]:
    """Adapters to train, what is known of their size, and their hours where a rate was measured."""
    known = [one.n_learned for one in found.trainings if one.n_learned is not None]
    line = f"  {found.n_trainings} adapters to train"
    if known:
        line += f", {sum(known):,} utterances to learn in {len(known)} of them, epochs counted"
    hours = [one.gpu_h for one in found.trainings if one.gpu_h is not None]
    if hours:
        line += f": {sum(hours):.2f} hours for {len(hours)}"
    lines = [f"{line}."]
    lines += [
        f"  {model}: {rate:g} utterances/s learned when last measured ({device})."
        for model, (rate, device) in found.training_rates.items()
    ]
    if not found.training_rates:
        lines.append("  No training was measured yet: its hours are known once one has ended in this workspace.")
    return lines


def estimate_lines(found: "StudyEstimate") -> list[str]:
    """What must be known of an estimate, and what is missing."""
    lines = _training_lines(found) if found.trainings else []
    lines += [
        f"  {model}: {rate:g} requests/s when last measured ({device})."
        for model, (rate, device) in found.rates.items()
    ]
    if not found.rates:
        lines.append("  No throughput was measured yet: hours are known once a run in --runs has been answered.")
    lines.append("  Prompt tokens: audio by the model card, text at four characters a token; answers come on top.")
    unknown: dict[str, str] = {}
    for one in found.runs:
        if one.n_utterances is None and one.run.corpus not in found.missing:
            unknown[one.run.corpus] = one.known_from
    lines += [f"  NOT COUNTED: {corpus}: {why}" for corpus, why in unknown.items()]
    lines += [f"  MISSING: {corpus}: {what}" for corpus, what in found.missing.items()]
    return lines
