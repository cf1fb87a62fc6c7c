"""The metrics of HTTP requests among other families.

Rules:

- A profile of the middleware (`pytheus.middleware.profiles`) says which metric is the duration, and which of its labels
  has the route, the status and the error. So the names of other libraries, whose profiles they are, are recognised as
  well. A name may have another prefix than the profile's.
- An application that measures by itself is recognised by its names: a histogram of the duration of HTTP requests, and
  labels that are called as usual.
- A client that leaves is not an error, and neither is a task that runs again or is revoked.
- The errors of requests are those of one family, though others of a profile have the same labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pytheus.dashboard.families import FamilyInfo
from pytheus.dashboard.promql import Matcher, Scope, observations, rate
from pytheus.dashboard.units import counts_events
from pytheus.middleware.exchange import CLIENT_GONE
from pytheus.middleware.profiles import FIRST_BYTE, PROFILES, Measure, Profile

__all__ = ["HttpRequests", "error_matcher", "error_ratio", "event_rate", "http_requests"]

_STATUS_LABEL: Final = re.compile(r"(?:.*[_.])?(?:status|code|status_code)")
_ROUTE_LABEL: Final = re.compile(r"(?:.*[_.])?(?:route|path|path_template|handler|endpoint|url_rule|view)")
_DURATION: Final = re.compile(r"(?:.*[_.:])?http[_.](?:server[_.])?requests?[_.](?:(?:duration|latency)[_.])?seconds")
_COUNTER: Final = re.compile(r"(?:.*[_.:])?http[_.](?:server[_.])?(?:requests?|responses?)(?:[_.]total)?")
_ACTIVE: Final = re.compile(r"(?:.*[_.:])?http.*(?:in[_.]?progress|active|in[_.]?flight).*")
_OF_REQUESTS: Final = re.compile(r"http|request|response")
_ERROR_LABEL: Final = re.compile(r"error[_.]type")
_SERVER_ERROR: Final = "5.."
_TASKS_FINISHED: Final = "_tasks_finished_total"  # that of `pytheus.tasks.TaskMetrics`, after its system
_FAILED_STATES: Final = "failure|rejected"


class HttpRequests(NamedTuple):
    """The families of one application's requests.

    `counted` is the counter, or the histogram whose observations are the requests; `errors` is the matcher of its
    series that count errors, or None, and `route` its label of the route, or None. `duration` is the histogram, and
    `duration_route` its label of the route, or None. `active` is the gauge of requests in progress, or None. `names`
    are those of all families that tell of the requests that `counted` counts, so that their errors are the same.
    """

    counted: FamilyInfo
    errors: Matcher | None
    route: str | None
    duration: FamilyInfo
    duration_route: str | None
    active: FamilyInfo | None
    names: frozenset[str]


def http_requests(families: Sequence[FamilyInfo]) -> HttpRequests | None:
    """Return the metrics of HTTP requests in `families`, or None if there is no duration of requests among them.

    >>> labels = ("http_request_method", "http_response_status_code", "http_route", "url_scheme")
    >>> labels += ("network_protocol_version", "error_type")
    >>> duration = FamilyInfo("http_server_request_duration_seconds", "histogram", "", labels)
    >>> found = http_requests([duration])
    >>> print(found.route, found.errors)
    http_route error_type!~"|client_disconnected"
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
                same = (_family(families, each, profile, lead) for each in (*profile.measures, FIRST_BYTE))
                return HttpRequests(
                    counted,
                    errors,
                    _label(measure.labels, "route"),
                    duration,
                    _label(main.labels, "route"),
                    next((family for family in active if family.type == "gauge"), None),
                    frozenset(family.name for family in same if family is not None),
                )
    return _by_usual_names(families)


def _by_usual_names(families: Sequence[FamilyInfo]) -> HttpRequests | None:
    def named(type_: str, pattern: re.Pattern[str]) -> Iterator[FamilyInfo]:
        return (family for family in families if family.type == type_ and pattern.fullmatch(family.name))

    duration = next(named("histogram", _DURATION), None)
    if duration is None:
        return None
    with_errors = [each for each in (duration, *named("counter", _COUNTER)) if _usual_errors(each) is not None]
    counted = next(iter(with_errors), duration)
    return HttpRequests(
        counted,
        _usual_errors(counted),
        _matching(counted.labels, _ROUTE_LABEL),
        duration,
        _matching(duration.labels, _ROUTE_LABEL),
        next(named("gauge", _ACTIVE), None),
        frozenset(family.name for family in (duration, *with_errors) if _lead(family) == _lead(counted)),
    )


def _usual_errors(family: FamilyInfo) -> Matcher | None:
    if (status := _matching(family.labels, _STATUS_LABEL)) is not None:
        return Matcher(status, "=~", _SERVER_ERROR)
    if (error_type := _matching(family.labels, _ERROR_LABEL)) is not None:
        return _error_of_request(error_type)
    return None


def _lead(family: FamilyInfo) -> str:
    return family.name.partition("http")[0]


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
        return _error_of_request(label)
    if (label := _label(labels, "status_text")) is not None:
        return Matcher(label, "=~", _SERVER_ERROR)
    return None


def _error_of_request(label: str) -> Matcher:
    return Matcher(label, "!~", f"|{CLIENT_GONE}")


def error_matcher(family: FamilyInfo, requests: HttpRequests | None = None) -> Matcher | None:
    """Return the matcher of the series of `family` that count errors, or None if its labels do not tell them apart.

    They do by a label `error_type`, as OpenTelemetry has it, which is empty without an error; and a counter of requests
    by a label of the status. Tasks, of which some have an `error_type` and run again, are told apart by their `state`.
    A family of the same `requests` as the counted one has no errors of its own.

    >>> print(error_matcher(FamilyInfo("db_client_operation_duration_seconds", "histogram", "", ("error_type",))))
    error_type!=""
    >>> print(error_matcher(FamilyInfo("http_requests_total", "counter", "", ("method", "code"))))
    code=~"5.."
    >>> print(error_matcher(FamilyInfo("mail_tasks_finished_total", "counter", "", ("task", "state", "error_type"))))
    state=~"failure|rejected"
    """
    if requests is not None and family.name in requests.names:
        return requests.errors if family.name == requests.counted.name else None
    if family.type not in ("counter", "histogram") or (family.type == "counter" and not counts_events(family)):
        return None
    is_of_requests = _OF_REQUESTS.search(family.name) is not None
    error_type = _matching(family.labels, _ERROR_LABEL)
    if error_type is not None:
        if family.name.endswith(_TASKS_FINISHED) and {"task", "state"} <= set(family.labels):
            return Matcher("state", "=~", _FAILED_STATES)
        return _error_of_request(error_type) if is_of_requests else Matcher(error_type, "!=", "")
    status = _matching(family.labels, _STATUS_LABEL)
    if family.type != "counter" or status is None or not is_of_requests:
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
