"""Databases and caches of a Django project, measured by its hooks: real backends, threads, and asynchronous code.

Each project runs in a process of its own, because Django's settings are of a process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytheus.contrib.django.database import operation_of

_PROJECT = """
import asyncio, json, sys, threading

import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["pytheus.contrib.django", "django.contrib.contenttypes", "django.contrib.sessions"],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"},
        "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    },
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "files": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "files"},
        "broken": {"BACKEND": "django_broken.BrokenCache"},
    },
    SECRET_KEY="of a test", USE_TZ=True, LOGGING_CONFIG=None,
    **{"PYTHEUS_DATABASES": {}, "PYTHEUS_CACHES": {}, **json.loads(sys.argv[1])},
)
django.setup(set_prefix=False)

from django.core.cache import cache, caches
from django.db import IntegrityError, OperationalError, connection, connections, transaction

from pytheus import REGISTRY
from pytheus.contrib.django import measure_caches, measure_databases


def samples(*names):
    return {
        "|".join([family.name + sample.suffix, *sample.labels.values()]): sample.value
        for collector in REGISTRY.collect()
        for family in collector.collect()
        for sample in family.samples
        if (family.name + sample.suffix).startswith(names) and sample.suffix not in ("_bucket", "_sum")
    }

"""

_BROKEN = """
from django.core.cache.backends.base import BaseCache


class BrokenCache(BaseCache):
    def __init__(self, location, params):
        super().__init__(params)
        self.client = "of the backend"

    def get(self, key, default=None, version=None):
        raise ConnectionError("of a test")
"""

_DATABASE = """
def add(name, using=connection):
    with using.cursor() as cursor:
        cursor.execute("INSERT INTO drinks VALUES (%s)", [name])


seen = []


def own_wrapper(execute, sql, params, many, context):
    seen.append(sql)
    return execute(sql, params, many, context)


with connection.execute_wrapper(own_wrapper):  # the first query, within it, opens the connection
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE drinks (name text PRIMARY KEY)")
assert seen == ["CREATE TABLE drinks (name text PRIMARY KEY)"]
measure_databases(**settings.PYTHEUS_DATABASES)  # again, without effect
with connection.cursor() as cursor:
    cursor.execute("/* of a view */ select 1")
    cursor.executemany("INSERT INTO drinks VALUES (%s)", [["tea"], ["mate"], ["cocoa"]])
try:
    with transaction.atomic():
        add("tea")
except IntegrityError:
    pass
try:
    with connection.cursor() as cursor:
        cursor.execute("SELEKT 1")
except OperationalError:
    pass
with connections["other"].cursor() as cursor:
    cursor.execute("SELECT 1")


def work():
    add("of a thread")
    connection.close()


thread = threading.Thread(target=work)
thread.start()
thread.join()
connection.close()
with connection.cursor() as cursor:
    cursor.execute("SELECT 1")
assert seen == ["CREATE TABLE drinks (name text PRIMARY KEY)"]
print(json.dumps(samples("db_client", "django_db")))
"""

_CACHE = """
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache

measure_caches(**settings.PYTHEUS_CACHES)  # again, without effect
assert isinstance(caches["default"], LocMemCache) and isinstance(caches["files"], FileBasedCache)
assert isinstance(cache._connections["default"], BaseCache)
assert cache.get("nothing") is None and cache.get("nothing", 5) == 5 and cache.get("nothing", default=6) == 6
cache.set("none", None)
cache.set("zero", 0, timeout=60)
assert cache.get("none", 7) is None and cache.get("zero", 7) == 0
assert cache.get_many(key for key in ("none", "zero", "nothing")) == {"none": None, "zero": 0}
assert cache.get_or_set("made", lambda: 8) == 8 and cache.get_or_set("made", 9) == 8
assert cache.add("added", 1) and not cache.add("added", 2)
assert cache.incr("added") == 2 and cache.decr("added") == 1
assert "added" in cache and not cache.has_key("nothing") and cache.touch("added")
assert cache.set_many({"a": 1, "b": 2}) == []
cache.delete_many(["a", "b"])
assert cache.delete("added")
cache.clear()
assert cache.default_timeout == 300 and cache.key_prefix == ""
try:
    cache.incr("nothing")
except ValueError:
    pass
try:
    caches["broken"].get("key")
except ConnectionError:
    pass
assert caches["broken"].client == "of the backend" and "BrokenCache" in repr(caches["broken"])
caches["broken"].client = "new"
assert caches["broken"]._cache.client == "new"
del caches["broken"].client
assert not hasattr(caches["broken"], "client")
caches["files"].set("key", 1)
assert caches["files"].get("key") == 1


async def main():
    assert await cache.aget("nothing", 5) == 5
    await cache.aset("key", 1)
    assert await cache.aget("key") == 1
    assert await cache.aget_many(["key", "nothing"]) == {"key": 1}
    assert await cache.aget_or_set("made", 5) == 5
    assert await cache.aincr("key") == 2
    assert await cache.adelete("key")


