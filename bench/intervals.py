"""Do intervals cover, and does the paired test find differences where there are none? By simulation.

Run: python bench/intervals.py [--tests N] [--resamples N] [--speakers 4 5 ...]

Test sets are drawn again and again from the same population of speakers, and scored by the code that scores runs. Some
speakers are easier than others for every system, some for one system alone, and they have unequally many utterances:
answers about one speaker are alike. Both systems are equally good over all speakers, so that every difference that is
found is a false alarm. Prints the tables of docs/explanation/intervals.md.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxemo.scoring.bootstrap import percentile_interval
from voxemo.scoring.evaluate import SideBySide, difference_of, side_by_side
from voxemo.scoring.folds import HardFold, SoftFold
from voxemo.scoring.significance import detectable_difference
from voxemo.scoring.table import METRICS

LABELS = ("angry", "happy", "neutral", "sad")
SPEAKERS = (4, 5, 8, 12, 20, 50, 100)
UTTERANCES = 30
"""Of a speaker in the middle; a tenth of the speakers has under 12 or over 75."""
ODDS = 0.5
"""Log-odds of a right answer about a speaker in the middle: 62 %."""
FAILED = 0.03
HARD = ("unweighted_accuracy", "macro_f1")
SOFT = "jsd"
UNEQUAL = {
    "10, the largest with 12 times the utterances of the smallest": (10, 12, 15, 20, 25, 30, 45, 60, 90, 120),
    "6 of 350 among 60 of 5": (350,) * 6 + (5,) * 60,
    "3 of 200 among 12 of 20": (200,) * 3 + (20,) * 12,
    "1 of 300 among 11 of 10": (300,) + (10,) * 11,
}
"""Test sets of which a few speakers hold most, as of corpora made from television: utterances of each speaker."""
POPULATION = 20_000
"""Speakers that stand for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How much speakers differ."""

    ease: float = 0.6
    """For every system, as the standard deviation of the log-odds of a right answer."""
    taste: float = 0.4
    """The same for one system alone: without it the systems would not differ between speakers."""
    spread: float = 0.7
    """Of the utterances per speaker, as the standard deviation of their logarithm."""


def unequal_sizes(rng: np.random.Generator, n_speakers: int, design: Design) -> npt.NDArray[np.int64]:
    """Utterances of each speaker, as they are in many corpora."""
    return np.maximum(2, rng.lognormal(np.log(UTTERANCES), design.spread, n_speakers).astype(np.int64))


def draw(
    rng: np.random.Generator, sizes: npt.NDArray[np.int64], design: Design
) -> tuple[list[HardFold], list[SoftFold]]:
    """Hard answers and distributions of two equally good systems on one test set with so many speakers."""
    n_speakers = len(sizes)
    speaker = np.repeat(np.arange(n_speakers), sizes)
    n = len(speaker)
    speakers = np.array([f"s{number:05d}" for number in range(n_speakers)], dtype=object)[speaker]
    utterances = np.arange(n)
    # What a speaker says most often differs too.
    shares = rng.dirichlet(np.full(len(LABELS), 20.0), n_speakers)
    gold = (shares.cumsum(axis=1)[speaker] < rng.random(n)[:, None]).sum(axis=1).clip(max=len(LABELS) - 1)
    votes = rng.multinomial(8, 0.6 * np.eye(len(LABELS))[gold] + 0.1)
    ease = rng.normal(ODDS, design.ease, n_speakers)
    hard, soft = [], []
    for _ in range(2):
        odds = (ease + rng.normal(0, design.taste, n_speakers))[speaker]
        chance = 1 / (1 + np.exp(-odds))
        wrong = (gold + rng.integers(1, len(LABELS), n)) % len(LABELS)
        predicted = np.where(rng.random(n) < chance, gold, wrong)
        failed = rng.random(n) < FAILED
        read = np.where(failed, -1, predicted)
        hard.append(HardFold(fold_id="1", gold=gold, predicted=read, speakers=speakers, utterances=utterances))
        stated = chance[:, None] * np.eye(len(LABELS))[predicted] + (1 - chance[:, None]) / len(LABELS)
        soft.append(
            SoftFold(
                fold_id="1", gold=votes / 8, predicted=stated, failed=failed, speakers=speakers, utterances=utterances
            )
        )
    return hard, soft


def together(folds: Sequence[HardFold] | Sequence[SoftFold], metric: str, resamples: int, seed: int) -> SideBySide:
    """Both systems side by side, as `voxemo compare` puts them."""
    return side_by_side(
        [[fold] for fold in folds],
        metric=METRICS[metric],
        label_names=[LABELS] * len(folds),
        policy="uniform" if metric == SOFT else "wrong",
        resamples=resamples,
        seed=seed,
    )


def by_utterance(folds: Sequence[HardFold]) -> list[HardFold]:
    """The same answers without speakers: what resampling utterances would have made of them."""
    return [
        HardFold(fold_id="1", gold=fold.gold, predicted=fold.predicted, utterances=fold.utterances) for fold in folds
    ]


def population_values(design: Design) -> dict[str, float]:
    """Scores over all speakers, the same for both systems."""
    rng = np.random.default_rng(1)
    hard, soft = draw(rng, unequal_sizes(rng, POPULATION, design), design)
    values = {name: together(hard, name, 1, 0).values for name in HARD} | {SOFT: together(soft, SOFT, 1, 0).values}
    return {name: float(value.mean()) for name, value in values.items()}


def simulate(
    n_speakers: int, n_tests: int, resamples: int, truth: dict[str, float], design: Design
) -> dict[str, float]:
    """Shares of test sets, by what was found."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for test in range(n_tests):
        rng = np.random.default_rng([n_speakers, test])
        hard, soft = draw(rng, unequal_sizes(rng, n_speakers, design), design)
        for metric in (*HARD, SOFT):
            both = together(soft if metric == SOFT else hard, metric, resamples, test)
            value = float(both.values[0])
            low, high = percentile_interval(both.draws[:, 0], value=value, level=0.95)
            found[f"covers {metric}"].append(low <= truth[metric] <= high)
            apart = difference_of(both, 0, 1)
            assert apart.ci_low is not None
            assert apart.ci_high is not None
            assert apart.p is not None
            assert apart.standard_error is not None
            found[f"excludes 0 {metric}"].append(not apart.ci_low <= 0 <= apart.ci_high)
            found[f"p {metric}"].append(apart.p < 0.05)
            assert apart.degrees is not None
            found[f"finds {metric}"].append(detectable_difference(apart.standard_error, degrees=apart.degrees))
        naive = difference_of(together(by_utterance(hard), HARD[0], resamples, test), 0, 1)
        found["p by utterance"].append(naive.p is not None and naive.p < 0.05)
    return {name: float(np.mean(values)) for name, values in found.items()}


