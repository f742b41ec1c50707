"""What pages are made of. Values only; how they look is decided in the templates, and everything in them is plain text.

Texts may hold anything, also what a model answered: escaping is the renderer's work and happens to all of them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, TypeAlias

from voxemo.reports.tables import signed

N_TINTS = 10
"""Steps of the tint behind the numbers of a confusion matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a table, or a value in a list of facts."""

    text: str = ""
    sort: float | None = None
    """What the column is sorted by; its text where None."""
    numeric: bool = False
    below: tuple[str, ...] = ()
    """Smaller lines under the text: interval, coverage."""
    marks: tuple[str, ...] = ()
    """Keys of ``MARKS``."""
    href: str | None = None
    """Within the site, relative to the page; or an address of the web."""
    head: bool = False
    """Names its row."""
    missing: bool = False
    """Something that should be known and is not: shown as such."""
    is_open: bool = False
    """Something that is said not to be known, pinned or checked: shown as such."""
    strong: bool = False
    tint: int | None = None
    """0 to ``N_TINTS``."""
    facets: Mapping[str, str] = field(default_factory=dict)
    """What the filters of the page ask of this one cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Head of a column."""

    text: str
    numeric: bool = False
    group: str = ""
    """Stands above this column and its neighbours of the same group."""
    published: bool = False
    """Figures of other authors: set apart from ours."""
    about: str = ""
    """The column beside it that it says something of, where its text alone would not tell."""

    @property
    def spoken(self) -> str:
        """What a button of the column is called where nobody sees what it stands under and beside.

        >>> Head(text="difference", about="UA %", group="published").spoken
        'difference, UA %, published'
        """
        return ", ".join(filter(None, (self.text, self.about, self.group)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table."""

    cells: tuple[Cell, ...]
    facets: Mapping[str, str] = field(default_factory=dict)
    """What the filters of the page ask of this row; words of one facet are separated by spaces."""
    quiet: bool = False
    """A reference or published row: no run of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with its caption."""

    kind: ClassVar[str] = "table"
    caption: str
    heads: tuple[Head, ...]
    rows: tuple[Row, ...]
    sortable: bool = False
    filtered: bool = False
    """The filters of the page act on it."""

    @property
    def groups(self) -> tuple[tuple[str, int, bool], ...]:
        """Heads above heads: text, columns, whether published; empty where no column has one."""
        if not any(head.group for head in self.heads):
            return ()
        groups: list[tuple[str, int, bool]] = []
        for head in self.heads:
            if groups and groups[-1][0] == head.group and groups[-1][2] == head.published:
                groups[-1] = (head.group, groups[-1][1] + 1, head.published)
            else:
                groups.append((head.group, 1, head.published))
        return tuple(groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A paragraph; a warning stands out."""

    kind: ClassVar[str] = "paragraph"
    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Short texts below each other."""

    kind: ClassVar[str] = "listing"
    items: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Names with their values."""

    kind: ClassVar[str] = "facts"
    items: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbatim:
    """Text as it came: an answer of a model, a prompt."""

    kind: ClassVar[str] = "verbatim"
    text: str
    label: str
    """Says what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A drawing in a file of the site, which is drawn when the site is written."""

    kind: ClassVar[str] = "figure"
    name: str
    """Of the file, without ending; unique on the site."""
    alt: str
    caption: str
    draw: Callable[[Path, str], list[Path]]
    """Draws it into a folder under a name; gives no path where there is nothing to draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """Blocks behind a line that opens them."""

    kind: ClassVar[str] = "folded"
    summary: str
    blocks: "tuple[Block, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Choices that act on every filtered table of the page."""

    kind: ClassVar[str] = "filters"
    choices: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]
    """Facet, its label, and (value, label) of each choice."""


