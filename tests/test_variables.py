"""Every variable of .env.example has values that are refused at start,
by its name and with what to write."""

from __future__ import annotations

import re

import pytest

from tests.test_architecture import ROOT
from tests.test_checks import GOOD
from vocalis import checks

EXAMPLE = re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
WRONG = {
    "DEBUG": ["onn", "2x"],
    "SECRET_KEY": ["", "short", "insecure-development-key"],
    "ALLOWED_HOSTS": [
        "https://x",
        "vocalis.example:8000",
        "vocalis.example/",
        "a b",
        "[::1",
        "",
        ",",
    ],
    "CSRF_TRUSTED_ORIGINS": [
        "vocalis.example",
        "https://",
        "https://vocalis.example/",
        "ftp://vocalis.example",
    ],
    "SITE_URL": [
        "vocalis.example",
        "localhost:8000",
        "https://",
        "ftp://x.example",
        "https://x:y",
        "http://127.0.0.1",
    ],
    "PORT": ["eighty", "0", "65536", "-1", "8000.5", "8100", "8110"],
    "SANDBOX_PORT": ["x", "0", "65536"],
    "STRIPE_SANDBOX_PORT": ["x", "0", "65536", "8100"],
    "SECURE_SSL_REDIRECT": ["yess"],
    "BEHIND_TLS_PROXY": ["x-forwarded-proto"],
    "SECURE_HSTS_SECONDS": ["1y", "-1"],
    "TRUSTED_PROXIES": ["one", "-1"],
    "THROTTLE": ["offf"],
    "WEBHOOKS_OUT_ALLOW_PRIVATE": ["offf"],
    "TRIAL_NEEDS_CONFIRMATION": ["yess"],
    "LOG_LEVEL": ["loud", "10"],
    "WEB_PROCESSES": ["0", "-1", "two"],
    "WEB_REQUESTS": ["0", "-1", "many"],
    "WORKER_PROCESSES": ["0", "-1", "two"],
    "SILENCED_SYSTEM_CHECKS": ["E014", "vocalis.E014 vocalis.E003"],
    "WEB_BIND": ["http://0.0.0.0", "127.0.0.1:8000", "all"],
    "DATABASE_URL": [
        "vocalis",
        "localhost:5432/vocalis",
        "mysql://u:secret@h/n",
        "postgres://db.example",
        "postgres://h:port/n",
        "sqlite://var/vocalis.sqlite3",
        "oracel://u:secret@h/n",
    ],
    "REDIS_URL": [
        "localhost:6379",
        "redis.example",
        "http://redis.example",
        "redis://",
        "redis://h:port/0",
    ],
    "MEDIA_ROOT": ["audio", "./audio", str(ROOT / "README.md")],
    "STORAGE_URL": [
        "bucket",
        "s3://",
        "s3://bucket",
        "s3://key@bucket",
        "gs://key:secret@bucket",
        "s3://key:secret@bucket?endpoint=storage.example",
        "s3://key:secret@bucket?endpoint=",
        "s3://key:secret@bucket?zone=eu-1",
        "s3://key:secret@bucket?region",
    ],
    "AUDIO_CACHE": ["audio", "./audio", str(ROOT / "README.md")],
    "AUDIO_STALL_SECONDS": ["0", "-1", "long"],
    "AUDIO_CACHE_MB": ["0", "-1", "1 GB"],
    "EMAIL_URL": [
        "mail.example",
        "mail.example:587",
        "smtp+tsl://mail.example",
        "smtp://",
        "smtp://mail.example:x",
        "no-such-mail://?key=x",
        "postmark://",
        "postmark://?token=x",
        "mailgun://?sender_domain=mg.example",
        "amazon-ses://?aws_access_key_id=k",
        "base-requests://?api_url=x",
    ],
    "DEFAULT_FROM_EMAIL": ["Vocalis", "hello", ""],
    "SELLER_NAME": ["x" * 161, "a\tb"],
    "SELLER_ADDRESS": ["x" * 401, "a, b, c, d, e, f, g, h, i", "a\tb"],
    "SELLER_TAX_ID": ["x" * 41],
    "METRONOME_API_KEY": ["", "sandbox", "a key", "a-k\u00e9y", "key\n"],
    "METRONOME_API_URL": ["api.metronome.com", "localhost:8100", "https://"],
    "METRONOME_CUSTOMER_URL": [
        "app.metronome.com/customers/",
        "https://app.metronome.com/customers",
    ],
    "METRONOME_RATE_CARD_NAME": ["", " "],
    "VOCALIS_CREDIT_TYPE_ID": ["Vocalis Credits", "8b1f0a52"],
    "METRONOME_WEBHOOK_SECRET": ["", " , ", "sandbox-webhook-secret"],
    "HEALTH_TOKEN": ["short", "a token of several words", "t\u00f6k\u00e9n-of-twenty-characters"],
    "METRONOME_PAYMENT_GATE": ["CASH"],
    "STRIPE_TAX": ["perhaps"],
    "STRIPE_SECRET_KEY": [
        "",
        "sk_test_sandbox",
        "pk_live_publishable",
        "rk_live_with blank",
        "secret@",
        "whsec_123456",
    ],
    "STRIPE_WEBHOOK_SECRET": [
        "",
        "whsec_sandbox_secret",
        "secret",
        "whsec_",
        "whsec_good_one, secret",
    ],
    "STRIPE_API_URL": [
        "http://localhost:8110",
        "api.stripe.com",
        "https://api.stripe.com/v1",
        "ftp://x.example",
    ],
    "LEGAL_REVIEWED_ON": ["soon", "2026-13-01"],
    "SPEECH_HELPERS": ["0", "-1", "some"],
    "FREE_SENTENCES_A_DAY": ["-1", "many"],
    "SPEECH_WARM": ["warm"],
    "SPEECH_SERVERS": [
        "gpu-1:8880/v1?model=kokoro",
        "https://secret@speech.example/v1",
        "https://user:secret@speech.example/v1?model=kokoro",
        "https://speech.example/v1?model=kokoro, gpu-2/v1?model=kokoro",
        "https://speech.example/v1?model=kokoro&format=mp3",
        "https://speech.example/v1?model=kokoro&clones=yes",
    ],
}


