"""What the operations commands share: summary, exit code, progress, interruption, patience."""

from __future__ import annotations

import os
import re
import signal
import tracemalloc
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper

from billing.models import InboundWebhook
from jobs.errors import Rejected, Snooze, Unavailable
from jobs.inline import do_now
from jobs.walk import walk
from jobs.worker import RowJob
from operations import command
from operations.command import Operation, Outcome, Progress, attempt, moment

pytestmark = pytest.mark.django_db


def run(outcomes, **options):
    """Run a command of these outcomes. Returns what it printed, and the error it ended with."""

    class Command(Operation):
        def outcomes(self, **given):
            return outcomes(**given) if callable(outcomes) else iter(outcomes)

    out, err = StringIO(), StringIO()
    try:
        call_command(Command(stdout=out, stderr=err), **options)
    except CommandError as error:
        return out.getvalue(), error
    return out.getvalue(), None


def events(number, now, **fields):
    rows = [
        InboundWebhook(event_id=f"e-{at}", type="test", payload={}, received_at=now, **fields)
        for at in range(number)
    ]
    InboundWebhook.objects.bulk_create(rows)


def test_a_run_ends_with_a_summary_and_exit_code_0_when_nothing_is_left():
    out, error = run([Outcome("a", "done"), Outcome("b", "done"), Outcome("c", "linked", "to x")])

    assert out.splitlines() == ["c: linked to x", "Summary: 2 done, 1 linked."]
    assert error is None


def test_what_is_left_to_do_makes_exit_code_1():
    out, error = run([Outcome("a", "done"), Outcome("b", "failed", "no", is_open=True)])

    assert "Summary: 1 done, 1 failed." in out
    assert (str(error), error.returncode) == ("Left to do: 1.", 1)


def test_a_dry_run_says_that_nothing_was_changed():
    out, _ = run(
        lambda dry_run, **options: [Outcome("a", "would go" if dry_run else "gone")], dry_run=True
    )

    assert out == "Summary: 1 would go. Nothing was changed.\n"


def test_an_interrupted_run_says_where_and_exits_with_130():
    def outcomes(**options):
        yield Outcome("first", "done")
        yield Outcome("second", "done")
        raise KeyboardInterrupt

    out, error = run(outcomes)

    assert "Summary: 2 done." in out
    assert (str(error), error.returncode) == (
        "Interrupted after second. Run it again to go on.",
        130,
    )


def test_sigterm_interrupts_as_ctrl_c_does(monkeypatch):
    class Command(Operation):
        def outcomes(self, **options):
            yield Outcome("first", "done")
            signal.raise_signal(signal.SIGTERM)
            yield Outcome("second", "done")

    out, err = StringIO(), StringIO()
    monkeypatch.setattr("django.core.management.base.connections.close_all", lambda: None)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            Command(stdout=out, stderr=err).run_from_argv(["manage.py", "test", "--skip-checks"])
    finally:
        signal.signal(signal.SIGTERM, before)

    assert ended.value.code == 130
    assert out.getvalue() == "Summary: 1 done.\n"
    assert err.getvalue() == "CommandError: Interrupted after first. Run it again to go on.\n"


def test_a_reader_who_goes_away_interrupts_too():
    class Command(Operation):
        def outcomes(self, **options):
            yield Outcome("first", "done", "here")

    reading, writing = os.pipe()
    os.close(reading)
    with (
        os.fdopen(writing, "w") as out,
        pytest.raises(CommandError, match="Interrupted after first") as ended,
    ):
        call_command(Command(stdout=out, stderr=StringIO()))

    assert ended.value.returncode == 130


def test_a_run_that_stops_before_it_began_does_not_say_that_nothing_is_to_do():
    def outcomes(**options):
        raise Unavailable("no answer")
        yield

    assert run(outcomes)[0] == "Summary: nothing done.\n"


def test_an_outage_ends_the_run_and_says_where():
    def outcomes(**options):
        yield Outcome("first", "done")
        raise Unavailable("no answer")

    out, error = run(outcomes)

    assert "Summary: 1 done." in out
    assert str(error) == "Stopped after first: no answer. Run it again to go on."


