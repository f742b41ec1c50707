"""Take the screenshots of the web report that the guide shows.

Run: python docs/screenshots/take.py SITE [--chromium PATH]

SITE is the folder of ``voxemo report demo-workspace/runs/* --html SITE``, after ``voxemo demo`` and, for the second
system, ``voxemo train corpus demo --model acoustic-baseline`` and ``voxemo run --corpus demo --model
acoustic-baseline``. Needs Playwright for Python and a Chromium.
"""

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
MOST_BYTES = 200_000


@dataclass(frozen=True)
class Shot:
    """One picture."""

    name: str
    page: str
    """Pattern of its file, relative to the site."""
    scheme: Literal["light", "dark"] = "light"
    anchor: str = ""
    """What is scrolled to; all folded parts there are opened."""
    size: tuple[int, int] = (1280, 900)


SHOTS = (
    Shot("scoreboard-light", "index.html"),
    Shot("scoreboard-dark", "index.html", "dark", "hard"),
    Shot("scoreboard-phone", "index.html", "light", "hard", (390, 844)),
    Shot("corpus-light", "corpora/demo.html", "light", "demo-test-protocol-expressed-hard"),
    Shot("confusions-dark", "corpora/demo.html", "dark", "demo-test-protocol-expressed-hard-confusions"),
    Shot("calibration-light", "corpora/demo.html", "light", "demo-test-protocol-expressed-hard-calibration"),
    Shot("prompts-dark", "models/voxemo-tiny.html", "dark", "prompts"),
    Shot("disclosure-light", "runs/demo.voxemo-tiny.*.html", "light", "disclosure"),
    Shot("audit-dark", "audit.html", "dark", "failures"),
)


def take(browser: Browser, site: Path, shot: Shot) -> Path:
    """Take one picture and return its path."""
    width, height = shot.size
    context = browser.new_context(color_scheme=shot.scheme, viewport={"width": width, "height": height})
    page = context.new_page()
    (path,) = site.glob(shot.page)
    page.goto(path.resolve().as_uri())
    if shot.anchor:
        part = page.locator(f"section[aria-labelledby='{shot.anchor}']")
        part.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        part.evaluate("one => one.scrollIntoView({ behavior: 'instant' })")
    made = HERE / f"{shot.name}.png"
    page.screenshot(path=made)
    context.close()
    return made


def main() -> None:
    """Take every picture, and refuse those that are too large for a repository."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path)
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="default: the one that is installed")
    given = parser.parse_args()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        for shot in SHOTS:
            made = take(browser, given.site, shot)
            if made.stat().st_size > MOST_BYTES:
                raise SystemExit(f"{made.name} has {made.stat().st_size:,} bytes, more than {MOST_BYTES:,}.")
        browser.close()


if __name__ == "__main__":
    main()
