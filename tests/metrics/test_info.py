"""Infos: facts as labels of a series that is always 1."""

from __future__ import annotations

import pytest

from pytheus import Info, generate_metrics
from pytheus.exceptions import InvalidNameError, LabelError
from pytheus.registry import CollectorRegistry


@pytest.mark.parametrize(
    ("name", "facts", "line"),
    [
        ("build", {"version": "1.2", "branch": "main"}, 'build_info{version="1.2",branch="main"} 1.0'),
        ("build_info", {"version": "1.2"}, 'build_info{version="1.2"} 1.0'),
        ("build", {}, "build_info 1.0"),
    ],
    ids=["facts", "the suffix is in the name", "no facts"],
)
def test_facts_are_labels_of_a_one(registry: CollectorRegistry, name: str, facts: dict[str, str], line: str) -> None:
    Info(name, "The build.", registry=registry).info(facts)
    assert generate_metrics(registry) == f"# HELP build_info The build.\n# TYPE build_info gauge\n{line}\n"


def test_facts_by_mapping_and_by_keyword_go_together(registry: CollectorRegistry) -> None:
    Info("build", "The build.", registry=registry).info({"version": "1.2"}, branch="main")
    assert generate_metrics(registry).endswith('\nbuild_info{version="1.2",branch="main"} 1.0\n')


def test_without_facts_nothing_is_exposed(registry: CollectorRegistry) -> None:
    Info("build", "The build.", registry=registry)
    assert [line for line in generate_metrics(registry).splitlines() if not line.startswith("#")] == []


def test_new_facts_replace_the_old_ones(registry: CollectorRegistry) -> None:
    build = Info("build", "The build.", registry=registry)
    build.info(version="1", branch="main")
    generate_metrics(registry)
    build.info(version="2")
    assert generate_metrics(registry).splitlines()[2:] == ['build_info{version="2"} 1.0']


def test_facts_stand_beside_the_metrics_own_labels(registry: CollectorRegistry) -> None:
    build = Info("build", "The build.", ["part"], registry=registry)
    build.labels("api").info(version="1")
    build.labels("web").info(version="2")
    assert generate_metrics(registry).splitlines()[2:] == [
        'build_info{part="api",version="1"} 1.0',
        'build_info{part="web",version="2"} 1.0',
    ]


def test_later_changes_of_the_callers_dict_change_nothing(registry: CollectorRegistry) -> None:
    facts = {"version": "1"}
    Info("build", "The build.", registry=registry).info(facts)
    facts["version"] = "2"
    assert 'version="1"' in generate_metrics(registry)


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"version": 1.5}, LabelError),
        ({"version": None}, LabelError),
        ({"version": "\ud800"}, LabelError),
        ({"the version": "1"}, InvalidNameError),
        ({"__version": "1"}, InvalidNameError),
        ({1: "1"}, InvalidNameError),
        ({"part": "web"}, LabelError),
        ([("version", "1")], LabelError),
        ("version", LabelError),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("strict")
def test_bad_facts_are_refused_and_change_nothing(
    registry: CollectorRegistry, facts: dict[str, str], error: type[Exception]
) -> None:
    build = Info("build", "The build.", ["part"], registry=registry)
    build.labels("api").info(version="0")
    before = generate_metrics(registry)
    with pytest.raises(error):
        build.labels("api").info(facts)
    assert generate_metrics(registry) == before


def test_a_fact_given_twice_is_refused() -> None:
    with pytest.raises(LabelError, match="'version' already"):
        Info("build", "The build.", registry=None).info({"version": "1"}, version="2")


def test_a_prefix_precedes_its_name(registry: CollectorRegistry) -> None:
    registry.prefix = "app"
    Info("build", "The build.", registry=registry).info(version="1")
    assert generate_metrics(registry).splitlines()[1:] == [
        "# TYPE app_build_info gauge",
        'app_build_info{version="1"} 1.0',
    ]
