"""Usage of another system, from a CSV file.

Every row becomes a captured reservation and an event to report.

Columns: transaction_id, customer (one of their ingest aliases), event_type, timestamp (RFC 3339);
every further column is a property of the event. The whole file is checked before anything is
imported. Rows of one customer are imported by the hundred, all of them or none. A row whose
transaction_id exists already is skipped, so a second run continues where the first one ended.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.models import IngestAlias
from billing import ledger, plans
from billing.live.wake import wake
from billing.models import Contract, Wallet
from jobs.models import due
from jobs.walk import CHUNK
from usage import rollup
from usage.models import UsageEvent, VoiceType
from usage.speech import pricing

from .reporter import WINDOW, WINDOW_MARGIN

COLUMNS = ("transaction_id", "customer", "event_type", "timestamp")
ERRORS_MAX = 50  # shown at once
READ_AHEAD = 5_000  # rows in memory, so that those of one customer come together
# Rows of one customer in one transaction: the grants to draw from are chosen once for all.
AT_ONCE = 100
PROPERTY_BYTES_MAX = 256  # what Metronome keeps of a value
TEXT_LENGTH_MAX = 10_000_000


class FileInvalid(ValueError):
    """The file cannot be imported. The text names the lines at fault."""


class RowInvalid(ValueError):
    """What is wrong with one row."""


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    transaction_id: str
    customer_id: UUID
    event_type: str
    happened_at: datetime
    properties: dict[str, str]
    credits: int


class Result(NamedTuple):
    """What became of a row. `failure` says why a failed one was not imported."""

    line: int
    state: Literal["imported", "imported before", "failed"]
    failure: str = ""


def check(path: Path, *, now: datetime) -> int:
    """Check the file and what it would cost. Returns how many rows are new. Raises FileInvalid."""
    if path.exists() and not path.is_file():
        raise FileInvalid(f"{path} is no file: it is read twice, to be checked and to be imported.")
    errors: list[str] = []
    # A temporary file of SQLite's, gone when closed: the memory stays flat however long the file
    # is.
    with closing(sqlite3.connect("")) as seen:
        seen.execute(
            "CREATE TABLE seen"
            " (transaction_id TEXT PRIMARY KEY, line INT, customer TEXT, credits INT)"
        )
        for row in _rows(path, now=now, errors=errors):
            values = (row.transaction_id, row.line, str(row.customer_id), row.credits)
            try:
                seen.execute("INSERT INTO seen VALUES (?, ?, ?, ?)", values)
            except sqlite3.IntegrityError:
                (first,) = seen.execute(
                    "SELECT line FROM seen WHERE transaction_id = ?", values[:1]
                ).fetchone()
                errors.append(
                    f"line {row.line}: transaction_id {row.transaction_id} "
                    f"is on line {first} already"
                )
            if len(errors) >= ERRORS_MAX:
                break
        else:
            errors += _lacking(seen)
        count: int = seen.execute("SELECT COUNT(*) FROM seen").fetchone()[0]
    if errors:
        raise FileInvalid("\n".join([*errors[:ERRORS_MAX], "Nothing was imported."]))
    return count


def load(path: Path, *, now: datetime) -> Iterator[Result]:
    """Import a file that `check` has passed.

    Raises FileInvalid at the end if it was changed since.
    """
    errors: list[str] = []
    rows = _rows(path, now=now, errors=errors)
    while ahead := list(islice(rows, READ_AHEAD)):
        ahead.sort(key=lambda row: str(row.customer_id))  # and by line within a customer
        for customer_id, theirs in groupby(ahead, key=lambda row: row.customer_id):
            wallet_id = ledger.wallet_of(customer_id).pk
            while batch := list(islice(theirs, AT_ONCE)):
                yield from _import(batch, wallet_id, now)
    if errors:  # the file or the customers have changed since the check
        raise FileInvalid("\n".join(errors[:ERRORS_MAX]))


def _import(batch: list[Row], wallet_id: int, now: datetime) -> Iterator[Result]:
    try:
        _capture(batch, wallet_id, now)
    except (IntegrityError, ledger.InsufficientCredits, ledger.WalletFrozen) as error:
        if len(batch) > 1:  # one row must not fail the others
            for row in batch:
                yield from _import([row], wallet_id, now)
            return
        yield _refused(batch[0], error)
        return
    wake(wallet_id)
    for row in batch:
        yield Result(row.line, "imported")


def _capture(batch: list[Row], wallet_id: int, now: datetime) -> None:
    """Capture the credits of all rows and make their events due, or do nothing."""
    with transaction.atomic():
        rollup.add(batch[0].customer_id, map(_counted, batch))
        spends = [ledger.Spend(row.transaction_id, row.credits, row.happened_at) for row in batch]
        reservation_ids = ledger.spend_all(wallet_id=wallet_id, spends=spends, now=now)
        UsageEvent.objects.bulk_create(
            UsageEvent(
                transaction_id=row.transaction_id,
                customer_id=row.customer_id,
                event_type=row.event_type,
                happened_at=row.happened_at,
                properties=row.properties,
                credits=row.credits,
                reservation_id=reservation_id,
                created_at=now,
                **due(row.happened_at),
            )
            for row, reservation_id in zip(batch, reservation_ids, strict=True)
        )


def _counted(row: Row) -> tuple[rollup.Place, rollup.Sums]:
    where = rollup.place(row.event_type, row.properties, row.happened_at, rollup.IMPORTED)
    return where, rollup.sums(row.properties, row.credits, rollup.IMPORTED)


def _refused(row: Row, error: Exception) -> Result:
    text = str(error) or type(error).__name__
    if isinstance(error, IntegrityError):
        # Imported by another run meanwhile.
        if UsageEvent.objects.filter(transaction_id=row.transaction_id).exists():
            return Result(row.line, "imported before")
        text = f"transaction_id {row.transaction_id} is the key of other credits reserved or spent"
    return Result(row.line, "failed", text)


# --- Rows -----------------------------------------------------------------------------------------


def _rows(path: Path, *, now: datetime, errors: list[str]) -> Iterator[Row]:
    """The good rows that are new; what is wrong with the others goes to `errors`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if lacking := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
                raise FileInvalid(f"The file lacks the columns {', '.join(lacking)}.")
            numbered = ((reader.line_num, fields) for fields in reader)
            while chunk := list(islice(numbered, CHUNK)):
                yield from _checked(chunk, now, errors)
    except OSError as error:
        raise FileInvalid(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileInvalid(
            f"{path} is no CSV file in UTF-8, after line {reader.line_num}: {error}"
        ) from error


def _checked(
    chunk: list[tuple[int, dict[Any, Any]]], now: datetime, errors: list[str]
) -> Iterator[Row]:
    aliases = {str(fields.get("customer") or "") for _, fields in chunk}
    owners = dict(IngestAlias.objects.filter(name__in=aliases).values_list("name", "customer_id"))
    begun = dict(
        Contract.objects.filter(customer__in=owners.values()).values_list(
            "customer_id", "starts_at"
        )
    )
    ids = {str(fields.get("transaction_id") or "") for _, fields in chunk}
    known = {
        event.transaction_id: event for event in UsageEvent.objects.filter(transaction_id__in=ids)
    }
    for line, fields in chunk:
        try:
            row = _row(line, fields, owners, now)
            if event := known.get(row.transaction_id):
                _check_same(row, event)
                continue
            _check_counted(row, begun.get(row.customer_id))
        except RowInvalid as error:
            errors.append(f"line {line}: {error}")
            continue
        yield row


def _row(line: int, fields: dict[Any, Any], owners: dict[str, UUID], now: datetime) -> Row:
    if None in fields or None in fields.values():
        raise RowInvalid("not as many fields as columns")
    if any("\x00" in value for value in fields.values()):
        raise RowInvalid("a NUL character")
    transaction_id = fields["transaction_id"]
    if not 1 <= len(transaction_id) <= 128:
        raise RowInvalid("transaction_id must have 1 to 128 characters")
    if fields["customer"] not in owners:
        raise RowInvalid(f"nobody has the ingest alias “{fields['customer']}”")
    properties = {name: value for name, value in fields.items() if name not in COLUMNS and value}
    for name, value in properties.items():
        if len(value.encode()) > PROPERTY_BYTES_MAX:
            raise RowInvalid(f"{name} is longer than {PROPERTY_BYTES_MAX} bytes")
    return Row(
        line=line,
        transaction_id=transaction_id,
        customer_id=owners[fields["customer"]],
        event_type=fields["event_type"],
        happened_at=_happened_at(fields["timestamp"], now),
        properties=properties,
        credits=_credits(fields["event_type"], properties),
    )


def _happened_at(text: str, now: datetime) -> datetime:
    try:
        happened_at = datetime.fromisoformat(text)
    except ValueError:
        raise RowInvalid(f"timestamp must be like 2026-01-31T10:00:00Z, not “{text}”") from None
    if happened_at.tzinfo is None:
        raise RowInvalid(f"timestamp “{text}” has no time zone; write Z for UTC")
    if happened_at > now:
        raise RowInvalid("timestamp is in the future")
    if happened_at < now - WINDOW + WINDOW_MARGIN:
        raise RowInvalid(
            f"timestamp is older than the {WINDOW.days} days of which Metronome takes events"
        )
    return happened_at.astimezone(UTC)


def _credits(event_type: str, properties: dict[str, str]) -> int:
    if event_type == "voice_cloning":
        return plans.OWN_VOICE_CREDITS
    if event_type != "voice_generation":
        raise RowInvalid("event_type must be voice_generation or voice_cloning")
    voice_type, length = properties.get("voice_type", ""), properties.get("text_length", "")
    if voice_type not in VoiceType.values:
        raise RowInvalid(f"voice_type must be {' or '.join(VoiceType.values)}")
    if not (length.isascii() and length.isdigit() and 1 <= int(length[:20]) <= TEXT_LENGTH_MAX):
        raise RowInvalid(f"text_length must be a whole number from 1 to {TEXT_LENGTH_MAX:,}")
    return pricing.credits(int(length), voice_type)


def _check_same(row: Row, event: UsageEvent) -> None:
    ours = (event.customer_id, event.event_type, event.happened_at, event.properties)
    if ours != (row.customer_id, row.event_type, row.happened_at, row.properties):
        raise RowInvalid(f"transaction_id {row.transaction_id} belongs to another event")


def _check_counted(row: Row, begun_at: datetime | None) -> None:
    if begun_at is None:
        raise RowInvalid(
            "the customer has no contract at Metronome yet, "
            "which counts nothing from before it begins"
        )
    if row.happened_at < begun_at:
        raise RowInvalid(
            f"{row.happened_at:%Y-%m-%d %H:%M:%S} UTC is before the customer's contract began "
            f"at Metronome, {begun_at:%Y-%m-%d %H:%M} UTC: it would never be counted there"
        )


def _lacking(seen: sqlite3.Connection) -> Iterator[str]:
    """Customers who cannot pay for all of it."""
    for customer_id, credits, line in seen.execute(
        "SELECT customer, SUM(credits), MIN(line) FROM seen GROUP BY customer"
    ):
        wallet = Wallet.objects.filter(customer=customer_id).first()
        available = wallet.available if wallet else 0
        if wallet and wallet.frozen_at:
            yield f"line {line} and on: the wallet of customer {customer_id} is frozen"
        elif credits > available:
            yield (
                f"line {line} and on: customer {customer_id} has {available:,} credits, "
                f"and {credits:,} are needed"
            )
