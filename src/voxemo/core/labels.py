"""Label sets: which words a corpus's emotions have, in which order, and which other words mean them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


def display_name(name: str) -> str:
    """Write a canonical label the way models see it.

    >>> display_name("angry")
    'Angry'
    """
    return name[:1].upper() + name[1:]


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The closed, ordered set of emotion classes of one corpus.

    Order matters: distributions are vectors in this order, and ties go to the first label. It is alphabetical in
    every built-in card (PROTOCOL section 7).

    Args:
        names: canonical ids, lower case, unique, at least two.
        aliases: other English forms of these labels (``anger``), case folded, to canonical names.
        translations: words of other languages, case folded, to canonical names; read only leniently.

    >>> basic = LabelSet(("angry", "happy"), aliases={"anger": "angry"})
    >>> basic.canonical("ANGRY"), basic.canonical("anger"), basic.canonical("bored")
    ('angry', 'angry', None)
    >>> basic.exact("anger") is None
    True
    """

    names: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    translations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names) or len(self.names) < 2:
            raise ValueError(f"a label set needs two or more different names, got {self.names!r}")
        for table in (self.aliases, self.translations):
            stray = sorted(set(table.values()) - set(self.names))
            if stray:
                raise ValueError(f"words are mapped to {stray}, which the label set {self.names!r} lacks")
        # Folded here, once: lower case is not enough where case folding changes letters, as Greek's final sigma.
        for field_name, table in (("aliases", self.aliases), ("translations", self.translations)):
            folded = {word.casefold(): name for word, name in table.items()}
            object.__setattr__(self, field_name, MappingProxyType(folded))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def display(self) -> tuple[str, ...]:
        """The names as models see them, in order."""
        return tuple(display_name(name) for name in self.names)

    def index(self, name: str) -> int:
        """Position of a canonical name; ValueError when it is not in the set."""
        return self.names.index(name)

    def exact(self, word: str) -> str | None:
        """The canonical name that the word is, but for case; None when it is no name of this set."""
        folded = word.casefold()
        return folded if folded in self.names else None

    def canonical(self, word: str) -> str | None:
        """The canonical name of a name or English alias, but for case; None when the word is neither."""
        folded = word.casefold()
        return folded if folded in self.names else self.aliases.get(folded)

    def translated(self, word: str) -> str | None:
        """The canonical name of a name, alias or translation, but for case; None when the word is none of them."""
        return self.canonical(word) or self.translations.get(word.casefold())
