"""The kinds of mail: what each needs to know, and whether people can do without it.

The words are in `templates/emails/kinds/<kind>.html`, once for both forms.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of mail.

    `fields` must be in the data. `until` names the one after whose moment the mail is pointless.
    `choice` is what the page of preferences calls it: only mails with one can be turned off.
    """

    fields: tuple[str, ...] = ()
    until: str = ""
    choice: str = ""

    @property
    def is_optional(self) -> bool:
        return bool(self.choice)


KINDS: dict[str, Kind] = {
    "account.confirm_address": Kind(),
    "account.password_reset": Kind(),
    "account.welcome": Kind(),
    "account.address_changed": Kind(),
    "account.password_changed": Kind(),
    "account.address_asked": Kind(),
    "account.factor_added": Kind(("what",)),
    "account.factor_removed": Kind(("what", "is_last")),
    "account.recovery_code_used": Kind(("left",)),
    "account.recovery_codes_made": Kind(),
    "balance.low": Kind(("balance", "level"), choice="Your credits run low"),
    "balance.depleted": Kind(("balance",), choice="Your credits are used up"),
    "card.expires_soon": Kind(("card", "expires"), choice="Your card expires next month"),
    "credits.ending": Kind(("credits", "ends_at"), "ends_at", choice="Credits expire soon"),
    "payment.action_needed": Kind(("what", "amount_cents", "confirm_by"), "confirm_by"),
    "payment.disputed": Kind(("amount_cents", "state")),
    "payment.received": Kind(("payment", "what", "amount_cents", "credits", "card")),
    "payment.refund_failed": Kind(("payment", "amount_cents", "credits", "is_called_off")),
    "payment.refunded": Kind(("payment", "amount_cents", "credits")),
    "plan.changed": Kind(("from", "to", "at", "amount_cents")),
    "plan.ended": Kind(("plan", "reason")),
    "plan.renews_soon": Kind(("plan", "at", "amount_cents"), "at"),
    "recharge.declined": Kind(("amount_cents", "failure")),
    "recharge.done": Kind(("amount_cents", "credits", "month_cents", "limit_cents")),
    "recharge.limit_near": Kind(("limit_cents", "month_cents", "resets_at"), "resets_at"),
    "recharge.limit_reached": Kind(("limit_cents", "month_cents", "resets_at"), "resets_at"),
    "renewal.declined": Kind(("plan", "amount_cents", "failure", "next_attempt_at", "ends_at")),
    "trial.ends_soon": Kind(
        ("ends_at", "offer_percent"), "ends_at", choice="Your trial ends in three days"
    ),
}


def optional() -> dict[str, str]:
    """What people can turn off: kind and its name on the page of preferences."""
    return {kind: traits.choice for kind, traits in KINDS.items() if traits.is_optional}