def test_every_line_shows_with_more_verbosity():
    assert run([Outcome("a", "done")], verbosity=2)[0].startswith("a: done\n")


class Terminal(StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_a_bar(monkeypatch):
    monkeypatch.setattr(command, "BAR_SECONDS", 0)
    out = Terminal()
    progress = Progress(OutputWrapper(out))
    progress.total = 4

    progress.step()

    assert out.getvalue() == "\r[#######.......................] 1 of 4\x1b[K\r"


def test_a_pipe_gets_plain_lines(monkeypatch):
    monkeypatch.setattr(command, "LINE_SECONDS", 0)
    out = StringIO()
    progress = Progress(OutputWrapper(out))
    progress.total = 2_000

    progress.step()
    progress.step()

    assert out.getvalue() == "1 of 2,000\n2 of 2,000\n"


def test_what_is_part_of_a_thing_is_no_progress(monkeypatch):
    class Command(Operation):
        def total(self, **options):
            return 1

        def outcomes(self, **options):
            yield Outcome("a", "differs")
            yield Outcome("a at ten", "sent", is_part=True)
            yield Outcome("a at eleven", "sent", is_part=True)

    monkeypatch.setattr(command, "LINE_SECONDS", 0)
    out, err = StringIO(), StringIO()

    call_command(Command(stdout=out, stderr=err))

    assert err.getvalue() == "1 of 1\n" * 3
    assert out.getvalue() == "Summary: 1 differs, 2 sent.\n"


def test_a_walk_sees_every_row_once_even_those_that_leave_the_selection(now):
    events(25, now, due_at=now)
    due = InboundWebhook.objects.exclude(due_at=None)

    seen = []
    for row in walk(due, chunk=4, keys=10):
        seen.append(row.event_id)
        InboundWebhook.objects.filter(pk=row.pk).update(due_at=None)

    assert len(seen) == len(set(seen)) == 25
    assert not due.exists()


def test_a_walk_passes_over_what_somebody_else_has_done(now):
    events(5, now, due_at=now)
    rows = walk(InboundWebhook.objects.exclude(due_at=None), chunk=1)

    first = next(rows)
    InboundWebhook.objects.exclude(pk=first.pk).update(due_at=None)

    assert list(rows) == []


def test_a_walk_over_many_rows_keeps_few_in_memory(now):
    events(5_000, now)
    rows = walk(InboundWebhook.objects.all(), chunk=100, keys=1_000)
    next(rows)

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    count = sum(1 for _ in rows)
    grown = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()

    assert count == 4_999
    assert grown < 2_000_000


def test_patience_outlasts_a_blip(monkeypatch):
    monkeypatch.setattr(command, "PATIENCE_SECONDS", (0, 0))
    answers = [Unavailable("429"), Unavailable("500"), Outcome("a", "done")]

    def act():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert attempt("a", act).word == "done"


def test_patience_ends_and_a_refused_key_gets_none(monkeypatch):
    calls = []

    def act(error):
        calls.append(error)
        raise error

    monkeypatch.setattr(command, "PATIENCE_SECONDS", (0, 0))
    with pytest.raises(Unavailable, match="down"):
        attempt("a", lambda: act(Unavailable("down")))
    with pytest.raises(Unavailable, match="401"):
        attempt("a", lambda: act(Unavailable("401", pause_seconds=60)))

    assert len(calls) == 4


@pytest.mark.parametrize(
    ("error", "word"), [(Rejected("never"), "failed"), (Snooze("wait"), "waiting")]
)
def test_a_refusal_is_the_failure_of_one_thing(error, word):
    def act():
        raise error

    assert attempt("a", act) == Outcome("a", word, str(error), is_open=True)


def test_work_done_now_is_settled_like_a_workers(now):
    events(1, now, dead_at=now, due_at=now, attempts=9, last_error="old")

    do_now(
        RowJob("test", InboundWebhook, lambda row, now: None), InboundWebhook.objects.all(), now=now
    )

    row = InboundWebhook.objects.get()
    assert (row.due_at, row.dead_at, row.last_error, row.lease) == (None, None, "", None)


def test_work_that_fails_now_stays_with_the_worker(now):
    events(1, now)

    def perform(row, now):
        raise Unavailable("down")

    with pytest.raises(Unavailable):
        do_now(RowJob("test", InboundWebhook, perform), InboundWebhook.objects.all(), now=now)

    row = InboundWebhook.objects.get()
    assert row.due_at > now
    assert (row.attempts, row.last_error, row.lease) == (1, "Unavailable: down", None)


def test_work_that_is_interrupted_can_be_done_by_the_next_run(now):
    events(1, now)

    def interrupted(row, now):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do_now(RowJob("test", InboundWebhook, interrupted), InboundWebhook.objects.all(), now=now)
    do_now(
        RowJob("test", InboundWebhook, lambda row, now: None), InboundWebhook.objects.all(), now=now
    )

    row = InboundWebhook.objects.get()
    assert (row.due_at, row.attempts, row.last_error, row.lease) == (None, 0, "", None)


def test_work_in_a_workers_hands_is_left_to_it(now):
    events(1, now, due_at=now, lease="theirs", leased_until=now + timedelta(minutes=2))

    with pytest.raises(Snooze, match="a worker is just at it"):
        do_now(
            RowJob("test", InboundWebhook, lambda row, now: None),
            InboundWebhook.objects.all(),
            now=now,
        )

    assert InboundWebhook.objects.get().lease == "theirs"


@pytest.mark.parametrize(("text", "hours"), [("36h", 36), ("34d", 34 * 24), ("30m", 0.5)])
def test_a_moment_may_be_an_age(text, hours, time_machine, now):
    time_machine.move_to(now, tick=False)

    assert moment(text) == now - timedelta(hours=hours)


def test_a_moment_without_a_zone_is_utc():
    assert moment("2026-01-31T10:00").isoformat() == "2026-01-31T10:00:00+00:00"
    assert moment("2026-01-31").isoformat() == "2026-01-31T00:00:00+00:00"
    assert moment("2026-01-31T10:00+02:00").isoformat() == "2026-01-31T08:00:00+00:00"


@pytest.mark.parametrize(
    "text", ["yesterday", "34", "34w", "-1d", "1.5h", "999999d", "0001-01-01T00:00+05:00", ""]
)
def test_nonsense_is_no_moment(text):
    with pytest.raises(
        CommandError,
        match=f"'{re.escape(text)}' is neither a time like .* nor an age like 30m, 36h or 34d",
    ):
        call_command("replay_webhooks", f"--since={text}", stderr=StringIO())


# --- retry_dead -----------------------------------------------------------------------------------


def retry(*args):
    out = StringIO()
    try:
        call_command("retry_dead", *args, stdout=out)
    except CommandError as error:
        return out.getvalue() + str(error)
    return out.getvalue()


def test_dead_rows_are_made_due_again(now, alice):
    events(3, now, due_at=now, dead_at=now, attempts=10, last_error="Boom: x")
    type(alice).objects.filter(pk=alice.pk).update(dead_at=now)

    text = retry("--model", "inboundwebhook")

    assert "Summary: 3 made due." in text
    assert "No worker is running" in text
    assert not InboundWebhook.objects.dead().exists()
    assert type(alice).objects.dead().count() == 1
    assert "1 made due" in retry()


def test_a_dry_run_lists_the_dead_and_leaves_them(now):
    events(1, now, due_at=now, dead_at=now, last_error="Boom: x")

    text = retry("--dry-run")

    assert "would be made due Boom: x" in text
    assert "Left to do: 1." in text
    assert InboundWebhook.objects.dead().exists()


def test_an_unknown_kind_is_refused_with_the_kinds_there_are():
    assert "usage.usageevent" in retry("--model", "nonsense")
    assert "usage.usageevent" in retry("--model", "")
