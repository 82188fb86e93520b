"""Complimentary, plan, bought; within these the soonest end: here and at Metronome."""

from __future__ import annotations

import random
import re
from datetime import timedelta
from pathlib import Path

import pytest

from billing import ledger, metronome, plans
from billing.models import CreditGrant
from billing.sync import contracts, customers
from billing.tests.money_stage import agree, burn

pytestmark = pytest.mark.django_db
BILLING = Path(__file__).parents[2]

# In the order in which they are drawn: what it is, its priority, cents paid, days until it ends.
TABLE = [
    ("credit back", plans.PRIORITY_COMPLIMENTARY, None, 20),
    ("complimentary", plans.PRIORITY_COMPLIMENTARY, None, 365),
    ("trial", plans.PRIORITY_PLAN, None, 10),
    ("rest of a former plan", plans.PRIORITY_PLAN, 4_900, 15),
    ("plan", plans.PRIORITY_PLAN, 14_900, 30),
    ("top-up of last year", plans.PRIORITY_PACK, 1_000, 5),
    ("recharge", plans.PRIORITY_PACK, 4_500, 300),
    ("top-up", plans.PRIORITY_PACK, 2_500, 365),
]
NAMES = [name for name, *_ in TABLE]
EACH = 1_000


@pytest.fixture(params=[1, 2, 3])
def wallet(request, stage, alice):
    """Every kind of grant, made in some order."""
    now = stage.now()
    customers.provision(alice, now)
    rows = TABLE[:]
    random.Random(request.param).shuffle(rows)
    for name, priority, paid_cents, days in rows:
        contracts.grant(
            alice,
            key=f"of-{name}",
            name=name,
            credits=EACH,
            starts_at=now,
            ends_at=now + timedelta(days=days),
            priority=priority,
            paid_cents=paid_cents,
            now=now,
        )
    alice.refresh_from_db()
    return ledger.wallet_of(alice.pk)


def left_here() -> dict[str, int]:
    return dict(CreditGrant.objects.values_list("name", "remaining"))


def left_there(customer) -> dict[str, int]:
    found = metronome.balances(customer_id=customer.metronome_id)
    commits = dict(CreditGrant.objects.values_list("remote_id", "name"))
    return {commits[commit]: int(credits) for commit, credits in found.items()}


def test_both_sides_draw_kind_by_kind_and_the_soonest_end_first(stage, alice, wallet):
    ordered = sorted(CreditGrant.objects.all(), key=ledger.drawdown.draw_order)
    assert [grant.name for grant in ordered] == NAMES

    for number in range(len(NAMES)):
        burn(stage, alice, EACH)
        drawn, whole = NAMES[: number + 1], NAMES[number + 1 :]
        wanted = dict.fromkeys(drawn, 0) | dict.fromkeys(whole, EACH)
        assert left_here() == wanted
        assert {name: left_there(alice).get(name, 0) for name in NAMES} == wanted
        agree(alice)


def test_a_use_of_several_kinds_is_covered_in_the_same_order(stage, alice, wallet):
    burn(stage, alice, 2 * EACH + 500)

    assert left_here() == dict.fromkeys(NAMES, EACH) | {
        "credit back": 0,
        "complimentary": 0,
        "trial": 500,
    }
    assert left_there(alice)["trial"] == 500
    agree(alice)


def test_what_gives_credits_names_a_priority_of_its_kind():
    """The kinds are priorities in `plans`; nobody invents one."""
    assert plans.PRIORITY_COMPLIMENTARY < plans.PRIORITY_PLAN < plans.PRIORITY_PACK
    used = {}
    for path in sorted(BILLING.rglob("*.py")):
        if "tests" in path.parts:
            continue
        for name in re.findall(r'priority"?[=:] ?(?!priority)([\w.]+)', path.read_text()):
            used.setdefault(name, set()).add(path.relative_to(BILLING).as_posix())
    ours = {name: where for name, where in used.items() if name.startswith("plans.PRIORITY")}

    assert ours == {
        "plans.PRIORITY_COMPLIMENTARY": {"subscriptions/complimentary.py"},
        "plans.PRIORITY_PLAN": {"disputes/owed.py", "subscriptions/renew.py"},
        "plans.PRIORITY_PACK": {"metronome/contracts.py", "packs/flow.py", "recharge/flow.py"},
    }


def test_the_order_is_stated_in_one_place():
    """Whoever sorts grants by it calls `draw_order`."""
    stated = [
        path.relative_to(BILLING).as_posix()
        for path in sorted(BILLING.rglob("*.py"))
        if "tests" not in path.parts
        and re.search(
            r'order_by\([^)]*"-?priority"|key=lambda \w+: \(?\w+\.priority', path.read_text()
        )
    ]

    assert stated == []
