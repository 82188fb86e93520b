"""Three hundred seeded runs of the whole money path, in batches that pytest-xdist can spread.

On PostgreSQL the first two hundred: the statements are the same, and what differs, real
concurrency, is tested elsewhere.
"""

from contextlib import nullcontext

import pytest
from django.conf import settings
from django.db import connection

from accounts.models import Customer
from billing import ledger
from billing.metronome import overage as zero_overage
from billing.models import Contract, LedgerEntry, Wallet
from notifications import delivery
from usage.models import UsageEvent
from usage.speech import outcome

from . import chaos, invariants, late_money, overage, stage
from .gated import GatedWorld
from .story import STEPS_TOLD, last_steps
from .taxed import TaxedWorld
from .world import World, simulate

BATCH = 10
SEEDS_TO_REACH = 120  # within which each rare path is come to, several times on average
BUG_SEEDS = 40  # within which a bug that is put in must show
ON_SQLITE = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
SEEDS = 300 if ON_SQLITE else 200


# Ten runs, on a busy machine; cut off in the middle of a query they would drag others down.
@pytest.mark.timeout(900)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_money_never_lies(first):
    for seed in range(first, first + BATCH):
        simulate(seed)


@pytest.mark.timeout(900)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", [TaxedWorld, GatedWorld])
def test_money_never_lies_with_tax_or_where_metronome_charges(kind):
    for seed in range(BATCH):
        simulate(seed, kind)


@pytest.mark.any_database  # the same dice on both
@pytest.mark.timeout(900)
@pytest.mark.django_db(transaction=True)
def test_the_rare_paths_of_money_are_among_the_seeds():
    """Or nobody would notice that the dice do not come to them any more."""
    missing = set(late_money.REACHED)
    for seed in range(SEEDS_TO_REACH):
        missing -= simulate(seed).reached
        if not missing:
            return
    raise AssertionError(f"never in {SEEDS_TO_REACH} seeds: {missing}")


if ON_SQLITE:  # PostgreSQL gives rows that are due at the same moment in any order

    @pytest.mark.django_db(transaction=True)
    def test_a_seed_is_one_run():
        """Or a failing seed could not be replayed: same deaths, same calls, same books."""
        first = simulate(8).log
        for _ in range(3):
            assert simulate(8).log == first

    @pytest.mark.django_db(transaction=True)
    def test_what_is_worked_out_once_changes_no_statement(monkeypatch):
        """Only what Django repeats is spared: the same statements, with the same parameters."""
        quick = statements(8)
        monkeypatch.setattr(stage, "worked_out_once", nullcontext)

        assert quick == statements(8)

    def statements(seed):
        """Without what the first run asks, savepoints' numbers, salts and names of files."""
        made = []

        def note(execute, sql, parameters, *rest):
            if not any(word in sql for word in ("sqlite_master", "SAVEPOINT")):
                made.append((sql, [one for one in parameters or () if not is_random(one)]))
            return execute(sql, parameters, *rest)

        def is_random(parameter):
            text = str(parameter)  # "!" begins a password that nobody can have
            return text.startswith(("md5$", "!")) or text.endswith(".flac")

        with connection.execute_wrapper(note):
            simulate(seed)
        return made


@pytest.mark.django_db(transaction=True)
def test_a_row_that_is_written_between_two_looks_is_looked_at():
    world = World(8)
    with world.running(), world.chaos.at_peace():
        world.perform(world.sign_up)
        wallet = ledger.wallet_of(Customer.objects.get().pk)
        world.check()
        Wallet.objects.filter(pk=wallet.pk).update(balance=1)

        with pytest.raises(AssertionError, match="a balance is the sum of its entries"):
            world.check()


@pytest.mark.django_db(transaction=True)
def test_workers_killed_at_every_visit_still_report_usage_in_the_34_days_metronome_takes(
    monkeypatch,
):
    """Or bad luck alone would leave usage that nobody can report, as in seed 898."""
    world = World(898)
    with world.running():
        with world.chaos.at_peace():
            for act in (world.sign_up, world.choose_plan, world.work, world.work):
                world.perform(act)
            while not UsageEvent.objects.exists():  # a long text would wait for a worker
                world.perform(world.speak)
        monkeypatch.setattr(chaos, "DIE_BEFORE_STATEMENT", 1)

        for _ in range(5):
            world.pass_hours(168)

        assert UsageEvent.objects.get().sent_at
        assert world.chaos.deaths >= 5


@pytest.mark.any_database  # the bugs are in Python; the seeds themselves run on both, above
@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("broken", "name", "how", "noticed"),
    [
        (delivery, "_outcome", lambda *_: ("delivered", None), "never came"),
        (outcome, "emit", lambda *_: None, "nobody was told"),
    ],
)
def test_an_event_that_does_not_arrive_is_noticed(monkeypatch, broken, name, how, noticed):
    monkeypatch.setattr(broken, name, how)

    with pytest.raises(AssertionError) as failure:
        for seed in range(BUG_SEEDS):
            simulate(seed)

    assert noticed in str(failure.value), failure.value.__notes__  # the story of another failure


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_left_out", [False, True])
def test_an_overage_is_noticed_where_the_overrides_are_left_out(monkeypatch, is_left_out):
    """Everything that was spent is taken away at Metronome, which nothing can pay for any more."""
    if is_left_out:
        monkeypatch.setattr(zero_overage, "overrides", lambda starts_at: [])
    world = World(898)
    with world.running(), world.chaos.at_peace():
        for act in (world.sign_up, world.choose_plan, world.work, world.work):
            world.perform(act)
        while not UsageEvent.objects.exists():
            world.perform(world.speak)
        world.perform(world.work)
        assert UsageEvent.objects.get().sent_at
        world.advance(minutes=1)  # until it counts at Metronome
        world.check()
        contract = Contract.objects.select_related("customer").get()
        customer_id = contract.customer.metronome_id or ""
        credits = world.sandbox.world.store.commits.of_customer(customer_id)

        world.hotline.v2.contracts.edit(
            customer_id=customer_id,
            contract_id=contract.metronome_id or "",
            archive_credits=[{"id": one.id} for one in credits],
        )

        if is_left_out:
            with pytest.raises(AssertionError, match="is billed beyond the credits"):
                world.check()
        else:
            world.check()
            assert any(map(overage.is_unpaid, world.usage_lines(contract.customer)))


@pytest.mark.django_db(transaction=True)
def test_a_failing_seed_tells_what_broke_the_entries_and_the_last_steps(monkeypatch):
    def breaks(world):
        if LedgerEntry.objects.filter(kind=LedgerEntry.Kind.GRANT).exists():
            raise AssertionError("credits vanished")

    monkeypatch.setattr(invariants, "usage_agrees", breaks)

    with pytest.raises(AssertionError) as failure:
        simulate(8)

    [story] = failure.value.__notes__
    first, *lines = story.splitlines()
    assert first == "seed 8: AssertionError: credits vanished"
    assert any(" grant +" in line for line in lines), "the customers' entries"
    told = lines[lines.index("The last 20 steps (the whole story: make simulate SEED=8):") + 1 :]
    assert sum(not line.startswith(" ") for line in told) == STEPS_TOLD


def test_the_last_steps_bring_what_happened_in_them():
    log = ["one", "  in one", "two", "  in two", "three"]

    assert last_steps(log, 2) == ["two", "  in two", "three"]
    assert last_steps(log, 9) == log
