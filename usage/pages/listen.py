"""Listening to speech while it is made, to its customer only: an mp3 that grows.

The page plays it while the request that makes it is under way, and the stored file afterwards. It
costs nothing: what is heard here is paid for by that request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe

from accounts.access import CustomerRequest, customer_required
from usage import audio
from usage.speech import takes
from usage.speech.speak import KEY

FORMAT = "mp3"  # which every browser plays before it has all of it


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


async def _encoded(customer_id: UUID, key: str) -> AsyncIterator[bytes]:
    take = await takes.find(customer_id, key)
    if take is None:
        return
    encoder = audio.encoder(FORMAT, sample_rate=take.sample_rate, streamed=True)
    try:
        async with aclosing(take.pieces()) as pieces:
            async for samples in pieces:
                yield await asyncio.to_thread(encoder.feed, samples)
        yield await asyncio.to_thread(encoder.finish)
    finally:
        encoder.close()
