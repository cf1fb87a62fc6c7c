"""Keywords of other libraries are told with the ones that are meant."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"description": "A.", "labelnames": ["a"]}, "did you mean required_labels"),
        ({"documentation": "A."}, "did you mean description"),
        ({"description": "A.", "namespace": "shop"}, "write the whole name"),
        ({"description": "A.", "subsystem": "cart"}, "write the whole name"),
        ({"description": "A.", "multiprocess_mode": "livesum"}, "did you mean mode= and processes="),
        ({"documentation": "A.", "labelnames": ["a"]}, "description=.; no labelnames=: did you mean required_labels"),
    ],
)
@pytest.mark.parametrize("type_", [Counter, Gauge, Histogram, Summary, Info, StateSet])
def test_a_keyword_of_prometheus_client_is_told(type_: Any, options: dict[str, object], hint: str) -> None:
    with pytest.raises(TypeError, match=hint):
        type_("a_total", registry=None, **options)


def test_any_other_keyword_is_an_error_as_before() -> None:
    with pytest.raises(TypeError, match="wrong"):
        Counter("a_total", "A.", wrong=1, registry=None)  # type: ignore[call-overload, call-arg, unused-ignore]


def test_a_derived_class_has_the_hints_and_the_signature_stays() -> None:
    class Derived(Counter[Any]):
        pass

    with pytest.raises(TypeError, match=r"Derived\(...\) has no labelnames="):
        Derived("a_total", "A.", labelnames=["a"], registry=None)  # type: ignore[call-arg]
    assert "required_labels" in inspect.signature(Counter).parameters
    assert Derived("a_total", "A.", ["a"], registry=None).labels("1").value == 0
