"""The queue of a writer, without clock, thread and network: examples, and a machine of random steps beside a model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pytheus.push.delivery import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    LONGEST_WAIT_SECONDS,
    Delivery,
)

MAX_BYTES = 100


def _delivery(random: float = 1.0) -> Delivery[int]:
    return Delivery[int](MAX_BYTES, lambda: random)


def test_items_are_sent_in_their_order() -> None:
    delivery = _delivery()
    for item in range(3):
        assert delivery.offer(item, 10) == []
    for item in range(3):
        assert delivery.wait(0.0) == 0.0
        assert delivery.begin() == item
        assert delivery.wait(0.0) is None
        assert delivery.finish() == item
    assert (delivery.wait(0.0), delivery.length, delivery.size_bytes) == (None, 0, 0)


def test_the_pause_doubles_up_to_a_limit_and_ends_with_a_success() -> None:
    delivery = _delivery()
    delivery.offer(1, 1)
    pauses: list[float | None] = []
    for _ in range(11):
        delivery.begin()
        delivery.fail(0.0)
        pauses.append(delivery.wait(0.0))
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    delivery.begin()
    delivery.finish()
    delivery.offer(2, 1)
    delivery.begin()
    delivery.fail(0.0)
    assert delivery.wait(0.0) == FIRST_PAUSE_SECONDS


def test_the_pauses_of_many_writers_are_spread() -> None:
    pauses = set()
    for random in (0.0, 0.5, 1.0):
        delivery = _delivery(random)
        delivery.offer(1, 1)
        delivery.begin()
        delivery.fail(0.0)
        pauses.add(delivery.wait(0.0))
    assert pauses == {0.125, 0.1875, 0.25}


@pytest.mark.parametrize(
    ("asked", "pause"), [(0.0, 0.25), (0.1, 0.25), (30.0, 30.0), (1e9, LONGEST_WAIT_SECONDS), (None, 0.25)]
)
def test_the_time_that_a_receiver_asks_for(asked: float | None, pause: float) -> None:
    delivery = _delivery()
    delivery.offer(1, 1)
    delivery.begin()
    delivery.fail(5.0, asked)
    assert delivery.wait(5.0) == pause
    assert delivery.wait(5.0 + pause) == 0.0


def test_a_full_queue_drops_the_oldest_item_that_is_not_being_sent() -> None:
    delivery = _delivery()
    assert delivery.offer(1, 60) == []
    assert delivery.begin() == 1
    assert delivery.offer(2, 30) == []
    assert delivery.offer(3, 30) == [2]
    delivery.fail(0.0)
    assert delivery.offer(4, 30) == [1]
    assert (delivery.length, delivery.size_bytes) == (2, 60)


def test_an_item_over_the_limit_is_kept_alone() -> None:
    delivery = _delivery()
    assert delivery.offer(1, 1000) == []
    assert delivery.offer(2, 2000) == [1]
    assert delivery.begin() == 2


def test_another_form_is_sent_at_once() -> None:
    delivery = _delivery()
    delivery.offer(1, 1)
    delivery.begin()
    delivery.again()
    assert (delivery.wait(0.0), delivery.begin(), delivery.failures) == (0.0, 1, 0)


@pytest.mark.parametrize("step", ["finish", "fail", "again"])
def test_an_outcome_without_an_attempt(step: str) -> None:
    delivery = _delivery()
    delivery.offer(1, 1)
    with pytest.raises(RuntimeError, match="no item is being sent"):
        getattr(delivery, step)(*([0.0] if step == "fail" else []))
    assert (delivery.length, delivery.wait(0.0)) == (1, 0.0)


def test_an_attempt_without_an_item_or_beside_another() -> None:
    delivery = _delivery()
    with pytest.raises(RuntimeError, match="no item to send"):
        delivery.begin()
    delivery.offer(1, 1)
    delivery.begin()
    with pytest.raises(RuntimeError, match="being sent"):
        delivery.begin()


class DeliveryMachine(RuleBasedStateMachine):
    """Every item is delivered or dropped once, in order; the bytes are limited; a pause has its bounds."""

    def __init__(self) -> None:
        super().__init__()
        self.random = 0.5
        self.delivery = Delivery[int](MAX_BYTES, lambda: self.random)
        self.now = 0.0
        self.next_item = 0
        self.queue: list[tuple[int, int]] = []
        self.is_sending = False
        self.failures = 0
        self.due = 0.0
        self.ended: list[int] = []

    @rule(size=st.integers(0, 150))
    def offer(self, size: int) -> None:
        item = self.next_item
        self.next_item += 1
        dropped = self.delivery.offer(item, size)
        self.queue.append((item, size))
        candidates = self.queue[1:-1] if self.is_sending else self.queue[:-1]
        assert dropped == [each for each, _ in candidates[: len(dropped)]]
        # No more than necessary, and enough of them.
        rest = [each for each in self.queue if each[0] not in dropped]
        fits = sum(each for _, each in rest) <= MAX_BYTES
        assert fits or len(dropped) == len(candidates)
        if dropped:
            before = [each for each in self.queue if each[0] not in dropped[:-1]]
            assert sum(each for _, each in before) > MAX_BYTES
        self.queue = rest
        self.ended += dropped

    @rule(seconds=st.floats(0, 100), random=st.floats(0, 1))
    def let_time_pass(self, seconds: float, random: float) -> None:
        self.now += seconds
        self.random = random

    @precondition(lambda self: not self.is_sending and self.delivery.wait(self.now) == 0.0)
    @rule()
    def begin(self) -> None:
        assert self.delivery.begin() == self.queue[0][0]
        assert self.now >= self.due
        self.is_sending = True

    @precondition(lambda self: self.is_sending)
    @rule()
    def finish(self) -> None:
        item, _ = self.queue.pop(0)
        assert self.delivery.finish() == item
        self.ended.append(item)
        self.is_sending, self.failures, self.due = False, 0, 0.0

    @precondition(lambda self: self.is_sending)
    @rule(asked=st.none() | st.floats(0, 10_000))
    def fail(self, asked: float | None) -> None:
        self.delivery.fail(self.now, asked)
        self.is_sending = False
        self.failures += 1
        pause = self.delivery.wait(self.now)
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (self.failures - 1))
        assert pause is not None
        least = max(longest / 2, min(asked or 0.0, LONGEST_WAIT_SECONDS))
        assert least - 1e-6 <= pause <= max(longest, least) + 1e-6
        self.due = self.now + pause

    @precondition(lambda self: self.is_sending)
    @rule()
    def again(self) -> None:
        self.delivery.again()
        self.is_sending, self.failures, self.due = False, 0, 0.0

    @invariant()
    def agrees(self) -> None:
        assert self.delivery.length == len(self.queue)
        assert self.delivery.size_bytes == sum(size for _, size in self.queue)
        assert self.delivery.failures == self.failures
        # Each item is in one place, and none is lost.
        assert sorted([*self.ended, *(item for item, _ in self.queue)]) == list(range(self.next_item))
        assert self.queue == sorted(self.queue)
        waits = self.delivery.wait(self.now) is None
        assert waits == (not self.queue or self.is_sending)
        if self.queue:
            # The item that was being sent was not dropped for the newest one.
            assert self.delivery.size_bytes <= max(MAX_BYTES, self.queue[-1][1]) + self.queue[0][1]


TestDelivery = DeliveryMachine.TestCase
TestDelivery.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
