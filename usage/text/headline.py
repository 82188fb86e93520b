"""The first line of a text as people name it: as it is spoken, without marks of its markup."""

import re

from usage.text.markup import marks

CHARACTERS_MAX = 300  # more than any list shows
_LOOKED_AT = 4 * CHARACTERS_MAX  # of the text: marks take room, too
_HEADING = re.compile(r"^([ ]{0,3}#{1,6}[ \t]+[^\n]*\w)[ \t#]*\n(?=\s*\S)", re.M)


def headline(text: str) -> str:
    """The beginning of a text in one line, without the marks of Markdown, HTML and SSML.

    A heading ends with a colon if more follows. A text of nothing but marks is what it is. One that
    goes on is long enough to be cut again.
    """
    beginning = _HEADING.sub(r"\1:\n", text[:_LOOKED_AT])
    spoken, place = "", 0
    for start, end, meaning in marks(beginning):
        spoken += beginning[place:start] + meaning
        place = end
    line = " ".join((spoken + beginning[place:]).split())
    return (line or " ".join(beginning.split()))[:CHARACTERS_MAX]
