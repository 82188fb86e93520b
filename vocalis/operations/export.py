"""All that we have of a customer, as one zip: tables as JSON, those of money as CSV too, audio.

Secrets are not in it: hashes of passwords and keys, secrets of webhooks and apps, and what the
payment gateway calls a card. Nor is what we hold of the customer's business with others: rows of
work, reports to Metronome.
"""

from __future__ import annotations

import csv
import io
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet

from accounts.models import ApiKey, BrowserSession, Customer, Passkey, User
from billing.models import (
    BillingProfile,
    CreditGrant,
    Dispute,
    Invoice,
    LedgerEntry,
    Paper,
    Payment,
    PaymentMethod,
    Purchase,
    Recharge,
    Refund,
    Subscription,
)
from jobs.walk import walk
from mails.models import MailPreferences, OutboundMail
from notifications.models import WebhookEndpoint
from usage.models import (
    Draft,
    Favourite,
    Folder,
    Generation,
    Pronunciation,
    UsageDay,
    Voice,
    VoiceConsent,
    VoiceMatch,
)
from usage.speech import audio
from usage.speech.problems import AudioLost, AudioUnreachable

AUDIO_BYTES_MAX = 100 * 1024 * 1024  # of all files; what is more has its address in texts.json
FORMULA = ("=", "+", "-", "@", "\t", "\r")
README = """What Vocalis has of your account, {email}, on {now:%Y-%m-%d %H:%M} UTC.

Each .json file is a list, one object a line; times are UTC, amounts are in credits or US cents, as
their names say. The same of what concerns money is in .csv files, for spreadsheets.

texts.json    what you had spoken; "file" is its audio in this archive, "address" where it can be
              downloaded when it is not. The first {megabytes} MB of audio are in it, newest first.
entries       each change of your balance
grants        credits from one source
payments      money taken and given back

Recordings of consents and samples of your voice can be downloaded on the page of own voices.

Passwords, keys and other secrets are not in it: we keep only what they are compared with.
"""


@dataclass(frozen=True, slots=True)
class Table:
    """One file of rows: which, and which of their fields."""

    name: str
    rows: Callable[[Customer], QuerySet[Any]]
    fields: tuple[str, ...]
    is_money: bool = False


def _of(model: Any, path: str = "customer") -> Callable[[Customer], QuerySet[Any]]:
    def rows(customer: Customer) -> QuerySet[Any]:
        owner = customer.user if path == "user" else customer
        found: QuerySet[Any] = model._default_manager.filter(**{path: owner})
        return found

    return rows


