"""Programs with API keys: they stream speech on small budgets, and leave when they like.

A stream speaks in a thread and settles in another. Here both are this thread, so that a seed is
one run: all pieces are spoken at once, and then heard one by one, with bad luck before each.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Self
from unittest.mock import patch
from uuid import UUID

from django.db.models import Sum

from accounts import api_keys
from accounts.models import ApiKey, Customer
from billing import keys, ledger
from billing.ledger import budgets, reservations
from billing.models import KeyBudget, Reservation
from usage.models import Generation, UsageEvent
from usage.speech import own_voice, pricing, problems, stream
from usage.speech.asked import Asked

from .chaos import DIE_AT_CALL, OTHERS_AT_SPEECH
from .operators import Operators
from .stage import _unforeseen

PIECE = "a" * 498 + ". "
PIECES_MAX = 8
LIMITS = (None, 1_200, 3_000, 9_000, 40_000)
PERIODS = tuple(budgets.Period.values)
REFUSALS = (
    ledger.InsufficientCredits,
    ledger.BudgetExceeded,
    ledger.WalletFrozen,
    problems.StillRunning,
    problems.InProgress,
    problems.SpeechFailed,
    problems.AudioDeleted,
    problems.AudioLost,
    problems.KeyReused,
    api_keys.InvalidKey,
)

hold = budgets.hold


class AtOnce(Executor):
    """Does in this thread what it is given, as if no event loop ran here."""

    def submit(self, act: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            future.set_result(act(*args, **options))
        except BaseException as error:  # the death of the process too: whoever waits gets it
            future.set_exception(error)
        finally:
            asyncio._set_running_loop(loop)
        return future


def speak_at_once(act: Callable[[], None]) -> None:
    act.__self__._is_asked_for.set()  # type: ignore[attr-defined]  # a method of a Stream
    act()


class Streams(Operators):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.secrets: dict[UUID, str] = {}
        self.streamed: list[tuple[UUID, str, str, str]] = []
        self.heard: list[stream.Stream] = []  # whose process lived to the end

    @contextmanager
    def running(self) -> Iterator[Self]:
        with super().running(), ExitStack() as stack:
            speakers = SimpleNamespace(submit=speak_at_once)
            for name, replacement in (
                ("engine", self._engine),
                ("_speakers", speakers),
                ("_settlers", AtOnce()),
                ("connections", SimpleNamespace(close_all=lambda: None)),  # it is everybody's
            ):
                stack.enter_context(patch.object(stream, name, replacement))
            stack.enter_context(patch.object(stream.logger, "exception", _unforeseen))
            stack.enter_context(patch.object(reservations.budgets, "hold", self._hold))
            # Django would refuse a stream's settling beside a loop that stands still meanwhile.
            stack.enter_context(patch.dict(os.environ, DJANGO_ALLOW_ASYNC_UNSAFE="1"))
            yield self

    def _hold(self, api_key_id: UUID, amount: int, now: datetime) -> None:
        """The gate, and what it must have seen to: the sums of the reservations themselves."""
        hold(api_key_id, amount, now)
        with self.chaos.elsewhere():
            budget = KeyBudget.objects.get(pk=api_key_id)
            if budget.limit_credits is not None:
                used = amount + _held(budget) + _spent(budget)
                assert used <= budget.limit_credits, f"{budget}: {used} used"

    def make_key(self) -> None:
        """A form is sent once or twice; a program may use what the second answer showed."""
        if customer := self._who_can_pay():
            request, limit = self.key("api-key"), self.dice.choice(LIMITS)
            lifetime = self.dice.choice([None, None, timedelta(days=9)])
            for _ in range(self.dice.choice([1, 1, 2])):
                with suppress(api_keys.AlreadyMade):
                    key, secret = keys.create(
                        customer=customer,
                        name=request,
                        limit=limit,
                        period=self.dice.choice(PERIODS) if limit else budgets.Period.NONE,
                        expires_at=lifetime and self.now() + lifetime,
                        now=self.now(),
                        request=request,
                    )
                    self.secrets[key.pk] = secret

    def change_key(self) -> None:
        """Its budget is another one from now on, or it is revoked: also while it is used."""
        if key := self._any_key():
            if self.dice.random() < 0.3:
                api_keys.revoke(key, self.now())
            else:
                limit = self.dice.choice(LIMITS)
                period = self.dice.choice(PERIODS) if limit else budgets.Period.NONE
                keys.change(key, limit=limit, period=period, now=self.now())

    def stream(self) -> None:
        key = self._any_key()
        if key is None or self.dice.random() < 0.1:
            self.make_key()
            key = self._any_key()
        if key:
            length = self.dice.choice([1, 300, 500 * self.dice.randint(1, PIECES_MAX), 1_333])
            text = (PIECE * PIECES_MAX)[:length].strip()
            voice = self.dice.choice(["standard", "premium", "premium"])
            self.streamed.append((key.pk, text, voice, self.key("stream")))
            self._call(self.streamed[-1])

    def stream_again(self) -> None:
        """The same request: it is answered from what is stored, or takes over what was left."""
        if self.streamed:
            self.advance(minutes=self.dice.choice([0, 2]))
            self._call(self.dice.choice(self.streamed))

    def _who_can_pay(self) -> Customer | None:
        """Rather somebody with credits: a key is of no use to others."""
        rich = [each for each in self.everyone() if ledger.wallet_of(each.pk).available]
        return self.dice.choice(rich) if rich else self.anyone()

    def make_voice_by_key(self) -> None:
        if found := self._any_key():
            request = self.key("voice")
            for _ in range(self.dice.choice([1, 1, 2])):
                with suppress(*REFUSALS):
                    key = api_keys.find(self.secrets[found.pk], self.now())
                    self.set_up_voice(key.customer, request, api_key_id=key.pk)

    def set_up_voice(
        self, customer: Customer, request: str, api_key_id: UUID | None = None
    ) -> None:
        own_voice.set_up(
            customer=customer,
            name="Mine",
            settings={"pitch": 1.05, "range": 0.9, "pace": 1.1},
            key=request,
            now=self.now(),
            api_key_id=api_key_id,
        )

    def _any_key(self) -> ApiKey | None:
        """Rather one with which something can be spoken."""
        known = list(
            ApiKey.objects.filter(pk__in=self.secrets)
            .select_related("customer__wallet")
            .order_by("name")
        )
        usable = [
            key
            for key in known
            if not key.revoked_at
            and hasattr(key.customer, "wallet")
            and key.customer.wallet.available
        ]
        if usable and self.dice.random() < 0.9:
            return self.dice.choice(usable)
        return self.dice.choice(known) if known else None

    def _call(self, request: tuple[UUID, str, str, str]) -> None:
        key_id, text, voice, key = request
        with suppress(*REFUSALS):
            api_key = api_keys.find(self.secrets[key_id], self.now())
            # Of its own for each process: one that dies takes its places along.
            with patch.object(stream, "_free", threading.BoundedSemaphore(stream.STREAMS_MAX)):
                begun = stream.begin(
                    customer=api_key.customer,
                    text=text,
                    voice_id=voice,
                    key=key,
                    now=self.now(),
                    asked=Asked(api_key_id=api_key.pk),
                )
                if isinstance(begun, stream.Stream):
                    self._deliver(begun)

    def _deliver(self, spoken: stream.Stream) -> None:
        if self.dice.random() < 0.1:  # nobody is there any more when the answer begins
            spoken.settle()
            return self._settled(spoken, 0)
        loop = asyncio.new_event_loop()
        try:
            sent, failure = self._hear(spoken, loop)
        finally:
            loop.close()
        self._settled(spoken, sent)
        if failure:
            raise failure
        return None

    def _hear(
        self, spoken: stream.Stream, loop: asyncio.AbstractEventLoop
    ) -> tuple[int, BaseException | None]:
        """How many pieces were sent, and why no more were."""
        began_at = self.now()
        leaves_after = self.dice.choice([None, None, None, 1, 2, 4])
        delivery = spoken.delivered()
        pieces = loop.run_until_complete(delivery.__aenter__())
        asked, got = 0, 0
        failure: BaseException | None = None
        while failure is None and got != leaves_after:
            self.chaos.may_die(DIE_AT_CALL, "before a piece is sent")
            self.chaos.others_may_act(OTHERS_AT_SPEECH, "while it is heard")
            if self.now() - began_at >= timedelta(seconds=stream.STREAM_SECONDS):
                spoken._settle_in_thread()  # as the timer does
            elif not spoken._is_settled:
                asked = got  # whatever came before is sent with this question
            try:
                loop.run_until_complete(_next(pieces))
                got += 1
            except StopAsyncIteration:
                break
            except problems.SpeechFailed as error:
                failure = error
        if got == leaves_after and failure is None:
            failure = asyncio.CancelledError()
        how = (type(failure), failure, None) if failure else (None, None, None)
        try:
            loop.run_until_complete(delivery.__aexit__(*how))
        except (problems.SpeechFailed, problems.StillRunning) as error:
            failure = error
        except asyncio.CancelledError:
            failure = None
        if isinstance(failure, asyncio.CancelledError):
            failure = None
        return asked, failure

    def _settled(self, spoken: stream.Stream, sent: int) -> None:
        """What was sent is what is charged and reported, to the character."""
        self.heard.append(spoken)
        with self.chaos.elsewhere():
            now = Generation.objects.select_related("reservation__usage_event").get(
                pk=spoken.generation.pk
            )
            is_done = now.state == Generation.State.DONE
            if now.taken_at != spoken.generation.taken_at:
                return  # another attempt's by now
            assert now.state != Generation.State.PENDING, f"{now} is left open"
            assert sent or not is_done, f"{now} is charged, and nothing was sent"
            if is_done and now.text:
                characters = min(sent * len(PIECE), now.characters)
                if sent == len(spoken._todo):
                    characters = now.characters
                event: UsageEvent = now.reservation.usage_event  # type: ignore[union-attr]
                charged = (now.credits, event.credits, event.properties["text_length"])
                credits = pricing.credits(characters, now.voice_type)
                assert charged == (credits, credits, str(characters)), f"{now}: {sent} sent"


async def _next(pieces: Any) -> Any:
    return await anext(pieces)


def keep_their_budgets() -> None:
    """What a key holds and has spent is what its reservations say."""
    for budget in KeyBudget.objects.all():
        assert budget.held == _held(budget), f"{budget}: {budget.held} held, {_held(budget)} open"
        spent = _spent(budget)
        assert budget.spent == spent, f"{budget}: {budget.spent} spent, {spent} captured"


def left_nothing(world: Streams) -> None:
    """No stream is open, and nobody's credits are held by one."""
    assert all(spoken._is_settled for spoken in world.heard)
    assert not KeyBudget.objects.exclude(held=0).exists()


def _held(budget: KeyBudget) -> int:
    rows = Reservation.objects.open().filter(api_key_id=budget.pk)
    return rows.aggregate(sum=Sum("amount"))["sum"] or 0


def _spent(budget: KeyBudget) -> int:
    """In the period that the budget is in."""
    rows = Reservation.objects.filter(
        api_key_id=budget.pk,
        state=Reservation.State.CAPTURED,
        resolved_at__gte=budget.period_start_at,
    )
    return rows.aggregate(sum=Sum("captured"))["sum"] or 0
