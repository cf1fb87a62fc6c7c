"""Native histograms are those of client_golang, bit for bit.

The Go program bench/go/native/main.go tells what client_golang does. `BENCH_GOPATH` names another one than Debian's.
"""

from __future__ import annotations

import math
import random
import shutil
import struct
import subprocess
import sys
from array import array
from collections.abc import Callable

import pytest

from bench.environments import CLIENT_GOLANG, GO_PACKAGES, provide
from pytheus.native_bounds import MAX_SCHEMA, MIN_SCHEMA, bucket_index, schema_of_growth, upper_bound

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("go") is None or not CLIENT_GOLANG.is_dir(),
        reason=f"needs Go and client_golang (Debian: apt-get install {' '.join(GO_PACKAGES)})",
    ),
    pytest.mark.skipif(sys.byteorder != "little", reason="the Go program reads little-endian numbers"),
]

SCHEMAS = range(MIN_SCHEMA, MAX_SCHEMA + 1)
DOUBLES = 100_000
LARGEST, SMALLEST = sys.float_info.max, math.ulp(0.0)

Reference = Callable[[bytes, str, str], bytes]
"""Runs the Go program with an input and two arguments."""


@pytest.fixture(scope="module")
def reference() -> Reference:
    program = provide("go-native").program

    def run(content: bytes, *arguments: str) -> bytes:
        return subprocess.run([program, *arguments], input=content, stdout=subprocess.PIPE, check=True).stdout

    return run


def growth_of(schema: int) -> float:
    """A growth that asks for `schema`, in the middle of those that do."""
    return math.exp2(math.exp2(0.5 - schema))


def assert_same_buckets(reference: Reference, values: array[float], schema: int) -> None:
    if schema < 0 and not rounds_up(reference):
        values = array("d", [value for value in values if abs(value) >= 1])
    answer = array("i", reference(values.tobytes(), "indexes", repr(growth_of(schema))))
    ours = array("i", [bucket_index(value, schema) for value in values])
    if ours != answer:
        differing = [each for each in zip(values, ours, answer, strict=True) if each[1] != each[2]]
        (value, index, theirs), *others = differing
        pytest.fail(f"schema {schema}: {value.hex()} in {index}, not {theirs}, and {len(others)} others")


def rounds_up(reference: Reference) -> bool:
    """Whether wide buckets of values below 1 are where the specification has them: 1.14 rounds their index to zero."""
    answer = array("i", reference(array("d", [2.0**-2.5]).tobytes(), "indexes", repr(growth_of(-1))))
    assert bucket_index(2.0**-2.5, -1) == -1
    return answer[0] == -1


@pytest.mark.parametrize("schema", SCHEMAS)
def test_random_doubles_are_in_the_buckets_of_client_golang(reference: Reference, schema: int) -> None:
    # Every exponent and mantissa alike, both signs, subnormal numbers among them.
    generator = random.Random(DOUBLES)
    values = array("d", [math.inf, -math.inf, LARGEST, -LARGEST, SMALLEST, -SMALLEST, sys.float_info.min])
    while len(values) < DOUBLES:
        (value,) = struct.unpack("<d", generator.getrandbits(64).to_bytes(8, "little"))
        if math.isfinite(value) and value != 0:
            values.append(value)
    assert_same_buckets(reference, values, schema)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_boundary_is_in_its_bucket_and_the_next_double_in_the_next_one(reference: Reference, schema: int) -> None:
    first, last = bucket_index(SMALLEST, schema), bucket_index(LARGEST, schema)
    values = array("d")
    for index in range(first, last):
        bound = upper_bound(index, schema)
        following = math.nextafter(bound, math.inf)
        # Among the subnormal numbers, a bucket may have no double at all.
        if bound > 0:
            if bound >= sys.float_info.min:
                assert bucket_index(bound, schema) == index
                assert bucket_index(following, schema) == index + 1
            values.append(bound)
        values.append(following)
    assert_same_buckets(reference, values, schema)


def test_a_growth_selects_the_schema_that_it_selects_in_client_golang(reference: Reference) -> None:
    # A growth that is not a double may round to either side of a schema's, so it is tried a little above and below.
    around = [math.exp2(math.exp2(-schema)) * factor for schema in SCHEMAS for factor in (1 - 1e-9, 1 + 1e-9)]
    for growth in (1.1, 1.5, 2.0, 3.0, 4.0, 16.0, 256.0, 65536.0, 1e9, 1.00001, *around):
        (index,) = array("i", reference(array("d", [LARGEST]).tobytes(), "indexes", repr(growth)))
        assert index == bucket_index(LARGEST, schema_of_growth(growth)), growth
