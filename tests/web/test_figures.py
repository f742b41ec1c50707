"""Figures as a page shows them: through an image, on a light and on a dark page."""

import io
from pathlib import Path

import pytest
from matplotlib.image import imread
from playwright.sync_api import Page

from figure_data import FIGURES
from voxemo.reports import figures

PAGE = """<!doctype html><meta name=color-scheme content="light dark"><title>figure</title>
<style>body{background:#fff;margin:0} @media (prefers-color-scheme: dark){body{background:#000}}</style>
<img src="confusion.svg" alt="">"""


@pytest.mark.parametrize(("scheme", "paper", "ink"), [("light", 1.0, 0.0), ("dark", 0.0, 1.0)])
def test_an_svg_in_an_image_takes_the_page_s_colours(
    scheme: str, paper: float, ink: float, page: Page, tmp_path: Path
) -> None:
    draw, data = FIGURES["confusion"]
    draw(data(), tmp_path, "confusion", title="Confusion", kinds=("svg",))
    (tmp_path / "page.html").write_text(PAGE)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto((tmp_path / "page.html").as_uri())

    shown = imread(io.BytesIO(page.locator("img").screenshot()), format="png")[..., :3]

    # The corner is bare page; the title beside it is written in ink.
    assert shown[1, 1].tolist() == [paper] * 3
    title = shown[:16, :120]
    assert abs(title - ink).min() < 0.15
    assert figures.can_draw()
