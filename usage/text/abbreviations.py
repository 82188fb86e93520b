"""Abbreviations, titles, initials and Roman numerals."""

import re

from usage.text.cardinals import cardinal, ordinal, year
from usage.text.rules import Context, Reading, listed, rule, whole

# With their dot. It never ends a sentence.
_TITLES = {
    "mr": "Mister",
    "mrs": "Missus",
    "ms": "Miz",
    "prof": "Professor",
    "rev": "Reverend",
    "hon": "Honorable",
    "gen": "General",
    "col": "Colonel",
    "maj": "Major",
    "capt": "Captain",
    "lt": "Lieutenant",
    "sgt": "Sergeant",
    "cpl": "Corporal",
    "sen": "Senator",
    "rep": "Representative",
    "gov": "Governor",
    "pres": "President",
    "messrs": "Messers",
    "mt": "Mount",
    "ft": "Fort",
}
# With their dot. It ends a sentence if a new one begins after it.
_WORDS = {
    "jr": "Junior",
    "sr": "Senior",
    "vs": "versus",
    "etc": "et cetera",
    "approx": "approximately",
    "est": "established",
    "dept": "department",
    "cf": "compare",
    "ca": "circa",
    "viz": "namely",
    "inc": "Incorporated",
    "ltd": "Limited",
    "co": "Company",
    "corp": "Corporation",
    "bros": "Brothers",
    "ave": "Avenue",
    "blvd": "Boulevard",
    "rd": "Road",
    "hwy": "Highway",
    "pkwy": "Parkway",
    "sq": "Square",
    "tel": "telephone",
    "min": "minimum",
    "max": "maximum",
    "misc": "miscellaneous",
    "incl": "including",
    "excl": "excluding",
    "ed": "edition",
    "eds": "editors",
    "govt": "government",
    "asst": "assistant",
    "assn": "association",
    "univ": "University",
    "temp": "temperature",
    "attn": "attention",
    "encl": "enclosed",
    "intl": "international",
    "natl": "national",
    "tbsp": "tablespoon",
    "tsp": "teaspoon",
}
# With or without a dot, before a number.
_BEFORE_NUMBER = {
    "no": "number",
    "nos": "numbers",
    "nr": "number",
    "fig": "figure",
    "figs": "figures",
    "vol": "volume",
    "vols": "volumes",
    "ch": "chapter",
    "chap": "chapter",
    "sec": "section",
    "art": "article",
    "p": "page",
    "pp": "pages",
    "pg": "page",
    "para": "paragraph",
    "eq": "equation",
    "ext": "extension",
    "apt": "apartment",
    "ste": "suite",
    "tel": "telephone",
    "ver": "version",
    "rev": "revision",
    "ca": "circa",
    "c": "circa",
    "approx": "approximately",
    "ed": "edition",
}
_MULTI = {
    "e.g.": "for example",
    "i.e.": "that is",
    "a.k.a.": "also known as",
    "ph.d.": "PhD",
    "m.sc.": "MSc",
    "b.sc.": "BSc",
    "w/o": "without",
    "w/": "with",
    "b/c": "because",
    "c/o": "care of",
    "n/a": "not applicable",
    "and/or": "and or",
    "et al.": "et al",
    "p.s.": "PS",
    "a.m.": "A.M",
    "p.m.": "PM",
}
_STARTERS = listed(
    "a an the he she it they we you i in on at as by for from this that these those there "
    "here then when while if but and or so yet not no yes after before however his her its "
    "our my your their what who why how where which all some many most each one two"
)
_ALWAYS_ENDS = frozenset({"etc", "a.m.", "p.m."})
_NEVER_ENDS = listed("e.g. i.e. vs cf viz ca approx incl excl")  # but where the text or line does
_NOT_INITIAL_AFTER = listed(
    "a an the plan vitamin option part section class type grade team group hepatitis exhibit "
    "appendix table figure answer question row column gate terminal platform level block "
    "schedule letter line room building model point step phase and"
)
_PERSONS = frozenset({"mr", "mrs", "ms", "messrs", "prof"})
_SAINTS = (
    "Agnes Albans? Andrews? Anne?s? Anthony Augustine Barnabas Bartholomews? Barts? Bernard "
    "Catharines Catherine Charles Christopher Clair Cloud Croix David Edmunds? Elmo Francis Gallen "
    "George Germain Helena Helens? Ives James Jean Jerome Joan Johns? Josephs? Jude Kilda Kitts "
    "Laurent Lawrence Louis Lucia Lucie Luke Malo Maarten Margaret Marie Marks? Martins? Mary "
    "Matthews? Michaels? Michel Moritz Nicholas Nick Pancras Patrick Pauls? Petersburg Peters? "
    "Philip Pierre Pölten Regis Sebastian Stephens? Teresa Theresa Thomas Tropez Valentine Vincent"
)
_SAINT_FOLLOWS = re.compile(rf"\s+(?:{'|'.join(_SAINTS.split())})(?![^\W_])", re.I)
_ADDRESS_FOLLOWS = re.compile(
    r"\s+(?:Suite|Ste|Apt|Apartment|Unit|Floor|Room|[NS]?[NESW]|North|South|East|West)\b"
)
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_ROMAN_FORM = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_NUMBERED = listed(
    "chapter part volume vol ch chap sec art book act scene section article title phase stage "
    "type level figure fig table appendix war class rocky bowl grade canto psalm verse tome "
    "episode season mark edition lesson unit annex group factor division category olympiad "
    "amendment cycle"
)
_REIGNED = listed(
    "henry louis charles george edward elizabeth richard james william pius benedict paul "
    "francis leo gregory napoleon catherine frederick philip philippe felipe ivan peter "
    "alexander nicholas wilhelm otto ramesses ramses ptolemy innocent clement urban alfonso "
    "carlos juan ferdinand rudolf mary margaret gustav christian harald haakon olav leopold "
    "albert robert david malcolm thutmose xerxes darius cyrus artaxerxes constantine "
    "justinian sixtus julius boniface celestine victor emmanuel joseph maximilian mehmed "
    "suleiman selim murad rama john stephen andrew bela casimir sigismund"
)
_NO_STREET_AFTER = _STARTERS | listed("to of near with about is was are visit see dear hello oh")
_CROWNED = listed("king queen pope emperor empress tsar czar kaiser prince sultan")
_WORDS_IN_CAPITALS = listed(
    "MIX DIM LIV VIM MI DI DIX CV CD DC MC MD ML MM CC CM CI DL DM LI XL ID VI XX XXX"
)


