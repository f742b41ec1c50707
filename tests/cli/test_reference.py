"""The reference page of the command line is what `--help` says; `make golden` writes it."""

from collections.abc import Callable
from typing import Any

import pytest

from golden_files import check_golden
from voxemo.cli import main


def test_golden_reference_of_the_command_line(voxemo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERMINAL_WIDTH", "100")
    parts = [
        "# The command line\n",
        "Every verb takes `--json` and exits with 0 (done), 1 (yours to mend) or 2 (a bug).\n",
    ]
    verbs = [[command.name or ""] for command in main.app.registered_commands]
    for group in main.app.registered_groups:
        assert group.typer_instance is not None
        verbs += [
            [str(group.name)],
            *([str(group.name), str(c.name)] for c in group.typer_instance.registered_commands),
        ]
    for words in sorted(verbs):
        name = " ".join(words)
        helped = voxemo(*words, "--help")
        assert helped.code == 0
        parts.append(f"## voxemo {name}\n\n```text\n{helped.out.strip()}\n```\n")

    check_golden("../../docs/reference/command-line.md", "\n".join(parts))
