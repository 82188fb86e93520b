"""Contracts at Metronome and the plans chosen on them."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from billing.models import Contract, Subscription, TrialClaim
from billing.subscriptions import choose, dunning, status
from operations.admin import JobRowAdmin, ReadOnlyAdmin, WorkFilter
from operations.command import Refused
from operations.confirmation import Reason, confirmed

from .owners import OfCustomer

State = Subscription.State


@admin.register(Contract)
class ContractAdmin(OfCustomer, JobRowAdmin):
    """Retry reads grants and balance from Metronome now."""

    list_display = (
        "customer",
        "metronome_id",
        "starts_at",
        "synced_at",
        "recharge_enabled",
        "zero_overage",
    )
    list_filter = ("zero_overage", WorkFilter)
    exact_fields = ("metronome_id",)


@admin.register(Subscription)
class SubscriptionAdmin(OfCustomer, JobRowAdmin):
    list_display = (
        "customer",
        "plan",
        "standing",
        "next_plan",
        "period",
        "period_start_at",
        "period_end_at",
        "tries",
        "failure",
    )
    list_filter = ("state", "plan", ("past_due_at", admin.EmptyFieldListFilter), WorkFilter)
    exact_fields = ("key",)
    actions = ["retry", "try_payment", "end_plan", "give_up"]

    @admin.display(description="state")
    def standing(self, row: Subscription) -> str:
        found = status.status_of(row, timezone.now())
        if found.state != "past_due":
            return found.state
        next_at = f", next try {found.next_try_at:%Y-%m-%d %H:%M}" if found.next_try_at else ""
        return f"past due{next_at}"

    @confirmed(
        "Try the payment now",
        explains="Charges the customer's card once more for the renewal that was declined.",
        applies=lambda row: row.state == State.ACTIVE and row.past_due_at is not None,
    )
    def try_payment(self, request: HttpRequest, rows: QuerySet[Subscription]) -> None:
        def act(row: Subscription) -> None:
            due = dunning.due_payment(row)
            try:
                dunning.pay_now(
                    customer=row.customer,
                    tried=due.attempt_number if due else 0,
                    now=timezone.now(),
                )
            except choose.PlanRefused as refused:
                raise Refused(str(refused)) from None

        self.each(request, rows, "Payment tried", act)

    @confirmed(
        "End the plan now",
        explains="The plan ends at once; its credits stay until they expire. Nothing is paid back.",
        asks=Reason,
        applies=lambda row: row.state == State.ACTIVE,
    )
    def end_plan(self, request: HttpRequest, rows: QuerySet[Subscription], reason: str) -> None:
        def act(row: Subscription) -> None:
            if row.state != State.ACTIVE:
                raise Refused("it is not active")
            try:
                choose.end_now(customer=row.customer, now=timezone.now())
            except choose.PlanRefused as refused:
                raise Refused(str(refused)) from None

        self.each(request, rows, "Ended", act, note=reason)

    @confirmed(
        "Call the choice off",
        explains=(
            "For a plan that cannot be set up: the former plan goes on, and the credits that were "
            "taken back of it return. The customer reads the reason."
        ),
        asks=Reason,
        applies=lambda row: row.state == State.REQUESTED,
    )
    def give_up(self, request: HttpRequest, rows: QuerySet[Subscription], reason: str) -> None:
        def act(row: Subscription) -> None:
            if not choose.give_up(subscription=row, reason=reason, now=timezone.now()):
                raise Refused("it is not being set up any more")

        self.each(request, rows, "Called off", act, note=reason)


@admin.register(TrialClaim)
class TrialClaimAdmin(OfCustomer, ReadOnlyAdmin):
    """Mailboxes that have had the trial. The row names nobody: it keeps a hash."""

    list_display = ("customer", "claimed_at")
    ordering = ("-pk",)
