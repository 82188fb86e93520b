"""Studio and library in a real browser: the draft, the player, folders; with and without script."""

from __future__ import annotations

import gzip
import io
import zipfile

import pytest

from . import processes
from .test_browser import (  # noqa: F401
    browser,
    chromium,
    pytestmark,
    sign_up,
    site,
    wait_for_number,
    whole_site,
)

FIRST_LOAD_BYTES_MAX = 80_000  # of the studio, compressed
TEXT = "[name=text]"


def start(page, address: str) -> list[str]:
    """A customer with the trial. The list gets what the scripts complain of."""
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda line: troubles.append(line.text))
    sign_up(page, address)
    page.goto(f"{address}/billing/plans/")
    page.get_by_role("button", name="Start the trial").click()
    wait_for_number(page, 50_000)
    return troubles


def sound(page, what: str):
    return page.evaluate(f"document.querySelector('audio').{what}")


def wait_for_sound(page, condition: str) -> None:
    """The Content-Security-Policy forbids Playwright to wait for it in the page."""
    asked = f"(audio => {condition})(document.querySelector('audio'))"
    processes.wait_until(lambda: page.evaluate(asked), condition)


@pytest.mark.timeout(240)
def test_a_draft_stays_and_of_two_tabs_none_destroys_the_other_s(site, browser):  # noqa: F811
    address, _ = site
    context = browser.new_context()
    one = context.new_page()
    start(one, address)
    loaded: list[str] = []
    one.on("request", lambda asked: loaded.append(asked.url))
    one.goto(f"{address}/studio/", wait_until="networkidle")
    whole = [url for url in loaded if "/events/" not in url]  # which has no end
    bodies = [context.request.get(url).body() for url in whole]
    assert sum(len(gzip.compress(body)) for body in bodies) < FIRST_LOAD_BYTES_MAX

    two = context.new_page()
    two.goto(f"{address}/studio/")
    one.fill(TEXT, "From the first tab.")
    one.get_by_text("Draft saved").wait_for()
    two.fill(TEXT, "From the second tab.")
    two.get_by_text("This draft was changed in another tab").wait_for()
    two.get_by_role("button", name="Keep this text").click()
    two.get_by_text("Draft saved").wait_for()
    two.get_by_role("button", name="Bring it back").click()
    processes.wait_until(lambda: two.input_value(TEXT).startswith("From the first"), "the swap")
    one.fill(TEXT, "The first tab again.")
    one.get_by_role("link", name="Take the other").click()
    one.get_by_text("The text before: The first tab again.").wait_for()
    assert one.input_value(TEXT) == "From the first tab."

    one.fill(TEXT, "Left in the middle of")  # before it was saved
    one.goto(f"{address}/voices/")
    processes.wait_until(lambda: draft(one, address) == "Left in the middle of", "the draft")
    elsewhere = browser.new_context(java_script_enabled=False).new_page()
    elsewhere.goto(f"{address}/accounts/login/")
    elsewhere.fill("[name=email]", "Ada@example.com")
    elsewhere.fill("[name=password]", "analytical engine")
    elsewhere.get_by_role("button", name="Log in").click()
    elsewhere.goto(f"{address}/studio/")
    assert elsewhere.input_value(TEXT) == "Left in the middle of"
    elsewhere.fill(TEXT, "Without script.")
    elsewhere.get_by_role("button", name="Favourite: Nora").click()
    favourite = elsewhere.locator("[data-group=favourites] + .voice")
    assert favourite.inner_text().strip().startswith("Nora")
    elsewhere.get_by_role("button", name="Speak").click()
    assert "?done=" in elsewhere.url and elsewhere.input_value(TEXT) == "Without script."
    elsewhere.get_by_role("link", name="Play: Without script.").click()
    assert elsewhere.url.startswith(f"{address}/studio/"), "the sound plays on a page of the site"
    assert elsewhere.locator("audio[controls]").count() == 1


def draft(page, address: str) -> str:
    page.goto(f"{address}/studio/")
    return page.input_value(TEXT)


@pytest.mark.timeout(240)
def test_the_space_bar_pauses_what_was_just_spoken_and_speaks_nothing_again(site, browser):  # noqa: F811
    """The button that was pressed had kept the focus: it spoke the text again, for its credits."""
    address, _ = site
    page = browser.new_page()
    troubles = start(page, address)
    page.goto(f"{address}/studio/")
    page.fill(TEXT, "One two three four five, six seven eight nine ten, and once more to the end.")
    page.get_by_role("button", name="Speak").click()
    page.locator("[data-result] [data-downloads]").wait_for()
    wait_for_sound(page, "!audio.paused")

    page.keyboard.press(" ")
    wait_for_sound(page, "audio.paused")
    page.locator("[data-recent] [data-play]").click()
    wait_for_sound(page, "!audio.paused")
    page.keyboard.press(" ")
    wait_for_sound(page, "audio.paused")

    assert page.get_by_role("button", name="Speak").get_attribute("aria-busy") == "false"
    assert page.locator("[data-recent] [data-take]").count() == 1
    assert troubles == []
    page.close()


