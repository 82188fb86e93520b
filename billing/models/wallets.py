"""Wallets, grants, reservations and ledger entries; only `billing.ledger` writes these.

Drifts are the differences found between a wallet and Metronome.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from django.db import models
from django.db.models import F, Q

from accounts.models import ApiKey, Customer
from jobs.models import JobRow

DISPUTE_HOLD = "dispute-"  # what the reasons of disputes begin with, in `Wallet.frozen_by`


class Wallet(models.Model):
    """The credits of a customer. `version` counts changes; pages and streams compare it."""

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, related_name="wallet")
    balance = models.BigIntegerField(default=0, help_text="Credits; the sum of all ledger entries.")
    reserved = models.BigIntegerField(default=0, help_text="Credits of open reservations.")
    version = models.BigIntegerField(default=0)
    expires_next_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the next grant ends. Nothing is reserved after that until it is expired.",
    )
    reserves_from_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Last start or expiry of a grant. Nothing is reserved for an earlier moment.",
    )
    frozen_at = models.DateTimeField(null=True, blank=True, help_text="Nothing can be reserved.")
    frozen_by = models.JSONField(
        default=list,
        blank=True,
        help_text="Why it is frozen, each reason once: staff, or a dispute. Empty: it is not.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(reserved__gte=0, reserved__lte=F("balance")),
                name="wallet_reserved_within_balance",
            )
        ]

    def __str__(self) -> str:
        return f"wallet of {self.customer}"

    @property
    def available(self) -> int:
        return self.balance - self.reserved

    @property
    def hold(self) -> str:
        """What keeps it frozen, so that nothing is charged: a bank's "dispute", "staff" or ""."""
        is_disputed = any(reason.startswith(DISPUTE_HOLD) for reason in self.frozen_by)
        return "dispute" if is_disputed else "staff" if self.frozen_at else ""


class ReservationQuerySet(models.QuerySet["Reservation"]):
    def open(self) -> Self:
        return self.filter(state=Reservation.State.OPEN)


class KeyBudget(models.Model):
    """What an API key has spent in its current period, what it holds, and how much it may spend.

    Each key has one, also without a limit. `held` is the sum of its open reservations.
    """

    class Period(models.TextChoices):
        NONE = "none", "never"
        DAY = "day", "each day"
        WEEK = "week", "each week"
        MONTH = "month", "each month"

    api_key = models.OneToOneField(
        ApiKey, on_delete=models.PROTECT, primary_key=True, related_name="budget"
    )
    limit_credits = models.BigIntegerField(null=True, blank=True, help_text="Empty: no limit.")
    period = models.CharField(
        max_length=5,
        choices=Period.choices,
        default=Period.NONE,
        help_text="When it begins anew, at midnight UTC.",
    )
    period_start_at = models.DateTimeField(help_text="Of the period that `spent` is of.")
    spent = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(spent__gte=0, held__gte=0), name="keybudget_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"budget of {self.api_key}"


