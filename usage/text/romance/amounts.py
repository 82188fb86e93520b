"""Numbers as they are written and said: decimals, money, percent, units, ordinals, ranges."""

import re
from typing import NamedTuple

from usage.text.romance.grammar import MOST, Grammar, Money, Noun
from usage.text.rules import BLANKS, END, SPACE, Context, Reading, Rule, listed, rule, whole

# "1.234,5", "1 234", "3,5"; and, as in Mexico, "1,234.50".
_GROUPED = rf"(?:{BLANKS})|(?!0\.)\d{{1,3}}(?:[.'\u00a0\u202f\u2009]\d{{3}}){{1,12}}(?!\d)(?:,\d+)?"
_AMERICAN = r"\d{1,3}(?:,\d{3}){1,12}\.\d{1,2}(?!\d)|\d{1,3}(?:,\d{3}){2,12}(?!\d)"
_POINT = r"\d+\.(?:\d{1,2}|\d{4,15})|0\.\d{3}"  # "1.234" has a group of three
NUMBER = rf"(?:{_AMERICAN}|{_GROUPED}|(?:{_POINT})(?![\d.])|\d+(?:,\d+)?(?!,?\d)|\d+)"
SPELLED_DIGITS = 16  # from so many on a number is said digit by digit
_GROUP_DIGITS = 3
_DASH = r"[-–]"
_FOLLOWING = re.compile(r" ([a-záéíóúâêôãõçñàèìòù]{3,})")
_ARTICLES = listed("il lo la al del nel dal el o a")
_NO_NOUNS = listed("para pero con como por que del los las una uno mas com mais per che alla della")


class Number(NamedTuple):
    whole: str  # digits
    decimals: str
    has_point: bool


def read_number(written: str) -> Number:
    american = re.fullmatch(_AMERICAN, written)
    has_point = bool(american) or bool(re.fullmatch(_POINT, written))
    sign = "." if has_point else ","
    whole_, _, decimals = written.partition(sign)
    return Number(re.sub(r"\D", "", whole_), decimals, has_point)


def say(number: Number, grammar: Grammar, noun: Noun | None = None) -> str:
    """The number before its noun, if it has one."""
    if not number.decimals:
        feminine = bool(noun and noun.feminine)
        return cardinal(number.whole, grammar, feminine=feminine, noun=noun is not None)
    sign = grammar.point if number.has_point else grammar.comma
    return f"{cardinal(number.whole, grammar)} {sign} {_decimals(number.decimals, grammar)}"


def cardinal(digits: str, grammar: Grammar, *, feminine: bool = False, noun: bool = False) -> str:
    """Digit by digit if it is long or begins with a zero."""
    if len(digits) >= SPELLED_DIGITS or int(digits) >= MOST:
        parts = [digits[at : at + _GROUP_DIGITS] for at in range(0, len(digits), _GROUP_DIGITS)]
        return ", ".join(map(grammar.digits, parts))
    if digits[0] == "0" and len(digits) > 1:
        return grammar.digits(digits)
    return grammar.cardinal(int(digits), feminine, noun)


def counted(number: Number, noun: Noun, grammar: Grammar) -> str:
    """ "veintiún euros", "um milhão de euros"."""
    said = say(number, grammar, noun)
    is_one = number.whole.lstrip("0") == "1" and not number.decimals
    of = f"{grammar.of} " if said.split()[-1] in grammar.millions else ""
    return f"{said} {of}{noun.one if is_one else noun.many}"


def money(number: Number, currency: Money, grammar: Grammar) -> str:
    cents = number.decimals
    if not cents or not currency.cent or len(cents) != 2:
        return counted(number, currency.unit, grammar)
    parts = []
    if int(number.whole) or not int(cents):
        parts.append(counted(number._replace(decimals=""), currency.unit, grammar))
    if int(cents):
        parts.append(counted(Number(str(int(cents)), "", False), currency.cent, grammar))
    return f" {grammar.with_cents} ".join(parts)


def _decimals(digits: str, grammar: Grammar) -> str:
    if len(digits) > 2 or digits[0] == "0":
        return grammar.digits(digits)
    return cardinal(digits, grammar)


def rules(grammar: Grammar) -> list[Rule]:
    """Of what begins with a digit, or with a sign before one, most special first."""
    money_before, *money_after = _money_rules(grammar)
    ordinal, fraction, *numbers = _number_rules(grammar)
    return [
        money_before,
        *_phone_rules(grammar),
        *money_after,
        ordinal,
        *_measure_rules(grammar),
        fraction,
        *numbers,
    ]


