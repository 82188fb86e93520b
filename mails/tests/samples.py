"""Data of every kind of mail, as those who write them give it."""

from __future__ import annotations

from typing import Any

SAMPLES: dict[str, dict[str, Any]] = {
    "account.confirm_address": {},
    "account.password_reset": {},
    "account.welcome": {},
    "account.address_changed": {},
    "account.password_changed": {},
    "account.address_asked": {},
    "account.factor_added": {"what": "passkey"},
    "account.factor_removed": {"what": "app", "is_last": True},
    "account.recovery_code_used": {"left": 9},
    "account.recovery_codes_made": {},
    "balance.low": {"balance": 4_210, "level": 5_000},
    "balance.depleted": {"balance": 0},
    "card.expires_soon": {"card": "Visa ending in 4242", "expires": "December 2026"},
    "credits.ending": {
        "credits": 1_234,
        "ends_at": "2126-12-05T14:05:00+00:00",
        "grant": "Creator plan",
    },
    "payment.action_needed": {
        "payment": "0b0f",
        "what": "Creator plan",
        "amount_cents": 4_900,
        "confirm_by": "2126-12-05T14:05:00+00:00",
    },
    "payment.disputed": {"payment": "0b0f", "amount_cents": 4_900, "state": "withdrawn"},
    "payment.received": {
        "payment": "0b0f6a4e",
        "kind": "plan",
        "what": "Creator plan",
        "amount_cents": 4_900,
        "currency": "USD",
        "credits": 250_000,
        "card": "Visa ending in 4242",
    },
    "payment.refund_failed": {
        "payment": "0b0f6a4e",
        "amount_cents": 1_250,
        "credits": 60_000,
        "is_called_off": False,
        "is_disputed": False,
        "is_plan": True,
    },
    "payment.refunded": {
        "payment": "0b0f6a4e",
        "amount_cents": 1_250,
        "credits": 60_000,
        "reason": "You asked for it.",
        "is_recharge_off": True,
    },
    "plan.changed": {
        "from": "creator",
        "to": "pro",
        "at": "2126-12-05T14:05:00+00:00",
        "amount_cents": 10_345,
    },
    "plan.ended": {"plan": "creator", "reason": "The card was declined three times"},
    "plan.renews_soon": {
        "plan": "creator",
        "at": "2126-12-05T14:05:00+00:00",
        "amount_cents": 4_900,
    },
    "recharge.declined": {
        "recharge": 7,
        "amount_cents": 1_250,
        "failure": "The card was declined.",
    },
    "recharge.done": {
        "recharge": 7,
        "amount_cents": 1_250,
        "credits": 50_000,
        "month_cents": 2_500,
        "limit_cents": 3_750,
    },
    "recharge.limit_near": {
        "limit_cents": 5_000,
        "month_cents": 4_100,
        "resets_at": "2127-01-01T00:00:00+00:00",
    },
    "recharge.limit_reached": {
        "limit_cents": 5_000,
        "month_cents": 5_000,
        "resets_at": "2127-01-01T00:00:00+00:00",
    },
    "renewal.declined": {
        "plan": "creator",
        "amount_cents": 4_900,
        "failure": "The card was declined.",
        "attempt": 1,
        "next_attempt_at": "2126-12-08T14:05:00+00:00",
        "ends_at": "2126-12-12T14:05:00+00:00",
    },
    "trial.ends_soon": {"ends_at": "2126-12-05T14:05:00+00:00", "offer_percent": 20},
}
