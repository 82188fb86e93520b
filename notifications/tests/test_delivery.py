from __future__ import annotations

import json
import logging
import threading
import time
from datetime import timedelta
from email.utils import format_datetime

import pytest
from django.db import connection

from jobs.worker import Worker, jobs_on
from notifications import delivery, emit, endpoints, network
from notifications.models import OutboundWebhook, WebhookEndpoint

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def test_an_event_is_posted_once_as_it_is_stored(told, receiver, work, now):
    assert work(now) == 1

    [got] = receiver.got
    told.refresh_from_db()
    assert got.body == told.body.encode() and got.path == "/hooks"
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["webhook-id"] == told.message_id
    assert got.headers["Host"] == receiver.url.split("/")[2]
    assert (told.state, told.status, told.tries, told.due_at) == ("delivered", 204, 1, None)
    assert told.tried_at >= now and told.failure == ""
    assert work(now + DAY) == 0 and len(receiver.got) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_every_2xx_is_delivered(status, told, receiver, work, now):
    receiver.answers = [(status, {}, b"thanks")]
    work(now)

    told.refresh_from_db()
    assert (told.state, told.answer) == ("delivered", "thanks")


def test_what_fails_is_tried_for_three_days_under_one_id_and_then_given_up(
    told, receiver, work, now
):
    receiver.answers = [(500, {}, b"oh no")] * 50
    waits, at = [], now
    while True:
        assert work(at) == 1
        told.refresh_from_db()
        if told.state != "pending":
            break
        assert told.failure == "It answered 500." and told.answer == "oh no"
        assert work(told.due_at - timedelta(seconds=1)) == 0
        waits.append((told.due_at - told.tried_at).total_seconds())
        at = told.due_at

    assert (told.state, told.due_at, told.dead_at) == ("failed", None, None)
    assert at == told.give_up_at == now + 3 * DAY, "the last attempt is at the very end"
    planned = [5, 60, 300, 1_800, 7_200, 21_600, 43_200, 43_200, 43_200, 43_200]
    for planned_seconds, wait in zip(planned, waits, strict=False):
        assert planned_seconds <= wait <= planned_seconds * (1 + delivery.JITTER)
    assert 10 <= len(waits) + 1 == told.tries <= 13
    assert {got.headers["webhook-id"] for got in receiver.got} == {told.message_id}


def test_waits_differ_by_chance(alice, endpoint, receiver, work, now):
    receiver.answers = [(500, {}, b"")] * 8
    for number in range(8):
        emit(alice.id, "voice.ready", str(number), {}, now)
    work(now)

    due = {row.due_at - row.tried_at for row in OutboundWebhook.objects.all()}
    assert len(due) == 8


def test_each_attempt_is_signed_for_its_own_moment(told, receiver, work, now):
    receiver.answers = [(500, {}, b"")]
    work(now)
    work(now + timedelta(seconds=30))

    moments = [int(got.headers["webhook-timestamp"]) for got in receiver.got]
    assert moments == [int(now.timestamp()), int(now.timestamp()) + 30]


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("120", 120),
        ("0", 5),
        ("-5", 5),
        ("soon", 5),
        ("99999999999999999999", 86_400),
        ("Ù£", 5),  # a digit of another script, as it comes in the bytes of a header
    ],
)
def test_retry_after_is_obeyed_up_to_a_day(asked, seconds, told, receiver, work, now):
    receiver.answers = [(503, {"Retry-After": asked}, b"")]
    work(now)

    told.refresh_from_db()
    wait = (told.due_at - told.tried_at).total_seconds()
    assert seconds <= wait <= seconds * 1.2


def test_retry_after_may_be_a_date(told, receiver, work, now):
    until = now + timedelta(hours=1)
    receiver.answers = [(429, {"Retry-After": format_datetime(until, usegmt=True)}, b"")]
    work(now)

    told.refresh_from_db()
    assert abs((told.due_at - until).total_seconds()) < 5


def test_nothing_waits_beyond_its_three_days(told, receiver, work, now):
    receiver.answers = [(503, {"Retry-After": "86400"}, b"")]
    OutboundWebhook.objects.update(give_up_at=now + timedelta(hours=2))
    work(now)

    told.refresh_from_db()
    assert told.due_at == now + timedelta(hours=2)


