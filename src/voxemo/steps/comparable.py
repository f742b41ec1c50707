"""Are two runs comparable? Every field of a manifest is judged once, with a reason in words."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from voxemo.core.cards import RunManifest
from voxemo.core.errors import RunError
from voxemo.core.ids import sha256_lines
from voxemo.core.types import Generation

Weight = Literal["breaks", "weakens", "harmless"]
"""``breaks``: the difference of the scores would mean nothing. ``weakens``: it has another cause beside the systems.
``harmless``: it is what is compared, follows from another field, or cannot change a score."""

_SHOWN = 80
_BEFORE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestDifference:
    """One field in which two runs differ."""

    field: str
    weight: Weight
    why: str
    """What a difference in this field does to the comparison."""
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class _Rule:
    weight: Weight
    why: str
    shown: Callable[[RunManifest, RunManifest], str] | None = None
    """What of the field counts, of the first run beside the second; the field itself when None."""


def _prompts(own: RunManifest, other: RunManifest) -> str:
    """Prompts that both call by one name, as far as their texts differ."""
    theirs = {(prompt.variant_id, prompt.form): prompt.prompt_sha256 for prompt in other.prompts}
    return ", ".join(
        sorted(
            f"{prompt.variant_id} ({prompt.form}) {prompt.prompt_sha256[:8]}"
            for prompt in own.prompts
            if theirs.get((prompt.variant_id, prompt.form), prompt.prompt_sha256) != prompt.prompt_sha256
        )
    )


def _split(own: RunManifest, other: RunManifest) -> str:
    return f"{own.split.split_id} {own.split.split_sha256[:8]} ({own.split.overlap})"


def _tested(own: RunManifest, other: RunManifest) -> str:
    return f"folds {', '.join(own.split.folds)}; {', '.join(own.split.partitions)}"


def _models(own: RunManifest, other: RunManifest) -> str:
    return ", ".join(f"{card.model_id} {card.sha256()[:8]}" for card in own.model_cards.values())


def _corpus(own: RunManifest, other: RunManifest) -> str:
    return own.corpus_card.corpus_id


RULES: Mapping[str, _Rule] = {
    "corpus_card": _Rule("breaks", "scores of different corpora compare corpora, not systems", _corpus),
    "label_names": _Rule("breaks", "with other labels to choose from the task is another"),
    "label_source": _Rule("breaks", "what the speaker meant and what listeners heard are different truths"),
    "utterances_sha256": _Rule("breaks", "labels, votes, speakers or audio of the corpus differ: the truth does"),
    "vote_rule": _Rule("breaks", "votes are counted by another rule, so that soft labels differ"),
    "audio_condition": _Rule("breaks", "one of them does not hear the clips"),
    "tie_break": _Rule("breaks", "ties of votes are settled otherwise"),
    "split": _Rule("weakens", "the test parts and what could be trained on differ", _split),
    "partial": _Rule("weakens", "they do not answer the same utterances: what both answered is compared"),
    "corpus_card_sha256": _Rule("weakens", "the corpus card differs: words that mean a label may do so too"),
    "corpus_complete": _Rule("weakens", "one corpus folder was not complete"),
    "prompts": _Rule("weakens", "prompts of one name have other texts", _prompts),
    "generation": _Rule("weakens", "answers are decoded otherwise"),
    "audio_handling": _Rule("weakens", "the clips are prepared otherwise before the model hears them"),
    "parser_version": _Rule("weakens", "answers are read by other rules: run `voxemo parse` on both"),
    "label_table": _Rule("weakens", "other words are read as labels: run `voxemo parse` on both"),
    "training_overlap": _Rule("weakens", "they may have heard different parts of this corpus in training"),
    "model_cards": _Rule("harmless", "the model is what is compared", _models),
    "protocol": _Rule("harmless", "how the model met the corpus is what is compared"),
    "deviations": _Rule("harmless", "said in words what other fields say"),
    "failure_policy": _Rule("harmless", "both are scored here under the same policy"),
    "seeds": _Rule("harmless", "both are resampled here from the same seed"),
    "corpus_counts": _Rule("harmless", "follows from the corpus's hash"),
    "run_id": _Rule("harmless", "a name"),
    "plan_sha256": _Rule("harmless", "follows from the other fields"),
    "n_requests": _Rule("harmless", "prompts that only one of them asked are not compared"),
    "counts": _Rule("harmless", "failed answers are part of the scores"),
    "created_utc": _Rule("harmless", "a date"),
    "command": _Rule("harmless", "the words by which it was started"),
    "voxemo_version": _Rule("harmless", "parser and label table have versions of their own"),
    "git_commit": _Rule("harmless", "parser and label table have versions of their own"),
    "git_dirty": _Rule("harmless", "parser and label table have versions of their own"),
    "package_versions": _Rule("harmless", "of the machine that planned; workers say what answered"),
    "schema_version": _Rule("harmless", "how the manifest is written"),
}
"""Every field of a manifest."""

_ORDER: tuple[Weight, ...] = ("breaks", "weakens", "harmless")


def manifest_differences(a: RunManifest, b: RunManifest) -> tuple[ManifestDifference, ...]:
    """Every field in which two runs differ, what matters most first.

    Which machine answered, and when, is in the files of the workers and not compared: engines of one checkpoint have
    model cards of their own.
    """
    found = [
        ManifestDifference(field=field, weight=rule.weight, why=rule.why, a=left, b=right)
        for field, rule in RULES.items()
        for left, right in [(_value(field, rule, a, b), _value(field, rule, b, a))]
        if left != right
    ]
    if _tested(a, b) != _tested(b, a) and a.split.split_sha256 == b.split.split_sha256:
        why = "they answer other folds or test parts of one split: what both answered is compared"
        found.append(
            ManifestDifference(field="split.folds", weight="weakens", why=why, a=_tested(a, b), b=_tested(b, a))
        )
    return tuple(sorted(found, key=lambda one: _ORDER.index(one.weight)))


def _value(field: str, rule: _Rule, own: RunManifest, other: RunManifest) -> str:
    if rule.shown is not None:
        return rule.shown(own, other)
    value = getattr(own, field)
    if isinstance(value, str):
        return value
    return json.dumps(own.model_dump(mode="json", include={field})[field], sort_keys=True, ensure_ascii=False)


# --- what runs are called ----------------------------------------------------------------------------------------


def _decoding(name: str) -> Callable[[RunManifest], str]:
    return lambda own: f"{name} {own.generation.get(name)}"


def _prompt_names(own: RunManifest) -> str:
    return "prompts " + "+".join(dict.fromkeys(prompt.variant_id for prompt in own.prompts))


def _prompt_texts(own: RunManifest) -> str:
    return "prompt texts " + sha256_lines(sorted(prompt.prompt_sha256 for prompt in own.prompts))[:8]


def _cards(own: RunManifest) -> str:
    return "card " + sha256_lines(card.sha256() for card in own.model_cards.values())[:8]


_TOLD_APART_BY: tuple[Callable[[RunManifest], str], ...] = (
    lambda own: f"on {next(iter(own.model_cards.values())).backend}",
    lambda own: f"split {own.split.split_id}",
    lambda own: f"hearing {own.audio_condition}",
    lambda own: f"{own.label_source} labels",
    lambda own: f"{len(own.label_names)} labels",
    _prompt_names,
    *(_decoding(one.name) for one in fields(Generation)),
    lambda own: f"folds {', '.join(own.split.folds)}",
    lambda own: own.partial or "whole",
    _prompt_texts,
    _cards,
)
"""What runs of one model may differ in, as a reader would say it, the most telling first."""


def system_names(manifests: Sequence[RunManifest]) -> list[str]:
    """A name for each run: model and protocol, and whatever else tells runs of one model over one corpus apart.

    Runs of one system over several corpora have one name. Runs that nothing of the list tells apart are named by the
    hash of their plan.

    Raises:
        RunError: a run is given twice.
    """
    if len({own.run_id for own in manifests}) < len(manifests):
        twice = next(run_id for run_id, n in Counter(own.run_id for own in manifests).items() if n > 1)
        raise RunError(f"{twice} is given twice. Give each run once.")
    plain = [plain_name(own) for own in manifests]
    return [
        ", ".join([name, *_apart(own, [one for one, called in zip(manifests, plain, strict=True) if called == name])])
        for own, name in zip(manifests, plain, strict=True)
    ]


def plain_name(manifest: RunManifest) -> str:
    """A run's model and how it met the corpus."""
    return f"{next(iter(manifest.model_cards.values())).model_id}, {manifest.protocol}"


