"""Every key of a namespace may hold anything: that is told, all other shards are shown, and folding goes on.

A scene has four processes that counted: one is in the archive, one is dead and not folded yet, one lives, and one, the
victim, lives and has a base, because it was folded once. Then another program writes to one of the keys.
"""

from __future__ import annotations

import itertools
import os
import re
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, cast
from zlib import crc32

import pytest

from pytheus.definitions import Definition
from pytheus.shards import Reading, encode_definition, encode_series, fold
from pytheus_redis import reader
from pytheus_redis.check import Check

if TYPE_CHECKING:
    from tests.redis.conftest import Member, Members

ARCHIVED, DEAD, LIVING, VICTIM = 1000.0, 200.0, 30.0, 4.0
EVERYTHING = ARCHIVED + DEAD + LIVING + VICTIM

COMMON: Final = ("state", "shards", "archive", "folded", "notes")
OF_SHARD: Final = ("about", "index", "numbers", "base", "next")
FULL: Final = "PYTHEUS_TEST_FULL" in os.environ
GARBAGE: Final = (
    b"",
    b"abc",
    b"\xff\xfe\x00",
    b"-1",
    b"inf",
    b"nan",
    b"1e400",
    b"9" * 30,
    b'["a"]',
    b"[" * 5000,
    b"x" * 100_000,
)

Command = tuple[str | bytes | float, ...]


class Scene:
    """The processes of one namespace, and the reader that has read them before."""

    def __init__(self, members: Members) -> None:
        self.members = members
        self.told = False
        """Whether any process has told a problem."""
        self.archived, self.dead, self.living, self.victim = (members() for _ in range(4))
        self.reader = members()
        for member, by in ((self.archived, ARCHIVED), (self.victim, VICTIM)):
            member.publish(a=by)
            members.die(member)
        self.living.publish(a=LIVING)
        self.read(self.reader)  # which folds both
        self.victim.publish()
        self.dead.publish(a=DEAD)
        assert self.total(self.reader) == EVERYTHING
        members.die(self.dead)

    @property
    def token(self) -> str:
        return self.victim.store.publisher.identity.token

    def key(self, name: str) -> str:
        return f"{name}:{self.token}" if name in OF_SHARD else name

    def write(self, key: str, *commands: Command) -> None:
        """Let another program run commands on a key."""
        for name, *arguments in commands:
            self.members.command(str(name), key, *arguments)

    @staticmethod
    def read(member: Member) -> Reading:
        return member.read()

    def total(self, member: Member) -> float:
        """The sum of a scrape, whatever it skips."""
        reading = self.read(member)
        self.told = self.told or bool(reading.skipped) or member.store.health.has_failed
        sums = fold(reading.archive, reading.snapshots)
        return sum(sums.numbers) + sum(map(sum, sums.remainders))

    def check(self, *, may_lose: Sequence[float] = (), must_tell: bool = False) -> None:
        """What was lost is told, nothing else is lost, all is well again soon, and folding goes on."""
        for member in (self.members(), self.reader):
            seen = self.total(member)
            assert seen in without(may_lose)
            assert self.told or (seen == EVERYTHING and not must_tell)
        # The victim is scraped like every process, and publishes like every process.
        for _ in range(3):
            for member in (self.victim, self.living, self.reader):
                seen = self.total(member)
        assert seen in without([each for each in may_lose if each in (ARCHIVED, DEAD)])
        for member in (self.reader, self.victim, self.living, self.members()):
            assert self.total(member) == seen
        another = self.members()
        another.publish(a=50000)
        self.members.die(another)
        for _ in range(3):
            assert self.total(self.reader) == seen + 50000
        assert self.members.command("ZSCORE", "shards", another.token) is None
        assert self.total(self.members()) == seen + 50000


def without(losses: Sequence[float]) -> set[float]:
    """The totals without any of these."""
    return {
        EVERYTHING - sum(some) for count in range(len(losses) + 1) for some in itertools.combinations(losses, count)
    }


@pytest.fixture
def make_scene(all_members: Callable[[], Members]) -> Callable[[], Scene]:
    return lambda: Scene(all_members())


TYPES: Final[dict[str, Command]] = {
    "string": ("SET", "junk"),
    "list": ("RPUSH", "junk"),
    "hash": ("HSET", "junk", "junk"),
    "set": ("SADD", "junk"),
    "zset": ("ZADD", 1, "junk"),
    "stream": ("XADD", "*", "junk", "junk"),
}


