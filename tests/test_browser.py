"""One customer's way through the product in a real browser, with every process real:
what the pages promise, they do."""

from __future__ import annotations

import re
import shutil
from types import SimpleNamespace

import httpx
import pytest

from billing.tests.stripe_stage import DECLINED, GOOD
from usage.voiceprint.tests import samples

from . import catalogue, processes

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [pytest.mark.browser, pytest.mark.process]
PERSON = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "Ada@example.com",
    "password": "analytical engine",
}
# What the browser's own player makes of a file of subtitles.
CUES_OF_TRACK = """address => new Promise((done, fail) => {
  const track = document.createElement("track");
  const video = document.createElement("video");
  track.onload = () => done([...track.track.cues].map(cue => cue.text));
  track.onerror = () => fail(new Error("the track cannot be read"));
  track.src = address;
  video.append(track);
  track.track.mode = "hidden";
})"""
SPEECH_WORKER = ["manage.py", "run_worker", "--queue", "speech"]
AVAILABLE = "header [data-balance=available]"
LONG = processes.WAIT_SECONDS * 1_000  # for what a busy machine does meanwhile, in milliseconds


@pytest.fixture(autouse=True)
def chromium():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (on Debian: apt-get install chromium)")


def use_card(page, address: str, number: str) -> None:
    """Save a card at Stripe's page, and come back."""
    page.goto(f"{address}/billing/")
    page.locator("#card form").first.get_by_role("button").click()
    type_card(page, number)
    page.wait_for_url(f"{address}/billing/")
    page.get_by_text(f"•••• {number[-4:]}").first.wait_for(timeout=LONG)


def type_card(page, number: str) -> None:
    """Fill in Stripe's page, where one was led to, and send it."""
    page.wait_for_url("**/c/pay/**")
    for name, value in {"number": number, "expiry": "04 / 40", "cvc": "123", "name": "A"}.items():
        page.fill(f"[name={name}]", value)
    page.locator("form button").first.click()


def troubles_of(page) -> list[str]:
    """What the page's console will have said, and what its scripts will have failed with."""
    troubles: list[str] = []
    for event in ("pageerror", "console"):
        page.on(event, lambda message: troubles.append(getattr(message, "text", str(message))))
    return troubles


@pytest.fixture
def whole_site(tmp_path, fresh_database_url):
    """Both sandboxes, worker and web on a fresh database.

    Yields the site's `address`, an HTTP client of Metronome's sandbox (`metronome`), Stripe's
    sandbox itself (`stripe`), and the environment of the processes (`env`)."""
    port = processes.free_port()
    address = f"http://127.0.0.1:{port}"
    hooks = [
        "--webhook-url",
        f"{address}/api/webhooks/metronome/alerts",
        "--webhook-secret",
        "sandbox-webhook-secret",
    ]
    # As bootstrap_metronome leaves it.
    state = shutil.copy(catalogue.state_path(catalogue.SET_UP_AT), tmp_path)
    options = *hooks, "--state", state, "--evaluate-every", "0.2"
    with (
        processes.sandbox(tmp_path / "sandbox.log", *options) as metronome,
        processes.stripe(f"{address}/api/webhooks/stripe") as (stripe, stripe_url),
    ):
        env = processes.settings_env(
            database_url=fresh_database_url,
            metronome_url=str(metronome.base_url),
            MEDIA_ROOT=str(tmp_path / "audio"),
            AUDIO_CACHE=str(tmp_path / "audio-cache"),
            SITE_URL=address,
            STRIPE_API_URL=stripe_url,
        )
        web = [
            "-m",
            "daphne",
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "vocalis.asgi:application",
        ]
        with (
            processes.running(tmp_path / "worker.log", "manage.py", "run_worker", env=env),
            processes.running(tmp_path / "speech.log", *SPEECH_WORKER, env=env),
            processes.running(tmp_path / "web.log", *web, env=env),
            processes.direct(address) as client,
        ):
            processes.wait_until(lambda: processes.answers(client, "/health"), "web server")
            yield SimpleNamespace(address=address, metronome=metronome, stripe=stripe, env=env)


