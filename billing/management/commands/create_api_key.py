"""Make an API key for a customer."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from accounts import api_keys
from accounts.management.lookup import customer_named
from billing import keys
from billing.models import KeyBudget
from operations.command import Refused, days


class Command(BaseCommand):
    help = (
        "Makes an API key for a customer. Its secret is the last line of the output, and is shown "
        "this once; what the key is goes to stderr. Each call makes another key."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("customer", metavar="EMAIL_OR_ID")
        parser.add_argument("--name", default="Made by an operator", help="what the customer sees")
        parser.add_argument(
            "--scope",
            action="append",
            dest="scopes",
            choices=list(api_keys.SCOPES),
            help=f"once or several times; by default {' and '.join(api_keys.DEFAULT_SCOPES)}",
        )
        parser.add_argument(
            "--budget", type=int, metavar="CREDITS", help="by default the whole balance"
        )
        parser.add_argument(
            "--period",
            choices=KeyBudget.Period.values,
            default=KeyBudget.Period.NONE,
            help="when the budget begins anew; by default never",
        )
        parser.add_argument("--expires", type=days, metavar="DAYS", help="90d; by default never")

    @sensitive_variables("secret")
    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        lifetime = options["expires"]
        try:
            customer = customer_named(options["customer"])
            if not customer.user.is_active:
                raise Refused(f"The account of {customer} is closed.")
            key, secret = keys.create(
                customer=customer,
                name=options["name"],
                scopes=options["scopes"] or api_keys.DEFAULT_SCOPES,
                limit=options["budget"],
                period=options["period"],
                expires_at=now + timedelta(days=lifetime) if lifetime else None,
                now=now,
            )
        except (Refused, api_keys.KeyRefused) as error:
            raise CommandError(str(error)) from error
        ends = f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else "without an end"
        self.stderr.write(f"{key} of {customer}: {', '.join(key.scopes)}, {ends}.", str)
        self.stdout.write(secret)
