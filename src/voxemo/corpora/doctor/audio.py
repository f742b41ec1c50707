"""Findings about audio: what cannot be used, what has another form than it should, and what a person should hear."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from voxemo.core.cards import CorpusCard
from voxemo.core.errors import AudioProblem
from voxemo.core.types import Split, Utterance
from voxemo.corpora.doctor.findings import UNUSABLE, Finding, finding
from voxemo.corpora.prepare import unlisted
from voxemo.corpora.probe import Probe
from voxemo.splits import checks

SHORTEST_S = 0.1
"""Below this, model cards have clips padded with silence."""
LONGEST_S = 30.0
"""Most speech models hear no more of a clip."""
CLIPPED_SHARE = 1e-3
"""Of a clip's samples; fewer are single peaks, which nobody hears."""
SELF_EXPLAINING: frozenset[AudioProblem] = frozenset({"missing", "empty", "pointer", "no_audio"})
"""Of these the reason is the same for every file."""
OUTLIER_DEVIATIONS = 5.0
OUTLIER_FACTOR = 4.0
OUTLIER_SHARE = 0.01


def check_clips(card: CorpusCard, clips: Mapping[str, Probe], known: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    """Look for what is wrong with each clip on its own.

    Args:
        card: says which rates and channels there should be.
        clips: utterance id, or path of a file that makes no utterance, to what its audio is.
        known: utterance id to known issues that name it.
    """
    return [*_unusable(clips, known), *_formats(card, clips, known), *_sound(clips, known), *_lengths(clips, known)]


def _by_issue(
    code: str, clips: Mapping[str, str], known: Mapping[str, tuple[str, ...]], *, about: str = ""
) -> list[Finding]:
    """One finding about the clips that no known issue names, and one for each set of issues that names others.

    Args:
        code: of all of these findings.
        clips: name to what was found there, which may be nothing.
        known: name to issues.
        about: what the code's kind cannot say.
    """
    by_issues: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in clips:
        by_issues[known.get(name, ())].append(name)
    return [
        finding(
            code,
            len(names),
            names=names,
            about=about,
            details={name: clips[name] for name in names if clips[name]},
            known_issues=issues,
        )
        for issues, names in sorted(by_issues.items())
    ]


def _unusable(clips: Mapping[str, Probe], known: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    by_kind: defaultdict[AudioProblem, dict[str, str]] = defaultdict(dict)
    for name, found in clips.items():
        if found.unusable_reason is not None:
            by_kind[found.unusable_kind or "undecodable"][name] = found.unusable_reason
    findings = []
    for kind, reasons in by_kind.items():
        told = dict.fromkeys(reasons, "") if kind in SELF_EXPLAINING else reasons
        # Pointers are a defect of one copy, whatever the card knows about these utterances.
        findings += _by_issue(UNUSABLE[kind], told, {} if kind == "pointer" else known)
    return findings


def _formats(card: CorpusCard, clips: Mapping[str, Probe], known: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    rates, channels = card.expected.sample_rates_hz, card.expected.n_channels
    other_rates = unlisted(rates, {name: found.sample_rate_hz for name, found in clips.items()})
    other_channels = unlisted(channels, {name: found.n_channels for name, found in clips.items()})
    shown_rates = {name: f"{rate} Hz" for name, rate in other_rates.items()}
    shown_channels = {name: str(n) for name, n in other_channels.items()}
    return [
        *_by_issue("sample-rate", shown_rates, known, about=f"{' or '.join(map(str, rates))} Hz"),
        *_by_issue("channels", shown_channels, known, about=" or ".join(map(str, channels))),
    ]


def _sound(clips: Mapping[str, Probe], known: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    silent = {name: "" for name, found in clips.items() if found.silent}
    clipped = {name: f"{found.clipped:.1%}" for name, found in clips.items() if found.clipped >= CLIPPED_SHARE}
    return [*_by_issue("silent", silent, known), *_by_issue("clipped", clipped, known)]


def _lengths(clips: Mapping[str, Probe], known: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    durations_s = {name: found.duration_s for name, found in clips.items() if found.duration_s is not None}
    if not durations_s:
        return []
    names = list(durations_s)
    apart = [names[index] for index in duration_outliers(list(durations_s.values()))]
    short = [name for name, duration_s in durations_s.items() if duration_s < SHORTEST_S]
    long = [name for name, duration_s in durations_s.items() if duration_s > LONGEST_S]
    median_s = float(np.median(list(durations_s.values())))
    findings = []
    for code, odd, about in (
        ("odd-length", apart, f"median {median_s:.2f} s"),
        ("too-short", short, f"below {SHORTEST_S:g} s"),
        ("too-long", long, f"above {LONGEST_S:g} s"),
    ):
        findings += _by_issue(code, {name: f"{durations_s[name]:.2f} s" for name in odd}, known, about=about)
    return findings


def duration_outliers(durations_s: Sequence[float]) -> tuple[int, ...]:
    """Positions of clips that are far shorter or longer than the rest.

    Lengths of speech are skewed, so logarithms are compared. A clip stands apart when it is further from the median
    than five times the scaled median absolute deviation, and than a factor of four (which decides where nearly all
    clips have one length). Where more than one clip in a hundred, and more than one, do so on the same side, they are
    not outliers but part of what the corpus is, and none on that side is given.

    Args:
        durations_s: above 0.

    >>> duration_outliers([1.8, 2.0, 2.2, 2.1, 1.9, 60.0])
    (5,)
    """
    if not durations_s:
        return ()
    logs = np.log(np.asarray(durations_s, dtype=np.float64))
    apart = logs - np.median(logs)
    # 1.4826 makes the median absolute deviation of a normal distribution its standard deviation.
    reach = max(OUTLIER_DEVIATIONS * 1.4826 * float(np.median(np.abs(apart))), math.log(OUTLIER_FACTOR))
    # Exactly four times as long is no outlier, whatever the rounding of logarithms.
    reach *= 1 + 1e-9
    most = max(1, int(OUTLIER_SHARE * len(logs)))
    sides = [np.flatnonzero(apart > reach), np.flatnonzero(apart < -reach)]
    return tuple(sorted(int(index) for side in sides if len(side) <= most for index in side))


def check_twins(
    groups: Iterable[tuple[str, ...]],
    kept: Iterable[Utterance],
    card: CorpusCard,
    split: Split | None,
    known: Mapping[str, tuple[str, ...]],
) -> list[Finding]:
    """Tell of utterances with the very same samples whether their labels differ, and whether training meets test.

    Args:
        groups: ids of utterances that have the same samples; each group goes by the name of its first.
        kept: the benchmark subset.
        card: says which labels are gold.
        split: the protocol's, where it could be made.
        known: utterance id to known issues that name it.
    """
    labels = {one.utterance_id: checks.gold_label(one, card.gold) or "none" for one in kept}
    folds = [] if split is None else split.folds
    sides = [(fold.fold_id, checks.training_utterances(fold), checks.tested_utterances(fold)) for fold in folds]
    details: dict[str, str] = {}
    issues: dict[str, tuple[str, ...]] = {}
    for group in groups:
        first, *others = group
        facts = [f"same as {', '.join(name.partition('/')[2] for name in others)}"]
        differing = sorted({labels[name] for name in group})
        if len(differing) > 1:
            facts.append(f"labels {', '.join(differing)}")
        leaking = [fold for fold, training, test in sides if training & set(group) and test & set(group)]
        if leaking:
            facts.append(f"trained on and tested in fold {', '.join(leaking)}")
        details[first] = "; ".join(facts)
        issues[first] = tuple(dict.fromkeys(issue for name in group for issue in known.get(name, ())))
    return _by_issue("same-samples", details, issues)
