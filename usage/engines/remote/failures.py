"""What can go wrong with a speech server, and how its error answers are told apart.

Errors of the contract are `{"error": {"message", "type", "param", "code"}}`
(https://platform.openai.com/docs/guides/error-codes). Other servers write `detail` as FastAPI does,
a bare text, or a page of a proxy.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

WORDS_MAX = 200  # characters of a server's message in the log
WAIT_SECONDS_MAX = 3_600  # of Retry-After


class ServerFailed(Exception):
    """The server is left out for a time. The message is for operators.

    `may_be_billed`: the request arrived, so that its provider may charge for it.
    """

    may_be_billed = False

    def __init__(self, message: str, *, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds  # as the server asked for


class Unreachable(ServerFailed):
    """There was no connection."""


class TimedOut(ServerFailed):
    """It did not answer in time."""

    may_be_billed = True


class Broken(ServerFailed):
    """It answered with an error of its own, with half an answer, or with something else."""

    may_be_billed = True


class Busy(ServerFailed):
    """It has too much to do."""


class Misconfigured(ServerFailed):
    """A person must change something here or there: key, money, address, model, format."""


class Unspoken(Exception):
    """All went well but for the sound, in which something of the text cannot be."""


class Refused(Exception):
    """The server is well and will not speak this. The message is for operators.

    `voice`: because of the voice, otherwise because of the text. `said` is what the server said.
    """

    def __init__(self, message: str, *, voice: bool, said: str = "") -> None:
        super().__init__(message)
        self.voice, self.said = voice, said


@dataclass(frozen=True, slots=True)
class Said:
    """What an error answer says."""

    message: str = ""
    param: str = ""
    code: str = ""


def failure(status: int, headers: Mapping[str, str], body: bytes) -> ServerFailed | Refused:
    """The meaning of an answer that is not 200."""
    said = read_error(body)
    words = f"it answers {status}" + (f": {said.message}" if said.message else "")
    wait = retry_after(headers, datetime.now(UTC))
    if status == 429 and said.code == "insufficient_quota":
        return Misconfigured(f"its account is out of money: {words}")
    if status in (409, 429):
        return Busy(words, wait_seconds=wait)
    if status in (401, 403):
        return Misconfigured(f"its key is missing, wrong or lacks a right: {words}")
    if 300 <= status < 400:
        return Misconfigured(f"it leads elsewhere ({status}): write its new address")
    if status in (400, 404, 413, 422):
        return _refusal(status, said, words)
    if 400 <= status < 500 and status not in (408, 425):
        return Misconfigured(words)
    return Broken(words, wait_seconds=wait)


def _refusal(status: int, said: Said, words: str) -> ServerFailed | Refused:
    about = said.param or said.code
    if "model" in about or "response_format" in about:
        return Misconfigured(f"it does not know what it is asked for: {words}")
    if "voice" in about or ("input" not in about and "voice" in said.message.lower()):
        return Refused(words, voice=True, said=said.message)
    if status == 404:
        return Misconfigured(f"it has no such address, which usually ends in /v1: {words}")
    return Refused(words, voice=False, said=said.message)


def read_error(body: bytes) -> Said:
    """What an error answer says, whatever its shape."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return Said()
    return _said(found)


def _said(found: Any) -> Said:
    if isinstance(found, str):
        return Said(_words(found))
    if isinstance(found, list):
        return _said(found[0]) if found else Said()
    if not isinstance(found, dict):
        return Said()
    for name in ("error", "detail"):
        if isinstance(found.get(name), dict | list):
            return _said(found[name])
    location = found.get("loc")
    place = location[-1] if isinstance(location, list) and location else ""
    texts = (found.get(name) for name in ("message", "msg", "detail", "error"))
    return Said(
        message=_words(next((text for text in texts if isinstance(text, str)), "")),
        param=_words(found.get("param") or place),
        code=_words(found.get("code") or found.get("error") or ""),
    )


def _words(found: object) -> str:
    """Text of a server as one short line for the log; "" if it is none."""
    if not isinstance(found, str):
        return ""
    line = re.sub(r"\s+", " ", "".join(each if each.isprintable() else " " for each in found))
    return line.strip()[:WORDS_MAX]


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds the server wants to be left alone; None if it says nothing that can be read.

    `Retry-After` is seconds or a date (RFC 9110, 10.2.3); OpenAI's clients read `retry-after-ms`.
    """
    seconds: float | None = None
    with suppress(ValueError):
        seconds = float(headers.get("retry-after-ms", "")) / 1_000
    value = headers.get("retry-after", "")
    if seconds is None and value:
        try:
            seconds = float(value)
        except ValueError:
            with suppress(ValueError):
                at = parsedate_to_datetime(value)
                seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    if seconds is None or seconds != seconds:
        return None
    return min(max(0.0, seconds), WAIT_SECONDS_MAX)
