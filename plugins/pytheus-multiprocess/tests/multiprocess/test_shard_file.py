"""A process's file: what is written to it is what is read from it, however it grows."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytheus.definitions import Definition
from pytheus.exceptions import ShardFormatError
from pytheus.shards import ShardIdentity, Snapshot, encode_definition, encode_removal, encode_series
from pytheus_multiprocess.file_format import HEADER_SIZE
from pytheus_multiprocess.shard_file import NoSpaceError, ShardFile
from pytheus_multiprocess.shard_reader import ShardReader
from pytheus_multiprocess.system import NotRegularError, System

HITS = Definition("hits_total", "counter", "Hits.", ("path",))


class Place:
    """A directory, with files in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY)
        self.system = System()

    def begin(self, *, max_size_bytes: int = 1 << 24) -> ShardFile:
        self.identity = ShardIdentity.of_this_process()
        self.name = f"{self.identity.token}.shard"
        return ShardFile(
            self.system,
            self.descriptor,
            self.name,
            self.identity,
            index_step_bytes=4096,
            numbers_step_bytes=4096,
            max_size_bytes=max_size_bytes,
        )

    def reader(self) -> ShardReader:
        return ShardReader(self.system, self.descriptor, self.name)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    os.close(place.descriptor)


def values(snapshot: Snapshot) -> dict[str, float]:
    return {series.labels[0]: snapshot.numbers[series.offset] for _, series in snapshot.layout.entries()}


def add(file: ShardFile, path: str, value: float, *, first: bool = False) -> int:
    offset = file.allocate(1)
    file.append((encode_definition(HITS) if first else b"") + encode_series(0, (path,), offset))
    file.doubles(offset, 1)[0] = value
    return offset


def test_a_reader_sees_who_wrote_and_what_is_written_after_it_came(place: Place) -> None:
    file, reader = place.begin(), place.reader()
    assert reader.identity == place.identity
    offset = add(file, "/", 1.5, first=True)
    assert values(reader.read()) == {"/": 1.5}

    layout = reader.read().layout
    file.doubles(offset, 1)[0] = 2.5
    add(file, "/tea", 4.0)
    assert values(reader.read()) == {"/": 2.5, "/tea": 4.0}
    assert reader.read().layout is layout


def test_views_stay_where_they_are_when_the_file_grows(place: Place) -> None:
    file, reader = place.begin(), place.reader()
    offset = add(file, "first", 1.0, first=True)
    view = file.doubles(offset, 1)
    for number in range(3000):
        add(file, f"path{number}", float(number))
    view[0] = 17.0

    found = values(reader.read())
    assert found.pop("first") == 17.0
    assert found == {f"path{number}": float(number) for number in range(3000)}


def test_numbers_that_were_freed_are_zero_again(place: Place) -> None:
    file, reader = place.begin(), place.reader()
    offset = add(file, "gone", 9.0, first=True)
    file.append(encode_removal(0))
    file.free(offset, 1)
    assert file.allocate(1) == offset
    file.append(encode_series(0, ("new",), offset))
    assert values(reader.read()) == {"new": 0.0}


