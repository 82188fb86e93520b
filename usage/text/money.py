"""Amounts of money: symbol or code before or after, European decimals, magnitudes, ranges."""

import re

from usage.text.cardinals import cardinal, plain, spoken
from usage.text.rules import END, MEASURE, SPACE, Context, Reading, rule, whole

# One, many, hundredth, hundredths.
_DOLLAR = ("dollar", "dollars", "cent", "cents")
_POUND = ("pound", "pounds", "penny", "pence")
_CURRENCIES = {
    "$": _DOLLAR,
    "€": ("euro", "euros", "cent", "cents"),
    "£": _POUND,
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₽": ("ruble", "rubles", "kopeck", "kopecks"),
    "₩": ("won", "won", "jeon", "jeon"),
    "₺": ("lira", "lira", "kurus", "kurus"),
    "₴": ("hryvnia", "hryvnias", "kopiyka", "kopiykas"),
    "₪": ("shekel", "shekels", "agora", "agorot"),
    "₫": ("dong", "dong", "", ""),
    "₱": ("peso", "pesos", "centavo", "centavos"),
    "₿": ("bitcoin", "bitcoins", "", ""),
    "US$": tuple(f"US {word}" if n < 2 else word for n, word in enumerate(_DOLLAR)),
    "C$": tuple(f"Canadian {word}" if n < 2 else word for n, word in enumerate(_DOLLAR)),
    "CA$": tuple(f"Canadian {word}" if n < 2 else word for n, word in enumerate(_DOLLAR)),
    "A$": tuple(f"Australian {word}" if n < 2 else word for n, word in enumerate(_DOLLAR)),
    "AU$": tuple(f"Australian {word}" if n < 2 else word for n, word in enumerate(_DOLLAR)),
    "NZ$": tuple(f"New Zealand {word}" if n < 2 else word for n, word in enumerate(_DOLLAR)),
    "HK$": tuple(f"Hong Kong {word}" if n < 2 else word for n, word in enumerate(_DOLLAR)),
    "R$": ("real", "reais", "centavo", "centavos"),
    "CHF": ("Swiss franc", "Swiss francs", "centime", "centimes"),
    "zł": ("zloty", "zlotys", "grosz", "groszy"),
    "kr": ("krone", "kroner", "øre", "øre"),
}
_CURRENCIES |= {
    code: _CURRENCIES[symbol]
    for code, symbol in {
        "USD": "US$",
        "EUR": "€",
        "GBP": "£",
        "JPY": "¥",
        "INR": "₹",
        "RUB": "₽",
        "KRW": "₩",
        "TRY": "₺",
        "UAH": "₴",
        "ILS": "₪",
        "BTC": "₿",
        "CAD": "C$",
        "AUD": "A$",
        "NZD": "NZ$",
        "HKD": "HK$",
        "BRL": "R$",
        "PLN": "zł",
    }.items()
} | {
    "SEK": ("Swedish krona", "Swedish kronor", "öre", "öre"),
    "NOK": ("Norwegian krone", "Norwegian kroner", "øre", "øre"),
    "DKK": ("Danish krone", "Danish kroner", "øre", "øre"),
    "CNY": ("yuan", "yuan", "fen", "fen"),
    "MXN": ("Mexican peso", "Mexican pesos", "centavo", "centavos"),
}
SYMBOLS = frozenset("$€£¥₹₽₩₺₴₪₫₱₿")
_MAGNITUDES = {
    "k": "thousand",
    "K": "thousand",
    "m": "million",
    "M": "million",
    "mn": "million",
    "mm": "million",
    "mio": "million",
    "mln": "million",
    "bn": "billion",
    "b": "billion",
    "B": "billion",
    "tn": "trillion",
    "t": "trillion",
    "T": "trillion",
}
_PER = {
    "mo": "month",
    "yr": "year",
    "hr": "hour",
    "h": "hour",
    "wk": "week",
    "kg": "kilogram",
    "lb": "pound",
    "l": "liter",
    "kWh": "kilowatt-hour",
    "sq ft": "square foot",
    "m²": "square meter",
    "GB": "gigabyte",
    "t": "ton",
}
_PERIODS = "second minute hour day night week month quarter year person user seat unit piece head"
_BEFORE = "|".join(
    re.escape(sign) for sign in sorted(set(_CURRENCIES) - {"zł", "kr"}, key=len, reverse=True)
)
_AFTER = "|".join(re.escape(sign) for sign in sorted(_CURRENCIES, key=len, reverse=True))
_SCALES = r"thousand|million|billion|trillion|mio\.?|mln|mn|bn|tn|mm|[kKmMbBT]"
_SCALE = rf"(?:{SPACE}?(?P<scale>(?:{_SCALES}){END}))?"
_PERS = "|".join([*_PERIODS.split(), *map(re.escape, _PER)])
_PER_UNIT = rf"(?:{SPACE}?/{SPACE}?(?P<per>{_PERS}){END})?"
_DASH = r"(?P<dash>[.,](?:-{1,2}|–|—))?"


