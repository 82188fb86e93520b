"""Long responses at the speed of their readers.

Daphne accepts whatever it is given to send and keeps it in memory until the client has read it. So
a response that is larger than that memory should be waits here, between two pieces, until the
connection has taken the last one; Twisted tells when. A reader that takes nothing for
AUDIO_STALL_SECONDS is cut off. At the slowest it takes Twisted's buffer and a piece, some 128 KiB,
in that time: in a minute, less than a third of what listening to a 64 kbit/s mp3 takes. A browser
that was only paused asks for the rest by range. Servers whose `send` waits by itself are left
alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from daphne.http_protocol import WebRequest
from django.conf import settings
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

logger = logging.getLogger(__name__)

Send = Callable[[Any], Awaitable[None]]


def paced(send: Send) -> Send:
    """`send`, but it waits for the client after each piece."""
    match send:
        case partial(args=(WebRequest() as request,)):
            return Paced(request, send)
    return send


@implementer(IPushProducer)
class Paced:
    """A `send` of one response that Twisted tells when to pause. Used in the event loop only."""

    def __init__(self, request: WebRequest, send: Send) -> None:
        self._request, self._send = request, send
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._is_registered = False

    async def __call__(self, message: dict[str, Any]) -> None:
        if message["type"] != "http.response.body" or not message.get("more_body"):
            self._unregister()
            await self._send(message)
            return
        if not self._is_registered and self._request.channel is not None:
            self._request.registerProducer(self, True)
            self._is_registered = True
        await self._send(message)
        stall_seconds = settings.AUDIO_STALL_SECONDS
        try:
            await asyncio.wait_for(self._may_send.wait(), stall_seconds)
        except TimeoutError:
            logger.info("a client that read nothing for %s seconds is cut off", stall_seconds)
            if self._request.channel is not None:
                self._request.channel.forceAbortClient()
            # The server now says that the client is gone, and Django ends this task.
            await asyncio.Event().wait()

    def _unregister(self) -> None:
        if self._is_registered and self._request.channel is not None:
            self._request.unregisterProducer()
        self._is_registered = False

    # Called by Twisted.

    def pauseProducing(self) -> None:
        self._may_send.clear()

    def resumeProducing(self) -> None:
        self._may_send.set()

    def stopProducing(self) -> None:
        self._may_send.set()
