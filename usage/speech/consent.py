"""What a customer reads aloud in a sample of their voice, and agrees to. It says who gets the
recording and what is made of it; the row of the consent keeps it as it was shown.
"""

from __future__ import annotations

import hashlib

from usage.engines.remote.configuration import OPENAI

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
# As OpenAI wants it, word for word and alone in a recording:
# https://developers.openai.com/api/docs/guides/custom-voices
OPENAI_PHRASE = (
    "I am the owner of this voice and I consent to OpenAI using this voice to create a synthetic "
    "voice model."
)


CHANGED = "The sentence has changed. Read the one that is shown now."
CHANGED_SINCE = "The sentence has changed since this consent was recorded. Record it anew."
UNKNOWN = "There is no such consent, or it was withdrawn. Record one."


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


def phrase() -> str:
    """What is read aloud in a recording of its own beside the sample; "" if none is wanted."""
    server = copies.maker()
    return OPENAI_PHRASE if server and server.clones == OPENAI else ""


def to_read() -> str:
    """What is read after the sentence: so much that the whole is as long as it may be."""
    return ". ".join(TO_READ.split(". ")[:2]) + "." if phrase() else TO_READ


def sha256(sentence: str) -> str:
    """In hex: what the form sends back, so that nobody agrees to another one."""
    return hashlib.sha256(sentence.encode()).hexdigest()
