"""What a model wrote goes no further than the corpus that it may quote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.catalog import lookup
from voxemo.core.quoting import QUOTING, texts_withheld, unquoted

ANSWER = "quokka marmalade"
documents = st.recursive(
    st.integers() | st.text("abc"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["n", "reason", *QUOTING]), inner, max_size=3)
    ),
)


@pytest.mark.parametrize(
    "card", [lookup.corpus_card(name) for name in lookup.corpus_names()], ids=lambda c: c.corpus_id
)
def test_texts_go_only_where_the_corpus_itself_may(card: Any) -> None:
    free = card.access.redistributable and card.access.kind == "open"

    assert (texts_withheld(card) is None) == free
    assert texts_withheld(card, redact=True) is not None


@given(documents)
def test_no_quoting_field_is_left_at_any_depth_unless_quoting_is_allowed(document: Any) -> None:
    assert not any(f"'{name}':" in repr(unquoted(document)) for name in QUOTING)
    assert unquoted(document, quoting=True) == document


def test_what_quotes_nothing_stays_as_it_is() -> None:
    failures = [{"reason": "empty", "n": 3, "examples": [{"text": ANSWER}]}, {"reason": "refusal", "n": 1}]

    assert unquoted({"failures": failures}) == {
        "failures": [{"reason": "empty", "n": 3}, {"reason": "refusal", "n": 1}]
    }
