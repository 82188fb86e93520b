"""A failing run, told for a person: what broke, what the ledger says, and what happened last."""

from __future__ import annotations

from collections.abc import Iterator
from traceback import extract_tb

from billing.models import CreditGrant, LedgerEntry, Payment, Recharge, Wallet

STEPS_TOLD = 20


def tell(*, seed: int, error: BaseException, log: list[str]) -> str:
    """The invariant, each customer's credits and the last steps; `make simulate SEED=…` tells the
    whole story."""
    return "\n".join(
        [
            f"seed {seed}: {_broken(error)}",
            *_books(),
            f"The last {STEPS_TOLD} steps (the whole story: make simulate SEED={seed}):",
            *last_steps(log, STEPS_TOLD),
        ]
    )


def last_steps(log: list[str], count: int) -> list[str]:
    """The last `count` steps; indented lines happened in the step above."""
    begins = [number for number, line in enumerate(log) if not line.startswith(" ")]
    return log[begins[-count] :] if len(begins) >= count else log


def _broken(error: BaseException) -> str:
    """What it says, or else the line that raised it."""
    frames = extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {str(error) or (frames[-1].line if frames else '')}"


def _books() -> Iterator[str]:
    for wallet in Wallet.objects.select_related("customer__user").order_by("id"):
        yield (
            f"Customer {wallet.customer_id} ({wallet.customer.user.email}): "
            f"balance {wallet.balance:,}, reserved {wallet.reserved:,}"
        )
        for grant in CreditGrant.objects.filter(wallet=wallet).order_by("id"):
            yield (
                f"  grant {grant.pk} {grant.name}: {grant.remaining:,} of {grant.granted:,} left, "
                f"{grant.starts_at:%Y-%m-%d %H:%M} to {grant.ends_at:%Y-%m-%d %H:%M}, "
                f"heard of {grant.created_at:%m-%d %H:%M}"
            )
        for payment in Payment.objects.filter(customer=wallet.customer_id).order_by(
            "created_at", "pk"
        ):
            yield (
                f"  {payment.created_at:%Y-%m-%d %H:%M:%S} {payment}, "
                f"grant {payment.grant_id} {payment.failure}"
            )
        for recharge in Recharge.objects.filter(customer=wallet.customer_id).order_by("pk"):
            yield (
                f"  {recharge.created_at:%Y-%m-%d %H:%M:%S} {recharge}, grant {recharge.grant_id} "
                f"{recharge.release_refusal}{recharge.failure}"
            )
        for entry in LedgerEntry.objects.filter(wallet=wallet).order_by("id"):
            paid = f", paid by {entry.consumptions}" if entry.consumptions else ""
            yield (
                f"  {entry.created_at:%Y-%m-%d %H:%M:%S} {entry.kind} {entry.amount:+,}"
                f" = {entry.balance_after:,}"
                f"{paid}{f' ({entry.note})' if entry.note else ''}"
            )
