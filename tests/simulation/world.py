"""A whole Vocalis in one process on a virtual clock: customers, two workers, a web process,
Metronome, Stripe, and bad luck."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

from django.db.models import Q

from accounts import profile
from accounts.models import Customer
from accounts.signup import register
from billing import ledger, metronome
from billing.models import CreditGrant, Payment, Subscription, Wallet
from billing.subscriptions import choose as subscriptions
from stripe_sandbox import declining
from usage.models import Generation
from usage.speech import long, problems, speak

from . import (
    again,
    hooks,
    invariants,
    late_money,
    long_texts,
    mails,
    money_kept,
    overage,
    story,
    streams,
    told,
    top_ups,
)
from .again import MakingAgain
from .chaos import UNSPEAKABLE
from .plan_changes import ChangingPlans
from .stage import LONGEST_WAIT_MINUTES

STEPS = 60
SETTLE_TRIES = 60  # more than a day: so long Stripe repeats an answer under its key
SENTENCE = "a" * 498 + ". "  # a piece of a long text
GAP = f"{UNSPEAKABLE * 98}. "  # one that cannot be spoken
REFUSALS = (
    ledger.InsufficientCredits,
    ledger.WalletFrozen,
    problems.StillRunning,
    problems.SpeechFailed,
    problems.InProgress,
)


class World(MakingAgain, streams.Streams, hooks.Hooks, ChangingPlans, late_money.LateMoney):
    checked_changes: int | None = None
    counted: int | None = None  # customers, if nobody has signed up since
    reached: frozenset[str] = frozenset()  # rare paths, once the run is over

    # --- What happens

    def step(self) -> None:
        self._one_of(self.actions())
        self.check()

    def check(self) -> None:
        """The invariants of every moment, unless nothing was written since they last held."""
        changes = self.changes()
        if changes != self.checked_changes:
            self.checked_changes = changes
            invariants.always()
            long_texts.keep_their_credits()
            again.costs_nothing(self)
            streams.keep_their_budgets()
            top_ups.keep_their_limits(self)
            top_ups.failed_is_not_charged(self)
            money_kept.keeps_off(self)
            money_kept.begins_nothing_frozen(self)
        overage.nobody_is_billed(self)

    def meanwhile(self) -> None:
        """What another process does while one stands still: at worst for so long that its lease or
        its reservation expires."""
        self._one_of(
            [
                ("worker", self.work, 10),
                ("a moment", lambda: self.advance(seconds=self.dice.randint(1, 30)), 4),
                ("minutes", lambda: self.advance(minutes=self.dice.randint(1, 14)), 4),
                ("speak", self.speak, 4),
                ("speak again", self.speak_again, 2),
                ("stream", self.stream, 3),
                ("change a key", self.change_key, 1),
                ("stop a long text", self.stop_a_long_text, 2),
                ("make audio again", self.make_again, 2),
                ("change an endpoint", self.change_endpoint, 1),
                ("choose a plan", self.choose_plan, 1),
                ("change the plan", self.change_plan, 2),
                ("pay now", self.pay_now, 1),
                ("auto-recharge", self.set_recharge, 1),
                ("top up", self.top_up, 1),
                ("top up at Stripe's page", self.top_up_at_page, 1),
                ("at the page", self.visit_pay_page, 2),
                ("refund", self.refund, 1),
                ("refund at Stripe", self.refund_at_stripe, 1),
                ("a dispute", self.dispute, 1),
                ("a dispute moves on", self.dispute_moves_on, 1),
                ("confirm a payment", self.confirm_payment, 2),
                ("grant by hand", self.add_grant_at_metronome, 1),
                ("freeze", self.freeze, 1),
                ("delete a customer", self.delete_meanwhile, 1),
            ]
        )

    def _one_of(self, actions: list[tuple[str, Callable[[], None], int]]) -> None:
        name, act, _ = self.dice.choices(actions, [weight for _, _, weight in actions])[0]
        self.log.append(f"{self.now():%d %H:%M:%S} {name}")
        self.perform(act)

    def actions(self) -> list[tuple[str, Callable[[], None], int]]:
        return [
            ("worker", self.work, 30),
            ("a moment", lambda: self.advance(seconds=self.dice.randint(1, 30)), 10),
            ("minutes", lambda: self.advance(minutes=self.dice.randint(1, 20)), 8),
            ("an hour", lambda: self.advance(minutes=self.dice.randint(30, 90)), 4),
            ("days", self.pass_days, 2),
            ("sign up", self.sign_up, 2 if self.customer_count() < 3 else 0),
            ("new name and address", self.change_profile, 2),
            ("choose a plan", self.choose_plan, 6),
            ("change the plan", self.change_plan, 6),
            ("a renewal is declined", self.decline_a_renewal, 1),
            ("pay now", self.pay_now, 1),
            ("speak", self.speak, 40),
            ("speak again", self.speak_again, 6),
            ("speak a long text", self.speak_a_long_text, 12),
            ("make a key", self.make_key, 3),
            ("change a key", self.change_key, 3),
            ("stream", self.stream, 30),
            ("stream again", self.stream_again, 5),
            ("speak over an end", self.speak_over_an_end, 4),
            ("stop a long text", self.stop_a_long_text, 4),
            ("audio is lost", self.lose_audio, 4),
            ("make audio again", self.make_again, 14),
            ("own voice", self.make_voice, 2),
            ("add an endpoint", self.add_endpoint, 4),
            ("change an endpoint", self.change_endpoint, 2),
            ("send an event again", self.send_again, 2),
            ("auto-recharge", self.set_recharge, 4),
            ("top up", self.top_up, 4),
            ("a recharge goes wrong", self.upset_recharge, 2),
            ("card", self.change_card, 4),
            ("a card is removed", self.remove_card, 1),
            ("a bank refuses", self.refuse_next, 1),
            ("confirm a payment", self.confirm_payment, 4),
            ("call a payment off", self.call_payment_off, 1),
            ("grant by hand", self.add_grant_at_metronome, 4),
            ("grant taken away by hand", self.archive_at_metronome, 3),
            ("complimentary grant", self.give, 2),
            ("credit back", self.credit_back, 2),
            ("cancel", self.cancel_plan, 1),
            ("plan ended by hand", self.upset_plan, 3),
            ("refund", self.refund, 4),
            ("refund what has no credits", self.refund_what_is_never_granted, 1),
            ("a refund bounces", self.refund_bounces, 2),
            ("decide on refunds", self.decide_on_refunds, 2),
            ("refund at Stripe", self.refund_at_stripe, 1),
            ("a dispute", self.dispute, 2),
            ("a dispute moves on", self.dispute_moves_on, 3),
            ("a bank decides without credits", self.bank_decides_without_credits, 4),
            ("pay what was given up", self.pay_what_was_given_up, 4),
            ("a refund returns from a dispute", self.refund_returns_from_a_dispute, 6),
            ("unfreeze the disputed", self.unfreeze_disputed, 3),
            ("early warning", self.warn, 1),
            ("top up at Stripe's page", self.top_up_at_page, 3),
            ("at the page", self.visit_pay_page, 3),
            ("look twice", self.look_twice, 3),
            ("freeze", self.freeze, 1),
            ("a command", self.run_a_command, 4),
            ("delete a customer", self.delete_customer, 1),
            ("webhooks misbehave", self.upset_webhooks, 4),
            ("Stripe's webhooks misbehave", self.upset_stripes_webhooks, 4),
            (
                "Metronome goes or comes",
                self.toggle_metronome,
                10 if self.chaos.is_metronome_down else 2,
            ),
            ("half a reservation", self.leave_a_reservation, 2),
            ("two at once", self.race_for_all, 2),
        ]

    def pass_days(self) -> None:
        """Days on which nothing is asked of us; a worker comes by now and then, at worst after four
        of them."""
        hours = 24 * self.dice.choice([1, 3, 11, 14])
        while hours > 0:
            gap = min(self.dice.choice([6, 24, 48, 96]), hours)
            self.pass_hours(gap)
            hours -= gap

    def customer_count(self) -> int:
        if self.counted is None:
            self.counted = self.count("accounts_customer")
        return self.counted

    def sign_up(self) -> None:
        self.counted = None
        customer = register(
            email=f"{self.key('c')}@example.com",
            password="irrelevant",
            first_name="C",
            last_name="S",
            now=self.now(),
        )
        mails.confirm(customer.user, customer.user.email, self.now())
        if self.dice.random() < 0.8:
            self.save_good_card(customer)

    def change_profile(self) -> None:
        customer = self.anyone()
        if customer:
            name = self.key("c")
            email = f"{name}@example.com"
            if profile.change(
                user=customer.user, first_name=name, last_name="S", email=email, now=self.now()
            ):
                mails.confirm(customer.user, email, self.now())

    def speak(self) -> None:
        self.speak_for(self.anyone())

    def speak_over_an_end(self) -> None:
        """A request has reserved credits when some of them end, and a worker comes by before it has
        spoken."""
        soon = (self.now(), self.now() + timedelta(days=31))
        ending = (
            CreditGrant.objects.filter(remaining__gt=0, ends_at__range=soon)
            .filter(wallet__customer__user__is_active=True)  # nobody else can log in
            .order_by("ends_at", "id")
            .first()
        )
        if ending:
            while (left := ending.ends_at - self.now()) > timedelta(days=3):
                self.pass_hours(min(self.dice.choice([72, 168]), left // timedelta(hours=1)))
            self.advance(
                seconds=max(
                    (ending.ends_at - self.now()).total_seconds() - self.dice.randint(1, 90), 0
                )
            )
            customer = ending.wallet.customer
            with self.chaos.overtaken(
                "while it speaks", partial(self.perform, partial(self.pass_an_end, customer))
            ):
                self.speak_for(customer)

    def pass_an_end(self, customer: Customer) -> None:
        self.advance(minutes=2)
        if self.dice.random() < 0.5:
            self.work()
        self.speak_for(customer)

    def speak_for(self, customer: Customer | None) -> None:
        if customer:
            voice = self.dice.choice(["standard", "premium"])
            left = ledger.wallet_of(customer.pk).available
            length = self.dice.choice([1, 300, 300, 2_000, 5_000, 5_000, max(1, min(left, 5_000))])
            self._request(customer, length, voice)

    def speak_a_long_text(self) -> None:
        """One that a worker speaks, which may be at it when the next thing happens."""
        if customer := self.anyone():
            length = self.dice.choice([901, 1_400, 2_600, 5_200])
            # With more than 5,000 characters it is left out, with less the text fails.
            gap = GAP if self.dice.random() < 0.3 else ""
            self._request(customer, length, "premium", gap)
            if self.dice.random() < 0.5:
                self.work()

    def _request(self, customer: Customer, length: int, voice: str, gap: str = "") -> None:
        text = (SENTENCE + gap + SENTENCE * (length // len(SENTENCE) + 1))[:length]
        request = (customer, text, voice, self.key("key"))
        self.spoken.append(request)
        self._speak(request)

    def speak_again(self) -> None:
        unanswered = set(
            Generation.objects.filter(state=Generation.State.PENDING).values_list("key", flat=True)
        )
        everyone = self.everyone()
        possible = [request for request in self.spoken if request[0] in everyone]
        if wanted := [request for request in possible if request[-1] in unanswered] or possible:
            self.advance(minutes=self.dice.choice([0, 2]))
            self._speak(self.dice.choice(wanted))

    def _speak(self, request: tuple[Customer, str, str, str]) -> None:
        customer, text, voice, key = request
        with suppress(*REFUSALS):
            try:
                speak.speak(customer=customer, text=text, voice_id=voice, key=key, now=self.now())
            except problems.AudioDeleted:
                done = Generation.objects.get(customer=customer, key=key)
                # If it was made again in this moment, it is kept from then on.
                assert done.again_at or done.audio_until_at and done.audio_until_at <= self.now()
            except problems.AudioLost:
                done = Generation.objects.get(customer=customer, key=key)
                # Or its time is over, and the worker that deleted it died before it had said so.
                is_over = done.audio_until_at and done.audio_until_at <= self.now()
                assert is_over or any(str(done.pk) in name for name in self.lost)
            # What was said under the key is forgotten, so nothing is the same as it.
            except problems.KeyReused:
                assert (
                    not Generation.objects.exclude(body_hash="")
                    .filter(customer=customer, key=key)
                    .exists()
                )

    def stop_a_long_text(self) -> None:
        """Its customer presses Stop, once or twice, perhaps when it is too late; or of what is made
        again."""
        queued = list(Generation.objects.filter(is_queued=True).order_by("created_at", "key"))
        pending = [one for one in queued if one.is_with_worker]
        if queued:
            generation = self.dice.choice(pending or queued)
            for _ in range(self.dice.choice([1, 1, 2])):
                long.stop(generation, self.now())

    def make_voice(self) -> None:
        """On the page, or by a program on the budget of its key, which asks once or twice."""
        if self.secrets and self.dice.random() < 0.4:
            return self.make_voice_by_key()
        if customer := self.anyone():
            with suppress(*REFUSALS):
                self.set_up_voice(customer, self.key("voice"))

    def leave_a_reservation(self) -> None:
        """A request that reserved and was never heard of again."""
        wallet = Wallet.objects.order_by("id").first()
        if wallet:
            self.reserve(wallet.id, self.dice.randint(1, 900))

    def race_for_all(self) -> None:
        """Two requests want all that is left; the second comes while the first has looked and not
        yet taken."""
        wallet = Wallet.objects.order_by("id").first()
        if wallet and wallet.available:
            reserve = partial(self.reserve, wallet.id, wallet.available)
            with self.chaos.overtaken("before BEGIN", partial(self.perform, reserve)):
                reserve()

    def reserve(self, wallet_id: int, amount: int) -> None:
        with suppress(*REFUSALS):
            ledger.reserve(wallet_id=wallet_id, key=self.key("lost"), amount=amount, now=self.now())

    def upset_recharge(self) -> None:
        """Metronome's request for a recharge gets lost, or the card is changed or all called off
        while one is made."""
        where, act = self.dice.choice(
            [
                (
                    "before /v2/contracts/edit",
                    partial(self.sandbox.faults.add, "webhook", "drop", times=4),
                ),
                ("after charge", self.change_cards_of_payers),
                (f"before {metronome.RELEASE_PATH}", self.switch_recharges_off),
            ]
        )
        with self.chaos.overtaken(where, partial(self.perform, act)):
            self.set_recharge()
            for _ in range(4):
                self.work()
                self.advance(seconds=20)

    def cancel_plan(self) -> None:
        customer = self.anyone()
        if customer:
            with suppress(subscriptions.PlanRefused):
                subscriptions.cancel(customer=customer, now=self.now())

    def upset_plan(self) -> None:
        """Somebody ends a plan in the database that is charged and not granted: all that is left is
        the refund."""
        with self.chaos.overtaken("after charge", self.end_plans):
            self.choose_plan()
            for _ in range(3):
                self.work()
                self.advance(seconds=20)

    def end_plans(self) -> None:
        with self.chaos.elsewhere():
            live = Subscription.objects.live().exclude(customer__metronome_id=None)
            taken = [Payment.State.CHARGING, Payment.State.CHARGED]
            paid = Q(payments__state__in=taken, payments__grant=None)
            for row in live.filter(paid, lease=None).order_by("pk"):
                period = row.payments.open().get().period
                if not self.grants_at_metronome(
                    row.customer, f"vocalis-sub-{row.customer_id}-{row.pk}-{period}"
                ):
                    row.state, row.ended_at, row.due_at = Subscription.State.ENDED, self.now(), None
                    row.save(update_fields=["state", "ended_at", "due_at"])

    def upset_webhooks(self) -> None:
        kind = self.dice.choice(
            ["drop", "drop", "duplicate", "reorder", "delay", "bad_signature", "stale"]
        )
        self.sandbox.faults.add(
            "webhook",
            kind,
            times=self.dice.randint(1, 5),
            **({"seconds": self.dice.randint(5, 900)} if kind == "delay" else {}),
        )

    def toggle_metronome(self) -> None:
        """It answers nothing any more, until it does again; its clock and its webhooks go on."""
        self.chaos.is_metronome_down = not self.chaos.is_metronome_down

    # --- The end

    def at_rest(self) -> None:
        invariants.at_rest(self)

    def calm_down(self) -> None:
        """No more bad luck: time goes on until the books agree, and still do after two hours."""
        self.chaos.calm, self.chaos.is_metronome_down = True, False
        self.sandbox.faults.clear()
        self.stripe.faults.clear()
        declining.clear(self.stripe.world)
        agrees = False
        for number in range(SETTLE_TRIES):
            agreed = agrees
            self.advance(minutes=120 if agreed else LONGEST_WAIT_MINUTES + number)
            self.agree_to_drifts()
            self.finish_deletions()
            self.refund_what_is_never_granted()
            self.decide_on_refunds()
            self.banks_decide()
            self.visit_pay_page()
            if number > 2:
                self.leave_pay_pages()
            self.confirm_payment()
            self.call_payment_off()
            self.dice.choice(self.workers).drain()
            self.check()
            try:
                self.at_rest()
                agrees = True
            except AssertionError:
                agrees = False
            if agreed and agrees:
                break
        else:
            self.at_rest()
            raise AssertionError("the books agreed in the end, but not for two hours")
        invariants.usage_agrees(self)
        assert not Customer.objects.exclude(due_at=None).exists(), (
            "it is never certain that Metronome knows them right"
        )
        self.settle_deliveries()
        told.at_rest(self)
        self.reached = frozenset(late_money.reached(self))


def simulate(seed: int, kind: type[World] = World) -> World:
    """One run. The same seed gives the same run of a kind of world; a broken invariant carries what
    `story.tell` says of it."""
    world = kind(seed)
    with world.running():
        try:
            for act in (
                world.sign_up,
                world.pay_by_card,
                world.choose_plan,
                world.change_card,
                world.set_recharge,
                *[world.work] * 3,
            ):
                world.perform(act)
            for _ in range(STEPS):
                world.step()
            world.calm_down()
            world.log += map(str, invariants.books())
        except BaseException as error:
            error.add_note(story.tell(seed=seed, error=error, log=world.log))
            raise
    return world
