"""All audio of a folder as one file, to its owner only."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_safe

from accounts import throttle
from accounts.access import CustomerRequest, customer_required
from usage.models import Folder
from usage.speech import archive, encoded, filenames, problems

from . import answers, library

TOO_OFTEN = "You have downloaded folders very often. Wait some minutes and try again."
# They encode and read for all archives that are being sent.
_makers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="archive")


@require_safe
@customer_required
def page(request: CustomerRequest, folder_id: uuid.UUID) -> HttpResponseBase:
    folder = get_object_or_404(
        Folder.objects.select_related("customer"), id=folder_id, customer=request.customer
    )
    try:
        name = encoded.check_format(request.GET.get("format", encoded.DELIVERED[0]))
    except problems.Refused as error:
        return answers.as_page(request, problems.problem_of(error))
    found = archive.generations(folder)
    if not found:
        messages.warning(request, "There is no audio in this folder to download.")
        return redirect(library.address(folder))
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse(content_type="application/zip")
    elif not throttle.is_allowed(request, "archive", account=str(request.customer.pk)):
        messages.warning(request, TOO_OFTEN)
        return redirect(library.address(folder))
    else:
        response = Archive(archive.pieces(found, name), content_type="application/zip")
    file_name = f"{filenames.stem_of(folder.name) or 'vocalis'}.zip"
    response["Content-Disposition"] = filenames.disposition(file_name, is_attachment=True)
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


class Archive(StreamingHttpResponse):
    """Pieces that are made while they are sent: under ASGI each in a thread, when the one before it
    was sent."""

    def __init__(self, made: Iterator[bytes], *, content_type: str) -> None:
        self._made = _Guarded(made)
        super().__init__(self._made, content_type=content_type)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while piece := await loop.run_in_executor(_makers, next, self._made, b""):
            yield piece


class _Guarded:
    """An iterator without empty pieces. A client may go while a piece is made: then it ends after
    that."""

    def __init__(self, made: Iterator[bytes]) -> None:
        self._made = made
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._lock:
            while not (piece := next(self._made)):
                pass
        return piece

    def close(self) -> None:
        with self._lock:
            self._made.close()  # type: ignore[attr-defined]
