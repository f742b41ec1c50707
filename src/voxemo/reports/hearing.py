"""What hearing is worth, as a table: a run's scores beside those with something else in place of the clips."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from voxemo.core.escape import for_markdown
from voxemo.core.types import AudioCondition
from voxemo.reports.tables import markdown_table
from voxemo.scoring.evaluate import Difference
from voxemo.store.files import write_text
from voxemo.store.layout import RunPaths

Gain: TypeAlias = tuple[str, str, AudioCondition, Difference]
"""Test part, prompt, what was heard instead, and the score about the clips minus that."""
HEADER = ("part", "prompt", "heard instead", "UA of clips", "UA instead", "gain", "95 % interval")


def gain_rows(gains: Iterable[Gain]) -> list[list[str]]:
    """A row for each test part, prompt and condition, in percent."""
    rows = []
    for partition, system_id, condition, d in sorted(gains, key=lambda gain: gain[:2]):
        interval = "-" if d.ci_low is None or d.ci_high is None else f"[{100 * d.ci_low:.1f}, {100 * d.ci_high:.1f}]"
        values = ("-" if value is None else f"{100 * value:.1f}" for value in (d.value_a, d.value_b, d.value))
        rows.append([partition, system_id, condition, *values, interval])
    return rows


def write_hearing(run: Path, gains: Sequence[Gain]) -> Path:
    """Write ``report/hearing.md`` of a run and return its path."""
    path = RunPaths(run).report / "hearing.md"
    units = sorted({d.ci_unit for *_, d in gains if d.ci_unit is not None})
    text = (
        f"# What hearing is worth: {for_markdown(run.name)}\n\n"
        "Unweighted accuracy in percent, pooled over folds, failed answers as wrong: about the clips, and about what "
        "was heard in their place. Silence and noise are as long as the clip, and noise is as strong; shuffled is the "
        "clip of another utterance of the run. A gain whose interval holds 0 is no sign of hearing.\n\n"
        f"Intervals: 95 %, paired bootstrap, resampling by {', '.join(units) or 'nothing'}.\n\n"
        + markdown_table(HEADER, gain_rows(gains), n_text=3)
    )
    write_text(path, text)
    return path
