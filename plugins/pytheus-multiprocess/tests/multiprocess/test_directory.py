"""The directory is this user's alone, or it is refused with a reason."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from pytheus import Counter, configure, generate_metrics
from pytheus.exceptions import OptionError, PluginLoadError, SelectionError
from pytheus.plugins import RegistryOptions, resolve_registry
from pytheus_multiprocess import multiprocess_registry, pytheus_shared_path
from pytheus_multiprocess.directory import DirectoryError


def refusal(path: Path) -> str:
    with pytest.raises(DirectoryError) as refused:
        multiprocess_registry(path)
    assert refused.value.path == str(path)
    return str(refused.value)


@pytest.mark.parametrize("mode", [None, 0o755])
def test_it_is_made_private_and_one_that_is_there_is_used_as_it_is(tmp_path: Path, mode: int | None) -> None:
    directory = tmp_path / "shards"
    if mode is not None:
        directory.mkdir()
        directory.chmod(mode)
    multiprocess_registry(directory).close()
    assert directory.stat().st_mode & 0o777 == (mode or 0o700)


def test_one_that_is_named_relative_to_here_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    registry = multiprocess_registry("shards", process_metrics=False)
    others = [multiprocess_registry("shards", process_metrics=False) for _ in range(100)]
    for other in others:  # so many that the next one to begin its shard looks what can be folded
        Counter("jobs_total", "Jobs.", registry=other).inc()
        other.close()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "shards").touch()
    monkeypatch.chdir("elsewhere")
    Counter("mine_total", "Mine.", registry=registry).inc()
    seen = multiprocess_registry(tmp_path / "shards", process_metrics=False)
    assert "mine_total 1.0" in generate_metrics(seen)
    seen.close()
    registry.close()


def test_processes_share_a_private_directory_for_a_url_without_one() -> None:
    with pytheus_shared_path(RegistryOptions("multiprocess://?prefix=shop")) as path:
        assert path is not None
        assert os.stat(path).st_mode & 0o777 == 0o700
    assert not os.path.exists(path)


def test_processes_share_the_directory_of_the_url(tmp_path: Path) -> None:
    with pytheus_shared_path(RegistryOptions(f"multiprocess://{quote(str(tmp_path))}")) as path:
        assert path is None
    assert tmp_path.is_dir()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("nowhere/shards", "does not exist; create that first", id="missing parent"),
        pytest.param("link", "is a symbolic link; name the directory that it points to", id="symbolic link"),
        pytest.param("file", "is not a directory", id="file"),
    ],
)
def test_a_path_that_is_no_directory_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "file").touch()
    assert reason in refusal(tmp_path / name)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_one_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    assert re.search(rf"can be written by other users \(mode {mode:o}\); `chmod 700` it", refusal(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_one_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "cannot be written by this process" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_one_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)
    assert "belongs to user 12345, but this process runs as user 0" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
@pytest.mark.parametrize("uid", [0, 12345])
def test_one_of_another_user_that_all_can_write_has_space_below(tmp_path: Path, uid: int) -> None:
    """As a volume that Kubernetes makes for a pod (emptyDir: root, mode 777)."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    os.chown(volume, uid, uid)
    for parent in (tmp_path, *tmp_path.parents):
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    program = (
        "import os\n"
        "from pytheus import Counter, generate_metrics\n"
        "from pytheus_multiprocess import multiprocess_registry\n"
        # Everything is imported as root: the other user may not read this Python.
        f"generate_metrics(multiprocess_registry({str(tmp_path / 'imports')!r}))\n"
        "os.setgid(23456); os.setuid(23456)\n"
        f"try: multiprocess_registry({str(volume)!r})\n"
        "except Exception as error: print(error)\n"
        f"registry = multiprocess_registry({str(volume / 'pytheus')!r}, process_metrics=False)\n"
        "Counter('hits_total', 'Hits.', registry=registry).inc()\n"
        "print('hits_total 1.0' in generate_metrics(registry))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    message, worked = done.stdout.splitlines()
    assert f"belongs to user {uid}, but this process runs as user 23456; name a subdirectory" in message
    assert f"such as '{volume}/pytheus', which is then created for this user" in message
    assert worked == "True"


def test_a_refusal_names_the_plugin_and_changes_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(PluginLoadError, match="multiprocess") as refused:
        resolve_registry(f"multiprocess://{quote(str(tmp_path))}")
    assert isinstance(refused.value.__cause__, DirectoryError)
    assert os.listdir(tmp_path) == []


def test_a_url_without_a_directory_is_refused() -> None:
    with pytest.raises(OptionError, match=r"needs the option 'path' .*; give it as multiprocess:///run/shop or in"):
        configure("multiprocess")


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("multiprocess:/{}", "multiprocess:///{}"),
        ("multiprocess/{}", "multiprocess:///{}"),
        ("multiprocess://{}?prefix=shop", "multiprocess:///{}?prefix=shop"),
        ("multiprocess://{}", "multiprocess:///{}"),
    ],
)
def test_a_url_of_another_form_is_refused_with_the_one_that_was_meant(tmp_path: Path, address: str, meant: str) -> None:
    path = str(tmp_path / "shop").removeprefix("/")
    with pytest.raises(SelectionError) as refused:
        configure(address.format(path))
    assert str(refused.value).endswith(f"; did you mean {meant.format(path)!r}?")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("numbers_step_bytes=100", "numbers_step_bytes must be at least 4096"),
        ("max_size_bytes=100", "max_size_bytes must be at least 65536"),
        ("numbers_step_bytes=67108865", "numbers_step_bytes must be at least 4096 and at most 67108864"),
        ("index_step_bytes=9223372036854775807", "index_step_bytes must be at least 4096 and at most 67108864"),
        ("index_step_bytes=9223372036854775808", "must be int"),
        ("max_size_bytes=1099511627777", "at most 1099511627776"),
        ("retention_seconds=inf", "at most 1000000000"),
        ("retention_seconds=nan", "at most 1000000000"),
        ("retention_seconds=0", "retention_seconds must be greater than 0"),
        ("retention_second=5", "did you mean 'retention_seconds'"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: str, reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        resolve_registry(f"multiprocess://{quote(str(tmp_path))}?{options}")


def test_an_archive_that_cannot_be_read_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"something else")
    one, other = (multiprocess_registry(tmp_path, process_metrics=False) for _ in range(2))
    for registry in (one, other):
        Counter("jobs_total", "Jobs.", registry=registry).inc()
    one.close()  # its shard cannot be folded now, and counts as it is
    for _ in range(2):
        (failure,) = other.store.read().skipped
        assert failure.subject.startswith("archive in ")
        assert "not an archive" in failure.reason
        assert "move it away to begin without it" in failure.reason
        assert "jobs_total 2.0" in generate_metrics(other)
    assert (tmp_path / "archive").read_bytes() == b"something else"
    (tmp_path / "archive").rename(tmp_path / "elsewhere")
    reading = other.store.read()
    assert (reading.skipped, reading.archive.numbers) == ([], [1.0])
    other.close()