def _apart(own: RunManifest, alike: Sequence[RunManifest]) -> list[str]:
    """What tells a run apart from those of one model and protocol; nothing where each corpus has one of them."""
    by_corpus: dict[str, list[RunManifest]] = {}
    for one in alike:
        by_corpus.setdefault(one.corpus_card.corpus_id, []).append(one)
    telling: list[Callable[[RunManifest], str]] = []
    for facet in _TOLD_APART_BY:
        if _all_apart(by_corpus, telling):
            break
        # What is the same for all runs over a corpus would lengthen their names and tell nothing.
        if any(len({facet(one) for one in of}) > 1 for of in by_corpus.values()):
            telling.append(facet)
    words = [facet(own) for facet in telling]
    return words if _all_apart(by_corpus, telling) else [*words, own.plan_sha256[:8]]


def _all_apart(by_corpus: Mapping[str, Sequence[RunManifest]], facets: Sequence[Callable[[RunManifest], str]]) -> bool:
    return all(len({tuple(facet(one) for facet in facets) for one in of}) == len(of) for of in by_corpus.values())


def shown_beside(a: str, b: str) -> tuple[str, str]:
    """Two different values for one line of text: what is long is cut, and begins where it begins to differ.

    >>> shown_beside("greedy", "sampled")
    ('greedy', 'sampled')
    >>> shown_beside(f"{'same ' * 30}left", f"{'same ' * 30}right")
    ('…same same left', '…same same right')
    """
    start = 0
    if max(len(a), len(b)) >= _SHOWN:
        # Some words before the difference, so that a reader sees where in the text it is.
        pairs = enumerate(zip(a, b, strict=False))
        start = max(0, next((i for i, (x, y) in pairs if x != y), min(len(a), len(b))) - _BEFORE)
    return _cut(a, start), _cut(b, start)


