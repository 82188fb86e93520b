"""One text that is spoken over a socket: its chunks, one after the other, as messages with audio.

Each chunk is a stream of its own: its credits are reserved when it is spoken, and what was sent of
it is charged. Text that only waits is never charged.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.utils import timezone

from api import auth, limits
from api.audio import Output
from api.failures import Failure, of_problem
from usage.audio import Encoder
from usage.speech import problems, stream
from usage.speech.asked import Asked
from usage.speech.stream import Stream

from . import alignment, voices
from .alignment import Sent

logger = logging.getLogger(__name__)

# Threads for the database, each of whose connections is closed after use.
THREADS = 8
BACKLOG_CHARACTERS_MAX = 10_000  # of a context, that wait to be spoken
# Whose encoder keeps a few hundredths of a second back. It can be ended and begun anew in between.
ENDED_BY_FLUSH = ("mp3", "opus")
UNEXPECTED = Failure(500, "internal_error", "Something went wrong on our side.")

_threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="sockets")

Message = dict[str, Any]
SendMessage = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Voice:
    """With what the texts of a socket are spoken."""

    secret: str  # of the key
    voice_id: str
    model_id: str | None
    output: Output


class Context:
    """Speaks what it is given, in order, in a task of its own."""

    def __init__(self, voice: Voice, manner: dict[str, object], send: SendMessage) -> None:
        self._voice, self._manner, self._send = voice, manner, send
        # A chunk, and whether the encoder is to give all it has after it; None: that was all.
        self._todo: asyncio.Queue[tuple[str, bool] | None] = asyncio.Queue()
        self._waiting = 0  # characters
        self._encoder: Encoder | None = None
        self.task = asyncio.create_task(self._run())

    @property
    def is_busy(self) -> bool:
        """Whether there is something left to speak."""
        return self._waiting > 0

    def speak(self, chunks: list[str], *, flush: bool = False) -> None:
        """Speak these next. Raises Failure if too much is waiting already."""
        self._waiting += sum(map(len, chunks))
        if self._waiting > BACKLOG_CHARACTERS_MAX:
            raise Failure(
                429,
                "too_much_text",
                f"More than {BACKLOG_CHARACTERS_MAX:,} characters wait to be spoken. Wait for "
                "their audio before you send more.",
            )
        for number, chunk in enumerate(chunks, 1):
            self._todo.put_nowait((chunk, flush and number == len(chunks)))
        if flush and not chunks:
            self._todo.put_nowait(("", True))

    def end(self) -> None:
        """Nothing more comes: `task` ends when all is spoken, after the last audio was sent."""
        self._todo.put_nowait(None)

    async def _run(self) -> None:
        """Raises Failure if a chunk cannot be spoken."""
        try:
            while todo := await self._todo.get():
                chunk, flush = todo
                if chunk:
                    await self._speak(chunk)
                    self._waiting -= len(chunk)
                if flush and self._voice.output.name in ENDED_BY_FLUSH:
                    await self._finish()
            await self._finish()
        except Failure:
            raise
        except problems.EXPECTED as error:
            raise of_problem(problems.problem_of(error)) from error
        except Exception as error:
            logger.exception("a chunk of a socket could not be spoken")
            raise UNEXPECTED from error
        finally:
            if self._encoder:
                self._encoder.close()

    async def _speak(self, chunk: str) -> None:
        loop = asyncio.get_running_loop()
        beginning = loop.run_in_executor(_threads, _begun, self._voice, chunk, self._manner)
        try:
            begun, admission = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            beginning.add_done_callback(_given_up)
            raise
        try:
            await self._deliver(begun, Sent(chunk), admission)
        finally:
            await asyncio.shield(loop.run_in_executor(_threads, admission.leave))

    async def _deliver(self, begun: Stream, sent: Sent, admission: limits.Admission) -> None:
        count = at = 0
        async with begun.delivered() as pieces:
            if self._encoder is None:
                self._encoder = await asyncio.to_thread(
                    self._voice.output.encoder, begun.generation, begun.sample_rate
                )
            async for piece in pieces:
                data = await asyncio.to_thread(self._encoder.feed, piece.samples)
                count += 1
                end = begun.until(count)
                found = alignment.of_piece(piece, begun.sample_rate, at, end)
                await self._send(_message(data, sent, found, at, end))
                at = end
                if admission.is_to_be_extended:
                    await asyncio.to_thread(admission.extend)

    async def _finish(self) -> None:
        """Send what the encoder still has."""
        encoder, self._encoder = self._encoder, None
        if encoder is None:
            return
        try:
            if data := await asyncio.to_thread(encoder.finish):
                await self._send(_message(data))
        finally:
            encoder.close()


def _begun(voice: Voice, text: str, manner: dict[str, object]) -> tuple[Stream, limits.Admission]:
    """The stream of a chunk, with its first piece spoken. The key must still be one, and a chunk
    counts as a request of it.
    """
    now = timezone.now()
    admission = None
    try:
        key = auth.authenticated(voice.secret, "speech", now)
        admission = limits.enter(key, now)
        speaker = voices.find(key.customer, voice.voice_id, voice.model_id)
        begun = stream.begin(
            customer=key.customer,
            text=text,
            voice_id=speaker.id,
            key=str(uuid.uuid4()),
            now=now,
            manner=manner,
            asked=Asked(api_key_id=key.pk, answer=f"elevenlabs-socket {voice.output}"),
        )
        assert isinstance(begun, Stream)  # the key is new
        return begun, admission
    except BaseException:
        if admission:
            admission.leave()
        raise
    finally:
        connections.close_all()


def _given_up(beginning: asyncio.Future[tuple[Stream, limits.Admission]]) -> None:
    """Nobody waits for that chunk any more: no more of it is spoken, and it costs nothing."""
    if not beginning.cancelled() and not beginning.exception():
        begun, admission = beginning.result()
        begun.leave()
        _threads.submit(admission.leave)


def check(voice: Voice) -> None:
    """Raises Failure if the key or the voice is none. Called in a thread of its own."""
    try:
        key = auth.authenticated(voice.secret, "speech", timezone.now())
        voices.find(key.customer, voice.voice_id, voice.model_id)
    finally:
        connections.close_all()


async def checked(voice: Voice) -> None:
    """Raises Failure if the key or the voice is none."""
    await asyncio.get_running_loop().run_in_executor(_threads, check, voice)


def _message(
    data: bytes,
    sent: Sent | None = None,
    found: alignment.Times | None = None,
    start: int = 0,
    end: int = 0,
) -> Message:
    """A message with audio. Its times are relative to this audio."""
    message: Message = {
        "audio": base64.b64encode(data).decode(),
        "isFinal": None,
        "alignment": None,
        "normalizedAlignment": None,
    }
    if sent and found is not None:
        message["alignment"] = alignment.in_milliseconds(
            sent.part(start, end), sent.times(found, start)
        )
        message["normalizedAlignment"] = alignment.in_milliseconds(
            sent.normalised[start:end], found
        )
    return message
