"""WebSockets: text comes in bits, audio goes out while the text is still coming.

`stream-input` speaks one text, `multi-stream-input` several, each under a `context_id`. Both are
accepted before anything is checked: a client reads no words of a handshake that is refused. What is
wrong is said in a message, then the socket is closed with 1008.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from api import auth
from api.failures import Failure

from . import bodies, errors, formats
from .chunks import Chunks, schedule_of
from .contexts import BACKLOG_CHARACTERS_MAX, Context, Voice, checked
from .errors import invalid

logger = logging.getLogger(__name__)

PATH = re.compile(r"/v1/text-to-speech/([^/]+)/(multi-)?stream-input")
SOCKETS_MAX = 100  # of a process
CONTEXTS_MAX = 10  # of a socket
INACTIVE_SECONDS, INACTIVE_SECONDS_MAX = 20, 180
MESSAGE_CHARACTERS_MAX = 4 * BACKLOG_CHARACTERS_MAX
REASON_BYTES_MAX = 120  # the protocol has room for 123
NORMAL, POLICY, INTERNAL = 1000, 1008, 1011
ONE = ""  # the context of a socket that has only one

_open = 0

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Any], Awaitable[None]]


class Gone(Exception):
    """The client has left."""


def is_ours(path: str) -> bool:
    """Whether there is a socket at this address."""
    return PATH.fullmatch(path) is not None


async def serve(scope: Message, receive: Receive, send: Send) -> None:
    """One socket, from its handshake to its end."""
    global _open
    found = PATH.fullmatch(scope["path"].removeprefix(scope.get("root_path", "")))
    assert found
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    socket = (Multi if found[2] else Single)(scope, found[1], receive, send)
    _open += 1
    try:
        if _open > SOCKETS_MAX:
            raise Failure(429, "system_busy", "Too many sockets are open. Try again in a moment.")
        await socket.run()
        await close(send, NORMAL)
    except Gone:
        pass
    except Failure as failure:
        await socket.tell(failure)
        code = INTERNAL if failure.status == 500 else POLICY
        await close(send, code, errors.message(failure))
    finally:
        _open -= 1
        await socket.leave()


async def close(send: Send, code: int, reason: str = "") -> None:
    """Close the socket. Daphne sends no reason by itself."""
    reason = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")
    match send:
        case partial(args=(protocol, *_)) if hasattr(protocol, "sendClose"):
            protocol.sendClose(code=code, reason=reason or None)
        case _:
            await send({"type": "websocket.close", "code": code, "reason": reason})


class Socket:
    """What both kinds have in common."""

    def __init__(self, scope: Message, voice_id: str, receive: Receive, send: Send) -> None:
        self._headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self._query = {
            name: values[-1]
            for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()
        }
        self._voice_id, self._receive, self._send = voice_id, receive, send
        self._voice: Voice | None = None
        self._contexts: dict[str, Context] = {}
        self._chunks: dict[str, Chunks] = {}  # of those that text still comes for
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_auto = self._query.get("auto_mode", "").lower() == "true"

    async def run(self) -> None:
        """Read until the text is complete, and speak it. Raises Failure and Gone."""
        raise NotImplementedError

    async def leave(self) -> None:
        """End all that is still being spoken: what was sent of it is charged."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def say(self, message: Message) -> None:
        await self._send({"type": "websocket.send", "text": json.dumps(message)})

    async def tell(self, failure: Failure, **more: str) -> None:
        """Say what is wrong."""
        await self.say(
            {
                "message": errors.message(failure),
                "error": errors.code_of(failure),
                "code": POLICY,
                **more,
            }
        )

    async def message(self, first: bool = False) -> Message:
        """The next message. Raises Failure if it is none or does not come in time, and Gone."""
        seconds = self._patience_seconds()
        while True:
            try:
                received = await asyncio.wait_for(self._receive(), seconds)
            except TimeoutError:
                if not first and any(each.is_busy for each in self._contexts.values()):
                    continue
                raise Failure(
                    408,
                    "input_timeout_exceeded",
                    f"No text came within {seconds} seconds. Send an empty text at the end.",
                ) from None
            if received["type"] == "websocket.disconnect":
                raise Gone
            return _parsed(received)

    def _patience_seconds(self) -> int:
        wanted = self._query.get("inactivity_timeout", "")
        if not wanted:
            return INACTIVE_SECONDS
        if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted[:9]) <= INACTIVE_SECONDS_MAX:
            return int(wanted)
        raise invalid(
            "query/inactivity_timeout", f"This must be 1 to {INACTIVE_SECONDS_MAX} seconds."
        )

    async def voice(self, message: Message) -> Voice:
        """With what to speak; the key may be in the first message. Raises Failure."""
        if self._voice is None:
            output = formats.output(self._query.get("output_format"))
            bodies.model_of(self._query.get("model_id"), "query/model_id")
            found = Voice(self._secret(message), self._voice_id, output)
            await checked(found)
            self._voice = found
        return self._voice

    def _secret(self, message: Message) -> str:
        """The key's: in a header, in the query, or in the first message."""
        for brought in map(_as_headers, (self._headers, self._query, message)):
            if secret := auth.secret_of(brought) or brought.get("Authorization", "").strip():
                return secret
        if "single_use_token" in self._query:
            raise Failure(401, "invalid_api_key", "There are no single-use tokens. Send a key.")
        return ""

    async def open(self, name: str, message: Message, send: Any) -> None:
        """Begin a context with its first message. Raises Failure."""
        voice = await self.voice(message)
        schedule = schedule_of(message.get("generation_config"))
        manner = bodies.manner_of(message.get("voice_settings"))
        self._chunks[name] = Chunks(schedule, is_auto=self._is_auto)
        self._contexts[name] = context = Context(voice, manner, send)
        self._tasks.add(context.task)

    def add(self, name: str, message: Message) -> None:
        """Add the text of a message, and speak what there is enough of. Raises Failure."""
        chunks, text = self._chunks[name], message.get("text") or ""
        if not isinstance(text, str):
            raise invalid("text", "This must be a string.")
        ready = chunks.add(text, tries=message.get("try_trigger_generation") is True)
        if flush := message.get("flush") is True:
            ready += chunks.flush()
        self._contexts[name].speak(ready, flush=flush)

    async def unless_gone(self, work: asyncio.Future[Any]) -> None:
        """Wait until the work is over. What is still received is not spoken. Raises Gone."""

        async def gone() -> None:
            while (await self._receive())["type"] != "websocket.disconnect":
                pass

        leaving = asyncio.create_task(gone())
        try:
            await asyncio.wait((leaving, work), return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                leaving.result()
                raise Gone
        finally:
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)

    def flush(self, name: str) -> None:
        """Speak all there is, and end."""
        context = self._contexts[name]
        context.speak(self._chunks[name].flush())
        context.end()