def test_410_disables_the_endpoint_and_cancels_what_waits(alice, told, receiver, work, now):
    receiver.answers = [(410, {}, b"go away")]
    emit(alice.id, "voice.ready", "later", {}, now + DAY)
    work(now)

    endpoint = WebhookEndpoint.objects.get()
    assert not endpoint.is_enabled and "410" in endpoint.disabled_because
    states = OutboundWebhook.objects.order_by("created_at").values_list("state", "due_at")
    assert list(states) == [("cancelled", None)] * 2
    emit(alice.id, "voice.ready", "after", {}, now)
    assert OutboundWebhook.objects.count() == 2
    assert work(now + 2 * DAY) == 0 and len(receiver.got) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status, told, receiver, work, now):
    receiver.answers = [(status, {"Location": f"{receiver.url}/elsewhere"}, b"")]
    work(now)

    told.refresh_from_db()
    assert [got.path for got in receiver.got] == ["/hooks"]
    assert told.state == "pending" and "redirects are not followed" in told.failure


def test_an_answer_is_read_to_its_beginning_only(told, receiver, work, now):
    sent = []

    def without_end(handler):
        handler.send_response(500)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        chunk = b"1000\r\n" + b"x" * 4_096 + b"\r\n"
        for _ in range(20_000):  # 80 MB
            try:
                handler.wfile.write(chunk)
            except OSError:
                break
            sent.append(len(chunk))
        handler.close_connection = True
        raise ConnectionError

    receiver.before_answer = without_end
    work(now)

    told.refresh_from_db()
    assert told.status == 500 and told.answer == "x" * delivery.ANSWER_CHARACTERS_MAX
    assert sum(sent) < 20_000_000, "the connection was closed"


def test_an_answer_of_any_bytes_is_kept_as_text(told, receiver, work, now):
    receiver.answers = [(500, {}, b"\xff\x00\xc3\xa9<script>")]
    work(now)

    told.refresh_from_db()
    assert told.answer == "\ufffd\ufffdé<script>"


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_who_answers_too_slowly_is_cut_off_byte_by_byte_too(
    says, told, receiver, work, now, monkeypatch
):
    monkeypatch.setattr(network, "TOTAL_SECONDS", 0.7)
    post = network.post
    monkeypatch.setattr(network, "post", lambda *sent: post(*sent, seconds=0.7))

    def drip(handler):
        handler.wfile.write(says)
        for _ in range(100):
            time.sleep(0.05)
            handler.wfile.write(b"x")

    receiver.before_answer = drip
    began = time.monotonic()
    work(now)

    told.refresh_from_db()
    assert time.monotonic() - began < 3
    if says.endswith(b"\r\n\r\n"):  # the status is there; what follows it is not waited for
        assert (told.state, told.status) == ("delivered", 200)
    else:
        assert (told.state, told.status) == ("pending", None)
        assert told.failure == "It did not answer in time."


def test_a_slow_endpoint_rests_and_others_are_served(
    alice, bob, endpoint, receiver, work, now, monkeypatch
):
    monkeypatch.setattr(delivery, "SLOW_SECONDS", 0.2)
    quick = endpoints.create(bob, receiver.url + "/quick", ["voice.ready"], now)[0]
    receiver.before_answer = lambda handler: time.sleep(0.3 if handler.path == "/hooks" else 0)
    emit(alice.id, "voice.ready", "1", {}, now)
    work(now)
    emit(alice.id, "voice.ready", "2", {}, now)
    emit(bob.id, "voice.ready", "3", {}, now)
    work(now)

    endpoint.refresh_from_db()
    quick.refresh_from_db()
    assert endpoint.rests_until_at >= now + timedelta(seconds=1.2) and not quick.rests_until_at
    states = dict(OutboundWebhook.objects.values_list("key", "state"))
    assert states == {"1": "delivered", "2": "pending", "3": "delivered"}
    assert OutboundWebhook.objects.get(key="2").tries == 0
    work(endpoint.rests_until_at)
    assert OutboundWebhook.objects.get(key="2").state == "delivered"


def test_several_are_delivered_at_the_same_time(alice, endpoint, receiver, work, now):
    together = threading.Barrier(4, timeout=10)
    receiver.before_answer = lambda handler: together.wait()
    for number in range(4):
        emit(alice.id, "voice.ready", str(number), {}, now)

    assert work(now) == 4
    assert {row.state for row in OutboundWebhook.objects.all()} == {"delivered"}


def test_nobody_listens(told, receiver, work, now):
    WebhookEndpoint.objects.update(url="http://127.0.0.1:1/")
    work(now)

    told.refresh_from_db()
    assert told.state == "pending" and told.failure.startswith("There is no connection to it: ")


