"""Auto-recharge: settings, their mirror on the Metronome contract, recharges and a watchdog.

The watchdog detects recharges that do not come.

Metronome decides when a recharge is due and for how much. The money moves in `billing.payments`.
"""

from .gate import is_metronomes
from .immediate import AtOnce
from .mirroring import follow_metronome, mirror, remember
from .numbers import LIMIT_CENTS_MAX, TO_CREDITS_MAX, errors_of
from .settings import (
    ON_HOLD,
    SAVE_A_CARD,
    NotShown,
    SettingsInvalid,
    is_off_by_choice,
    is_switched_off,
    mirror_again,
    preview,
    save_settings,
    switch_off,
    why_not_on,
)
from .watchdog import clear_low_balance, track_low_balance

__all__ = [
    "LIMIT_CENTS_MAX",
    "ON_HOLD",
    "SAVE_A_CARD",
    "TO_CREDITS_MAX",
    "AtOnce",
    "NotShown",
    "SettingsInvalid",
    "clear_low_balance",
    "errors_of",
    "follow_metronome",
    "is_metronomes",
    "is_off_by_choice",
    "is_switched_off",
    "mirror",
    "mirror_again",
    "preview",
    "remember",
    "save_settings",
    "switch_off",
    "track_low_balance",
    "why_not_on",
]
