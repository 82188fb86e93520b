"""What the customer may spend, and what Vocalis, Metronome and the payment provider owe each other.

Rows only: fields, constraints, and facts about one row. `billing.ledger` alone writes Wallet, LedgerEntry, Reservation
and CreditGrant. Credits and cents are integers; a datetime is UTC.
"""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Self

from django.db import models
from django.db.models import F, Q

from accounts.models import Customer
from jobs.models import Job, JobQuerySet


class Contract(Job):
    """The customer's one Metronome contract, open-ended; plans, packs and recharges are commits on it.

    As a job it owes a sync: `due_at` is when grants and balance are read from Metronome next.
    """

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, related_name="contract")
    metronome_id = models.CharField(max_length=64, null=True, blank=True, unique=True)  # noqa: DJ001  NULL: not made yet
    starts_at = models.DateTimeField(help_text="Floored to the hour; usage before it would not be rated.")
    recharge_enabled = models.BooleanField(
        null=True, help_text="Auto-recharge as last read at Metronome. Empty: not configured there."
    )
    recharge_threshold_credits = models.BigIntegerField(null=True, blank=True)
    recharge_to_credits = models.BigIntegerField(null=True, blank=True)
    synced_at = models.DateTimeField(null=True, blank=True)

    class Meta(Job.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"contract of {self.customer}"


class SubscriptionQuerySet(JobQuerySet):
    def live(self) -> Self:
        return self.filter(state__in=[Subscription.State.REQUESTED, Subscription.State.ACTIVE])


class Subscription(Job):
    """A chosen plan. Each granted period is one commit (or credit) on the contract, keyed by subscription and period."""

    class State(models.TextChoices):
        REQUESTED = "requested"
        ACTIVE = "active"
        ENDED = "ended"
        FAILED = "failed"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="subscriptions")
    plan = models.CharField(max_length=20, help_text="A key of billing.plans.PLANS.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    key = models.CharField(max_length=128, help_text="The form's key: the same choice sent twice is one subscription.")
    anchor_at = models.DateTimeField(
        null=True, blank=True, help_text="Start of the first period; months count from its day."
    )
    period = models.PositiveIntegerField(default=0, help_text="Number of the current period, from 0.")
    period_start_at = models.DateTimeField(null=True, blank=True)
    period_end_at = models.DateTimeField(null=True, blank=True)
    failure = models.TextField(blank=True, default="", help_text="Shown to the customer.")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = SubscriptionQuerySet.as_manager()  # type: ignore[misc]

    class Meta(Job.Meta):
        abstract = False
        constraints = [
            models.UniqueConstraint(fields=["customer", "key"], name="subscription_key_unique"),
            models.UniqueConstraint(fields=["customer"], condition=Q(plan="trial"), name="subscription_one_trial"),
            models.UniqueConstraint(
                fields=["customer"], condition=Q(state="requested"), name="subscription_one_requested"
            ),
            models.UniqueConstraint(fields=["customer"], condition=Q(state="active"), name="subscription_one_active"),
        ]

    def __str__(self) -> str:
        return f"{self.plan} ({self.state})"


class Wallet(models.Model):
    """What a customer may spend now. `version` counts changes; every page and stream compares it."""

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, related_name="wallet")
    balance = models.BigIntegerField(default=0, help_text="Credits; the sum of all ledger entries.")
    reserved = models.BigIntegerField(default=0, help_text="Credits held by open reservations.")
    version = models.BigIntegerField(default=0)
    expires_next_at = models.DateTimeField(
        null=True, blank=True, help_text="When the next grant ends; the gate refuses to spend past it."
    )
    expired_last_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the last grant ended that was written off; nothing is held for a moment before.",
    )
    frozen_at = models.DateTimeField(null=True, blank=True, help_text="Set by an operator: nothing can be reserved.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(reserved__gte=0, reserved__lte=F("balance")), name="wallet_reserved_within_balance"
            )
        ]

    def __str__(self) -> str:
        return f"wallet of {self.customer}"

    @property
    def available(self) -> int:
        return self.balance - self.reserved


class ReservationQuerySet(models.QuerySet):
    def open(self) -> Self:
        return self.filter(state=Reservation.State.OPEN)


