"""Pages in a real browser: Debian's or anyone's Chromium, without a window and without a network."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# Those on the background keep Chromium from calling home, which a machine without a network answers with errors.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
OWN = ("file:", "data:", "blob:", "about:", "http://127.0.0.1:", "http://localhost:")
"""What a page may ask for."""


@dataclass(slots=True)
class Watched:
    """A page and what went wrong on it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    """Messages of the console above a warning, and scripts that raised."""
    outside: list[str] = field(default_factory=list)
    """Addresses asked for that lie outside this machine."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    path = os.environ.get("VOXEMO_CHROMIUM", found)
    if path is None:
        reason = "no Chromium: install one (Debian: apt-get install chromium), or name it in VOXEMO_CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A new page; the test fails if it printed an error or asked for anything outside this machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    made = Watched(page)
    page.on("console", lambda message: made.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: made.errors.append(str(error)))
    page.on("request", lambda ask: made.outside.append(ask.url) if not ask.url.startswith(OWN) else None)
    yield made
    context.close()
    assert (made.errors, made.outside) == ([], [])


@pytest.fixture
def page(watched: Watched) -> Page:
    """The page of `watched`, for tests that need no more."""
    return watched.page
