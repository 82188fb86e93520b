"""Tax ids of companies, by country: checked by python-stdnum, named as Stripe names them.

A country that is not listed has no check here: its customers' ids are printed as they were typed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import stdnum
from stdnum import exceptions

CHARACTERS_MAX = 40
# In VAT numbers two letters that are not those of the country's addresses.
PREFIXES = {"GR": "EL"}


class TaxIdInvalid(ValueError):
    """This is no tax id of that country. The message says what one looks like."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a country's companies are known to its tax office.

    `stripe` is its type at Stripe. `has_marks`: it is written with dots and hyphens, there too.
    `number` is the module of stdnum that checks it; by default the country's own VAT number.
    """

    words: str
    example: str
    stripe: str
    number: str = "vat"
    has_marks: bool = False


VAT_EXAMPLES = {
    "AT": "ATU13585627",
    "BE": "BE0428759497",
    "BG": "BG175074752",
    "CY": "CY10259033P",
    "CZ": "CZ25123891",
    "DE": "DE136695976",
    "DK": "DK13585628",
    "EE": "EE100931558",
    "ES": "ESB64717838",
    "FI": "FI20774740",
    "FR": "FR40303265045",
    "GR": "EL094259216",
    "HR": "HR33392005961",
    "HU": "HU12892312",
    "IE": "IE6433435F",
    "IT": "IT00743110157",
    "LT": "LT119511515",
    "LU": "LU15027442",
    "LV": "LV40003521600",
    "MT": "MT11679112",
    "NL": "NL004495445B01",
    "PL": "PL8567346215",
    "PT": "PT501964843",
    "RO": "RO18547290",
    "SE": "SE123456789701",
    "SI": "SI50223054",
    "SK": "SK2022749619",
}
EU = frozenset(VAT_EXAMPLES)
KINDS: dict[str, Kind] = {
    **{code: Kind("VAT number", VAT_EXAMPLES[code], "eu_vat") for code in VAT_EXAMPLES},
    "AU": Kind("ABN", "83914571673", "au_abn", "abn"),
    "BR": Kind("CNPJ", "16.727.230/0001-97", "br_cnpj", "cnpj", has_marks=True),
    "CA": Kind("business number", "123026635", "ca_bn", "bn"),
    "CH": Kind("VAT number", "CHE-107.787.577 IVA", "ch_vat", has_marks=True),
    "GB": Kind("VAT number", "GB980780684", "gb_vat"),
    "IN": Kind("GSTIN", "27AAPFU0939F1ZV", "in_gst", "gstin"),
    "IS": Kind("VSK number", "00621", "is_vat", "vsk"),
    "JP": Kind("corporate number", "5835678256246", "jp_cn", "cn"),
    "KR": Kind("business number", "116-82-00276", "kr_brn", "brn", has_marks=True),
    "MX": Kind("RFC", "MAB9307148T4", "mx_rfc", "rfc"),
    "NO": Kind("MVA number", "995525828MVA", "no_vat", "mva"),
    "NZ": Kind("IRD number", "49098576", "nz_gst", "ird"),
    "SG": Kind("UEN", "00192200M", "sg_uen", "uen"),
    "TR": Kind("tax number", "4540536920", "tr_tin", "vkn"),
    "TW": Kind("business number", "00501503", "tw_vat", "ubn"),
    "US": Kind("EIN", "91-1144442", "us_ein", "ein", has_marks=True),
}


def clean(country: str, typed: str) -> str:
    """The id as its register writes it. Raises TaxIdInvalid."""
    typed = typed[: CHARACTERS_MAX * 2].strip()
    kind = KINDS.get(country)
    if not typed or kind is None:
        return typed[:CHARACTERS_MAX]
    module = _module(country, kind)
    try:
        number = module.validate(_without_prefix(country, typed))
        if kind.has_marks:
            return str(module.format(number))
        return _prefix(country) + str(number).removeprefix(_prefix(country))
    except exceptions.InvalidLength:
        why = "It has too few or too many characters"
    except exceptions.InvalidChecksum:
        why = "Two of its characters are mixed up, or one is wrong"
    except exceptions.ValidationError:
        why = "It does not have that form"
    except Exception as error:  # some modules fall over what they did not expect
        raise TaxIdInvalid(_words(kind, "It does not have that form")) from error
    raise TaxIdInvalid(_words(kind, why))


def at_stripe(country: str, tax_id: str) -> tuple[str, str] | None:
    """Type and value at Stripe, None if it has none."""
    kind = KINDS.get(country)
    return (kind.stripe, tax_id) if kind and tax_id else None


def _words(kind: Kind, why: str) -> str:
    return f"{why}. Write the {kind.words} like {kind.example}, or leave it empty if you have none."


def _module(country: str, kind: Kind) -> Any:
    found = stdnum.get_cc_module(country.lower(), kind.number)
    if found is None:
        raise LookupError(f"stdnum has no {kind.number} of {country}")
    return found


def _prefix(country: str) -> str:
    """The letters that a VAT number begins with in the European Union and the United Kingdom."""
    return PREFIXES.get(country, country) if country in EU or country == "GB" else ""


def _without_prefix(country: str, typed: str) -> str:
    letters = "".join(typed.split()).upper()
    if country == "CH" and letters[-1:].isdigit():
        return f"{letters}MWST"  # many leave the ending out, which says nothing
    prefix = _prefix(country)
    return letters.removeprefix(prefix)
