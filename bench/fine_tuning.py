"""What fine-tuning gives, on synthetic and on real speech: UA before and after, with paired intervals, for three seeds.

Run: python bench/fine_tuning.py [--evidence FOLDER] [--seeds N] [--only demo|urdu] [--folds K,K]

`voxemo-tiny` learns from the corpus `demo` (the first fold, or those of --folds), by the paper's recipe and by an
override, and from the clips of URDU (a speaker-disjoint split), which is then asked about its test part and about
TurEV-DB, a corpus that it never met. Half an hour or more on two processors. URDU and TurEV-DB are read below FOLDER,
which holds `urdu` and `turev-db`; without it only the corpus `demo` is shown.
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from voxemo.cli.common import progress
from voxemo.steps.compare import compare_runs
from voxemo.steps.fine_tune import fine_tune
from voxemo.steps.plan import PlanOptions
from voxemo.steps.prepare import prepare_corpus
from voxemo.steps.split import split_corpus
from voxemo.steps.study import StudyRun, run_study
from voxemo.store.layout import Workspace
from voxemo.training.lora import LoraRecipe

MODEL = "voxemo-tiny"
Recipes = Mapping[str, LoraRecipe]
PAPER = LoraRecipe()
OVERRIDE = LoraRecipe(learning_rate=1e-3)
"""A model a thousand times smaller than those of the paper moves too little in so few steps at the paper's rate."""
ASKED = PlanOptions(forms=("hard",), variants=("direct",))


def asked(
    workspace: Workspace, runs: Path, corpus: str, model: str, split_id: str, folds: tuple[str, ...] | None
) -> Path:
    """The run of a model over folds of a corpus, by the prompt that is taught."""
    options = replace(ASKED, folds=folds)
    (result,) = run_study(
        workspace,
        runs,
        [StudyRun(corpus=corpus, model=model, split_id=split_id, options=options)],
        bar=lambda title, unit: progress(title, unit=unit, quiet=True),
    )
    return result.run


def show_gain(
    workspace: Workspace,
    runs: Path,
    corpus: str,
    *,
    split_id: str,
    folds: tuple[str, ...],
    seeds: int,
    recipes: Recipes,
) -> list[Path]:
    """Print UA before and after each training; gives the folders of the trained models, of fold 1."""
    before = asked(workspace, runs, corpus, MODEL, split_id, folds)
    folders = []
    for title, recipe in recipes.items():
        for seed in range(seeds):
            name = f"{MODEL}-{title}-{seed}"
            result = fine_tune(
                workspace, corpus, model=MODEL, name=name, split_id=split_id, folds=folds, recipe=recipe, seed=seed
            )
            after = asked(workspace, runs, corpus, name, split_id, folds)
            show_difference(workspace, f"{corpus}/{split_id}, {title}, seed {seed}", after, before)
            folders.append(result.folders[folds[0]])
    return folders


def show_difference(workspace: Workspace, title: str, after: Path, before: Path) -> None:
    """Print the difference of two runs in UA, with its paired interval."""
    (found,) = compare_runs(workspace, after, before).comparisons
    gain = found.difference
    numbers = (gain.value_b, gain.value_a, gain.value, gain.ci_low, gain.ci_high)
    before_ua, after_ua, value, low, high = (100 * (number or 0.0) for number in numbers)
    print(
        f"{title}: UA {before_ua:.1f} % before, {after_ua:.1f} % after, gain {value:+.1f} [{low:+.1f}, {high:+.1f}], "
        f"resampled by {gain.ci_unit}",
        flush=True,
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evidence", type=Path, help="Folder with `urdu` and `turev-db`.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=("demo", "urdu"), help="Only one of the two parts.")
    parser.add_argument("--folds", default="1", help="Of the corpus `demo`, separated by commas.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace, runs = Workspace(Path(folder) / "workspace"), Path(folder) / "runs"
        if given.only != "urdu":
            prepare_corpus(workspace, "demo")
            split_corpus(workspace, "demo")
            recipes = {"paper": PAPER, "override": OVERRIDE}
            show_gain(
                workspace,
                runs,
                "demo",
                split_id="protocol",
                folds=tuple(given.folds.split(",")),
                seeds=given.seeds,
                recipes=recipes,
            )
        if given.evidence is not None and given.only != "demo":
            prepare_corpus(workspace, "urdu", given.evidence / "urdu")
            split_corpus(workspace, "urdu", policy="speaker-disjoint")
            prepare_corpus(workspace, "turev-db", given.evidence / "turev-db", partial=True)
            split_corpus(workspace, "turev-db")
            folders = show_gain(
                workspace,
                runs,
                "urdu",
                split_id="speaker-disjoint",
                folds=("1",),
                seeds=given.seeds,
                recipes={"override": OVERRIDE},
            )
            before = asked(workspace, runs, "turev-db", MODEL, "protocol", None)
            for seed, trained in enumerate(folders):
                after = asked(workspace, runs, "turev-db", str(trained / "model.json"), "protocol", None)
                show_difference(workspace, f"URDU to TurEV-DB, seed {seed}", after, before)


if __name__ == "__main__":
    main()
