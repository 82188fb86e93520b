"""Usage events at Metronome: once each, whatever Metronome answers."""

from __future__ import annotations

import uuid
from datetime import timedelta
from queue import SimpleQueue

import pytest
from django.db import connection

from billing import ledger, metronome
from billing.models import Contract, Reservation
from conftest import fund
from jobs import queue
from jobs.models import PausedJob
from usage.metering import reporter
from usage.metering.reporter import LONE_REJECTS, PAUSE_SECONDS, REPORT
from usage.models import UsageEvent


@pytest.fixture
def capture_events(alice, now):
    """`capture_events(3)`: that many captured events of alice, due now. Returns them."""
    wallet = fund(alice, 100_000, now)

    def make(number, *, at=now, text_length="7"):
        rows = []
        for _ in range(number):
            key = str(uuid.uuid4())
            reservation = ledger.reserve(wallet_id=wallet.id, key=key, amount=7, now=at)
            ledger.capture(reservation_id=reservation.id, now=at)
            rows.append(
                UsageEvent.objects.create(
                    transaction_id=f"vocalis-gen-{key}",
                    customer=alice,
                    event_type="voice_generation",
                    credits=7,
                    happened_at=at,
                    created_at=at,
                    due_at=now,
                    reservation_id=reservation.id,
                    properties={"voice_type": "standard", "text_length": text_length},
                )
            )
        return rows

    return make


@pytest.fixture
def heard(sandbox, monkeypatch):
    """What was sent in every call, and an answer to give instead of the sandbox's."""

    class Heard(list):
        answer = staticmethod(lambda events: None)

        @property
        def sizes(self):
            return [len(call) for call in self]

    calls = Heard()
    ingest = metronome.ingest

    def listening(events):
        calls.append(events)
        calls.answer(events)
        ingest(events)

    monkeypatch.setattr(metronome, "ingest", listening)
    return calls


def ids_at(sandbox):
    return sorted(event["transaction_id"] for event in events_at(sandbox))


def events_at(sandbox):
    return metronome.client.client().post(
        "/v1/events/search", cast_to=object, body={"transactionIds": every_id()}
    )


def every_id():
    return list(UsageEvent.objects.values_list("transaction_id", flat=True))


def waiting():
    return UsageEvent.objects.filter(sent_at=None, dead_at=None)


def test_a_batch_is_one_call_and_is_completed_together(
    capture_events, heard, sandbox, now, django_assert_max_num_queries
):
    rows = capture_events(100)

    with django_assert_max_num_queries(10):
        assert REPORT.run(now) == 100

    assert heard.sizes == [100]
    assert ids_at(sandbox) == sorted(row.transaction_id for row in rows)
    event = UsageEvent.objects.earliest("id")
    assert (
        event.sent_at >= now
        and event.due_at is None
        and event.lease is None
        and event.delivery == "sent"
    )
    assert not Reservation.objects.filter(reported_at=None).exists()
    assert ledger.in_flight(wallet_id=event.reservation.wallet_id, now=now) == (0, 700)


def test_an_event_read_in_part_is_a_row_like_any_other(
    capture_events, alice, django_assert_num_queries
):
    (row,) = capture_events(1)
    with django_assert_num_queries(1):
        part = (
            UsageEvent.objects.select_related("customer")
            .only("transaction_id", "customer__created_at")
            .get()
        )
        assert part == row and part.customer == alice and part.transaction_id == row.transaction_id

    with django_assert_num_queries(2):
        assert (part.credits, part.properties) == (
            7,
            {"voice_type": "standard", "text_length": "7"},
        )
    part.last_error = "was down"
    part.save(update_fields=["last_error"])
    assert UsageEvent.objects.get().last_error == "was down"


def test_an_event_is_what_metronome_documents(capture_events, heard, alice, now):
    (row,) = capture_events(1)
    REPORT.run(now)

    assert heard[0] == [
        {
            "transaction_id": row.transaction_id,
            "customer_id": f"vocalis_{alice.id}",
            "event_type": "voice_generation",
            "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "properties": {"voice_type": "standard", "text_length": "7"},
        }
    ]


def test_more_than_a_hundred_go_in_batches_oldest_first(capture_events, heard, now):
    rows = capture_events(130)
    UsageEvent.objects.filter(id=rows[-1].id).update(due_at=now - timedelta(minutes=1))

    assert (REPORT.run(now), REPORT.run(now)) == (130, 0)

    assert heard.sizes == [100, 30]
    assert heard[0][0]["transaction_id"] == rows[-1].transaction_id


