"""WebSockets: text comes in bits, audio goes out while the text is still coming.

`stream-input` speaks one text, `multi-stream-input` several, each under a `context_id`. Both are
accepted before anything is checked: a client reads no words of a handshake that is refused. What is
wrong is said in a message, then the socket is closed with 1008.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Any

from api.failures import Failure

from . import errors
from .connection import INTERNAL, NORMAL, POLICY, Gone, Message, Receive, Send, Socket
from .contexts import Context

PATH = re.compile(r"/v1/text-to-speech/([^/]+)/(multi-)?stream-input")
SOCKETS_MAX = 100  # of a process
CONTEXTS_MAX = 10  # of a socket
REASON_BYTES_MAX = 120  # the protocol has room for 123
ONE = ""  # the context of a socket that has only one

_open = 0


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
    """Close the socket. Daphne sends no reason by itself, and no code that is for servers only."""
    text = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")
    match send:
        case partial(args=(protocol, *_)) if hasattr(protocol, "sendCloseFrame"):
            protocol.sendCloseFrame(code=code, reasonUtf8=text.encode())
        case _:
            await send({"type": "websocket.close", "code": code, "reason": text})


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
