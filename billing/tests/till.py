"""A shop with both sandboxes beside it: Stripe's with its pages, and Metronome's, on one clock."""

from __future__ import annotations

import re
from datetime import timedelta
from types import SimpleNamespace

import pytest

from billing.payments.gateways.stripe import client as stripe_client
from billing.payments.gateways.stripe.tests.test_journeys import Shop, text
from billing.payments.gateways.stripe.tests.test_journeys import shop as shop_fixture
from billing.sync import customers
from jobs.worker import Worker, all_jobs

URL = "/billing/top-up/"
GOOD, OTHER = "4242424242424242", "5555555555554444"

shop = shop_fixture  # for pytest
CLIENT = stripe_client._client  # as no fixture has changed it


class Till:
    """A shop with Metronome beside it, at which top-ups are bought."""

    def __init__(self, shop: Shop, stage: SimpleNamespace) -> None:
        self.shop, self.stage, self.browser, self.customer = (
            shop,
            stage,
            shop.browser,
            shop.customer,
        )

    def work(self) -> None:
        for _ in range(3):
            self.shop.box.tick()
            self.stage.sandbox.tick()
            Worker(all_jobs(), clock=self.shop.now).drain()

    def advance(self, **delta: float) -> None:
        self.stage.sandbox.clock.advance(timedelta(**delta))
        self.shop.advance(**delta)

    def form(self, query: str = "pack=2500") -> dict[str, str]:
        """The preview's form, with its button for paying at the page."""
        html = self.browser.get(f"{URL}?{query}").content.decode()
        main = re.search(r"<main.*</main>", html, re.S)[0]
        found = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', main))
        found.pop("csrfmiddlewaretoken", None)
        button = re.search(r'name="at_page" value="(\w+)"', main)
        return found | {"at_page": button[1]}

    def go(self, form: dict[str, str] | None = None) -> str:
        """Press the button; the address of Stripe's page."""
        answer = self.browser.post(URL, form or self.form())
        assert answer.status_code == 303, text(answer)
        return answer.url

    def pay(self, page: str, number: str = GOOD) -> str:
        """Type the card; the address that Stripe sends the customer back to."""
        answer = self.shop.type_card(page, number)
        assert answer.status_code in (302, 303), answer.text
        return answer.headers["location"].removeprefix("http://testserver")

    def come_back(self, path: str) -> None:
        assert self.browser.get(path).url == "/billing/"
        self.work()

    def billing(self) -> str:
        return text(self.browser.get("/billing/"))

    def sessions(self, status: str = "") -> list:
        rows = [row for row in self.shop.box.world.store.sessions if row["mode"] == "payment"]
        return [row for row in rows if not status or row["status"] == status]

    def charged_cents(self) -> list[int]:
        """What Stripe took and did not pay back, oldest first."""
        rows = self.shop.box.world.store.charges
        kept = [row["amount"] - row["amount_refunded"] for row in rows if row["paid"]]
        return [cents for cents in kept if cents]


@pytest.fixture
def till(shop, stage, alice, monkeypatch):
    monkeypatch.setattr(stripe_client, "_client", CLIENT)  # the shop's Stripe, not the stage's
    customers.provision(alice, shop.now())
    alice.refresh_from_db()
    return Till(shop, stage)