class Reservation(models.Model):
    """A two-phase hold. It resolves exactly once: captured (all or part), released, or expired."""

    class State(models.TextChoices):
        OPEN = "open"
        CAPTURED = "captured"
        RELEASED = "released"
        EXPIRED = "expired"

    # The unique key below begins with the wallet: an index of its own would only slow every update of the row.
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="reservations", db_index=False)
    key = models.CharField(max_length=128)
    amount = models.BigIntegerField()
    captured = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    reported_at = models.DateTimeField(null=True, blank=True, help_text="When Metronome acknowledged the usage.")

    objects = ReservationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["wallet", "key"], name="reservation_key_unique"),
            models.CheckConstraint(
                condition=Q(amount__gt=0, captured__gte=0, captured__lte=F("amount")), name="reservation_amounts"
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="reservation_open", condition=Q(state="open")),
            models.Index(fields=["wallet"], name="reservation_wallet_open", condition=Q(state="open")),
            models.Index(
                fields=["state", "-id"], name="reservation_given_back", condition=Q(state__in=["released", "expired"])
            ),
            # Both what Metronome has not acknowledged (NULL) and what it has lately.
            models.Index(fields=["wallet", "reported_at"], name="reservation_captured", condition=Q(state="captured")),
        ]

    def __str__(self) -> str:
        return f"{self.amount} for {self.key} ({self.state})"


