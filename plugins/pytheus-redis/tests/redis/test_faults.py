"""A message is lost at every step of publishing, folding and coming back, one after the other, and no number is.

Not by chance: each scene is played again and again, and each time the next of its messages is lost, once before Redis
hears it and once after, until it runs through without one to lose. Between any two messages, and after each scene,
another process scrapes, and no counter that it sees ever decreases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import pytest

from pytheus_redis import shard_mirror
from pytheus_redis.client import Answer, Call, RedisClient
from pytheus_redis.errors import RedisStoreError
from pytheus_redis.options import RedisOptions

if TYPE_CHECKING:
    from tests.redis.conftest import Member, Members


SERIES = ("tally_total", ("a",))


T = TypeVar("T")


class LossyClient(RedisClient):
    """A way to Redis on which one message is lost: `lose` says which one, counted from 0, and whether it was heard."""

    def __init__(self, options: RedisOptions) -> None:
        super().__init__(options)
        self.sent = 0
        self.lose: tuple[int, str] | None = None
        self.before: Callable[[int], object] = lambda number: None
        """Called before each message, with its number."""
        self.calls: list[Call] = []

    def run(self, call: Call, /) -> Answer:
        self.calls.append(call)
        return self._lossy(lambda: RedisClient.run(self, call))

    def run_all(self, calls: Sequence[Call], /) -> list[Answer]:
        return self._lossy(lambda: RedisClient.run_all(self, calls))

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
        self._number, self.lost = number, lost
        self._first = 0
        self._seen = 0.0
        self.members = members
        self.faulty: Member = members(LossyClient)
        self.watcher: Member = members()

    @property
    def client(self) -> LossyClient:
        """The faulty one's way to Redis."""
        client = self.faulty.store.client
        assert isinstance(client, LossyClient)
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


def first_publication(stage: Stage) -> None:
    stage.faulty.count("a", by=3)
    stage.curtain()
    stage.insist(stage.faulty.publish)
    assert stage.watch() == 3
    stage.members.die(stage.faulty)
    assert stage.watch() == 3


def large_first_publication(stage: Stage) -> None:
    stage.faulty.count("a", by=3)
    for number in range(4):
        stage.faulty.count(str(number) * 300_000)
    stage.curtain()
    stage.insist(stage.faulty.publish)
    assert stage.watch() == 3


def later_publication(stage: Stage) -> None:
    faulty = stage.faulty
    faulty.publish(a=3)
    stage.curtain()
    for _ in range(2):
        faulty.count("a")
        stage.insist(faulty.publish)
    assert stage.watch() == 5
    stage.members.die(faulty)
    assert stage.watch() == 5


def large_later_publication(stage: Stage) -> None:
    faulty = stage.faulty
    faulty.publish(a=3)
    stage.curtain()
    for turn in range(2):
        faulty.count("a")
        for number in range(4):
            faulty.count(f"{turn}{number}" * 150_000)
        stage.insist(faulty.publish)
    assert stage.watch() == 5
    stage.members.die(faulty)
    assert stage.watch() == 5


def lost_publication_and_then_lost_process(stage: Stage) -> None:
    faulty = stage.faulty
    faulty.publish(a=3)
    stage.curtain()
    arrived = 4
    try:
        faulty.publish(a=1)
    except RedisStoreError:
        arrived = 3 if stage.lost == "request" else 4
    stage.members.die(faulty)
    assert stage.watch() == arrived
    assert stage.watch() == arrived


def folding(stage: Stage) -> None:
    gone = stage.members()
    gone.publish(a=3)
    stage.faulty.publish(a=4)
    assert stage.watch() == 7
    stage.members.die(gone)
    stage.curtain(watch=False)
    for _ in range(2):
        stage.insist(stage.faulty.scrape)
        assert stage.faulty.exposed == {SERIES: 7}
    assert stage.watch() == 7