def _starts_sentence(context: Context, place: int) -> bool:
    following = re.compile(r"[\"')\]]*\s+[\"'(\[]*([A-Z][\w']*)").match(context.text, place)
    return bool(following and following[1].lower() in _STARTERS)


def _capital_follows(context: Context, place: int) -> bool:
    return bool(re.compile(r"\s+[\"'(]*[A-Z]").match(context.text, place))


def _at_end(context: Context, place: int) -> bool:
    return bool(re.compile(r"[\"')\]]*\s*(?:\Z|\n)").match(context.text, place))


def _dotted(match: re.Match[str], context: Context, words: str, key: str) -> Reading:
    """The dot belongs to the abbreviation, or ends the sentence as well."""
    end = match.end()
    ends = _at_end(context, end) or (key not in _NEVER_ENDS and _starts_sentence(context, end))
    ends = ends or (key in _ALWAYS_ENDS and _capital_follows(context, end))
    return whole(match, words, end=end - 1 if ends else end)


def _abbreviation(match: re.Match[str], context: Context) -> Reading:
    key = match[1].lower()
    if match[1].isupper() and len(key) > 2:  # "EST."
        return None
    if key in ("dr", "st") and match[1][0].isupper():
        return _doctor_or_drive(match, context, key)
    if key in _PERSONS and match[1][0].isupper():
        return whole(match, _TITLES[key])
    if key in _TITLES and match[1][0].isupper() and _capital_follows(context, match.end()):
        return whole(match, _TITLES[key])
    if key in _WORDS and (
        key not in ("co", "min", "max", "ed", "temp") or not _at_end(context, match.end())
    ):
        return _dotted(match, context, _WORDS[key], key)
    return None


def _doctor_or_drive(match: re.Match[str], context: Context, key: str) -> Reading:
    """After a name or number the street, before a name the title: "St. James St."."""
    after_name = context.before[:1].isupper() or context.before[:1].isdecimal()
    after_name = after_name and context.before.lower() not in _NO_STREET_AFTER
    named = _capital_follows(context, match.end()) and not _starts_sentence(context, match.end())
    if key == "dr":  # "Ask Dr. Smith"; "Ask" could be a name, too
        is_title = named and not _ADDRESS_FOLLOWS.match(context.text, match.end())
    else:
        is_title = bool(_SAINT_FOLLOWS.match(context.text, match.end()))
    if is_title or (not after_name and (named or not _at_end(context, match.end()))):
        return whole(match, {"dr": "Doctor", "st": "Saint"}[key])
    return _dotted(match, context, {"dr": "Drive", "st": "Street"}[key], key)


def _title_without_dot(match: re.Match[str], context: Context) -> Reading:
    titles = {"Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Dr": "Doctor", "St": "Saint"}
    return whole(match, titles[match[1]])


def _before_number(match: re.Match[str], context: Context) -> Reading:
    roman_follows = re.compile(r"[IVX]").match(context.text, match.end())
    if roman_follows and match[1].lower() not in ("vol", "ch", "chap", "fig", "sec", "art"):
        return None
    if not match["dot"] and match[1].lower() in (
        "no",
        "c",
        "p",
        "art",
        "ed",
        "eq",
        "rev",
        "ca",
        "sec",
        "ch",
    ):
        return None
    end = match.end("dot") if match["dot"] else match.end(1)
    return whole(match, _BEFORE_NUMBER[match[1].lower()], end=end)


