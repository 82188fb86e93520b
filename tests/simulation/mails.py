"""Mails of the simulation: all that are sent are counted; at the end none is missing or doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from django.core import signing
from django.utils import timezone

from accounts import confirmation
from accounts.models import User
from billing import plans
from billing.models import Subscription
from mails import transport
from mails.models import OutboundMail

State = OutboundMail.State
# So many passes of workers that nothing killed, between the moment of a reminder and the end that
# it tells of, and at the end of which the trial was active, have told it for certain: the first may
# be the one that begins it.
PASSES = 2


class Sent:
    """How often each mail was handed to the mail server, by its Message-ID, and when workers ended
    a pass, with the trials that were active then."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()
        self.passes: list[tuple[datetime, frozenset[Any]]] = []

    def note_pass(self, now: datetime) -> None:
        active = Subscription.objects.filter(plan="trial", state=Subscription.State.ACTIVE)
        self.passes.append((now, frozenset(active.values_list("pk", flat=True))))

    def passes_with(self, trial: Subscription, since: datetime, until: datetime) -> int:
        return sum(since <= at < until and trial.pk in active for at, active in self.passes)

    @contextmanager
    def counted(self) -> Iterator[None]:
        send = transport.send

        def counting(**mail: Any) -> None:
            send(**mail)
            self.times[mail["headers"]["Message-ID"].partition("@")[0].strip("<")] += 1

        with patch.object(transport, "send", counting):
            yield


def confirm(user: User, address: str, now: datetime) -> None:
    """The link in the mail is opened. An account that was closed meanwhile refuses it."""
    token = signing.dumps([user.pk, address], salt=confirmation.SALT)
    with suppress(confirmation.LinkRefused):
        confirmation.confirm(token, now)


def came_once(sent: Sent, deaths: int) -> None:
    """Every mail was sent or skipped; and twice only where a worker died before it had noted it."""
    rows = OutboundMail.objects.all()
    each_is_settled()
    for row in rows.filter(state=State.SENT):
        assert sent.times[str(row.pk)] >= 1, f"{row} counts as sent and was not"
    doubled = sum(times - 1 for times in sent.times.values())
    assert doubled <= deaths, f"{doubled} mails were sent again, and {deaths} workers died"
    _ends_are_told(sent)


def each_is_settled() -> None:
    """Every mail was sent or skipped, and no event has two."""
    rows = OutboundMail.objects.all()
    assert not rows.filter(state=State.PENDING).exists(), list(rows.filter(state=State.PENDING))
    events = Counter(rows.values_list("user_id", "kind", "key"))
    assert all(times == 1 for times in events.values())


def _ends_are_told(sent: Sent) -> None:
    """Each end of a trial was told ahead, once, unless the trial was over before."""
    for trial in Subscription.objects.filter(plan="trial").exclude(period_end_at=None):
        remind_at = trial.period_end_at - timedelta(days=plans.REMIND_DAYS)
        ended_at = trial.ended_at or timezone.now()
        told = OutboundMail.objects.filter(
            user__customer=trial.customer_id, kind="trial.ends_soon"
        ).count()
        assert told <= 1, f"{trial} of {trial.customer_id} was told {told} times of its end"
        until = min(ended_at, trial.period_end_at)
        if trial.customer.user.is_active and sent.passes_with(trial, remind_at, until) >= PASSES:
            assert told == 1, f"nobody was told of the end of {trial} of {trial.customer_id}"