def folding_by_two_at_once(stage: Stage) -> None:
    gone = stage.members()
    gone.publish(a=3)
    stage.faulty.publish()
    stage.members.die(gone)
    stage.curtain()  # the watcher folds as well, at each step
    for _ in range(2):
        stage.insist(stage.faulty.scrape)
        assert stage.faulty.exposed == {SERIES: 3}
    assert stage.watch() == 3


def coming_back_after_a_pause(stage: Stage) -> None:
    faulty = stage.faulty
    faulty.publish(a=3)
    stage.members.die(faulty)
    assert stage.watch() == 3
    stage.curtain()
    for seen in (4, 5):
        faulty.count("a")
        stage.insist(faulty.publish)
        assert stage.watch() == seen
    stage.members.die(faulty)
    assert stage.watch() == 5


def pause_while_it_is_unknown_whether_a_publication_arrived(stage: Stage) -> None:
    faulty = stage.faulty
    faulty.publish(a=3)
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


def series_that_ends(stage: Stage) -> None:
    faulty = stage.faulty
    faulty.publish(a=3)
    faulty.end_series()
    stage.curtain()
    stage.insist(faulty.publish)
    assert stage.watch() == 3
    faulty.count("a")
    stage.insist(faulty.publish)
    assert stage.watch() == 4
    stage.members.die(faulty)
    assert stage.watch() == 4


def series_that_ends_and_begins_again(stage: Stage) -> None:
    faulty = stage.faulty
    faulty.publish(a=3)
    faulty.count("a")
    faulty.end_series()
    faulty.count("a")
    stage.curtain()
    stage.insist(faulty.publish)
    assert stage.watch() == 5
    faulty.end_series()
    stage.insist(faulty.publish)
    assert stage.watch() == 5
    stage.members.die(faulty)
    assert stage.watch() == 5


def large_publication_with_a_series_that_ends(stage: Stage) -> None:
    faulty = stage.faulty
    faulty.publish(a=3)
    faulty.end_series()
    for number in range(4):
        faulty.count(str(number) * 300_000)
    stage.curtain()
    stage.insist(faulty.publish)
    assert stage.watch() == 3


def series_that_ends_after_a_pause(stage: Stage) -> None:
    faulty = stage.faulty
    faulty.publish(a=3)
    stage.members.die(faulty)
    assert stage.watch() == 3
    faulty.publish(a=1)
    faulty.end_series()
    stage.curtain()
    stage.insist(faulty.publish)
    assert stage.watch() == 4
    faulty.count("a")
    stage.insist(faulty.publish)
    assert stage.watch() == 5
    stage.members.die(faulty)
    assert stage.watch() == 5
    faulty.count("a")
    stage.insist(faulty.publish)
    assert stage.watch() == 6


def pause_while_it_is_unknown_whether_a_series_has_ended(stage: Stage) -> None:
    faulty = stage.faulty
    faulty.publish(a=3)
    faulty.count("a")
    faulty.end_series()
    stage.curtain()
    try:
        faulty.publish()
    except RedisStoreError:
        stage.members.die(faulty)
        stage.watch()
    faulty.count("a")
    stage.insist(faulty.publish)
    assert stage.watch() == 5
    stage.insist(faulty.publish)
    assert stage.watch() == 5


def scrape_while_it_is_unknown_whether_a_series_has_ended(stage: Stage) -> None:
    faulty = stage.faulty
    faulty.publish(a=3)
    faulty.end_series()
    faulty.count("a")
    stage.curtain()
    try:
        faulty.publish()
    except RedisStoreError:
        for _ in range(2):
            assert faulty.scrape_without_publishing() == {SERIES: 4}
    stage.insist(faulty.publish)
    assert stage.watch() == 4


