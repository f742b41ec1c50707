"""The line on the built-in corpus with the built-in model."""

from pathlib import Path

from voxemo.steps.prepare import prepare_corpus
from voxemo.steps.run import ProgressBar, RunResult
from voxemo.steps.study import StudyRun, run_study
from voxemo.store.layout import Workspace

CORPUS = "demo"
MODEL = "voxemo-tiny"


def run_demo(folder: Path, *, bar: ProgressBar) -> RunResult:
    """Carry the corpus `demo` and the model `voxemo-tiny` through every step, all ten prompts over all folds.

    Args:
        folder: gets ``workspace`` and ``runs``; a second call goes on where the first stopped.
        bar: makes a progress bar.
    """
    workspace = Workspace(folder / "workspace")
    with bar("reading audio", "clips") as on_progress:
        prepare_corpus(workspace, CORPUS, on_progress=on_progress)
    (result,) = run_study(
        workspace,
        folder / "runs",
        [StudyRun(corpus=CORPUS, model=MODEL)],
        command="voxemo demo",
        bar=bar,
    )
    return result
