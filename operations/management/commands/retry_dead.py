"""Try again what was given up."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.apps import apps

from jobs.models import JobRow
from operations.command import Operation, Outcome, Refused, make_due


class Command(Operation):
    help = (
        "Makes dead rows due again; a worker takes them. With --dry-run it lists them and their "
        "last errors."
    )
    leaves_work = frozenset({"made due"})

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--model", help="only this kind, such as usageevent or billing.payment")

    def total(self, *, model: str | None, **options: Any) -> int:
        return sum(_dead(kind).count() for kind in _kinds(model))

    def outcomes(
        self, *, dry_run: bool, now: datetime, model: str | None, **options: Any
    ) -> Iterator[Outcome]:
        for kind in _kinds(model):
            for outcome in make_due(_dead(kind), dry_run=dry_run, now=now, word="made due"):
                row: Any = outcome.subject
                name = f"{kind._meta.verbose_name} {row.pk}"
                yield Outcome(
                    name, outcome.word, row.last_error if dry_run else "", outcome.is_open
                )


def _kinds(name: str | None) -> list[type[JobRow]]:
    kinds = [model for model in apps.get_models() if issubclass(model, JobRow)]
    wanted = [
        kind
        for kind in kinds
        if name is None or name.lower() in (kind._meta.label_lower, kind._meta.model_name)
    ]
    if not wanted:
        names = ", ".join(kind._meta.label_lower for kind in kinds)
        raise Refused(f"{name} is no kind of row that jobs work on. These are: {names}.")
    return wanted


def _dead(kind: type[JobRow]) -> Any:
    return kind._default_manager.dead().filter(due_at__isnull=False)
