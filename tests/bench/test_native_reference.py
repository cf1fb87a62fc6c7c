"""Native histograms are those of client_golang, bit for bit.

The Go program bench/go/native/main.go tells what client_golang does. `BENCH_GOPATH` names another one than Debian's.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import struct
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any

import pytest

from bench.environments import CLIENT_GOLANG, GO_PACKAGES, provide
from pytheus import Histogram
from pytheus.metrics import NativeBuckets
from pytheus.native_bounds import MAX_SCHEMA, MIN_SCHEMA, bucket_index, schema_of_growth, upper_bound
from pytheus.native_buckets import spans_and_deltas

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

Reference = Callable[..., bytes]
"""Runs the Go program with an input and arguments."""


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


# Limits ---------------------------------------------------------------------------------------------------------------

NEVER, ALWAYS = 1e6, 1e-9
"""Seconds before a reset is possible: more than the test takes, and less than it takes between two observations."""

CASES = 200
OBSERVATIONS = 120


def generated_case(generator: random.Random) -> dict[str, Any]:
    spread = generator.choice([0.5, 2.0, 8.0, 100.0])
    special = [
        0.0,
        -0.0,
        1.0,
        -2.0,
        0.5,
        math.inf,
        -math.inf,
        LARGEST,
        SMALLEST,
        2.0**-128,
        *([math.nan] if generator.random() < 0.1 else []),
    ]
    values = []
    for _ in range(OBSERVATIONS):
        value = math.exp(generator.gauss(0, spread)) * generator.choice([1, 1, 1, -1])
        values.append(generator.choice(special) if generator.random() < 0.1 else value)
    return {
        "growth": generator.choice([1.005, 1.05, 1.1, 1.5, 2.0, 20.0]),
        "max_buckets": generator.choice([0, 2, 3, 8, 20]),
        "min_reset_seconds": generator.choice([0.0, NEVER, ALWAYS]),
        "zero_threshold": generator.choice([0.0, 2.0**-128, 0.01]).hex(),
        "max_zero_threshold": generator.choice([0.0, 1e-3, 0.5, 1e3]).hex(),
        "bounds": generator.choice([[], [-1.0, 0.0, 0.1, 1.0, 10.0]]),
        "values": [value.hex() for value in values],
    }


def states_of(case: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The state of our histogram after each observation, in the words of the Go program."""
    native = NativeBuckets(
        growth=case["growth"],
        max_buckets=case["max_buckets"],
        min_reset_seconds=case["min_reset_seconds"],
        zero_threshold=float.fromhex(case["zero_threshold"]),
        max_zero_threshold=float.fromhex(case["max_zero_threshold"]),
    )
    histogram = Histogram("steps", "Steps.", native=native, buckets=case["bounds"], registry=None)
    for value in case["values"]:
        histogram.observe(float.fromhex(value))
        (row,) = histogram.rows()
        assert row.native is not None
        classic = zip(case["bounds"], accumulate(row.numbers[1:]), strict=False)
        positive, negative = map(spans_and_deltas, (row.native.positive, row.native.negative))
        yield {
            "count": row.native.total,
            "sum": row.numbers[0].hex(),
            "classic": [(bound.hex(), count) for bound, count in classic],
            "schema": row.native.schema,
            "zero_threshold": row.native.zero_threshold.hex(),
            "zero_count": row.native.zero_count,
            "positive": positive,
            "negative": negative,
        }


def in_our_words(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state of the Go program, which writes the same numbers in another form."""

    def number(text: str) -> str:
        return math.nan.hex() if text == "NaN" else float.fromhex(text).hex()

    return dict(state) | {
        "sum": number(state["sum"]),
        "zero_threshold": number(state["zero_threshold"]),
        "classic": [(number(bound), float(count)) for bound, count in state["classic"]],
        "positive": ([tuple(span) for span in state["positive"]["spans"]], state["positive"]["deltas"]),
        "negative": ([tuple(span) for span in state["negative"]["spans"]], state["negative"]["deltas"]),
    }


def test_the_same_observations_have_the_same_resets_zero_buckets_and_resolutions(reference: Reference) -> None:
    generator = random.Random(CASES)
    cases = [generated_case(generator) for _ in range(CASES)]
    lines = "".join(f"{json.dumps(case)}\n" for case in cases)
    answers = reference(lines.encode(), "steps").splitlines()
    is_right_below_one = rounds_up(reference)
    resets = widened = halved = 0
    for case, line in zip(cases, answers, strict=True):
        former: dict[str, Any] = {}
        for number, (ours, answer) in enumerate(zip(states_of(case), json.loads(line), strict=True)):
            theirs = in_our_words(answer)
            if theirs["schema"] < 0 and not is_right_below_one:
                break
            assert ours == theirs, (case, number)
            resets += bool(former) and theirs["count"] <= former["count"]
            widened += bool(former) and theirs["zero_threshold"] > former["zero_threshold"]
            halved += bool(former) and theirs["schema"] < former["schema"]
            former = theirs
    assert min(resets, widened, halved) > 50
