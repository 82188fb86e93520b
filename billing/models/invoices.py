"""Who is billed, invoices at Metronome as they were last read, and the papers that we issue."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from accounts.models import Customer
from jobs.models import JobRow

from .payments import Payment, dollars


class BillingProfile(JobRow):
    """Whom papers are made out to, as the customer wrote it.

    The job on the row tells the payment gateway.
    """

    due_within_seconds = 0

    customer = models.OneToOneField(
        Customer, on_delete=models.PROTECT, related_name="billing_profile"
    )
    name = models.CharField("name or company", max_length=160)
    line1 = models.CharField("street and number", max_length=160)
    line2 = models.CharField("more of the address", max_length=160, blank=True, default="")
    postal_code = models.CharField(max_length=20, blank=True, default="")
    city = models.CharField(max_length=100)
    state = models.CharField("state or region", max_length=100, blank=True, default="")
    country = models.CharField(max_length=2, help_text="ISO 3166, such as DE.")
    tax_id = models.CharField(
        max_length=40, blank=True, default="", help_text="In the form of its register."
    )
    changed_at = models.DateTimeField()
    pushed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the payment gateway was told of it last."
    )
    tax_percent = models.DecimalField(
        max_digits=8,
        decimal_places=5,
        null=True,
        blank=True,
        help_text="Tax on prices at this address. Empty until the gateway has said it.",
    )
    is_reverse_charged = models.BooleanField(
        default=False,
        help_text="There is no tax because the customer accounts for it, as the gateway said.",
    )
    tax_asked_at = models.DateTimeField(
        null=True, blank=True, help_text="When the gateway said that."
    )

    class Meta(JobRow.Meta):
        abstract = False

    def __str__(self) -> str:
        return self.name


class InvoiceReading(JobRow):
    """When a customer's invoices were last read from Metronome. The job on the row reads them."""

    due_within_seconds = 21_600

    customer = models.OneToOneField(
        Customer, on_delete=models.PROTECT, related_name="invoice_reading"
    )
    read_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when what is shown is as Metronome has it."
    )
    is_whole = models.BooleanField(
        default=False, help_text="All invoices were read once; from then on the recent ones."
    )

    class Meta(JobRow.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"invoices read at {self.read_at}"


class Invoice(models.Model):
    """An invoice at Metronome, as it was last read."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        FINALIZED = "finalized"
        VOID = "void"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="invoices")
    remote_id = models.CharField(max_length=64, unique=True, help_text="Its id at Metronome.")
    kind = models.CharField(max_length=40, help_text="Metronome's type: usage, scheduled, …")
    status = models.CharField(max_length=10, choices=Status.choices)
    total_cents = models.BigIntegerField()
    lines = models.JSONField(
        default=list, help_text="name, quantity, unit_price, total (as text) and unit of each."
    )
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Of the usage it is about.")
    ends_at = models.DateTimeField(null=True, blank=True)
    dated_at = models.DateTimeField(help_text="When it was or is to be issued.")
    payment = models.ForeignKey(
        Payment,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="invoices",
        help_text="What it was paid by, if that was one of our charges.",
    )

    class Meta:
        indexes = [
            # What no charge of ours paid. The others are found by their payment.
            models.Index(
                fields=["customer", "-dated_at", "-id"],
                name="invoice_unpaid_by_customer",
                condition=Q(payment__isnull=True),
            ),
            models.Index(fields=["customer", "-dated_at"], name="invoice_by_customer"),
            models.Index(fields=["-dated_at"], name="invoice_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} invoice of {self.total_dollars} ({self.status})"

    @property
    def total_dollars(self) -> str:
        return dollars(self.total_cents)


class Paper(models.Model):
    """An invoice, a receipt, or a receipt of a refund, as it was issued. It is never changed.

    All that is printed is in `content`: what is known of buyer, seller and card may change later,
    and the same paper is the same bytes each time.
    """

    class Kind(models.TextChoices):
        INVOICE = "invoice"
        RECEIPT = "receipt"
        REFUND = "refund", "receipt of a refund"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="papers")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    number = models.CharField(max_length=40, unique=True)
    payment = models.ForeignKey(
        Payment, on_delete=models.PROTECT, null=True, blank=True, related_name="papers"
    )
    invoice = models.ForeignKey(
        Invoice, on_delete=models.PROTECT, null=True, blank=True, related_name="papers"
    )
    content = models.JSONField(help_text="What is printed on it.")
    issued_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["payment"], condition=Q(kind="receipt"), name="paper_once_a_payment"
            ),
            models.UniqueConstraint(fields=["invoice"], name="paper_once_an_invoice"),
            models.CheckConstraint(
                condition=Q(kind="invoice", invoice__isnull=False, payment__isnull=True)
                | Q(kind__in=["receipt", "refund"], payment__isnull=False, invoice__isnull=True),
                name="paper_of_one_thing",
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "-issued_at"], name="paper_by_customer"),
            models.Index(fields=["-issued_at"], name="paper_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.number}"
