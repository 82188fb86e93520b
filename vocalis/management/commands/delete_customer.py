"""Delete a customer's personal data on request."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from accounts.management.lookup import customer_named
from operations.command import Operation, Outcome, Refused
from vocalis.operations import deletion

OUTCOMES = {  # as (done, with --dry-run)
    deletion.Stage.CLOSED: ("closed", "would be closed"),
    deletion.Stage.SPEECH_DELETED: ("texts and audio deleted", "texts would be deleted"),
    deletion.Stage.ANONYMISED: ("anonymised", "would be anonymised"),
}


class Command(Operation):
    help = (
        "Anonymises a customer: deletes name, e-mail address, texts, audio and card here, and "
        "name and e-mail alias at Metronome; ends plan and auto-recharge. The ledger stays. "
        "Cannot be undone."
    )
    leaves_work = frozenset({"anonymised"})

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("customer", metavar="EMAIL_OR_ID")
        parser.add_argument(
            "--no-input", action="store_false", dest="interactive", help="do not ask"
        )

    def outcomes(
        self, *, dry_run: bool, now: datetime, customer: str, interactive: bool, **options: Any
    ) -> Iterator[Outcome]:
        person = customer_named(customer)
        if (
            interactive
            and not dry_run
            and _answer(f"Type {person} to delete this customer for good: ") != str(person)
        ):
            raise Refused("Nothing was deleted.")
        try:
            for stage, subject in deletion.delete(person, dry_run=dry_run, now=now):
                done, would_be = OUTCOMES[stage]
                yield Outcome(subject, would_be if dry_run else done, is_open=dry_run)
        except deletion.NotDeletable as error:
            raise Refused(str(error)) from error


def _answer(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        raise Refused(
            "Nobody confirmed the deletion, so nothing was deleted. "
            "Without a terminal, use --no-input."
        ) from None
