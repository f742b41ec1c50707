"""The web report as people meet it: opened from a folder in a real browser."""

import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from site_world import HOSTILE_NAME, HOSTILE_TEXT, toy_runs
from voxemo.reports.site.build import build_site
from voxemo.store.layout import Workspace

# What these tests share takes long to make: one process makes it, once.
pytestmark = pytest.mark.xdist_group("web-site")

HARD_ALL = "section[aria-labelledby=hard-all] table"
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def site(toy_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(toy_workspace.root, folder / "workspace")
    runs = toy_runs(Workspace(folder / "workspace"))
    return build_site(runs, folder / "html").folder


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def opened(page: Page, site: Path, path: str = "index.html") -> Page:
    page.goto((site / path).as_uri())
    return page


def column(page: Page, table: str, number: int) -> list[str]:
    """The first line of each cell of a column, as it is shown."""
    cells = page.locator(f"{table} tbody tr > :nth-child({number})")
    return [text.split("\n")[0].strip() for text in cells.all_inner_texts()]


# --- pages load -----------------------------------------------------------------------------------------------------


def test_every_page_loads_without_errors_or_outside_requests(page: Page, site: Path) -> None:
    """The fixture fails the test where a page printed an error or asked for anything outside."""
    for path in pages(site):
        opened(page, site, path.relative_to(site).as_posix())

        assert page.title().endswith("VoxEmo"), path


def test_every_link_within_the_site_leads_somewhere(page: Page, site: Path) -> None:
    for path in pages(site):
        opened(page, site, path.relative_to(site).as_posix())
        links = page.eval_on_selector_all("a[href]", "all => all.map(one => one.getAttribute('href'))")
        for link in links:
            if link.startswith("http"):
                continue
            place, _, anchor = link.partition("#")
            target = (path.parent / place).resolve() if place else path
            assert target.is_file(), f"{path.name}: {link}"
            assert target.is_relative_to(site)
            assert not anchor or f'id="{anchor}"' in target.read_text(encoding="utf-8"), f"{path.name}: {link}"


def test_every_figure_is_drawn_and_described(page: Page, site: Path) -> None:
    opened(page, site, "corpora/toy.html")
    shown = page.eval_on_selector_all("img", "all => all.map(one => [one.complete && one.naturalWidth > 0, one.alt])")

    assert len(shown) > 2
    assert all(is_drawn and alt for is_drawn, alt in shown)


def test_a_page_without_scripts_shows_every_row(browser: Browser, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = opened(context.new_page(), site)

    assert page.locator(f"{HARD_ALL} tbody tr").count() > 3
    assert not page.locator("form.filters").is_visible()
    context.close()


# --- tables ---------------------------------------------------------------------------------------------------------


def test_a_click_sorts_numbers_from_the_largest_and_a_second_one_from_the_smallest(page: Page, site: Path) -> None:
    opened(page, site)
    head = page.locator(f"{HARD_ALL} thead tr:last-child th").nth(4)

    # A table sorts after the click has ended.
    head.locator(".dt-column-order").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    falling = column(page, HARD_ALL, 5)
    head.locator(".dt-column-order").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    rising = column(page, HARD_ALL, 5)

    numbers = [float(text.split()[0]) for text in falling]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) > 2
    assert [float(text.split()[0]) for text in rising] == sorted(numbers)


def test_the_enter_key_sorts_and_says_so_to_screen_readers(page: Page, site: Path) -> None:
    opened(page, site)
    head = page.locator(f"{HARD_ALL} thead tr:last-child th").nth(4)

    head.locator(".dt-column-order").focus()
    page.keyboard.press("Enter")

    expect(head).to_have_attribute("aria-sort", "descending")
    numbers = [float(text.split()[0]) for text in column(page, HARD_ALL, 5)]
    assert numbers == sorted(numbers, reverse=True)


def test_the_search_of_a_table_leaves_matching_rows(page: Page, site: Path) -> None:
    opened(page, site)

    page.locator("section[aria-labelledby=hard-all] input[type=search]").fill("hostile")

    expect(page.locator(f"{HARD_ALL} tbody tr")).to_have_count(1)
    assert column(page, HARD_ALL, 2) == ["hostile"]


@pytest.mark.parametrize(
    ("facet", "value", "left"),
    [
        ("training", "contains", {"hostile"}),
        ("training", "undisclosed", {"scripted"}),
        ("how", "reference", {"uniform guess", "train prior", "train majority"}),
        ("language", "zz", set()),
    ],
)
def test_a_filter_leaves_the_rows_that_it_names(page: Page, site: Path, facet: str, value: str, left: set[str]) -> None:
    opened(page, site)
    choice = page.locator(f"select[name={facet}]")
    if value == "zz":
        choice.evaluate("(one) => one.add(new Option('none', 'zz'))")

    choice.select_option(value)

    shown = set(column(page, HARD_ALL, 2)) if left else set()
    assert shown == left
    assert page.locator(f"{HARD_ALL} tbody tr td.dt-empty").count() == (not left)


def test_filters_work_by_keyboard_and_are_taken_back_by_one_button(page: Page, site: Path) -> None:
    opened(page, site)
    every = page.locator(f"{HARD_ALL} tbody tr").count()

    page.locator("select[name=how]").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("form.filters output")).not_to_have_text("")
    some = page.locator(f"{HARD_ALL} tbody tr").count()
    said = page.locator("form.filters output").inner_text()
    page.get_by_role("button", name="Show all").focus()
    page.keyboard.press("Enter")

    expect(page.locator(f"{HARD_ALL} tbody tr")).to_have_count(every)
    assert 0 < some < every
    assert said.endswith("rows left")


