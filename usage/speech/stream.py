"""Speech that is delivered while it is made, for programs: charged for what was sent.

    begin (reserve, first piece) → pieces, sent one by one → capture and report

The whole price is reserved before anything is spoken, and the first piece is spoken before anything
is sent: so whatever can be refused is refused in words, with its credits back. Then

- all pieces sent: all of it is charged, before the end of the answer is;
- the client leaves, or reads for longer than STREAM_SECONDS: the pieces that were sent are charged,
  and kept as audio; none, if none was;
- a piece fails: the answer breaks off, and nothing is charged;
- the process dies: the reservation expires, as for every text.

The engine speaks in a thread of its own, at its own pace; sending waits for the client. Nothing
here holds a database connection while it waits.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime

from django.db import connections

from accounts.models import Customer
from billing import ledger
from billing.live.wake import wake
from jobs.clock import ticking
from usage.engines import EngineFailed, NothingToSpeak, Spoken, engine
from usage.engines.whole import joined, speak_pieces
from usage.models import Generation
from usage.text.pieces import Piece

from . import manner as manners
from . import parts, speak
from .asked import ON_THE_SITE, Asked, Begun
from .outcome import UNEXPECTED
from .problems import Refused, SpeechFailed, StillRunning, TooManyStreams

logger = logging.getLogger(__name__)

STREAMS_MAX = 40  # at once in a process: each has a thread, and its samples in memory
# Less than a reservation lasts, so that what was sent can still be charged.
STREAM_SECONDS = ledger.RESERVATION_SECONDS - 60
# A client that left before the answer began: nobody will ask for the pieces.
BEGIN_SECONDS = 10
LEFT = "The connection was closed before anything was sent."

_speakers = ThreadPoolExecutor(max_workers=STREAMS_MAX, thread_name_prefix="speak")
_settlers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="settle")
_free = threading.BoundedSemaphore(STREAMS_MAX)


def running() -> int:
    """How many streams this process has at work, of STREAMS_MAX."""
    return STREAMS_MAX - _free._value


def begin(
    *,
    customer: Customer,
    text: str,
    voice_id: str,
    key: str,
    now: datetime,
    manner: Mapping[str, object] | None = None,
    asked: Asked = ON_THE_SITE,
) -> Stream | Generation:
    """Begin to speak a text, and wait for its first piece.

    Returns the generation, `replayed`, if the key was used for this before: its audio is stored.

    Raises what `speak.speak` raises, the ledger's BudgetExceeded, and TooManyStreams. After any of
    them nothing is charged and nothing stays reserved.
    """
    if not _free.acquire(blocking=False):
        raise TooManyStreams
    stream = None
    try:
        begun = speak.begin(
            customer=customer,
            text=text,
            voice_id=voice_id,
            key=key,
            now=now,
            manner=manner,
            asked=replace(asked, is_streamed=True),
        )
        generation = begun.generation
        if generation.state != Generation.State.PENDING:
            return generation
        if generation.is_queued:  # a worker speaks it, for the site
            raise StillRunning(generation.id)
        stream = Stream(begun, ticking(now))
    finally:
        if stream is None:
            _free.release()
    stream.start()
    return stream


class Stream:
    """One text on its way to a client. `delivered` is to be entered once."""

    def __init__(self, begun: Begun, clock: Callable[[], datetime]) -> None:
        self.generation = begun.generation
        self.sample_rate = 0
        self._begun, self._clock = begun, clock
        self._todo: list[Piece] = []
        self._changed = threading.Condition()
        self._spoken: list[Spoken] = []
        self._given = 0  # of those: how many were asked for
        self._sent = 0
        self._failure: Exception | None = None
        self._is_over = False  # nothing more will be spoken
        self._is_left = False  # nothing more will be sent
        self._is_settled = False
        self._is_asked_for = threading.Event()
        self._listener: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def start(self) -> None:
        """Wait until the first piece is spoken. Raises Refused or SpeechFailed."""
        _speakers.submit(self._speak)
        with self._changed:
            self._changed.wait_for(lambda: self._spoken or self._is_over)
            failure = None if self._spoken else self._failure
        if failure:
            self._is_asked_for.set()
            self.settle()
            raise failure

    @asynccontextmanager
    async def delivered(self) -> AsyncIterator[AsyncGenerator[Spoken, None]]:
        """The pieces. One counts as sent from `sent` on, at the latest when the next one, or the
        end, is asked for.

        They are charged at the end of the block, or as soon as the piece is spoken that is in work
        then. Raises what `_failure` is if a piece fails, or if what was sent cannot be charged;
        then the answer must break off.
        """
        loop = asyncio.get_running_loop()
        self._is_asked_for.set()
        end = loop.call_later(STREAM_SECONDS, _settlers.submit, self._settle_in_thread)
        pieces = self._pieces(loop)
        try:
            yield pieces
        finally:
            end.cancel()
            await pieces.aclose()
            await asyncio.shield(loop.run_in_executor(_settlers, self._settle_in_thread))
        if self._failure:
            raise self._failure

    def until(self, count: int) -> int:
        """How many characters the first pieces make up, with the blanks up to the next one."""
        return parts.spoken_until(self._todo, self.generation.characters, count)

    def sent(self) -> None:
        """The piece that was given last counts as sent: some of its sound has been."""
        with self._changed:
            if not self._is_left:
                self._sent = self._given

    def leave(self) -> None:
        """Nobody waits for its answer any more: speak no further, and settle. Twice is as once."""
        self._is_asked_for.set()
        if not self._is_settled:
            with suppress(RuntimeError):  # the process ends
                _settlers.submit(self._settle_in_thread)

    def settle(self) -> None:
        """Charge what was sent, or give the credits back. Twice is as once. Never raises.

        While a piece is being spoken it is left to the thread that speaks: nobody waits for it.
        """
        with self._changed:
            self._is_left = True
            if self._is_settled or not self._is_over:
                return
            self._is_settled = True
        try:
            self._charge()
        except Exception as error:
            self._failure = error
            if not isinstance(error, (SpeechFailed, StillRunning)):
                logger.exception("generation %s could not be charged", self.generation.id)
                self._failure = SpeechFailed(UNEXPECTED)
            speak.end(self._begun, str(self._failure), self._clock())
        finally:
            self._spoken = []
            _free.release()
            wake(self._begun.wallet_id)

    def _charge(self) -> None:
        if self._failure or not self._sent:
            speak.end(self._begun, str(self._failure or LEFT), self._clock())
            return
        speech = joined(self.sample_rate, self._spoken[: self._sent])
        characters = parts.spoken_until(self._todo, self.generation.characters, self._sent)
        try:
            speak.deliver(self._begun, speech, self._clock, characters=characters)
        except (ledger.InsufficientCredits, ledger.BudgetExceeded, ledger.WalletFrozen) as error:
            # Its reservation had expired, and the credits are spent or on hold.
            raise SpeechFailed(str(error)) from error

    def _settle_in_thread(self) -> None:
        try:
            self.settle()
        finally:
            connections.close_all()

    def _speak(self) -> None:
        try:
            self._speak_all()
        except NothingToSpeak as error:
            self._failure = Refused({"text": [str(error)]})
        except EngineFailed as error:
            logger.warning("generation %s: %s", self.generation.id, error)
            refused = Refused({"text": [str(error)]})
            self._failure = refused if error.permanent else SpeechFailed(str(error))
        except Exception:
            logger.exception("generation %s could not be spoken", self.generation.id)
            self._failure = SpeechFailed(UNEXPECTED)
        with self._changed:
            self._is_over = True
            is_left = self._is_left
            self._tell()
        if is_left or not self._is_asked_for.wait(BEGIN_SECONDS):
            self._settle_in_thread()

    def _speak_all(self) -> None:
        generation, speaker = self.generation, self._begun.speaker
        chosen = engine(speaker.engine)
        self.sample_rate = chosen.sample_rate
        self._todo = manners.pieces(chosen, generation, speaker)
        speed = manners.speed_of(generation)
        for spoken in speak_pieces(
            chosen,
            self._todo,
            settings=speaker.settings,
            speed=speed,
            deadline_seconds=speak.patience_seconds(generation.characters, speed),
        ):
            with self._changed:
                if self._is_left:
                    return
                self._spoken.append(spoken)
                self._tell()

    def _tell(self) -> None:
        self._changed.notify_all()
        if self._listener:
            loop, event = self._listener
            with suppress(RuntimeError):  # the loop has ended with its server
                loop.call_soon_threadsafe(event.set)

    async def _pieces(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[Spoken, None]:
        event = asyncio.Event()
        with self._changed:
            self._listener = loop, event
        while True:
            event.clear()
            with self._changed:
                if self._is_left:
                    raise SpeechFailed("The answer was not read in time.")
                spoken = self._spoken[self._sent] if self._sent < len(self._spoken) else None
                is_over, failure = self._is_over, self._failure
            if spoken:
                self._given = self._sent + 1
                yield spoken
                self.sent()
            elif not is_over:
                await event.wait()
            elif failure:
                raise failure
            else:
                return