def test_a_series_that_comes_while_its_shard_is_read_never_has_anothers_numbers(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, reader = place.begin(), place.reader()
    offset = add(file, "path0", 100.0, first=True)
    add(file, "stays", 5.0)
    read_numbers = reader._read_numbers
    numbers = iter(range(2, 1000))
    last = 0

    def read(count: int) -> list[float]:
        # Each time that the numbers have been read, a series goes, and another takes its place.
        nonlocal last
        found = read_numbers(count)
        file.append(encode_removal(last))
        file.free(offset, 1)
        last = next(numbers)
        assert add(file, f"path{last}", float(last)) == offset
        return found

    monkeypatch.setattr(reader, "_read_numbers", read)
    found = values(reader.read())
    assert found.pop("stays") == 5.0
    assert found == {f"path{last}": 0.0}
    monkeypatch.undo()
    assert values(reader.read()) == {f"path{last}": float(last), "stays": 5.0}


def test_an_index_that_was_rewritten_is_read_again(place: Place) -> None:
    file, reader = place.begin(), place.reader()
    offsets = [add(file, f"path{number}", float(number), first=number == 0) for number in range(100)]
    reader.read()
    file.rewrite(encode_definition(HITS) + encode_series(0, ("path7",), offsets[7]))
    assert values(reader.read()) == {"path7": 7.0}
    add(file, "more", 3.0)
    assert values(reader.read()) == {"path7": 7.0, "more": 3.0}


def test_rewriting_the_index_again_and_again_takes_no_more_space(place: Place) -> None:
    file = place.begin()
    offset = add(file, "/", 1.0, first=True)
    records = encode_definition(HITS) + encode_series(0, ("/",), offset)
    for _ in range(3):
        file.rewrite(records)
    size = file.size_bytes
    for _ in range(100):
        file.rewrite(records)
    assert file.size_bytes == size


def test_an_index_may_continue_in_the_chunk_where_it_once_began(place: Place) -> None:
    file, reader = place.begin(), place.reader()
    offset = add(file, "first", 7.0, first=True)
    reader.read()
    file.rewrite(encode_definition(HITS) + encode_series(0, ("first",), offset))
    expected = {"first": 7.0}
    for number in range(2000):
        add(file, f"path{number}", float(number))
        expected[f"path{number}"] = float(number)
        if 0 in file._stream:
            break
    assert file._stream.index(0) > 0
    assert values(reader.read()) == values(place.reader().read()) == expected


def test_kinds_of_chunks_of_later_versions_are_skipped(place: Place) -> None:
    file, reader = place.begin(), place.reader()
    add(file, "first", 7.0, first=True)
    reader.read()
    file._steps[99] = 4096
    file._add(99, 4096)
    for number in range(1000):
        add(file, f"path{number}", float(number))
    expected = {"first": 7.0} | {f"path{number}": float(number) for number in range(1000)}
    assert values(reader.read()) == values(place.reader().read()) == expected


def test_a_limit_on_the_size_changes_nothing_when_it_is_reached(place: Place) -> None:
    file, reader = place.begin(max_size_bytes=1 << 15), place.reader()
    add(file, "/", 1.0, first=True)
    with pytest.raises(NoSpaceError, match=r"would grow beyond max_size_bytes = 32768"):
        for number in range(5000):
            add(file, f"path{number}", 1.0)
    kept = values(reader.read())
    assert kept["/"] == 1.0
    assert all(value == 1.0 for value in kept.values())


def test_the_owner_alone_can_read_the_file_and_holds_its_lock_until_it_closes_it(place: Place) -> None:
    file, reader = place.begin(), place.reader()
    assert (place.path / place.name).stat().st_mode & 0o777 == 0o600
    assert not reader.is_dead()
    file.close()
    assert reader.is_dead()


def test_nothing_is_left_of_a_file_that_does_not_fit(place: Place) -> None:
    with pytest.raises(NoSpaceError):
        place.begin(max_size_bytes=8192)
    assert os.listdir(place.path) == []


# Invalid files -------------------------------------------------------------------------------------------------------


def test_a_truncated_file_is_refused(place: Place) -> None:
    file, reader = place.begin(), place.reader()
    add(file, "/", 1.0, first=True)
    os.truncate(place.path / place.name, HEADER_SIZE)
    with pytest.raises(ShardFormatError, match="was cut off"):
        reader.read()
    with pytest.raises(ShardFormatError, match="was cut off"):
        place.reader().read()


def overwritten(place: Place, offset: int, data: bytes) -> None:
    with open(place.path / place.name, "r+b") as stream:
        stream.seek(offset)
        stream.write(data)


@pytest.mark.parametrize(
    ("offset", "data", "reason"),
    [
        pytest.param(0, b"SQLite format 3\0", "it is not a shard: it begins with b'SQLite f'", id="another format"),
        pytest.param(8, (0x01020304).to_bytes(4, "big"), "byte order", id="another byte order"),
        pytest.param(
            12, (99).to_bytes(4, "little"), "has the format version 99, but this version reads 1", id="newer version"
        ),
        pytest.param(30, b"????", "checksum", id="overwritten header"),
    ],
)
def test_a_foreign_file_is_refused(place: Place, offset: int, data: bytes, reason: str) -> None:
    place.begin()
    overwritten(place, offset, data)
    with pytest.raises(ShardFormatError, match=reason):
        place.reader()


def test_a_short_file_is_refused(place: Place) -> None:
    place.begin()
    os.truncate(place.path / place.name, 10)
    with pytest.raises(ShardFormatError, match="has 10 bytes"):
        place.reader()


def test_a_copy_under_another_name_is_refused(place: Place) -> None:
    place.begin()
    os.rename(place.path / place.name, place.path / "0123456789abcdef.shard")
    place.name = "0123456789abcdef.shard"
    with pytest.raises(ShardFormatError, match="it is the copy of another shard"):
        place.reader()


def test_records_that_were_overwritten_are_refused(place: Place) -> None:
    file = place.begin()
    for number in range(10):
        add(file, f"path{number}", 1.0, first=number == 0)
    overwritten(place, HEADER_SIZE + 24 + 200, b"\xff" * 50)
    with pytest.raises(ShardFormatError):
        place.reader().read()


@pytest.mark.parametrize("offset", [512, 520, 1024, 1032, 1040, *range(HEADER_SIZE - 32, HEADER_SIZE + 24, 8)])
@pytest.mark.parametrize("value", [1, 2**31, 2**63, 2**64 - 1])
def test_any_header_is_read_or_refused(place: Place, offset: int, value: int) -> None:
    file = place.begin()
    add(file, "/", 1.0, first=True)
    overwritten(place, offset, value.to_bytes(8, "little"))
    try:
        place.reader().read()
    except ShardFormatError:
        pass


def _symlink(path: Path) -> None:
    path.symlink_to("elsewhere")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        pytest.param(_symlink, "a symbolic link", id="symbolic link"),
        pytest.param(os.mkfifo, "a named pipe", id="pipe"),
        pytest.param(os.mkdir, "a directory", id="directory"),
        pytest.param(_socket, "a socket", id="socket"),
    ],
)
def test_what_is_not_a_regular_file_is_refused_and_not_waited_for(
    place: Place, make: Callable[[Path], object], kind: str
) -> None:
    place.name = "0123456789abcdef.shard"
    make(place.path / place.name)
    with pytest.raises(NotRegularError, match=f"0123456789abcdef.shard is {kind}, not a regular file; remove it"):
        place.reader()
