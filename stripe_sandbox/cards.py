"""The test cards: what each number does, and the names `pm_card_…` that stand for them.

https://docs.stripe.com/testing"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from stripe_sandbox.wire import CARD, ApiError


@dataclass(frozen=True)
class Decline:
    code: str
    decline_code: str
    message: str
    advice_code: str | None = None
    network_decline_code: str = "05"
    reason: str | None = None  # of the charge's outcome, where it is not the decline code
    outcome: str = "issuer_declined"

    def error(self) -> ApiError:
        return ApiError(
            402,
            self.message,
            self.code,
            kind=CARD,
            decline_code=self.decline_code,
            advice_code=self.advice_code,
            network_decline_code=self.network_decline_code,
        )


_DECLINED = "Your card was declined."
_EXPIRED = "Your card has expired."
_CVC = "Your card's security code is incorrect."
_PROCESSING = "An error occurred while processing your card. Try again in a little bit."
_OWN_CODES = {
    "expired_card": _EXPIRED,
    "incorrect_cvc": _CVC,
    "processing_error": _PROCESSING,
    "incorrect_number": "Your card number is incorrect.",
    "invalid_expiry_month": "Your card's expiration month is invalid.",
    "invalid_expiry_year": "Your card's expiration year is invalid.",
}
_MESSAGES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "authentication_required": (
        "Your card was declined. This transaction requires authentication."
    ),
    "card_velocity_exceeded": "Your card was declined for making repeated attempts too frequently "
    "or exceeding its amount limit.",
    "card_not_supported": "Your card does not support this type of purchase.",
}
_ADVICE = {
    "insufficient_funds": "try_again_later",
    "generic_decline": "try_again_later",
    "processing_error": "try_again_later",
    "expired_card": "confirm_card_data",
    "incorrect_cvc": "confirm_card_data",
    "incorrect_number": "confirm_card_data",
    "lost_card": "do_not_try_again",
    "stolen_card": "do_not_try_again",
    "pickup_card": "do_not_try_again",
    "revocation_of_authorization": "do_not_try_again",
    "stop_payment_order": "do_not_try_again",
}
_NETWORK = {
    "insufficient_funds": "51",
    "lost_card": "41",
    "stolen_card": "43",
    "expired_card": "54",
    "incorrect_cvc": "N7",
    "processing_error": "96",
    "pickup_card": "04",
    "authentication_required": "65",
}


def decline_of(decline_code: str, advice_code: str | None = None) -> Decline:
    """The decline Stripe would give for an issuer's reason; most have the code card_declined."""
    is_own = decline_code in _OWN_CODES or decline_code == "authentication_required"
    return Decline(
        code=decline_code if is_own else "card_declined",
        decline_code=decline_code,
        message=_OWN_CODES.get(decline_code) or _MESSAGES.get(decline_code, _DECLINED),
        advice_code=advice_code or _ADVICE.get(decline_code),
        network_decline_code=_NETWORK.get(decline_code, "05"),
    )


BLOCKED = Decline(
    "card_declined",
    "fraudulent",
    _DECLINED,
    advice_code="do_not_try_again",
    reason="highest_risk_level",
    outcome="blocked",
)
LIVE = Decline(
    "card_declined",
    "live_mode_test_card",
    "Your card was declined. Your request was in live mode, but used a known test card.",
)


@dataclass(frozen=True)
class TestCard:
    """`auth` says when the bank wants its customer to confirm: `never`, `unless_set_up` (on session
    always), `on_session` or `always`."""

    number: str
    brand: str = "visa"
    country: str = "US"
    funding: str = "credit"
    saving: Decline | None = None  # refused already when it is saved
    charging: Decline | None = None  # refused at every charge
    auth: str = "never"
    after: str = ""  # what follows a successful charge: a dispute, a warning, a fate of refunds

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def fingerprint(self) -> str:
        """The same for the same number, in whatever payment method."""
        return hashlib.sha256(f"sandbox {self.number}".encode()).hexdigest()[:16]


def _refuse(number: str, decline_code: str) -> TestCard:
    return TestCard(number, saving=decline_of(decline_code))


CARDS = {
    card.number: card
    for card in (
        TestCard("4242424242424242"),
        TestCard("4000056655665556", funding="debit"),
        TestCard("5555555555554444", brand="mastercard"),
        TestCard("378282246310005", brand="amex"),
        TestCard("6011111111111117", brand="discover"),
        TestCard("4000002760000016", country="DE"),
        TestCard("4000000000000341", charging=decline_of("generic_decline")),
        _refuse("4000000000000002", "generic_decline"),
        _refuse("4000000000009995", "insufficient_funds"),
        _refuse("4000000000009987", "lost_card"),
        _refuse("4000000000009979", "stolen_card"),
        _refuse("4000000000000069", "expired_card"),
        _refuse("4000000000000127", "incorrect_cvc"),
        _refuse("4000000000000119", "processing_error"),
        _refuse("4242424242424241", "incorrect_number"),
        TestCard("4000000000000019", charging=BLOCKED),
        TestCard("4000002500003155", auth="unless_set_up"),
        TestCard("4000002760003184", auth="always"),
        TestCard("4000003800000446", auth="on_session"),
        TestCard(
            "4000008260003178", auth="unless_set_up", charging=decline_of("insufficient_funds")
        ),
        TestCard("4000000000000259", after="dispute:fraudulent"),
        TestCard("4000000000002685", after="dispute:product_not_received"),
        TestCard("4000000000001976", after="inquiry:general"),
        TestCard("4000000000005423", after="warning"),
        TestCard("4000000000005126", after="refund_fails"),
        TestCard("4000000000007726", after="refund_pends"),
    )
}

NAMES = {
    "pm_card_visa": "4242424242424242",
    "pm_card_visa_debit": "4000056655665556",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_amex": "378282246310005",
    "pm_card_discover": "6011111111111117",
    "pm_card_de": "4000002760000016",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_visa_chargeDeclined": "4000000000000002",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_visa_chargeDeclinedLostCard": "4000000000009987",
    "pm_card_visa_chargeDeclinedStolenCard": "4000000000009979",
    "pm_card_chargeDeclinedExpiredCard": "4000000000000069",
    "pm_card_chargeDeclinedIncorrectCvc": "4000000000000127",
    "pm_card_chargeDeclinedProcessingError": "4000000000000119",
    "pm_card_radarBlock": "4000000000000019",
    "pm_card_authenticationRequiredOnSetup": "4000002500003155",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_authenticationRequiredSetupForOffSession": "4000003800000446",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
    "pm_card_createDispute": "4000000000000259",
    "pm_card_createDisputeProductNotReceived": "4000000000002685",
    "pm_card_createDisputeInquiry": "4000000000001976",
    "pm_card_createIssuerFraudRecord": "4000000000005423",
    "pm_card_refundFail": "4000000000005126",
    "pm_card_pendingRefund": "4000000000007726",
}


def passes_luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def check_expiry(month: int, year: int, now: datetime) -> None:
    """Raises ApiError 402 for a month that is none or past."""
    if not 1 <= month <= 12:
        raise decline_of("invalid_expiry_month").error()
    if not now.year <= year <= now.year + 50 or (year, month) < (now.year, now.month):
        raise decline_of("invalid_expiry_year").error()
