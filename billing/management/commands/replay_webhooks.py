"""Make stored webhooks due again, so that a worker processes them."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from billing.models import InboundWebhook
from operations.command import Operation, Outcome, Refused, make_due, moment


class Command(Operation):
    help = (
        "Makes stored webhooks due again, also processed ones; a worker processes them. "
        "Handlers read the current state, so a replay does not change what is up to date."
    )
    leaves_work = frozenset({"made due"})

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--id", metavar="EVENT_ID", action="append", help="this one; repeatable"
        )
        sources = InboundWebhook.Source.values
        parser.add_argument("--source", choices=sources, help="sent by this provider")
        parser.add_argument("--type", help="of this type, such as commit.create")
        parser.add_argument(
            "--since",
            type=moment,
            metavar="TIME",
            help="received since: 2026-01-31T10:00 (UTC), or an age: 30m, 36h, 7d",
        )

    def total(self, **options: Any) -> int:
        return _chosen(**options).count()

    def outcomes(self, *, dry_run: bool, now: datetime, **options: Any) -> Iterator[Outcome]:
        sent = _of(options["source"]).filter(event_id__in=options["id"] or ())
        if unknown := set(options["id"] or ()) - set(sent.values_list("event_id", flat=True)):
            raise Refused(f"There is no webhook {', '.join(sorted(unknown))}.")
        return make_due(_chosen(**options), dry_run=dry_run, now=now, word="made due")


def _of(source: str | None) -> QuerySet[InboundWebhook]:
    rows = InboundWebhook.objects.all()
    return rows.filter(source=source) if source else rows


def _chosen(
    *,
    id: list[str] | None,
    source: str | None,
    type: str | None,
    since: datetime | None,
    **options: Any,
) -> QuerySet[InboundWebhook]:
    if not (id or source or type or since):
        raise Refused("Say which: --id, --source, --type or --since.")
    rows = _of(source)
    if id:
        rows = rows.filter(event_id__in=id)
    if type:
        rows = rows.filter(type=type)
    return rows.filter(received_at__gte=since) if since else rows