@pytest.fixture
def site(whole_site):
    """The site's address, and an HTTP client of Metronome's sandbox."""
    return whole_site.address, whole_site.metronome


@pytest.fixture
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def number(page, selector: str = AVAILABLE) -> int:
    return int(re.sub(r"\D", "", page.locator(selector).first.inner_text()) or 0)


def wait_for_number(page, expected: int) -> None:
    shown = re.compile(f"^{expected:,}$")
    page.locator(AVAILABLE, has_text=shown).first.wait_for(timeout=LONG)


def balance_at(metronome: httpx.Client, customer_id: str) -> float:
    unit = "8b1f0a52-6f0f-4f7e-9d5e-3f0c1c8a7b11"
    body = {"customer_id": customer_id, "credit_type_id": unit}
    return metronome.post("/v1/contracts/customerBalances/getNetBalance", json=body).json()["data"][
        "balance"
    ]


def sign_up(page, address: str) -> None:
    page.goto(f"{address}/accounts/signup/")
    for name, value in PERSON.items():
        page.fill(f"[name={name}]", value)
    page.get_by_role("button", name="Sign up").click()


def listen_seek_and_look_for_voices(page, address: str) -> None:
    """What the studio's player and picker do with script, after "Héllo, world." was spoken."""
    page.locator(".words span", has_text="world.").wait_for()
    assert page.locator(".words span").all_inner_texts() == [
        "Héllo,",
        "world.",
        "How",
        "are",
        "you?",
    ]
    playing = page.locator("[data-recent] li.on")
    seek = page.locator("[data-seek]:enabled")
    seek.wait_for()  # where it was heard live: until the stored file took over
    seek.focus()
    seek.press("Home")
    page.get_by_role("button", name="Pause", exact=True).or_(
        page.get_by_role("button", name="Play", exact=True)
    ).wait_for()
    for _ in range(3):
        seek.press("ArrowRight")
    assert re.fullmatch(r"0:0\d of 0:0\d", seek.get_attribute("aria-valuetext"))
    assert page.evaluate("document.querySelector('audio').currentTime") > 0
    assert "Héllo, world." in playing.inner_text() and "26 credits" in playing.inner_text()

    page.get_by_label("Search the voices").fill("brit")
    voices = page.locator("[data-filtered-item]:visible")
    assert "Oliver" in voices.first.inner_text() and "Ava" not in "".join(voices.all_inner_texts())
    page.get_by_label("Search the voices").fill("")
    page.get_by_label("Premium", exact=True).check()
    assert all("premium" in one.get_attribute("data-words") for one in voices.all())
    page.get_by_label("All", exact=True).check()
    assert number(page, "[data-credits]") == 26, "looking for voices changes nothing"

    page.goto(f"{address}/voices/")
    page.get_by_label("Man", exact=True).check()
    page.get_by_label("Accent").select_option("British")
    assert page.url == f"{address}/voices/?accent=British&sex=man"
    page.get_by_role("link", name="Use in Studio: Oliver").click()
    assert page.locator("[name=voice]:checked").get_attribute("value") == "standard-oliver"


def usage_is_drawn_and_told(page, address: str, credits: int) -> None:
    """The charts are drawn in the place of the server's, and the pointer tells their numbers."""
    page.goto(f"{address}/usage/")
    for chart in page.locator("figure .plot").all():
        chart.locator("canvas").wait_for()
    assert page.locator("figure .plot").count() == 2 and not page.locator(".chart:visible").count()
    plot = page.locator("figure[data-columns] .u-over")
    plot.hover(position={"x": plot.bounding_box()["width"] - 6, "y": 40})
    assert f"Total{credits}" in re.sub(r"\s", "", page.locator(".plot__said:visible").inner_text())
    page.get_by_text("The table behind this chart").first.click()
    assert page.locator("[data-behind] tbody tr").first.inner_text().split()[-1] == f"{credits}"
    assert page.locator("td time").first.get_attribute("title").endswith(" UTC")
    page.get_by_label("Search your texts").fill("héllo")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("Show all").wait_for()
    assert "Héllo, world." in page.locator(".u-each tbody tr").inner_text()


