"""Speech by servers elsewhere that keep OpenAI's contract (`POST /audio/speech`): Kokoro-FastAPI,
LocalAI, vLLM, OpenAI itself, another Vocalis. This is how speech grows past one machine.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from usage.engines import PIECE_SECONDS, SPEEDS, EngineFailed, Setting, Settings, Spoken, Status
from usage.engines.coverage import shortfall
from usage.engines.pooled import number, refuse_unknown
from usage.text.pieces import Piece

from . import sound, voices
from .client import Client, Request
from .configuration import SpeechServer
from .failures import Broken, Refused, ServerFailed, Unspoken
from .sharing import PAUSES, Sharing, Standing
from .voices import Listing, Offered, RemoteVoice

__all__ = [
    "Offered",
    "Remote",
    "RemoteVoice",
    "cloner",
    "configure",
    "find",
    "missing",
    "offered",
    "remote_voices",
    "server_at",
]

GAINS = (0.1, 4.0)
TRIES = 2  # of a piece that may be billed for each of them
PASSAGE_CHARACTERS = 60  # of a piece in a message
# By the first part of a language; else Latin.
SCRIPTS = {
    "ar": {"ARABIC"},
    "bg": {"CYRILLIC"},
    "el": {"GREEK"},
    "he": {"HEBREW"},
    "hi": {"DEVANAGARI"},
    "ja": {"CJK", "HIRAGANA", "KATAKANA"},
    "ko": {"HANGUL"},
    "ru": {"CYRILLIC"},
    "th": {"THAI"},
    "uk": {"CYRILLIC"},
    "zh": {"CJK"},
}

_servers: tuple[SpeechServer, ...] = ()


def configure(servers: Sequence[SpeechServer]) -> None:
    """Set the servers of engines that are created from now on."""
    global _servers
    _servers = tuple(servers)


def missing() -> str:
    """Why this engine cannot speak here, for operators; "" if it can."""
    return "" if _servers else "SPEECH_SERVERS names no speech server."


def cloner() -> SpeechServer | None:
    """The server that makes copies of voices, if one is set."""
    return next((server for server in _servers if server.clones), None)


def server_at(url: str) -> SpeechServer | None:
    """The server that is set at this address; of several there, the one that makes copies."""
    found = [server for server in _servers if server.url == url]
    return max(found, key=lambda server: bool(server.clones), default=None)


@dataclass(frozen=True, slots=True)
class _Which:
    voice: str
    group: str  # "": all servers
    is_copy: bool


class Remote:
    """Settings: `voice` is the id of a voice at the servers; `gain` is that of the samples; `group`
    is the `SpeechServer.group` of those to ask, all without it. `copy` is true of a copy of
    somebody's voice (`clones`), which no list has.

    Servers that have a voice of the same id share its pieces, so it must be the same voice. Bytes
    differ from time to time, and word times are estimates (`sound.word_times`): the contract has
    neither seeds nor times.
    """

    sample_rate = sound.SAMPLE_RATE
    characters_max = 160
    first_characters_max = 60
    tuning: tuple[Setting, ...] = ()
    characters_a_second: int | None = None  # servers do not say; most have a GPU

    def __init__(
        self,
        *,
        helpers: int,
        servers: Sequence[SpeechServer] | None = None,
        pauses: tuple[float, float] = PAUSES,
    ) -> None:
        """`helpers` is not used: each server says how many pieces it takes at once."""
        self.servers = _servers if servers is None else tuple(servers)
        self._sharing = Sharing([Client(server) for server in self.servers], pauses=pauses)
        self._listings = {each: Listing(each.client) for each in self._sharing.standings}
        self.languages = frozenset(each for server in self.servers for each in server.languages)
        self.scripts = frozenset({"LATIN"}).union(
            *(SCRIPTS.get(each.partition("-")[0], set()) for each in self.languages)
        )

    def speak(
        self,
        pieces: Sequence[Piece],
        *,
        settings: Settings,
        speed: float = 1.0,
        piece_seconds: float = PIECE_SECONDS,
    ) -> Iterator[Spoken]:
        if not SPEEDS[0] <= speed <= SPEEDS[1]:
            raise EngineFailed(f"The speed goes from {SPEEDS[0]} to {SPEEDS[1]}.", permanent=True)
        refuse_unknown(settings, {"voice", "gain", "group", "copy"}, "a speech server")
        if not isinstance(voice := settings.get("voice"), str) or not voice:
            raise EngineFailed("A speech server needs the id of a voice.", permanent=True)
        gain = number(settings, "gain", 1.0, *GAINS)
        if not self.servers:
            raise EngineFailed("There is no speech server.")
        which = _Which(voice, str(settings.get("group", "")), settings.get("copy") is True)
        return (self._speak(piece, which, gain, speed, piece_seconds) for piece in pieces)

    def warm(self) -> None:
        """Ask every server for its voices."""
        if not self.servers:
            raise EngineFailed("There is no speech server.")
        voices.refresh(self._listings.values(), wait_for_known=True)

    def remote_voices(self) -> list[RemoteVoice]:
        """The voices of all servers, each once, not older than some minutes. A server that is away
        keeps those it had.
        """
        return voices.listed(self._listings.values())

    def offered(self) -> list[Offered]:
        """See `voices.offered`."""
        return voices.offered(self._listings.values())

    def find(self, group: str, voice_id: str) -> Offered | None:
        """See `voices.find`."""
        return voices.find(self._listings.values(), group, voice_id)

    def status(self) -> Status:
        """`alive` counts the servers in use, `restarts` how often one was left out.

        `problem` also names the servers that speak, or have not been asked to, and do not list
        their voices.
        """
        status = self._sharing.status()
        unlisted = [
            f"{each.client.server.name} does not list its voices: {listing.problem}"
            for each, listing in self._listings.items()
            if listing.problem and not each.problem
        ]
        return replace(status, problem="; ".join(filter(None, [status.problem, *unlisted])))

    def close(self) -> None:
        self._sharing.close()

    def _speak(
        self, piece: Piece, which: _Which, gain: float, speed: float, seconds: float
    ) -> Spoken:
        pause = bytes(2 * round(piece.pause_seconds / speed * self.sample_rate))
        if not piece.words:
            return Spoken(piece, pause, ())
        samples = self._samples(piece, which, speed, seconds)
        times = sound.word_times([word.spoken for word in piece.words], samples)
        return Spoken(piece, sound.with_gain(samples, gain) + pause, times)

    def _samples(self, piece: Piece, which: _Which, speed: float, seconds: float) -> bytes:
        """From the first server that speaks the piece. At most TRIES of the requests may be billed;
        servers that take none of it (no connection, busy, a wrong key) do not count.
        """
        candidates = self._with(which)
        request = Request(
            piece.spoken, which.voice, speed, seconds, str(uuid.uuid4()), which.is_copy
        )
        tries = 0
        failure: Unspoken | ServerFailed
        silent: tuple[Standing, float, Unspoken] | None = None
        avoid: Standing | None = None
        begin = time.monotonic()
        until = begin + seconds
        while True:
            standing = self._sharing.take(candidates, avoid=avoid, until=until)
            began_at = time.monotonic()
            try:
                samples = self._ask(standing, request, piece)
            except Unspoken as error:
                if silent:
                    raise _unspeakable(piece, "cannot speak") from error
                silent = (standing, began_at, error)
                failure, is_billed = error, True
            except ServerFailed as error:
                failure, is_billed = error, error.may_be_billed
            else:
                if silent and silent[0] is not standing:
                    # Another server could: it was not the text.
                    self._sharing.blame(silent[0], Broken(str(silent[2])), began_at=silent[1])
                return samples
            avoid = standing
            if is_billed:
                tries += 1
                if tries == TRIES:
                    raise EngineFailed(
                        "The speech servers did not answer. Try again in a moment."
                    ) from failure
                # With the second try the piece takes three times `seconds` at most.
                until = min(time.monotonic() + seconds, begin + 2 * seconds)

    def _ask(self, standing: Standing, request: Request, piece: Piece) -> bytes:
        """Raises ServerFailed, Unspoken, or a permanent EngineFailed for what is refused."""
        began_at = time.monotonic()
        try:
            samples = standing.client.speak(request)
            _check_all_spoken(piece, samples, request.speed)
        except Refused as error:
            self._sharing.refused(standing, error, began_at=began_at)
            if error.voice:
                raise EngineFailed(
                    f"The speech server refuses the voice {request.voice!r}.", permanent=True
                ) from error
            raise _unspeakable(piece, "refuses") from error
        except ServerFailed as error:
            self._sharing.failed(standing, error, began_at=began_at)
            raise
        except BaseException:
            self._sharing.abandoned(standing, began_at=began_at)
            raise
        seconds = len(samples) / 2 / self.sample_rate
        self._sharing.succeeded(standing, began_at=began_at, audio_seconds=seconds)
        return samples

    def _with(self, which: _Which) -> list[Standing]:
        """The servers that have the voice, else those that list none. Raises a permanent
        EngineFailed if there are neither.
        """
        voice = which.voice
        listings = {
            standing: listing
            for standing, listing in self._listings.items()
            if which.group in ("", listing.server.group)
        }
        if which.is_copy and listings:
            return list(listings)
        for listing in listings.values():
            listing.refresh()
        has = {each: listing.has(voice) for each, listing in listings.items()}
        if len(has) > 1 and None in has.values() and True not in has.values():
            voices.refresh(listings.values(), wait_for_known=False)
            has = {each: listing.has(voice) for each, listing in listings.items()}
        for answer in (True, None):
            if found := [each for each, known in has.items() if known is answer]:
                return found
        raise EngineFailed(f"No speech server has the voice {voice!r}.", permanent=True)


def _check_all_spoken(piece: Piece, samples: bytes, speed: float) -> None:
    """Raises Unspoken if something of the piece cannot be in the samples."""
    words = [word.spoken for word in piece.words]
    times = sound.word_times(words, samples)
    if missing := shortfall(words, times, len(samples) / 2 / sound.SAMPLE_RATE, speed):
        raise Unspoken(f"it left something out: {missing}")


def _unspeakable(piece: Piece, does: str) -> EngineFailed:
    passage = piece.spoken
    if len(passage) > PASSAGE_CHARACTERS:
        passage = passage[: PASSAGE_CHARACTERS - 1] + "…"
    return EngineFailed(
        f"The speech server {does} this passage: '{passage}'. Change it.", permanent=True
    )


def _engine() -> Remote:
    from usage.engines import engine

    found = engine("remote")
    assert isinstance(found, Remote)
    return found


def remote_voices() -> list[RemoteVoice]:
    """The voices of the engine "remote"; none if no server is set."""
    return [] if missing() else _engine().remote_voices()


def offered() -> list[Offered]:
    """Its voices as those of the house, without waiting for a server; none if none is set."""
    return [] if missing() else _engine().offered()


def find(group: str, voice_id: str) -> Offered | None:
    """One of them by group and id at the servers, without waiting; see `voices.find`."""
    return None if missing() else _engine().find(group, voice_id)
