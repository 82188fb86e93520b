"""Web and e-mail addresses, file names, IP addresses, mentions and hashtags."""

import re

from usage.text.cardinals import cardinal, digits, is_year, year
from usage.text.rules import Context, Part, Reading, listed, rule

# What signs in addresses are called, by language; others are left to the engine.
_ENGLISH = {
    ".": "dot",
    "/": "slash",
    "@": "at",
    "-": "dash",
    "_": "underscore",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "+": "plus",
    ":": "colon",
    "#": "hash",
    "%": "percent",
    "~": "tilde",
    "hashtag": "hashtag",
}
_SIGNS = {
    "en": _ENGLISH,
    "es": {
        ".": "punto",
        "/": "barra",
        "@": "arroba",
        "-": "guion",
        "_": "guion bajo",
        "?": "interrogación",
        "=": "igual",
        "&": "y",
        "+": "más",
        ":": "dos puntos",
        "#": "almohadilla",
        "%": "por ciento",
        "~": "tilde",
        "hashtag": "hashtag",
    },
    "pt": {
        ".": "ponto",
        "/": "barra",
        "@": "arroba",
        "-": "hífen",
        "_": "sublinhado",
        "?": "interrogação",
        "=": "igual",
        "&": "e",
        "+": "mais",
        ":": "dois pontos",
        "#": "cerquilha",
        "%": "por cento",
        "~": "til",
        "hashtag": "hashtag",
    },
    "it": {
        ".": "punto",
        "/": "barra",
        "@": "chiocciola",
        "-": "trattino",
        "_": "trattino basso",
        "?": "punto interrogativo",
        "=": "uguale",
        "&": "e",
        "+": "più",
        ":": "due punti",
        "#": "cancelletto",
        "%": "per cento",
        "~": "tilde",
        "hashtag": "hashtag",
    },
    "fr": {
        ".": "point",
        "/": "barre oblique",
        "@": "arobase",
        "-": "tiret",
        "_": "tiret bas",
        "?": "point d'interrogation",
        "=": "égal",
        "&": "et",
        "+": "plus",
        ":": "deux points",
        "#": "dièse",
        "%": "pour cent",
        "~": "tilde",
        "hashtag": "hashtag",
    },
}
# Ends of names that people write without "https://" and "www.".
_TOP = (
    "com org net edu gov mil int info biz io dev app ai co me tv us uk de eu fr es it pt br ch at "
    "nl be se no dk fi pl cz ie in jp cn ru au nz ca mx online shop site store tech blog cloud xyz "
    "example test"
)
_FILES = (
    "pdf html htm js ts css py md txt csv json xml yaml yml toml ini zip gz tar png jpg jpeg gif "
    "svg webp mp3 mp4 wav ogg flac doc docx xls xlsx ppt pptx exe dll so sh rb rs go java cpp log"
)
# Two letters that are said as a word and not letter by letter.
_SHORT_WORDS = listed("me to so it is my go be we do no in at on up us he or if of by an am co")
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_PATH = r"(?::\d{1,5})?(?:[/?#][^\s<>\"]{0,2000})?"
_TAIL = ".,;:!?)]}'*_"
_CHUNK = re.compile(r"\d+|[^\W\d_]+(?:'[^\W\d_]+)?|[\W_]")


def signs(language: str) -> dict[str, str]:
    return _SIGNS.get(language.lower()[:2], _ENGLISH)


def _letters(chunk: str, *, top: bool) -> str:
    """A chunk of letters: letter by letter if nobody says it as a word."""
    low = chunk.lower()
    if len(low) == 1:
        return "A." if low == "a" else chunk.upper()  # "A" alone would be read as the article
    short = len(low) == 2 and low != "co" and (top or low not in _SHORT_WORDS)
    if low.isascii() and (short or (len(low) < 6 and not re.search("[aeiouy]", low))):
        return chunk.upper()
    return chunk


def _number(chunk: str) -> str:
    if is_year(chunk) and chunk >= "1900":
        return year(int(chunk))
    return cardinal(int(chunk)) if len(chunk) < 3 and chunk[0] != "0" else digits(chunk)


