"""Damaged files: every flipped bit, files that are cut short or grow, and other things in the place of files.

A flip is *detected* if the scrape reports a problem, *harmless* if the scrape shows the same as without it, and
*silent* if it shows something else and reports nothing. The numbers themselves have no checksum, because their owner
writes them with plain stores; flips of them are counted apart.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from pytheus import Counter, generate_metrics
from pytheus.definitions import Definition
from pytheus.native_buckets import NativeBuckets
from pytheus.samples import Exemplar
from pytheus.shards import Archive, Reading, Snapshot
from pytheus.shards.bucket_series import BucketDefinition
from pytheus_multiprocess import multiprocess_registry
from pytheus_multiprocess.directory import DirectoryError
from pytheus_multiprocess.file_format import CHUNK, HEADER_SIZE, NUMBERS, TABLE_AT, Chunk
from pytheus_multiprocess.options import MultiprocessOptions
from pytheus_multiprocess.store import MultiprocessStore

HITS = Definition("hits_total", "counter", "Hits.", ("path",))
BUILD = Definition("build", "info", "Build.")
BUCKETS = BucketDefinition(Definition("sizes_bytes", "histogram", "Sizes.", unit="bytes", native=NativeBuckets()))


def store_in(directory: Path) -> MultiprocessStore:
    # The smallest steps there are, because the time of a sweep grows with the size of the file.
    options = MultiprocessOptions(str(directory), process_metrics=False, index_step_bytes=4096, numbers_step_bytes=4096)
    return MultiprocessStore(options)


def write(store: MultiprocessStore, path: str) -> None:
    hits, build, buckets = store.storage(HITS), store.storage(BUILD), store.storage(BUCKETS)
    assert hits is not None
    assert build is not None
    assert buckets is not None
    for number in range(3):
        hits.buffer((f"{path}{number}",), array("d", [1.5 + number]), 1_790_000_000.0 + number)
    buckets.buffer(("p3:17",), array("d", [2.0]))
    hits.set_exemplar((f"{path}0",), 0, Exemplar({"trace_id": "abc"}, 1.0, 2.0))
    build.set_info((), {"version": "1"})
    hits.release((f"{path}2",))
    for number in range(3, 5):  # which are in the tail
        hits.buffer((f"{path}{number}",), array("d", [1.5 + number]), 1_790_000_000.0 + number)
    buckets.buffer(("z:0.5",), array("d", [1.0]))


class Found(NamedTuple):
    """What a scrape shows of each shard and the archive, and whether it reports a problem."""

    values: dict[str, dict[object, object]]
    is_told: bool


def found(reading: Reading) -> Found:
    values: dict[str, dict[object, object]] = {}
    parts: list[tuple[str, Snapshot | Archive]] = [(each.identity.token, each) for each in reading.snapshots]
    for subject, part in [*parts, ("archive", reading.archive)]:
        values[subject] = {
            (entry.definition.name, entry.labels): (
                list(part.numbers[entry.offset : entry.offset + entry.size]),
                part.layout.info.get(number),
                part.layout.exemplars.get(number),
                part.layout.start_times.pick([number]),
                str(entry.definition),
            )
            for number, entry in part.layout.entries()
        }
    return Found(values, bool(reading.skipped))


class Sweep:
    """A directory with an archive, a shard of a process that lives, and one of a process that was killed."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700)
        self.directory = directory
        with closing(store_in(directory)) as one:
            write(one, "archived")
        with closing(store_in(directory)) as one:
            one.read()
        self.living = store_in(directory)
        write(self.living, "living")
        killed = store_in(directory)
        write(killed, "killed")
        self.killed = f"{killed.identity.token}.shard"
        killed.close()
        # As if a stopped process had the lock, so that the dead shard stays where it is.
        holder = store_in(directory)
        assert holder._system.lock(holder._archive._lock_descriptor)
        self.holder = holder
        self.whole = self.look()
        assert not self.whole.is_told
        assert len(self.whole.values) == 3

    def look(self) -> Found:
        with closing(store_in(self.directory)) as reader:
            return found(reader.read())

    def close(self) -> None:
        self.living.close()
        self.holder.close()

    def flip(self, name: str, bits: Iterator[int] | range) -> dict[str, int]:
        """Flip each of these bits of a file; gives how many flips had which result."""
        subject = name.partition(".")[0]
        counts = {"flips": 0, "detected": 0, "harmless": 0, "silent": 0, "numbers": 0}
        numbers = number_bytes(self.directory / name) if name == self.killed else []
        descriptor = os.open(self.directory / name, os.O_RDWR)
        for bit in bits:
            byte = os.pread(descriptor, 1, bit // 8)[0]
            os.pwrite(descriptor, bytes([byte ^ 1 << bit % 8]), bit // 8)
            seen = self.look()
            os.pwrite(descriptor, bytes([byte]), bit // 8)
            others = {key: value for key, value in seen.values.items() if key != subject}
            expected = {key: value for key, value in self.whole.values.items() if key != subject}
            assert others == expected, f"bit {bit} of {name} spoils others"
            counts["flips"] += 1
            if seen.is_told:
                counts["detected"] += 1
            elif seen.values == self.whole.values:
                counts["harmless"] += 1
            elif any(bit // 8 in part for part in numbers):
                counts["numbers"] += 1
            else:
                counts["silent"] += 1
                print(f"silent: bit {bit} of {name}")
        os.close(descriptor)
        assert self.look() == self.whole
        print(name, counts)
        return counts


def number_bytes(path: Path) -> list[range]:
    """Where the numbers are in a shard's file."""
    table = path.read_bytes()[TABLE_AT:HEADER_SIZE]
    parts: list[range] = []
    for start in range(0, len(table), CHUNK.size):
        entry = table[start : start + CHUNK.size]
        if not any(entry):
            break
        chunk = Chunk.decode(start // CHUNK.size, entry)
        if chunk.kind == NUMBERS:
            parts.append(range(chunk.offset, chunk.offset + chunk.size))
    return parts


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Sweep]:
    sweep = Sweep(tmp_path / "shards")
    yield sweep
    sweep.close()


def used_bits(sweep: Sweep) -> list[int]:
    """Every bit of the bytes of the killed process's shard that are not zero, or beside one that is not."""
    content = (sweep.directory / sweep.killed).read_bytes()
    used = {near for at, byte in enumerate(content) if byte for near in range(max(at - 8, 0), at + 9)}
    return [8 * at + bit for at in sorted(used) if at < len(content) for bit in range(8)]


def test_no_flipped_bit_of_a_shard_is_silent_or_spoils_others(sweep: Sweep) -> None:
    counts = sweep.flip(sweep.killed, iter(used_bits(sweep)[::13]))
    assert counts["silent"] == 0
    assert counts["detected"] > 100


def test_no_flipped_bit_of_the_archive_is_silent_or_spoils_others(sweep: Sweep) -> None:
    size = (sweep.directory / "archive").stat().st_size
    counts = sweep.flip("archive", range(0, 8 * size, 5))
    assert counts["detected"] == counts["flips"] > 100


@pytest.mark.once  # the tests around it flip a part of the bits, with every interpreter and build
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_bit_of_a_shard_and_of_the_archive_is_flipped(sweep: Sweep) -> None:
    for name in (sweep.killed, "archive"):
        counts = sweep.flip(name, range(8 * (sweep.directory / name).stat().st_size))
        assert counts["silent"] == 0
        assert counts["flips"] == sum(counts.values()) - counts["flips"]


def test_no_flipped_bit_is_silent_where_the_reader_has_read_the_shard_before(sweep: Sweep) -> None:
    name = f"{sweep.living.identity.token}.shard"
    descriptor = os.open(sweep.directory / name, os.O_RDWR)
    with closing(store_in(sweep.directory)) as reader:
        for at in (*range(512, 560), *range(HEADER_SIZE - 32, HEADER_SIZE + 24)):
            reader.read()
            byte = os.pread(descriptor, 1, at)[0]
            os.pwrite(descriptor, bytes([byte ^ 4]), at)
            seen = found(reader.read())
            os.pwrite(descriptor, bytes([byte]), at)
            # What was read before counts, so a part that is not read again changes nothing.
            assert seen.is_told or seen.values == sweep.whole.values, at
            assert seen.values.items() >= {k: v for k, v in sweep.whole.values.items() if k not in name}.items()
    os.close(descriptor)


# Sizes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 511, 512, 4000, 4096, 4100, 5000, 8192, 8200, 12_000, 16_400, 28_000])
def test_a_file_may_be_cut_short_while_it_is_read(sweep: Sweep, size: int) -> None:
    path = sweep.directory / sweep.killed
    content = path.read_bytes()
    assert size < len(content)
    with closing(store_in(sweep.directory)) as reader:
        reader.read()
        os.truncate(path, size)
        known, fresh = found(reader.read()), sweep.look()
        others = {key: value for key, value in sweep.whole.values.items() if key not in sweep.killed}
        for seen in (known, fresh):
            assert {key: value for key, value in seen.values.items() if key not in sweep.killed} == others
        assert fresh.is_told
        # A reader that has read the index before misses only the parts that it reads each time.
        assert known.is_told or known == sweep.whole
        with open(path, "r+b") as file:
            file.write(content + b"x" * 100_000)
        assert found(reader.read()) == sweep.look() == sweep.whole


@pytest.mark.parametrize("size", [0, 4000, 9000])
def test_the_owner_of_a_file_that_was_cut_short_reads_nothing_beyond_its_end(sweep: Sweep, size: int) -> None:
    name = f"{sweep.living.identity.token}.shard"
    content = (sweep.directory / name).read_bytes()
    os.truncate(sweep.directory / name, size)
    seen = found(sweep.living.read())
    assert seen.is_told
    assert seen.values == {key: value for key, value in sweep.whole.values.items() if key not in name}
    with open(sweep.directory / name, "r+b") as file:
        file.write(content)
    assert found(sweep.living.read()) == sweep.whole


def test_an_archive_that_grows_or_is_sparse_is_not_read(sweep: Sweep) -> None:
    content = (sweep.directory / "archive").read_bytes()
    for size in (len(content) + 1, 3 << 30):
        os.truncate(sweep.directory / "archive", size)
        seen = sweep.look()
        assert seen.is_told
        assert seen.values == sweep.whole.values | {"archive": {}}
    (sweep.directory / "archive").write_bytes(bytes(10))
    os.truncate(sweep.directory / "archive", 3 << 30)
    assert sweep.look().is_told


# Other things in the place of files ----------------------------------------------------------------------------------


def _link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    # By its name alone, because the address of a socket has at most 107 bytes.
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


MAKERS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "link": _link,
    "directory": os.mkdir,
    "socket": _socket,
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", ["0123456789abcdef.shard", "archive", "archive.new", "new-0123456789abcdef.shard"])
def test_other_things_in_the_place_of_files_are_told_and_hide_nothing(tmp_path: Path, name: str, maker: str) -> None:
    directory = tmp_path / "shards"
    directory.mkdir(mode=0o700)
    for number in range(2):
        with closing(multiprocess_registry(directory, process_metrics=False)) as registry:
            Counter("jobs_total", "Jobs.", registry=registry).inc(number + 1)
    MAKERS[maker](directory / name)
    with closing(multiprocess_registry(directory, process_metrics=False)) as registry:
        for _ in range(2):
            assert "jobs_total 3.0" in generate_metrics(registry)
        reading = registry.store.read()
    told = " ".join(f"{failure.subject} {failure.reason}" for failure in reading.skipped)
    if name in ("archive", "0123456789abcdef.shard"):
        assert "not a regular file; remove it" in told
    elif name == "archive.new" and maker == "directory":
        assert "folding of dead processes" in told
    else:
        assert not told  # removed, or not in the way


@pytest.mark.parametrize("maker", MAKERS)
def test_other_things_in_the_place_of_the_lock_are_refused(tmp_path: Path, maker: str) -> None:
    MAKERS[maker](tmp_path / "archive.lock")
    with pytest.raises(DirectoryError, match=r"archive\.lock is a .*, not a regular file; remove it"):
        store_in(tmp_path)
    shutil.rmtree(tmp_path)
