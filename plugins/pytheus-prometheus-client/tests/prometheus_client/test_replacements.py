"""The methods of prometheus_client that the seam replaces."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, cast

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry as TheirRegistry
from prometheus_client import metrics, multiprocess, values
from prometheus_client.mmap_dict import MmapedDict

from pytheus.exceptions import PytheusWarning
from pytheus.registry import CollectorRegistry
from pytheus_prometheus_client import install, uninstall

Shown = Callable[[CollectorRegistry, str], list[str]]
Peer = prometheus_client


# Labels --------------------------------------------------------------------------------------------------------------


class _Code(str, Enum):  # noqa: UP042  # its text is not its value
    OK = "ok"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (("a", "b"), {}),
        (("a", 2), {}),
        (("a", True), {}),
        ((_Code.OK, None), {}),
        ((), {"queue": "a", "code": "b"}),
        ((), {"code": 2, "queue": _Code.OK}),
    ],
)
def test_labels_are_found_by_their_text(
    ours: CollectorRegistry, theirs: TheirRegistry, values: tuple[object, ...], named: dict[str, object]
) -> None:
    counter = Peer.Counter("seam_jobs", "Jobs.", ["queue", "code"], registry=theirs)
    counter.labels("ok", "b")
    plain = Peer.Counter("seam_jobs", "Jobs.", ["queue", "code"], registry=None)
    expected = plain.labels(*values, **named)._labelvalues
    first = counter.labels(*values, **named)
    assert first._labelvalues == expected
    assert counter.labels(*values, **named) is first
    assert len(counter._metrics) == 2


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((), {}),
        (("a",), {}),
        (("a", "b", "c"), {}),
        (("a",), {"code": "b"}),
        ((), {"queue": "a"}),
        ((), {"queue": "a", "coed": "b"}),
        ((), {"queue": "a", "code": "b", "more": "c"}),
    ],
)
def test_wrong_labels_raise_as_they_do_there(
    ours: CollectorRegistry, theirs: TheirRegistry, values: tuple[object, ...], named: dict[str, object]
) -> None:
    counter = Peer.Counter("seam_jobs", "Jobs.", ["queue", "code"], registry=theirs)
    counter.labels("a", "b")
    plain = Peer.Counter("seam_jobs", "Jobs.", ["queue", "code"], registry=None)
    with pytest.raises(ValueError, match=r"label|both") as expected:
        plain.labels(*values, **named)
    with pytest.raises(ValueError, match=r"label|both") as found:
        counter.labels(*values, **named)
    assert str(found.value) == str(expected.value)
    assert found.value.__context__ is None


def test_labels_of_a_series_raise_as_they_do_there(ours: CollectorRegistry, theirs: TheirRegistry) -> None:
    counter = Peer.Counter("seam_jobs", "Jobs.", ["queue"], registry=theirs)
    with pytest.raises(ValueError, match="already has labels"):
        counter.labels("a").labels("b")
    with pytest.raises(ValueError, match="No label names"):
        Peer.Counter("seam_one", "One.", registry=theirs).labels("b")


# Files of theirs -----------------------------------------------------------------------------------------------------


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[], TheirRegistry]]:
    """A function with which the program goes back to files; returns a registry with their collector."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    module = cast(Any, values)  # which has no types here

    def use() -> TheirRegistry:
        monkeypatch.setattr(values, "ValueClass", module.MultiProcessValue())
        endpoint = TheirRegistry()
        cast(Any, multiprocess).MultiProcessCollector(endpoint)
        return endpoint

    yield use
    for each in gc.get_objects():
        if type(each) is MmapedDict:  # by isinstance, a proxy of another test would be asked for its class
            cast(Any, each).close()


def test_a_program_that_goes_back_to_files_is_told_and_sees_them(
    ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown, files: Callable[[], TheirRegistry]
) -> None:
    Peer.Counter("seam_jobs", "Jobs.", registry=theirs).inc(3)
    Peer.Counter("seam_more", "More.", registry=theirs).inc(5)
    endpoint = files()
    with pytest.warns(PytheusWarning, match="'seam_jobs' stays in prometheus_client alone.*ValueClass"):
        Peer.Counter("seam_jobs", "Jobs.", registry=TheirRegistry()).inc(7)
    assert shown(ours, "seam_jobs") == ["seam_jobs_total 3.0"]
    assert endpoint.get_sample_value("seam_jobs_total") == 7.0
    assert endpoint.get_sample_value("seam_more_total") == 5.0


def test_files_from_before_the_installation_count_once(
    theirs: TheirRegistry, shown: Shown, files: Callable[[], TheirRegistry]
) -> None:
    endpoint = files()
    counter = Peer.Counter("seam_jobs", "Jobs.", ["a"], registry=theirs)
    counter.labels("x").inc(3)
    ours = CollectorRegistry()
    install(ours)
    try:
        counter.labels("x").inc(4)
        assert shown(ours, "seam_jobs") == ['seam_jobs_total{a="x"} 7.0']
        assert endpoint.get_sample_value("seam_jobs_total", {"a": "x"}) == 7.0
    finally:
        uninstall()


def test_a_metric_in_no_registry_counts_where_files_would_show_it(
    shown: Shown, files: Callable[[], TheirRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = files()
    early = Peer.Counter("seam_early", "Early.", ["a"], registry=None)
    early.labels("x").inc(3)
    ours = CollectorRegistry()
    install(ours)
    try:
        early.labels("x").inc(4)
        late = Peer.Histogram("seam_late", "Late.", ["a"], buckets=[1], registry=None)
        late.labels("x").observe(2)
        assert shown(ours, "seam_early") == ['seam_early_total{a="x"} 7.0']
        assert endpoint.get_sample_value("seam_early_total", {"a": "x"}) == 7.0
        assert endpoint.get_sample_value("seam_late_sum", {"a": "x"}) == 2.0
        monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
        Peer.Counter("seam_alone", "Alone.", registry=None).inc()
        Peer.Counter("seam_alone", "Alone.", (), "", "", "", None).inc()
        assert shown(ours, "seam_alone") == []
    finally:
        uninstall()


# Other programs that replace the same methods ------------------------------------------------------------------------


def test_the_method_of_another_program_stays(
    theirs: TheirRegistry, monkeypatch: pytest.MonkeyPatch, shown: Shown
) -> None:
    before = metrics.MetricWrapperBase.clear
    cleared: list[object] = []
    install(CollectorRegistry())
    ours = metrics.MetricWrapperBase.clear

    def noting(self: metrics.MetricWrapperBase) -> None:
        cleared.append(self)
        ours(self)

    monkeypatch.setattr(metrics.MetricWrapperBase, "clear", noting)
    uninstall()
    assert metrics.MetricWrapperBase.clear is noting
    counter = Peer.Counter("seam_jobs", "Jobs.", ["a"], registry=theirs)
    counter.labels("x").inc()
    counter.clear()
    assert (cleared, counter._metrics) == ([counter], {})
    registry = CollectorRegistry()
    install(registry)
    try:
        counter.labels("x").inc(2)
        assert shown(registry, "seam_jobs") == ['seam_jobs_total{a="x"} 2.0']
        counter.clear()
        assert (len(cleared), shown(registry, "seam_jobs")) == (2, [])
    finally:
        monkeypatch.undo()
        uninstall()
    assert metrics.MetricWrapperBase.clear is before
