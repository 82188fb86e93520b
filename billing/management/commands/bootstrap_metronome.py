"""Create what contracts need at Metronome (metrics, products, prices), or check it."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.metronome import MetronomeRejected, MetronomeUnavailable, catalogue, setup
from billing.sync import backfill

POLL_SECONDS = 0.3  # between two requests while waiting for a sandbox that is starting


class Command(BaseCommand):
    help = (
        "Creates or finds pricing unit, metrics, products, rate card, prices and notifications "
        "at Metronome. Safe to run again. Exits 1 if something differs from what Vocalis needs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="change nothing; list the differences and exit 1 if there are any",
        )
        parser.add_argument(
            "--wait",
            type=float,
            default=0,
            metavar="SECONDS",
            help="wait this long for Metronome to answer",
        )

    def handle(self, *, check: bool, wait: float, verbosity: int, **options: Any) -> None:
        try:
            self._wait(wait)
            if check:
                differences = catalogue.differences(now=timezone.now()) + _contracts()
            else:
                differences = []
                catalogue.ensure(
                    now=timezone.now(), say=self.stdout.write if verbosity else lambda text: None
                )
        except (MetronomeUnavailable, MetronomeRejected, catalogue.SetupConflict) as error:
            raise CommandError(str(error)) from error
        if differences:
            raise CommandError("\n".join(differences))
        if verbosity:
            self.stdout.write(self.style.SUCCESS("Metronome is as Vocalis needs it."))

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                setup.pricing_units()
                return
            except MetronomeUnavailable as error:
                # A refused API key stays refused: do not wait.
                if time.monotonic() >= until or error.pause_seconds:
                    raise
                time.sleep(POLL_SECONDS)


def _contracts() -> list[str]:
    """What is different about our contracts, as they were last read."""
    count = backfill.contracts_with_overage().count()
    if not count:
        return []
    return [f"contracts that may bill usage beyond the credits: {count}; run backfill_contracts"]
