"""All settings, read from the environment and from the .env file.
Every variable is explained in .env.example."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from .environment import NO_DATABASE, Env, origin_of

BASE_DIR = Path(__file__).resolve().parent.parent
# Everything the program writes when it runs embedded: database, audio, sandbox state.
VAR_DIR = BASE_DIR / "var"
VAR_DIR.mkdir(exist_ok=True)

env = Env()
ENV_FILE = BASE_DIR / os.environ.get("ENV_FILE", ".env")
Env.read_env(ENV_FILE)
if "ENV_FILE" in os.environ and not ENV_FILE.exists():
    env.unreadable["ENV_FILE"] = "the path of a file that is there"

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or (
    # vocalis.checks refuses both in production. The second one is random, so that nobody could
    # forge a signature if something ran without the checks.
    "insecure-development-key" if DEBUG else f"insecure-{secrets.token_hex(32)}"
)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Where `make run` serves the site and the sandbox. Addresses that are not set are derived from it.
WEB_BIND = env.str("WEB_BIND", default="") or "127.0.0.1"
PORT = env.int("PORT", default=8000)
SANDBOX_PORT = env.int("SANDBOX_PORT", default=8100)
STRIPE_SANDBOX_PORT = env.int("STRIPE_SANDBOX_PORT", default=8110)
SITE_URL = env.str("SITE_URL", default="") or f"http://localhost:{PORT}"

INSTALLED_APPS = [
    "daphne",
    "channels",
    "vocalis.apps.AdminConfig",
    "accounts",  # before auth, whose createsuperuser it replaces
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "jobs",
    "operations",
    "mails",
    "notifications",
    "billing",
    "usage",
    "api",
    "ninja",  # for its page of the API, which otherwise asks another site for its script
    "vocalis.apps.VocalisConfig",
]

MIDDLEWARE = [
    "vocalis.middleware.security_headers",
    "api.middleware.answers_in_dialect",
    "django.middleware.security.SecurityMiddleware",
    "vocalis.middleware.PagesCompressed",
    "vocalis.middleware.DatabaseAway",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "vocalis.middleware.nul_refused",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "vocalis.middleware.AddSlash",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.sessions.seen",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "vocalis.middleware.methods_told",
]

ROOT_URLCONF = "vocalis.urls"
ASGI_APPLICATION = "vocalis.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "billing.live.balance.header",
                "billing.pages.delays.context",
            ],
            "builtins": ["accounts.templatetags.moments"],  # nearly every page shows moments
        },
    },
]

# --- Database -------------------------------------------------------------------------------------
# SQLite takes one writer at a time. IMMEDIATE makes a transaction wait when it begins, where that
# is safe, instead of failing when it first writes; FULL because a lost commit here is lost money.
# The default is no URL: a folder may be named `c++` or `v#1`, which a URL reads as something else.
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "vocalis.sqlite3")}
DATABASES: dict[str, Any] = {
    "default": env.database("DATABASE_URL", default=SQLITE),
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 60,
        "cached_statements": 1_000,  # prepared once a connection; the product has some five hundred
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
elif DATABASES["default"] != NO_DATABASE:
    # Seconds; else people wait for minutes for the 503 of a database whose machine is gone, and for
    # two hours for an answer that it was to give: the three after the first notice within half a
    # minute that nobody is there any more.
    waits = {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 4,
    }
    DATABASES["default"]["OPTIONS"] = waits | DATABASES["default"].get("OPTIONS", {})
    # A request's thread keeps its connection for the next request: making one takes longer than
    # most requests. Seconds; one that has broken meanwhile is noticed and made again.
    DATABASES["default"] = {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True} | DATABASES["default"]
# How many requests a web process works on at the same time, each with a thread and a database
# connection. Further requests wait (vocalis.concurrency).
WEB_REQUESTS = env.int("WEB_REQUESTS", default=20)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Realtime, and the counters of accounts.throttle ----------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="")
# Seconds; a login must not wait longer for it.
REDIS_WAITS = {"socket_connect_timeout": 1, "socket_timeout": 1}
CHANNEL_LAYERS: dict[str, Any] = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, **REDIS_WAITS}]},
    }
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}
# With Django's default of 300 entries, the counters of 150 visitors would evict older ones, which
# would then start from zero.
IN_MEMORY_CACHE = {
    "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    "OPTIONS": {"MAX_ENTRIES": 100_000},
}
CACHES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "vocalis",
        "OPTIONS": REDIS_WAITS,
    }
    if REDIS_URL
    else IN_MEMORY_CACHE
}

# --- Accounts -------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": name}
    for name in (
        "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "accounts.passwords.LongEnough",
        "accounts.passwords.Fit",
        "django.contrib.auth.password_validation.CommonPasswordValidator",
        "django.contrib.auth.password_validation.NumericPasswordValidator",
    )
]
# Whether only a confirmed address can have the trial. vocalis.checks demands it in production.
TRIAL_NEEDS_CONFIRMATION = env.bool("TRIAL_NEEDS_CONFIRMATION", default=not DEBUG)
LOGIN_URL = "login"
LOGOUT_REDIRECT_URL = "home"
RATELIMIT_ENABLE = env.bool("THROTTLE", default=True)
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)

# --- Metronome and payments -----------------------------------------------------------------------
METRONOME_API_KEY = env.str("METRONOME_API_KEY", default="")
# The default address with the sandbox's API key, which Metronome itself would refuse.
SANDBOX_URL = f"http://localhost:{SANDBOX_PORT}"
METRONOME_API_URL = env.str("METRONOME_API_URL", default="") or (
    SANDBOX_URL if METRONOME_API_KEY == "sandbox" else "https://api.metronome.com"
)
METRONOME_CUSTOMER_URL = env.str("METRONOME_CUSTOMER_URL", default="") or (
    f"{SANDBOX_URL}/dashboard/"
    if METRONOME_API_KEY == "sandbox"
    else "https://app.metronome.com/customers/"
)
METRONOME_RATE_CARD_NAME = env.str("METRONOME_RATE_CARD_NAME", default="Vocalis")
METRONOME_WEBHOOK_SECRETS: list[str] = env.list("METRONOME_WEBHOOK_SECRET", default=[])
VOCALIS_CREDIT_TYPE_ID = env.str("VOCALIS_CREDIT_TYPE_ID", default="")
# Who charges recharges: EXTERNAL, we; STRIPE, Metronome through Stripe.
METRONOME_PAYMENT_GATE = env.str("METRONOME_PAYMENT_GATE", default="EXTERNAL").upper()

STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="").strip()
STRIPE_WEBHOOK_SECRETS: list[str] = env.list("STRIPE_WEBHOOK_SECRET", default=[])
STRIPE_URL = "https://api.stripe.com"
# The default address with the sandbox's key, which Stripe itself would refuse.
STRIPE_API_URL = env.str("STRIPE_API_URL", default="") or (
    f"http://localhost:{STRIPE_SANDBOX_PORT}"
    if STRIPE_SECRET_KEY == "sk_test_sandbox"
    else STRIPE_URL
)

# Whether Stripe Tax works out tax, which is added to the prices.
STRIPE_TAX = env.bool("STRIPE_TAX", default=False)

# Who sells, as invoices and receipts print it; the lines of the address are separated by commas.
SELLER_NAME = env.str("SELLER_NAME", default="") or "Vocalis"
SELLER_ADDRESS = env.str("SELLER_ADDRESS", default="")
SELLER_TAX_ID = env.str("SELLER_TAX_ID", default="")
# When a lawyer has reviewed terms and privacy, as YYYY-MM-DD; until then these pages say so.
LEGAL_REVIEWED_ON = env.str("LEGAL_REVIEWED_ON", default="")

# --- Webhooks out ---------------------------------------------------------------------------------
# Whether webhooks may go to addresses that are not public, and over http: to try them here.
WEBHOOKS_OUT_ALLOW_PRIVATE = env.bool("WEBHOOKS_OUT_ALLOW_PRIVATE", default=DEBUG)

# --- Health --------------------------------------------------------------------------------------
HEALTH_TOKEN = env.str("HEALTH_TOKEN", default="")

# --- Files ----------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static", ("docs", BASE_DIR / "docs/img")]
STATIC_ROOT = VAR_DIR / "static"
# Files that browsers look for at the root of a site: icons.
WHITENOISE_ROOT = BASE_DIR / "static" / "root"
# Not served by URL: a view checks access.
MEDIA_ROOT = env.str("MEDIA_ROOT", default="") or str(VAR_DIR / "audio")
STORAGES = {
    "default": env.storage("STORAGE_URL"),
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Encodings of the stored audio, made again when they are missing; each machine has its own.
AUDIO_CACHE = env.str("AUDIO_CACHE", default="") or str(VAR_DIR / "audio-cache")
AUDIO_CACHE_MB = env.int("AUDIO_CACHE_MB", default=1_000)
# After which a reader that takes nothing is cut off (vocalis.flow).
AUDIO_STALL_SECONDS = env.int("AUDIO_STALL_SECONDS", default=60)
SPEECH_HELPERS = env.int("SPEECH_HELPERS", default=2)
SPEECH_WARM = env.bool("SPEECH_WARM", default=True)
SPEECH_SERVERS = env.speech_servers("SPEECH_SERVERS")

# Sentences that visitors may hear free on the front page in a day, all together; 0: none.
FREE_SENTENCES_A_DAY = env.int("FREE_SENTENCES_A_DAY", default=2_000)

# --- Mail -----------------------------------------------------------------------------------------
vars().update(env.mail("EMAIL_URL", default="outbox://" if DEBUG else "consolemail://"))
OUTBOX_DIR = str(VAR_DIR / "outbox")  # of outbox://, shown by a page that only DEBUG has
# Seconds per reply of the mail server. Without it, a server that never replies blocks the worker.
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Vocalis <hello@localhost>")

# --- The rest -------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
FORMAT_MODULE_PATH = "vocalis.formats"
TIME_ZONE = "UTC"
USE_TZ = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
# Where forms lead in the end: redirects after a post count as well. Stripe's pages are three hosts;
# the sandbox has them at its own address.
FORM_ORIGINS = (
    ["https://checkout.stripe.com", "https://billing.stripe.com", "https://hooks.stripe.com"]
    if STRIPE_API_URL == STRIPE_URL
    else [origin_of(STRIPE_API_URL)]
)
FORM_ACTION = ["'self'", *FORM_ORIGINS]
# Only our own origin, and no inline scripts or styles, so that injected markup does nothing.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; object-src 'none'; "
    f"base-uri 'none'; form-action {' '.join(FORM_ACTION)}; "
    "frame-ancestors 'none'"
)
# How many processes of each kind run. Used by vocalis.checks only: several web processes need
# Redis, several workers PostgreSQL.
WEB_PROCESSES = env.int("WEB_PROCESSES", default=1)
WORKER_PROCESSES = env.int("WORKER_PROCESSES", default=1)
SILENCED_SYSTEM_CHECKS = env.list("SILENCED_SYSTEM_CHECKS", default=[])
if not DEBUG:
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    SECURE_REDIRECT_EXEMPT = [r"^health"]  # a load balancer asks over plain HTTP
    SECURE_PROXY_SSL_HEADER = (
        ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", default=False) else None
    )
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["console"],
        "level": env.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO"),
    },
    "loggers": {
        # Django's own handlers would write every line a second time.
        "django": {"handlers": [], "level": "INFO"},
        **{
            name: {"level": "WARNING"}
            for name in ("daphne", "fido2", "httpx", "metronome", "stripe")
        },
        # Without Redis it would log a traceback every second; billing.live.wake logs the failure.
        "channels_redis": {"level": "CRITICAL"},
    },
}
# Variables whose values could not be parsed, so that defaults apply; vocalis.checks refuses them.
UNREADABLE: dict[str, str] = env.unreadable