TABLES = (
    Table(
        "account",
        lambda customer: User.objects.filter(pk=customer.user_id),
        (
            "email",
            "new_email",
            "email_confirmed_at",
            "first_name",
            "last_name",
            "time_zone",
            "date_joined",
            "last_login",
        ),
    ),
    Table("customer", lambda customer: Customer.objects.filter(pk=customer.pk), ("id",)),
    Table(
        "sessions", _of(BrowserSession, "user"), ("user_agent", "address", "began_at", "seen_at")
    ),
    Table("passkeys", _of(Passkey, "user"), ("name", "added_at", "last_used_at")),
    Table(
        "keys",
        _of(ApiKey),
        ("name", "shown", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at"),
    ),
    Table("mails", _of(OutboundMail, "user"), ("kind", "data", "sent_to", "sent_at", "created_at")),
    Table("mail_choices", _of(MailPreferences, "user"), ("unwanted", "low_balance_credits")),
    Table("webhooks", _of(WebhookEndpoint), ("url", "events", "is_enabled", "created_at")),
    Table("voices", _of(Voice), ("id", "name", "state", "created_at")),
    Table(
        "consents",
        _of(VoiceConsent),
        ("id", "sentence", "name", "language", "address", "given_at", "used_at", "revoked_at"),
    ),
    Table("voice_matches", _of(VoiceMatch), ("id", "state", "candidates", "failure", "created_at")),
    Table("pronunciations", _of(Pronunciation), ("written", "spoken")),
    Table("draft", _of(Draft), ("text", "voice", "manner", "former_text", "changed_at")),
    Table("folders", _of(Folder), ("id", "name", "created_at")),
    Table("favourites", _of(Favourite), ("voice",)),
    Table(
        "usage_days",
        _of(UsageDay),
        ("day", "kind", "voice", "voice_type", "api_key", "characters", "credits", "audio_ms"),
    ),
    Table(
        "billing_profile",
        _of(BillingProfile),
        ("name", "line1", "line2", "postal_code", "city", "state", "country", "tax_id"),
    ),
    Table("papers", _of(Paper), ("number", "kind", "content", "issued_at")),
    Table(
        "entries",
        _of(LedgerEntry, "wallet__customer"),
        ("id", "kind", "amount", "balance_after", "version", "note", "created_at"),
        is_money=True,
    ),
    Table(
        "grants",
        _of(CreditGrant, "wallet__customer"),
        ("id", "name", "granted", "remaining", "is_free", "starts_at", "ends_at"),
        is_money=True,
    ),
    Table(
        "payments",
        _of(Payment),
        (
            "id",
            "kind",
            "state",
            "amount_cents",
            "currency",
            "credits",
            "failure",
            "created_at",
            "settled_at",
        ),
        is_money=True,
    ),
    Table(
        "subscriptions",
        _of(Subscription),
        ("id", "plan", "state", "period_start_at", "period_end_at", "created_at", "ended_at"),
        is_money=True,
    ),
    Table(
        "top_ups",
        _of(Purchase),
        ("id", "state", "amount_cents", "credits", "failure", "created_at", "settled_at"),
        is_money=True,
    ),
    Table(
        "recharges",
        _of(Recharge),
        ("id", "state", "invoice_total", "failure", "created_at", "settled_at"),
        is_money=True,
    ),
    Table(
        "refunds",
        _of(Refund),
        ("id", "state", "amount_cents", "credits", "reason", "created_at", "settled_at"),
        is_money=True,
    ),
    Table(
        "disputes",
        _of(Dispute),
        ("id", "state", "amount_cents", "credits_taken", "created_at", "settled_at"),
        is_money=True,
    ),
    Table(
        "invoices",
        _of(Invoice),
        ("remote_id", "status", "total_cents", "starts_at", "ends_at", "dated_at"),
        is_money=True,
    ),
    Table("cards", _of(PaymentMethod), ("label", "exp_month", "exp_year")),
)
TEXT_FIELDS = (
    "id",
    "title",
    "folder_id",
    "text",
    "manner",
    "voice",
    "voice_name",
    "voice_type",
    "characters",
    "characters_spoken",
    "left_out",
    "credits",
    "state",
    "failure",
    "duration_seconds",
    "created_at",
    "finished_at",
)


def write(
    customer: Customer, file: IO[bytes], *, address: Callable[[Any], str], now: datetime
) -> None:
    """Write the zip into `file`. `address` is where the audio of a generation can be downloaded."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        megabytes = AUDIO_BYTES_MAX // 1024**2
        readme = README.format(email=customer.user.email, now=now, megabytes=megabytes)
        archive.writestr("README.txt", readme)
        for table in TABLES:
            _write_json(archive, table.name, _values(table, customer))
            if table.is_money:
                _write_csv(archive, table, customer)
        files = dict(_write_audio(archive, customer))
        _write_json(archive, "texts", _texts(customer, files, address))


def _values(table: Table, customer: Customer) -> Iterator[dict[str, Any]]:
    for row in walk(table.rows(customer)):
        yield {name: getattr(row, name) for name in table.fields}


def _texts(
    customer: Customer, files: Mapping[Any, str], address: Callable[[Any], str]
) -> Iterator[dict[str, Any]]:
    for row in walk(Generation.objects.filter(customer=customer).defer("words")):
        place = {"file": files[row.pk]} if row.pk in files else {}
        if not place and row.audio:
            place = {"address": address(row.pk)}
        yield {name: getattr(row, name) for name in TEXT_FIELDS} | place


def _write_json(archive: zipfile.ZipFile, name: str, rows: Iterable[dict[str, Any]]) -> None:
    encoder = DjangoJSONEncoder(ensure_ascii=False)
    with archive.open(f"{name}.json", "w", force_zip64=True) as file:
        file.write(b"[")
        for number, row in enumerate(rows):
            file.write(b",\n" if number else b"\n")
            file.write(encoder.encode(row).encode())
        file.write(b"\n]\n")


def _write_csv(archive: zipfile.ZipFile, table: Table, customer: Customer) -> None:
    with (
        archive.open(f"{table.name}.csv", "w", force_zip64=True) as raw,
        io.TextIOWrapper(raw, "utf-8-sig", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(table.fields)
        for values in _values(table, customer):
            writer.writerow([_cell(value) for value in values.values()])


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula is marked as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _write_audio(archive: zipfile.ZipFile, customer: Customer) -> Iterator[tuple[Any, str]]:
    """Id and name of each file that is in the archive. What is lost or unreachable is left out."""
    left = AUDIO_BYTES_MAX
    rows = Generation.objects.filter(customer=customer).exclude(audio="")
    for generation in rows.defer("text", "words").order_by("-created_at").iterator():
        try:
            opened = audio.open_audio(generation)
        except (AudioLost, AudioUnreachable):
            continue
        with opened as stored:
            if stored.size > left:
                return
            left -= stored.size
            name = f"audio/{generation.id}.{audio.EXTENSIONS[generation.content_type]}"
            info = zipfile.ZipInfo(name, generation.created_at.timetuple()[:6])
            with archive.open(info, "w") as file:  # stored as it is: FLAC is packed already
                shutil.copyfileobj(stored, file)
        yield generation.pk, name