@pytest.fixture
def refused(read_settings, monkeypatch):
    """What a production site says to these variables, which has everything else right."""

    def refused(**variables: str) -> list[str]:
        variables = GOOD | variables
        monkeypatch.setattr(
            checks, "settings", read_settings(variables.pop("ENV_FILE"), **variables)
        )
        return [f"{each.msg} {each.hint}" for each in checks.production()]

    return refused


def test_every_variable_of_the_example_can_be_wrong():
    assert {name for name, _ in EXAMPLE} == set(WRONG)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(refused, name, value):
    said = refused(**{name: value})

    assert [words for words in said if name in words] != []
    assert [words for words in said if "secret@" in words] == []


@pytest.mark.parametrize(
    ("name", "value"), [pair for pair in EXAMPLE if pair[1]], ids=lambda text: text[:30]
)
def test_what_the_example_shows_is_written_rightly(refused, name, value):
    assert [words for words in refused(**{name: value.strip('"')}) if "is invalid" in words] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_HOSTS", "a.example, .b.example, [::1], 10.0.0.1, my_host"),
        ("CSRF_TRUSTED_ORIGINS", "https://*.vocalis.example, http://a.example:8000"),
        ("DEBUG", ""),
        ("DEBUG", "off "),
        ("LOG_LEVEL", "info"),
        ("LOG_LEVEL", ""),
        ("TRUSTED_PROXIES", ""),
        ("TRUSTED_PROXIES", " 2 "),
        ("DATABASE_URL", "sqlite:////srv/c%2B%2B/x.sqlite3"),
        ("DATABASE_URL", ""),
        ("REDIS_URL", "rediss://user:secret@redis.example:6379/1"),
        ("REDIS_URL", "unix:///run/redis.sock"),
        ("MEDIA_ROOT", ""),
        ("DEFAULT_FROM_EMAIL", "hello@vocalis.example"),
        ("EMAIL_URL", "mailgun://?api_key=k&sender_domain=mg.example"),
        ("WEB_BIND", "::"),
        ("PORT", ""),
        ("SPEECH_SERVERS", ""),
        ("SPEECH_SERVERS", "http://a/v1?model=m&voices=x,y, https://k@b/v1?model=n&at_once=2"),
    ],
)
def test_what_is_right_is_taken(refused, name, value):
    assert [words for words in refused(**{name: value}) if name in words] == []


def test_a_settings_file_that_is_not_there_is_refused(refused):
    assert refused(ENV_FILE="no-such-file") == [
        "ENV_FILE is invalid. Write the path of a file that is there."
    ]


def test_a_word_that_is_neither_on_nor_off_leaves_a_switch_where_it_is_safe(read_settings):
    settings = read_settings(DEBUG="onn", THROTTLE="offf", SECURE_SSL_REDIRECT="noo")

    assert (settings.DEBUG, settings.RATELIMIT_ENABLE, settings.SECURE_SSL_REDIRECT) == (
        False,
        True,
        True,
    )