@pytest.mark.timeout(240)
def test_one_player_follows_keys_repeats_and_plays_the_library(site, browser):  # noqa: F811
    address, _ = site
    page = browser.new_page()
    troubles = start(page, address)
    page.goto(f"{address}/studio/")
    page.fill(TEXT, "The harbour wakes.\n\nÉcole.")
    page.get_by_role("button", name="Speak").click()
    page.locator("[data-result] [data-downloads]").wait_for()
    assert page.input_value(TEXT) == "The harbour wakes.\n\nÉcole.", "after speaking the text stays"
    page.locator("[data-seek]:enabled").wait_for()

    page.evaluate("document.querySelector('audio').pause()")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowLeft")
    wait_for_sound(page, "audio.currentTime === 0")
    page.get_by_role("button", name="Repeat").click()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press(" ")
    wait_for_sound(page, "!audio.paused && audio.loop")
    page.keyboard.press(" ")
    wait_for_sound(page, "audio.paused")
    page.locator(TEXT).press(" ")
    assert sound(page, "paused"), "where one types, a space is a space"

    page.get_by_role("link", name="Library").click()
    page.get_by_text("New folder").click()
    page.get_by_label("Name").fill("Podcast")
    page.get_by_role("button", name="Make the folder").click()
    page.goto(f"{address}/studio/library/?q=ÉCOLE")
    page.get_by_role("checkbox", name="Tick: The harbour").check()
    page.get_by_label("Move what is ticked to").select_option("Podcast")
    page.get_by_role("button", name="Move", exact=True).click()
    page.get_by_text("1 text is in Podcast now.").wait_for()
    page.wait_for_load_state()  # before its scripts are there the link leads to the text's own page
    page.get_by_role("link", name="Play: The harbour").click()
    wait_for_sound(page, "audio.played.length > 0")
    page.get_by_label("All audio of it as").select_option("flac")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ZIP").click()
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        assert archive.namelist() == ["The-harbour-wakes-École.flac"]

    page.locator("[data-recent] a.title").click()
    page.locator(".words span", has_text="École.").wait_for()
    assert page.locator("#full-text").inner_text() == "The harbour wakes.\n\nÉcole."
    page.get_by_role("textbox", name="Title").fill("Chapter one")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Chapter one").wait_for()
    page.get_by_text("Delete it").click()
    page.get_by_role("button", name="Delete text and audio").click()
    page.get_by_text("This folder is empty.").wait_for()
    assert troubles == []


@pytest.mark.timeout(240)
def test_a_file_is_read_seen_spoken_in_chapters_and_one_of_them_is_jumped_to(site, browser):  # noqa: F811
    address, _ = site
    page = browser.new_page()
    troubles = start(page, address)
    page.goto(f"{address}/studio/")
    page.fill(TEXT, "Typed before.")
    book = "# One\n\n" + "He slept.\n\n" * 240 + "# Two\n\n" + "He woke. " * 330
    page.get_by_text("Take the text from a file").click()
    with page.expect_navigation():
        page.set_input_files(
            "#file", {"name": "a.md", "mimeType": "text/plain", "buffer": book.encode()}
        )
    assert page.locator(TEXT).input_value() == book.strip("\n")
    page.get_by_text("5,624 characters. Nothing is charged yet.").wait_for()
    page.get_by_role("button", name="Speak · 5,624 credits").click()
    chapters = page.locator("[data-parts-list] li")
    chapters.nth(1).wait_for(timeout=180_000)

    assert chapters.locator("[data-part-name]").all_inner_texts() == ["One", "Two"]
    begin = float(chapters.nth(1).locator("[data-part]").get_attribute("data-begin"))
    chapters.nth(1).locator("[data-part]").click()
    wait_for_sound(page, f"audio.currentTime >= {begin} && audio.currentTime < {begin} + 60")
    page.locator("[data-parts-list] li.on", has_text="Two").wait_for()
    download = chapters.nth(0).locator("[data-part-download]").get_attribute("href")
    assert page.request.get(f"{address}{download}").headers["content-type"] == "audio/mpeg"
    page.get_by_role("button", name="Bring it back").wait_for()
    wait_for_number(page, 50_000 - 5_624)
    assert page.get_by_text("Nothing is charged yet.").count() == 0
    made = page.locator("[data-recent] li").first
    assert made.locator("[data-title]").inner_text().startswith("One: He slept. He slept.")
    again = made.locator("[data-again]").get_attribute("aria-label")
    assert again.startswith("Use this text again: One: He slept.")
    assert troubles == []
