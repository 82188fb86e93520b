"""Plans, prices and the length of the trial, for pages, bootstrap_metronome and health."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

PRICING_UNIT_NAME = "Vocalis Credits (VC)"
CREDITS_PER_CENT = 40
CREDITS_PER_DOLLAR = 100 * CREDITS_PER_CENT

# Credits per use. Voice generation is priced per character (code point), own voices once.
STANDARD_CREDITS = 1
PREMIUM_CREDITS = 2
OWN_VOICE_CREDITS = 25_000

# How many days before its end a trial, or the period of a plan, is told of; and what is off the
# price of the first month for who chooses a plan between that and the end of the trial.
REMIND_DAYS = 3
TRIAL_OFFER_PERCENT = 20

# How long the audio of a customer without a plan is kept. It can be made again, free, for ever.
AUDIO_DAYS_WITHOUT_PLAN = 30

# Priorities of grants; lower is drawn first. Complimentary credits come before plan credits, which
# expire monthly, and those before packs, which were bought to last.
PRIORITY_COMPLIMENTARY, PRIORITY_PLAN, PRIORITY_PACK = 5, 10, 100

# Metronome's own minimums for auto-recharge, at our conversion: threshold $5, target $10 above it.
# https://docs.metronome.com/guides/customers-billing/optimize-customer-experience/prepaid-balance-thresholds
RECHARGE_THRESHOLD_CREDITS_MIN = 500 * CREDITS_PER_CENT
RECHARGE_CREDITS_MIN = 1_000 * CREDITS_PER_CENT
RECHARGE_THRESHOLD_CREDITS_DEFAULT = 25_000
RECHARGE_TO_CREDITS_DEFAULT = 200_000
# A month's limit that the customer does not set is that of so many recharges.
RECHARGE_LIMIT_RECHARGES = 3
# Top-ups. A free amount buys CREDITS_PER_CENT for each cent, and a pack what it says.
PACK_CENTS_MIN, PACK_CENTS_MAX = 500, 50_000
PACK_DAYS = 365
PACK_GRANT_NAME = "Top-up"
# Name of the commits that automatic recharges create. It is set on the contract, and such commits
# are recognised by it.
RECHARGE_COMMIT_NAME = "Auto-recharge"


@dataclass(frozen=True, slots=True)
class Pack:
    """A top-up. Price and credits are separate numbers, so that one may bring a bonus."""

    price_cents: int
    credits: int

    @property
    def price_dollars(self) -> str:
        cents = self.price_cents % 100
        return f"${self.price_cents // 100:,}" + (f".{cents:02}" if cents else "")


PACKS = (Pack(1_000, 40_000), Pack(2_500, 100_000), Pack(10_000, 400_000))


def pack_of(amount_cents: int) -> Pack | None:
    """The top-up for this amount: a pack, or a free amount. None outside the bounds."""
    for pack in PACKS:
        if pack.price_cents == amount_cents:
            return pack
    if not PACK_CENTS_MIN <= amount_cents <= PACK_CENTS_MAX:
        return None
    return Pack(amount_cents, amount_cents * CREDITS_PER_CENT)


def cents_of(credits: int) -> int:
    """What so many credits cost, in whole cents, rounded half up."""
    return int((Decimal(credits) / CREDITS_PER_CENT).to_integral_value(ROUND_HALF_UP))


def recharge_limit_cents(recharge_to_credits: int) -> int:
    """The most that a month charges without a limit of the customer's own: three recharges.

    Each may begin with an empty balance: speech goes on below the threshold until it comes.
    """
    return RECHARGE_LIMIT_RECHARGES * cents_of(recharge_to_credits)


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests an API key may make, in a minute and at once."""

    requests_a_minute: int
    requests_at_once: int

    @property
    def of_account(self) -> Rate:
        """All its keys together: twice as many, so that one program leaves room for another."""
        return Rate(2 * self.requests_a_minute, 2 * self.requests_at_once)


RATE_WITHOUT_PLAN = Rate(120, 5)


@dataclass(frozen=True, slots=True)
class Plan:
    key: str
    name: str
    credits: int
    price_cents: int | None  # None: by agreement
    days: int | None = None  # None: monthly
    audio_days: int | None = None  # how long what is spoken is kept; None: until it is deleted
    once: bool = False
    rate: Rate = RATE_WITHOUT_PLAN  # of the API
    pitch: str = ""

    @property
    def is_free(self) -> bool:
        return self.price_cents == 0

    @property
    def price_dollars(self) -> str:
        return "" if self.price_cents is None else f"${self.price_cents // 100:,}"


PLANS: dict[str, Plan] = {
    plan.key: plan
    for plan in (
        Plan(
            "trial",
            "Trial",
            50_000,
            0,
            days=14,
            audio_days=30,
            once=True,
            pitch="Try every voice for two weeks. No card.",
        ),
        Plan(
            "creator",
            "Creator",
            250_000,
            4_900,
            audio_days=90,
            rate=Rate(300, 10),
            pitch="For videos, lessons and a podcast.",
        ),
        Plan(
            "pro",
            "Pro",
            1_000_000,
            14_900,
            audio_days=365,
            rate=Rate(1_200, 20),
            pitch="For audiobooks and programs that speak.",
        ),
        Plan(
            "enterprise",
            "Enterprise",
            0,
            None,
            rate=Rate(3_000, 40),
            pitch="Volume prices, invoices, your own agreement.",
        ),
    )
}


def audio_days(plan: str | None) -> int | None:
    """For how many days audio is kept on this plan, a key of PLANS; None: until it is deleted."""
    return AUDIO_DAYS_WITHOUT_PLAN if plan is None else PLANS[plan].audio_days


def rate(plan: str | None) -> Rate:
    """How many requests an API key may make on this plan, a key of PLANS or None."""
    return RATE_WITHOUT_PLAN if plan is None else PLANS[plan].rate
