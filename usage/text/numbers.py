"""Numbers that are neither money nor measure: phones, versions, ranges, ordinals, fractions."""

import re

from usage.text.cardinals import (
    GROUP_DIGITS,
    SMALL,
    cardinal,
    digit_groups,
    digits,
    fraction,
    is_year,
    ordinal,
    plain,
    plural,
    spoken,
    year,
)
from usage.text.rules import END, NUMBER, SPACE, Context, Part, Reading, listed, rule, whole

# After these, "3.11" is a version and "3.10" is not "three point one".
_SOFTWARE = listed(
    "python django java javascript php ruby perl go node rust swift kotlin scala ios ipados "
    "macos android windows ubuntu debian fedora linux kernel firefox chrome safari postgres "
    "postgresql mysql sqlite redis nginx apache docker kubernetes react angular vue version "
    "versions v release usb bluetooth http tls"
)
_CALLS = listed("call dial phone ring text press pin code")
_YEAR_WORDS = listed(
    "in since by from until till to and before after during around circa about year of early "
    "late mid the spring summer autumn fall winter copyright january february march april may "
    "june july august september october november december"
)
_COUNTED = re.compile(r"[ \u00a0]([a-z]{2,}s|people|men|women|children|sheep|or more|more)\b")
_NOT_COUNTED = listed("is was as has does its this us yes across always perhaps")
_DECADE_WORDS = listed("the his her their my our your early mid late")
_FRACTIONS = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 32, 64, 100})
_TWO_NUMBERS = frozenset({"24/7", "50/50", "9/11", "20/20", "80/20", "24-7", "50-50", "80-20"})


def number(text: str, context: Context, after: int) -> str:
    """An unmarked number in words: as a year where it is one."""
    if is_year(text) and not (text[1:] == "000" or _is_count(context, after)):
        return year(int(text))
    return spoken(plain(text))


def _is_count(context: Context, after: int) -> bool:
    """Whether something follows that is counted: "1500 people", unless "in 1500"."""
    if context.before.lower() in _YEAR_WORDS:
        return False
    counted = _COUNTED.match(context.text, after)
    return bool(counted and counted[1] not in _NOT_COUNTED)


def _long(match: re.Match[str], context: Context) -> Reading:
    """A run of many digits, three at a time, each group in a range of its own."""
    groups = re.finditer(rf"\d{{1,{GROUP_DIGITS}}}", match[0])
    parts = [
        Part(match.start() + group.start(), match.start() + group.end(), digits(group[0]) + ",")
        for group in groups
    ]
    parts[-1] = parts[-1]._replace(spoken=parts[-1].spoken.rstrip(","))
    return parts


def _phone(match: re.Match[str], context: Context) -> Reading:
    words = digit_groups(match["number"])
    if match[0].startswith("+"):
        words = f"plus {words}"
    if match["extension"]:
        words += f", extension {spoken(match['extension'])}"
    return whole(match, words)


def _version(match: re.Match[str], context: Context) -> Reading:
    if not match["v"] and len(set(map(len, match["number"].split(".")[1:]))) == 1:
        groups = match["number"].split(".")
        if len(groups[1]) == 3 and len(groups[0]) < 4:  # "1.234.567"
            return None
    said = " point ".join(
        cardinal(int(part)) if len(part) < 4 and (part == "0" or part[0] != "0") else digits(part)
        for part in match["number"].split(".")
    )
    said = f"version {said}" if match["v"] and context.before.lower() != "version" else said
    if tag := match["tag"]:
        said += "".join(
            f" {cardinal(int(bit)) if bit.isdecimal() and len(bit) < 4 else bit}"
            for bit in re.findall(r"[^\W\d_]+|\d{1,3}", tag)
        )
    return whole(match, said)


def _software(match: re.Match[str], context: Context) -> Reading:
    if context.before.lower() not in _SOFTWARE:
        return None
    return whole(match, " point ".join(cardinal(int(part)) for part in match[0].split(".")))


