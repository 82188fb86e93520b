"""The body of a request is read once: by Django, in its thread, and if it may be that large.

Twisted would take each form apart before, in the event loop, before anything of ours could say how
large it may be. Twenty megabytes of line ends, from anybody and to any address, stopped the process
for seven seconds, and what it could not read it refused without a word.
"""

from __future__ import annotations

from typing import Any

from daphne import http_protocol


class Request(http_protocol.WebRequest):  # type: ignore[misc]  # it has no types
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, parsePOSTFormSubmission=False)


def leave_to_django() -> None:
    """For all connections from now on: Daphne asks its module for the class, at each of them."""
    http_protocol.WebRequest = Request
