"""The line on the built-in toy corpus."""

from pathlib import Path

from voxemo.demo.toy import make_toy_corpus
from voxemo.steps.plan import PlanOptions
from voxemo.steps.prepare import prepare_corpus
from voxemo.steps.run import ProgressBar, RunResult, run_line
from voxemo.steps.split import split_corpus
from voxemo.store.layout import Workspace


def run_demo(folder: Path, *, bar: ProgressBar) -> RunResult:
    """Make the toy corpus below ``folder`` and carry it through every step with the acoustic baseline.

    Args:
        folder: gets ``corpus``, ``workspace`` and ``runs``; a second call goes on where the first stopped.
        bar: makes a progress bar.
    """
    corpus = folder / "corpus"
    with bar("making clips", "clips") as on_progress:
        make_toy_corpus(corpus, on_progress=on_progress)
    workspace = Workspace(folder / "workspace")
    with bar("reading audio", "clips") as on_progress:
        prepare_corpus(workspace, "toy", corpus, on_progress=on_progress)
    split_corpus(workspace, "toy")
    return run_line(
        workspace,
        folder / "runs",
        corpus="toy",
        model="acoustic-baseline",
        options=PlanOptions(),
        command="voxemo demo",
        bar=bar,
    )
