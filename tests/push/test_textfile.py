"""Files for node_exporter: whole at any moment, readable, and left as they are by a failure."""

from __future__ import annotations

import errno
import math
import os
import resource
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytheus import Counter, CustomCollector
from pytheus.exceptions import InvalidReceiverError, PushError
from pytheus.push import write_stdout, write_textfile
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family, Sample


@pytest.fixture
def shop() -> CollectorRegistry:
    registry = CollectorRegistry(prefix="shop")
    Counter("orders_total", "Orders.", registry=registry).inc(3)
    return registry


WRITTEN = "# HELP shop_orders_total Orders.\n# TYPE shop_orders_total counter\nshop_orders_total 3.0\n"


def test_the_file_has_the_metrics_and_any_user_may_read_it(shop: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "nightly.prom"
    before = os.umask(0o077)
    try:
        write_textfile(path, shop)
    finally:
        os.umask(before)
    assert path.read_text() == WRITTEN
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["nightly.prom"]


def test_samples_have_no_times_of_their_own(
    shop: CollectorRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """node_exporter refuses a file with one, but standard output may be for any reader."""

    class Late(CustomCollector):
        def collect(self) -> Iterator[Family]:
            yield Family("late", "gauge", "Late.", [Sample("", {}, 7.0, 12.5)])

    shop.register(Late())
    path = tmp_path / "nightly.prom"
    write_textfile(path, shop)
    late = "# HELP shop_late Late.\n# TYPE shop_late gauge\nshop_late 7.0"
    assert path.read_text() == f"{WRITTEN}{late}\n"
    write_stdout(shop)
    assert capsys.readouterr().out == f"{WRITTEN}{late} 12500\n"


def test_the_permissions_can_be_chosen(shop: CollectorRegistry, tmp_path: Path) -> None:
    write_textfile(str(tmp_path / "a.prom"), shop, mode=0o640)
    assert stat.S_IMODE((tmp_path / "a.prom").stat().st_mode) == 0o640


def test_an_older_file_is_replaced_and_not_written_into(shop: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "nightly.prom"
    path.write_text("old\n")
    with path.open() as reader:
        write_textfile(path, shop)
        assert reader.read() == "old\n"
    assert path.read_text() == WRITTEN


def test_a_link_is_followed(shop: CollectorRegistry, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    path = tmp_path / "nightly.prom"
    path.symlink_to(folder / "real.prom")
    write_textfile(path, shop)
    assert path.is_symlink()
    assert (folder / "real.prom").read_text() == WRITTEN


def test_a_device_is_refused(shop: CollectorRegistry) -> None:
    with pytest.raises(PushError, match="is not a regular file; name another one"):
        write_textfile(os.devnull, shop)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_folder_that_does_not_exist_is_named(shop: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "none" / "nightly.prom"
    with pytest.raises(PushError, match=r"nightly\.prom cannot be written: No such file or directory") as caught:
        write_textfile(path, shop)
    assert caught.value.reason == "file"


@pytest.mark.parametrize("name", ["a\0.prom", "a\ud800.prom"])
def test_a_name_that_no_file_can_have(shop: CollectorRegistry, tmp_path: Path, name: str) -> None:
    with pytest.raises(PushError, match=r"a\\\w+\.prom' cannot be written: ") as caught:
        write_textfile(tmp_path / name, shop)
    assert caught.value.reason == "file"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "write",
    [
        lambda: write_textfile("a", timeout_seconds=0),
        lambda: write_textfile("a", timeout_seconds=math.inf),
        lambda: write_stdout(timeout_seconds=-1),
    ],
)
def test_a_limit_is_a_positive_number(write: Callable[[], None]) -> None:
    with pytest.raises(InvalidReceiverError, match=r"timeout_seconds for .* is a positive number"):
        write()


def test_a_long_name_leaves_space_for_its_successor(shop: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / ("a" * 250 + ".prom")
    write_textfile(path, shop)
    assert path.read_text() == WRITTEN


def test_a_disk_that_is_full_leaves_the_old_file(shop: CollectorRegistry, tmp_path: Path) -> None:
    """A limit on the size of files stops the writing in the middle, as a full disk does."""
    path = tmp_path / "nightly.prom"
    write_textfile(path, shop)
    many = Counter("many_total", "Many.", ["x"], registry=shop)
    for number in range(2000):
        many.labels(str(number)).inc()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, before[1]))
    try:
        with pytest.raises(PushError, match=r"cannot be written: .*; the old one stays") as caught:
            write_textfile(path, shop)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert path.read_text() == WRITTEN
    assert os.listdir(tmp_path) == ["nightly.prom"]


def test_the_metrics_are_written_to_standard_output(
    shop: CollectorRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stdout(shop)
    assert capsys.readouterr().out == WRITTEN


def test_a_standard_output_that_is_closed_is_an_error(
    shop: CollectorRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "out").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(PushError, match="standard output cannot be written"):
        write_stdout(shop)


def test_a_program_without_standard_output(shop: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(PushError, match="there is no standard output") as caught:
        write_stdout(shop)
    assert caught.value.reason == "file"
