"""Plans in a real browser: up with a preview, down and undone, declined, past due and paid."""

from __future__ import annotations

import subprocess
import sys

import pytest

from . import processes
from .test_browser import browser, pytestmark, sign_up, site, wait_for_number  # noqa: F401

# A month passes: the period of the one plan moves a month back, and its job is due.
A_MONTH_LATER = """
from django.utils import timezone
from billing.models import Subscription
from billing.subscriptions.periods import months_after
row = Subscription.objects.get(state="active")
Subscription.objects.filter(pk=row.pk).run_now(
    timezone.now(),
    anchor_at=months_after(row.anchor_at, -1),
    period_start_at=months_after(row.period_start_at, -1),
    period_end_at=row.anchor_at,
)
"""


def use_card(page, address: str, reference: str) -> None:
    page.goto(f"{address}/billing/")
    page.select_option("[name=card]", reference)
    page.get_by_role("button", name="Use this card").click()


def plan(page, address: str, name: str) -> str | None:
    page.goto(f"{address}/billing/")
    return page.locator("#plan").get_attribute(f"data-plan{name}")


def wait_for_plan(page, address: str, state: str) -> None:
    processes.wait_until(lambda: plan(page, address, "-state") == state, f"the plan is {state}")


@pytest.mark.timeout(240)
def test_up_with_a_preview_down_and_undone_declined_past_due_and_paid(
    site,  # noqa: F811
    browser,  # noqa: F811
    tmp_path,
):
    address, metronome = site
    page = browser.new_page()
    troubles: list[str] = []
    for event in ("pageerror", "console"):
        page.on(event, lambda message: troubles.append(getattr(message, "text", str(message))))
    sign_up(page, address)

    page.goto(f"{address}/billing/plans/")
    page.get_by_role("button", name="Choose Creator").click()
    seen = page.locator("[data-due-cents]")
    assert seen.get_attribute("data-due-cents") == "4900"
    page.get_by_role("button", name="Pay $49.00").click()
    wait_for_number(page, 250_000)

    page.goto(f"{address}/billing/plans/")
    page.get_by_role("button", name="Change to Pro").click()
    assert int(seen.get_attribute("data-paid-back-cents")) in (4_899, 4_900)
    assert page.get_by_text("How $4").is_visible()
    page.get_by_role("button", name="and change").click()
    wait_for_number(page, 1_000_000)
    assert plan(page, address, "") == "pro"

    page.goto(f"{address}/billing/plans/")
    page.get_by_role("button", name="Change to Creator").click()
    assert seen.get_attribute("data-due-cents") == "0"
    page.get_by_role("button", name="Change to Creator on").click()
    assert plan(page, address, "-state") == "changing"
    page.get_by_role("button", name="Keep Pro").click()
    assert plan(page, address, "-state") == "active"

    use_card(page, address, "test-0002")
    env = processes.settings_env(
        database_url=processes.sqlite_url(tmp_path / "site.sqlite3"),
        metronome_url=str(metronome.base_url),
    )
    shell = [sys.executable, "manage.py", "shell", "-v", "0", "-c", A_MONTH_LATER]
    subprocess.run(shell, env=env, check=True)
    wait_for_plan(page, address, "past_due")
    assert page.get_by_role("button", name="Pay now, $149.00").is_visible()
    page.get_by_role("button", name="Pay now, $149.00").click()
    wait_for_plan(page, address, "past_due")
    use_card(page, address, "test-4242")
    wait_for_plan(page, address, "active")
    assert page.get_by_role("button", name="Pay now").count() == 0
    assert troubles == []