def _range(match: re.Match[str], context: Context) -> Reading:
    """ "ten to twelve" for "10–12"; a score as well."""
    first, last = match["first"], match["last"]
    if match[0] in _TWO_NUMBERS:
        return whole(match, f"{cardinal(int(first))} {cardinal(int(last))}")
    if is_year(first) and len(last) == 2 and last > first[2:]:  # "1914-18"
        return whole(match, f"{year(int(first))} to {cardinal(int(last))}")
    if is_year(first) and is_year(last):
        return whole(match, f"{year(int(first))} to {year(int(last))}")
    return whole(match, f"{spoken(plain(first))} to {spoken(plain(last))}")


def _ratio(match: re.Match[str], context: Context) -> Reading:
    return whole(match, f"{cardinal(int(match[1]))} to {cardinal(int(plain(match[2])))}")


def _verses(match: re.Match[str], context: Context) -> Reading:
    """ "twenty-three one to four" for "23:1-4"."""
    chapter, first, last = (cardinal(int(number)) for number in match.groups())
    return whole(match, f"{chapter} {first} to {last}")


def _code(match: re.Match[str], context: Context) -> Reading:
    """Numbers joined by hyphens that are no range: "978-3-16-148410-0"."""
    said = [
        digits(group) if len(group) > 2 or group[0] == "0" else cardinal(int(group))
        for group in match[0].split("-")
    ]
    return whole(match, ", ".join(said))


def _to_ordinal(match: re.Match[str], context: Context) -> Reading:
    """The beginning of "12–14th" and of "12th–14th"."""
    return whole(match, f"{ordinal(int(match[1]))} to")


def _round(match: re.Match[str], context: Context) -> Reading:
    return whole(match, {"10": "tens", "100": "hundreds"}.get(match[1], "thousands"))


def _ordinal(match: re.Match[str], context: Context) -> Reading:
    return whole(match, ordinal(int(match[1].replace(",", ""))))


def _decade(match: re.Match[str], context: Context) -> Reading:
    """ "nineteen nineties" for "1990s", "nineties" for "'90s"."""
    text = match[1]
    if len(text) == 2:
        if not match[0].startswith("'") and context.before.lower() not in _DECADE_WORDS:
            return None  # "30s" are seconds
        return whole(match, plural(cardinal(int(text))))
    return whole(match, plural(year(int(text))))


def _short_year(match: re.Match[str], context: Context) -> Reading:
    return whole(
        match, cardinal(int(match[1])) if match[1][0] != "0" else f"oh {SMALL[int(match[1])]}"
    )


def _fraction(match: re.Match[str], context: Context) -> Reading:
    count, above, below = match["whole"], match["above"], match["below"]
    if match[0] in _TWO_NUMBERS:
        return whole(match, f"{cardinal(int(above))} {cardinal(int(below))}")
    part = ""
    if int(below) in _FRACTIONS and int(above) < int(below):
        part = fraction(int(above), int(below))
    if not part:
        return None
    if count:
        part = f"{spoken(count)} and {re.sub('^one ', 'a ', part)}"
    return whole(match, f"{part} to" if match["to"] else part)


def _product(match: re.Match[str], context: Context) -> Reading:
    """ "three by four" is what people say of sizes, "three times four" of sums."""
    numbers = [spoken(plain(part)) for part in re.split(r"\s*[x×*]\s*", match[0])]
    return whole(match, " times ".join(numbers))


def _times(match: re.Match[str], context: Context) -> Reading:
    first = f"{spoken(plain(match['first']))} to " if match["first"] else ""
    return whole(match, f"{first}{spoken(plain(match['last']))} times")


def _sum(match: re.Match[str], context: Context) -> Reading:
    """Between numbers, with blanks, a hyphen subtracts and a slash divides."""
    sign = {"-": "minus", "–": "minus", "/": "divided by", ":": "divided by"}[match[2]]
    place = match.start(2)
    first = number(match[1], context, match.end(1)) if not is_year(match[1]) else spoken(match[1])
    return [Part(match.start(), match.end(1), first), Part(place, place + 1, sign)]


