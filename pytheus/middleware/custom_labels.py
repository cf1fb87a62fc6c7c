"""The labels that a program adds to the metrics: values, or functions that return them at the end of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import TypeVar

from pytheus.definitions import caller_location
from pytheus.exceptions import PytheusWarning
from pytheus.metrics.label_types import LabelValue
from pytheus.middleware.exchange import Exchange
from pytheus.middleware.options import LabelFunction, MiddlewareOptions
from pytheus.middleware.profiles import Profile

__all__ = ["CustomLabel", "custom_labels"]

S = TypeVar("S", bound=MutableMapping[str, object])

CustomLabel = tuple[str, Callable[[Exchange[S]], LabelValue]]
"""The name of a label, and the function that returns its value."""


def custom_labels(
    options: MiddlewareOptions[S], profile: Profile, subject: str, failed: Callable[[str], None]
) -> list[CustomLabel[S]]:
    """Return the labels of `options`; `failed` is called with a place if the function of one fails.

    Its value is then "". Issues a warning for a label that the metrics have already, which keeps its own value, and
    raises `TypeError` for an async function, whose result would come after the response.
    """
    result: list[CustomLabel[S]] = []
    app_name = options.get("app_name", profile.app_name)
    if app_name:
        result.append((profile.app_label, _constant(app_name)))
    own = {profile.app_label} if app_name else set()
    own.update(label for measure in profile.measures for label in measure.labels)
    labels: Mapping[str, LabelValue | LabelFunction[S]] = options.get("labels", {})
    for name, value in labels.items():
        if name in own:
            import warnings

            path, _, line = caller_location().rpartition(":")
            warnings.warn_explicit(
                f"{subject} sets the label {name!r} itself, so labels[{name!r}] has no effect; choose another name",
                PytheusWarning,
                path or "<unknown>",
                int(line or 1),
            )
        elif callable(value):
            import inspect

            if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(type(value).__call__):
                raise TypeError(f"labels[{name!r}] of {subject} must be a plain function but is async: {value!r:.80}")
            result.append((name, _guarded(name, value, failed)))
        else:
            result.append((name, _constant(value)))
    return result


def _constant(value: LabelValue) -> Callable[[object], LabelValue]:
    return lambda exchange: value


def _guarded(
    name: str, function: LabelFunction[S], failed: Callable[[str], None]
) -> Callable[[Exchange[S]], LabelValue]:
    def value_of(exchange: Exchange[S]) -> LabelValue:
        try:
            return function(exchange.source, exchange.status, exchange.response_headers())
        except Exception:
            failed(f"labels[{name!r}]")
            return ""

    return value_of
