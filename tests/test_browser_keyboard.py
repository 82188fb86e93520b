"""The whole way with the keyboard alone: from the front page to an account, the trial, the first
sound, the player, another voice, a top-up, and out again.

Each Tab is looked at: focus is somewhere, one sees where, and nothing covers it."""

from __future__ import annotations

import pytest

from . import processes
from .test_browser import (  # noqa: F401
    LONG,
    PERSON,
    browser,
    chromium,
    pytestmark,
    site,
    troubles_of,
    wait_for_number,
    whole_site,
)
from .test_browser_start import wait_for_sound

SIZES = [(1280, 900), (390, 844)]
TABS_MAX = 150
# What is wrong with the focus, "" if nothing is. What is focused may be drawn by what is around it
# or beside it, as the box of a radio button that cannot be seen itself.
TROUBLE = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return "focus is nowhere";
  const near = [at, at.nextElementSibling, at.parentElement, at.closest("label, section")];
  const isRing = (style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const shown = near.filter(Boolean).find((one) => isRing(getComputedStyle(one)));
  const name = at.outerHTML.slice(0, 160);
  if (!shown) return `nobody sees the focus on ${name}`;
  const box = shown.getBoundingClientRect();
  const [left, right] = [Math.max(box.left, 0), Math.min(box.right, innerWidth)];
  const [top, bottom] = [Math.max(box.top, 0), Math.min(box.bottom, innerHeight)];
  if (right - left < 4 || bottom - top < 4) return `outside the window: ${name}`;
  const above = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  const isOver = above && !shown.contains(above) && !above.contains(shown);
  return isOver ? `${above.outerHTML.slice(0, 80)} covers ${name}` : "";
}"""
IS_AT = "(wanted) => document.activeElement === wanted"


class Keyboard:
    """Somebody without a mouse."""

    def __init__(self, page) -> None:
        self.page = page

    def to(self, wanted, key: str = "Tab") -> None:
        """Press Tab until it has the focus."""
        wanted.wait_for(state="attached", timeout=LONG)
        for _ in range(TABS_MAX):
            if wanted.evaluate(IS_AT):
                return
            self.page.keyboard.press(key)
            self.stays()
        raise AssertionError(f"{TABS_MAX} times {key} do not lead to {wanted}")

    def press(self, wanted, key: str = "Enter") -> None:
        self.to(wanted)
        self.page.keyboard.press(key)

    def write(self, name: str, words: str) -> None:
        self.to(self.page.locator(f"[name={name}]"))
        self.page.keyboard.type(words)

    def stays(self) -> None:
        """Focus is somewhere, whatever happened on the page, and is seen."""
        trouble = self.page.evaluate(TROUBLE)
        assert trouble == "", trouble


@pytest.mark.timeout(300)
def test_the_whole_way_with_the_keyboard_alone(site, browser):  # noqa: F811
    for width, height in SIZES:
        context = browser.new_context(viewport={"width": width, "height": height})
        person = PERSON | {"email": f"ada{width}@example.com"}
        the_whole_way(context.new_page(), site[0], person)
        context.close()


def the_whole_way(page, address: str, person: dict[str, str]) -> None:
    troubles = troubles_of(page)
    keyboard = Keyboard(page)

    page.goto(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    keyboard.press(page.locator("header").get_by_role("link", name="Sign up"))
    page.wait_for_url("**/accounts/signup/")
    for name, value in person.items():
        keyboard.write(name, value)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/studio/")

    keyboard.press(page.get_by_role("button", name="Start the free trial"))
    wait_for_number(page, 50_000)
    first_sound_and_player(page, keyboard)
    another_voice(page, keyboard)
    top_up(page, keyboard, address)
    log_out(page, keyboard, address)
    assert troubles == []


def first_sound_and_player(page, keyboard: Keyboard) -> None:
    keyboard.to(page.locator("#text"))
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(
        "One two three four five, six seven eight nine ten, and once more to the end."
    )
    keyboard.press(page.locator("[data-studio] button[data-busy]"))
    wait_for_sound(page)
    page.locator("[data-seek]:enabled").wait_for(timeout=LONG)
    keyboard.stays()

    toggle = page.locator("[data-toggle]")
    keyboard.to(toggle)
    if not page.evaluate("document.querySelector('audio').paused"):
        page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('audio').paused")
    page.keyboard.press("Space")
    processes.wait_until(
        lambda: not page.evaluate("document.querySelector('audio').paused"), "it plays on"
    )
    page.keyboard.press("Space")
    keyboard.stays()
    seek = page.locator("[data-seek]")
    keyboard.to(seek, "Shift+Tab")
    page.keyboard.press("Home")
    before = position(page)
    page.keyboard.press("ArrowRight")
    processes.wait_until(lambda: position(page) > before, "it goes on")
    keyboard.stays()


def position(page) -> float:
    return page.evaluate("document.querySelector('audio').currentTime")


def another_voice(page, keyboard: Keyboard) -> None:
    """The voices are one group: Tab leads to the one that is chosen, arrows to the others."""
    chosen = page.locator("[name=voice]:checked")
    before = chosen.get_attribute("value")
    keyboard.to(chosen, "Shift+Tab")
    page.keyboard.press("ArrowDown")
    keyboard.stays()
    assert chosen.get_attribute("value") != before
    page.keyboard.press("ArrowUp")
    assert chosen.get_attribute("value") == before


def top_up(page, keyboard: Keyboard, address: str) -> None:
    page.goto(f"{address}/studio/")
    keyboard.press(page.get_by_role("link", name="Billing", exact=True))
    page.wait_for_url("**/billing/")
    keyboard.to(page.locator("[name=pack]:checked"))
    page.keyboard.press("ArrowRight")
    keyboard.stays()
    keyboard.press(page.get_by_role("button", name="See what you pay"))
    page.wait_for_url("**/billing/top-up/?pack=10000*")
    assert "$100.00" in page.locator("main").inner_text()


def log_out(page, keyboard: Keyboard, address: str) -> None:
    menu = page.locator("details.menu summary.face")
    keyboard.press(menu)
    keyboard.to(page.get_by_role("link", name="Account", exact=True))
    page.keyboard.press("Escape")
    assert menu.evaluate(IS_AT), "closing the menu leads back to its button"
    page.keyboard.press("Enter")
    keyboard.press(page.get_by_role("button", name="Log out"))
    page.wait_for_url(f"{address}/")
    page.get_by_role("link", name="Log in").first.wait_for()
