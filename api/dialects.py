"""Which dialect an answer is in, where no view has said so: by address and by the key's header."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from django.http import HttpResponse

from .auth import XI_HEADER
from .elevenlabs import errors as elevenlabs
from .failures import Failure
from .openai import errors as openai
from .own import errors as own

Answer = Callable[[Failure, str], HttpResponse]  # of a failure, and the request's id

OPENAI = re.compile(r"/v1/(audio|models)(/|$)")
ELEVENLABS = re.compile(
    r"/v1/(text-to-speech|voices|history|user|single-use-token)(/|$)|/v2/|/v1/usage/character-stats"
)
# Where ElevenLabs' addresses are ours, too: a key in the other header says that it is ours.
SHARED = re.compile(r"/v1/voices(/|$)")


def is_ours(path: str) -> bool:
    """Whether an address belongs to the API."""
    return path.startswith(("/v1/", "/v2/"))


def failing(path: str, headers: Mapping[str, str]) -> Answer:
    """How failures are answered at that address. `headers` in lower case, or of Django."""
    if headers.get(XI_HEADER):
        return elevenlabs.answer
    if OPENAI.match(path):
        return openai.answer
    if ELEVENLABS.match(path) and not (SHARED.match(path) and headers.get("authorization")):
        return elevenlabs.answer
    return own.answer