class Single(Socket):
    """`stream-input`: one text, whose end is an empty one."""

    async def run(self) -> None:
        message = await self.message(first=True)
        await self.open(ONE, message, self.say)
        spoken = self._contexts[ONE].task
        reading = asyncio.create_task(self._read(message))
        try:
            await asyncio.wait((reading, spoken), return_when=asyncio.FIRST_EXCEPTION)
            for task in (spoken, reading):
                if task.done():
                    task.result()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await self.say({"audio": None, "isFinal": True})

    async def _read(self, message: Message) -> None:
        """All messages until the end; then only whether the client is still there."""
        while message.get("text") != "":
            self.add(ONE, message)
            message = await self.message()
        self.flush(ONE)
        await self.unless_gone(self._contexts[ONE].task)


class Multi(Socket):
    """`multi-stream-input`: several texts at once, each answered under its `context_id`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._endings: set[asyncio.Task[None]] = set()

    async def leave(self) -> None:
        await super().leave()
        await asyncio.gather(*self._endings, return_exceptions=True)

    async def run(self) -> None:
        await self.voice(message := await self.message(first=True))
        while message.get("close_socket") is not True:
            await self._take(message)
            message = await self.message()
        for name in list(self._chunks):
            self._end(name, flush=True)
        await self.unless_gone(asyncio.gather(*self._endings))

    async def _take(self, message: Message) -> None:
        """Do what a message says. What fails is told as its context's failure."""
        name = message.get("context_id") or message.get("contextId") or "default"
        name = name if isinstance(name, str) else str(name)
        try:
            if message.get("close_context") is True:
                if name in self._chunks:
                    self._end(name)
                return
            if name not in self._chunks:
                if not message.get("text"):
                    return  # it only keeps the socket alive
                if sum(not task.done() for task in self._tasks) >= CONTEXTS_MAX:
                    raise Failure(
                        429,
                        "too_many_contexts",
                        f"A socket has at most {CONTEXTS_MAX} contexts at once. Close one.",
                    )
                await self.open(name, message, partial(self._say_of, name))
                ending = asyncio.create_task(self._told(name, self._contexts[name]))
                self._endings.add(ending)
                ending.add_done_callback(self._endings.discard)
            self.add(name, message)
        except Failure as failure:
            await self._fail(name, failure)

    def _end(self, name: str, *, flush: bool = False) -> None:
        """No more text comes. What nobody asked to speak yet is left out, unless `flush`."""
        if flush:
            self.flush(name)
        else:
            self._contexts[name].end()
        del self._chunks[name]

    async def _told(self, name: str, context: Context) -> None:
        """Wait until a context is over, and say so."""
        try:
            await context.task
        except Failure as failure:
            if self._contexts.get(name) is context:  # not one that was opened under its name since
                self._chunks.pop(name, None)
            await self._say_failed(name, failure)
        except asyncio.CancelledError:
            if not context.task.cancelled():
                raise
        else:
            await self._say_of(name, {"audio": None, "isFinal": True})
        finally:
            self._tasks.discard(context.task)
            if self._contexts.get(name) is context:
                del self._contexts[name]

    async def _fail(self, name: str, failure: Failure) -> None:
        self._chunks.pop(name, None)
        if (context := self._contexts.get(name)) and not context.task.done():
            context.task.cancel()
        await self._say_failed(name, failure)

    async def _say_failed(self, name: str, failure: Failure) -> None:
        await self.tell(failure, contextId=name, context_id=name)

    async def _say_of(self, name: str, message: Message) -> None:
        await self.say({**message, "contextId": name, "context_id": name})


def _parsed(received: Message) -> Message:
    """A message as an object. Raises Failure."""
    text = received.get("text")
    if text is None or len(text) > MESSAGE_CHARACTERS_MAX:
        raise invalid("body", f"Send text of at most {MESSAGE_CHARACTERS_MAX:,} characters.")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise invalid("body", "The message cannot be read: send JSON.") from None
    if not isinstance(message, dict):
        raise invalid("body", "The message must be a JSON object.")
    return message


def _as_headers(brought: Message) -> dict[str, str]:
    """What may hold a key, under the names that headers have."""
    names = {name.replace("_", "-").lower(): name for name in brought}
    wanted = ((each, names.get(each.lower(), "")) for each in (auth.XI_HEADER, "Authorization"))
    return {each: brought[name] for each, name in wanted if isinstance(brought.get(name), str)}