def _european(number: str, symbol: str) -> str:
    """The amount as `plain` has it; after "€" a dot before three digits groups."""
    if symbol not in ("$", "£", "US$") and re.fullmatch(r"\d{1,3}\.\d{3}", number):
        return number.replace(".", "")
    return plain(number)


def _amount(number: str, symbol: str, scale: str | None, *, adjective: bool = False) -> str:
    one, many, cent, cents = _CURRENCIES[symbol]
    if scale:
        scale = scale.rstrip(".")
        return f"{spoken(number)} {_MAGNITUDES.get(scale, scale)} {many}"
    units, _, parts = number.partition(".")
    if len(parts) != 2 or not cent:
        return f"{spoken(number)} {one if number == '1' else many}"
    hundredths = f"{cardinal(int(parts))} {cent if parts == '01' else cents}"
    if int(units or 0) == 0 and int(parts):
        return hundredths
    amount = f"{spoken(units)} {one if units == '1' else many}"
    return f"{amount} and {hundredths}" if int(parts) else amount


def _money(match: re.Match[str], context: Context) -> Reading:
    groups = match.groupdict()
    symbol = match["symbol"]
    words = _amount(_european(match["number"], symbol), symbol, groups.get("scale"))
    if first := groups.get("first"):
        start = spoken(_european(first, symbol))
        if scale := groups.get("first_scale"):
            start += f" {_MAGNITUDES[scale]}"
        words = f"{start} to {words}"
    if groups.get("minus"):
        words = f"minus {words}"
    if per := groups.get("per"):
        words += f" per {_PER.get(per, per)}"
    end = match.end()
    if groups.get("dash") is None and match[0].endswith("."):
        end -= 1
    return whole(match, words, end=end)


def _cents(match: re.Match[str], context: Context) -> Reading:
    number = plain(match[1])
    if match[2] == "p":
        return whole(match, f"{spoken(number)} {'penny' if number == '1' else 'pence'}")
    return whole(match, f"{spoken(number)} {'cent' if number == '1' else 'cents'}")


_FIRST = (
    rf"(?:(?P<first>{MEASURE})(?P<first_scale>[kKmMbB])?{SPACE}?[-–—]{SPACE}?(?:(?P=symbol))?)?"
)
BEFORE = [
    rule(
        rf"(?<![^\W_])(?P<symbol>{_BEFORE}){SPACE}?(?P<minus>[-−])?{_FIRST}(?P<number>{MEASURE}){_DASH}"
        rf"{_SCALE}{_PER_UNIT}(?![^\W_]|⁄)",
        _money,
    ),
]
AFTER = [
    rule(
        rf"(?:(?P<first>{MEASURE}){SPACE}?[-–—]{SPACE}?)?(?P<number>{MEASURE}){_DASH}{_SCALE}{SPACE}?"
        rf"(?P<symbol>{_AFTER}){_PER_UNIT}(?![^\W_]|{SPACE}?\d)",
        _money,
    ),
    rule(rf"({MEASURE}(?={SPACE}?¢)|\d{{1,2}}){SPACE}?(¢|p){END}(?!\.)", _cents),
]