@pytest.mark.parametrize(
    "garbage", [b"\x00\x01\x02\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", b"HTTP/9 what\r\n\r\n"]
)
def test_what_is_no_answer_is_a_failure(garbage, told, receiver, work, now):
    def say(handler):
        handler.wfile.write(garbage)
        raise ConnectionError

    receiver.before_answer = say
    work(now)

    told.refresh_from_db()
    assert told.state == "pending" and told.failure.startswith("Its answer broke off")


def test_a_worker_that_dies_leaves_it_to_the_next(told, receiver, work, now, monkeypatch):
    monkeypatch.setattr(delivery, "_record", lambda *sent: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        work(now)
    monkeypatch.undo()

    assert work(now) == 0
    assert work(now + timedelta(seconds=delivery.LEASE_SECONDS + 2)) == 1
    assert [got.headers["webhook-id"] for got in receiver.got] == [told.message_id] * 2
    told.refresh_from_db()
    assert (told.state, told.tries) == ("delivered", 1)


def test_a_bug_at_one_row_does_not_stop_the_others(alice, told, receiver, work, now, monkeypatch):
    emit(alice.id, "voice.ready", "good", {}, now)
    send = delivery._send

    def fragile(row, endpoint, now):
        if row.pk == told.pk:
            raise ZeroDivisionError("secret things")
        return send(row, endpoint, now)

    monkeypatch.setattr(delivery, "_send", fragile)
    work(now)

    told.refresh_from_db()
    assert OutboundWebhook.objects.get(key="good").state == "delivered"
    assert (
        told.attempts == 1
        and told.due_at > now
        and told.last_error == "Exception: ZeroDivisionError"
    )


def test_disabled_while_it_is_being_sent_it_is_not_sent_again(
    told, endpoint, receiver, work, now, monkeypatch
):
    record = delivery._record

    def disabled_first(row, found, answer, clock):
        endpoints.disable(endpoint, now)
        record(row, found, answer, clock)

    monkeypatch.setattr(delivery, "_record", disabled_first)
    receiver.answers = [(500, {}, b"")]
    work(now)

    told.refresh_from_db()
    assert (told.state, told.due_at) == ("cancelled", None)


def test_deleted_while_it_is_being_sent_leaves_nothing(told, endpoint, receiver, work, now):
    rows = delivery.queue.claim(OutboundWebhook, now=now, limit=1, lease_seconds=60)
    endpoints.delete(endpoint, now)
    answer = network.Answer(status=500)
    delivery._record(rows[0], endpoint, answer, lambda: now)

    assert not OutboundWebhook.objects.exists()


def test_an_event_written_while_its_endpoint_is_deleted_is_cancelled(
    told, endpoint, receiver, work, now
):
    """On PostgreSQL the writer does not see the deletion, and its row comes after it."""
    WebhookEndpoint.objects.update(is_enabled=False, deleted_at=now, url="", secret="")
    work(now)

    told.refresh_from_db()
    assert (told.state, told.due_at) == ("cancelled", None) and receiver.got == []


@pytest.mark.parametrize("rounds", range(3))
@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_event_once(rounds, alice, endpoint, receiver, now):
    for number in range(40):
        emit(alice.id, "voice.ready", str(number), {}, now)
    together = threading.Barrier(2)

    def work():
        together.wait()
        while delivery.deliver(now):
            pass
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()

    ids = [got.headers["webhook-id"] for got in receiver.got]
    assert len(ids) == len(set(ids)) == 40
    assert set(OutboundWebhook.objects.values_list("state", "tries")) == {("delivered", 1)}


def test_webhooks_have_a_queue_of_their_own(told, receiver, now):
    names = {job.name for job in jobs_on(["default"])}
    [job] = jobs_on([delivery.QUEUE])
    assert job is delivery.DELIVER and job.name not in names

    assert Worker([job], clock=lambda: now).drain() == 1 and receiver.got


def test_what_is_put_off_for_hours_is_not_taken_for_the_work_of_a_wrong_clock(
    told, receiver, work, now
):
    receiver.answers = [(503, {"Retry-After": "86400"}, b"")]
    work(now)
    told.refresh_from_db()

    assert delivery.queue.set_right(OutboundWebhook, now=now) == 0
    assert OutboundWebhook.objects.get().due_at == told.due_at


def test_neither_secret_nor_answer_is_logged(told, endpoint, receiver, work, now, caplog):
    caplog.set_level(logging.DEBUG)
    receiver.answers = [(500, {}, b"private answer")]
    work(now)

    assert f"webhooks.deliver {told.pk}: 500" in caplog.text
    assert endpoint.secret not in caplog.text and "private answer" not in caplog.text
    assert json.loads(told.body)["data"]["voice"] not in caplog.text.replace(str(told.pk), "")