Block: TypeAlias = Table | Paragraph | Listing | Facts | Verbatim | Figure | Folded | Filters


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page under a heading."""

    title: str
    anchor: str
    blocks: tuple[Block, ...] = ()
    sections: "tuple[Section, ...]" = ()
    foldable: bool = False
    """Can be folded to its heading; open, except where a screen is narrow."""

    def walk(self) -> "Iterator[Section]":
        """This section and all below it."""
        yield self
        for inner in self.sections:
            yield from inner.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the site."""

    path: str
    """Relative to the site's folder, with forward slashes."""
    title: str
    lead: str = ""
    """One sentence under the title."""
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()

    @property
    def root(self) -> str:
        """From this page to the site's folder: empty, or ``../``."""
        return "../" * self.path.count("/")

    @property
    def every_block(self) -> "tuple[Block, ...]":
        """Every block of the page, folded ones too."""
        parts: list[Page | Section] = [self, *(inner for section in self.sections for inner in section.walk())]
        return tuple(inner for part in parts for block in part.blocks for inner in _unfolded(block))

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table of the page."""
        return tuple(block for block in self.every_block if isinstance(block, Table))

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Every figure of the page."""
        return tuple(block for block in self.every_block if isinstance(block, Figure))

    @property
    def scripted(self) -> bool:
        """Whether a table of the page can be sorted."""
        return any(table.sortable for table in self.tables)

    @property
    def marks(self) -> tuple[str, ...]:
        """Marks that occur on the page."""
        found = {mark for table in self.tables for row in table.rows for cell in row.cells for mark in cell.marks}
        return tuple(mark for mark in MARKS if mark in found)


def _unfolded(block: Block) -> Iterator[Block]:
    yield block
    if isinstance(block, Folded):
        for inner in block.blocks:
            yield from _unfolded(inner)


MARKS = {
    "tied": ("≈", "cannot be told apart from the best of its board"),
    "best": ("★", "the best of its board"),
    "contains": ("†", "the model's training data holds this corpus"),
    "undisclosed": ("?", "the model's training data is not disclosed: it may hold this corpus"),
    "partial": ("PARTIAL", "the run does not cover what it should"),
    "deviates": ("‡", "the run deviates from the protocol"),
}
"""Mark to its sign and what it means."""


def page_name(name: str) -> str:
    """A file name for something with any name at all: safe on every system and unlike that of any other name.

    >>> page_name("demo.voxemo-tiny.zero-shot.3109aed0")
    'demo.voxemo-tiny.zero-shot.3109aed0'
    >>> page_name("../<b>")
    'b-9f46aef2'
    """
    plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip(".-_")[:100]
    return plain if plain and plain == name else f"{plain}-{sha256(name.encode()).hexdigest()[:8]}".strip("-")


def anchor_name(*words: str) -> str:
    """An id for a section, from words.

    >>> anchor_name("Test part", "URDU")
    'test-part-urdu'
    """
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def word(text: str, **given: object) -> Cell:
    """A cell of text."""
    return Cell(text=text, **given)  # type: ignore[arg-type]


def number(value: float | None, text: str, **given: object) -> Cell:
    """A cell with a number, sorted by its value; last where there is none."""
    return Cell(text=text, sort=value, numeric=True, **given)  # type: ignore[arg-type]


def percent(value: float | None, *, digits: int = 1) -> str:
    """A fraction as percent, a dash when undefined.

    >>> percent(0.1234), percent(-0.0001), percent(None)
    ('12.3', '0.0', '-')
    """
    return "-" if value is None else f"{100 * value:z.{digits}f}"


def points(value: float | None) -> str:
    """A difference of two fractions in points of percent, with its sign; a dash when undefined.

    >>> points(0.02), points(-0.0001), points(None)
    ('+2.0', '0.0', '-')
    """
    return "-" if value is None else signed(100 * value)


def how_many(n: int, what: str) -> str:
    """A number with its noun.

    >>> how_many(1, "run"), how_many(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def count(n: int | None) -> Cell:
    """A cell with a count."""
    return number(n, "-" if n is None else f"{n:,}")
