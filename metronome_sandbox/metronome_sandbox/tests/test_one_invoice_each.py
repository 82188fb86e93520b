"""Whatever becomes of a contract's end, each hour of it is on one usage invoice, and each event."""

import random
from datetime import timedelta

import pytest
from metronome import BadRequestError

from .world import NOW

SCHEDULES = [
    {"frequency": frequency, "day": day}
    for frequency in ("WEEKLY", "MONTHLY", "QUARTERLY")
    for day in ("FIRST_OF_MONTH", "CONTRACT_START")
]


class Story:
    """Twenty-five things that happen to one contract, drawn by chance, and what was said."""

    def __init__(self, box, client, shop, dice):
        self.box, self.client, self.shop, self.dice = box, client, shop, dice
        self.alice = shop.customer("alice")
        self.contract = shop.contract(
            self.alice, shop.commit(50, days=400), usage_statement_schedule=dice.choice(SCHEDULES)
        )
        self.ids = {"customer_id": self.alice, "contract_id": self.contract}
        self.said = []

    def invoices(self):
        found = self.client.v1.customers.invoices.list(customer_id=self.alice, type="USAGE")
        kept = [one for one in found if one.status != "VOID"]
        return sorted(kept, key=lambda one: one.start_timestamp)

    def speak(self, now):
        characters = self.dice.randint(1, 9)
        self.shop.speak("alice", characters, at=now)
        self.said.append((now.replace(minute=0), characters))

    def wait(self, now):
        self.box.clock.advance(timedelta(hours=self.dice.choice([1, 23, 30, 150, 500, 1_000])))

    def end(self, now):
        hours = self.dice.choice([-240, -30, -1, 1, 30, 220, 800])
        end = now.replace(minute=0) + timedelta(hours=hours)
        try:
            self.client.v1.contracts.update_end_date(**self.ids, ending_before=end)
        except BadRequestError as error:
            assert "must be after starting_at" in str(error)

    def go_on(self, now):
        self.client.v1.contracts.update_end_date(**self.ids)

    def draw_up_anew(self, now):
        final = [one for one in self.invoices() if one.status == "FINALIZED"]
        if final:
            chosen = self.dice.choice(final).id
            self.client.v1.invoices.void(id=chosen)
            self.client.v1.invoices.regenerate(id=chosen)

    def check(self):
        contract = self.client.v2.contracts.retrieve(**self.ids).data
        end = min(filter(None, [self.box.clock.now(), contract.ending_before]))
        at = contract.starting_at
        for invoice in self.invoices():
            assert invoice.start_timestamp == at or at >= end
            assert invoice.start_timestamp >= at
            at = invoice.end_timestamp
            span = invoice.start_timestamp, invoice.end_timestamp
            said = sum(number for hour, number in self.said if span[0] <= hour < span[1])
            lines = [line.quantity for line in invoice.line_items if line.type == "usage"]
            assert sum(lines) == said
        assert at >= end


@pytest.mark.parametrize("seed", range(12))
def test_each_hour_and_each_event_is_on_one_invoice(box, client, shop, seed):
    story = Story(box, client, shop, random.Random(seed))
    happens = [story.speak, story.wait, story.end, story.go_on, story.draw_up_anew]
    for _ in range(25):
        story.dice.choice([*happens, story.speak, story.wait])(box.clock.now())
        story.check()
    assert story.said and box.clock.now() > NOW
