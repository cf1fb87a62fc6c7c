"""However labels are bound, they name the same series."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus import Counter

pytestmark = pytest.mark.property

NAMES = st.lists(
    st.from_regex(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True), unique=True, min_size=1, max_size=5
)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@st.composite
def bindings(draw: st.DrawFn) -> tuple[list[str], dict[str, str], list[str], list[int]]:
    """Label names, a value for each, an order to bind them in, and where to cut that order into steps."""
    names = draw(NAMES)
    values = {name: draw(VALUES) for name in names}
    order = draw(st.permutations(names))
    cuts = sorted(draw(st.lists(st.integers(0, len(names)), max_size=4)))
    return names, values, order, cuts


@given(bindings(), st.data())
def test_any_order_by_any_means_gives_the_same_object(
    binding: tuple[list[str], dict[str, str], list[str], list[int]], data: st.DataObject
) -> None:
    names, values, order, cuts = binding
    metric = Counter("x_total", "X.", names, registry=None)
    handle = metric
    bound: set[str] = set()
    for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True):
        step = {name: values[name] for name in order[start:end]}
        match data.draw(st.sampled_from(["keywords", "mapping", "position"])):
            case "keywords":
                handle = handle.labels(**step)
                bound |= set(step)
            case "mapping":
                handle = handle.labels(step)
                bound |= set(step)
            case _:
                free = [name for name in names if name not in bound][: len(step)]
                handle = handle.labels(*(values[name] for name in free))
                bound |= set(free)
                break
    rest = {name: values[name] for name in names if name not in bound}
    series = handle.labels(**rest) if rest else handle
    assert series is metric.labels(*(values[name] for name in names))
    assert series is metric.labels(**values)
    assert series is metric.labels(values)


@given(NAMES, st.data())
def test_defaults_and_explicit_values_meet_in_one_series(names: list[str], data: st.DataObject) -> None:
    defaults = {name: data.draw(VALUES) for name in names if data.draw(st.booleans())}
    given_ = {name: data.draw(VALUES) for name in names if name not in defaults or data.draw(st.booleans())}
    metric = Counter("x_total", "X.", names, default_labels=defaults, registry=None)
    metric.labels(**given_).inc()
    full = defaults | given_
    metric.labels(full).inc()
    assert metric.labels(**full).value == 2.0
    [family] = metric.collect()
    counted = [dict(sample.labels) for sample in family.samples if sample.value]
    assert counted == [{name: full[name] for name in names}]


@given(st.lists(st.tuples(VALUES, VALUES), max_size=8), st.data())
def test_remove_forgets_exactly_the_series_named(keys: list[tuple[str, str]], data: st.DataObject) -> None:
    metric = Counter("x_total", "X.", ["a", "b"], registry=None)
    for key in keys:
        metric.labels(*key).inc()
    removed = data.draw(st.sets(st.sampled_from(keys))) if keys else set()
    for a, b in removed:
        assert metric.remove(b=b, a=a)
    [family] = metric.collect()
    assert {(sample.labels["a"], sample.labels["b"]) for sample in family.samples} == set(keys) - removed
