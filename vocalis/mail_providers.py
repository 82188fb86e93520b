"""Reads EMAIL_URL where it names a provider of mail, or the outbox of a site under development.

`postmark://?server_token=…` is the backend "postmark" of django-anymail with its setting
POSTMARK_SERVER_TOKEN. Every provider that the package knows can be written so, with a hyphen for an
underscore in its name; its documentation lists their settings. Amazon SES takes the parameters of
its own client instead: `amazon-ses://?region_name=…&aws_access_key_id=…&aws_secret_access_key=…`.
"""

from __future__ import annotations

import importlib.util
from typing import Any
from urllib.parse import parse_qsl, urlsplit

OUTBOX = "mails.kept.Backend"
CONNECT_SECONDS, READ_SECONDS = 5, 10  # the second for each part of the answer
NO_PROVIDERS = {"base", "base_requests", "console", "test"}
# A row is tried again by its job. Otherwise the SDK would repeat a call, and sleep between.
SES_CONFIG = {
    "connect_timeout": CONNECT_SECONDS,
    "read_timeout": READ_SECONDS,
    "retries": {"total_max_attempts": 1},
}


def read(url: str) -> dict[str, Any] | None:
    """The settings that the address stands for, None if it is that of a mail server.

    Raises ValueError for a provider without settings.
    """
    parts = urlsplit(url)
    if parts.scheme == "outbox":
        return {"EMAIL_BACKEND": OUTBOX}
    name = parts.scheme.replace("-", "_")
    is_provider = name.isidentifier() and name not in NO_PROVIDERS
    if not is_provider or importlib.util.find_spec(f"anymail.backends.{name}") is None:
        return None
    options: dict[str, Any] = dict(parse_qsl(parts.query, strict_parsing=True))
    if name == "amazon_ses":
        if "region_name" not in options:
            raise ValueError("Amazon SES needs a region_name")
        options = {"client_params": options | {"config": SES_CONFIG}}
    return {
        "EMAIL_BACKEND": f"anymail.backends.{name}.EmailBackend",
        "ANYMAIL": {
            "REQUESTS_TIMEOUT": (CONNECT_SECONDS, READ_SECONDS),
            **{f"{name.upper()}_{key.upper()}": value for key, value in options.items()},
        },
    }
