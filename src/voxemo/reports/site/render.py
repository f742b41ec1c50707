"""Page models to HTML. Needs jinja2, which is imported here alone."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from voxemo.core.errors import MissingDependency
from voxemo.core.escape import for_html
from voxemo.reports.site.parts import MARKS, Page

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"
"""What a page may load: scripts, styles and pictures of the site's own folder, and nothing else. Nothing is inline."""


def check_templates() -> None:
    """Raise MissingDependency where jinja2 is not installed."""
    if find_spec("jinja2") is None:
        raise MissingDependency("The web report", package="jinja2", extra="report")


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=for_html,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["address"] = address
    return made


def address(href: str | None) -> str | None:
    """A link that leads within the site or to the web; None for anything else, such as a script.

    >>> address("corpora/demo.html#a"), address("https://example.org"), address("javascript:alert(1)")
    ('corpora/demo.html#a', 'https://example.org', None)
    """
    if href is None:
        return None
    if href.startswith(("https://", "http://")):
        return href
    return None if ":" in href or href.startswith(("/", "\\")) else href


def render(page: Page, *, navigation: tuple[tuple[str, str], ...], colophon: str) -> str:
    """A page as an HTML document.

    Args:
        page: what it says.
        navigation: name and path, from the site's folder, of the pages that every page links to.
        colophon: what made the site.

    Raises:
        MissingDependency: jinja2 is not installed.
    """
    check_templates()
    template = _environment().get_template("page.html")
    return template.render(page=page, navigation=navigation, colophon=colophon, marks=MARKS, policy=POLICY)
