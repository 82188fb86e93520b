import secrets
import time

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils import timezone

from billing import ledger, realtime
from billing.models import Wallet
from jobs.models import Heartbeat
from vocalis.urls import urlpatterns as product


@login_required
def insert(request: HttpRequest) -> JsonResponse:
    """The least a view that keeps something can do: a session, a user, one INSERT."""
    now = timezone.now()
    Heartbeat.objects.create(worker=secrets.token_hex(16), started_at=now, beat_at=now)
    return JsonResponse({"ok": True}, status=201)


def change(wallet_id: int) -> tuple[int, float]:
    """Change a wallet as a request does. Returns its new version and when that was committed (monotonic clock)."""
    ledger.reserve(wallet_id=wallet_id, key=secrets.token_hex(16), amount=1, now=timezone.now())
    at = time.monotonic()
    realtime.wake(wallet_id)
    return Wallet.objects.values_list("version", flat=True).get(id=wallet_id), at


def spend(request: HttpRequest, wallet_id: int) -> JsonResponse:
    version, at = change(wallet_id)
    return JsonResponse({"version": version, "at": at})


urlpatterns = [path("bench/insert/", insert), path("bench/spend/<int:wallet_id>/", spend), *product]
