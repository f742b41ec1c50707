"""What every figure shares: the sheet to draw on, its colours in light and dark, and the files it is saved as."""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill
from typing import Any, Literal, TypeAlias

from voxemo.core.errors import MissingDependency
from voxemo.core.escape import for_figure
from voxemo.store.files import write_atomically

Kind: TypeAlias = Literal["svg", "png", "pdf"]
KINDS: tuple[Kind, ...] = ("svg", "png", "pdf")

# Of Okabe and Ito: told apart by people who see colours otherwise, and as greys.
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
INK, MUTED, RULE, PAPER = "#1a1a1a", "#666667", "#d6d6d7", "#fefefe"
CELL = "#0072b3"
"""Of a cell whose share is its opacity, with text on it."""

DARK: Mapping[str, str] = {
    INK: "#e8e8e8",
    MUTED: "#a8a8a9",
    RULE: "#44464a",
    PAPER: "#16181c",
    # Those of their colours that stand out from black; green and purple do as they are.
    BLUE: "#56b4e9",
    ORANGE: "#e69f00",
    CELL: "#2f8fd0",
}
"""What colours of a figure become where a page is dark. Every other colour stays, such as those of a colour scale."""


STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": RULE,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "axes.axisbelow": True,
    # A dollar sign in a name begins no formula.
    "text.parse_math": False,
    # Names of shapes in an SVG are made from this and the content, not at random.
    "svg.hashsalt": "voxemo",
    # Text stays text, to be searched and copied.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
UNDATED: Mapping[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": "voxemo"},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": "voxemo"},
    "png": {"Software": None},
}


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def check_drawing() -> None:
    """Raise MissingDependency where matplotlib is not installed."""
    if not can_draw():
        raise MissingDependency("Drawing figures", package="matplotlib", extra="report")


@contextmanager
def sheet(width_in: float, height_in: float) -> Iterator[Any]:
    """A figure that no window and no global state knows of.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    check_drawing()
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # Scripts that the font lacks are boxes in PNG and PDF; an SVG keeps the text, and its reader has other fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def set_title(figure: Any, title: str) -> None:
    """Write the figure's title above all of it, in lines that fit."""
    width = int(figure.get_figwidth() * 14)
    figure.suptitle(fill(for_figure(title, most=300), width), x=0.01, ha="left", fontsize=10)


def save(figure: Any, folder: Path, name: str, kinds: Sequence[Kind], *, title: str, about: str) -> list[Path]:
    """Write a figure as files, the same bytes for the same numbers.

    Args:
        figure: of `sheet`.
        folder: to write into.
        name: of the files, without ending.
        kinds: svg, png, pdf. An SVG has no background, and colours of its own for dark pages.
        title: what an SVG is called by a screen reader.
        about: what there is to see, in a sentence or two, for those who do not.
    """
    written = []
    for kind in kinds:
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=150, metadata=UNDATED[kind], transparent=kind == "svg")
        made = content.getvalue()
        if kind == "svg":
            made = _for_pages(made.decode(), title, about).encode()
        path = folder / f"{name}.{kind}"
        write_atomically(path, lambda file, made=made: file.write(made))  # type: ignore[misc]
        written.append(path)
    return written


def _for_pages(svg: str, title: str, about: str) -> str:
    """An SVG with a title, a description, and colours for dark pages."""
    head, opening, rest = svg.partition("<svg ")
    attributes, close, body = rest.partition(">")
    named = "".join(
        f"\n <{tag}>{escape(for_figure(text, most=2000), quote=False)}</{tag}>"
        for tag, text in (("title", title), ("desc", about))
    )
    return f'{head}{opening}role="img" {attributes}{close}{named}\n <style>{DARK_STYLE}</style>{body}'


def _dark_style() -> str:
    # By the colours that shapes have, so that programs that know neither media nor variables draw the light figure.
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark} !important}}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    )
    return f":root{{color-scheme:light dark}}@media (prefers-color-scheme:dark){{{rules}}}"


DARK_STYLE = _dark_style()
