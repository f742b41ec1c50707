"""A run with everything that pages say of it, read from its folder once."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from voxemo.core.errors import RunError
from voxemo.core.quoting import texts_withheld, unquoted
from voxemo.reports.disclosure import read_checks, read_workers
from voxemo.reports.scoreboard import FinishedRun
from voxemo.store.files import read_json
from voxemo.store.layout import RunPaths
from voxemo.store.tables import ANALYSES, CONFUSIONS, Schema, read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvidence:
    """A scored run, and the derived files beside its scores."""

    run: FinishedRun
    confusions: pl.DataFrame | None
    analyses: pl.DataFrame | None
    """None for runs that an older version scored."""
    has_units: bool
    """Counts and sums by speaker lie beside the scores, to tell systems apart."""
    failures: tuple[dict[str, Any], ...] | None
    """Reasons with examples, as ``failures.json`` has them; None for runs that an older version parsed."""
    withheld: str | None = None
    """Why nothing here quotes an answer; None where examples do."""
    workers: tuple[dict[str, Any], ...] = ()
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """Name of the run."""
        return self.run.manifest.run_id

    @property
    def to_do(self) -> tuple[str, ...]:
        """Commands that would make what is missing."""
        # The name and not the path: no folder of a machine goes onto a page.
        name = self.run_id
        parse = [f"voxemo parse {name}"] if self.failures is None else []
        whole = self.has_units and self.analyses is not None and self.confusions is not None
        return (*parse, *([f"voxemo score {name}"] if parse or not whole else []))


def read_evidence(run: FinishedRun, *, redact: bool = False) -> RunEvidence:
    """Read what lies beside a run's scores; what is not there, or of another version, is None.

    Answers about a corpus that may not be passed on are left out here, so that no page can show them.

    Args:
        run: a scored run.
        redact: leave out answers whatever the corpus's licence says.
    """
    paths = RunPaths(run.path)
    withheld = texts_withheld(run.manifest.corpus_card, redact=redact)
    failures = None
    if paths.failures.is_file():
        content = unquoted(read_json(paths.failures), quoting=withheld is None)
        failures = tuple(content["failures"])
    return RunEvidence(
        run=run,
        confusions=_table(run, "confusions", CONFUSIONS),
        analyses=_table(run, "analyses", ANALYSES),
        has_units=paths.unit_counts.is_file() and paths.unit_sums.is_file(),
        failures=failures,
        withheld=withheld,
        workers=tuple(read_workers(run.path)),
        checks=unquoted(read_checks(run.path), quoting=withheld is None),
    )


def _table(run: FinishedRun, name: str, schema: Schema) -> pl.DataFrame | None:
    path = getattr(RunPaths(run.path), name)
    try:
        return read_table(path, schema)
    except RunError:
        if path.is_file():
            raise
        return None
