"""For tests, ours and those of plugins: the contract that each kind of plugin must keep.

Each ``check_*`` function raises AssertionError with a sentence that says what is wrong.
"""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from voxemo.backends.base import Backend, Question, Waveform
from voxemo.catalog.lookup import Parser
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import AudioError
from voxemo.core.labels import LabelSet
from voxemo.core.types import ParsedUtterance, PromptForm, Response
from voxemo.corpora.tree import CorpusTree
from voxemo.scoring.table import Metric

__all__ = ["check_backend", "check_corpus", "check_metric", "example_questions"]

LABELS = LabelSet(("angry", "happy", "neutral", "sad"))


def check_corpus(card: CorpusCard, parse: Parser, tree: CorpusTree) -> tuple[ParsedUtterance, ...]:
    """Check that a parser's output is fully described by its card; returns the output.

    Args:
        card: the corpus's card.
        parse: the parser.
        tree: a folder, or a dict of files, in the provider's layout.
    """
    parsed = tuple(parse(tree))
    assert parsed, f"{card.corpus_id}: the parser yields nothing from this tree"
    assert parsed == tuple(parse(tree)), f"{card.corpus_id}: parsing twice gives two different results"
    double = sorted(stem for stem, n in Counter(one.stem for one in parsed).items() if n > 1)
    assert not double, f"{card.corpus_id}: stems are not unique: {double[:3]}"
    known = set(card.labels.raw) | set(card.labels.dropped)
    rules = set(card.perception.vote_rules) if card.perception is not None else set()
    for one in parsed:
        assert tree.exists(one.audio_path), f"{one.stem}: the tree has no file {one.audio_path}"
        assert (one.start_s is None) == (one.end_s is None), f"{one.stem}: a segment needs both start_s and end_s"
        for source, code in (("expressed", one.expressed_raw), ("perceived", one.perceived_raw)):
            assert code is None or code in known, f"{one.stem}: the card neither maps nor drops {code!r}"
            assert code is None or source in card.label_sources, f"{one.stem}: the card names no {source} labels"
        assert set(one.votes_raw) <= rules, f"{one.stem}: the card names no counting rule {set(one.votes_raw) - rules}"
        voted = {code for counts in one.votes_raw.values() for code in counts}
        assert voted <= known, f"{one.stem}: the card neither maps nor drops the votes {sorted(voted - known)}"
    return parsed


def example_questions(*, form: PromptForm = "hard", n: int = 6) -> list[Question]:
    """Questions about noise of 0.05 to 3 s; the last is about a clip that cannot be decoded."""
    rng = np.random.default_rng(0)
    sounds = [rng.uniform(-0.3, 0.3, int(16_000 * s)).astype(np.float32) for s in np.linspace(0.05, 3.0, n - 1)]

    def broken() -> Waveform:
        raise AudioError("broken.wav", "cannot be decoded")

    loaders: list[Callable[[], Waveform]] = [*(_constant(sound) for sound in sounds), broken]
    return [
        Question(
            request_id=f"r{number}",
            utterance_id=f"example/{number}",
            variant_id="direct",
            form=form,
            prompt=f"Choose exactly one emotion label from this closed set: {', '.join(LABELS.display)}.",
            label_set=LABELS,
            audio_key=f"clip{number}",
            load_audio=load,
        )
        for number, load in enumerate(loaders)
    ]


def _constant(sound: Waveform) -> Callable[[], Waveform]:
    return lambda: sound


def check_backend(backend: Backend) -> None:
    """Check that a backend answers every question once, in order, whatever is asked beside it.

    Asks it some twenty questions.
    """
    assert backend.questions_per_call >= 1, "questions_per_call must be at least 1"
    effective = backend.effective()
    json.dumps(dict(effective), allow_nan=False)
    for form in ("hard", "distribution"):
        questions = example_questions(form=form)
        responses = _ask(backend, questions)
        *good, broken = responses
        assert broken.finish == "error", "a clip that cannot be decoded must give a response with finish='error'"
        assert broken.error_kind == "permanent", "a clip that cannot be decoded is a permanent error"
        assert all(one.finish != "error" for one in good), f"errors on good clips: {[one.error for one in good]}"
        backwards = _ask(backend, questions[::-1])[::-1]
        assert [r.text for r in backwards] == [r.text for r in responses], "the order of questions changes answers"
        alone = list(itertools.chain.from_iterable(_ask(backend, [question]) for question in questions))
        assert [r.text for r in alone] == [r.text for r in responses], "what is asked beside it changes an answer"


def _ask(backend: Backend, questions: Sequence[Question]) -> list[Response]:
    responses = backend.answer(questions)
    asked, answered = [q.request_id for q in questions], [r.request_id for r in responses]
    assert answered == asked, f"asked {asked}, answered {answered}"
    return responses


def check_metric(metric: Metric) -> None:
    """Check that a metric keeps to its record: shapes, range, direction, and no label being special."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(LABELS))
    for arguments, permuted, perfect in _examples(metric, rng, order):
        value = np.asarray(metric.compute(*arguments))
        expected = _shape(metric, arguments[0].shape)
        assert value.shape == expected, f"{metric.name} gives shape {value.shape}, expected {expected}"
        defined = value[~np.isnan(value)]
        high = np.inf if metric.high is None else metric.high
        inside = (defined >= metric.low - 1e-9) & (defined <= high + 1e-9)
        assert inside.all(), f"{metric.name} leaves its range {metric.low} to {metric.high}: {defined[~inside][:3]}"
        moved = np.asarray(metric.compute(*permuted))
        same = value[..., order] if metric.kind == "per_class_confusion" else value
        assert np.allclose(moved, same, equal_nan=True), f"{metric.name} changes when labels are renamed"
        best = np.nanmean(np.asarray(metric.compute(*perfect)))
        mean = np.nanmean(value)
        better = best >= mean if metric.direction == "higher" else best <= mean
        assert better, f"{metric.name}: direction is {metric.direction}, but a perfect prediction scores worse"


def _shape(metric: Metric, shape: tuple[int, ...]) -> tuple[int, ...]:
    return {
        "confusion": shape[:-2],
        "per_class_confusion": shape[:-1],
        "row": shape[:-1],
        "sets": shape[:-1],
    }[metric.kind]


def _examples(
    metric: Metric, rng: np.random.Generator, order: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Iterator[tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], tuple[np.ndarray, ...]]]:
    """Arguments of a metric, the same with labels renamed, and those of a perfect prediction."""
    n_labels = len(LABELS)
    for _ in range(5):
        if metric.kind in ("confusion", "per_class_confusion"):
            table = rng.integers(1, 30, (3, n_labels, n_labels + 1)).astype(float)
            renamed = table[:, order][:, :, [*order, n_labels]]
            perfect = np.zeros_like(table)
            perfect[:, range(n_labels), range(n_labels)] = table.sum(axis=2)
            yield (table,), (renamed,), (perfect,)
        elif metric.kind == "row":
            gold = rng.dirichlet(np.ones(n_labels), 7)
            predicted = rng.dirichlet(np.ones(n_labels), 7)
            yield (gold, predicted), (gold[:, order], predicted[:, order]), (gold, gold)
        else:
            hits, alarms, misses = rng.integers(1, 30, (3, 2, n_labels)).astype(float)
            nothing = np.zeros_like(hits)
            yield (
                (hits, alarms, misses),
                (hits[:, order], alarms[:, order], misses[:, order]),
                (hits + misses, nothing, nothing),
            )
