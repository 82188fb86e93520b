"""Recordings of voices, and documents, as they arrive: in memory alone."""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpRequest, HttpResponseBase

from accounts.access import View


class InMemory(MemoryFileUploadHandler):
    """Files of any size stay in memory: a killed process leaves none on a disk.

    `vocalis.asgi` bounds the size.
    """

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        super().handle_raw_input(*args, **kwargs)
        self.activated = True


def keep_in_memory(request: HttpRequest) -> None:
    """Before anybody reads the form, so that nobody else decides where its files go."""
    if request.method == "POST":
        request.upload_handlers = [InMemory(request)]


def in_memory(view: View) -> View:
    """`keep_in_memory` for a view."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        keep_in_memory(request)
        return view(request, *args, **kwargs)

    return guarded
