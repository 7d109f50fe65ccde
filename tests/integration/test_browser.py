"""The page in a real browser: it says what the JSON says, runs nothing, asks nobody, and fits."""

import json
import shutil
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from migrator import cli
from migrator.ledger import Ledger
from migrator.states import Hold
from tests.support.html_page import a_journey, change, extract, hold_all, numbers

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--no-first-run"),
]
# Each would show itself: as an element, in the title, or as a page that is wider than its window.
EVIL: list[dict[str, str | None]] = [
    {"firstname": "<script>document.title = 'mine'</script>", "email": "x"},
    {"firstname": '"><img src=x onerror="document.title = `mine`">', "email": "x"},
    {"firstname": "</style><style>* { display: none }</style>", "email": "x"},
    {"firstname": "{{ 7 * 7 }}", "lastname": "\u202egnp.exe", "email": "x"},
    {"firstname": "W" * 290, "lastname": "👩‍🚀", "email": "x" * 290},
]

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")


@dataclass(frozen=True)
class Shown:
    """The page in a tab, and all that the browser said and asked for meanwhile."""

    file: Path
    report: dict[str, Any]
    tab: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def load(self) -> None:
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(self.file.as_uri())

    def look(self, scheme: Any, width: int) -> bytes:
        self.tab.emulate_media(media="screen", color_scheme=scheme)
        self.tab.set_viewport_size(ViewportSize(width=width, height=800))
        return self.tab.screenshot()

    def overflow(self) -> int:
        return int(self.tab.evaluate("document.documentElement.scrollWidth - innerWidth"))


def typed(*words: str) -> str:
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
        assert cli.main([*words]) == 0
    return out.getvalue()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shown(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("page")
    path, file = folder / "migrator.db", folder / "report.html"
    a_journey(path)
    change(path, "UPDATE checkpoint SET complete = 1")
    with Ledger.open_for_work(path) as ledger:
        extract(ledger, *EVIL)
        hold_all(ledger, Hold.INVALID_EMAIL, "<b onclick=alert(1)>" + "x" * 180)
    typed("report", "--ledger", str(path), "--html", str(file))
    report = json.loads(typed("report", "--ledger", str(path), "--json"))
    shown = Shown(file, report, browser.new_page())
    shown.load()
    return shown


def test_the_browser_has_nothing_to_complain_of_and_asks_nobody(shown: Shown) -> None:
    assert shown.said == []
    assert shown.asked == [shown.file.as_uri()]
    assert shown.tab.title() == "HubSpot 99 → c: migration report"
    assert shown.tab.locator("script, img, b").count() == 0


def test_the_numbers_in_the_browser_are_those_of_the_json(shown: Shown) -> None:
    found = dict(shown.tab.locator("[data-fact]").evaluate_all(
        "all => all.map(one => [one.dataset.fact, one.value])"
    ))  # fmt: skip
    wanted = numbers(shown.report)
    assert wanted["sums.given"] == "14"
    assert wanted.items() <= found.items()
    words = shown.tab.locator("[data-fact]").evaluate_all(
        "all => all.filter(one => one.textContent).map(one => [one.value, one.textContent])"
    )
    assert all(text.replace(",", "") == value for value, text in words)


def test_it_is_dark_where_the_person_likes_it_so_and_fits_every_window(shown: Shown) -> None:
    for width in (320, 800, 1400):
        light, dark = shown.look("light", width), shown.look("dark", width)
        assert light != dark
        assert shown.overflow() <= 0, width
    ground = "getComputedStyle(document.body).backgroundColor"
    assert shown.tab.evaluate(ground) == "rgb(20, 23, 28)"
    assert shown.look("light", 1400)
    assert shown.tab.evaluate(ground) == "rgb(255, 255, 255)"


def test_on_a_phone_a_hint_says_that_a_table_scrolls(shown: Shown) -> None:
    hint = "all => all.map(one => getComputedStyle(one, '::before').content)"
    hidden = "all => all.filter(one => one.clientWidth >= one.scrollWidth).length"
    tables = shown.tab.locator(".wide:visible")
    shown.look("light", 360)
    assert {*tables.evaluate_all(hint)} == {'"Scroll sideways for more →"'}
    assert tables.evaluate_all(hidden) == 0
    shown.look("light", 1000)
    assert {*tables.evaluate_all(hint)} == {"none"}


def test_it_fits_with_letters_twice_as_large(shown: Shown) -> None:
    shown.look("light", 1280)
    shown.tab.evaluate("document.documentElement.style.fontSize = '200%'")
    assert shown.overflow() <= 0
    shown.tab.evaluate("document.documentElement.style.fontSize = ''")


def test_it_prints_in_the_light_with_all_its_people(shown: Shown) -> None:
    shown.tab.emulate_media(media="print", color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert shown.tab.evaluate(ground) == "rgb(255, 255, 255)"
    assert not shown.tab.locator("nav").is_visible()
    closed = "all => all.forEach(one => { one.open = false })"
    shown.tab.locator("details").evaluate_all(closed)
    assert shown.tab.get_by_text("Bea Nomail").is_visible()
    pdf = shown.tab.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") > 0


def test_it_can_be_read_with_the_keyboard_alone(shown: Shown) -> None:
    shown.look("light", 800)
    shown.tab.reload()
    shown.tab.keyboard.press("Tab")
    focused = "document.activeElement.textContent"
    assert shown.tab.evaluate(focused) == "Skip to the report"
    shown.tab.keyboard.press("Enter")
    shown.tab.keyboard.press("Tab")
    ring = "getComputedStyle(document.activeElement).outline"
    assert shown.tab.evaluate("document.activeElement.className") == "wide"
    assert "solid 3px" in shown.tab.evaluate(ring)