asyncio.run(main())
print(json.dumps(samples("django_cache")))
"""


def run(tmp_path: Path, program: str, **settings: object) -> dict[str, float]:
    """The samples that the program leaves: by name and values of labels."""
    (tmp_path / "project.py").write_text(_PROJECT + program)
    (tmp_path / "django_broken.py").write_text(_BROKEN)
    command = [sys.executable, "-W", "error", "project.py", json.dumps(settings)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    samples: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return samples


def counts(samples: dict[str, float], metric: str) -> dict[tuple[str, ...], float]:
    """The samples of one metric, by the values of labels."""
    return {tuple(key.split("|")[1:]): value for key, value in samples.items() if key.startswith(f"{metric}|")}


@pytest.mark.once
def test_databases(tmp_path: Path) -> None:
    """1.3: 23."""
    samples = run(tmp_path, _DATABASE)

    assert counts(samples, "db_client_operation_duration_seconds_count") == {
        ("sqlite", "CREATE", "", "default"): 1,
        ("sqlite", "SELECT", "", "default"): 2,
        ("sqlite", "INSERT", "", "default"): 2,
        ("sqlite", "BEGIN", "", "default"): 1,
        ("sqlite", "INSERT", "django.db.utils.IntegrityError", "default"): 1,
        ("sqlite", "_OTHER", "django.db.utils.OperationalError", "default"): 1,
        ("sqlite", "SELECT", "", "other"): 1,
    }
    assert counts(samples, "db_client_connections_opened_total") == {("sqlite", "default"): 3, ("sqlite", "other"): 1}


@pytest.mark.once
def test_databases_by_the_names_of_django_prometheus(tmp_path: Path) -> None:
    """1.2."""
    samples = run(tmp_path, _DATABASE, PYTHEUS_DATABASES={"names": "django-prometheus"})

    assert samples == {
        "django_db_query_duration_seconds_count|default|sqlite": 8,
        "django_db_query_duration_seconds_count|other|sqlite": 1,
        "django_db_execute_total|default|sqlite": 10,
        "django_db_execute_total|other|sqlite": 1,
        "django_db_execute_many_total|default|sqlite": 3,
        "django_db_new_connections_total|default|sqlite": 3,
        "django_db_new_connections_total|other|sqlite": 1,
        "django_db_errors_total|default|sqlite|IntegrityError": 1,
        "django_db_errors_total|default|sqlite|OperationalError": 1,
    }


@pytest.mark.once
def test_caches(tmp_path: Path) -> None:
    """1.1: 41. 1.3: 23."""
    samples = run(tmp_path, _CACHE)

    operations = {"get": 7, "set": 3, "get_many": 2, "get_or_set": 3, "add": 2, "incr": 2, "decr": 1, "has_key": 2}
    operations |= {"touch": 1, "set_many": 1, "delete_many": 1, "delete": 2, "clear": 1}
    assert counts(samples, "django_cache_operation_duration_seconds_count") == {
        **{("default", operation, ""): count for operation, count in operations.items()},
        ("default", "incr", "ValueError"): 1,
        ("files", "get", ""): 1,
        ("files", "set", ""): 1,
        ("broken", "get", "ConnectionError"): 1,
    }
    assert counts(samples, "django_cache_lookups_total") == {
        ("default", "hit"): 7,
        ("default", "miss"): 8,
        ("files", "hit"): 1,
    }


@pytest.mark.once
def test_caches_by_the_names_of_django_prometheus(tmp_path: Path) -> None:
    """1.2."""
    samples = run(tmp_path, _CACHE, PYTHEUS_CACHES={"names": "django-prometheus"})

    assert {key: value for key, value in samples.items() if value} == {
        "django_cache_get_total|locmem": 15,
        "django_cache_get_total|filebased": 1,
        "django_cache_get_total|broken": 1,
        "django_cache_get_hits_total|locmem": 7,
        "django_cache_get_hits_total|filebased": 1,
        "django_cache_get_misses_total|locmem": 8,
        "django_cache_get_fail_total|broken": 1,
    }


@pytest.mark.once
def test_settings_leave_them_unmeasured_and_unknown_names_are_refused(tmp_path: Path) -> None:
    program = """
cache.get("key")
connection.ensure_connection()
for measure in (measure_databases, measure_caches):
    try:
        measure(names="django")
    except ValueError as error:
        assert "takes names of 'otel', 'django-prometheus' but got 'django'" in str(error)
    else:
        raise AssertionError
print(json.dumps(samples("d")))
"""
    assert run(tmp_path, program, PYTHEUS_DATABASES=None, PYTHEUS_CACHES=None) == {}


@pytest.mark.once
@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("SELECT 1", "SELECT"),
        ("select 1", "SELECT"),
        ("\n (SELECT 1) UNION (SELECT 2)", "SELECT"),
        ("-- of a view\n/* and ** more */ WITH a AS (SELECT 1) SELECT * FROM a", "WITH"),
        ("SELECTED", "_OTHER"),
        ("drop_all()", "_OTHER"),
        ("", "_OTHER"),
        ("5", "_OTHER"),
        ("/* unfinished SELECT 1", "_OTHER"),
        ("/**/" * 100_000 + "/*", "_OTHER"),
        ("(" * 1_000_000, "_OTHER"),
        (b"SELECT 1", "_OTHER"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_operation_is_the_first_word_if_it_is_known(statement: object, operation: str) -> None:
    assert operation_of(statement) == operation
