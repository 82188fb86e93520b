"""What a customer reads aloud in a sample of their voice, and agrees to. It says who gets the
recording and what is made of it; the row of the consent keeps it as it was shown.
"""

from __future__ import annotations

import hashlib

from . import copies

COMPARED = (
    "This is my own voice, and I agree that Vocalis compares this recording with its voices "
    "to find one of the same kind for me."
)
# Half a minute of reading after it, in which all sounds of English come up.
TO_READ = (
    "I am reading this at my own pace, in the voice I use every day. The boat left the harbour "
    "before dawn, and nobody on the quay waved. She counted the letters twice, put the smallest "
    "one aside, and opened the window. Why would such a quiet town need three bakeries? Perhaps "
    "the answer is in the flour, or in the young judge who measures every loaf with care."
)


def sentence() -> str:
    """The sentence of a sample that is sent now."""
    server = copies.maker()
    return copied(server.label) if server else COMPARED


def copied(label: str) -> str:
    """The sentence where the server of that label makes copies."""
    return (
        f"This is my own voice. I agree that Vocalis sends this recording to {label}, which makes "
        "a copy of my voice for me, and that Vocalis compares it with its own voices."
    )


def sha256(sentence: str) -> str:
    """In hex: what the form sends back, so that nobody agrees to another one."""
    return hashlib.sha256(sentence.encode()).hexdigest()
