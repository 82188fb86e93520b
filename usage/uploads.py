"""Recordings of voices as they arrive: in memory alone."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpRequest


class InMemory(MemoryFileUploadHandler):
    """Files of any size stay in memory: a killed process leaves no sample on a disk.

    `vocalis.asgi` bounds the size.
    """

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        super().handle_raw_input(*args, **kwargs)
        self.activated = True


def keep_in_memory(request: HttpRequest) -> None:
    """Before anybody reads the form, so that nobody else decides where its files go."""
    if request.method == "POST":
        request.upload_handlers = [InMemory(request)]
