"""A stranger's first minute in a real browser: a sentence on the front page, an account, the trial
with one click, the first sound. Quick enough to be worth its name."""

from __future__ import annotations

import pytest

from usage.pages.start import FIRST_TEXT

from . import processes
from .stopwatch import Stopwatch
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

FIRST_SOUND_SECONDS = 60
VOICE = "[name=voice][value=standard-classic]"  # of the quickest engine
HEARD = "[...document.querySelectorAll('audio')].some(audio => audio.currentTime > 0)"


def wait_for_sound(page) -> None:
    """The Content-Security-Policy forbids Playwright to wait for it in the page."""
    processes.wait_until(lambda: page.evaluate(HEARD), "something is heard")


@pytest.mark.timeout(240)
def test_from_a_sentence_on_the_front_page_to_the_first_sound_of_ones_own(site, browser):  # noqa: F811
    address, _ = site
    hear_without_script(browser, address)
    page = browser.new_page()
    troubles = troubles_of(page)
    page.goto(address)
    hear_and_calculate(page)

    watch = Stopwatch()
    page.get_by_role("link", name="Sign up").click()
    for name, value in PERSON.items():
        page.fill(f"[name={name}]", value)
    page.get_by_role("button", name="Sign up").click()
    page.wait_for_url(f"{address}/studio/")
    assert page.input_value("#text") == FIRST_TEXT
    assert not page.locator("[data-missing]").is_visible(), "nothing needs to be bought"
    page.get_by_role("button", name="Start the free trial").click()
    wait_for_number(page, 50_000)
    page.get_by_role("button", name="Speak").click()
    wait_for_sound(page)
    assert watch.seconds() < FIRST_SOUND_SECONDS
    wait_for_number(page, 50_000 - len(FIRST_TEXT))
    assert troubles == []


def hear_and_calculate(page) -> None:
    """What a visitor hears without an account, and works out, without leaving the page."""
    page.check(VOICE)
    page.get_by_label("Your sentence").fill("Mine.")
    page.get_by_role("button", name="Hear it").click()
    wait_for_sound(page)
    page.get_by_label("A month").fill("1,000,000")
    page.get_by_text("Pro is enough").wait_for(timeout=LONG)
    page.get_by_role("link", name="Listen to Nora").click()
    page.locator(".play--on").wait_for()


def hear_without_script(browser, address: str) -> None:  # noqa: F811
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(address)
    page.check(VOICE)
    page.get_by_label("Your sentence").fill("Mine.")
    page.get_by_role("button", name="Hear it").click()
    source = page.locator("audio[src]").get_attribute("src", timeout=LONG)
    assert page.request.get(address + source).headers["content-type"] == "audio/mpeg"
    assert page.input_value("#say") == "Mine."
