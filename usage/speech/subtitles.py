"""Subtitles of a generation, SRT and VTT: cues of its text with the times of its words.

A cue is sentences, else clauses, else words, of at most two lines and seven seconds. Pure
functions: text and words in, text out.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from usage.text.markup import marks
from usage.text.pieces import CLAUSE, SENTENCE, WORD, breaks

from .words import Timed, written

LINE_CHARACTERS, LINES = 42, 2
CUE_MS_MIN, CUE_MS_MAX = 1_000, 7_000
# A cue that is cut at a clause has at least so many characters; one of fewer is not left over.
CUT_CHARACTERS_MIN = 20
INSIDE = -1  # weaker than any break: between two parts of one written word
RULE_CHARACTERS = 4  # a run of so many signs alone is a line across the page

_RULE = re.compile(rf"(?<!\S)(?:(?!\w)\S){{{RULE_CHARACTERS},}}(?!\S)")
# Players take these for a tag, an override or the line of times. SRT has no escapes; a word joiner
# (invisible) keeps what is written as it looks.
_SRT_MARKUP = re.compile(r"<(?=[A-Za-z/])|\{(?=\\)|--(?=>)")
_WORD_JOINER = "\u2060"
_EMBED_RIGHT_TO_LEFT, _POP = "\u202b", "\u202c"


@dataclass(frozen=True, slots=True)
class Cue:
    begin_ms: int
    end_ms: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """What is never divided between two cues."""

    text: str  # as shown, with the blanks after it
    begin_ms: int
    end_ms: int
    strength: int  # of the break after it


def cues(text: str, words: Sequence[Timed], duration_ms: int) -> list[Cue]:
    """The cues of a text, in order, none overlapping another, within the audio."""
    groups: list[list[_Part]] = []
    sentence: list[_Part] = []
    for part in _parts(text, words):
        sentence.append(part)
        if part.strength >= SENTENCE:
            groups += _fitted(sentence)
            sentence = []
    groups += _fitted(sentence)
    return _in_time(_joined(groups), duration_ms)


def srt(cues: Iterable[Cue]) -> str:
    """A file of SubRip; empty without cues."""
    return "\n".join(
        f"{number}\n{_clock(cue.begin_ms, ',')} --> {_clock(cue.end_ms, ',')}\n"
        + _file_lines(cue, _srt_line)
        for number, cue in enumerate(cues, 1)
    )


def vtt(cues: Iterable[Cue]) -> str:
    """A file of WebVTT; its header alone without cues."""
    return "WEBVTT\n" + "".join(
        f"\n{_clock(cue.begin_ms, '.')} --> {_clock(cue.end_ms, '.')}\n"
        + _file_lines(cue, _vtt_line)
        for cue in cues
    )


# --- Parts ----------------------------------------------------------------------------------------


def _parts(text: str, words: Sequence[Timed]) -> Iterator[_Part]:
    """All of the text, each bit with the word it is shown with; each part fits in a cue."""
    if not words:
        return
    groups = written(text, words)
    flat = [part for group in groups for part in group]
    strengths = breaks(text, [(word.start, word.end) for word in words])
    inside = [at < len(group) - 1 for group in groups for at in range(len(group))]
    starts = [0, *(part.start for part in flat[1:]), len(text)]
    shown = _shown(text)
    for part, strength, is_inside, (start, end) in zip(
        flat, strengths, inside, pairwise(starts), strict=True
    ):
        spoken = "".join(shown[part.start : part.end])
        if not spoken.strip():  # nothing else is written, and so the marks are spoken
            spoken = text[part.start : part.end]
        before, after = (
            _RULE.sub(" ", "".join(shown[first:last]))
            for first, last in ((start, part.start), (part.end, end))
        )
        bit = f"{before}{spoken}{after}"
        strength = INSIDE if is_inside else strength
        yield from _apart(_Part(bit, part.begin_ms, part.end_ms, strength))


def _shown(text: str) -> list[str]:
    """What is shown for each character: marks of Markdown and HTML are not."""
    shown = list(text)
    for start, end, meaning in marks(text):
        if meaning == text[start + 1 : end - 1]:  # an address in angle brackets
            shown[start] = shown[end - 1] = ""
            continue
        written_too = meaning if meaning.strip(", \n\x0b") else " " if meaning else ""
        shown[start:end] = [written_too, *[""] * (end - start - 1)]
    return shown


def _apart(part: _Part) -> Iterator[_Part]:
    """A part that fits in no cue, as several: its text is divided and its time in proportion.

    A word that lasts longer than a cue may is shown again.
    """
    lines = _lines(part.text)
    duration_ms = part.end_ms - part.begin_ms
    if len(lines) > LINES:
        bits = [" ".join(lines[at : at + LINES]) for at in range(0, len(lines), LINES)]
        bits[-1] += " "
    elif duration_ms > CUE_MS_MAX:
        bits = [part.text] * -(-duration_ms // CUE_MS_MAX)
    else:
        yield part
        return
    total, done, begin_ms = sum(map(len, bits)), 0, part.begin_ms
    for number, bit in enumerate(bits, 1):
        done += len(bit)
        end_ms = part.begin_ms + duration_ms * done // total
        strength = part.strength if number == len(bits) else INSIDE
        yield from _apart(_Part(bit, begin_ms, end_ms, strength))
        begin_ms = end_ms


# --- Groups: the parts of one cue -----------------------------------------------------------------


def _text(parts: Iterable[_Part]) -> str:
    return "".join(part.text for part in parts)


def _fits(parts: Sequence[_Part]) -> bool:
    return parts[-1].end_ms - parts[0].begin_ms <= CUE_MS_MAX and len(_lines(_text(parts))) <= LINES


def _fitted(sentence: list[_Part]) -> Iterator[list[_Part]]:
    while sentence and not _fits(sentence):
        cut = _cut(sentence)
        yield sentence[:cut]
        sentence = sentence[cut:]
    if sentence:
        yield sentence


def _cut(sentence: list[_Part]) -> int:
    """How many parts are the next cue: up to a clause, else a word, else within a word."""
    most = 1
    while most + 1 < len(sentence) and _fits(sentence[: most + 1]):
        most += 1
    counts = range(1, most + 1)
    long = [n for n in counts if len(_text(sentence[:n])) >= CUT_CHARACTERS_MIN]
    if clauses := [n for n in long if sentence[n - 1].strength >= CLAUSE]:
        return clauses[-1]
    ends = [n for n in counts if sentence[n - 1].strength >= WORD]
    if not ends:
        return most
    rest = sentence[ends[-1] :]
    if _fits(rest) and len(_text(rest)) < CUT_CHARACTERS_MIN:
        half = len(_text(sentence)) / 2
        return min(ends, key=lambda n: abs(len(_text(sentence[:n])) - half))
    return ends[-1]


def _joined(groups: Iterable[list[_Part]]) -> list[list[_Part]]:
    """Groups too short to be read, joined to the one before where both fit in one cue."""
    joined: list[list[_Part]] = []
    for group in groups:
        if (
            joined
            and joined[-1][-1].strength <= SENTENCE
            and min(map(_duration_ms, (joined[-1], group))) < CUE_MS_MIN
            and _fits(both := [*joined[-1], *group])
        ):
            joined[-1] = both
        else:
            joined.append(group)
    return joined


def _duration_ms(group: Sequence[_Part]) -> int:
    return group[-1].end_ms - group[0].begin_ms


def _in_time(groups: list[list[_Part]], duration_ms: int) -> list[Cue]:
    """The groups as cues, each shown for a second if there is room, first after it, then before.

    Each is shown for at least a millisecond, which the formats demand.
    """
    begins = [group[0].begin_ms for group in groups]
    ends = [group[-1].end_ms for group in groups]
    for at in range(len(groups)):
        begins[at] = max(begins[at], ends[at - 1] if at else 0)
        ends[at] = max(ends[at], begins[at] + 1)
    for at in reversed(range(len(groups))):
        ends[at] = min(ends[at], begins[at + 1] if at + 1 < len(groups) else duration_ms)
        begins[at] = min(begins[at], ends[at] - 1)
    for at in range(len(groups)):
        room = begins[at + 1] if at + 1 < len(groups) else duration_ms
        ends[at] = max(ends[at], min(begins[at] + CUE_MS_MIN, room))
        begins[at] = min(begins[at], max(ends[at] - CUE_MS_MIN, ends[at - 1] if at else 0))
    return [
        Cue(begin_ms, end_ms, tuple(_balanced(_text(group))))
        for group, begin_ms, end_ms in zip(groups, begins, ends, strict=True)
        if begin_ms >= 0  # not in audio of fewer milliseconds than cues
    ]


# --- Lines ----------------------------------------------------------------------------------------


def _lines(text: str, characters: int = LINE_CHARACTERS) -> list[str]:
    """The text in lines, broken at blanks, and a word that is longer than a line anywhere in it."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= characters:
            lines[-1] += f" {word}"
            continue
        while len(word) > characters:
            cut = _grapheme(word, characters)
            lines.append(word[:cut])
            word = word[cut:]
        lines.append(word)
    return lines