@pytest.mark.timeout(240)
def test_sign_up_try_speak_and_be_recharged(site, browser):
    address, metronome = site
    context = browser.new_context()
    page = context.new_page()
    troubles = troubles_of(page)

    sign_up(page, address)
    use_card(page, address, GOOD)

    page.goto(f"{address}/billing/plans/")
    page.get_by_role("button", name="Start the trial").click()
    wait_for_number(page, 50_000)

    other_tab = context.new_page()
    other_tab.goto(f"{address}/usage/")
    page.goto(f"{address}/studio/")
    page.fill("[name=text]", "Héllo, world.\nHow are you?")
    assert number(page, "[data-credits]") == 26, "what will be charged, as one types"
    page.get_by_role("button", name="Speak").click()
    page.locator("[data-result] [data-toggle]").wait_for()
    wait_for_number(page, 49_974)
    wait_for_number(other_tab, 49_974)
    # On a busy machine it is heard live before.
    page.locator("[data-result] [data-downloads]").wait_for()
    stored = page.locator("[data-result] [data-format=mp3]").get_attribute("href")
    audio = context.request.get(address + stored)
    assert audio.headers["content-type"] == "audio/mpeg" and audio.body()[0] == 0xFF
    links = [link.get_attribute("href") for link in page.locator("a[data-words]").all()]
    srt, vtt = (context.request.get(address + link) for link in links)
    assert "\nHéllo, world.\n" in srt.text() and vtt.text().startswith("WEBVTT\n")
    assert page.evaluate(CUES_OF_TRACK, links[1]) == ["Héllo, world.", "How are you?"]
    listen_seek_and_look_for_voices(page, address)
    usage_is_drawn_and_told(page, address, 26)

    page.goto(f"{address}/billing/recharge/")
    page.check("[name=enabled]")
    page.fill("[name=threshold_credits]", "48000")
    page.fill("[name=recharge_to_credits]", "200000")
    page.get_by_role("button", name="Save").click()
    processes.wait_until(
        lambda: context.request.get(f"{address}/api/billing/balance").json()["auto_recharge"],
        "recharge settings",
    )
    page.goto(f"{address}/studio/")
    page.fill("[name=text]", "Again and again. " * 150)
    page.get_by_role("button", name="Speak").click()
    wait_for_number(other_tab, 200_000)
    wait_for_number(page, 200_000)

    other_tab.goto(f"{address}/billing/")
    page.goto(f"{address}/billing/")
    use_card(page, address, DECLINED)
    page.goto(f"{address}/billing/plans/")
    page.get_by_role("button", name="Change to Creator").click()
    page.get_by_role("button", name="Pay $49.00 and change").click()
    page.get_by_role("alert").get_by_text("Your card was declined").wait_for(timeout=LONG)
    page.goto(f"{address}/studio/")
    page.fill("[name=text]", "One more.")
    page.get_by_role("button", name="Speak").click()
    other_tab.bring_to_front()
    other_tab.get_by_role("row", name="Speech Ava, 9 characters").wait_for(timeout=LONG)

    state = context.request.get(f"{address}/api/billing/balance").json()
    processes.wait_until(
        lambda: balance_at(metronome, state["customer_id"]) == 199_991, "agreement with Metronome"
    )
    assert (state["balance"], state["reserved"]) == (199_991, 0)
    assert troubles == [], "no script failed, and nothing broke the Content-Security-Policy"


