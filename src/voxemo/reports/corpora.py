"""The corpora of the benchmark as a reference page, written from their cards."""

from collections.abc import Iterator, Sequence

from voxemo.core.cards import CorpusCard, Expected
from voxemo.core.escape import Markdown
from voxemo.reports.tables import markdown_table

HEADER = ("corpus", "language", "setting", "labels", "gold", "votes", "split", "access", "utterances", "speakers")
N_TEXT = 8

LAYOUT = {
    "verified": "real file names, and label tables where there are any, were seen",
    "documented": "names or label tables are in part known from descriptions only; another form is refused with "
    "what was found",
}
POLICIES = {
    "provider": "as the provider ships it",
    "stratified_random": "one fold at random, stratified by emotion",
    "leave_one_speaker_out": "leave one speaker out",
    "speaker_k_fold": "folds of speakers",
}
ACCESS = {"open": "open", "request": "on request", "paid": "paid", "unavailable": "not available"}


def corpora_page(cards: Sequence[CorpusCard]) -> str:
    """One table over all corpora, and one section for each, as a Markdown document."""
    parts = [
        "# The corpora\n",
        "Written from the corpus cards (`src/voxemo/catalog/corpora/`) by `make golden`. Counts are of the benchmark "
        "subset; a dash means that the card states none, and the section says why. `voxemo show corpus NAME` prints a "
        "whole card with the source of each fact.\n",
        markdown_table(HEADER, [_row(card) for card in cards], n_text=N_TEXT),
    ]
    for card in cards:
        parts += _section(card)
    return "\n".join(parts)


def _row(card: CorpusCard) -> list[str]:
    return [
        Markdown(f"[{card.corpus_id}](#{card.corpus_id})"),
        _language(card),
        card.setting.replace("_", " "),
        str(len(card.labels.names)),
        card.gold,
        "yes" if _rules(card) else "no",
        card.split.policy.replace("_", " "),
        ACCESS[card.access.kind],
        _count(card.expected.n_utterances),
        _count(card.expected.n_speakers),
    ]


def _section(card: CorpusCard) -> Iterator[str]:
    yield f"## {card.corpus_id}\n"
    yield f"{card.name}, {card.year}. {_kind(card)}\n"
    yield _definitions(
        {
            "Labels": ", ".join(card.labels.names),
            "Label source": _label_source(card),
            "Left out": "; ".join(f"`{code}` ({why})" for code, why in card.labels.dropped.items()),
            "Votes": "; ".join(
                f"`{rule}`{' (default)' if rule == _default_rule(card) else ''}: {text}"
                for rule, text in _rules(card).items()
            ),
            "Counts": _counts(card.expected),
            "The paper's set": "" if card.paper is None else card.paper.subset or "",
            "Split": f"{POLICIES[card.split.policy]}. {card.split.why}",
            "Files": ", ".join(f"`{pattern}`" for pattern in card.audio_files),
            "Audio": _audio(card.expected),
            "Layout": LAYOUT[card.layout],
        }
    )
    yield f"**How to get it** ({ACCESS[card.access.kind]}; licence: {card.access.license}). {card.access.how}"
    yield f"<{card.access.homepage}>\n"
    if card.access.downloads:
        yield f"```bash\nvoxemo download {card.corpus_id} --to FOLDER --accept-license\n```\n"
    if card.known_issues:
        yield "**What is known about it**\n"
        yield "".join(f"- `{issue.id}`: {issue.text}\n" for issue in card.known_issues)
    yield f"*{card.citation}*\n"


def _kind(card: CorpusCard) -> str:
    speech = {"unknown": "", "mixed": "scripted and spontaneous "}.get(card.elicitation, f"{card.elicitation} ")
    where = "" if card.recording == "unknown" else f" ({card.recording.replace('_', ' ')})"
    return f"{_language(card)}; {card.setting.replace('_', ' ')}, {speech}speech{where}."


def _language(card: CorpusCard) -> str:
    return ", ".join(card.languages) if card.paper is None else card.paper.language


def _label_source(card: CorpusCard) -> str:
    text = f"{' and '.join(card.label_sources)}; hard scores use {card.gold}"
    if card.perception is not None:
        raters = "" if card.perception.n_raters is None else f" ({card.perception.n_raters})"
        text += f". Raters{raters} were given: {card.perception.given}. Consensus: {card.perception.consensus}"
    return text


def _rules(card: CorpusCard) -> dict[str, str]:
    return {} if card.perception is None else card.perception.vote_rules


def _default_rule(card: CorpusCard) -> str | None:
    return None if card.perception is None else card.perception.default_vote_rule


def _counts(expected: Expected) -> str:
    stated = [
        f"{number:,} {what}"
        for what, number in (("utterances", expected.n_utterances), ("speakers", expected.n_speakers))
        if number is not None
    ]
    if expected.hours is not None:
        stated.append(f"{expected.hours:g} h")
    if expected.per_label:
        stated.append(", ".join(f"{label} {n:,}" for label, n in expected.per_label.items()))
    return "; ".join(stated)


def _audio(expected: Expected) -> str:
    rates = " or ".join(f"{rate / 1000:g} kHz" for rate in expected.sample_rates_hz)
    channels = " or ".join("mono" if n == 1 else "stereo" if n == 2 else f"{n} channels" for n in expected.n_channels)
    return ", ".join(part for part in (rates, channels) if part)


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _definitions(facts: dict[str, str]) -> str:
    return "".join(f"- **{name}**: {text}\n" for name, text in facts.items() if text)
