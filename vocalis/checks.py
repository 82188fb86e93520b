"""System checks that keep a wrongly configured site from starting, and one that only warns.

They refuse invalid variables (vocalis.variables) and, on a production site (DEBUG off, or not on
this machine), settings that would lose money or expose secrets. Every manage.py command and
vocalis.asgi run them. A site that lacks a speech engine is warned by every manage.py command, and
starts. A check can be disabled by its id in SILENCED_SYSTEM_CHECKS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks

from billing.metronome.contracts import GATES
from usage.speech.overview import shortfalls

from . import variables

METRONOME_HOST = "api.metronome.com"
SANDBOX_WEBHOOK_SECRET = "sandbox-webhook-secret"  # of .env.example
SANDBOX_STRIPE_SECRET = "whsec_sandbox_secret"  # the same
SECRET_KEY_LENGTH_MIN = 32
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "sandbox"}


@checks.register(checks.Tags.security)
def production(**kwargs: Any) -> list[checks.CheckMessage]:
    if settings.DEBUG:
        return [*_forms(), *_debug_site(), *_stripe(), *_gate(), *_tax()]
    ours = [*_forms(), *_secrets(), *_hosts(), *_processes()]
    return [*ours, *_stripe(), *_gate(), *_tax(), *_outside()]


def _forms() -> Iterator[checks.CheckMessage]:
    for variable, write in variables.wrong(settings):
        yield checks.Error(f"{variable} is invalid.", hint=f"Write {write}.", id="vocalis.E010")


def _debug_site() -> Iterator[checks.CheckMessage]:
    host = urlsplit(settings.SITE_URL).hostname
    if host not in LOCAL_HOSTS:
        yield checks.Error(
            f"DEBUG is on, but SITE_URL says that this site is {host}.",
            hint="Set DEBUG=off: debug pages show settings and source code to anybody.",
            id="vocalis.E001",
        )


def _secrets() -> Iterator[checks.CheckMessage]:
    if (
        settings.SECRET_KEY.startswith("insecure")
        or len(settings.SECRET_KEY) < SECRET_KEY_LENGTH_MIN
    ):
        yield checks.Error(
            "SECRET_KEY is missing, short enough to guess, "
            "or the one of the development settings, which everybody knows.",
            hint='python -c "import secrets; print(secrets.token_urlsafe(50))" makes one.',
            id="vocalis.E002",
        )
    if (
        not settings.METRONOME_WEBHOOK_SECRETS
        or SANDBOX_WEBHOOK_SECRET in settings.METRONOME_WEBHOOK_SECRETS
    ):
        yield checks.Error(
            "METRONOME_WEBHOOK_SECRET is empty, so that every webhook is refused, "
            "or the sandbox's, which everybody knows.",
            hint="Copy the secret of the webhook destination from Metronome's settings.",
            id="vocalis.E005",
        )


def _hosts() -> Iterator[checks.CheckMessage]:
    if urlsplit(settings.SITE_URL).hostname in LOCAL_HOSTS:
        yield checks.Error(
            f"SITE_URL is {settings.SITE_URL}: "
            "links in mails would lead everybody to their own machine.",
            hint="Set it to the address of this site.",
            id="vocalis.E011",
        )
    hosts = settings.ALLOWED_HOSTS
    if "*" not in hosts and any(host.strip("[]") not in LOCAL_HOSTS for host in hosts):
        return
    problem = (
        "lets in any host name"
        if "*" in hosts
        else "has only names of this machine"
        if hosts
        else "is empty"
    )
    yield checks.Error(
        f"ALLOWED_HOSTS {problem}{': ' + ', '.join(hosts) if hosts else ''}.",
        hint="Set it to the host names this site answers to: every other request gets 400.",
        id="vocalis.E009",
    )


def _gate() -> Iterator[checks.CheckMessage]:
    """Who charges recharges."""
    gate = settings.METRONOME_PAYMENT_GATE
    if gate not in GATES:
        yield checks.Error(
            f"METRONOME_PAYMENT_GATE is “{gate}”, which is no gate: no recharge could be set up.",
            hint=f"Known are: {', '.join(sorted(GATES))}.",
            id="vocalis.E018",
        )


def _tax() -> Iterator[checks.CheckMessage]:
    """Tax is added to what we charge ourselves only."""
    if settings.STRIPE_TAX and settings.METRONOME_PAYMENT_GATE == "STRIPE":
        yield checks.Error(
            "STRIPE_TAX is on, and METRONOME_PAYMENT_GATE is STRIPE: recharges that Metronome "
            "charges would have no tax.",
            hint="Leave METRONOME_PAYMENT_GATE out, or switch STRIPE_TAX off.",
            id="vocalis.E019",
        )
    if settings.STRIPE_TAX and not settings.DEBUG and not settings.SELLER_TAX_ID:
        yield checks.Error(
            "STRIPE_TAX is on, and SELLER_TAX_ID is empty: papers would state tax without saying "
            "who owes it.",
            hint="Set SELLER_TAX_ID, or switch STRIPE_TAX off.",
            id="vocalis.E020",
        )


def _stripe() -> Iterator[checks.CheckMessage]:
    """No real money where anybody tries things, and the reverse."""
    key = settings.STRIPE_SECRET_KEY
    if not key:
        yield checks.Error(
            "STRIPE_SECRET_KEY is empty: no card could be kept or charged.",
            hint="Copy a restricted key from Stripe's Dashboard, under Developers. With DEBUG on, "
            "sk_test_sandbox is the key of the sandbox that make run starts.",
            id="vocalis.E013",
        )
    elif ("_live_" in key) == settings.DEBUG:
        mode, switch = ("live", "on") if settings.DEBUG else ("test", "off")
        yield checks.Error(
            f"STRIPE_SECRET_KEY is a {mode} key, and DEBUG is {switch}: "
            + (
                "trying things here would charge real cards."
                if settings.DEBUG
                else "plans and recharges would cost nobody anything."
            ),
            hint="Use a key of test mode with DEBUG on and a live one with DEBUG off, "
            "or accept vocalis.E014 for a demo.",
            id="vocalis.E014",
        )
    secrets = settings.STRIPE_WEBHOOK_SECRETS
    if not secrets or (not settings.DEBUG and SANDBOX_STRIPE_SECRET in secrets):
        yield checks.Error(
            "STRIPE_WEBHOOK_SECRET is empty, so that every webhook of Stripe is refused, "
            "or the sandbox's, which everybody knows.",
            hint="Copy the signing secret of the endpoint from Stripe's Dashboard, "
            "under Developers, Webhooks.",
            id="vocalis.E015",
        )
    if not settings.DEBUG and settings.STRIPE_API_URL != settings.STRIPE_URL:
        yield checks.Error(
            f"Payments would go to {settings.STRIPE_API_URL}, which is not Stripe.",
            hint="Leave STRIPE_API_URL out and set a key of Stripe's for https://api.stripe.com.",
            id="vocalis.E016",
        )


def _outside() -> Iterator[checks.CheckMessage]:
    url = urlsplit(settings.METRONOME_API_URL)
    if (url.scheme, url.hostname) != ("https", METRONOME_HOST) or settings.METRONOME_API_KEY in (
        "",
        "sandbox",
    ):
        yield checks.Error(
            f"Billing would go to {settings.METRONOME_API_URL or 'nowhere'}, "
            "which is not a Metronome account.",
            hint=(
                "Leave METRONOME_API_URL out for "
                "https://api.metronome.com and set METRONOME_API_KEY."
            ),
            id="vocalis.E003",
        )
    if settings.WEBHOOKS_OUT_ALLOW_PRIVATE:
        yield checks.Error(
            "WEBHOOKS_OUT_ALLOW_PRIVATE is on: customers could have our workers call machines of "
            "this network.",
            hint="Leave it out: it is for trying webhooks on a machine of one's own.",
            id="vocalis.E012",
        )
    if not settings.TRIAL_NEEDS_CONFIRMATION:
        yield checks.Error(
            "TRIAL_NEEDS_CONFIRMATION is off: anybody could have a trial for each address that "
            "they invent.",
            hint="Leave it out: then the trial is for addresses that were confirmed by mail.",
            id="vocalis.E017",
        )


def _processes() -> Iterator[checks.CheckMessage]:
    in_memory = settings.CHANNEL_LAYERS["default"]["BACKEND"].endswith("InMemoryChannelLayer")
    if settings.WEB_PROCESSES > 1 and in_memory:
        yield checks.Error(
            "Several web processes cannot wake each other's "
            "streams through an in-memory channel layer.",
            hint="Set REDIS_URL.",
            id="vocalis.E006",
        )
    if settings.WORKER_PROCESSES > 1 and settings.DATABASES["default"]["ENGINE"].endswith(
        "sqlite3"
    ):
        yield checks.Error(
            "Several workers would wait for each other at SQLite's one write lock.",
            hint="Set DATABASE_URL to a PostgreSQL database.",
            id="vocalis.E007",
        )


@checks.register
def speech_engines(**kwargs: Any) -> list[checks.CheckMessage]:
    """The site goes on without an engine, but its voices are hidden."""
    return [
        checks.Warning(
            f"{name}: {words}",
            hint="Run: python -m pip install -r requirements.txt",
            id="vocalis.W001",
        )
        for name, words in shortfalls().items()
    ]


def refuse_to_start() -> None:
    """Run the checks for entry points where Django does not (an ASGI server).

    Exits with the errors, if there are any.
    """
    errors = [message for message in production() if not message.is_silenced()]
    if errors:
        raise SystemExit("\n".join(f"{error.id}: {error.msg} {error.hint}" for error in errors))