_MINUS = r"(?P<minus>(?<![\w)%°])[-−–](?=[\d$€£¥]|R\$|US\$))?"
_NUMBER = rf"(?P<number>{NUMBER})"
_FROM = rf"(?P<from>{NUMBER}){SPACE}?{_DASH}{SPACE}?"


def _signed(match: re.Match[str], said: str, grammar: Grammar) -> str:
    is_negative = match["minus"] or match.groupdict().get("sign")  # "R$ -5"
    return f"{grammar.minus} {said}" if is_negative else said


def _money_rules(grammar: Grammar) -> list[Rule]:
    """With the sign before the number, after both of a range, and after the number."""

    def amount(match: re.Match[str], context: Context) -> Reading:
        currency = grammar.currencies[match["currency"]]
        number = read_number(match["number"])
        start = match.groupdict().get("from")
        until = f"{say(read_number(start), grammar, currency.unit)} {grammar.to} " if start else ""
        if match["scale"]:
            said = f"{say(number, grammar, Noun('', ''))} {match['scale']} {grammar.of} "
            return whole(match, _signed(match, until + said + currency.unit.many, grammar))
        return whole(match, _signed(match, until + money(number, currency, grammar), grammar))

    symbol = rf"(?P<currency>{_any(grammar.currencies)})"
    scale = rf"(?:{SPACE}(?P<scale>{_any(grammar.millions)})(?:{SPACE}{grammar.of})?)?"
    return [
        rule(
            rf"{_MINUS}{symbol}{SPACE}?(?P<sign>[-−](?=\d))?(?:{_FROM})?{_NUMBER}{scale}{END}(?!⁄)",
            amount,
        ),
        rule(
            rf"{_MINUS}(?P<from>{NUMBER}){SPACE}?{symbol}{SPACE}?{_DASH}{SPACE}?{_NUMBER}{scale}"
            rf"{SPACE}?(?P=currency){END}",
            amount,
        ),
        rule(rf"{_MINUS}{_NUMBER}{scale}{SPACE}?{symbol}{END}", amount),
    ]


def _phone_rules(grammar: Grammar) -> list[Rule]:
    def phone(match: re.Match[str], context: Context) -> Reading:
        groups = re.findall(r"\d+", match[0])
        if not 8 <= sum(map(len, groups)) <= 15:
            return None
        said = ", ".join(map(grammar.digits, groups))
        return whole(match, f"{grammar.plus} {said}" if match[0][0] == "+" else said)

    return [
        rule(r"\+\d{1,3}(?:[ -]?\(?\d{1,5}\)?){2,6}(?!\d)", phone),
        rule(r"\(\d{2,3}\)[ ]?\d{4,5}[- ]\d{4}(?!\d)", phone),
        rule(r"(?:\d\d )?\d{5}-\d{4}(?![\w-])", phone),
        rule(r"(?:0\d{1,3}|3\d\d)[ /-]\d{6,8}(?![\w.,/-])", phone),  # of Italy
        rule(r"\d{3}\.\d{3}\.\d{3}-\d\d(?![\w-])", phone),  # a CPF, and a CNPJ
        rule(r"\d\d\.\d{3}\.\d{3}/\d{4}-\d\d(?![\w-])", phone),
        rule(
            r"(?!\d{1,3}(?: \d{3}){0,3} 000(?! ?\d))\d{2,4}(?:[ -]\d{2,4}){2,4}(?![\d.,/]\d|\d)",
            phone,
        ),
    ]


def _measure_rules(grammar: Grammar) -> list[Rule]:
    def percent(match: re.Match[str], context: Context) -> Reading:
        said = [say(read_number(n), grammar) for n in (match["from"], match["number"]) if n]
        spoken = f" {grammar.to} ".join(said) + f" {grammar.percent}"
        return whole(match, _signed(match, spoken, grammar))

    def measure(match: re.Match[str], context: Context) -> Reading:
        noun = grammar.units[match["unit"]]
        said = counted(read_number(match["number"]), noun, grammar)
        if match["from"]:
            said = f"{say(read_number(match['from']), grammar, noun)} {grammar.to} {said}"
        return whole(match, _signed(match, said, grammar))

    unit = rf"(?P<unit>{_any(grammar.units)})"
    return [
        rule(
            rf"{_MINUS}(?:(?P<from>{NUMBER}){SPACE}?%?{SPACE}?{_DASH}{SPACE}?)?{_NUMBER}{SPACE}?%",
            percent,
        ),
        rule(
            rf"{_MINUS}(?P<from>{NUMBER}){SPACE}?{unit}{SPACE}?{_DASH}{SPACE}?{_NUMBER}{SPACE}?"
            rf"(?P=unit){END}(?![²³])",
            measure,
        ),
        rule(rf"{_MINUS}(?:{_FROM})?{_NUMBER}{SPACE}?{unit}{END}(?![²³])", measure),
    ]


