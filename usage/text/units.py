"""Measures: a number, or a range of numbers, with a unit."""

import re

from usage.text.cardinals import cardinal, plain, spoken
from usage.text.rules import END, MEASURE, SPACE, Context, Reading, listed, rule, whole

_WORDS = """
km kilometer|m meter|cm centimeter|mm millimeter|µm micrometer|nm nanometer|mi mile|yd yard
ft foot/feet|kg kilogram|g gram|mg milligram|µg microgram|lb pound|lbs pound|oz ounce|t ton
l liter|L liter|ml milliliter|mL milliliter|cl centiliter|dl deciliter|dL deciliter
gal gallon|ha hectare
km² square/kilometer|m² square/meter|cm² square/centimeter|mm² square/millimeter
ft² square/foot/feet|m³ cubic/meter|cm³ cubic/centimeter|km/h kilometer//per/hour
kmh kilometer//per/hour|kph kilometer//per/hour|mph mile//per/hour|m/s meter//per/second
m/s² meter//per/second/squared|g/l gram//per/liter|mg/l milligram//per/liter
mg/kg milligram//per/kilogram|kg/m³ kilogram//per/cubic/meter
l/100km liter//per/hundred/kilometers|kB kilobyte|KB kilobyte|MB megabyte|GB gigabyte
TB terabyte|PB petabyte|KiB kibibyte|MiB mebibyte|GiB gibibyte|TiB tebibyte|kbit kilobit
Mbit megabit|Gbit gigabit|Mb megabit|Gb gigabit|kbps kilobit//per/second|Mbps megabit//per/second
Gbps gigabit//per/second|kbit/s kilobit//per/second|Mbit/s megabit//per/second
Gbit/s gigabit//per/second|MB/s megabyte//per/second|GB/s gigabyte//per/second
KB/s kilobyte//per/second|Hz hertz/hertz|kHz kilohertz/kilohertz|MHz megahertz/megahertz
GHz gigahertz/gigahertz|W watt|kW kilowatt|MW megawatt|GW gigawatt|Wh watt-hour
kWh kilowatt-hour|MWh megawatt-hour|hp horsepower/horsepower|V volt|kV kilovolt|mV millivolt
A ampere|mA milliampere|mAh milliampere-hour|Ah ampere-hour|Ω ohm|kΩ kilohm|J joule|kJ kilojoule
MJ megajoule|cal calorie|kcal kilocalorie|N newton|Nm newton-meter|Pa pascal|kPa kilopascal
hPa hectopascal|bar bar|mbar millibar|psi PSI/PSI|atm atmosphere|dB decibel|s second
sec second|secs second|ms millisecond|µs microsecond|ns nanosecond|min minute|mins minute|h hour
hr hour|hrs hour|px pixel|dpi dots/per/inch/dots/per/inch|fps frame//per/second
rpm revolution//per/minute|bpm beat//per/minute|ppm part//per/million|lm lumen|lx lux/lux
mol mole|MP megapixel|pt point|pts point|yr year|yrs year|°C degree//Celsius
°F degree//Fahrenheit|K kelvin|° degree
"""


def _forms(text: str) -> tuple[str, str]:
    """Singular and plural: "x//y" inflects x, "square/x" inflects x, "foot/feet" says both."""
    if "//" in text:
        noun, tail = text.split("//")
        return f"{noun} {tail.replace('/', ' ')}", f"{noun}s {tail.replace('/', ' ')}"
    head = ""
    if (parts := text.split("/"))[0] in ("square", "cubic"):
        head = f"{parts.pop(0)} "
    half = (len(parts) + 1) // 2
    singular = " ".join(parts[:half])
    many = " ".join(parts[half:]) or f"{singular}s"
    return head + singular, head + many


UNITS = {
    unit: _forms(forms)
    for entry in re.split(r"[|\n]", _WORDS.strip())
    for unit, _, forms in [entry.partition(" ")]
}
UNITS |= {unit.replace("µ", "μ"): forms for unit, forms in UNITS.items() if "µ" in unit}
UNITS |= {unit.replace("²", "2"): forms for unit, forms in UNITS.items() if unit.endswith("m²")}
UNITS |= {"sq ft": ("square foot", "square feet"), "sq m": ("square meter", "square meters")}
UNITS |= {"sq km": ("square kilometer", "square kilometers")}
# With a blank before them these are more often a letter than a unit.
_TIGHT = listed("A V W J N K L MP")
_SPACED = frozenset({"K"})  # "300 K", but a "4K" television
# After these, a number and a letter are a name: "Seat 12A".
_NAMED = listed(
    "seat exit gate room apt apartment unit row platform section figure fig suite building block "
    "route page table question chapter grade class model part flat pier dock terminal"
)
# With a dot: "5 ft." but the dot of "5 km." ends the sentence.
_DOTTED = listed("ft lb lbs oz hr hrs min mins sec secs yd mi gal yr yrs pts sq")
_MAGNITUDES = {
    "k": "thousand",
    "K": "thousand",
    "M": "million",
    "m": "million",
    "mn": "million",
    "bn": "billion",
    "B": "billion",
    "b": "billion",
    "tn": "trillion",
    "T": "trillion",
}
_UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
_RANGE = rf"(?P<first>{MEASURE}){SPACE}?(?:[-–—]|to{SPACE}){SPACE}?"


