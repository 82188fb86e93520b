"""What saving the settings would charge at once: shown before, and computed by what does it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.models import Contract, Recharge, Wallet
from billing.payments import tax

from . import gate, limits
from .requests import own_total
from .watchdog import has_open_recharge


@dataclass(frozen=True, slots=True)
class AtOnce:
    """The recharge that saving starts: `credits` for `total_cents`, not before `charged_at`.

    That is their price, `amount_cents`, and the tax on it.

    If the month's limit does not allow it, nothing is charged, and recharges pause until
    `month.resets_at`.
    """

    credits: int
    amount_cents: int
    balance: int
    charged_at: datetime
    month: limits.Month
    tax_cents: int = 0

    @property
    def total_cents(self) -> int:
        return self.amount_cents + self.tax_cents

    @property
    def is_over_limit(self) -> bool:
        return not gate.is_metronomes() and not self.month.allows(self.total_cents)

    @property
    def due_cents(self) -> int:
        return 0 if self.is_over_limit else self.total_cents


def at_once(
    *,
    customer_id: UUID,
    threshold_credits: int,
    recharge_to_credits: int,
    limit_cents: int | None,
    now: datetime,
) -> AtOnce | None:
    """The recharge that switched-on settings of these numbers would start, None if none.

    None starts above the threshold, while another one is under way, or before the customer has a
    contract, which comes with the first credits.
    """
    if not Contract.objects.filter(customer_id=customer_id).exclude(metronome_id=None).exists():
        return None
    balance = Wallet.objects.filter(customer_id=customer_id).values_list("balance", flat=True)
    left = balance.first() or 0
    if left > threshold_credits or has_open_recharge(customer_id):
        return None
    credits = recharge_to_credits - left
    amount_cents = Recharge(invoice_total=str(own_total(credits))).amount_cents
    return AtOnce(
        credits=credits,
        amount_cents=amount_cents,
        tax_cents=tax.on(customer_id, amount_cents),
        balance=left,
        charged_at=limits.next_charge_at(customer_id, now),
        month=limits.month_with(
            customer_id, now, limit_cents=limit_cents, recharge_to_credits=recharge_to_credits
        ),
    )
