"""The reference page of the corpora is what their cards say; `make golden` writes it."""

from golden_files import check_golden
from voxemo.catalog.lookup import builtin_corpus_cards
from voxemo.reports.corpora import corpora_page


def test_golden_reference_of_the_corpora() -> None:
    check_golden("../../docs/reference/corpora.md", corpora_page(builtin_corpus_cards()))


def test_every_corpus_has_a_section_with_its_known_issues() -> None:
    page = corpora_page(builtin_corpus_cards())

    for card in builtin_corpus_cards():
        section = page.split(f"\n## {card.corpus_id}\n")[1].split("\n## ")[0]
        assert card.access.homepage in section
        assert all(f"- `{issue.id}`: {issue.text}" in section for issue in card.known_issues)