def _is_one(text: str) -> bool:
    return plain(text) == "1"


def _unit(match: re.Match[str], context: Context) -> Reading:
    unit, last = match["unit"], match["last"]
    if unit == "m" and context.before.endswith(("h", "hr", "hrs")):  # "1h 30m"
        unit = "min"
    if unit in (_TIGHT if match["blank"] else _SPACED):
        return None
    if len(unit) == 1 and unit.isalpha() and context.before.lower() in _NAMED:
        return None
    single, many = UNITS[unit]
    words = spoken(plain(last))
    one = _is_one(last)
    if match["first"]:
        words, one = f"{spoken(plain(match['first']))} to {words}", False
    if match["blank"] == "-":  # "a 5-km run"
        one = True
    end = match.end()
    if unit in _DOTTED and re.match(r"\.(?=\s+[a-z\d]|,)", context.text[end : end + 8]):
        end += 1
    return whole(match, f"{words} {single if one else many}", end=end)


def _per(match: re.Match[str], context: Context) -> Reading:
    """ "five milligrams per deciliter" for "5 mg/dl"."""
    unit, per = match["unit"], match["per"]
    if f"{unit}{per}".isupper() and len(unit) == len(per) == 1:
        return None  # "5 A/V cables"
    words = UNITS[unit][0 if _is_one(match["last"]) else 1]
    per = UNITS[per][0] if per in UNITS else per
    return whole(match, f"{spoken(plain(match['last']))} {words} per {per}")


def _percent(match: re.Match[str], context: Context) -> Reading:
    words = f"{spoken(plain(match['last']))} {'percent' if match['unit'] == '%' else 'per mille'}"
    if match["first"]:
        words = f"{spoken(plain(match['first']))} to {words}"
    return whole(match, words)


def _feet(match: re.Match[str], context: Context) -> Reading:
    inches = spoken(match[2])
    feet = "foot" if match[1] == "1" else "feet"
    return whole(match, f"{cardinal(int(match[1]))} {feet} {inches}")


def _inches(match: re.Match[str], context: Context) -> Reading:
    if context.text.count('"', max(0, match.start() - 300), match.start()) % 2:
        return None  # it closes a quotation
    one = _is_one(match[1]) or re.match(r" [a-z]", context.text[match.end() : match.end() + 2])
    return whole(match, f"{spoken(plain(match[1]))} {'inch' if one else 'inches'}")


def _magnitude(match: re.Match[str], context: Context) -> Reading:
    words = f"{spoken(plain(match['last']))} {_MAGNITUDES[match['unit']]}"
    if match["first"]:
        scale = f" {_MAGNITUDES[match['scale']]}" if match["scale"] else ""
        words = f"{spoken(plain(match['first']))}{scale} to {words}"
    return whole(match, words)


RULES = [
    rule(
        rf"(?P<first>{MEASURE}){SPACE}?(?P<unit>[%‰]){SPACE}?[-–—]{SPACE}?"
        rf"(?P<last>{MEASURE}){SPACE}?(?P=unit)",
        _percent,
    ),
    rule(
        rf"(?P<first>{MEASURE}){SPACE}?(?P<unit>{_UNIT}){SPACE}?[-–—]{SPACE}?"
        rf"(?P<last>{MEASURE})(?P<blank>{SPACE})?(?P=unit)(?![\w²³°/])",
        _unit,
    ),
    rule(
        rf"(?:{_RANGE.replace('first', 'first')})?(?P<last>{MEASURE}){SPACE}?(?P<unit>[%‰])",
        _percent,
    ),
    rule(
        rf"(?:{_RANGE})?(?P<last>{MEASURE})(?P<blank>{SPACE}|-)?(?P<unit>{_UNIT})(?![\w²³°/])",
        _unit,
    ),
    rule(
        rf"(?P<last>{MEASURE}){SPACE}?(?P<unit>{_UNIT})/(?P<per>{_UNIT}|day|week|month|year){END}"
        r"(?![/²³°])",
        _per,
    ),
    rule(rf"(?<!°)(?<!° )(\d{{1,2}})'{SPACE}?(\d{{1,2}})(?:\"|'')", _feet),
    rule(rf"({MEASURE})\"(?!\w)", _inches),
    rule(
        r"(?:(?P<first>\d{1,3}(?:\.\d{1,2})?)(?P<scale>k|K|M|mn|bn|tn)?[-–])?(?P<last>\d{1,3}(?:[.,]\d{1,2})?)"
        r"(?P<unit>k|(?<![248])K|(?<=\d\d)K|M|mn|bn|tn)(?!\w)",
        _magnitude,
    ),
]
