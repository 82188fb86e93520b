"""The audio in an S3-compatible object storage, chosen by STORAGE_URL.

django-storages raises the exceptions of its client library. Whoever opens audio knows those of the
operating system, whatever the storage is; so they are translated here: missing, forbidden, and all
others as errors that may pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from storages.backends.s3 import S3File, S3Storage
from storages.utils import clean_name

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 10, 3
MEMORY_BYTES_MAX = 1 << 20  # of a file that is read; what is longer goes to a temporary file
FORM = "s3://key:password@bucket, with ?endpoint=https://host&region=name where it is not Amazon's"
FIELDS = {"endpoint": "endpoint_url", "region": "region_name"}


def options(url: str) -> dict[str, Any]:
    """The options of `S3` for an address. Raises ValueError, without the secret, if it is wrong."""
    parts = urlsplit(url)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    endpoint = urlsplit(asked.get("endpoint", "https://host"))
    if (
        parts.scheme != "s3"
        or not parts.hostname
        or not (parts.username and parts.password)
        or asked.keys() - FIELDS.keys()
        or not all(asked.values())
        or endpoint.scheme not in ("http", "https")
        or not endpoint.hostname
        or parts.fragment
    ):
        raise ValueError(FORM)
    return {
        "access_key": unquote(parts.username),
        "secret_key": unquote(parts.password),
        "bucket_name": parts.hostname,
        "location": parts.path.strip("/"),
        **{FIELDS[name]: value for name, value in asked.items()},
    }


@contextmanager
def _translated() -> Iterator[None]:
    """Raises OSError for what boto3 raises: FileNotFoundError and PermissionError among it."""
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        kind = {403: PermissionError, 404: FileNotFoundError}.get(status, OSError)
        raise kind(f"the object storage says: {error}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise OSError(f"the object storage does not answer: {error}") from error


class _File(S3File):  # type: ignore[misc]  # it has no types
    def _get_file(self) -> Any:
        with _translated():
            return super()._get_file()

    file = property(_get_file, S3File._set_file)


class S3(S3Storage):  # type: ignore[misc]
    """A bucket that is private to us. Nothing in it has a public address."""

    def get_default_settings(self) -> dict[str, Any]:
        style = "path" if getattr(self, "_is_elsewhere", False) else "auto"
        defaults: dict[str, Any] = super().get_default_settings()
        return defaults | {
            "file_overwrite": False,
            "default_acl": None,
            "max_memory_size": MEMORY_BYTES_MAX,
            "client_config": Config(
                signature_version="s3v4",
                s3={"addressing_style": style},
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": ATTEMPTS},
            ),
        }

    def __init__(self, **options: Any) -> None:
        # Few servers but Amazon's have a host name for every bucket.
        self._is_elsewhere = "endpoint_url" in options
        super().__init__(**options)

    def _open(self, name: str, mode: str = "rb") -> S3File:
        with _translated():
            return _File(self._normalize_name(clean_name(name)), mode, self)

    def _save(self, name: str, content: Any) -> str:
        with _translated():
            return str(super()._save(name, content))

    def exists(self, name: str) -> bool:
        with _translated():
            return bool(super().exists(name))

    def delete(self, name: str) -> None:
        with _translated():
            super().delete(name)