def losses(key: str) -> tuple[float, ...]:
    """What is lost with a key's content."""
    if key in OF_SHARD:
        return (VICTIM,)
    # A new epoch has no archive, and the victim publishes everything again as soon as it hears of it.
    return {"state": (ARCHIVED, VICTIM), "archive": (ARCHIVED, VICTIM), "shards": (DEAD, VICTIM, LIVING)}.get(key, ())


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind in ("set", "stream", "zset"))) for kind in TYPES]
)
@pytest.mark.parametrize("key", [*COMMON, *OF_SHARD])
def test_a_key_of_any_other_type(make_scene: Callable[[], Scene], key: str, kind: str) -> None:
    scene = make_scene()
    scene.write(scene.key(key), ("DEL",), TYPES[kind])
    scene.check(may_lose=losses(key))


FIELDS: Final = [
    *(("state", field) for field in ("epoch", "archive", "moves", "since", "junk")),
    *(("about", field) for field in ("attempt", "identity", "check", "staged", "part", "junk")),
]


@pytest.mark.parametrize(("key", "field"), FIELDS)
def test_garbage_in_a_field(make_scene: Callable[[], Scene], key: str, field: str) -> None:
    for garbage in GARBAGE if FULL else GARBAGE[len(field) % 3 :: 3]:
        scene = make_scene()
        scene.write(scene.key(key), ("HSET", field, garbage))
        scene.check(may_lose=losses(key))


@pytest.mark.parametrize("score", ["-inf", "-1", "0", "1", "1e300", "inf"])
def test_tokens_of_another_program(make_scene: Callable[[], Scene], score: str) -> None:
    tokens = (*GARBAGE, b"a\nb", b"{x}", b"x" * 200)
    for token in tokens if FULL else tokens[len(score) :: 4]:
        scene = make_scene()
        scene.write("shards", ("ZADD", score, token))
        scene.check(must_tell=True)


def test_heartbeats_that_make_no_sense(make_scene: Callable[[], Scene]) -> None:
    for score in ("-inf", "-1", "0", "1e300", "inf"):
        scene = make_scene()
        scene.write("shards", ("ZADD", "XX", score, scene.token))
        scene.check()


def test_a_dead_process_whose_heartbeat_is_ahead_of_the_clock_is_folded_in_the_end(members: Members) -> None:
    gone, one = members(expiry_seconds=0.001), members(expiry_seconds=0.001)
    gone.publish(a=1)
    members.command("ZADD", "shards", "XX", "inf", gone.token)

    one.publish(a=1)
    for _ in range(50):
        members.command("HSET", "state", "since", 2)
        assert one.total("a") == 2
        if members.command("ZSCORE", "shards", gone.token) is None:
            return
    pytest.fail("it is never dead")


@pytest.mark.parametrize("name", ["index", "numbers", "base"])
def test_damaged_content_of_a_shard(make_scene: Callable[[], Scene], name: str) -> None:
    scene = make_scene()
    size = cast(int, scene.members.command("STRLEN", scene.key(name)))
    assert size > 0
    step = (1 if FULL else 11) * (1 if size < 20 else 41)
    commands: list[Command] = [("SETBIT", bit) for bit in range(0, 8 * size, step)]
    commands += [("APPEND", b"junk"), ("SET", b""), ("SET", b"junk"), ("SET", b"\xff" * size), ("DEL",)]
    commands += [("SET", b"\x00" * size), ("SETRANGE", 1_000_000, b"junk")]
    for command in commands:
        scene = make_scene()
        key = scene.key(name)
        if command[0] == "SETBIT":
            command = (*command, 1 - cast(int, scene.members.command("GETBIT", key, *command[1:])))
        scene.write(key, command)
        # Junk behind the end of the index is not a part of it.
        scene.check(may_lose=losses(name), must_tell=name != "index" or command[0] not in ("APPEND", "SETRANGE"))


def test_a_damaged_archive(make_scene: Callable[[], Scene]) -> None:
    size = cast(int, make_scene().members.command("STRLEN", "archive"))
    assert size == 0 or size > 20
    for at in range(0, max(size, 1), 1 if FULL else 43):
        scene = make_scene()
        byte = cast(bytes, scene.members.command("GETRANGE", "archive", at, at))
        scene.write("archive", ("SETRANGE", at, bytes([byte[0] ^ 0x10])))
        scene.check(may_lose=losses("archive"))
    for command in (("SET", b""), ("SET", b"junk"), ("APPEND", b"junk"), ("SETRANGE", 1_000_000, b"junk"), ("DEL",)):
        scene = make_scene()
        scene.write("archive", cast(Command, command))
        scene.check(may_lose=losses("archive"))