def _number_rules(grammar: Grammar) -> list[Rule]:
    """Ordinals, fractions, differences, codes, ranges, plain numbers."""

    def ordinal(match: re.Match[str], context: Context) -> Reading:
        ending = match["ending"]
        if ending == "°" and context.before.lower() not in _ARTICLES:
            return None  # degrees
        said = grammar.ordinal(int(match["number"]), ending[-1] in "ªa")
        if ending.endswith("er"):
            said = re.sub(r"(primer|tercer)o$", r"\1", said)
        return whole(match, said)

    def fraction(match: re.Match[str], context: Context) -> Reading:
        above, below = int(match["above"]), int(match["below"])
        count = f"{cardinal(match['count'], grammar)} {grammar.time_and} " if match["count"] else ""
        if 0 < above < below <= 10:
            part = grammar.halves[below - 2]
            noun = Noun(part, f"{part}s" if grammar.of == "de" else f"{part[:-1]}i")
            if not (count and below == 2):  # "dos y medio"
                part = counted(Number(str(above), "", False), noun, grammar)
            return whole(match, count + part)
        if count:
            return None
        said = [cardinal(match[name], grammar) for name in ("above", "below")]
        return whole(match, f" {grammar.over} ".join(said))

    def less(match: re.Match[str], context: Context) -> Reading:
        return whole(match, f"{say(read_number(match['number']), grammar)} {grammar.minus}")

    def code(match: re.Match[str], context: Context) -> Reading:
        """ "978-3-16-148410-0", "01310-100"."""
        said = [
            grammar.digits(part) if len(part) > 2 else cardinal(part, grammar)
            for part in match[0].split("-")
        ]
        return whole(match, ", ".join(said))

    def between(match: re.Match[str], context: Context) -> Reading:
        ends = [say(read_number(match[name]), grammar) for name in ("from", "number")]
        return whole(match, f" {grammar.to} ".join(ends))

    def plain(match: re.Match[str], context: Context) -> Reading:
        number = read_number(match["number"])
        after = _FOLLOWING.match(context.text, match.end())
        noun = _noun(after[1], number.whole == "1", grammar) if after else None
        return whole(match, _signed(match, say(number, grammar, noun), grammar))

    ending = r"(?P<ending>[ºª°]|er|ra|do|da|ro|to|ta)"
    return [
        rule(rf"(?P<number>\d{{1,3}})\.?{ending}(?!\w)", ordinal),
        rule(
            rf"(?:(?P<count>\d{{1,3}}){SPACE}{{1,2}})?(?P<above>\d{{1,3}})[/⁄](?P<below>[1-9]\d{{0,2}})"
            r"(?![\w/])",
            fraction,
        ),
        rule(rf"{_NUMBER}{_DASH}(?={NUMBER}{SPACE}?=)", less),
        rule(r"(?:\d{1,9}(?:-\d{1,9}){2,8}|0\d{1,8}-\d{1,9})(?![\w-]|[.,]\d)", code),
        rule(rf"{_FROM}{_NUMBER}(?!\w|⁄|{_DASH}\d)", between),
        rule(rf"{_MINUS}{_NUMBER}{END}", plain),
    ]


def _noun(word: str, is_one: bool, grammar: Grammar) -> Noun | None:
    """What the word says of the number before it; None if it is no noun."""
    if word.endswith("s") and not is_one:
        return Noun("", word, grammar.feminine(word))
    if is_one and word not in _NO_NOUNS:
        return Noun(word, "", grammar.feminine(word))
    return None


def _any(words: object) -> str:
    """A pattern for one of them, the longest first."""
    found = sorted(map(str, words), key=len, reverse=True)  # type: ignore[call-overload]
    return "|".join(map(re.escape, found))
