"""The usage events that report what is spoken, and the comparison with what Metronome counts."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import Customer
from billing.models import Reservation
from jobs.models import JobRow, JobRowQuerySet


class UsageEvent(JobRow):
    """One usage event for Metronome; the row is its own outbox.

    `transaction_id` is stored before the first attempt, so that Metronome counts repeats once.
    """

    transaction_id = models.CharField(max_length=128)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="usage_events", db_index=False
    )
    event_type = models.CharField(max_length=40)
    happened_at = models.DateTimeField(help_text="When its credits were reserved.")
    properties = models.JSONField(help_text="Strings only; never the text that was spoken.")
    credits = models.BigIntegerField()
    reservation = models.OneToOneField(
        Reservation, on_delete=models.PROTECT, related_name="usage_event"
    )
    sent_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta(JobRow.Meta):
        abstract = False
        # Few indexes, because every claim and completion of the job updates all of them.
        constraints = [
            models.UniqueConstraint(
                fields=["transaction_id"], name="usageevent_transaction_id_unique"
            )
        ]
        # Includes the credits, so that daily totals are read from the index alone.
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(
                fields=["customer", "-happened_at", "credits"], name="usageevent_by_customer"
            ),
        ]

    def __str__(self) -> str:
        return self.transaction_id

    @property
    def delivery(self) -> str:
        """State of the report for the customer's pages: sent, waiting or problem."""
        if self.sent_at:
            return "sent"
        return "problem" if self.dead_at else "waiting"


class ReconciliationRun(JobRow):
    """How far the reconciliation of usage is.

    A run walks all customers in batches, and each job compares one batch.

    One row of each kind, made by the worker (`usage/metering/schedule.py`). Between two runs
    `until_at` is empty.
    """

    class Kind(models.TextChoices):
        HOURS = "hours", "closed hours, of customers with usage in them"
        DAYS = "days", "days, of everybody at Metronome"

    kind = models.CharField(max_length=10, choices=Kind.choices, unique=True)
    since_at = models.DateTimeField(
        null=True, blank=True, help_text="Usage before this is compared."
    )
    until_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="End of the time that this run compares. Empty: no run is going on.",
    )
    after = models.UUIDField(
        null=True, blank=True, help_text="The cursor: customers up to this id are compared."
    )

    class Meta(JobRow.Meta):
        abstract = False

    def __str__(self) -> str:
        return self.kind


class UsageDiscrepancyQuerySet(JobRowQuerySet["UsageDiscrepancy"]):
    def open(self) -> Self:
        return self.filter(resolved_at=None)

    def standing(self) -> Self:
        """Open, and not explained by usage in transit."""
        return self.open().filter(is_in_transit=False)


class UsageDiscrepancy(JobRow):
    """A difference between our usage and Metronome's, by customer, hour, event type and voice type.

    The job on the row is the repair, if staff asked for it.
    """

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="usage_discrepancies", db_index=False
    )
    hour_at = models.DateTimeField(help_text="Start of the hour.")
    event_type = models.CharField(max_length=40)
    voice_type = models.CharField(
        max_length=40, blank=True, help_text="Empty where the price does not depend on it."
    )
    local_units = models.BigIntegerField(help_text="Units: characters, or own voices.")
    remote_units = models.DecimalField(
        max_digits=24, decimal_places=6, help_text="Units as Metronome counts them."
    )
    is_in_transit = models.BooleanField(
        help_text="The missing events are in transit: nothing to do."
    )
    detail = models.TextField(
        help_text="The differences at the last comparison of events, with their ids."
    )
    repair_asked = models.BooleanField(
        default=False, help_text="A worker sends again what is missing at Metronome."
    )
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="The numbers agree, or it was closed by hand. Opens again if they change.",
    )

    objects = UsageDiscrepancyQuerySet.as_manager()  # type: ignore[misc]

    class Meta(JobRow.Meta):
        abstract = False
        verbose_name_plural = "usage discrepancies"
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "hour_at", "event_type", "voice_type"],
                name="usagediscrepancy_unique",
            )
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(
                fields=["customer"], name="usagediscrepancy_open", condition=Q(resolved_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hour_at:%Y-%m-%d %H:00} {self.event_type} {self.voice_type}".rstrip()
