"""A Django project with a real PostgreSQL, its pool of connections, and the statements that psycopg composes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Start

_PROJECT = """
import json, os, threading

import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["pytheus.contrib.django"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "postgres",
            "HOST": os.environ["SOCKETS"],
            "OPTIONS": {"pool": {"min_size": 1, "max_size": 2, "timeout": 60}},
        },
    },
    SECRET_KEY="of a test", USE_TZ=True, LOGGING_CONFIG=None,
)
django.setup(set_prefix=False)

from django.db import IntegrityError, connection, transaction
from psycopg import sql

from pytheus import REGISTRY


def execute(statement, *params):
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)


execute("CREATE TABLE drinks (name text PRIMARY KEY)")
with connection.cursor() as cursor:
    cursor.executemany("INSERT INTO drinks VALUES (%s)", [["tea"], ["mate"]])
with transaction.atomic():
    try:
        with transaction.atomic():
            execute("INSERT INTO drinks VALUES (%s)", "tea")
    except IntegrityError:
        pass
    with connection.chunked_cursor() as cursor:
        cursor.execute("SELECT name FROM drinks ORDER BY name")
        assert [name for name, in cursor] == ["mate", "tea"]
execute(sql.SQL("SELECT {}").format(sql.Literal(1)))


def work():
    for _ in range(10):
        execute("SELECT 1")
        connection.close()  # gives it back to the pool


threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
connection.close()
connection.close_pool()
print(json.dumps([
    [sample.labels, sample.value]
    for collector in REGISTRY.collect()
    for family in collector.collect()
    for sample in family.samples
    if family.name.startswith("db_client") and sample.suffix not in ("_bucket", "_sum")
]))
"""


@pytest.fixture
def server(start: Start) -> Iterator[str]:
    """The directory of the sockets of a server, which may not run as root."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        pytest.skip("PostgreSQL is not installed")
    binaries = programs[-1].parent
    as_user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups") if os.geteuid() == 0 else ()
    directory = Path(tempfile.mkdtemp(prefix="pytheus-pg-"))  # sockets have short paths, and root's are closed
    try:
        if as_user:
            shutil.chown(directory, "postgres")
        data = str(directory / "data")
        initdb = (*as_user, str(binaries / "initdb"), "-A", "trust", "-U", "postgres", "--no-sync", data)
        subprocess.run(initdb, cwd=directory, check=True, capture_output=True, timeout=100)
        options = ("-c", "listen_addresses=", "-c", f"unix_socket_directories={directory}", "-c", "fsync=off")
        program = start(*as_user, str(binaries / "postgres"), "-D", data, *options, cwd=directory)
        program.wait_for("ready to accept connections")
        yield str(directory)
        program.end()
    finally:
        shutil.rmtree(directory)


@pytest.mark.once
@pytest.mark.slow
def test_a_pool_of_connections(tmp_path: Path, server: str) -> None:
    """1.1: 41. 1.3: 23."""
    (tmp_path / "project.py").write_text(_PROJECT)
    command = [sys.executable, "project.py"]
    environ = os.environ | {"SOCKETS": server}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr

    samples = {tuple(labels.values()): value for labels, value in json.loads(done.stdout.splitlines()[-1])}
    assert samples == {
        ("postgresql", "default"): 41,  # connections taken out of the pool
        ("postgresql", "CREATE", "", "default"): 1,
        ("postgresql", "INSERT", "", "default"): 1,
        ("postgresql", "INSERT", "django.db.utils.IntegrityError", "default"): 1,
        ("postgresql", "SAVEPOINT", "", "default"): 1,
        ("postgresql", "ROLLBACK", "", "default"): 1,
        ("postgresql", "RELEASE", "", "default"): 1,
        ("postgresql", "SELECT", "", "default"): 41,
        ("postgresql", "_OTHER", "", "default"): 1,  # as psycopg composes it
    }
