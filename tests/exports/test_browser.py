"""The page in a real browser: no error, both themes, narrow and wide, by keyboard; skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from conftest import MARKED
from jaccheck.exports.content import content_of
from jaccheck.exports.page import page

webdriver = pytest.importorskip("selenium.webdriver")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM or not DRIVER, reason="Chromium and its driver are not installed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def addresses(logs, tmp_path_factory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("pages")
    for kind, log in logs.items():
        (folder / f"{kind}.html").write_text(page(content_of(log)), encoding="utf-8")
    return {kind: (folder / f"{kind}.html").as_uri() for kind in logs}


def drawn(browser) -> None:
    """Scroll through the page, until each chart has been drawn."""
    for chart in browser.find_elements("css selector", ".chart"):
        browser.execute_script("arguments[0].scrollIntoView()", chart)
        WebDriverWait(browser, 30).until(lambda _, chart=chart: chart.find_elements("css selector", ".main-svg"))


@pytest.mark.parametrize("kind", ["found", "clean"])
@pytest.mark.parametrize("width", [pytest.param(400, marks=pytest.mark.long), 1300])
def test_all_charts_are_drawn_without_an_error_and_nothing_sticks_out(browser, addresses, kind, width):
    browser.set_window_size(width, 900)
    browser.get(addresses[kind])
    drawn(browser)
    assert browser.get_log("browser") == []
    wide, inner = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= inner


@pytest.mark.parametrize("width", [400, 1300])
def test_no_word_of_a_chart_is_cut_off(browser, addresses, width):
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)  # a window isn't made so narrow
    try:
        browser.get(addresses["found"])
        drawn(browser)
        cut_off = """
          const inside = (box, frame) => box.left >= frame.left - 1 && box.right <= frame.right + 1
            && box.top >= frame.top - 1 && box.bottom <= frame.bottom + 1;
          return [...document.querySelectorAll(".chart .main-svg")].flatMap((svg) => [...svg.querySelectorAll("text")]
            .filter((text) => !inside(text.getBoundingClientRect(), svg.getBoundingClientRect()))
            .map((text) => text.textContent));
        """
        assert browser.execute_script("return innerWidth") == width
        assert browser.execute_script("return document.querySelectorAll('.chart text').length") > 20
        assert browser.execute_script(cut_off) == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_names_are_said_as_they_are_and_pictures_as_large_as_they_are(browser, addresses):
    browser.set_window_size(1300, 900)
    browser.get(addresses["found"])
    drawn(browser)
    for id in ("verdicts", "costs"):
        words = browser.execute_script(f"return document.getElementById('chart-{id}').textContent")
        assert MARKED in words
    pixels = "const img = document.querySelector('img'); img.closest('details').open = true; return img"
    browser.set_window_size(500, 900)
    assert browser.execute_script(f"{pixels}.width >= img.naturalWidth")


def test_a_theme_changes_the_page_and_its_charts(browser, addresses):
    browser.set_window_size(1300, 900)
    browser.get(addresses["found"])
    drawn(browser)
    seen = {}
    for theme in ("light", "dark"):
        browser.find_element("css selector", f"button[data-theme={theme}]").click()
        seen[theme] = (
            browser.execute_script("return getComputedStyle(document.body).backgroundColor"),
            browser.execute_script("return document.querySelector('.chart').layout.font.color"),
        )
    assert seen["light"][0] == "rgb(255, 255, 255)"
    assert seen["light"][0] != seen["dark"][0]
    assert seen["light"][1] != seen["dark"][1]


def test_a_keyboard_and_a_screen_reader_get_everywhere(browser, addresses):
    browser.get(addresses["found"])
    body = browser.find_element("css selector", "body")
    body.send_keys(webdriver.Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to the findings"
    browser.switch_to.active_element.send_keys(webdriver.Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"
    without_name = """
      const named = (e) => e.textContent.trim() || e.alt || e.ariaLabel || e.getAttribute("aria-labelledby");
      const all = document.querySelectorAll("button, a, [role=img], [role=region], summary, section, article, img");
      return [...all].filter((e) => !named(e)).map((e) => e.outerHTML);
    """
    assert browser.execute_script(without_name) == []
    assert browser.execute_script("return document.documentElement.lang") == "en"
    levels = browser.execute_script("return [...document.querySelectorAll('h1,h2,h3,h4')].map((h) => +h.tagName[1])")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_copy_says_what_it_did(browser, addresses):
    browser.get(addresses["found"])
    button = browser.find_element("css selector", "details[open] .copy, .copy")
    browser.execute_script("arguments[0].closest('details').open = true; arguments[0].scrollIntoView()", button)
    button.click()
    assert WebDriverWait(browser, 5).until(lambda _: button.text != "copy")