def _negative(match: re.Match[str], context: Context) -> Reading:
    place = match.start()
    if match[0] == "–" and re.search(r"\d\s$", context.text[max(0, place - 2) : place]):
        return None  # a range: "5 –10"
    return [Part(place, place + 1, "minus")]


def _about(match: re.Match[str], context: Context) -> Reading:
    return [Part(match.start(), match.start() + 1, "about")]


def _path(match: re.Match[str], context: Context) -> Reading:
    return whole(match, "dot slash" if match[0] == "./" else "dot dot slash")


def _factorial(match: re.Match[str], context: Context) -> Reading:
    """ "five factorial" for "5!" in a formula, where the "!" ends no sentence."""
    return whole(match, f"{match['letter'] or spoken(match['number'])} factorial")


def _numero(match: re.Match[str], context: Context) -> Reading:
    return [Part(match.start(), match.start() + 1, "number")]


def _item(match: re.Match[str], context: Context) -> Reading:
    """The number of an item in a list: its dot ends no sentence."""
    return whole(match, f"{cardinal(int(match[1]))},")


def _plain(match: re.Match[str], context: Context) -> Reading:
    text = match[0]
    if context.before.lower() in _CALLS and len(text) < 7 and text.isdecimal():
        return whole(match, digits(text))
    return whole(match, number(text, context, match.end()))


def _power_of_ten(match: re.Match[str], context: Context) -> Reading:
    sign = "minus " if match[2] == "-" else ""
    return whole(
        match, f"{spoken(plain(match[1]))} times ten to the {sign}{cardinal(int(match[3]))}"
    )


