"""A message is lost at every step of publishing, folding and coming back, one after the other, and no number is.

Not by chance: each scene is played again and again, and each time the next of its messages is lost, once before Redis
hears it and once after, until it runs through without one to lose. Between any two messages, and after each scene,
another process scrapes, and no counter that it sees ever decreases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import pytest

from pytheus_redis.client import Answer, Call, RedisClient
from pytheus_redis.errors import RedisStoreError
from pytheus_redis.options import RedisOptions

if TYPE_CHECKING:
    from tests.redis.conftest import Member, Members, Server

LOST = ("request", "reply")
SERIES = ("tally_total", ("a",))


T = TypeVar("T")


class LossyClient:
    """A way to Redis on which one message is lost: `lose` says which one, counted from 0, and whether it was heard."""

    def __init__(self, options: RedisOptions) -> None:
        self._client = RedisClient(options)
        self.sent = 0
        self.lose: tuple[int, str] | None = None
        self.before: Callable[[int], object] = lambda number: None
        """Called before each message, with its number."""
        self.calls: list[Call] = []

    def run(self, call: Call, /) -> Answer:
        self.calls.append(call)
        return self._lossy(lambda: self._client.run(call))

    def run_all(self, calls: Sequence[Call], /) -> list[Answer]:
        return self._lossy(lambda: self._client.run_all(calls))

    def close(self) -> None:
        self._client.close()

    def abandon(self) -> None:
        self._client.abandon()

    def _lossy(self, send: Callable[[], T]) -> T:
        number = self.sent
        self.sent += 1
        self.before(number)
        if self.lose == (number, "request"):
            raise RedisStoreError("unreachable", "the request was lost", maybe_applied=True)
        answer = send()
        if self.lose == (number, "reply"):
            raise RedisStoreError("unreachable", "the reply was lost", maybe_applied=True)
        return answer


class Stage:
    """Two processes: one loses a message, the other watches."""

    def __init__(self, members: Members, number: int, lost: str) -> None:
        self._clients: list[LossyClient] = []
        self._number, self.lost = number, lost
        self._first = 0
        self._seen = 0.0
        self.members = members
        self.faulty: Member = members(lambda options: self._client(options))
        self.watcher: Member = members()

    @property
    def client(self) -> LossyClient:
        """The faulty one's way to Redis."""
        (client,) = self._clients
        return client

    def _client(self, options: RedisOptions) -> LossyClient:
        client = LossyClient(options)
        self._clients.append(client)
        return client

    def curtain(self, *, watch: bool = True) -> None:
        """From here on, that message is lost, and the watcher scrapes before each."""
        client = self.client
        self._first = client.sent
        client.lose = (client.sent + self._number, self.lost)
        if watch:
            client.before = lambda number: self.watch()

    def watch(self) -> float:
        """What the watcher sees; never less than before."""
        seen = self.watcher.scrape().get(SERIES, 0.0)
        assert seen >= self._seen
        self._seen = seen
        return seen

    def insist(self, act: Callable[[], object]) -> None:
        """Do it again if the message was lost meanwhile."""
        try:
            act()
        except RedisStoreError as error:
            assert error.maybe_applied
            act()

    @property
    def over(self) -> bool:
        """Whether there was no such message any more."""
        return self.client.sent - self._first <= self._number


Play = Callable[[Callable[[Stage], None]], int]


@pytest.fixture
def play(all_members: Callable[[], Members]) -> Play:
    """Call it with a scene, to be played with each message lost; gives how often that was."""

    def play(scene: Callable[[Stage], None]) -> int:
        times = 0
        for lost in LOST:
            number, over = 0, False
            while not over:
                stage = Stage(all_members(), number, lost)
                scene(stage)
                times, number, over = times + 1, number + 1, stage.over
        return times

    return play


def test_the_first_publication(play: Play) -> None:
    def scene(stage: Stage) -> None:
        stage.faulty.count("a", by=3)
        stage.curtain()
        stage.insist(stage.faulty.publish)
        assert stage.watch() == 3
        stage.members.die(stage.faulty)
        assert stage.watch() == 3

    assert play(scene) == 2 * (3 + 1)  # inspect, stage, commit; and once without a loss


def test_a_large_first_publication(play: Play) -> None:
    def scene(stage: Stage) -> None:
        stage.faulty.count("a", by=3)
        for number in range(4):
            stage.faulty.count(str(number) * 300_000)
        stage.curtain()
        stage.insist(stage.faulty.publish)
        assert stage.watch() == 3

    assert play(scene) == 2 * (4 + 1)


