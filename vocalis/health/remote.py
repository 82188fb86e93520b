"""Health checks that ask Metronome and Stripe.

All of them for the report, and quick ones for the operator's start page, which does not wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime

from django.conf import settings

from billing import metronome
from billing.metronome import catalogue, setup
from billing.payments.gateways.stripe import events
from jobs.errors import Rejected, Unavailable

from .check import Check

CALL_SECONDS = 3  # per call to Metronome, without retries
ALL_SECONDS = 8  # for all checks of Metronome; some make several calls
PAGE_WAITS_SECONDS = 1.0  # for the answers on the start page, which then shows those of before
FRESH_SECONDS = 10  # each process asks no more often for the start page


def remote_checks(now: datetime) -> list[Check]:
    """All checks that call Metronome or Stripe, in parallel.

    A check without a result after ALL_SECONDS is an error.
    """
    asks: dict[str, Callable[[], list[Check]]] = {"reachability": _connection_checks} | {
        name: _catalogue_check(name, ask, now) for name, ask in catalogue.CHECKS.items()
    }
    asks["stripe"] = _stripe_checks
    pool = ThreadPoolExecutor(max_workers=len(asks), thread_name_prefix="health")
    try:
        answers = {name: pool.submit(_with_timeout, ask) for name, ask in asks.items()}
        wait(answers.values(), timeout=ALL_SECONDS)
        return [
            check
            for name, answer in answers.items()
            for check in (
                answer.result() if answer.done() else [Check(name, "error", "no answer in time")]
            )
        ]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _with_timeout(ask: Callable[[], list[Check]]) -> list[Check]:
    with metronome.call_timeout(CALL_SECONDS):
        return ask()


def _connection_checks() -> list[Check]:
    try:
        asked = time.monotonic()
        setup.pricing_units()
    except Unavailable as error:
        if error.pause_seconds:  # Metronome responded, but refused our API key
            return [Check("reachability", "ok", ""), Check("credentials", "error", str(error))]
        return [
            Check("reachability", "error", str(error)),
            Check("credentials", "error", "cannot be checked"),
        ]
    except Rejected as error:
        return [Check("reachability", "ok", ""), Check("credentials", "error", str(error))]
    answered = f"{settings.METRONOME_API_URL} answers in {time.monotonic() - asked:.1f} s"
    return [Check("reachability", "ok", answered), Check("credentials", "ok", "accepted")]


def _stripe_checks() -> list[Check]:
    """Whether Stripe answers, and our key may read what we need; nothing is written to find out."""
    asked = time.monotonic()
    try:
        refused = events.refused_rights()
    except (Unavailable, Rejected) as error:
        return [Check("stripe", "error", str(error))]
    if refused:
        return [Check("stripe", "error", f"the key lacks rights for: {', '.join(refused)}")]
    answered = f"{settings.STRIPE_API_URL} answers in {time.monotonic() - asked:.1f} s"
    return [Check("stripe", "ok", answered)]


def _catalogue_check(
    name: str, ask: Callable[[datetime], list[str]], now: datetime
) -> Callable[[], list[Check]]:
    def check() -> list[Check]:
        try:
            texts = ask(now)
        except (Unavailable, Rejected) as error:
            return [Check(name, "error", str(error))]
        if not texts:
            return [Check(name, "ok", "as it should be")]
        # Without notifications everything still works, only later: the hourly jobs find changes.
        return [Check(name, "warn" if name == "notifications" else "error", "; ".join(texts))]

    return check


# --- What answers right now -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What one remote side answers. `asked_at` is on the monotonic clock of this process."""

    name: str
    check: Check
    asked_at: float

    @property
    def age_seconds(self) -> int:
        return int(time.monotonic() - self.asked_at)


_lock = threading.Lock()
_answers: dict[str, Answer] = {}
_asking: dict[str, Future[None]] = {}


def answers_now() -> list[Answer]:
    """What Metronome and Stripe answer, asked within the last FRESH_SECONDS.

    The page waits a second at most: who has not answered by then is shown as not answering yet,
    beside what it answered before, while a thread goes on waiting.
    """
    asks = {"Metronome": _connection_checks, "Stripe": _stripe_checks}
    with _lock:
        for name, ask in asks.items():
            known, running = _answers.get(name), _asking.get(name)
            is_stale = known is None or known.age_seconds >= FRESH_SECONDS
            if is_stale and (running is None or running.done()):
                _asking[name] = _start(name, ask)
        waited = [_asking[name] for name in asks if name in _asking]
    wait(waited, timeout=PAGE_WAITS_SECONDS)
    return [_answer_of(name) for name in asks]


def forget_answers() -> None:
    """Ask anew at the next look."""
    with _lock:
        _answers.clear()
        _asking.clear()


def _start(name: str, ask: Callable[[], list[Check]]) -> Future[None]:
    done: Future[None] = Future()

    def run() -> None:
        asked_at = time.monotonic()
        try:
            checks = _with_timeout(ask)
            worst = next((one for one in checks if one.status != "ok"), checks[0])
        except Exception as error:  # a thread's boundary: it becomes words on the page
            worst = Check(name, "error", f"{type(error).__name__}: {error}")
        _answers[name] = Answer(name, worst, asked_at)
        done.set_result(None)

    threading.Thread(target=run, name=f"answers-{name}", daemon=True).start()
    return done


def _answer_of(name: str) -> Answer:
    known, not_yet = _answers.get(name), "has not answered yet"
    if known is None:
        return Answer(name, Check(name, "warn", not_yet), time.monotonic())
    if known.check.status != "ok" or known.age_seconds < FRESH_SECONDS:
        return known
    # "ok" of some time ago says nothing of one that is asked again and silent.
    before = f"{not_yet}; before: {known.check.detail}"
    return replace(known, check=replace(known.check, status="warn", detail=before))