_EXTENSION = rf"(?:,?{SPACE}?(?:ext\.?|x|extension){SPACE}?(?P<extension>\d{{1,6}}))?"
PHONES = [
    rule(r"(?P<number>1-[89]\d\d)(?=-[A-Z])(?P<extension>)", _phone),  # "1-800-FLOWERS"
    rule(
        rf"(?P<number>\+\d{{1,3}}(?:[ .\u00a0-]?(?:\(\d{{1,4}}\)|\d{{1,4}})){{2,6}})"
        rf"(?!\d){_EXTENSION}",
        _phone,
    ),
    rule(
        rf"(?P<number>(?:1[-. ])?(?:\(\d{{3}}\)[ -]?|\d{{3}}[-. \u00a0])\d{{3}}[-. \u00a0]\d{{4}})"
        rf"(?![\d-]){_EXTENSION}",
        _phone,
    ),
    rule(rf"(?P<number>\d{{3}}-\d{{4}})(?![\d-]){_EXTENSION}", _phone),
    rule(r"(?P<number>\d{5}-\d{4})(?![\w-])(?P<extension>)", _phone),  # a ZIP code
    rule(r"(?P<number>\(?0\d{2,4}\)?[ /-]\d{3,4}[ -]?\d{2,4})(?![\d/-])(?P<extension>)", _phone),
    rule(
        r"(?P<number>\d{4}([ -])\d{4}\2\d{4}\2\d{4}|\d{3}-\d{2}-\d{4})(?!\d)(?P<extension>)", _phone
    ),
]
SIGNED = [
    rule(
        rf"(?:[-−](?<![\w)%°]-)|(?<![^\s(=<>])–)(?={NUMBER}|[$€£¥₹]{NUMBER})",
        _negative,
    ),
    rule(rf"~{SPACE}?(?={NUMBER}|[$€£])", _about),
    rule(rf"#{SPACE}?(?=\d)", _numero),
    rule(r"\.\.?/(?=\w)", _path),
    rule(rf"'(\d\d)s{END}", _decade),
    rule(rf"'(\d\d){END}(?!')", _short_year),
]
DECADE = rule(rf"(1[1-9]\d0|20\d0|[2-9]0)'?s{END}", _decade)
_OPERATOR = rf"(?={SPACE}=|{SPACE}?[+×⋅÷*/−≈<>≤≥])"
FACTORIAL = rule(rf"(?P<letter>[a-zN])!{_OPERATOR}", _factorial)
NUMERO = rule(rf"[nN][°º](?={SPACE}?\d)", lambda match, _: whole(match, "number"))
_RANGED = r"(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,6}(?:\.\d{1,4})?)"
_ORDINAL = rf"\d{{1,3}}(?:st|nd|rd|th){END}"
EARLY = [
    rule(rf"(100?|1,?000)s(?={SPACE}of\b)", _round),
    rule(r"\d{16,}(?![.,]\d)", _long),
    rule(rf"(?P<letter>)(?P<number>\d{{1,6}})!{_OPERATOR}", _factorial),
]
RULES = [
    rule(
        r"(?P<v>)(?P<number>\d{1,6}(?:\.\d{1,6}){2,5})(?P<tag>-[a-z][\w.]{0,20}\w)?(?!\w|\.\d)",
        _version,
    ),
    rule(r"\d{1,3}\.\d{1,3}(?![\w%]|\.\d)", _software),
    rule(r"(?<![^\n])([1-9]\d?)[.)](?=[ \t]+\S)", _item),
    rule(rf"(\d+(?:\.\d+)?){SPACE}([-–/:]){SPACE}(?=\d)", _sum),
    rule(rf"(?P<first>{_RANGED})[-–](?P<last>{_RANGED})[x×]{END}", _times),
    rule(rf"(\d{{1,6}}(?:\.\d{{1,6}})?)([-–])(?=\d{{1,6}}(?:\.\d{{1,6}})?{SPACE}?=)", _sum),
    rule(r"\d{1,9}(?:-\d{1,9}){2,8}(?![\w-]|[.,]\d)", _code),
    rule(
        rf"(?P<first>{_RANGED}){SPACE}?[–—]{SPACE}?(?P<last>{_RANGED}){END}(?![-–,]\d|⁄)",
        _range,
    ),
    rule(
        rf"(?P<first>\d{{1,4}})-(?P<last>\d{{1,4}}){END}(?![-–]\d|[.,]\d|⁄)(?<!\d-\d-\d)",
        _range,
    ),
    rule(rf"(?P<first>{_RANGED})-(?P<last>{_RANGED}){END}(?![-–]\d|[.,]\d|⁄)", _range),
    rule(rf"(\d{{1,3}}):(\d{{1,3}})[-–](\d{{1,3}}){END}(?![:.,]\d)", _verses),
    rule(rf"(\d{{1,2}}):(\d{{1,3}}(?:,\d{{3}}){{1,3}}|\d{{4,6}}){END}(?!:)", _ratio),
    rule(rf"(\d{{1,3}}):(\d{{1,3}}){END}(?!:)", _ratio),
    rule(rf"(\d{{1,3}})(?:st|nd|rd|th)?[-–](?={_ORDINAL})", _to_ordinal, re.I),
    rule(rf"(\d{{1,3}}(?:,\d{{3}}){{1,3}}|\d{{1,6}})(?:st|nd|rd|th){END}", _ordinal, re.I),
    rule(
        rf"(?:(?P<whole>\d{{1,3}}){SPACE}{{1,2}})?"
        rf"(?<!\d/)(?P<above>\d{{1,2}}) ?[/⁄] ?(?P<below>\d{{1,3}})(?:rds?|ths?|nds)?{END}(?!/)"
        rf"(?P<to>{SPACE}?[-–](?=(?:\d{{1,3}}{SPACE}|{SPACE})?\d{{1,2}}⁄))?",  # "2½–3½"
        _fraction,
    ),
    rule(rf"(\d{{1,3}}(?:\.\d{{1,6}})?)[eE]([+-]?)(\d{{1,3}}){END}", _power_of_ten),
    rule(rf"{NUMBER}(?:{SPACE}?[x×*]{SPACE}?{NUMBER}){{1,3}}{END}", _product),
    rule(rf"(?P<last>{NUMBER})(?P<first>(?!))?[x×]{END}", _times),
]
LAST = [rule(NUMBER, _plain)]
VERSION = rule(
    rf"(?P<v>[vV]\.?)(?P<number>\d{{1,6}}(?:\.\d{{1,6}}){{0,5}})(?P<tag>-[a-z][\w.]{{0,20}}\w)?{END}"
    rf"(?!\.\d)",
    _version,
)
