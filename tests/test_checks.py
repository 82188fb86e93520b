"""A production site that is set up wrongly says so and does not start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import settings as django_settings
from django.core.checks import WARNING, run_checks

from vocalis.checks import production, refuse_to_start

GOOD = {
    "DEBUG": "off",
    "SECRET_KEY": "k" * 25 + "0123456789abcdefghijklmnopqrstuvwxyz",
    "ALLOWED_HOSTS": "vocalis.example",
    "SITE_URL": "https://vocalis.example",
    "DATABASE_URL": "postgres://vocalis@db.example/vocalis",
    "REDIS_URL": "redis://redis.example/0",
    "METRONOME_API_KEY": "a-real-key",
    "METRONOME_API_URL": "https://api.metronome.com",
    "METRONOME_WEBHOOK_SECRET": "a-real-secret",
    "STRIPE_SECRET_KEY": "rk_live_123",
    "STRIPE_WEBHOOK_SECRET": "whsec_real_one",
    "ENV_FILE": os.devnull,
}


@pytest.fixture
def live(settings, monkeypatch, database_known):
    """The settings of a production site with nothing wrong."""
    settings.DEBUG = False
    settings.SECRET_KEY = GOOD["SECRET_KEY"]
    settings.ALLOWED_HOSTS = ["vocalis.example"]
    settings.SITE_URL = GOOD["SITE_URL"]
    settings.METRONOME_API_KEY = GOOD["METRONOME_API_KEY"]
    settings.METRONOME_API_URL = GOOD["METRONOME_API_URL"]
    settings.METRONOME_WEBHOOK_SECRETS = ["a-real-secret"]
    settings.STRIPE_SECRET_KEY = GOOD["STRIPE_SECRET_KEY"]
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_real_one"]
    settings.STRIPE_API_URL = "https://api.stripe.com"
    settings.WEBHOOKS_OUT_ALLOW_PRIVATE = False
    settings.TRIAL_NEEDS_CONFIRMATION = True
    settings.WEB_PROCESSES = settings.WORKER_PROCESSES = 1
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    return settings


def ids() -> list[str]:
    return [str(message.id) for message in production()]


def test_a_well_set_up_site_passes(live):
    assert production() == []


@pytest.mark.parametrize(
    ("gate", "tax_id", "wrong"),
    [
        ("EXTERNAL", "IE6433435F", []),
        ("EXTERNAL", "", ["vocalis.E020"]),
        ("STRIPE", "IE6433435F", ["vocalis.E019"]),
    ],
)
@pytest.mark.parametrize("is_taxed", [True, False])
def test_tax_is_added_to_every_charge_and_owed_by_somebody(live, gate, tax_id, wrong, is_taxed):
    live.STRIPE_TAX, live.METRONOME_PAYMENT_GATE, live.SELLER_TAX_ID = is_taxed, gate, tax_id

    assert ids() == (wrong if is_taxed else [])


def test_debug_pages_are_for_this_machine_only(live):
    live.DEBUG, live.STRIPE_SECRET_KEY = True, "rk_test_123"

    assert ids() == ["vocalis.E001"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SECRET_KEY", "insecure-development-key", "vocalis.E002"),
        ("METRONOME_API_URL", "http://localhost:8100", "vocalis.E003"),
        ("METRONOME_API_URL", "http://api.metronome.com", "vocalis.E003"),
        ("METRONOME_API_URL", "https://127.0.0.2:8100", "vocalis.E003"),
        ("METRONOME_API_URL", "https://sandbox.internal", "vocalis.E003"),
        ("METRONOME_API_URL", "https://api.metronome.com.example", "vocalis.E003"),
        ("METRONOME_API_KEY", "", "vocalis.E003"),
        ("METRONOME_API_KEY", "sandbox", "vocalis.E003"),
        ("METRONOME_WEBHOOK_SECRETS", [], "vocalis.E005"),
        ("METRONOME_WEBHOOK_SECRETS", ["a-real-secret", "sandbox-webhook-secret"], "vocalis.E005"),
        ("WEBHOOKS_OUT_ALLOW_PRIVATE", True, "vocalis.E012"),
        ("TRIAL_NEEDS_CONFIRMATION", False, "vocalis.E017"),
        ("WEB_PROCESSES", 2, "vocalis.E006"),
        ("SECRET_KEY", "k0" * 15, "vocalis.E002"),
        ("REDIS_URL", "localhost:6379", "vocalis.E010"),
        ("ALLOWED_HOSTS", ["https://x"], "vocalis.E010"),
        ("SITE_URL", "http://localhost:8000", "vocalis.E011"),
        ("ALLOWED_HOSTS", [], "vocalis.E009"),
        ("ALLOWED_HOSTS", ["vocalis.example", "*"], "vocalis.E009"),
        ("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"], "vocalis.E009"),
    ],
)
def test_one_wrong_setting_is_named(live, name, value, expected):
    setattr(live, name, value)

    assert ids() == [expected]


def test_without_a_key_of_stripe_nothing_starts_while_debugging_too(live):
    """As with an `.env` that was made before payments went to the sandbox."""
    live.DEBUG, live.SITE_URL, live.STRIPE_SECRET_KEY = True, "http://localhost:8000", ""

    (error,) = production()

    assert error.id == "vocalis.E013"
    assert "sk_test_sandbox is the key of the sandbox" in error.hint


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("STRIPE_SECRET_KEY", "", "vocalis.E013"),
        ("STRIPE_SECRET_KEY", "rk_test_123", "vocalis.E014"),
        ("STRIPE_SECRET_KEY", "sk_test_123", "vocalis.E014"),
        ("STRIPE_SECRET_KEY", "sk_test_sandbox", "vocalis.E014"),
        ("STRIPE_WEBHOOK_SECRETS", [], "vocalis.E015"),
        ("STRIPE_WEBHOOK_SECRETS", ["whsec_real_one", "whsec_sandbox_secret"], "vocalis.E015"),
        ("STRIPE_API_URL", "http://localhost:8110", "vocalis.E016"),
        ("STRIPE_API_URL", "https://api.stripe.com.example", "vocalis.E016"),
    ],
)
def test_one_wrong_setting_of_stripe_is_named(live, name, value, expected):
    setattr(live, name, value)

    assert ids() == [expected]


@pytest.mark.parametrize("kind", ["rk", "sk"])
def test_a_live_key_is_refused_while_debugging_and_a_test_key_is_not(live, kind):
    live.DEBUG, live.SITE_URL = True, "http://localhost:8000"

    live.STRIPE_SECRET_KEY = f"{kind}_live_123"
    (error,) = production()
    assert error.id == "vocalis.E014" and "would charge real cards" in error.msg
    assert "live_123" not in error.msg

    live.STRIPE_SECRET_KEY = f"{kind}_test_123"
    live.STRIPE_API_URL = "http://localhost:8110"
    live.STRIPE_WEBHOOK_SECRETS = ["whsec_sandbox_secret"]
    assert ids() == []


def test_several_workers_need_a_database_that_takes_several_writers(live, monkeypatch):
    live.WORKER_PROCESSES = 2

    monkeypatch.setitem(
        django_settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3"
    )
    assert ids() == ["vocalis.E007"]
    monkeypatch.setitem(
        django_settings.DATABASES["default"], "ENGINE", "django.db.backends.postgresql"
    )
    assert ids() == []


def test_several_web_processes_are_fine_with_redis(live):
    live.WEB_PROCESSES = 2
    live.CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}

    assert ids() == []


def test_the_sandboxes_are_fine_while_debugging(live):
    live.DEBUG, live.SITE_URL = True, "http://localhost:8000"
    live.METRONOME_API_URL, live.STRIPE_API_URL = "http://localhost:8100", "http://localhost:8110"
    live.STRIPE_SECRET_KEY = "sk_test_sandbox"
    live.STRIPE_WEBHOOK_SECRETS = ["whsec_sandbox_secret"]

    assert ids() == []


def test_an_engine_without_its_packages_is_a_warning_with_the_command_that_installs_them(
    live, lacking
):
    assert run_checks() == []
    lacking("kokoro")

    (warning,) = run_checks()
    assert (warning.id, warning.level) == ("vocalis.W001", WARNING)
    assert warning.msg.startswith("kokoro: The speech engine needs kokoro_model, ")
    assert "Standard voices are hidden: Oliver. Premium voices are hidden: Nora, " in warning.msg
    assert warning.hint == "Run: python -m pip install -r requirements.txt"
    refuse_to_start()


@pytest.mark.process
@pytest.mark.parametrize(
    "command",
    [["manage.py", "run_worker", "--once"], ["-c", "import vocalis.asgi"]],
    ids=["worker", "web"],
)
def test_worker_and_web_refuse_to_start(command):
    env = (
        os.environ
        | GOOD
        | {"METRONOME_WEBHOOK_SECRET": "", "DJANGO_SETTINGS_MODULE": "vocalis.settings"}
    )

    run = subprocess.run(
        [sys.executable, *command], env=env, capture_output=True, text=True, timeout=60
    )

    assert run.returncode == 1
    assert "vocalis.E005" in run.stderr
    assert "METRONOME_WEBHOOK_SECRET is empty" in run.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    "command",
    [
        ["manage.py", "migrate"],
        ["manage.py", "run_all"],
        ["manage.py", "run_worker", "--once"],
        ["-c", "import vocalis.asgi"],
    ],
    ids=["migrate", "run_all", "worker", "web"],
)
@pytest.mark.any_database  # it ends before there is a database
def test_a_variable_that_cannot_even_be_read_is_refused_in_words(command):
    """Nothing in the settings may fail before the checks can say what to write."""
    wrong = {
        "LOG_LEVEL": "loud",
        "PORT": "eighty",
        "DATABASE_URL": "mysql2:/x",
        "EMAIL_URL": "mail",
        "SECRET_KEY": "",
    }
    env = os.environ | GOOD | wrong | {"DJANGO_SETTINGS_MODULE": "vocalis.settings"}

    run = subprocess.run(
        [sys.executable, *command], env=env, capture_output=True, text=True, timeout=60
    )

    assert run.returncode == 1
    for name in wrong.keys() - {"SECRET_KEY"}:
        assert f"{name} is invalid." in run.stderr
    assert "SECRET_KEY is missing" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.process
def test_the_deploy_check_finds_nothing_in_production_settings():
    run = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        env=os.environ | GOOD | {"DJANGO_SETTINGS_MODULE": "vocalis.settings"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert run.returncode == 0, run.stderr


@pytest.mark.django_db
def test_every_answer_forbids_foreign_and_inline_code(client):
    policy = client.get("/accounts/login/").headers["Content-Security-Policy"]

    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
