"""Plans in a real browser: chosen without a card, up with a preview, down and undone, declined,
past due and paid."""

from __future__ import annotations

import subprocess
import sys

import pytest

from billing.tests.stripe_stage import DECLINED, GOOD

from . import processes
from .test_browser import (  # noqa: F401
    LONG,
    browser,
    pytestmark,
    sign_up,
    troubles_of,
    type_card,
    use_card,
    wait_for_number,
    whole_site,
)

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


def charged(stripe) -> list[int]:
    """What Stripe's side was paid, in cents, the oldest first."""
    return [one["amount"] for one in stripe.world.store.charges if one["status"] == "succeeded"]


def plan(page, address: str, name: str) -> str | None:
    page.goto(f"{address}/billing/")
    return page.locator("#plan").get_attribute(f"data-plan{name}")


def wait_for_plan(page, address: str, state: str) -> None:
    processes.wait_until(lambda: plan(page, address, "-state") == state, f"the plan is {state}")


@pytest.mark.timeout(240)
def test_up_with_a_preview_down_and_undone_declined_past_due_and_paid(
    whole_site,  # noqa: F811
    browser,  # noqa: F811
):
    address, stripe = whole_site.address, whole_site.stripe
    page = browser.new_page()
    troubles = troubles_of(page)
    sign_up(page, address)

    page.goto(f"{address}/billing/plans/")
    page.get_by_role("button", name="Choose Creator").click()
    seen = page.locator("[data-due-cents]")
    assert seen.get_attribute("data-due-cents") == "4900"
    page.get_by_role("button", name="Save a card to go on").click()
    type_card(page, GOOD)
    page.wait_for_url(f"{address}/billing/plans/change/?plan=creator")
    page.get_by_role("button", name="Pay $49.00").click()  # there once the card is saved
    wait_for_number(page, 250_000)
    assert charged(stripe) == [4_900]

    page.goto(f"{address}/billing/plans/")
    page.get_by_role("button", name="Change to Pro").click()
    paid_back = int(seen.get_attribute("data-paid-back-cents"))
    taken_back = int(seen.get_attribute("data-taken-back-credits"))
    assert paid_back in (4_898, 4_899, 4_900) and 249_900 <= taken_back <= 250_000
    due = int(seen.get_attribute("data-due-cents"))
    assert due == 14_900 - paid_back
    assert page.get_by_text("How $48").or_(page.get_by_text("How $49")).is_visible()
    page.get_by_role("button", name="and change").click()
    wait_for_number(page, 1_250_000 - taken_back)
    assert charged(stripe) == [4_900, due], "what was shown, and nothing else"
    assert plan(page, address, "") == "pro"

    page.goto(f"{address}/billing/plans/")
    page.get_by_role("button", name="Change to Creator").click()
    assert seen.get_attribute("data-due-cents") == "0"
    assert seen.get_attribute("data-next-cents") == "4900"
    page.get_by_role("button", name="Change to Creator on").click()
    assert plan(page, address, "-state") == "changing"
    page.get_by_role("button", name="Keep Pro").click()
    assert plan(page, address, "-state") == "active"

    use_card(page, address, DECLINED)
    shell = [sys.executable, "manage.py", "shell", "-v", "0", "-c", A_MONTH_LATER]
    subprocess.run(shell, env=whole_site.env, check=True)
    wait_for_plan(page, address, "past_due")
    page.get_by_role("button", name="Pay now, $149.00").click()
    page.locator("[name=tried][value='2']").wait_for(state="attached", timeout=LONG)
    assert plan(page, address, "-state") == "past_due"
    assert charged(stripe) == [4_900, due], "declined, twice"
    use_card(page, address, GOOD)
    wait_for_plan(page, address, "active")
    assert page.get_by_role("button", name="Pay now").count() == 0
    assert charged(stripe) == [4_900, due, 14_900]
    assert troubles == []
