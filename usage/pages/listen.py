"""Listening to speech while it is made, to its customer only: an mp3 that grows.

The page plays it while it is made, by a request of this process or by a worker, and the stored file
afterwards. It costs nothing: what is heard here is paid for by that request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import TypeVar
from uuid import UUID

from django.db import connections
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe

from accounts.access import CustomerRequest, customer_required
from usage import audio
from usage.speech import progress, takes
from usage.speech.speak import KEY

FORMAT = "mp3"  # which every browser plays before it has all of it
LOOK_SECONDS = 0.5  # how often a listener looks for what a worker has spoken
LOOKS = 10  # for a text that is not there yet, a take or a queued one

T = TypeVar("T")
# They look for all listeners, who so hold no thread and no connection.
_readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="listen")


@require_safe
@customer_required
def page(request: CustomerRequest) -> HttpResponseBase:
    key = request.GET.get("key", "")
    if not KEY.fullmatch(key):
        raise Http404
    content_type = audio.FORMATS[FORMAT].content_type
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse(content_type=content_type)
    else:
        response = StreamingHttpResponse(_encoded(request.customer.id, key), content_type)
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


async def _encoded(customer_id: UUID, key: str) -> AsyncGenerator[bytes, None]:
    for _ in range(LOOKS):
        if take := await takes.find(customer_id, key, seconds=LOOK_SECONDS):
            async with aclosing(take.pieces()) as pieces:
                async for data in _as_mp3((take.sample_rate, samples) async for samples in pieces):
                    yield data
            return
        if generation_id := await _read(partial(progress.find, customer_id, key)):
            async with aclosing(_followed(generation_id)) as spoken:
                async for data in _as_mp3(spoken):
                    yield data
            return


async def _as_mp3(
    spoken: AsyncGenerator[tuple[int, bytes], None],
) -> AsyncGenerator[bytes, None]:
    encoder = None
    try:
        async for sample_rate, samples in spoken:
            if encoder is None:
                encoder = audio.encoder(FORMAT, sample_rate=sample_rate, streamed=True)
            yield await asyncio.to_thread(encoder.feed, samples)
        if encoder:
            yield await asyncio.to_thread(encoder.finish)
    finally:
        if encoder:
            encoder.close()


async def _followed(generation_id: UUID) -> AsyncGenerator[tuple[int, bytes], None]:
    """The samples of a queued text as a worker makes them, from the first on."""
    count, is_over = 0, False
    while not is_over:
        sample_rate, samples, is_over = await _read(partial(progress.heard, generation_id, count))
        if samples:
            count += len(samples)
            yield sample_rate, samples
        elif not is_over:
            await asyncio.sleep(LOOK_SECONDS)


async def _read(read: Callable[[], T]) -> T:
    """What that returns, asked for in a thread that keeps no connection."""

    def and_close() -> T:
        try:
            return read()
        finally:
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(_readers, and_close)