def _multi(match: re.Match[str], context: Context) -> Reading:
    key = re.sub(r"\s+", " ", match[0].lower())
    beside = (
        context.text[max(0, match.start() - 1) : match.start()]
        + context.text[match.end() : match.end() + 1]
    )
    if "/" in key and "/" in beside:
        return None  # "a/b/c"
    words = _MULTI[key]
    return _dotted(match, context, words, key) if key.endswith(".") else whole(match, words)


def _initials(match: re.Match[str], context: Context) -> Reading:
    """ "U.S.A." is "USA"."""
    letters = match[0].replace(".", "")
    if not match[0].endswith("."):
        return whole(match, letters)
    return _dotted(match, context, letters, "")


def _initial(match: re.Match[str], context: Context) -> Reading:
    """One capital with a dot before a name: "J. R. R. Tolkien". "Plan B. Then" ends at "B"."""
    letter = match[1]
    another = re.compile(r"\s+[A-Z]\.").match(context.text, match.end())
    ordinal_letter = context.before.lower() in _NOT_INITIAL_AFTER and not another
    if not _capital_follows(context, match.end()) or ordinal_letter:
        return None
    is_name = another or not _starts_sentence(context, match.end())
    if not is_name or (letter == "I" and not (another or len(context.before) == 1)):
        return None
    # A capital alone, without its dot, is read as the article.
    return whole(match, "A." if letter == "A" else letter)


def roman(text: str) -> int | None:
    """The value of a Roman numeral, None for anything else."""
    if not text or not _ROMAN_FORM.fullmatch(text):
        return None
    values = [_ROMAN[letter] for letter in text]
    return sum(
        -value if value < following else value
        for value, following in zip(values, [*values[1:], 0], strict=True)
    )


def _roman(match: re.Match[str], context: Context) -> Reading:
    text, before = match[1], context.before
    value = roman(text)
    if value is None:
        return None
    if value >= 1900 and len(text) > 4 and value < 2100:
        return whole(match, year(value) + match[2])
    if before.lower() in _NUMBERED and (
        text in ("VI", "XX", "XXX") or text not in _WORDS_IN_CAPITALS
    ):
        counts = value < 400 and text not in "CLDM"
        return whole(match, cardinal(value) + match[2]) if counts else None
    if before.lower() in _REIGNED and before[0].isupper() and value < 40 and before != "Malcolm":
        if text != "I" or re.compile(r" of [A-Z]|'s\b").match(context.text, match.end()):
            return whole(match, f"the {ordinal(value)}{match[2]}")
        return None
    if text in _WORDS_IN_CAPITALS or len(text) < 2 or value > 39 or not before[:1].isupper():
        return None
    # "I, II and III" are no chapter of "I".
    named = len(before) > 1 and (text not in ("IV", "XI") or before.istitle())
    return whole(match, cardinal(value) + match[2]) if named else None


def _crowned(match: re.Match[str], context: Context) -> Reading:
    return whole(match, f"{match[1]} the first") if context.before.lower() in _CROWNED else None


_BY_LENGTH = sorted(_MULTI, key=len, reverse=True)
_ALONE = "|".join(sorted({*_TITLES, *_WORDS, "dr", "st"}, key=len, reverse=True))
_NUMBER_WORDS = "|".join(sorted(_BEFORE_NUMBER, key=len, reverse=True))
RULES = [
    rule(
        rf"(?:{'|'.join(map(re.escape, _BY_LENGTH))})(?![^\W_])",
        _multi,
        re.I,
    ),
    rule(
        rf"({_NUMBER_WORDS})(?P<dot>\.)?[ \u00a0]?(?=[\d#+(]|(?-i:[IVX]+\b))", _before_number, re.I
    ),
    rule(rf"({_ALONE})\.(?!\w)", _abbreviation, re.I),
    rule(r"(Mrs|Mr|Ms|Dr|St)(?=[ \u00a0][A-Z][a-z])", _title_without_dot),
    rule(r"(?:[A-Za-z]\.){2,10}(?:[A-Za-z](?![\w.]))?(?!\w)", _initials),
    rule(r"([A-Z])\.(?!\w)", _initial),
    rule(r"([A-Z][a-z]+) I(?![\w'.-])", _crowned),
    rule(r"([IVXLCDM]{1,12})((?:(?<=[IVX]{2})'s)?)(?![\w-])", _roman),
]
# Words that may be an abbreviation and so are not plain.
SPECIAL = (
    frozenset({*_TITLES, *_WORDS, *_BEFORE_NUMBER, "dr", "st", "w", "b", "n", "and", "et"})
    | _REIGNED
)
