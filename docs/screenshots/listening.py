"""Take the screenshots of the listening guide, of a finished `voxemo demo` and nothing else.

Run: voxemo demo && python docs/screenshots/listening.py demo-workspace
"""

import argparse
import io
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

FOLDER = Path(__file__).parent
SIZE = {"width": 1180, "height": 860}


def overview(page: Page) -> None:
    """Clips that listeners did not agree on and prompts read differently."""
    page.select_option("#agreement", "ambiguous")
    page.check("#disagree")
    expect(page.locator("#counts")).to_contain_text("wrong")


def failures(page: Page) -> None:
    """Answers that could not be read, beside some that could."""
    page.select_option("#system", "distribution/*")
    page.select_option("#outcome", "failed")
    expect(page.locator("#status")).to_contain_text(" of ")
    page.locator("#detail article").nth(6).evaluate("node => node.scrollIntoView({block: 'start'})")


def take(address: str) -> None:
    """Both pictures, the second on a dark page."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, scheme, act in (("listening", "light", overview), ("listening-failed", "dark", failures)):
            page = browser.new_context(viewport=SIZE, color_scheme=scheme).new_page()
            page.goto(address)
            expect(page.locator("#player")).to_be_visible()
            act(page)
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(500)
            picture = Image.open(io.BytesIO(page.screenshot()))
            # Of a page in few colours nothing is lost, and the file is half as large.
            picture.convert("RGB").quantize(160).save(FOLDER / f"{name}.png", optimize=True)
        browser.close()


def main() -> None:
    """Serve the demo's run, take the pictures, stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what `voxemo demo` made")
    folder = parser.parse_args().folder
    (run,) = folder.glob("runs/demo.voxemo-tiny.*")
    words = ["view", str(run), "--workspace", str(folder / "workspace"), "--no-browser"]
    start = "from voxemo.cli.main import run; run()"
    with subprocess.Popen([sys.executable, "-c", start, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = re.search(r"http:\S+", process.stdout.readline())
            assert address is not None, "voxemo view printed no address"
            take(address[0])
        finally:
            process.send_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
