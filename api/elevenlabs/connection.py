"""One WebSocket: its messages, the key that comes with it, and the texts that it speaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from api import auth
from api.failures import Failure

from . import bodies, errors, formats
from .chunks import Chunks, schedule_of
from .contexts import BACKLOG_CHARACTERS_MAX, Context, Voice, checked
from .errors import invalid

INACTIVE_SECONDS, INACTIVE_SECONDS_MAX = 20, 180
MESSAGE_CHARACTERS_MAX = 4 * BACKLOG_CHARACTERS_MAX
NORMAL, POLICY, INTERNAL = 1000, 1008, 1011

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Any], Awaitable[None]]


class Gone(Exception):
    """The client has left."""


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
            model_id = bodies.model_of(self._query.get("model_id"), "query/model_id")
            found = Voice(self._secret(message), self._voice_id, model_id, output)
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
