"""The metrics of HTTP requests among other families.

Rules:

- A profile of the middleware (`pytheus.middleware.profiles`) says which metric is the duration, and which of its labels
  has the route, the status and the error. So the names of other libraries, whose profiles they are, are recognised as
  well. A name may have another prefix than the profile's.
- An application that measures by itself is recognised by its names: a histogram of the duration of HTTP requests, and
  labels that are called as usual.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pytheus.dashboard.families import FamilyInfo
from pytheus.dashboard.promql import Matcher, Scope, observations, rate
from pytheus.middleware.profiles import PROFILES, Measure, Profile

__all__ = ["HttpRequests", "error_matcher", "error_ratio", "event_rate", "http_requests"]

_STATUS_LABEL: Final = re.compile(r"(?:.*[_.])?(?:status|code|status_code)")
_ROUTE_LABEL: Final = re.compile(r"(?:.*[_.])?(?:route|path|path_template|handler|endpoint|url_rule|view)")
_DURATION: Final = re.compile(r"(?:.*[_.:])?http[_.](?:server[_.])?requests?[_.](?:(?:duration|latency)[_.])?seconds")
_COUNTER: Final = re.compile(r"(?:.*[_.:])?http[_.](?:server[_.])?(?:requests?|responses?)(?:[_.]total)?")
_ACTIVE: Final = re.compile(r"(?:.*[_.:])?http.*(?:in[_.]?progress|active|in[_.]?flight).*")
_OF_REQUESTS: Final = re.compile(r"http|request|response")
_ERROR_LABEL: Final = re.compile(r"error[_.]type")
_SERVER_ERROR: Final = "5.."


class HttpRequests(NamedTuple):
    """The families of one application's requests.

    `counted` is the counter, or the histogram whose observations are the requests; `errors` is the matcher of its
    series that count errors, or None, and `route` its label of the route, or None. `duration` is the histogram, and
    `duration_route` its label of the route, or None. `active` is the gauge of requests in progress, or None.
    """

    counted: FamilyInfo
    errors: Matcher | None
    route: str | None
    duration: FamilyInfo
    duration_route: str | None
    active: FamilyInfo | None


def http_requests(families: Sequence[FamilyInfo]) -> HttpRequests | None:
    """Return the metrics of HTTP requests in `families`, or None if there is no duration of requests among them.

    >>> labels = ("http_request_method", "http_response_status_code", "http_route", "url_scheme")
    >>> labels += ("network_protocol_version", "error_type")
    >>> duration = FamilyInfo("http_server_request_duration_seconds", "histogram", "", labels)
    >>> found = http_requests([duration])
    >>> print(found.route, found.errors)
    http_route error_type!=""
    """
    for profile in PROFILES.values():
        main = next(measure for measure in profile.measures if measure.is_main)
        duration = _family(families, main, profile)
        if duration is None:
            continue
        lead = duration.name.removesuffix(main.name)
        for measure in profile.measures:
            counted = _family(families, measure, profile, lead)
            errors = _errors(measure.labels)
            if counted is not None and errors is not None and not measure.only_if:
                active = (family for family in families if family.name == f"{lead}{profile.active[0]}")
                return HttpRequests(
                    counted,
                    errors,
                    _label(measure.labels, "route"),
                    duration,
                    _label(main.labels, "route"),
                    next((family for family in active if family.type == "gauge"), None),
                )
    return _by_usual_names(families)


def _by_usual_names(families: Sequence[FamilyInfo]) -> HttpRequests | None:
    def named(type_: str, pattern: re.Pattern[str]) -> Iterator[FamilyInfo]:
        return (family for family in families if family.type == type_ and pattern.fullmatch(family.name))

    duration = next(named("histogram", _DURATION), None)
    if duration is None:
        return None
    with_status = (
        family
        for family in (duration, *named("counter", _COUNTER))
        if _matching(family.labels, _STATUS_LABEL) is not None
    )
    counted = next(with_status, duration)
    status = _matching(counted.labels, _STATUS_LABEL)
    return HttpRequests(
        counted,
        None if status is None else Matcher(status, "=~", _SERVER_ERROR),
        _matching(counted.labels, _ROUTE_LABEL),
        duration,
        _matching(duration.labels, _ROUTE_LABEL),
        next(named("gauge", _ACTIVE), None),
    )


def _matching(labels: Iterable[str], pattern: re.Pattern[str]) -> str | None:
    return next((label for label in labels if pattern.fullmatch(label)), None)


def _family(
    families: Iterable[FamilyInfo], measure: Measure, profile: Profile, lead: str | None = None
) -> FamilyInfo | None:
    for family in families:
        if family.type != measure.type or not family.name.endswith(measure.name):
            continue
        own = family.name.removesuffix(measure.name)
        is_named = own == lead if lead is not None else not own or own.endswith("_")
        if is_named and set(measure.labels) <= set(family.labels):
            return family
    return None


def _label(labels: Mapping[str, str], meaning: str) -> str | None:
    return next((label for label, attribute in labels.items() if attribute == meaning), None)


def _errors(labels: Mapping[str, str]) -> Matcher | None:
    if (label := _label(labels, "error_type")) is not None:
        return Matcher(label, "!=", "")
    if (label := _label(labels, "status_text")) is not None:
        return Matcher(label, "=~", _SERVER_ERROR)
    return None


def error_matcher(family: FamilyInfo) -> Matcher | None:
    """Return the matcher of the series of `family` that count errors, or None if its labels do not tell them apart.

    They do by a label `error_type`, as OpenTelemetry has it, which is empty without an error; and a counter of requests
    by a label of the status.

    >>> print(error_matcher(FamilyInfo("db_client_operation_duration_seconds", "histogram", "", ("error_type",))))
    error_type!=""
    >>> print(error_matcher(FamilyInfo("http_requests_total", "counter", "", ("method", "code"))))
    code=~"5.."
    """
    error_type = _matching(family.labels, _ERROR_LABEL)
    if error_type is not None and family.type in ("counter", "histogram"):
        return Matcher(error_type, "!=", "")
    status = _matching(family.labels, _STATUS_LABEL)
    if family.type != "counter" or status is None or _OF_REQUESTS.search(family.name) is None:
        return None
    return Matcher(status, "=~", _SERVER_ERROR)


def event_rate(family: FamilyInfo, scope: Scope, labels: Iterable[str], *matchers: Matcher) -> str:
    """Return the events per second that `family` counts, a counter or a histogram, by `labels`."""
    if family.type == "counter":
        return rate(family.name, scope, labels, *matchers)
    return observations(family, scope, labels, *matchers)


def error_ratio(family: FamilyInfo, errors: Matcher, scope: Scope, labels: Iterable[str]) -> str:
    """Return the share of the events of `family` that `errors` matches, by `labels`; 0 if no series has an error."""
    by = tuple(labels)
    failed, all_ = event_rate(family, scope, by, errors), event_rate(family, scope, by)
    return f"({failed} or 0 * ({all_})) / ({all_})"