def false_alarms(sizes: Sequence[int], n_tests: int, resamples: int, design: Design) -> dict[str, float]:
    """Share of test sets with speakers of these sizes in which two equal systems are told apart at 5 %, by metric."""
    found: defaultdict[str, list[bool]] = defaultdict(list)
    for test in range(n_tests):
        hard, soft = draw(np.random.default_rng([len(sizes), test]), np.array(sizes), design)
        for metric in (*HARD, SOFT):
            apart = difference_of(together(soft if metric == SOFT else hard, metric, resamples, test), 0, 1)
            found[metric].append(apart.p is not None and apart.p < 0.05)
    return {metric: float(np.mean(values)) for metric, values in found.items()}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of numbers."""
    lines = [header, ["---:"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=1500, help="Test sets for each number of speakers.")
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--speakers", type=int, nargs="+", default=SPEAKERS)
    parser.add_argument("--ease", type=float, default=Design().ease, help="How much speakers differ for every system.")
    parser.add_argument("--taste", type=float, default=Design().taste, help="How much they differ for one alone.")
    parser.add_argument(
        "--spread", type=float, default=Design().spread, help="How much their utterances differ in number."
    )
    given = parser.parse_args()
    design = Design(ease=given.ease, taste=given.taste, spread=given.spread)
    start = time.perf_counter()
    truth = population_values(design)
    found = {n: simulate(n, given.tests, given.resamples, truth, design) for n in given.speakers}

    def percent(value: float) -> str:
        return f"{100 * value:.1f}"

    print("True scores: " + ", ".join(f"{name} {percent(value)}" for name, value in truth.items()) + "\n")
    print("Test sets whose 95 % interval holds the true score, %\n")
    print(table(["speakers", "UA", "macro F1", "JSD"], [
        [str(n), *(percent(one[f"covers {metric}"]) for metric in (*HARD, SOFT))] for n, one in found.items()
    ]))  # fmt: skip
    print("\nTest sets in which two equal systems are told apart at 5 %, %\n")
    header = [
        "speakers",
        "UA",
        "macro F1",
        "JSD",
        "UA, interval without 0",
        "UA, utterances resampled",
        "UA finds, points",
    ]
    print(table(header, [
        [
            str(n),
            *(percent(one[f"p {metric}"]) for metric in (*HARD, SOFT)),
            percent(one["excludes 0 unweighted_accuracy"]),
            percent(one["p by utterance"]),
            percent(one["finds unweighted_accuracy"]),
        ]
        for n, one in found.items()
    ]))  # fmt: skip
    print("\nThe same where a few speakers hold most utterances, %\n")
    alarms = {title: false_alarms(sizes, given.tests, given.resamples, design) for title, sizes in UNEQUAL.items()}
    print(table(["speakers", "UA", "macro F1", "JSD"], [
        [title, *(percent(one[metric]) for metric in (*HARD, SOFT))] for title, one in alarms.items()
    ]))  # fmt: skip
    error = 100 * np.sqrt(0.05 * 0.95 / given.tests)
    print(f"\n{given.tests} test sets each: a share of 5 or 95 % is known to {error:.1f} points (standard error).")
    print(f"{time.perf_counter() - start:.0f} s.")


if __name__ == "__main__":
    main()