def test_a_filter_on_training_data_empties_the_cells_of_other_models(page: Page, site: Path) -> None:
    opened(page, site)

    page.locator("select[name=training]").select_option("contains")

    cells = page.locator("section[aria-labelledby=hard-matrix] td[data-training]")
    states = cells.evaluate_all("all => all.map(one => [one.dataset.training, one.classList.contains('left-out')])")
    assert {tuple(state) for state in states} == {("contains", False), ("undisclosed", True)}


# --- hostile texts --------------------------------------------------------------------------------------------------


def test_a_hostile_answer_is_shown_as_text_and_does_not_run(page: Page, site: Path) -> None:
    (run,) = (path for path in pages(site) if path.name.startswith("toy.hostile"))
    opened(page, site, run.relative_to(site).as_posix())
    page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")

    examples = page.locator("section[aria-labelledby=failures] pre").all_inner_texts()
    shown = HOSTILE_TEXT.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert shown in examples
    assert page.locator("section[aria-labelledby=failures] :is(script, img, pre a)").count() == 0
    assert "broken" not in page.title()


def test_no_page_has_an_element_or_a_link_that_a_card_or_an_answer_wrote(page: Page, site: Path) -> None:
    for path in pages(site):
        opened(page, site, path.relative_to(site).as_posix())

        assert page.title() != "broken"
        sources = page.eval_on_selector_all("script", "all => all.map(one => one.getAttribute('src'))")
        assert all(source and source.endswith(("assets/datatables.js", "assets/site.js")) for source in sources)
        assert page.locator("[onerror], a[href^='javascript:' i]").count() == 0
        assert "\x1b" not in path.read_text(encoding="utf-8")


def test_a_model_s_name_is_shown_as_it_was_written(page: Page, site: Path) -> None:
    opened(page, site, "models/hostile.html")

    assert page.locator(".lead").inner_text() == HOSTILE_NAME.replace("\x1b", "\\x1b")


def test_no_page_names_a_folder_of_this_machine(site: Path) -> None:
    for path in site.rglob("*"):
        if path.suffix in (".html", ".svg", ".json"):
            text = path.read_text(encoding="utf-8")
            assert str(site.parent) not in text, path
            assert str(Path.home()) + "/" not in text, path


def test_an_inline_script_would_not_run_on_any_page(page: Page, site: Path) -> None:
    """The policy holds, even where escaping should once fail."""
    spoilt = site / "spoilt.html"
    text = (site / "transfer.html").read_text(encoding="utf-8")
    spoilt.write_text(text.replace("</main>", "<img src='x' onerror='document.title = 1'></main>"), encoding="utf-8")
    try:
        context_page = page.context.new_page()
        context_page.goto(spoilt.as_uri())
        context_page.wait_for_timeout(200)
        assert context_page.title() != "1"
    finally:
        spoilt.unlink()


# --- for everyone ---------------------------------------------------------------------------------------------------


def test_no_page_scrolls_sideways_on_a_phone(page: Page, site: Path) -> None:
    page.set_viewport_size(PHONE)
    for path in pages(site):
        opened(page, site, path.relative_to(site).as_posix())
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")

        wide, shown = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= shown, path


PARTS = "details.part"


def folded(page: Page) -> list[bool]:
    return page.locator(PARTS).evaluate_all("all => all.map(one => !one.open)")


def test_a_phone_shows_the_parts_of_a_board_folded_and_the_keyboard_opens_them(page: Page, site: Path) -> None:
    opened(page, site, "corpora/toy.html")
    wide = folded(page)
    page.set_viewport_size(PHONE)
    opened(page, site, "corpora/toy.html")
    narrow = folded(page)

    first = page.locator(PARTS).first
    first.locator("summary").first.focus()
    page.keyboard.press("Enter")

    expect(first).to_have_attribute("open", "")
    expect(first.locator("table").first).to_be_visible()
    assert len(wide) > 4
    assert set(wide) == {False}
    assert set(narrow) == {True}


def test_a_link_to_a_part_finds_it_open_on_a_phone(page: Page, site: Path) -> None:
    page.set_viewport_size(PHONE)
    opened(page, site, "corpora/toy.html")
    anchor = page.locator(f"{PARTS} :is(h3, h4)").last.get_attribute("id")

    page.goto("about:blank")
    page.goto(f"{(site / 'corpora' / 'toy.html').as_uri()}#{anchor}")

    assert folded(page).count(False) == 1
    assert page.locator(f"{PARTS}[open] #{anchor}").count() == 1