class CreditGrant(Job):
    """Mirror of one segment of one Metronome commit or credit. As a job it owes its start or its expiry."""

    class Kind(models.TextChoices):
        COMMIT = "commit"
        CREDIT = "credit"

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="grants")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    remote_id = models.CharField(max_length=64, help_text="Id of the commit or credit at Metronome.")
    segment_id = models.CharField(
        max_length=64,
        unique=True,
        help_text="Id of its access segment: one entry each, from whichever path hears first.",
    )
    key = models.CharField(
        max_length=128, blank=True, default="", help_text="Our uniqueness key, kept as the commit's description."
    )
    name = models.CharField(max_length=200)
    granted = models.BigIntegerField(help_text="Credits.")
    remaining = models.BigIntegerField(help_text="Credits not yet drawn or expired.")
    priority = models.DecimalField(
        max_digits=12, decimal_places=3, default=Decimal(100), help_text="Lower is drawn first."
    )
    is_free = models.BooleanField(
        help_text="Costs the customer nothing; drawn before paid credits of the same priority."
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    made_at = models.DateTimeField(
        null=True, blank=True, help_text="When Metronome made it, if it said so: what was final then it does not pay."
    )
    created_at = models.DateTimeField()

    class Meta(Job.Meta):
        abstract = False
        constraints = [
            models.CheckConstraint(
                condition=Q(remaining__gte=0, remaining__lte=F("granted")), name="grant_remaining_within_granted"
            )
        ]
        indexes = [
            *Job.Meta.indexes,
            models.Index(fields=["wallet", "priority"], name="grant_to_draw", condition=Q(remaining__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.remaining} of {self.granted}"


class LedgerEntry(models.Model):
    """One signed change of a wallet's balance. Never updated, never deleted."""

    class Kind(models.TextChoices):
        GRANT = "grant"
        GRANT_CHANGE = "grant_change", "grant changed at Metronome"
        CAPTURE = "capture"
        EXPIRY = "expiry"
        ADJUSTMENT = "adjustment"

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="entries", db_index=False)
    kind = models.CharField(max_length=15, choices=Kind.choices)
    amount = models.BigIntegerField(help_text="Credits, signed.")
    balance_after = models.BigIntegerField()
    version = models.BigIntegerField(help_text="The wallet's version this entry made.")
    grant = models.ForeignKey(CreditGrant, on_delete=models.PROTECT, null=True, blank=True, related_name="entries")
    reservation = models.OneToOneField(
        Reservation, on_delete=models.PROTECT, null=True, blank=True, related_name="entry"
    )
    draws = models.JSONField(
        default=list, help_text="[grant, credits] as drawn, with the hour (Unix time) if decided anew."
    )
    note = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "ledger entries"
        constraints = [
            models.UniqueConstraint(fields=["wallet", "version"], name="entry_version_unique"),
            models.UniqueConstraint(fields=["grant"], condition=Q(kind="grant"), name="entry_one_grant"),
        ]
        # Captures are nearly all of the rows; what else happened to a wallet is found without reading them.
        indexes = [models.Index(fields=["wallet", "created_at"], name="entry_no_capture", condition=~Q(kind="capture"))]

    def __str__(self) -> str:
        return f"{self.amount:+} {self.kind}"


class PaymentMethod(models.Model):
    """How to charge a customer. The card itself stays at the gateway; here is only its reference there."""

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, related_name="payment_method")
    gateway = models.CharField(max_length=20)
    reference = models.CharField(max_length=200, help_text="The card's id at the gateway.")
    label = models.CharField(max_length=100, help_text="What the customer sees, such as “Test card •••• 4242”.")

    def __str__(self) -> str:
        return self.label


class PaymentQuerySet(JobQuerySet):
    def open(self) -> Self:
        return self.exclude(state__in=[Payment.State.GRANTED, Payment.State.FAILED, Payment.State.REFUNDED])


class Payment(Job):
    """Money movement with recovery points: every state is a place a worker can die and another go on from."""

    class Kind(models.TextChoices):
        PLAN = "plan"
        RECHARGE = "recharge"

    class State(models.TextChoices):
        INITIATED = "initiated"
        CHARGING = "charging"
        CHARGED = "charged"
        RELEASING = "releasing"
        RELEASED = "released"
        GRANTED = "granted"
        FAILED = "failed"
        REFUNDING = "refunding"
        REFUNDED = "refunded"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="payments")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.INITIATED)
    amount_cents = models.BigIntegerField(help_text="What is charged: the invoice total rounded half up.")
    invoice_total = models.CharField(
        max_length=40, blank=True, default="", help_text="Cents as Metronome sent them, fractions and all."
    )
    currency = models.CharField(max_length=3, default="USD")
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, null=True, blank=True, related_name="payments"
    )
    period = models.PositiveIntegerField(null=True, blank=True)
    workflow_id = models.CharField(max_length=64, null=True, blank=True, unique=True)  # noqa: DJ001  NULL: not a recharge
    invoice_id = models.CharField(max_length=64, blank=True, default="", help_text="Metronome's invoice of a recharge.")
    gateway = models.CharField(max_length=20)
    gateway_reference = models.CharField(
        max_length=200, blank=True, default="", help_text="The charge's id at the gateway."
    )
    doubted_at = models.DateTimeField(
        null=True, blank=True, help_text="When Metronome first called the recharge over without saying how it ended."
    )
    release_refusal = models.TextField(
        blank=True, default="", help_text="Why Metronome did not want a paid release; then we grant the credits."
    )
    grant = models.OneToOneField(CreditGrant, on_delete=models.PROTECT, null=True, blank=True, related_name="payment")
    failure = models.TextField(blank=True, default="", help_text="Why it failed, in words for the customer.")
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    objects = PaymentQuerySet.as_manager()  # type: ignore[misc]

    class Meta(Job.Meta):
        abstract = False
        constraints = [
            models.UniqueConstraint(fields=["subscription", "period"], name="payment_once_a_period"),
            models.UniqueConstraint(
                fields=["customer"],
                condition=Q(kind="recharge") & ~Q(state__in=["granted", "failed", "refunded"]),
                name="payment_one_open_recharge",
            ),
        ]
        indexes = [
            *Job.Meta.indexes,
            models.Index(fields=["customer", "-created_at"], name="payment_by_customer"),
            models.Index(fields=["-created_at"], name="payment_newest"),
            models.Index(fields=["state", "-created_at"], name="payment_by_state"),
            models.Index(fields=["invoice_id"], name="payment_by_invoice"),
            models.Index(fields=["gateway_reference"], name="payment_by_charge"),
            # The condition of `open()`, word for word: that is how PostgreSQL knows that it may use it.
            models.Index(
                fields=["customer"], name="payment_open", condition=~Q(state__in=["granted", "failed", "refunded"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_dollars} ({self.state})"

    @property
    def amount_dollars(self) -> str:
        return f"${self.amount_cents // 100:,}.{self.amount_cents % 100:02}"


class ChargeAtTestGateway(models.Model):
    """The test gateway's own books, as a real provider keeps them on its side: one charge a key. Nobody is charged."""

    key = models.CharField(max_length=128, unique=True)
    method_reference = models.CharField(max_length=200)
    amount_cents = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    description = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    refunded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "charges at test gateway"

    def __str__(self) -> str:
        return f"{self.amount_cents / 100:.2f} {self.currency} ({self.key})"


class Gift(Job):
    """Credits a person decided to give: a kindness, or back for something that went wrong. As a job it owes the grant."""

    class Kind(models.TextChoices):
        GIFT = "gift"
        REFUND = "refund"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="gifts")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    key = models.CharField(max_length=128, unique=True, help_text="Names the grant at Metronome: one gift, one grant.")
    credits = models.BigIntegerField()
    reason = models.CharField(max_length=200)
    by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="gifts_given")
    ends_at = models.DateTimeField()
    grant = models.OneToOneField(
        CreditGrant, on_delete=models.PROTECT, null=True, blank=True, help_text="Empty until Metronome has it."
    )
    created_at = models.DateTimeField()

    class Meta(Job.Meta):
        abstract = False
        constraints = [models.CheckConstraint(condition=Q(credits__gt=0), name="gift_of_something")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.credits:,} credits"


class AutoRechargeQuerySet(JobQuerySet):
    def in_trouble(self) -> Self:
        """The last recharge failed, or did not come."""
        return self.filter(Q(stuck_at__isnull=False) | ~Q(failure=""))


class AutoRecharge(Job):
    """The customer's recharge settings. As a job it owes their mirror on the Metronome contract."""

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, related_name="auto_recharge")
    enabled = models.BooleanField(default=False)
    threshold_credits = models.BigIntegerField()
    recharge_to_credits = models.BigIntegerField()
    failure = models.TextField(
        blank=True, default="", help_text="Why the last recharge failed; shown until it is enabled again."
    )
    low_since_at = models.DateTimeField(
        null=True, blank=True, help_text="At or under the threshold with nothing under way since then."
    )
    stuck_at = models.DateTimeField(
        null=True, blank=True, help_text="The recharge did not come; it was toggled once to make Metronome look again."
    )

    objects = AutoRechargeQuerySet.as_manager()  # type: ignore[misc]

    class Meta(Job.Meta):
        abstract = False

    def __str__(self) -> str:
        return "on" if self.enabled else "off"


