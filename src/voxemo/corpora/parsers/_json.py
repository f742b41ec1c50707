"""Reading JSON tables whose form is known from documents only: every step says what was expected and what was found."""

from typing import Any, TypeVar

from voxemo.core.errors import listing
from voxemo.corpora.tree import CorpusTree

T = TypeVar("T", dict[str, Any], list[Any], str)

KINDS = {dict: "an object", list: "a list", str: "text"}
SHOWN = 60


def of_kind(tree: CorpusTree, value: Any, kind: type[T], *, place: str) -> T:
    """The value, if it is of the kind.

    Args:
        tree: whose error to raise.
        value: any value of a JSON document.
        kind: ``dict``, ``list`` or ``str``.
        place: which value of which file it is, for people.

    Raises:
        WrongLayout: it is of another kind.
    """
    if not isinstance(value, kind):
        found = f"{value!r:.{SHOWN}}"
        raise tree.wrong_layout(f"{KINDS[kind]} as {place}", found)
    return value


def field(tree: CorpusTree, holder: Any, key: str, kind: type[T], *, place: str) -> T:
    """The value of a key of a JSON object.

    Args:
        tree: whose error to raise.
        holder: the object.
        key: which must be there.
        kind: ``dict``, ``list`` or ``str``.
        place: where the object stands, for people.

    Raises:
        WrongLayout: there is no such object or key, or its value is of another kind.
    """
    holder = of_kind(tree, holder, dict, place=place)
    if key not in holder:
        raise tree.wrong_layout(f"the key {key!r} in {place}", f"the keys {listing(list(holder), most=10)}")
    return of_kind(tree, holder[key], kind, place=f"{key!r} of {place}")