def _cut(text: str, start: int) -> str:
    kept = text[start : start + _SHOWN - 1]
    return f"{'…' if start else ''}{kept}{'…' if start + len(kept) < len(text) else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFacts:
    """What differs between the two runs over one corpus."""

    run_a: str
    run_b: str
    differences: tuple[ManifestDifference, ...]

    @property
    def breaking(self) -> tuple[ManifestDifference, ...]:
        """Those that leave a difference of scores without meaning."""
        return tuple(one for one in self.differences if one.weight == "breaks")


def pair_facts(a: RunManifest, b: RunManifest) -> PairFacts:
    """What differs between two runs, and what it does to their comparison."""
    return PairFacts(run_a=a.run_id, run_b=b.run_id, differences=manifest_differences(a, b))


def refuse_incomparable(facts: Sequence[PairFacts]) -> None:
    """Stop where a difference of scores would mean nothing.

    Raises:
        RunError: two runs are not comparable; the first reason is named.
    """
    broken = [(pair, one) for pair in facts for one in pair.breaking]
    if broken:
        pair, first = broken[0]
        more = f" ({len(broken) - 1} more such differences)" if len(broken) > 1 else ""
        raise RunError(
            f"{pair.run_a} and {pair.run_b} are not comparable: {first.field} is {first.a!r} in the one and "
            f"{first.b!r} in the other, and {first.why}{more}. --force compares them all the same."
        )