def test_notes_of_another_program(make_scene: Callable[[], Scene]) -> None:
    for garbage in GARBAGE[:: 1 if FULL else 4]:
        scene = make_scene()
        scene.write("folded", ("HSET", garbage, garbage), ("HSET", scene.archived.token, garbage))
        scene.write("notes", ("ZADD", "inf", garbage), ("ZADD", "-inf", garbage + b"-"))
        scene.check()


def test_a_process_that_is_alive_says_what_it_replaced(
    make_scene: Callable[[], Scene], caplog: pytest.LogCaptureFixture
) -> None:
    scene = make_scene()
    scene.write("state", ("DEL",), ("SET", "junk"))
    scene.total(scene.living)
    assert "state, " in caplog.text
    assert "was not valid and was replaced" in caplog.text


HITS: Final = Definition("hits_total", "counter", "Hits.")
IDENTITY: Final = b'["elsewhere", 1, 1]'


def write_shard(members: Members, index: bytes, numbers: bytes, identity: bytes = IDENTITY) -> None:
    """Let another program write a shard whose check is right."""
    check = Check(len(index), len(numbers), 0, crc32(numbers), 0, crc32(identity))
    members.command("SET", "index:foreign", index)
    members.command("SET", "numbers:foreign", numbers)
    members.command("HSET", "about:foreign", "attempt", "1", "identity", identity, "check", check.text())
    members.command("ZADD", "shards", "1e15", "foreign")


def test_a_foreign_shard_is_read_if_it_is_one(members: Members) -> None:
    write_shard(members, encode_definition(HITS) + encode_series(0, (), 0), struct.pack("<d", 3))
    assert members().scrape()["hits_total", ()] == 3


@pytest.mark.parametrize(
    ("identity", "why"),
    [
        (b"null", "Expected `array`"),
        (b"[]", "length 3"),
        (b'["h", 1]', "length 3"),
        (b'["h", "1", 1]', "Expected `int`"),
        (b'["h", 1, 1.5]', "Expected `int`"),
        (b'["h", true, 1]', "Expected `int`"),
        (b"[1, 1, 1]", "Expected `str`"),
        (b'["\\ud800", 1, 1]', "surrogate"),
        (b'["' + b"h" * 300 + b'", 1, 1]', "length <= 255"),
        (b"[" * 1000, "malformed|truncated|depth|array"),
        (b'["h", 1' + b"0" * 900 + b", 1]", "range|int"),
        (b"x" * 2000, "2000 bytes"),
    ],
)
def test_an_identity_that_makes_no_sense(members: Members, identity: bytes, why: str) -> None:
    other = members()
    other.publish(a=1)
    write_shard(members, encode_definition(HITS) + encode_series(0, (), 0), struct.pack("<d", 3), identity)
    (failure,) = members().read().skipped
    assert failure.subject == "shard 'foreign'"
    assert re.search(why, failure.reason), failure.reason
    assert fold_all(members().read())["tally_total", ("a",)] == 1


def fold_all(reading: Reading) -> dict[tuple[str, tuple[str, ...]], float]:
    sums = fold(reading.archive, reading.snapshots)
    return {(entry.definition.name, entry.labels): sums.numbers[entry.offset] for _, entry in sums.layout.entries()}


def test_an_index_that_needs_terabytes_of_numbers(members: Members) -> None:
    write_shard(members, encode_definition(HITS) + encode_series(0, (), 2**47), struct.pack("<d", 3))
    (failure,) = members().read().skipped
    assert "needs 140737488355329 numbers" in failure.reason


@pytest.mark.parametrize("name", ["index", "numbers", "base", "archive"])
def test_a_value_that_would_fill_the_memory_of_the_scraper_is_not_read(
    make_scene: Callable[[], Scene], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_VALUE_BYTES", 100_000)
    scene = make_scene()
    scene.write(scene.key(name), ("SETRANGE", 200_000, b"x"))
    scene.check(may_lose=losses(name), must_tell=True)


def test_more_shards_than_a_scrape_reads(members: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_SHARDS", 3)
    one = members()
    for number in range(10):
        members.command("ZADD", "shards", 1, f"{number}")
    one.publish(a=1)
    reading = one.read()
    assert fold_all(reading)["tally_total", ("a",)] == 1
    assert any("8 members more than are read" in failure.subject for failure in reading.skipped)