def test_a_later_publication(play: Play) -> None:
    def scene(stage: Stage) -> None:
        faulty = stage.faulty
        faulty.count("a", by=3)
        faulty.publish()
        stage.curtain()
        faulty.count("a")
        stage.insist(faulty.publish)
        faulty.count("a")
        stage.insist(faulty.publish)
        assert stage.watch() == 5
        stage.members.die(faulty)
        assert stage.watch() == 5

    assert play(scene) == 2 * (2 + 1)


def test_a_publication_that_is_lost_and_then_the_process(play: Play) -> None:
    def scene(stage: Stage) -> None:
        faulty = stage.faulty
        faulty.count("a", by=3)
        faulty.publish()
        stage.curtain()
        faulty.count("a")
        arrived = 4
        try:
            faulty.publish()
        except RedisStoreError:
            arrived = 3 if stage.lost == "request" else 4
        stage.members.die(faulty)
        assert stage.watch() == arrived
        assert stage.watch() == arrived

    assert play(scene) == 2 * (1 + 1)


def test_folding(play: Play) -> None:
    def scene(stage: Stage) -> None:
        gone = stage.members()
        gone.count("a", by=3)
        gone.publish()
        stage.faulty.count("a", by=4)
        stage.faulty.publish()
        assert stage.watch() == 7
        stage.members.die(gone)
        stage.curtain(watch=False)
        for _ in range(2):
            stage.insist(stage.faulty.scrape)
            assert stage.faulty.exposed == {SERIES: 7}
        assert stage.watch() == 7

    assert play(scene) == 2 * (4 + 3 + 1)  # publish, list, read, fold; then without the last; and one without a loss


def test_folding_by_two_at_once(play: Play) -> None:
    def scene(stage: Stage) -> None:
        gone = stage.members()
        gone.count("a", by=3)
        gone.publish()
        stage.faulty.publish()
        stage.members.die(gone)
        stage.curtain()  # the watcher folds as well, at each step
        for _ in range(2):
            stage.insist(stage.faulty.scrape)
            assert stage.faulty.exposed == {SERIES: 3}
        assert stage.watch() == 3

    play(scene)


def test_coming_back_after_a_pause(play: Play) -> None:
    def scene(stage: Stage) -> None:
        faulty = stage.faulty
        faulty.count("a", by=3)
        faulty.publish()
        stage.members.die(faulty)
        assert stage.watch() == 3
        faulty.count("a")
        stage.curtain()
        stage.insist(faulty.publish)
        assert stage.watch() == 4
        faulty.count("a")
        stage.insist(faulty.publish)
        assert stage.watch() == 5
        stage.members.die(faulty)
        assert stage.watch() == 5

    assert play(scene) == 2 * (5 + 1)  # publish, inspect, stage, commit, publish


def test_a_pause_while_it_is_unknown_whether_a_publication_arrived(play: Play) -> None:
    def scene(stage: Stage) -> None:
        faulty = stage.faulty
        faulty.count("a", by=3)
        faulty.publish()
        faulty.count("a")
        stage.curtain()
        try:
            faulty.publish()
        except RedisStoreError:
            stage.members.die(faulty)
            stage.watch()
        faulty.count("a")
        stage.insist(faulty.publish)
        assert stage.watch() == 5

    play(scene)


def test_being_folded_again_at_every_step_of_coming_back(all_members: Callable[[], Members]) -> None:
    for step in range(12):
        stage = Stage(all_members(), 0, "nothing")
        faulty = stage.faulty
        faulty.count("a", by=3)
        faulty.publish()
        stage.members.die(faulty)
        stage.watch()
        stage.curtain()
        client = stage.client
        first = client.sent

        def die_and_fold(number: int, step: int = step, first: int = first, stage: Stage = stage) -> None:
            if number == first + step:
                stage.members.die(stage.faulty)
            stage.watch()

        client.before = die_and_fold
        for _ in range(3):
            faulty.count("a")
            faulty.publish()
        client.before = lambda number: None
        assert stage.watch() == 6
        stage.members.die(faulty)
        assert stage.watch() == 6


def test_messages_that_arrive_a_second_time_change_nothing(
    all_members: Callable[[], Members], shared_server: Server
) -> None:
    stage = Stage(all_members(), 0, "nothing")
    faulty = stage.faulty
    faulty.count("a", by=3)
    stage.curtain(watch=False)
    client = stage.client
    everything = []
    for _ in range(3):
        faulty.count("a")
        faulty.publish()
        everything.append(faulty.scrape())
        stage.members.die(faulty)
        stage.watch()
    faulty.publish()
    before = stage.watch()
    for call in list(client.calls):
        client.run(call)
        assert stage.watch() == before
    stage.members.die()
    assert stage.watch() == before