def test_a_worker_killed_after_the_call_sends_again_and_metronome_counts_once(
    capture_events, heard, sandbox, now, monkeypatch
):
    rows = capture_events(3)
    with monkeypatch.context() as patch:
        patch.setattr(queue, "complete", lambda *args, **kwargs: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            REPORT.run(now)
    assert REPORT.run(now) == 0  # still in the dead worker's hands

    assert REPORT.run(now + timedelta(seconds=121)) == 3

    assert heard.sizes == [3, 3]
    assert ids_at(sandbox) == sorted(row.transaction_id for row in rows)
    assert not waiting().exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_take_the_same_event(capture_events, heard, now, monkeypatch):
    monkeypatch.setattr(reporter, "CLAIM", 20)
    capture_events(110)

    def another_worker(events):
        if len(heard) == 1:
            REPORT.run(now)
            connection.close()  # this is the sending thread

    heard.answer = another_worker
    REPORT.run(now)

    sent = [event["transaction_id"] for call in heard for event in call]
    assert len(sent) == len(set(sent)) == 110
    assert not waiting().exists()


def test_a_long_queue_is_claimed_ahead_while_the_claim_before_is_sent(
    capture_events, heard, sandbox, now, monkeypatch
):
    monkeypatch.setattr(reporter, "CLAIM", 10)
    rows = capture_events(25)
    claims = SimpleQueue()
    claim = queue.claim

    def noting(*args, **kwargs):
        claimed = claim(*args, **kwargs)
        claims.put(len(claimed))
        return claimed

    monkeypatch.setattr(queue, "claim", noting)
    seen = []

    def answer_when_the_next_is_claimed(events):
        awaited = {1: 2, 2: 1, 3: 0}[len(heard)]
        seen.append([claims.get(timeout=10) for _ in range(awaited)])

    heard.answer = answer_when_the_next_is_claimed

    assert REPORT.run(now) == 25

    assert heard.sizes == [10, 10, 5]
    assert seen == [[10, 10], [5], []]
    assert ids_at(sandbox) == sorted(row.transaction_id for row in rows)
    assert not waiting().exists() and not Reservation.objects.filter(reported_at=None).exists()


def test_a_long_queue_lets_the_other_jobs_run(capture_events, heard, now, monkeypatch):
    monkeypatch.setattr(reporter, "CLAIM", 10)
    monkeypatch.setattr(reporter, "AHEAD", timedelta(0))
    capture_events(25)

    assert [REPORT.run(now) for _ in range(4)] == [10, 10, 5, 0]


def test_an_outage_gives_back_what_was_claimed_ahead_and_asks_no_more(
    capture_events, heard, sandbox, now, monkeypatch
):
    monkeypatch.setattr(reporter, "CLAIM", 10)
    rows = capture_events(40)

    def down(events):
        if len(heard) == 2:
            raise metronome.MetronomeUnavailable("ingest: 503")

    heard.answer = down
    assert REPORT.run(now) == 0
    assert heard.sizes == [10, 10]
    assert UsageEvent.objects.exclude(sent_at=None).count() == 10
    assert waiting().filter(attempts=1, lease=None, due_at__gt=now).count() == 20

    assert REPORT.run(now + timedelta(minutes=3)) == 30
    assert ids_at(sandbox) == sorted(row.transaction_id for row in rows)


def test_a_worker_killed_while_it_claims_ahead_loses_nothing(
    capture_events, heard, sandbox, now, monkeypatch
):
    monkeypatch.setattr(reporter, "CLAIM", 10)
    rows = capture_events(25)
    claim = queue.claim
    with monkeypatch.context() as patch:
        answers = iter([claim, claim, lambda *args, **kwargs: (_ for _ in ()).throw(SystemExit)])
        patch.setattr(queue, "claim", lambda *args, **kwargs: next(answers)(*args, **kwargs))
        with pytest.raises(SystemExit):
            REPORT.run(now)
    assert heard.sizes == [10, 10]
    assert waiting().count() == 15, "the second ten were sent, not settled"

    assert REPORT.run(now + timedelta(seconds=122)) == 15

    assert ids_at(sandbox) == sorted(row.transaction_id for row in rows)
    assert not waiting().exists()


def test_a_bad_event_dies_alone(capture_events, heard, sandbox, now):
    rows = capture_events(10)
    bad = rows[6].transaction_id

    def picky(events):
        if any(event["transaction_id"] == bad for event in events):
            raise metronome.MetronomeRejected("ingest: 400 bad event", status=400)

    heard.answer = picky
    assert REPORT.run(now) == 10

    dead = UsageEvent.objects.get(transaction_id=bad)
    assert dead.dead_at and "400 bad event" in dead.last_error and dead.delivery == "problem"
    assert UsageEvent.objects.exclude(sent_at=None).count() == 9
    assert Reservation.objects.exclude(reported_at=None).count() == 9
    assert len(heard) <= 9
    assert REPORT.run(now + timedelta(days=1)) == 0


def test_the_sandbox_refuses_a_bad_event_and_takes_the_others(capture_events, heard, sandbox, now):
    rows = capture_events(4)
    UsageEvent.objects.filter(id=rows[1].id).update(transaction_id="x" * 128, event_type="")

    REPORT.run(now)

    assert [row.delivery for row in UsageEvent.objects.order_by("id")] == [
        "sent",
        "problem",
        "sent",
        "sent",
    ]


def test_many_events_refused_alike_pause_the_job_and_none_dies(capture_events, heard, now):
    capture_events(40)

    def deaf(events):
        raise metronome.MetronomeRejected(
            f"ingest: 400 bad event {events[0]['transaction_id']}", status=400
        )

    heard.answer = deaf
    assert REPORT.run(now) == 0

    paused = PausedJob.objects.get(name="usage.report")
    assert (
        paused.paused_until >= now + timedelta(seconds=PAUSE_SECONDS)
        and "refused alike" in paused.reason
    )
    assert waiting().filter(attempts=0).count() == 40
    assert heard.sizes.count(1) == LONE_REJECTS
    assert REPORT.run(now) == 0

    heard.answer = lambda events: None
    assert REPORT.run(now + timedelta(seconds=PAUSE_SECONDS + 5)) == 40


def test_a_few_refused_for_different_reasons_die(capture_events, heard, now):
    capture_events(LONE_REJECTS)
    reasons = iter("abcdefgh")

    def picky(events):
        if len(events) == 1:
            raise metronome.MetronomeRejected(f"ingest: 422 {next(reasons)}", status=422)
        raise metronome.MetronomeRejected("ingest: 422", status=422)

    heard.answer = picky
    REPORT.run(now)

    assert UsageEvent.objects.dead().count() == LONE_REJECTS
    assert not PausedJob.objects.exists()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusals_that_hit_every_event_pause_the_job(capture_events, heard, sandbox, now, status):
    capture_events(5)
    sandbox.faults.add("/v1/ingest", "status", status=status)

    assert REPORT.run(now) == 0

    assert str(status) in PausedJob.objects.get(name="usage.report").reason
    assert waiting().filter(attempts=0, lease=None).count() == 5
    assert heard.sizes == [5]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 429},
        {"kind": "timeout_before"},
        {"kind": "timeout_after"},
        {"kind": "error_after"},
    ],
)
def test_what_may_pass_is_tried_again(capture_events, heard, sandbox, now, fault):
    rows = capture_events(5)
    sandbox.faults.add("/v1/ingest", **fault)

    assert REPORT.run(now) == 0
    assert (
        waiting().filter(attempts=1, lease=None, due_at__gt=now).exclude(last_error="").count() == 5
    )
    assert not PausedJob.objects.exists()

    assert REPORT.run(now + timedelta(minutes=3)) == 5
    assert ids_at(sandbox) == sorted(row.transaction_id for row in rows)
    assert not UsageEvent.objects.exclude(last_error="").exists()


