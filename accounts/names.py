"""What a person's name may contain.

Names go out in mails and to Metronome. A name that is a message with a link would make our mails
carry it to whoever's address is entered at sign-up.
"""

from __future__ import annotations

import re
import unicodedata

from django.core.exceptions import ValidationError

# Control and format characters, line and paragraph separators, and what is no character at all.
REFUSED_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
DOTS = ".\u3002\uff0e\uff61"  # those that domain names are written with
# A scheme, an e-mail address, a network address, or letters right after a dot.
_ADDRESS = re.compile(rf"[:/\\]\s*[/\\]|[@\uff20]|\d[{DOTS}]\d|[{DOTS}][^\W\d_]{{2}}")

CHARACTERS = "Write it without line breaks and invisible characters."
ADDRESS = "Write a name without addresses, and a blank after a dot."


def check(name: str) -> None:
    """A validator of fields. Raises ValidationError."""
    if any(unicodedata.category(character) in REFUSED_CATEGORIES for character in name):
        raise ValidationError(CHARACTERS, code="characters")
    if _ADDRESS.search(name):
        raise ValidationError(ADDRESS, code="address")