def _grapheme(word: str, place: int) -> int:
    """The last place up to this one where no accent or joined emoji is torn from its letter."""
    cut = place
    while cut > 1 and (_extends(word[cut]) or word[cut - 1] == "\u200d"):
        cut -= 1
    return cut if cut > 1 else place


def _extends(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Mn", "Me", "Mc")
        or character == "\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
    )


def _balanced(text: str) -> list[str]:
    """As few lines as there have to be, about equally long."""
    lines = _lines(text)
    if len(lines) == LINES:
        whole = " ".join(text.split())
        for characters in range(len(whole) // LINES, LINE_CHARACTERS):
            narrow = _lines(text, characters)
            if len(narrow) == LINES and " ".join(narrow) == whole:  # no word is broken
                return narrow
    return lines


# --- Formats --------------------------------------------------------------------------------------


def _srt_line(line: str, is_right_to_left: bool) -> str:
    line = _SRT_MARKUP.sub(rf"\g<0>{_WORD_JOINER}", line)
    return f"{_EMBED_RIGHT_TO_LEFT}{line}{_POP}" if is_right_to_left else line


def _vtt_line(line: str, is_right_to_left: bool) -> str:
    return f"{'&rlm;' if is_right_to_left else ''}{html.escape(line, quote=False)}"


def _file_lines(cue: Cue, line_of: Callable[[str, bool], str]) -> str:
    is_right_to_left = _is_right_to_left("".join(cue.lines))
    return "".join(f"{line_of(line, is_right_to_left)}\n" for line in cue.lines)


def _is_right_to_left(text: str) -> bool:
    """Whether its first letter with a direction is of a script that is written to the left."""
    directions = (unicodedata.bidirectional(character) for character in text)
    return next((each for each in directions if each in ("L", "R", "AL")), "L") != "L"


def _clock(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"
