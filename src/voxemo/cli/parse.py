"""`voxemo parse`: what the answers say."""

from typing import TYPE_CHECKING

from voxemo.cli.common import JsonOption, RunArgument, emit, say

if TYPE_CHECKING:
    from voxemo.steps.parse import ParseResult


def parse(run: RunArgument, as_json: JsonOption = False) -> None:
    """Read every answer of a run, strictly and leniently. Needs no model; may be repeated."""
    from voxemo.steps.parse import parse_run

    result = parse_run(run)
    if as_json:
        emit(result)
        return
    for line in parse_lines(result):
        say(line)


def parse_lines(result: "ParseResult") -> list[str]:
    """What `parse` read, in a few lines."""
    counts = result.counts
    lines = [
        f"{counts['answered']} of {counts['planned']} answers read: {counts['strict.failed']} failed strictly, "
        f"{counts['lenient.failed']} leniently ({counts['lenient.repaired']} repaired)"
    ]
    if result.reasons:
        lines.append("  failed: " + ", ".join(f"{reason} {n}" for reason, n in result.reasons.items()))
    for name, n in counts.items():
        if name.startswith("audio."):
            lines.append(f"  audio {name.removeprefix('audio.')} by the model card's policy for {n} answers")
    if result.removed:
        lines.append(f"  removed {', '.join(result.removed)} of the earlier reading: run `voxemo score` again")
    if result.damaged:
        lines.append(f"  {len(result.damaged)} damaged journal line(s): {', '.join(result.damaged[:3])}")
    return lines
