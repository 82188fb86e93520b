"""Grant complimentary credits to a customer."""

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
        "the admin's log has the reason and who decided it. Another call with the same "
        "customer, credits and reason does not grant again, unless it has another --key."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("customer", metavar="EMAIL_OR_ID")
        parser.add_argument("credits", type=int, metavar="CREDITS")
        parser.add_argument(
            "--reason", type=why, required=True, help="kept in the log; 3 letters at least"
        )
        parser.add_argument(
            "--by", metavar="STAFF_EMAIL", help="who decided it; by default the only superuser"
        )
        parser.add_argument(
            "--days",
            type=int,
            default=complimentary.COMPLIMENTARY_DAYS,
            help=f"how long they can be used, {complimentary.DAYS_MAX:,} at most",
        )
        parser.add_argument("--key", default="", help="distinguishes equal grants")

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
        receiver, staff = customer_named(customer), staff_named(by)
        if not (0 < credits <= complimentary.CREDITS_MAX and 0 < days <= complimentary.DAYS_MAX):
            raise Refused(
                f"Credits are 1 to {complimentary.CREDITS_MAX:,}, "
                f"and days 1 to {complimentary.DAYS_MAX:,}."
            )
        what = f"{receiver.pk}\n{credits}\n{reason}\n{key}"
        own_key = f"vocalis-complimentary-{hashlib.sha256(what.encode()).hexdigest()[:32]}"
        earlier = ComplimentaryGrant.objects.filter(key=own_key).first()
        if earlier and earlier.grant_id:
            yield Outcome(
                receiver, "granted before", f"on {earlier.created_at:%Y-%m-%d} by {earlier.by}"
            )
        elif dry_run:
            yield Outcome(
                receiver, "would be granted", f"{credits:,} credits for {days} days", is_open=True
            )
        else:
            row = complimentary.give(
                customer=receiver,
                credits=credits,
                reason=reason,
                by=staff,
                key=own_key,
                days=days,
                now=now,
            )
            yield grant_now(row, now=now)
