"""The currencies that Metronome bills in. US dollars count in cents, all others in whole units:
https://docs.metronome.com/guides/pricing-packaging/make-pricing-changes/use-currency-custompricingunits
"""

import uuid
from decimal import Decimal

from metronome_sandbox.records import USD_ID

_CODES = "AUD BRL CAD CHF CZK EUR GBP INR MXN NGN NOK NZD PLN SEK SGD TRY ZAR"

NAMES = {USD_ID: "USD (cents)"} | {
    str(uuid.uuid5(uuid.NAMESPACE_URL, f"metronome-sandbox:{code}")): code
    for code in _CODES.split()
}


def code(credit_type_id: str) -> str:
    """USD, EUR and so on."""
    return NAMES[credit_type_id].partition(" ")[0]


def amount(credit_type_id: str, units: int) -> Decimal:
    """So many dollars, euros or pounds in the currency's own denomination."""
    return Decimal(units * 100 if credit_type_id == USD_ID else units)
