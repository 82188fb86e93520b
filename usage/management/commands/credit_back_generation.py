"""Credit back what a generation cost."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.management.lookup import staff_named
from billing.management.grants import grant_now
from operations.command import Operation, Outcome, Refused
from operations.command import reason as why
from usage import credit_back
from usage.models import Generation


class Command(Operation):
    help = (
        "Credits back what a generation cost, as new credits through Metronome, once; the admin's "
        "log has the reason and who decided it. Reported usage stays reported."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("generation", type=UUID, metavar="ID")
        parser.add_argument(
            "--reason", type=why, required=True, help="kept in the log; 3 letters at least"
        )
        parser.add_argument(
            "--by", metavar="STAFF_EMAIL", help="who decided it; by default the only superuser"
        )

    def outcomes(
        self,
        *,
        dry_run: bool,
        now: datetime,
        generation: UUID,
        reason: str,
        by: str | None,
        **options: Any,
    ) -> Iterator[Outcome]:
        staff = staff_named(by)
        row = (
            Generation.objects.select_related("customer__user", "credit_back__by")
            .filter(pk=generation)
            .first()
        )
        if row is None:
            raise Refused(f"There is no generation {generation}.")
        if row.credit_back and row.credit_back.grant_id:
            yield Outcome(
                row.customer,
                "credited back before",
                f"on {row.credit_back.created_at:%Y-%m-%d} by {row.credit_back.by}",
            )
        elif dry_run and row.state == Generation.State.DONE:
            yield Outcome(
                row.customer, "would be credited back", f"{row.credits:,} credits", is_open=True
            )
        else:
            try:
                credited = credit_back.credit_back(generation=row, by=staff, reason=reason, now=now)
            except credit_back.NotCreditable as error:
                raise Refused(f"Not credited back: {error}.") from error
            yield grant_now(credited, now=now)
