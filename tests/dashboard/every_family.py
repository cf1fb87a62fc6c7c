"""Families of every type, and of names, labels and texts that some reader takes for something else."""

from __future__ import annotations

from hypothesis import strategies as st

from pytheus.dashboard import FamilyInfo

__all__ = ["EVERY", "FAMILIES", "ODD_TEXTS", "legacy_families"]

ODD_TEXTS = (
    "plain",
    "$job ${instance} [[job]] $__rate_interval",
    "{{ $labels.job }} }} {{",
    'a "quoted" \\ word, it\'s',
    "line\nend\r\ttab",
    "é 𝄞 \u2028 \x85 \ufeff \x00 \x7f",
    "- # : & * ! | > % @ `",
    "<b>bold</b> &amp;",
    "yes",
    "~",
    " spaces ",
)

EVERY = [
    FamilyInfo("shop_orders_total", "counter", "Orders.", ("result", "shop", "till")),
    FamilyInfo("shop_visits", "counter", "Without the suffix."),
    FamilyInfo("shop_sent_bytes_total", "counter", "Bytes.", unit="bytes"),
    FamilyInfo("shop_jobs_total", "counter", "Jobs.", ("queue",)),
    FamilyInfo("shop_jobs_failed_total", "counter", "Jobs that failed.", ("queue", "reason")),
    FamilyInfo("shop_rpc_requests_total", "counter", "Calls.", ("code",)),
    FamilyInfo("shop_level", "gauge", "Levels.", ("kind",)),
    FamilyInfo("shop_queue", "gauge", "Jobs that wait.", ("queue", "kind")),
    FamilyInfo("shop_queue_limit", "gauge", "Jobs that may wait.", ("queue",)),
    FamilyInfo("shop_last_run_timestamp_seconds", "gauge", "Last run."),
    FamilyInfo("shop_wait_seconds", "histogram", "Waits.", ("queue",), "seconds", bound=10.0),
    FamilyInfo("shop_both_seconds", "histogram", "Both.", (), "seconds", bound=10.0, is_native=True),
    FamilyInfo("shop_native_seconds", "histogram", "Native.", is_native=True),
    FamilyInfo("shop_size_bytes", "summary", "Sizes."),
    FamilyInfo("shop_age_seconds", "summary", "Ages.", ("kind",), has_quantiles=True),
    FamilyInfo("shop_build_info", "info", "Build."),
    FamilyInfo("shop_mode", "stateset", "Mode.", ("zone",)),
    FamilyInfo("shop_waiting_seconds", "gaugehistogram", "Now.", bound=1.0),
    FamilyInfo("shop_passed", "unknown", "Of others.", ("a",)),
    FamilyInfo("shop_tasks_total", "counter", "Tasks.", ("task", "state", "error_type")),
    FamilyInfo("http_requests_total", "counter", "Requests.", ("method", "status", "handler")),
    FamilyInfo("http_request_duration_seconds", "histogram", "Durations.", ("method", "handler"), bound=1.0),
    FamilyInfo("http_requests_inprogress", "gauge", "Requests now."),
    FamilyInfo("process_open_fds", "gauge", "Open."),
    FamilyInfo("process_max_fds", "gauge", "Limit."),
    FamilyInfo("process_start_time_seconds", "gauge", "Start."),
]

# Words of PromQL are valid names of metrics and labels.
_WORDS = st.sampled_from(
    [
        *("sum", "by", "on", "bool", "inf", "NaN", "offset", "and", "unless", "rate", "ignoring", "without", "atan2"),
        *("group_left", "group_right", "count_values", "le", "start", "end", "step", "smoothed", "up"),
        *("job", "instance", "exported_job", "_", "__a", "a:b:c"),
    ]
)
_LEGACY = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
_LEGACY_LABELS = _LEGACY.filter(lambda name: not name.startswith("__")) | _WORDS.filter(
    lambda name: name.isidentifier()
)
_LIMIT_NAMES = st.sampled_from(["pool", "pool_max", "pool_size", "x_errors_total", "x_total", "http_requests_total"])
_TEXTS = st.sampled_from(ODD_TEXTS) | st.text(max_size=20)
_TYPES = st.sampled_from(["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"])


def _families(names: st.SearchStrategy[str], labels: st.SearchStrategy[str]) -> st.SearchStrategy[list[FamilyInfo]]:
    family = st.builds(
        FamilyInfo,
        names,
        _TYPES,
        _TEXTS,
        st.lists(labels, max_size=4, unique=True).map(tuple),
        st.sampled_from(["", "seconds", "bytes", "euros"]),
        st.sampled_from(["", "sum of all", "min", "max", "last", "each"]),
        st.none() | st.floats(0.001, 1e6),
        st.booleans(),
        st.booleans(),
    )
    return st.lists(family, max_size=6, unique_by=lambda family: family.name)


legacy_families = _families(_LEGACY | _WORDS | _LIMIT_NAMES, _LEGACY_LABELS)
"""Families whose names every version of Prometheus reads."""

_ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10) | st.sampled_from(ODD_TEXTS)
FAMILIES = _families(_LEGACY | _WORDS | _LIMIT_NAMES | _ANY, _LEGACY_LABELS | _ANY)
"""Families with any names, which Prometheus 3 reads."""
