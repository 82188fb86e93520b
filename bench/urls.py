import secrets
import time
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils import timezone

from billing import ledger, metronome
from billing.live.wake import wake
from billing.models import Contract, Wallet
from billing.sync import drift
from jobs.models import Heartbeat
from vocalis.urls import urlpatterns as product


@login_required
def insert(request: HttpRequest) -> JsonResponse:
    """The least a view that keeps something can do: a session, a user, one INSERT."""
    now = timezone.now()
    Heartbeat.objects.create(worker=secrets.token_hex(16), started_at=now, beat_at=now)
    return JsonResponse({"ok": True}, status=201)


def change(wallet_id: int) -> tuple[int, float]:
    """Change a wallet as a request does.
    Returns its new version and when that was committed (monotonic clock)."""
    ledger.reserve(wallet_id=wallet_id, key=secrets.token_hex(16), amount=1, now=timezone.now())
    at = time.monotonic()
    wake(wallet_id)
    return Wallet.objects.values_list("version", flat=True).get(id=wallet_id), at


def spend(request: HttpRequest, wallet_id: int) -> JsonResponse:
    version, at = change(wallet_id)
    return JsonResponse({"version": version, "at": at})


def gate(wallet: Wallet) -> None:
    for _ in range(10):
        now = timezone.now()
        reservation = ledger.reserve(
            wallet_id=wallet.pk, key=secrets.token_hex(16), amount=10, now=now
        )
        ledger.capture(reservation_id=reservation.id, now=now)


def compare(wallet: Wallet) -> None:
    """What a comparison with Metronome asks of our own rows."""
    with patch.object(metronome, "net_balance", return_value=Decimal(wallet.balance)):
        assert drift.compare(Contract(customer=wallet.customer), now=timezone.now(), commits=[])


def grant(wallet: Wallet) -> None:
    """A grant that began an hour ago: it takes over what was drawn since."""
    now, id = timezone.now(), secrets.token_hex(16)
    segment = ledger.Segment(
        kind="commit",
        remote_id=id,
        segment_id=id,
        key=id,
        name="bench",
        amount=1,
        priority=Decimal(5),
        is_free=True,
        starts_at=now - timedelta(hours=1),
        ends_at=now + timedelta(days=30),
    )
    ledger.record_grant(wallet_id=wallet.pk, segment=segment, now=now)


WORK = {"gate": gate, "compare": compare, "grant": grant}


def timed(request: HttpRequest, work: str, customer_id: UUID) -> JsonResponse:
    """Milliseconds of one piece of work, without the request around it."""
    wallet = Wallet.objects.select_related("customer").get(customer=customer_id)
    started = time.perf_counter()
    WORK[work](wallet)
    return JsonResponse({"ms": (time.perf_counter() - started) * 1_000})


urlpatterns = [
    path("bench/insert/", insert),
    path("bench/spend/<int:wallet_id>/", spend),
    path("bench/time/<str:work>/<uuid:customer_id>/", timed),
    *product,
]
