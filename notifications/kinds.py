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
# Sent by the button on the page, to the endpoint whose button it is, whatever that one wants.
PING = "ping"
