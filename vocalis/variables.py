"""Validates the variables of .env.example. Requirements of production sites are in vocalis.checks.

Error texts do not contain the values: some are secrets, and others include a password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.core.mail import get_connection

from .environment import MAIL_FORM

HOST = re.compile(r"\*|\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.IGNORECASE)
PORT_MAX = 65_535
HEALTH_TOKEN_LENGTH_MIN = 20
# What fits on a paper.
SELLER_NAME_MAX, SELLER_ADDRESS_MAX, SELLER_LINES_MAX, SELLER_TAX_ID_MAX = 160, 400, 8, 40


def wrong(settings: Any) -> Iterator[tuple[str, str]]:
    """Variables with invalid values, each as (name, description of a valid value)."""
    yield from settings.UNREADABLE.items()
    for variable, write, is_right in FORMS:
        if variable not in settings.UNREADABLE and not is_right(settings):
            yield variable, write


def _url(text: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in schemes
            and bool(parts.hostname)
            and (parts.port or 1) > 0
            and not re.search(r"\s", text)
        )
    except ValueError:  # a port that is no number, half an IPv6 address
        return False


def _address(text: str) -> bool:
    return _url(text, "http", "https") and not urlsplit(text).query and not urlsplit(text).fragment


def _origin(text: str) -> bool:
    return _url(text.replace("://*.", "://"), "http", "https") and urlsplit(text).path == ""


def _host(text: str) -> bool:
    if text.startswith("[") and text.endswith("]"):
        return _ip(text[1:-1])
    return bool(HOST.fullmatch(text))


def _ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _redis(text: str) -> bool:
    return _url(text, "redis", "rediss") or bool(re.fullmatch(r"unix://\S*/\S+", text))


def _mail(settings: Any) -> bool:
    if settings.EMAIL_BACKEND.endswith(".smtp.EmailBackend"):
        return bool(settings.EMAIL_HOST)
    name = settings.EMAIL_BACKEND.split(".")[-2]
    options = {
        key.removeprefix(f"{name.upper()}_").lower(): value
        for key, value in getattr(settings, "ANYMAIL", {}).items()
        if key.startswith(f"{name.upper()}_")
    }
    try:
        # The backend of a provider says what is missing. It calls nobody yet.
        get_connection(settings.EMAIL_BACKEND, **options)
    except (ImportError, ImproperlyConfigured):
        return False
    return True


def _printable(text: str, *, characters_max: int) -> bool:
    return len(text) <= characters_max and text.isprintable()


def _day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def _uuid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def _token(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _stripe_key(text: str) -> bool:
    return bool(re.fullmatch(r"(sk|rk)_(live|test)_[A-Za-z0-9_]+", text))


def _long_token(text: str) -> bool:
    return _token(text) and len(text) >= HEALTH_TOKEN_LENGTH_MIN


def _folder(path: str) -> bool:
    return Path(path).is_absolute() and (Path(path).is_dir() or not Path(path).exists())


def _from(text: str) -> bool:
    return bool(re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(text)[1]))


FORMS: list[tuple[str, str, Callable[[Any], bool]]] = [
    (
        "ALLOWED_HOSTS",
        "host names without scheme, port or path: vocalis.example,.vocalis.example,[::1]",
        lambda settings: all(map(_host, settings.ALLOWED_HOSTS)),
    ),
    (
        "CSRF_TRUSTED_ORIGINS",
        "origins with their scheme and no path: https://vocalis.example",
        lambda settings: all(map(_origin, settings.CSRF_TRUSTED_ORIGINS)),
    ),
    (
        "SITE_URL",
        "the site's address: https://vocalis.example",
        lambda settings: _address(settings.SITE_URL),
    ),
    (
        "PORT",
        f"a port from 1 to {PORT_MAX}, another than those of the sandboxes",
        lambda settings: (
            1 <= settings.PORT <= PORT_MAX
            and settings.PORT not in (settings.SANDBOX_PORT, settings.STRIPE_SANDBOX_PORT)
        ),
    ),
    (
        "SANDBOX_PORT",
        f"a port from 1 to {PORT_MAX}",
        lambda settings: 1 <= settings.SANDBOX_PORT <= PORT_MAX,
    ),
    (
        "STRIPE_SANDBOX_PORT",
        f"a port from 1 to {PORT_MAX}, another than SANDBOX_PORT",
        lambda settings: (
            1 <= settings.STRIPE_SANDBOX_PORT <= PORT_MAX
            and settings.STRIPE_SANDBOX_PORT != settings.SANDBOX_PORT
        ),
    ),
    (
        "SECURE_HSTS_SECONDS",
        "seconds, or 0 for none",
        lambda settings: getattr(settings, "SECURE_HSTS_SECONDS", 0) >= 0,
    ),
    (
        "TRUSTED_PROXIES",
        "how many proxies there are, or 0",
        lambda settings: settings.TRUSTED_PROXIES >= 0,
    ),
    ("WEB_PROCESSES", "1 or more", lambda settings: settings.WEB_PROCESSES >= 1),
    ("WEB_REQUESTS", "1 or more", lambda settings: settings.WEB_REQUESTS >= 1),
    ("WORKER_PROCESSES", "1 or more", lambda settings: settings.WORKER_PROCESSES >= 1),
    ("SPEECH_HELPERS", "1 or more", lambda settings: settings.SPEECH_HELPERS >= 1),
    ("FREE_SENTENCES_A_DAY", "0 or more", lambda settings: settings.FREE_SENTENCES_A_DAY >= 0),
    (
        "SILENCED_SYSTEM_CHECKS",
        "ids with the name before the dot: vocalis.E014",
        lambda settings: all(
            re.fullmatch(r"\w+(\.\w+)*\.[A-Z]\d+", each) for each in settings.SILENCED_SYSTEM_CHECKS
        ),
    ),
    (
        "WEB_BIND",
        "an IP address of this machine: 127.0.0.1, or 0.0.0.0 for all",
        lambda settings: settings.WEB_BIND == "localhost" or _ip(settings.WEB_BIND),
    ),
    (
        "REDIS_URL",
        "redis://host:6379/0, rediss:// with TLS, or leave it empty for one web process",
        lambda settings: not settings.REDIS_URL or _redis(settings.REDIS_URL),
    ),
    (
        "MEDIA_ROOT",
        "the whole path of a folder: /srv/vocalis/audio",
        lambda settings: _folder(settings.MEDIA_ROOT),
    ),
    (
        "AUDIO_CACHE",
        "the whole path of a folder: /var/cache/vocalis",
        lambda settings: _folder(settings.AUDIO_CACHE),
    ),
    ("AUDIO_STALL_SECONDS", "1 or more", lambda settings: settings.AUDIO_STALL_SECONDS >= 1),
    ("AUDIO_CACHE_MB", "megabytes, 1 or more", lambda settings: settings.AUDIO_CACHE_MB >= 1),
    (
        "EMAIL_URL",
        MAIL_FORM,
        _mail,
    ),
    (
        "DEFAULT_FROM_EMAIL",
        "an address, with a name if you like: Vocalis <hello@vocalis.example>",
        lambda settings: _from(settings.DEFAULT_FROM_EMAIL),
    ),
    (
        "LEGAL_REVIEWED_ON",
        "a day as 2026-12-01, or nothing",
        lambda settings: not settings.LEGAL_REVIEWED_ON or _day(settings.LEGAL_REVIEWED_ON),
    ),
    (
        "SELLER_NAME",
        f"a name of up to {SELLER_NAME_MAX} characters on one line: Vocalis Ltd",
        lambda settings: _printable(settings.SELLER_NAME, characters_max=SELLER_NAME_MAX),
    ),
    (
        "SELLER_ADDRESS",
        f"up to {SELLER_LINES_MAX} lines, separated by commas: 1 Example Street, Dublin, Ireland",
        lambda settings: (
            _printable(settings.SELLER_ADDRESS, characters_max=SELLER_ADDRESS_MAX)
            and settings.SELLER_ADDRESS.count(",") < SELLER_LINES_MAX
        ),
    ),
    (
        "SELLER_TAX_ID",
        f"up to {SELLER_TAX_ID_MAX} characters: IE6433435F, or leave it empty",
        lambda settings: _printable(settings.SELLER_TAX_ID, characters_max=SELLER_TAX_ID_MAX),
    ),
    (
        "METRONOME_API_KEY",
        "the token as Metronome shows it, without blanks or quotes",
        lambda settings: _token(settings.METRONOME_API_KEY),
    ),
    (
        "STRIPE_SECRET_KEY",
        "the restricted key as Stripe shows it, rk_live_… or rk_test_…, without blanks or quotes",
        lambda settings: not settings.STRIPE_SECRET_KEY or _stripe_key(settings.STRIPE_SECRET_KEY),
    ),
    (
        "STRIPE_WEBHOOK_SECRET",
        "signing secrets as Stripe shows them, comma-separated: whsec_…",
        lambda settings: all(
            re.fullmatch(r"whsec_\S{6,}", each) for each in settings.STRIPE_WEBHOOK_SECRETS
        ),
    ),
    (
        "STRIPE_API_URL",
        "an address, or leave it empty for the usual one: https://api.stripe.com",
        lambda settings: _origin(settings.STRIPE_API_URL),
    ),
    (
        "HEALTH_TOKEN",
        f"{HEALTH_TOKEN_LENGTH_MIN} ASCII characters or more without blanks, or leave it empty",
        lambda settings: not settings.HEALTH_TOKEN or _long_token(settings.HEALTH_TOKEN),
    ),
    (
        "METRONOME_API_URL",
        "an address, or leave it empty for the usual one: https://api.metronome.com",
        lambda settings: _address(settings.METRONOME_API_URL),
    ),
    (
        "METRONOME_CUSTOMER_URL",
        "an address that ends in a slash: https://app.metronome.com/customers/",
        lambda settings: (
            _address(settings.METRONOME_CUSTOMER_URL)
            and settings.METRONOME_CUSTOMER_URL.endswith("/")
        ),
    ),
    (
        "METRONOME_RATE_CARD_NAME",
        "the rate card's name: Vocalis",
        lambda settings: bool(settings.METRONOME_RATE_CARD_NAME.strip()),
    ),
    (
        "VOCALIS_CREDIT_TYPE_ID",
        "an id like 8b1f0a52-6f0f-4f7e-9d5e-3f0c1c8a7b11, or leave it empty",
        lambda settings: (
            not settings.VOCALIS_CREDIT_TYPE_ID or _uuid(settings.VOCALIS_CREDIT_TYPE_ID)
        ),
    ),
]
