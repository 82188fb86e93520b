"""HTML, SSML and Markdown marks in a text: what is to be left out, and what stands for a break.

Every pattern is bounded, so that a text of nothing but opening brackets takes linear time.
"""

import html
import re
from collections.abc import Iterator

from usage.text.rules import listed

BREAK = "\n"  # a new line
PARAGRAPH = "\n\n"
LEAD = "\x0b"  # a new line that does not go on with the one before

_BLOCKS = listed(
    "p div br hr h1 h2 h3 h4 h5 h6 ul ol li dl dt dd table tr td th thead tbody blockquote "
    "pre section article header footer nav main aside figure figcaption form title body html "
    "head speak"
)
_PARAGRAPHS = listed("p hr h1 h2 h3 h4 h5 h6 table blockquote title")
_INLINE = listed(
    "a s abbr acronym b bdi bdo big button center cite code data del details dfn em font i "
    "img input ins kbd label link mark meta option q rp rt ruby samp script select small span "
    "strike strong style sub summary sup svg textarea time tt u var video audio source "
    "picture iframe canvas break emphasis phoneme prosody voice say-as lang w"
)

_MARKS = re.compile(
    r"""
      (?P<code><(?P<kind>script|style)(?:\s[^<>]{0,1000})?>.{0,5000}?</(?P=kind)\s{0,9}>)
    | (?P<comment><!--.{0,600}?-->|<!doctype[^<>]{0,300}>|<\?xml[^<>]{0,300}\?>)
    | <sup>(?P<power>[-−+]?[0-9]{1,4})</sup>
    | </?(?P<tag>[a-z][a-z0-9-]{0,12})(?:[\s/][^<>]{0,1000})?>
    | <(?P<autolink>(?:https?://|mailto:)?[^\s<>]{3,300})>(?<=[a-z0-9/]>)
    | (?P<entity>&(?:[a-z][a-z0-9]{1,31}|\#\d{1,7}|\#x[0-9a-f]{1,6});)
    | (?P<fence>^[ ]{0,3}(?:`{3,}|~{3,})[ \t]{0,4}[\w+-]{0,20}[ \t]{0,4}$)
    | (?P<rule>^[ ]{0,3}(?:(?:[*][ \t]?){3,80}|(?:-[ \t]?){3,80}|(?:_[ \t]?){3,80}|={3,80})
          [ \t]{0,4}$)
    | (?P<row>^[ ]{0,3}\|?(?:[ ]?:?-{3,40}:?[ ]?\|){1,30}(?:[ ]?:?-{3,40}:?[ ]?)?$)
    | (?P<lead>^[ \t]{0,12}(?:(?:>[ ]?){1,9}(?![\d=])|\#{1,6}[ \t]+
          |[-*+•‣◦][ \t]+(?:\[[ x]\][ \t]+)?))
    | !?\[(?P<label>[^\[\]\n]{0,300})\]
      (?P<target>\([^()\s]{0,500}(?:\([^()\s]{0,80}\)[^()\s]{0,80})?
          (?:[ ]"[^"\n]{0,200}")?\)|\[[^\[\]\n]{1,60}\])
    | (?P<note>\[\^[\w-]{1,20}\]:?)
    | (?P<escape>\\(?=[][*_#()~`>{}.!|-]))
    | (?P<opening>(?<![^\s("'“‘>…—–\[-])(?:[*]{1,3}|_{1,3}|~~|`{1,3})(?=[^\s*_~`]))
    | (?P<closing>(?<=[^\s*_~`])(?:[*]{1,3}|_{1,3}|~~|`{1,3})(?![^\s.,;:!?)\]"'”’<…—–-]))
    | (?P<cell>(?:^|(?<=[ \t]))\|(?=[ \t]|$))
    """,
    re.X | re.I | re.M | re.S,
)

_SUPERSCRIPTS = str.maketrans("0123456789-−+", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻⁺")
_CANDIDATE = re.compile(r"[<&*_`~\[\\|]|!\[|^[ \t]{0,12}[-*+•‣◦>#=`~|_]", re.M)


def marks(text: str) -> Iterator[tuple[int, int, str]]:
    """Ranges of marks with what stands for each: "", a break, or the character an entity means.

    Ranges are in order and do not overlap.
    """
    place = 0
    while candidate := _CANDIDATE.search(text, place):
        match = _MARKS.match(text, candidate.start())
        if match is None:
            place = candidate.start() + 1
            continue
        place = match.end()
        if match["label"] is not None:
            yield match.start(), match.start("label"), ""
            yield from _inner(text, match.start("label"), match.end("label"))
            yield match.start("target") - 1, match.end(), ""
        elif (meaning := _meaning(match)) is not None:
            yield match.start(), match.end(), meaning
        else:
            place = match.start() + 1


def _inner(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Emphasis in the label of a link."""
    for match in re.finditer(r"[*`]{1,3}|~~|(?<!\w)_{1,3}|_{1,3}(?!\w)", text[start:end]):
        yield start + match.start(), start + match.end(), ""


def _meaning(match: re.Match[str]) -> str | None:
    """What stands for one mark; None if it is none."""
    if power := match["power"]:
        return power.translate(_SUPERSCRIPTS)
    if tag := match["tag"]:
        tag = tag.lower()
        if match[0].lower() == "</sub>" and match.string[match.end() : match.end() + 1].isdecimal():
            return " "  # "log₂8"
        if tag in _PARAGRAPHS:
            return PARAGRAPH
        if tag in _BLOCKS:
            return BREAK
        return "" if tag in _INLINE else None
    if entity := match["entity"]:
        meant = html.unescape(entity)
        return None if meant == entity else meant
    if autolink := match["autolink"]:
        return None if not re.search(r"://|@[^.]+\.|^mailto:", autolink) else match[0][1:-1]
    if match["fence"] or match["rule"] or match["row"]:
        return PARAGRAPH
    if match["cell"]:
        return ","
    if match["lead"]:
        return LEAD
    return ""