# How many messages each has, unless that depends on what the other process does meanwhile.
SCENES: dict[Callable[[Stage], None], int | None] = {
    first_publication: 3,  # inspect, stage, commit
    large_first_publication: 4,
    later_publication: 2,
    large_later_publication: 2 * (3 + 1),  # three parts are prepared and then published
    lost_publication_and_then_lost_process: 1,
    folding: 4 + 3,  # publish, list, read, fold; then without the last
    folding_by_two_at_once: None,
    coming_back_after_a_pause: 5,  # publish, inspect, stage, commit, publish
    pause_while_it_is_unknown_whether_a_publication_arrived: None,
    series_that_ends: 3,  # stage, retire, publish
    series_that_ends_and_begins_again: 4,
    large_publication_with_a_series_that_ends: 4,  # stage, two parts, retire
    series_that_ends_after_a_pause: None,
    pause_while_it_is_unknown_whether_a_series_has_ended: None,
    scrape_while_it_is_unknown_whether_a_series_has_ended: None,
}


@pytest.mark.parametrize("lost", ["request", "reply"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_message_that_is_lost_loses_no_number(
    scene: Callable[[Stage], None], lost: str, all_members: Callable[[], Members]
) -> None:
    number, over = 0, False
    while not over:
        stage = Stage(all_members(), number, lost)
        scene(stage)
        number, over = number + 1, stage.over
    assert SCENES[scene] in (None, number - 1)  # the last time, none was lost


def test_being_folded_again_at_every_step_of_coming_back(all_members: Callable[[], Members]) -> None:
    for step in range(12):
        stage = Stage(all_members(), 0, "nothing")
        faulty = stage.faulty
        faulty.publish(a=3)
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
            faulty.publish(a=1)
        client.before = lambda number: None
        assert stage.watch() == 6
        stage.members.die(faulty)
        assert stage.watch() == 6


@pytest.mark.parametrize("again", [False, True])
def test_being_folded_at_every_step_of_the_end_of_a_series(all_members: Callable[[], Members], again: bool) -> None:
    for step in range(10):
        stage = Stage(all_members(), 0, "nothing")
        faulty = stage.faulty
        faulty.publish(a=3)
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
            faulty.end_series()
            if again:
                faulty.count("a")
            faulty.publish()
        client.before = lambda number: None
        expected = 9 if again else 6
        assert stage.watch() == expected
        stage.members.die(faulty)
        assert stage.watch() == expected


def test_no_reader_sees_a_family_that_is_part_old_and_part_new(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_mirror, "DELTA_BYTES", 300)
    monkeypatch.setattr(shard_mirror, "_MAX_RUN", 10)
    stage = Stage(members, 0, "nothing")
    seen: list[set[float]] = []
    sent = []

    def look(number: int) -> None:
        sent.append(number)
        # A process that has read before, and one that has not.
        for watcher in (stage.watcher, stage.members()):
            seen.append(set(watcher.scrape().values()))

    stage.client.before = look
    names = [f"series {number}" for number in range(100)]
    for turn in range(1, 5):
        for name in names:
            stage.faulty.count(name)
        if turn == 3:  # a series moves into the place of another
            stage.faulty.tally.remove(names[0])
            stage.faulty.count("new", by=3)
            names[0] = "new"
        stage.faulty.publish()
    assert len(sent) > 20
    assert all(len(values) <= 1 for values in seen), seen
    assert {value for values in seen for value in values} == {1, 2, 3}
    assert set(stage.watcher.scrape().values()) == {4}


def test_messages_that_arrive_a_second_time_change_nothing(members: Members) -> None:
    stage = Stage(members, 0, "nothing")
    faulty = stage.faulty
    faulty.count("a", by=3)
    stage.curtain(watch=False)
    client = stage.client
    for _ in range(3):
        faulty.publish(a=1)
        faulty.scrape()
        stage.members.die(faulty)
        stage.watch()
    faulty.publish()
    before = stage.watch()
    for call in list(client.calls):
        client.run(call)
        assert stage.watch() == before
    stage.members.die()
    assert stage.watch() == before