def spell(text: str, start: int, end: int, context: Context, *, top: bool = False) -> list[Part]:
    """One part for each run of letters, run of digits and sign."""
    names = signs(context.language)
    english = names is _ENGLISH
    parts = []
    for match in _CHUNK.finditer(text, start, end):
        chunk = match[0]
        if chunk.isdecimal():
            spoken = _number(chunk) if english else chunk
        elif chunk[0].isalpha():
            last = top and not re.search(r"[^\W_]", text[match.end() : end])
            spoken = _letters(chunk, top=last) if english else chunk
        else:
            spoken = names.get(chunk, "")
        parts.append(Part(match.start(), match.end(), spoken))
    return _closed([part for part in parts if part.spoken], start, end)


def _closed(parts: list[Part], start: int, end: int) -> list[Part]:
    """The first part begins at `start`, the last ends at `end`."""
    if parts:
        parts[0] = parts[0]._replace(start=start)
        parts[-1] = parts[-1]._replace(end=end)
    return parts


def _url(match: re.Match[str], context: Context) -> Reading:
    text, start, end = context.text, match.start(), match.end()
    while end > match.start("host") + 1 and text[end - 1] in _TAIL:
        if text[end - 1] == ")" and "(" in text[start:end]:
            break
        end -= 1
    said = end - 1 if text[end - 1] == "/" else end
    host_end = min(match.end("host"), said)
    parts = spell(text, match.start("host"), host_end, context, top=True)
    parts += spell(text, host_end, said, context)
    return _closed(parts, start, end) or None


def _email(match: re.Match[str], context: Context) -> Reading:
    at = match.start("at")
    text = context.text
    local = spell(text, match.start("local"), at, context)
    sign = Part(at, at + 1, signs(context.language)["@"])
    domain = spell(text, at + 1, match.end(), context, top=True)
    return _closed([*local, sign, *domain], match.start(), match.end())


def _file(match: re.Match[str], context: Context) -> Reading:
    return spell(context.text, match.start(), match.end(), context)


def _mention(match: re.Match[str], context: Context) -> Reading:
    start = match.start()
    at = Part(start, start + 1, signs(context.language)["@"])
    return [at, *spell(context.text, start + 1, match.end(), context)]


def _hashtag(match: re.Match[str], context: Context) -> Reading:
    """ "hashtag Throwback Thursday" for "#ThrowbackThursday"."""
    start = match.start()
    parts = [Part(start, start + 1, signs(context.language)["hashtag"])]
    for word in re.finditer(r"\d+|[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|[^\W_]", match[0]):
        spoken = word[0]
        if spoken.isdecimal() and context.language.startswith("en"):
            spoken = _number(spoken)
        parts.append(Part(start + word.start(), start + word.end(), spoken))
    return parts


def _ip(match: re.Match[str], context: Context) -> Reading:
    if re.search(r"\.0\d", match[0]):
        return None  # a number of thousands: "2.000.000.000"
    if any(int(part) > 255 for part in match[0].split(":")[0].split(".")):
        return None
    parts = spell(context.text, match.start(), match.end(), context)
    if context.language.startswith("en"):
        return [
            part._replace(spoken=digits(context.text[part.start : part.end]))
            if context.text[part.start].isdecimal()
            else part
            for part in parts
        ]
    return parts


RULES = [
    rule(
        r"(?:mailto:)?(?P<local>[\w.+%-]{1,64})(?P<at>@)(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}",
        _email,
    ),
    rule(rf"(?:https?|ftps?|wss?)://(?:www\.)?(?P<host>[^\s/?#<>\"]{{1,253}}){_PATH}", _url, re.I),
    rule(rf"www\.(?P<host>(?:{_LABEL}\.){{1,8}}{_LABEL}){_PATH}", _url, re.I),
    rule(r"\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\w]|\.\d)", _ip),
    rule(
        rf"(?P<host>(?:{_LABEL}\.){{1,8}}(?:{'|'.join(_TOP.split())}))(?![\w@-]|\.\w)"
        rf"(?<!\w\.\w\.\w){_PATH}",
        _url,
    ),
    rule(rf"(?:[\w-]{{1,64}}\.){{1,4}}(?:{'|'.join(_FILES.split())})(?![\w@]|\.\w)", _file),
]
MENTIONS = [
    rule(r"@[^\W_](?:[\w.]{0,38}\w)?", _mention),
    rule(r"#(?=\w{0,99}[^\W\d_])\w{1,100}", _hashtag),
]
