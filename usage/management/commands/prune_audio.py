"""Delete audio whose time is over, and encodings nobody uses: what workers do by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.utils import timezone

from jobs.walk import walk
from operations.command import Operation, Outcome
from usage.speech import encoded, expiry
from usage.speech.problems import AudioUnreachable


class Command(Operation):
    help = (
        "Deletes the audio whose time is over, and this machine's encodings that nobody used for a "
        "day. Workers of the queue speech do the same by themselves; another machine that serves "
        "audio has a cache of its own."
    )

    def total(self, **options: Any) -> int:
        return expiry.expired(timezone.now()).count()

    def outcomes(self, *, dry_run: bool, now: datetime, **options: Any) -> Iterator[Outcome]:
        if not dry_run:
            encoded.prune()
        rows = expiry.expired(now).select_related("customer").defer("text", "words")
        for generation in walk(rows):
            if dry_run:
                yield Outcome(generation.pk, "would be deleted", is_open=True)
                continue
            try:
                is_deleted = expiry.settle(generation, now)
            except (OSError, AudioUnreachable) as error:
                yield Outcome(generation.pk, "could not be deleted", str(error), is_open=True)
            else:
                yield Outcome(generation.pk, "deleted" if is_deleted else "kept longer")
