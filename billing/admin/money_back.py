"""Refunds, disputes and what Stripe warns of. A refund begins on the page of its payment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from billing.disputes import flow as disputes
from billing.models import Dispute, PaymentAlert, Refund
from billing.models.payments import dollars
from billing.refunds import requests as refunds
from operations.admin import JobRowAdmin, ReadOnlyAdmin, WorkFilter
from operations.command import Refused
from operations.confirmation import Reason, confirmed

from . import refund_page
from .owners import OfCustomer

State = Refund.State


@admin.register(Refund)
class RefundAdmin(OfCustomer, JobRowAdmin):
    list_display = (
        "created_at",
        "customer",
        "state",
        "amount_dollars",
        "credits",
        "reason",
        "by",
        "failure",
    )
    list_filter = ("state", WorkFilter)
    list_select_related = ("customer__user", "by")
    exact_fields = ("reference",)
    actions = ["retry", "send_again", "settle_by_hand", "call_off"]

    @confirmed(
        "Send again",
        explains="Tries once more to pay the money back to the card, under a new key.",
        applies=lambda row: row.state == State.REFUSED,
    )
    def send_again(self, request: HttpRequest, rows: QuerySet[Refund]) -> None:
        self._each(request, rows, "Sent again", lambda row: refunds.send_again(row, timezone.now()))

    @confirmed(
        "Paid by hand",
        explains=(
            "For money that the bank refused and that you have paid in another way. Say how: the "
            "customer reads it."
        ),
        asks=Reason,
        applies=lambda row: row.state == State.REFUSED,
    )
    def settle_by_hand(self, request: HttpRequest, rows: QuerySet[Refund], reason: str) -> None:
        def act(row: Refund) -> None:
            refunds.settle_by_hand(row, how=reason, now=timezone.now())

        self._each(request, rows, "Settled", act, note=reason)

    @confirmed(
        "Give the credits back",
        explains=(
            "For a refund that cannot be paid: its credits return, and the payment is charged as "
            "before. A plan that ended with it stays ended."
        ),
        asks=Reason,
        applies=lambda row: row.state == State.REFUSED or row.dead_at is not None,
    )
    def call_off(self, request: HttpRequest, rows: QuerySet[Refund], reason: str) -> None:
        def act(row: Refund) -> None:
            refunds.call_off(row, timezone.now())

        self._each(request, rows, "Called off", act, note=reason)

    def _each(
        self,
        request: HttpRequest,
        rows: QuerySet[Refund],
        done: str,
        act: Callable[[Refund], None],
        note: str = "",
    ) -> None:
        def tell(row: Refund) -> None:
            try:
                act(row)
            except refunds.NotPossible as error:
                raise Refused(str(error)) from None

        self.each(request, rows, done, tell, note=note)


class UndecidedFilter(admin.SimpleListFilter):
    title = "to decide"
    parameter_name = "decide"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "lost, and the wallet is still frozen")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.undecided() if self.value() else queryset


@admin.register(Dispute)
class DisputeAdmin(OfCustomer, JobRowAdmin):
    """Retry reads it again at Stripe. A lost one leaves the wallet to staff."""

    list_display = (
        "created_at",
        "customer",
        "state",
        "status",
        "amount_dollars",
        "reason",
        "evidence_due_at",
        "credits_taken",
        "settled_at",
    )
    list_filter = ("state", UndecidedFilter, WorkFilter)
    exact_fields = ("reference",)
    actions = ["retry", "unfreeze", "keep_frozen"]

    @confirmed(
        "Unfreeze the wallet",
        explains=(
            "You have talked with the customer: the wallet can be spent from again, whatever else "
            "froze it. Plans and top-ups can be bought again."
        ),
        asks=Reason,
        applies=lambda row: row.state == Dispute.State.LOST and row.decided_at is None,
    )
    def unfreeze(self, request: HttpRequest, rows: QuerySet[Dispute], reason: str) -> None:
        def act(row: Dispute) -> None:
            if not Dispute.objects.undecided().filter(pk=row.pk).exists():
                raise Refused("does not keep a wallet frozen any more")
            disputes.unfreeze(row.customer_id, timezone.now())

        self.each(request, rows, "Unfrozen", act, note=reason)

    @confirmed(
        "Keep the wallet frozen",
        explains=(
            "You have looked at it: the wallet stays frozen, nothing is sold to the customer, and "
            "the start page does not ask again. Unfreezing the wallet ends it."
        ),
        asks=Reason,
        applies=lambda row: row.state == Dispute.State.LOST and row.decided_at is None,
    )
    def keep_frozen(self, request: HttpRequest, rows: QuerySet[Dispute], reason: str) -> None:
        def act(row: Dispute) -> None:
            if not disputes.decided(row.customer_id, timezone.now()):
                raise Refused("does not keep a wallet frozen any more")

        self.each(request, rows, "Kept frozen", act, note=reason)


class OpenFilter(admin.SimpleListFilter):
    title = "open"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "needs a look")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(closed_at=None) if self.value() else queryset


@admin.register(PaymentAlert)
class PaymentAlertAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = (
        "created_at",
        "customer",
        "kind",
        "detail",
        "amount",
        "advice",
        "closed_at",
        "closed_because",
    )
    list_filter = (OpenFilter, "kind")
    exact_fields = ("reference",)
    ordering = ("-created_at",)
    readonly_fields = ("advice",)
    actions = ["close"]

    @admin.display(description="amount")
    def amount(self, row: PaymentAlert) -> str:
        return dollars(row.amount_cents)

    @admin.display(description="what to do")
    def advice(self, row: PaymentAlert) -> str:
        if row.closed_at:
            return "—"
        link = format_html('<a href="{}">Refund</a>', refund_page.address(row.payment_id))
        return format_html("{} {}", refund_page.ADVICE[PaymentAlert.Kind(row.kind)], link)

    @confirmed(
        "Close",
        explains="You have looked at it, and nothing is left to do.",
        asks=Reason,
        applies=lambda row: row.closed_at is None,
    )
    def close(self, request: HttpRequest, rows: QuerySet[PaymentAlert], reason: str) -> None:
        def act(row: PaymentAlert) -> None:
            mine = PaymentAlert.objects.filter(pk=row.pk, closed_at=None)
            if not mine.update(closed_at=timezone.now(), closed_because=reason):
                raise Refused("is closed already")

        self.each(request, rows, "Closed", act, note=reason)
