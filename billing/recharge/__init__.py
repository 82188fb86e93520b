"""Auto-recharge: the customer's settings, their mirror on the Metronome contract, and the watch over one that got lost.

Metronome decides when a recharge is due and for how much; the payment itself is in `billing.payments`.
"""

from .settings import (
    TO_CREDITS_MAX,
    SettingsInvalid,
    errors_of,
    follow_metronome,
    is_off_by_choice,
    is_switched_off,
    mirror,
    remember,
    save_settings,
    switch_off,
)
from .watchdog import settle, watch

__all__ = [
    "TO_CREDITS_MAX", "SettingsInvalid", "errors_of", "follow_metronome", "is_off_by_choice", "is_switched_off",
    "mirror", "remember", "save_settings", "settle", "switch_off", "watch",
]  # fmt: skip
