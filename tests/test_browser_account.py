"""Passkeys and authenticator codes in a real browser, whose authenticator is Chromium's own virtual
one: WebAuthn as it is, from making the key to the signature we verify."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import pyotp
import pytest

from . import processes
from .test_browser import PERSON, browser, pytestmark  # noqa: F401

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def address(tmp_path, fresh_database_url):
    """A web process on localhost: a passkey belongs to a name, never to an address of numbers."""
    port = processes.free_port()
    address = f"http://localhost:{port}"
    env = processes.settings_env(
        database_url=fresh_database_url,
        metronome_url=processes.NOBODY,
        SITE_URL=address,
    )
    web = ["-m", "daphne", "--bind", "127.0.0.1", "--port", str(port), "vocalis.asgi:application"]
    with (
        processes.running(tmp_path / "web.log", *web, env=env),
        processes.direct(address) as client,
    ):
        processes.wait_until(lambda: processes.answers(client, "/health"), "web server")
        yield address


@pytest.fixture
def page(browser, address):  # noqa: F811
    """A page with an authenticator, signed up. Whatever its console says is a failure."""
    page = browser.new_page(timezone_id="Asia/Tokyo")
    troubles: list[str] = []
    for event in ("pageerror", "console"):
        page.on(event, lambda message: troubles.append(getattr(message, "text", str(message))))
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    page.authenticator_id = devtools.send(
        "WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR}
    )["authenticatorId"]
    page.devtools = devtools
    page.goto(f"{address}/accounts/signup/")
    for name, value in PERSON.items():
        page.fill(f"[name={name}]", value)
    page.get_by_role("button", name="Sign up").click()
    page.wait_for_url("**/studio/")
    yield page
    assert troubles == []


def log_out(page, address: str) -> None:
    page.goto(f"{address}/accounts/security/")
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{address}/")


def enter_password(page, address: str) -> None:
    page.goto(f"{address}/accounts/login/")
    page.fill("[name=email]", PERSON["email"])
    page.fill("[name=password]", PERSON["password"])
    page.get_by_role("button", name="Log in", exact=True).click()


def codes_on(page) -> list[str]:
    page.get_by_role("heading", name="Your recovery codes").wait_for()
    return page.locator(".codes li").all_inner_texts()


@pytest.mark.timeout(240)
def test_a_passkey_is_made_logs_in_alone_and_after_the_password_and_is_removed(page, address):
    page.goto(f"{address}/accounts/profile/")
    assert page.locator("[name=time_zone]").input_value() == "Asia/Tokyo"

    page.goto(f"{address}/accounts/security/")
    page.fill("[name=name]", "Work laptop")
    page.get_by_role("button", name="Add a passkey").click()
    codes = codes_on(page)
    assert len(codes) == 10
    page.get_by_role("link", name="I have kept them").click()
    assert page.locator("li", has_text="Work laptop").is_visible()

    log_out(page, address)
    page.goto(f"{address}/accounts/login/?next=/usage/")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.wait_for_url(f"{address}/usage/")

    log_out(page, address)
    enter_password(page, address)
    page.get_by_role("heading", name="One more step").wait_for()
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"{address}/studio/")

    log_out(page, address)
    enter_password(page, address)
    page.fill("[name=code]", codes[0])
    page.get_by_role("button", name="Log in", exact=True).click()
    page.get_by_text("You have used a recovery code; 9 are left.").wait_for()

    page.goto(f"{address}/accounts/security/")
    page.get_by_role("button", name="Remove Work laptop").click()
    page.get_by_text("The passkey is removed.").wait_for()
    log_out(page, address)
    page.goto(f"{address}/accounts/login/")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.get_by_text("This passkey is not one of an account here.").wait_for()
    enter_password(page, address)
    page.wait_for_url(f"{address}/studio/")


@pytest.mark.timeout(240)
def test_a_window_that_is_closed_and_a_device_that_has_a_passkey_are_told_in_words(page, address):
    page.goto(f"{address}/accounts/security/")
    page.get_by_role("button", name="Add a passkey").click()
    codes_on(page)
    page.goto(f"{address}/accounts/security/")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_text("This device has a passkey of your account already.").wait_for()

    log_out(page, address)
    page.devtools.send(
        "WebAuthn.setUserVerified",
        {"authenticatorId": page.authenticator_id, "isUserVerified": False},
    )
    page.goto(f"{address}/accounts/login/")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.get_by_text("Nothing was done").wait_for()
    assert page.url == f"{address}/accounts/login/"


@pytest.mark.timeout(240)
def test_an_app_is_set_up_with_the_picture_or_the_secret_and_asked_for(page, address):
    page.goto(f"{address}/accounts/security/")
    page.get_by_role("link", name="Set up an app").click()
    picture = page.get_by_role("img", name=re.compile("QR code"))
    assert picture.evaluate("image => image.complete && image.naturalWidth > 100")
    secret = page.locator(".secret").inner_text().replace(" ", "")
    app = pyotp.TOTP(secret)
    page.fill("[name=code]", app.now())
    page.get_by_role("button", name="Turn it on").click()
    assert len(codes_on(page)) == 10

    log_out(page, address)
    enter_password(page, address)
    # The code of the step that set it up is used; the next one is taken early.
    page.fill("[name=code]", app.at(datetime.fromtimestamp(time.time() + 30, UTC)))
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url(f"{address}/studio/")

    page.goto(f"{address}/accounts/devices/")
    assert page.get_by_text("Chrome on Linux").count() == 1


@pytest.mark.timeout(240)
def test_codes_work_without_javascript(page, address, browser):  # noqa: F811
    page.goto(f"{address}/accounts/security/app/")
    secret = page.locator(".secret").inner_text().replace(" ", "")
    page.fill("[name=code]", pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Turn it on").click()
    codes = codes_on(page)

    plain = browser.new_context(java_script_enabled=False).new_page()
    enter_password(plain, address)
    plain.fill("[name=code]", codes[5])
    plain.get_by_role("button", name="Log in", exact=True).click()
    plain.wait_for_url(f"{address}/studio/")
    plain.goto(f"{address}/accounts/security/")
    assert plain.get_by_text("Adding a passkey needs JavaScript").is_visible()
    assert not plain.get_by_role("button", name="Add a passkey").is_visible()
