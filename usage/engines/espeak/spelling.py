"""Names for what eSpeak NG cannot pronounce."""

import unicodedata

from usage.text import is_audible


def spell_out(text: str) -> str:
    """Replace each letter, number and symbol by its Unicode name: "★" is "black star"."""

    def name(sign: str) -> str:
        return unicodedata.name(sign, f"character {ord(sign):X}").lower()

    return "".join(f" {name(sign)} " if is_audible(sign) else sign for sign in text)