class Reservation(models.Model):
    """Credits set aside for one use.

    It is resolved exactly once: captured (all or part of it), released, or expired.
    """

    class State(models.TextChoices):
        OPEN = "open"
        CAPTURED = "captured"
        RELEASED = "released"
        EXPIRED = "expired"

    # No index of its own, which would slow down every update: the unique index begins with wallet.
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, related_name="reservations", db_index=False
    )
    key = models.CharField(max_length=128)
    api_key = models.ForeignKey(
        ApiKey,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="reservations",
        help_text="The API key whose budget it is from. Empty: made on the site.",
    )
    amount = models.BigIntegerField()
    captured = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    reported_at = models.DateTimeField(
        null=True, blank=True, help_text="When Metronome acknowledged the usage."
    )

    objects = ReservationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["wallet", "key"], name="reservation_key_unique"),
            models.CheckConstraint(
                condition=Q(amount__gt=0, captured__gte=0, captured__lte=F("amount")),
                name="reservation_amounts",
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="reservation_open", condition=Q(state="open")),
            models.Index(
                fields=["wallet"], name="reservation_wallet_open", condition=Q(state="open")
            ),
            models.Index(
                fields=["api_key", "resolved_at"],
                name="reservation_of_api_key",
                condition=Q(api_key__isnull=False),
            ),
            models.Index(
                fields=["state", "-id"],
                name="reservation_given_back",
                condition=Q(state__in=["released", "expired"]),
            ),
            # For usage not acknowledged by Metronome (NULL) and for usage acknowledged recently.
            models.Index(
                fields=["wallet", "reported_at"],
                name="reservation_captured",
                condition=Q(state="captured"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount:,} for {self.key} ({self.state})"


class CreditGrant(JobRow):
    """Mirror of one segment of a Metronome commit or credit.

    The job on the row starts the grant, or expires it.
    """

    class Kind(models.TextChoices):
        COMMIT = "commit"
        CREDIT = "credit"

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="grants")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    remote_id = models.CharField(max_length=64, help_text="Id of commit or credit at Metronome.")
    segment_id = models.CharField(
        max_length=64,
        unique=True,
        help_text="Id of the access segment. Each has one grant, however we learn of it.",
    )
    key = models.CharField(
        max_length=128,
        blank=True,
        default="",
        help_text="Our uniqueness key, kept as the commit's description.",
    )
    name = models.CharField(max_length=200)
    granted = models.BigIntegerField(help_text="Credits.")
    remaining = models.BigIntegerField(help_text="Credits not yet drawn or expired.")
    reduced_to = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="It counts for at most this many credits: the rest was taken back.",
    )
    priority = models.DecimalField(
        max_digits=12, decimal_places=3, default=Decimal(100), help_text="Lower is drawn first."
    )
    is_free = models.BooleanField(
        help_text="Costs the customer nothing; drawn before paid credits of the same priority."
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    made_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When Metronome created it, if known. It cannot cover usage invoiced before.",
    )
    created_at = models.DateTimeField()

    class Meta(JobRow.Meta):
        abstract = False
        constraints = [
            models.CheckConstraint(
                condition=Q(remaining__gte=0, remaining__lte=F("granted")),
                name="grant_remaining_within_granted",
            )
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["remote_id"], name="grant_remote"),
            models.Index(fields=["key"], name="grant_key"),
            models.Index(
                fields=["wallet", "priority"], name="grant_to_draw", condition=Q(remaining__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.remaining:,} of {self.granted:,}"

    def counted(self, credits: int) -> int:
        """What a segment of `credits` counts for here."""
        return credits if self.reduced_to is None else min(credits, self.reduced_to)


class LedgerEntry(models.Model):
    """One signed change of a wallet's balance. Never updated, never deleted."""

    class Kind(models.TextChoices):
        GRANT = "grant"
        GRANT_CHANGE = "grant_change", "grant changed at Metronome"
        CAPTURE = "capture"
        EXPIRY = "expiry"
        ADJUSTMENT = "adjustment"

    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, related_name="entries", db_index=False
    )
    kind = models.CharField(max_length=15, choices=Kind.choices)
    amount = models.BigIntegerField(help_text="Credits, signed.")
    balance_after = models.BigIntegerField()
    version = models.BigIntegerField(help_text="The wallet's version after this entry.")
    grant = models.ForeignKey(
        CreditGrant, on_delete=models.PROTECT, null=True, blank=True, related_name="entries"
    )
    reservation = models.OneToOneField(
        Reservation, on_delete=models.PROTECT, null=True, blank=True, related_name="entry"
    )
    consumptions = models.JSONField(
        default=list,
        help_text="List of [grant, credits], with the hour (Unix time) after a reallocation.",
    )
    note = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "ledger entries"
        constraints = [
            models.UniqueConstraint(fields=["wallet", "version"], name="entry_version_unique"),
            models.UniqueConstraint(
                fields=["grant"], condition=Q(kind="grant"), name="entry_one_grant"
            ),
        ]
        # Nearly all rows are captures. This index finds the others without reading them.
        indexes = [
            models.Index(
                fields=["wallet", "created_at"],
                name="entry_no_capture",
                condition=~Q(kind="capture"),
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount:+,} {self.kind}"


class Drift(models.Model):
    """A difference between a wallet and Metronome that usage in transit does not explain."""

    class State(models.TextChoices):
        OPEN = "open"
        ADJUSTED = "adjusted"
        GONE = "gone", "gone by itself"

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="drifts")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    difference = models.BigIntegerField(
        help_text="Credits at Metronome minus the wallet's balance, without usage in transit."
    )
    wallet_balance = models.BigIntegerField()
    metronome_balance = models.BigIntegerField()
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    same_since_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text=(
            "Since when exactly this difference is read with no usage in transit. "
            "Only such a difference may be adjusted."
        ),
    )
    approved_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        help_text="Who approved an adjustment above the automatic limit.",
    )
    entry = models.OneToOneField(
        LedgerEntry, on_delete=models.PROTECT, null=True, blank=True, help_text="The adjustment."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["wallet"], condition=Q(state="open"), name="drift_one_open"
            )
        ]

    def __str__(self) -> str:
        return f"{self.difference:+} ({self.state})"
