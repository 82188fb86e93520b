"""A text in pieces, each spoken in one go: sentences, else clauses, else words."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from usage.text.bare import bare, identity
from usage.text.markup import LEAD
from usage.text.pronunciations import parts
from usage.text.reading import read

CHARACTERS_MAX_LEAST = 100  # the longest name of one Unicode character has 88
SHORT_CHARACTERS = 10  # engines ramble on pieces shorter than that
PAUSES = {
    ".": 0.32,
    "!": 0.32,
    "?": 0.32,
    "…": 0.4,
    ";": 0.2,
    ":": 0.2,
    "—": 0.2,
    ",": 0.12,
    "": 0.05,
}
LINE_PAUSE, PARAGRAPH_PAUSE, LAST_PAUSE = 0.32, 0.7, 0.1  # seconds
SILENCE_SECONDS_MAX = 5.0  # of a text of only punctuation
WRAPPED_LINE_CHARACTERS = 45  # a line from this length on may be broken within a sentence

_BREATHS = {
    "en": "and or but because that which who when while if so before after from for with although "
    "though since unless until where whether than",
    "es": "y o pero porque que cuando mientras si aunque donde para con desde",
    "pt": "e ou mas porque que quando enquanto se embora onde para com desde",
    "it": "e o ma perché che quando mentre se anche dove per con da",
    "fr": "et ou mais parce que qui quand si donc où pour avec car",
}
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_QUOTED_END = re.compile(r"[.!?…][\"')\]]+\s*$")
_DASH = re.compile(r"—|--|\s[-–](?:\s|$)|^[-–]\s")
_SILENT_RUN = re.compile(r"\S+")

SENTENCE, CLAUSE, WORD = 3, 2, 0
_LINE, _PARAGRAPH_END = 4, 5


@dataclass(frozen=True, slots=True)
class Word:
    """Something written and what is said for it."""

    start: int  # range in the written (normalised) text
    end: int
    spoken: str  # words of letters, with the sign that shapes the melody: "five dollars,"
    ipa: str = ""  # of all of it, for engines that take IPA instead of `spoken`


@dataclass(frozen=True, slots=True)
class Piece:
    """What is spoken in one go."""

    start: int  # range in the written text
    end: int
    words: tuple[Word, ...]  # empty: only a pause
    pause_seconds: float  # silence after it, at speed 1

    @property
    def spoken(self) -> str:
        return " ".join(word.spoken for word in self.words)


@dataclass(frozen=True, slots=True)
class _Item:
    """A word, and how strong a break follows it."""

    word: Word
    sign: str
    strength: int
    breath: bool = False  # the next word begins with one before which people breathe

    def pause_seconds(self, paragraph_pause_seconds: float) -> float:
        if self.strength == _PARAGRAPH_END:
            return paragraph_pause_seconds
        return max(PAUSES[self.sign], LINE_PAUSE if self.strength == _LINE else 0)


def pieces(
    text: str,
    *,
    language: str = "en",
    characters_max: int = 160,
    first_characters_max: int | None = None,
    paragraph_pause_seconds: float = PARAGRAPH_PAUSE,
    pronunciations: Mapping[str, str] = MappingProxyType({}),
) -> list[Piece]:
    """The pieces of a normalised text, in order; every character that is no blank lies in one.

    `paragraph_pause_seconds` is the pause of a piece that ends a paragraph, at speed 1.
    `pronunciations` are written words and what is said for them, see pronunciations.py.

    No piece speaks more than `characters_max` characters. The first one has at most
    `first_characters_max` if it can be cut at a clause or where people breathe. A text without a
    spoken word is one piece without words, an empty one none. Raises ValueError if `characters_max`
    is below 100.
    """
    if characters_max < CHARACTERS_MAX_LEAST:
        raise ValueError(f"characters_max is {characters_max}, at least {CHARACTERS_MAX_LEAST}.")
    if not text.strip():
        return []
    items = _items(text, language, characters_max, pronunciations)
    if not items:
        start = len(text) - len(text.lstrip())
        return [Piece(start, len(text.rstrip()), (), _silence(text))]
    groups = _joined(_sentences(items, characters_max), characters_max)
    if first_characters_max is not None:
        groups[:1] = _first(groups[0], first_characters_max)
    return list(_ranged(text, groups, paragraph_pause_seconds))


def breaks(text: str, ranges: Sequence[tuple[int, int]]) -> list[int]:
    """How strong a break follows each of these words of a normalised text, given by their ranges:
    WORD, CLAUSE, SENTENCE or more. After the last one it is that of the end of the text.
    """
    if not ranges:
        return []
    stripped = bare(text)
    starts = [bisect_left(stripped.places, start) for start, _ in ranges[1:]]
    ends = [bisect_left(stripped.places, end) for _, end in ranges]
    following = [*starts, len(stripped.text)]
    return [
        _break(stripped.text, end, start)[1] for end, start in zip(ends, following, strict=True)
    ]


def _items(
    text: str, language: str, characters_max: int, pronunciations: Mapping[str, str]
) -> list[_Item]:
    stripped = bare(text)
    given = parts(stripped, pronunciations, language=language)
    tokens = read(stripped, language=language, given=given)
    if not tokens:
        stripped = identity(text)
        tokens = read(stripped, language=language, literal=True)
    breaths = frozenset(_BREATHS.get(language.lower()[:2], "").split())
    items: list[_Item] = []
    for index, token in enumerate(tokens):
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        sign, strength = _break(
            stripped.text, token.end, following.start if following else len(stripped.text)
        )
        spoken, sign = _signed(token.spoken, sign, strength, last=following is None)
        word = Word(stripped.places[token.start], stripped.ends[token.end - 1], spoken, token.ipa)
        breath = following is not None and following.spoken.lower() in breaths
        items.extend(_apart(items, word, sign, strength, breath, characters_max))
    return items


def _signed(spoken: str, sign: str, strength: int, *, last: bool) -> tuple[str, str]:
    """The words with their sign, and the sign that counts."""
    own = spoken[-1] if spoken[-1] in PAUSES and len(spoken) > 2 else ""
    if own:
        spoken = spoken[:-1].rstrip()
        if PAUSES[own] > PAUSES[sign]:
            sign = own
    if strength >= _LINE and not sign and not last:
        sign = "."
    return (spoken if sign == "." and spoken.endswith(".") else spoken + sign), sign


def _apart(
    items: list[_Item], word: Word, sign: str, strength: int, breath: bool, characters_max: int
) -> Iterator[_Item]:
    """The word as items that fit; words of one written character are one word."""
    if items and word.start < items[-1].word.end:
        before = items[-1].word
        if word.start > before.start:
            items[-1] = replace(items[-1], word=replace(before, end=word.start))
        else:
            items.pop()
            end = max(before.end, word.end)
            word = Word(before.start, end, f"{before.spoken} {word.spoken}")
    lines = list(_divided(word, characters_max))
    yield from (_Item(line, "", WORD) for line in lines[:-1])
    yield _Item(lines[-1], sign, strength, breath)


def _divided(word: Word, characters_max: int) -> Iterator[Word]:
    """A word whose speech is too long, as several that share its range in proportion."""
    if len(word.spoken) <= characters_max:
        yield word
        return
    lines, line = [], ""
    for spoken in word.spoken.split():
        if line and len(line) + 1 + len(spoken) > characters_max:
            lines.append(line)
            line = spoken
        else:
            line = f"{line} {spoken}".strip()
    lines.append(line)
    width = word.end - word.start
    for number, line in enumerate(lines):
        start = word.start + width * number // len(lines)
        yield Word(start, word.start + width * (number + 1) // len(lines), line)


def _break(text: str, end: int, start: int) -> tuple[str, int]:
    """The sign between the end of a token and the start of the next, and how strong a break it is.

    After the last token `start` is the length of the text.
    """
    gap = text[end:start]
    if gap in ("", " "):
        return "", WORD
    sign = _sign(gap)
    next_ = text[start : start + 1]
    if _PARAGRAPH.search(gap):
        return sign, _PARAGRAPH_END
    if "\n" in gap and not (sign in ("", ",") and _is_wrapped(text, end, gap, next_)):
        return sign, _LINE
    if sign in (".", "!", "?", "…") and sign:
        goes_on = next_.islower() and (sign == "…" or _QUOTED_END.search(gap.rstrip()))
        return sign, CLAUSE if goes_on else SENTENCE
    return sign, CLAUSE if sign else WORD


def _is_wrapped(text: str, place: int, gap: str, next_: str) -> bool:
    """Whether a line end is only where an editor broke a long line."""
    if LEAD in gap or not next_.islower():
        return False
    return place - text.rfind("\n", 0, place) > WRAPPED_LINE_CHARACTERS


def _sign(gap: str) -> str:
    for sign in "?!":
        if sign in gap:
            return sign
    if "…" in gap or ".." in gap:
        return "…"
    if "." in gap:
        return "."
    for sign in ";:":
        if sign in gap:
            return sign
    if _DASH.search(gap):
        return "—"
    if "," in gap or (re.search(r"[()\[\]{}]", gap) and " " in gap):
        return ","
    return ""


def _length(items: Sequence[_Item]) -> int:
    return sum(len(item.word.spoken) + 1 for item in items) - 1


def _sentences(items: list[_Item], characters_max: int) -> Iterator[list[_Item]]:
    sentence: list[_Item] = []
    for item in items:
        sentence.append(item)
        if item.strength >= SENTENCE:
            yield from _fitted(sentence, characters_max)
            sentence = []
    if sentence:
        yield from _fitted(sentence, characters_max)


def _fitted(sentence: list[_Item], characters_max: int) -> Iterator[list[_Item]]:
    """The sentence in parts of at most `characters_max`, cut at the last clause, breath or word."""
    while _length(sentence) > characters_max:
        cut = _cut(sentence, characters_max)
        yield sentence[:cut]
        sentence = sentence[cut:]
    yield sentence


def _cut(sentence: list[_Item], characters_max: int, *, words: bool = True) -> int:
    """How many words come before the best cut; 0 if there is none at a clause or breath."""
    length, clause, breath, most = -1, 0, 0, 1
    least = characters_max // 4 if words else SHORT_CHARACTERS
    for count, item in enumerate(sentence, 1):
        length += len(item.word.spoken) + 1
        if length > characters_max or count == len(sentence):
            break
        most = count
        if item.strength >= CLAUSE and length >= least:
            clause = count
        if item.breath and length >= least:
            breath = count
    return clause or breath or (most if words else 0)


def _joined(groups: Iterator[list[_Item]], characters_max: int) -> list[list[_Item]]:
    """Very short groups joined to the next of their paragraph, the last one to the one before."""
    joined: list[list[_Item]] = []
    *most, last = groups
    for group in (*most, last):
        before = joined[-1] if joined else None
        if (
            before is not None
            and before[-1].strength < _PARAGRAPH_END
            and (_length(before) < SHORT_CHARACTERS or _ends_short(group, last))
            and _length(before) + 1 + _length(group) <= characters_max
        ):
            before.extend(group)
        else:
            joined.append(list(group))
    return joined


def _ends_short(group: list[_Item], last: list[_Item]) -> bool:
    """Whether the group is too short to stand alone, and nothing follows to join it to."""
    ends = group is last or group[-1].strength == _PARAGRAPH_END
    return ends and _length(group) < SHORT_CHARACTERS


def _first(group: list[_Item], characters_max: int) -> list[list[_Item]]:
    """The first group cut so that its beginning is spoken soon, if it can be."""
    if _length(group) <= characters_max:
        return [group]
    cut = _cut(group, characters_max, words=False)
    if not cut or _length(group[cut:]) < SHORT_CHARACTERS:
        return [group]
    return [group[:cut], group[cut:]]


def _ranged(
    text: str, groups: list[list[_Item]], paragraph_pause_seconds: float
) -> Iterator[Piece]:
    """Pieces whose ranges cover all that is written, without blanks at their ends."""
    start = 0
    for number, group in enumerate(groups):
        last = number + 1 == len(groups)
        end = len(text)
        if not last:
            following = groups[number + 1][0].word.start
            gap = re.compile(r"\s").search(text, group[-1].word.end, following)
            end = gap.start() if gap else following
        written = text[start:end]
        yield Piece(
            start + len(written) - len(written.lstrip()),
            start + len(written.rstrip()),
            tuple(item.word for item in group),
            LAST_PAUSE if last else group[-1].pause_seconds(paragraph_pause_seconds),
        )
        start = end


def _silence(text: str) -> float:
    """Of punctuation alone: a pause for each run of it."""
    seconds = sum(PAUSES[_sign(run[0])] for run in _SILENT_RUN.finditer(text))
    return min(max(seconds, LAST_PAUSE), SILENCE_SECONDS_MAX)
