"""Copies of voices at the speech server that makes them, in the shape of OpenAI's custom voices:
first it is given the recording of a consent, then a sample to copy.

    POST audio/voice_consents  name, language, recording → id, object "audio.voice_consent"
    POST audio/voices          name, consent, audio_sample → id, object "audio.voice"
    DELETE of either with /id  → deleted true
    GET of either, where the server lists them → data [id, name], has_more

https://platform.openai.com/docs/api-reference/audio
"""

import io
import json
import time
from enum import StrEnum
from typing import Any, Self
from urllib.parse import quote

from .client import Client, whole
from .configuration import SpeechServer
from .failures import Broken, Refused, ServerFailed, TimedOut
from .voices import ID_CHARACTERS_MAX

FILE_BYTES_MAX = 10 << 20
CONSENT_SECONDS, VOICE_SECONDS = 20, 40  # for the whole answer
SHORT_SECONDS = 5  # to list or delete
ANSWER_BYTES_MAX = 1 << 20
PAGE, PAGES_MAX = 100, 20


class Kind(StrEnum):
    """What a server keeps of a voice. The value is its path."""

    CONSENT = "voice_consents"
    VOICE = "voices"

    @property
    def object(self) -> str:
        return f"audio.{self.value.removesuffix('s')}"


def media_type(recording: bytes) -> str:
    """Of a file that the contract takes, by how it begins; "" of any other."""
    head = recording[:12]
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        return "audio/wav"
    if head[4:8] == b"ftyp":
        return "audio/mp4"
    if head[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return "audio/aac"
    if head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
        return "audio/mpeg"
    begins = {b"OggS": "ogg", b"fLaC": "flac", b"\x1a\x45\xdf\xa3": "webm"}
    return f"audio/{begins[head[:4]]}" if head[:4] in begins else ""


class Clones:
    """One server, asked directly, with a time-out for every call. To be closed.

    Every method raises ServerFailed, or Refused: the server is well and will not do it. Whether an
    attempt that failed may have made something all the same: `ServerFailed.may_be_billed`.
    """

    def __init__(self, server: SpeechServer) -> None:
        self.server = server
        self._client = Client(server)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def give_consent(self, *, name: str, language: str, recording: bytes, key: str) -> str:
        """Its id at the server. `language` is a BCP 47 tag, `key` the same for the same consent."""
        fields = {"name": name, "language": language}
        return self._make(Kind.CONSENT, fields, "recording", recording, key, CONSENT_SECONDS)

    def make_voice(self, *, name: str, consent_id: str, sample: bytes, key: str) -> str:
        """The id of the voice at the server, which is asked to speak with it as with any other."""
        fields = {"name": name, "consent": consent_id}
        return self._make(Kind.VOICE, fields, "audio_sample", sample, key, VOICE_SECONDS)

    def delete(self, kind: Kind, id_: str) -> None:
        """Twice is as once: what is not there is deleted."""
        path = f"audio/{kind}/{quote(id_, safe='')}"
        with self._client.asked("DELETE", path, SHORT_SECONDS) as response:
            if response.status_code in (204, 404):
                return
            if response.status_code in (405, 501):
                raise Refused(f"it answers {response.status_code}: it deletes none", voice=True)
            if response.status_code != 200:
                raise self._client.failure_of(response)
            answer = _object(whole(response, ANSWER_BYTES_MAX))
        if answer.get("deleted") is not True:
            raise Broken("it does not say that it has deleted")

    def named(self, kind: Kind, name: str) -> list[str] | None:
        """Ids of what it keeps under that name; None if it does not list them, as OpenAI's does not
        list voices.
        """
        found: list[str] = []
        after: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            page = self._page(kind, {"limit": str(PAGE)} | after)
            if page is None:
                return None
            items, has_more = page
            found += [id_ for id_, its_name in items if its_name == name]
            if not has_more or not items:
                return found
            after = {"after": items[-1][0]}
        raise Broken(f"its list of {kind} has no end")

    def _page(
        self, kind: Kind, query: dict[str, str]
    ) -> tuple[list[tuple[str, object]], bool] | None:
        """Ids and names, and whether there are more."""
        with self._client.asked("GET", f"audio/{kind}", SHORT_SECONDS, params=query) as response:
            if response.status_code in (404, 405):
                return None
            if response.status_code != 200:
                raise self._client.failure_of(response)
            answer = _json(whole(response, ANSWER_BYTES_MAX))
        more = isinstance(answer, dict) and answer.get("has_more") is True
        if isinstance(answer, dict):
            answer = answer.get("data", answer.get("voices"))
        if not isinstance(answer, list):
            raise Broken(f"it answers with something else than a list of {kind}")
        items = [each for each in answer if isinstance(each, dict) and _is_id(each.get("id"))]
        return [(each["id"], each.get("name")) for each in items], more

    def _make(
        self, kind: Kind, fields: dict[str, str], part: str, data: bytes, key: str, seconds: float
    ) -> str:
        if not (type_ := media_type(data)) or len(data) > FILE_BYTES_MAX:
            raise Refused(
                "the recording is of a type or size that the contract has not", voice=True
            )
        file = _Timed(data, seconds)
        filename = f"{part}.{type_.rpartition('/')[2]}"
        with self._client.asked(
            "POST",
            f"audio/{kind}",
            seconds,
            data=fields,
            files={part: (filename, file, type_)},
            headers={"Idempotency-Key": key},
        ) as response:
            if response.status_code not in (200, 201):
                raise self._client.failure_of(response)
            answer = _object(whole(response, ANSWER_BYTES_MAX))
        if answer.get("object", kind.object) != kind.object or not _is_id(answer.get("id")):
            raise Broken(f"it answers with something else than an {kind.object}")
        return str(answer["id"])


class _Timed(io.BytesIO):
    """A file to send. A server that takes it drop by drop never meets the time-outs of the client,
    which are for each write.
    """

    def __init__(self, data: bytes, seconds: float) -> None:
        super().__init__(data)
        self._seconds, self._deadline = seconds, time.monotonic() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        if time.monotonic() >= self._deadline:
            raise TimedOut(f"it did not take the recording within {self._seconds:.3g} seconds")
        return super().read(size)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Broken("its answer is no JSON, or half of it") from None


def _object(body: bytes) -> dict[str, Any]:
    answer = _json(body)
    if not isinstance(answer, dict):
        raise Broken("its answer is no object")
    return answer


def _is_id(found: object) -> bool:
    return (
        isinstance(found, str)
        and 0 < len(found) <= ID_CHARACTERS_MAX
        and found.isprintable()
        and found == found.strip()
    )


__all__ = ["Clones", "Kind", "Refused", "ServerFailed", "media_type"]
