"""Give a customer complimentary credits."""

from __future__ import annotations

import hashlib
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from accounts.management.lookup import customer_named, staff_named
from billing.management.grants import grant_now
from billing.models import ComplimentaryGrant
from billing.subscriptions import complimentary
from operations.command import Operation, Outcome, Refused
from operations.command import reason as why


class Command(Operation):
    help = (
        "Grants complimentary credits through Metronome, drawn before all others; "
        "reason and giver are in the admin's log. The same customer, credits and "
        "reason again are the same grant, unless --key tells them apart."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("customer", metavar="EMAIL_OR_ID")
        parser.add_argument("credits", type=int, metavar="CREDITS")
        parser.add_argument(
            "--reason", type=why, required=True, help="kept in the log, so it must say something"
        )
        parser.add_argument(
            "--by", metavar="STAFF_EMAIL", help="who decides it; by default the only superuser"
        )
        parser.add_argument(
            "--days",
            type=int,
            default=complimentary.COMPLIMENTARY_DAYS,
            help=f"how long they can be used, {complimentary.DAYS_MAX:,} at most",
        )
        parser.add_argument("--key", default="", help="tells this grant from an equal earlier one")

    def outcomes(
        self,
        *,
        dry_run: bool,
        now: datetime,
        customer: str,
        credits: int,
        reason: str,
        by: str | None,
        days: int,
        key: str,
        **options: Any,
    ) -> Iterator[Outcome]:
        receiver, giver = customer_named(customer), staff_named(by)
        if not (0 < credits <= complimentary.CREDITS_MAX and 0 < days <= complimentary.DAYS_MAX):
            raise Refused(
                f"Credits are 1 to {complimentary.CREDITS_MAX:,}, "
                f"and days 1 to {complimentary.DAYS_MAX:,}."
            )
        same = hashlib.sha256(f"{receiver.pk}\n{credits}\n{reason}\n{key}".encode()).hexdigest()[
            :32
        ]
        there = ComplimentaryGrant.objects.filter(key=f"vocalis-gift-{same}").first()
        if there and there.grant_id:
            yield Outcome(
                receiver, "granted before", f"on {there.created_at:%Y-%m-%d} by {there.by}"
            )
        elif dry_run:
            yield Outcome(
                receiver, "would be granted", f"{credits:,} credits for {days} days", is_open=True
            )
        else:
            gift = complimentary.give(
                customer=receiver,
                credits=credits,
                reason=reason,
                by=giver,
                key=f"vocalis-gift-{same}",
                days=days,
                now=now,
            )
            yield grant_now(gift, now=now)
