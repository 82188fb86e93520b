"""What customers keep around their texts: the draft in the studio, folders, favourite voices."""

from __future__ import annotations

import uuid

from django.db import models

from accounts.models import Customer


class Draft(models.Model):
    """What stands in the studio's form: one for a customer, the same on every device.

    `version` rises with every change. Whoever saves names the version that was seen, so that of two
    open pages none overwrites the other without saying so.
    """

    customer = models.OneToOneField(
        Customer, on_delete=models.PROTECT, primary_key=True, related_name="draft"
    )
    text = models.TextField(blank=True, default="", help_text="As it was typed.")
    voice = models.CharField(max_length=120, blank=True, default="")
    manner = models.JSONField(
        default=dict, blank=True, help_text="Fields of the manner, as they were typed."
    )
    former_text = models.TextField(
        blank=True, default="", help_text="What the text has replaced as a whole."
    )
    version = models.PositiveBigIntegerField()
    changed_at = models.DateTimeField()

    def __str__(self) -> str:  # without the customer's words, for operators
        return f"draft, version {self.version}"


class Folder(models.Model):
    """A customer's name for some of their generations. Deleted, it leaves them where they are."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="folders", db_index=False
    )
    name = models.CharField(max_length=60, help_text="In NFC.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer", "name"], name="folder_unique")]

    def __str__(self) -> str:  # without the customer's words, for operators
        return f"folder {self.pk}"


class Favourite(models.Model):
    """A voice that a customer wants to see first. It may be gone by now."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="favourites", db_index=False
    )
    voice = models.CharField(
        max_length=120, help_text="Id of a house voice or of a personal Voice."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "voice"], name="favourite_unique")
        ]

    def __str__(self) -> str:
        return self.voice
