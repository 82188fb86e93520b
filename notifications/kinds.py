"""The kinds of event that customers can have sent to them, and what each says."""

from __future__ import annotations

KINDS: dict[str, str] = {
    "balance.low": "The balance is at the threshold of your automatic recharge or below it; without"
    " one, at 10 % of your plan’s credits",
    "balance.depleted": "The last credit is spent, or a request was refused for lack of credits",
    "balance.recharged": "An automatic recharge has added credits",
    "key.budget_reached": "An API key has reached its budget",
    "generation.completed": "A text is spoken and charged",
    "generation.failed": "A text could not be spoken; its credits are back",
    "voice.ready": "An own voice is set up",
    "payment.failed": "A payment failed: declined, not confirmed, or called off",
}
# What the customer is told by e-mail. A kind that is in both goes both ways.
NOTICES: dict[str, str] = {
    "account.welcome": "The account exists",
    "account.address_changed": "The e-mail address was changed; told to the former one",
    "account.password_changed": "The password was changed",
    "balance.low": "The balance is at the customer’s level or below it",
    "balance.depleted": "The last credit is spent",
    "card.expires_soon": "The card expires next month",
    "credits.ending": "Credits expire soon",
    "payment.action_needed": "The customer’s bank wants a payment confirmed",
    "payment.disputed": "The customer’s bank has withdrawn a payment",
    "payment.received": "Money was taken: the receipt",
    "payment.refund_failed": "A refund came back from the bank, or was called off",
    "payment.refunded": "Money was given back",
    "plan.changed": "Another plan began, or will at the end of the period",
    "plan.ended": "The plan has ended",
    "plan.renews_soon": "The plan is renewed in three days",
    "recharge.declined": "An automatic recharge was declined and is switched off",
    "recharge.done": "An automatic recharge has added credits",
    "recharge.limit_near": "80 % of the month’s limit is used",
    "recharge.limit_reached": "The month’s limit is used up",
    "renewal.declined": "The payment of the next period was declined",
    "trial.ends_soon": "The trial ends in three days",
}
# Sent when its customer asks for it, on the page or over the API, whatever the endpoint wants.
PING = "ping"
