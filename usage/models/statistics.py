"""Usage by day, so that a page of totals costs the same however much was used."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db import models

from accounts.models import Customer

SITE = UUID(int=0)  # in the place of an API key: asked for on the site


class UsageDay(models.Model):
    """What a customer used on one UTC day with one voice, through one API key or on the site.

    Sums of finished work, written by `usage.rollup` in the transaction that captures its credits.
    """

    class Kind(models.TextChoices):
        SPEECH = "speech", "speech"
        OWN_VOICE = "own_voice", "own voice, once"

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="usage_days", db_index=False
    )
    day = models.DateField(help_text="UTC, of the moment when the credits were reserved.")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    voice = models.CharField(
        max_length=120,
        blank=True,
        help_text="Id of a house voice or of a personal Voice. Empty: usage that was imported.",
    )
    voice_type = models.CharField(
        max_length=40, blank=True, help_text="Empty where the price does not depend on it."
    )
    api_key = models.UUIDField(default=SITE, help_text="Id of the API key. Zeros: on the site.")
    voice_name = models.CharField(
        max_length=60, blank=True, default="", help_text="The name it had when last used."
    )
    characters = models.BigIntegerField(default=0, help_text="Charged.")
    credits = models.BigIntegerField(default=0)
    generations = models.BigIntegerField(default=0, help_text="Texts spoken, or voices made.")
    audio_ms = models.BigIntegerField(default=0, help_text="Length of the audio in milliseconds.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["customer", "day", "kind", "voice", "voice_type", "api_key"],
                name="usageday_unique",
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.kind}"