def test_an_outage_in_the_middle_of_splitting_keeps_what_was_sent(capture_events, heard, now):
    rows = capture_events(8)
    bad = rows[0].transaction_id

    def picky(events):
        if len(heard) == 4:
            raise metronome.MetronomeUnavailable("ingest: 503")
        if any(event["transaction_id"] == bad for event in events):
            raise metronome.MetronomeRejected("ingest: 400", status=400)

    heard.answer = picky
    REPORT.run(now)
    assert (
        UsageEvent.objects.filter(attempts=1, lease=None).count()
        == 8 - UsageEvent.objects.exclude(sent_at=None).count()
    )

    heard.answer = lambda events: None
    REPORT.run(now + timedelta(minutes=3))
    assert not waiting().exists() and not UsageEvent.objects.dead().exists()


def test_an_event_too_old_for_metronome_needs_a_person(capture_events, heard, now):
    (old,) = capture_events(1, at=now - timedelta(days=34))
    capture_events(2)

    assert REPORT.run(now) == 3

    old.refresh_from_db()
    assert old.dead_at and "34 days" in old.last_error
    assert heard.sizes == [2]


def test_only_old_events_make_no_call(capture_events, heard, now):
    capture_events(2, at=now - timedelta(days=35))

    assert REPORT.run(now) == 2
    assert heard == []


def test_an_error_nobody_foresaw_gives_the_batch_back(capture_events, heard, now):
    capture_events(3)

    def bug(events):
        raise KeyError("a bug")

    heard.answer = bug
    assert REPORT.run(now) == 0
    assert waiting().filter(attempts=1, lease=None, last_error__contains="KeyError").count() == 3


def test_retry_makes_a_dead_event_due(capture_events, heard, now):
    capture_events(1, at=now - timedelta(days=35))
    REPORT.run(now)
    assert not REPORT.due(now).exists()

    UsageEvent.objects.dead().run_now(now)

    assert REPORT.due(now).exists()


def test_events_wait_for_a_customer_metronome_does_not_know(
    capture_events, heard, sandbox, alice, now
):
    (row,) = capture_events(1)
    assert alice.metronome_id is None

    REPORT.run(now)

    row.refresh_from_db()
    assert row.delivery == "sent"
    assert ids_at(sandbox) == [row.transaction_id]


def test_a_wallet_whose_usage_was_sent_is_looked_at_within_a_minute(
    capture_events, heard, alice, now
):
    Contract.objects.create(
        customer=alice, metronome_id="c", starts_at=now, due_at=now + timedelta(hours=1)
    )
    capture_events(3)

    REPORT.run(now)

    assert Contract.objects.get().due_at - now < timedelta(seconds=65)
