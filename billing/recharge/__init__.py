"""Auto-recharge: settings, their mirror on the Metronome contract, recharges and a watchdog.

The watchdog detects recharges that do not come.

Metronome decides when a recharge is due and for how much. The money moves in `billing.payments`.
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
from .watchdog import clear_low_balance, track_low_balance

__all__ = [
    "TO_CREDITS_MAX",
    "SettingsInvalid",
    "clear_low_balance",
    "errors_of",
    "follow_metronome",
    "is_off_by_choice",
    "is_switched_off",
    "mirror",
    "remember",
    "save_settings",
    "switch_off",
    "track_low_balance",
]
