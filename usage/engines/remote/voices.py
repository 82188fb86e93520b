"""The voices of speech servers: as they list them, or as the operator wrote them."""

import json
import logging
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .client import Client
from .configuration import COPY, SpeechServer
from .failures import ServerFailed

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 300
AGAIN_SECONDS = 30  # after a list that could not be had
WAIT_SECONDS = 4  # for the first list of a server
VOICES_MAX = 2_000
ID_CHARACTERS_MAX = 200

# Kokoro's voices begin with a letter for the language and one for the sex: "af_heart".
_KOKORO = re.compile(r"([abefhijpz])[fm]_\w+")
_KOKORO_LANGUAGES = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr-fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-br",
    "z": "zh",
}
_LOCALE = re.compile(r"([a-z]{2,3})[-_]([A-Z]{2})(?![A-Za-z])")  # "en_US-amy-medium"
_WEIGHT = re.compile(r"\(\d+(\.\d+)?\)")  # Kokoro-FastAPI blends: "af_bella(2)+af_sky(1)"


@dataclass(frozen=True, slots=True)
class RemoteVoice:
    id: str  # what the server is asked for
    name: str
    language: str  # "en-us", as the server says or its id suggests; "" if neither
    server: str  # name of the first server that has it


@dataclass(frozen=True, slots=True)
class Offered:
    """A voice as a voice of the house, at the price of its servers."""

    voice: RemoteVoice
    server: SpeechServer  # the first of its group

    @property
    def language(self) -> str:
        """Of the voice, else the first of the server's."""
        return self.voice.language or self.server.languages[0]


def read_voices(answer: bytes, server: str) -> list[RemoteVoice]:
    """The voices of an answer to `GET audio/voices`. Raises ValueError if it is no such list.

    Servers differ: a list, or one under "voices" or "data"; of ids, or of objects with "id",
    "voice_id" or only "name".
    """
    try:
        found = json.loads(answer)
    except RecursionError:
        raise ValueError("too deep") from None
    if isinstance(found, dict):
        found = next((found[name] for name in ("voices", "data") if name in found), None)
    if not isinstance(found, list):
        raise ValueError("no list of voices")
    voices = {}
    for each in found[:VOICES_MAX]:
        if (voice := _voice(each, server)) and voice.id not in voices:
            voices[voice.id] = voice
    return list(voices.values())


def _voice(found: Any, server: str) -> RemoteVoice | None:
    if isinstance(found, str):
        found = {"id": found}
    if not isinstance(found, dict):
        return None
    ids = (found.get(name) for name in ("id", "voice_id", "name"))
    voice_id = next((each for each in ids if _is_text(each)), "")
    if not voice_id:
        return None
    name = found["name"] if _is_text(found.get("name")) else voice_id
    if name.startswith(COPY):  # of somebody's voice, made when the server had clones=yes
        return None
    return RemoteVoice(voice_id, name, _language(found) or guess_language(voice_id), server)


def _is_text(found: object) -> bool:
    return (
        isinstance(found, str)
        and 0 < len(found) <= ID_CHARACTERS_MAX
        and found.isprintable()
        and found == found.strip()
    )