class WebhookEvent(Job):
    """Inbox: one row per provider event id. As a job it owes its processing."""

    event_id = models.CharField(max_length=128, unique=True)
    type = models.CharField(max_length=128, db_index=True)
    customer_metronome_id = models.CharField(max_length=64, blank=True, default="")
    payload = models.JSONField()
    received_at = models.DateTimeField(db_index=True)
    processed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=200, blank=True, default="", help_text="What was done, or why nothing was.")

    class Meta(Job.Meta):
        abstract = False
        indexes = [
            *Job.Meta.indexes,
            models.Index(fields=["customer_metronome_id", "id"], name="webhookevent_by_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class Drift(models.Model):
    """A difference between a wallet and Metronome that usage under way does not explain."""

    class State(models.TextChoices):
        OPEN = "open"
        ADJUSTED = "adjusted"
        GONE = "gone", "gone by itself"

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="drifts")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    difference = models.BigIntegerField(help_text="Credits at Metronome minus credits here, beyond what is under way.")
    wallet_balance = models.BigIntegerField()
    metronome_balance = models.BigIntegerField()
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    same_since_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Since when this very difference is read with nothing under way. Only that may be adjusted.",
    )
    approved_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        help_text="Who agreed to an adjustment above the automatic limit.",
    )
    entry = models.OneToOneField(
        LedgerEntry, on_delete=models.PROTECT, null=True, blank=True, help_text="The adjustment."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["wallet"], condition=Q(state="open"), name="drift_one_open")]

    def __str__(self) -> str:
        return f"{self.difference:+} ({self.state})"
