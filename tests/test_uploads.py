"""Requests that bring a recording: larger than others, a few at a time, and told so in words."""

from __future__ import annotations

import asyncio
import json

import pytest

from api.tests.test_outside import SHAPES
from vocalis import asgi

MB = 1_000_000
PLACES = {
    "/v1/voices": "own",
    "/v1/voices/add": "own",  # by the header of its key
    "/v1/audio/voices": "openai",
    "/v1/audio/voice_consents": "openai",
}


def send(path, count, *, method="POST", places=None):
    """Status, headers and body of the answer to a body of that many bytes."""
    sent = []
    header = (b"authorization", b"Bearer vk_x")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [header],
        "query_string": b"",
    }

    async def receive():
        return {"type": "http.request", "body": bytes(count), "more_body": False}

    async def sends(message):
        sent.append(message)

    answers = asgi.application if places is None else asgi.Uploads(places)
    asyncio.run(answers(scope, receive, sends))
    start, body = sent[0], b"".join(each.get("body", b"") for each in sent[1:])
    return start["status"], dict(start["headers"]), body


@pytest.mark.parametrize(("path", "dialect"), PLACES.items())
def test_a_body_that_no_recording_needs_is_refused_in_the_dialect(path, dialect):
    status, _, body = send(path, 13 * MB)

    assert status == 413 and SHAPES[dialect](json.loads(body))


@pytest.mark.parametrize("path", PLACES)
def test_while_all_places_are_taken_a_program_is_told_to_try_again(path):
    status, headers, body = send(path, 2 * MB, places=0)

    assert (status, headers[b"retry-after"]) == (503, b"5")
    assert "Try again" in body.decode()


def test_a_page_that_has_to_wait_answers_as_before():
    assert send("/studio/voice/match/", 2 * MB, places=0)[::2] == (
        413,
        b"The request is too large.",
    )


@pytest.mark.parametrize("path", PLACES)
def test_only_what_brings_a_recording_may_be_large(path):
    assert send(path, 2 * MB, method="PATCH")[0] == 413


@pytest.mark.parametrize(("sent", "length"), [([], b"7"), ([(b"content-length", b"9")], b"9")])
def test_a_body_that_comes_in_chunks_has_its_length(monkeypatch, sent, length):
    """OpenAI's client for Node sends none, and Django finds no field in a form without it."""
    parts, seen = [b"abc", b"defg"], []

    async def receive():
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def pages(scope, receive, send):
        seen.append((dict(scope["headers"]), (await receive())["body"], (await receive())["body"]))

    monkeypatch.setattr(asgi, "pages", pages)
    scope = {"type": "http", "method": "POST", "path": "/v1/voices", "headers": sent}
    asyncio.run(asgi.application(scope, receive, None))

    assert seen == [({b"content-length": length}, b"abc", b"defg")]
