"""Django's createsuperuser with optional names: operators are identified by e-mail address."""

from __future__ import annotations

from django.contrib.auth.management.commands import createsuperuser
from django.core.management.base import CommandParser


class Command(createsuperuser.Command):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(first_name="", last_name="")
