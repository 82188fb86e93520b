"""Stored webhooks are processed again, by id, type or time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.models import InboundWebhook
from billing.tests.operate import run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def events(now):
    for event_id, event_type, hours in (
        ("e-1", "webhooks.test", 1),
        ("e-2", "webhooks.test", 50),
        ("e-3", "other", 2),
    ):
        received_at = now - timedelta(hours=hours)
        InboundWebhook.objects.create(
            event_id=event_id,
            type=event_type,
            payload={},
            received_at=received_at,
            processed_at=received_at,
        )


def due():
    return set(InboundWebhook.objects.exclude(due_at=None).values_list("event_id", flat=True))


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--id", "e-1", "--id", "e-3"), {"e-1", "e-3"}),
        (("--source", "metronome"), {"e-1", "e-2", "e-3"}),
        (("--source", "metronome", "--id", "e-2"), {"e-2"}),
        (("--type", "webhooks.test"), {"e-1", "e-2"}),
        (("--since", "36h"), {"e-1", "e-3"}),
        (("--type", "webhooks.test", "--since", "36h"), {"e-1"}),
    ],
)
def test_those_asked_for_are_made_due(args, expected):
    code, text = run("replay_webhooks", *args)

    assert code == 0
    assert f"Summary: {len(expected)} made due." in text
    assert due() == expected


def test_a_worker_processes_them_again(stage, now):
    run("replay_webhooks", "--id", "e-1")
    stage.advance(minutes=1)
    stage.drain()

    assert InboundWebhook.objects.get(event_id="e-1").processed_at > now - timedelta(minutes=1)
    assert due() == set()


def test_events_of_another_provider_under_the_same_id_are_left_alone(now):
    other = InboundWebhook.objects.create(
        source="other", event_id="e-1", type="t", payload={}, received_at=now
    )

    run("replay_webhooks", "--source", "metronome", "--id", "e-1")

    assert not InboundWebhook.objects.exclude(due_at=None).filter(pk=other.pk).exists()
    assert due() == {"e-1"}


def test_a_dry_run_lists_and_leaves_them():
    code, text = run("replay_webhooks", "--type", "webhooks.test", "--dry-run", "-v", "2")

    assert code == 1
    assert "webhooks.test e-1: would be made due" in text
    assert due() == set()


def test_nothing_chosen_and_an_unknown_id_are_refused():
    assert run("replay_webhooks") == (1, "Say which: --id, --source, --type or --since.")
    assert run("replay_webhooks", "--id", "e-9", "--id", "e-1") == (1, "There is no webhook e-9.")
    assert due() == set()
