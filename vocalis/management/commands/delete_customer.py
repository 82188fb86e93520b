"""Delete a customer on request."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from accounts.management.lookup import customer_named
from operations.command import Operation, Outcome, Refused
from vocalis.operations import deletion

WORDS = {
    deletion.Step.CLOSED: ("closed", "would be closed"),
    deletion.Step.SPEECH_FORGOTTEN: ("texts and audio deleted", "texts would go"),
    deletion.Step.ANONYMISED: ("anonymised", "would be anonymised"),
}


class Command(Operation):
    help = (
        "Anonymises a customer: name, e-mail address, texts, audio and card go, "
        "here and at Metronome; plan and recharge end; the ledger stays. Cannot be undone."
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
            for step, subject in deletion.delete(person, dry_run=dry_run, now=now):
                done, would_be = WORDS[step]
                yield Outcome(subject, would_be if dry_run else done, is_open=dry_run)
        except deletion.NotDeletable as error:
            raise Refused(str(error)) from error


def _answer(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        raise Refused(
            "Nobody was there to confirm it, so nothing was deleted. "
            "Without a terminal: --no-input."
        ) from None