@pytest.mark.kokoro
@pytest.mark.timeout(240)
def test_a_long_text_shows_how_far_it_is_and_is_stopped_and_charged_for_what_is_spoken(
    site, browser
):
    address, _ = site
    page = browser.new_page()
    troubles = troubles_of(page)
    sign_up(page, address)
    page.goto(f"{address}/billing/plans/")
    page.get_by_role("button", name="Start the trial").click()
    wait_for_number(page, 50_000)
    page.goto(f"{address}/studio/")
    page.locator("[name=voice][value=standard-oliver]").check(force=True)
    page.fill("[name=text]", "The harbour was quiet. " * 45)
    page.get_by_role("button", name="Speak").click()

    page.get_by_role("heading", name="A long text").wait_for()
    spoken = page.locator("section [data-spoken]")
    spoken.get_by_text(re.compile("[1-9]")).wait_for(timeout=180_000)
    page.get_by_role("button", name="Stop").click()
    spoken.wait_for(state="detached", timeout=60_000)

    length = page.locator("[data-result-length]").inner_text()
    charged = int(re.fullmatch(r" · (\d+) of 1,035 characters", length)[1])
    assert 0 < charged < 1_035
    wait_for_number(page, 50_000 - charged)
    assert f"{charged} credits" in page.locator("[data-recent] li").first.inner_text()
    assert troubles == []


@pytest.mark.timeout(240)
@pytest.mark.parametrize("has_scripts", [True, False])
def test_a_form_sent_after_the_session_ended_is_there_again_after_logging_in(
    site, browser, has_scripts
):
    address, _ = site
    context = browser.new_context(java_script_enabled=has_scripts)
    page = context.new_page()
    sign_up(page, address)

    def send_without_a_session(path: str, button: str | re.Pattern[str], **fields: str) -> None:
        page.goto(f"{address}{path}")
        for name, value in fields.items():
            field = page.locator(f"[name={name}]:visible").last
            if field.evaluate("field => field.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)
        context.clear_cookies(name="sessionid")
        page.get_by_role("button", name=button, exact=True).click()
        page.fill("[name=email]", PERSON["email"])
        page.fill("[name=password]", PERSON["password"])
        page.get_by_role("button", name="Log in", exact=True).click()
        page.wait_for_url(f"{address}{path}")
        page.get_by_text("You were logged out, so nothing was sent.").wait_for()
        for name, value in fields.items():
            assert page.locator(f"[name={name}]:visible").last.input_value() == value

    send_without_a_session(
        "/billing/recharge/", "Save", threshold_credits="5", recharge_to_credits="10"
    )
    send_without_a_session("/accounts/profile/", "Save", first_name="Augusta", last_name="King")
    send_without_a_session("/studio/voice/", "Set up this voice · 25,000 credits", name="Countess")
    send_without_a_session("/billing/plans/", "Start the trial")
    if not has_scripts:  # with script the text never leaves the page
        speak = re.compile(r"^Speak\b")  # and what the text that waits there costs
        send_without_a_session("/studio/", speak, text="A text that took\nan hour to write.")
    page.goto(f"{address}/billing/card/new/")
    assert page.url == f"{address}/billing/"


@pytest.fixture
def listening(tmp_path):
    """A browser whose microphone hears a woman speak."""
    from playwright.sync_api import sync_playwright

    heard = tmp_path / "voice.wav"
    heard.write_bytes(samples.speech().audio)
    args = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield browser
        browser.close()


def test_a_voice_is_recorded_in_the_page_matched_and_withdrawn(site, listening):
    address, _ = site
    page = listening.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    sign_up(page, address)
    page.wait_for_url(f"{address}/studio/")

    page.goto(f"{address}/studio/voice/")
    page.click("[data-record]")
    page.locator("[data-recorded]", has_text=re.compile("1[4-9] s")).wait_for(timeout=60_000)
    page.click("[data-record]")
    page.wait_for_selector("[data-playback]:not([hidden])")
    page.check("#consent")
    page.get_by_role("button", name="Find my match").click()
    page.wait_for_selector("form[data-keep]", timeout=60_000)

    assert page.locator("[name=candidate]").count() == 3
    assert page.locator("form[data-keep]").inner_text().count("American, woman") >= 1
    page.click("button[value=consent]")
    page.wait_for_selector("text=Your consent is withdrawn")
    assert page.locator("form[data-keep]").count() == 0
    assert errors == []
