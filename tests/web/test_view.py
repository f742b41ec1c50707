"""The listening page in a real browser, without a mouse where that is the point."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from hostile import HostileWorld, acting
from viewing import HOSTILE_ANSWER, Served, clip_file, names_of, served, serving
from voxemo.store.layout import Workspace

# What these tests share takes long to make: one process makes it, once.
pytestmark = pytest.mark.xdist_group("web-view")


@pytest.fixture(scope="module")
def listening(toy_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(toy_workspace, tmp_path_factory.mktemp("listening")) as running:
        yield running


def wait(page: Page, script: str) -> None:
    """Until a script is true of the page. Playwright's own way evaluates in it, which the page's policy forbids."""
    for _ in range(1000):
        if page.evaluate(script):
            return
        page.wait_for_timeout(20)
    pytest.fail(f"never came true: {script}")


@pytest.fixture
def opened(page: Page, listening: Served) -> Page:
    """The page with its first utterance shown and ready to play."""
    page.goto(listening.address)
    expect(page.locator("#player")).to_be_visible()
    wait(page, "document.getElementById('player').readyState >= 3")
    wait(page, "document.querySelector('#detail img').naturalWidth > 0")
    return page


def chosen(page: Page) -> str:
    return page.locator("#list [aria-current=true] .name").inner_text()


def test_the_page_shows_the_first_utterance_with_its_picture_votes_and_answers(opened: Page, listening: Served) -> None:
    first = names_of(listening.run)[0]

    expect(opened.locator("#status")).to_have_text(f"{len(names_of(listening.run))} utterances")
    assert chosen(opened) == first
    expect(opened.get_by_role("heading", level=2)).to_have_text(first)
    assert "Waveform and spectrogram" in (opened.locator("#detail img").get_attribute("alt") or "")
    expect(opened.locator("#detail table tbody tr")).to_have_count(4)
    expect(opened.locator("#detail article")).to_have_count(10)


def test_space_plays_and_stops(opened: Page) -> None:
    opened.keyboard.press("Space")
    wait(opened, "document.getElementById('player').currentTime > 0.1")
    opened.keyboard.press("Space")

    wait(opened, "document.getElementById('player').paused")
    expect(opened.locator("#playhead")).to_be_visible()
    opened.keyboard.press("ArrowLeft")
    wait(opened, "document.getElementById('player').currentTime === 0")


def test_letters_and_arrows_walk_the_list_and_the_pages(opened: Page, listening: Served) -> None:
    names = names_of(listening.run)

    for key, expected in (("j", 1), ("ArrowDown", 2), ("k", 1), ("ArrowUp", 0), ("k", 0)):
        opened.keyboard.press(key)
        assert chosen(opened) == names[expected]
    opened.keyboard.press("n")
    expect(opened.locator("#place")).to_contain_text("page 2")
    expect(opened.locator("#list [aria-current=true] .name")).to_have_text(names[50])
    opened.keyboard.press("k")
    expect(opened.locator("#list [aria-current=true] .name")).to_have_text(names[49])


def test_filters_work_by_keyboard_alone(opened: Page, listening: Served) -> None:
    opened.keyboard.press("/")
    opened.keyboard.type("_sad_")
    expect(opened.locator("#status")).to_contain_text(f"{len(names_of(listening.run, text='_sad_'))} of ")
    opened.keyboard.press("Escape")
    assert opened.evaluate("document.activeElement.getAttribute('aria-current')") == "true"

    opened.keyboard.press("f")
    opened.keyboard.press("Tab")
    opened.keyboard.type("a wrong")
    wrong = names_of(listening.run, text="_sad_", outcome="wrong")
    expect(opened.locator("#status")).to_contain_text(f"{len(wrong)} of ")
    expect(opened.locator("#list .name").first).to_have_text(wrong[0])

    opened.keyboard.press("Escape")
    opened.keyboard.press("c")
    expect(opened.locator("#status")).to_have_text(f"{len(names_of(listening.run))} utterances")


def test_letters_can_be_typed_into_a_field_and_single_keys_be_turned_off(opened: Page, listening: Served) -> None:
    first = chosen(opened)
    opened.keyboard.press("/")
    opened.keyboard.type("jjk")
    expect(opened.locator("#status")).to_contain_text("0 of ")
    expect(opened.locator("#detail")).to_contain_text("No utterance is like this.")

    opened.locator("#clear").press("Enter")
    expect(opened.locator("#list [aria-current=true] .name")).to_have_text(first)
    opened.locator("#use-keys").press("Space")
    opened.keyboard.press("j")
    assert chosen(opened) == first


def test_a_script_in_an_answer_is_shown_and_does_not_run(opened: Page, listening: Served) -> None:
    opened.select_option("#gold", "happy")
    name = names_of(listening.run, gold="happy")[0]
    expect(opened.get_by_role("heading", level=2)).to_have_text(name)

    raw = opened.locator("#detail .raw").first
    expect(raw).to_contain_text(HOSTILE_ANSWER.partition("\n")[0])
    expect(raw.locator(".code").first).to_have_text("U+001B")
    expect(raw.locator("mark")).to_have_text("Happy")
    assert raw.locator("script, img").count() == 0
    assert opened.title() != "owned"


def test_the_selection_can_be_saved(opened: Page, listening: Served) -> None:
    opened.select_option("#gold", "angry")
    angry = names_of(listening.run, gold="angry")
    expect(opened.locator("#status")).to_contain_text(f"{len(angry)} of ")

    opened.locator("#list [aria-current=true]").focus()
    opened.keyboard.press("e")
    with opened.expect_download() as saved:
        opened.keyboard.press("Enter")
    assert Path(saved.value.path()).read_text(encoding="utf-8").count("\n") == len(angry) + 1
    with opened.expect_download() as saved:
        opened.get_by_role("link", name="names").press("Enter")
    assert Path(saved.value.path()).read_text(encoding="utf-8").split() == angry


def test_a_broken_clip_is_said(opened: Page, listening: Served) -> None:
    name = names_of(listening.run)[-1]
    path = clip_file(listening.workspace, name)
    content = path.read_bytes()
    path.write_bytes(b"")
    try:
        opened.fill("#text", name)
        expect(opened.get_by_role("alert")).to_contain_text("the file is empty")
        expect(opened.locator("#detail article").first).to_be_visible()
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_in_both_themes(browser: Browser, listening: Served, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(listening.address)
    expect(page.locator("#player")).to_be_visible()

    # WCAG's contrast, of every element with text of its own against the nearest ground that is painted.
    worst = page.evaluate(
        """() => {
          const channels = (text) => text.match(/[\\d.]+/g).map(Number);
          const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const ground = (node) => {
            for (let at = node; at; at = at.parentElement) {
              const colour = channels(getComputedStyle(at).backgroundColor);
              if (colour.length < 4 || colour[3] > 0) return colour;
            }
            return [255, 255, 255];
          };
          const found = [...document.querySelectorAll("body *")]
            .filter((node) => [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim()))
            .filter((node) => node.checkVisibility() && !node.disabled)
            .map((node) => {
              const [a, b] = [light(channels(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
              return [(a + 0.05) / (b + 0.05), node.outerHTML.slice(0, 80)];
            });
          return found.sort((x, y) => x[0] - y[0])[0];
        }"""
    )
    context.close()

    assert worst[0] >= 4.5, worst


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_width_needs_scrolling_sideways(page: Page, listening: Served, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(listening.address)
    expect(page.locator("#player")).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_parts_of_the_page_have_names_for_those_who_do_not_see_it(opened: Page) -> None:
    for role, name in (("region", "Utterances"), ("region", "Utterance"), ("search", "Filter utterances")):
        expect(opened.get_by_role(role, name=name, exact=True)).to_be_visible()  # type: ignore[arg-type]
    expect(opened.get_by_role("navigation", name="Pages")).to_be_visible()
    expect(opened.locator("#status")).to_have_attribute("aria-live", "polite")
    unnamed = opened.evaluate(
        """() => [...document.querySelectorAll("select, input, button, audio, img")]
          .filter((node) => node.checkVisibility() && !(node.labels?.length || node.innerText?.trim()
            || node.getAttribute("aria-label") || node.alt)).map((node) => node.outerHTML)"""
    )
    assert unnamed == []


def test_names_of_strangers_are_shown_and_do_not_act(page: Page, hostile: HostileWorld) -> None:
    with serving(hostile.workspace, hostile.run) as running:
        page.goto(running.address)
        expect(page.locator("#player")).to_be_visible()
        names = page.locator("#list .name").all_inner_texts()

        assert len(names) == len(set(names)) > 10
        for _ in names[:6]:
            page.keyboard.press("j")
            expect(page.get_by_role("heading", level=2)).to_have_text(chosen(page))
            wait(page, "document.querySelector('#detail img')?.naturalWidth > 0")
            assert acting(page.locator("body").inner_text(), keep="\n\t") == set()
        assert page.locator("#detail script, #detail svg, #list img, #list b").count() == 0