def test_no_part_is_folded_without_scripts(browser: Browser, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)  # type: ignore[arg-type]
    page = opened(context.new_page(), site, "corpora/toy.html")

    assert page.locator(PARTS).count() == page.locator(f"{PARTS}[open]").count() > 4
    context.close()


def test_on_paper_nothing_is_folded_or_cut_off(page: Page, site: Path) -> None:
    page.set_viewport_size(PHONE)
    opened(page, site, "corpora/toy.html")
    page.emulate_media(media="print")

    hidden = page.locator("main :is(table, img)").evaluate_all(
        "all => all.filter(one => !one.checkVisibility({ contentVisibilityAuto: true })).length"
    )
    cut_off = page.locator(".scroll, pre").evaluate_all(
        "all => all.filter(one => getComputedStyle(one).overflowY !== 'visible').length"
    )
    assert (hidden, cut_off) == (0, 0)


def test_a_long_table_scrolls_by_keyboard_under_its_heads(page: Page, site: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 300})
    opened(page, site)
    box = page.locator("section[aria-labelledby=hard-all] .scroll")
    whole, shown = box.evaluate("one => [one.scrollHeight, one.clientHeight]")

    box.focus()
    page.keyboard.press("End")

    expect(box.locator("tbody tr").last).to_be_in_viewport()
    expect(box.locator("thead tr").last).to_be_in_viewport()
    assert shown <= 300 < whole


CONTRAST = """
() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    const layers = [];
    for (let at = one; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    return layers.reverse().reduce((below, layer) => over(layer, below), dark ? [18, 18, 18] : [255, 255, 255]);
  };
  const worst = [];
  for (const one of document.querySelectorAll('body *')) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !one.checkVisibility() || one.closest('option, select, .skip')) continue;
    const below = behind(one);
    const [a, b] = [light(over(rgba(getComputedStyle(one).color), below)), light(below)];
    worst.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.outerHTML.slice(0, 120)]);
  }
  return worst.sort((x, y) => x[0] - y[0])[0];
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(page: Page, site: Path, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for path in pages(site):
        opened(page, site, path.relative_to(site).as_posix())
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")

        ratio, element = page.evaluate(CONTRAST)
        assert ratio >= 4.5, f"{path.name}, {scheme}: {ratio:.2f} {element}"


def test_headings_are_in_order_and_tables_have_captions_and_scopes(page: Page, site: Path) -> None:
    for path in pages(site):
        opened(page, site, path.relative_to(site).as_posix())
        levels = page.eval_on_selector_all("main :is(h1, h2, h3, h4)", "all => all.map(one => Number(one.tagName[1]))")

        assert levels[0] == 1, path
        assert levels.count(1) == 1, path
        assert all(after <= before + 1 for before, after in pairwise(levels)), path
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.locator("table:not(:has(caption))").count() == 0
        assert page.locator("th:not([scope])").count() == 0
        ids = page.eval_on_selector_all("[id]", "all => all.map(one => one.id)")
        assert len(ids) == len(set(ids)), path


HEADS = """
all => all.map(
  table => [...table.querySelectorAll('thead tr:last-child .dt-column-title')]
    .map(one => one.textContent.replaceAll('\\u00a0', ' '))
)
"""
SORTABLE = r"""columnheader "(.*?)"'?:\n +- text: .*\n +- '?button "(.*?): Activate to sort\""""


def test_heads_and_their_sort_buttons_have_names_to_be_read_out(page: Page, site: Path) -> None:
    """What a screen reader says: the text of the head, and for the button that of its group too, told apart by it."""
    for path in pages(site):
        opened(page, site, path.relative_to(site).as_posix())
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        tables = page.locator("table.sortable").evaluate_all(HEADS)
        said = re.findall(SORTABLE, page.locator("main").aria_snapshot())

        assert [head for head, _ in said] == [text for texts in tables for text in texts], path
        for texts in tables:
            names, said = [button for _, button in said[: len(texts)]], said[len(texts) :]
            assert len(set(names)) == len(names), path
            for name, text in zip(names, texts, strict=True):
                assert name == text or name.startswith(f"{text}, "), path
                assert "&" not in name


def test_the_first_tab_leads_to_the_content_past_the_navigation(page: Page, site: Path) -> None:
    opened(page, site)

    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the content"
    page.keyboard.press("Enter")

    assert page.locator("main:focus").count() == 1


def test_the_policy_allows_the_site_s_own_files_and_nothing_else(page: Page, site: Path) -> None:
    opened(page, site)
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")

    assert policy is not None
    rules = dict(re.split(r"\s+", rule.strip(), maxsplit=1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert {rules[name] for name in ("script-src", "style-src", "img-src")} == {"'self'"}


def test_a_site_served_under_a_folder_of_a_host_works_alike(page: Page, site: Path) -> None:
    """Every address in it is relative."""
    for path in pages(site):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'(?:src|href)="/', text), path