def _language(found: Mapping[str, Any]) -> str:
    for name in ("language", "lang", "locale", "languages"):
        value = found.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str) and re.fullmatch(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*", value):
            return value.replace("_", "-").lower()
    return ""


def guess_language(voice_id: str) -> str:
    """The language that the id of a voice suggests, "" if none."""
    if match := _KOKORO.fullmatch(voice_id):
        return _KOKORO_LANGUAGES[match[1]]
    if match := _LOCALE.match(voice_id):
        return f"{match[1]}-{match[2]}".lower()
    return ""


class Listing:
    """The voices of one server, asked for in a thread when they are needed and not asked for
    lately. A server that is away keeps those it had.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._due_at = 0.0  # by the monotonic clock
        self._problem = ""
        name, written = client.server.name, client.server.voices
        self._voices: list[RemoteVoice] | None = [
            RemoteVoice(each, each, guess_language(each), name) for each in written
        ] or ([] if client.server.clones else None)

    @property
    def server(self) -> SpeechServer:
        return self._client.server

    def refresh(self) -> None:
        """Begin to ask for the list, if it is time.

        A server that clones is not asked: what it lists may be copies of people's voices.
        """
        if self._client.server.voices or self._client.server.clones:
            return
        with self._lock:
            if self._thread is None and time.monotonic() >= self._due_at:
                self._thread = threading.Thread(target=self._ask, daemon=True)
                self._thread.start()

    def wait(self, deadline: float) -> None:
        """For a list that is being asked for."""
        with self._lock:
            thread = self._thread
        if thread:
            thread.join(max(0, deadline - time.monotonic()))

    @property
    def problem(self) -> str:
        """Why the last list could not be had; "" if it could, or none was asked for."""
        return self._problem

    def voices(self) -> list[RemoteVoice] | None:
        """None if they are not known: not listed yet, or the server lists none."""
        return self._voices

    def has(self, voice: str) -> bool | None:
        """Whether the server has the voice, or the parts of a blend; None if nobody knows."""
        if self._voices is None:
            return None
        known = {each.id for each in self._voices}
        parts = _WEIGHT.sub("", voice).split("+")
        return voice in known or known.issuperset(parts)

    def _ask(self) -> None:
        name = self._client.server.name
        problem, wait = "", float(REFRESH_SECONDS)
        try:
            answer = self._client.list_voices()
            self._voices = None if answer is None else read_voices(answer, name)
        except (ServerFailed, ValueError) as error:
            problem, wait = str(error), AGAIN_SECONDS
            if problem != self._problem:
                logger.warning("The speech server %s does not list its voices: %s", name, problem)
        finally:
            with self._lock:
                self._problem = problem
                self._due_at = time.monotonic() + wait
                self._thread = None


def listed(listings: Iterable[Listing]) -> list[RemoteVoice]:
    """The voices of all servers, each once. Waits for servers that never listed theirs."""
    listings = list(listings)
    refresh(listings, wait_for_known=False)
    found: dict[str, RemoteVoice] = {}
    for listing in listings:
        for voice in listing.voices() or ():
            found.setdefault(voice.id, voice)
    return list(found.values())


def refresh(listings: Iterable[Listing], *, wait_for_known: bool) -> None:
    """Ask all servers at once whose list is due; wait for the lists nobody has yet, and for all
    with `wait_for_known`.
    """
    listings = list(listings)
    for listing in listings:
        listing.refresh()
    deadline = time.monotonic() + WAIT_SECONDS
    for listing in listings:
        if wait_for_known or listing.voices() is None:
            listing.wait(deadline)


def offered(listings: Iterable[Listing]) -> list[Offered]:
    """The voices that are known now, once in each group. Waits for nothing: lists that are due are
    asked for in threads.
    """
    found: dict[tuple[str, str], Offered] = {}
    for listing in listings:
        listing.refresh()
        for voice in listing.voices() or ():
            found.setdefault((listing.server.group, voice.id), Offered(voice, listing.server))
    return list(found.values())


def find(listings: Iterable[Listing], group: str, voice_id: str) -> Offered | None:
    """A voice of the group by the id it has at the servers; None if none of them has it.

    While a server's list is not known, and for one that lists none, it is taken to have the voice:
    the server says when it speaks.
    """
    mine = [listing for listing in listings if listing.server.group == group]
    for listing in mine:
        listing.refresh()
    for listing in mine:
        for voice in listing.voices() or ():
            if voice.id == voice_id:
                return Offered(voice, listing.server)
    for listing in mine:
        if listing.has(voice_id) is not False:
            server = listing.server
            voice = RemoteVoice(voice_id, voice_id, guess_language(voice_id), server.name)
            return Offered(voice, server)
    return None
