"""Statesets: which of a fixed set of states hold."""

from __future__ import annotations

import pytest

from pytheus import StateSet, generate_metrics
from pytheus.exceptions import InvalidNameError, LabelError
from pytheus.registry import CollectorRegistry


@pytest.fixture
def door(registry: CollectorRegistry) -> StateSet:
    return StateSet("door", "The door.", states=["open", "closed", "locked"], registry=registry)


def test_each_state_is_a_series(door: StateSet, registry: CollectorRegistry) -> None:
    door.state("closed")
    assert generate_metrics(registry) == (
        "# HELP door The door.\n# TYPE door gauge\n"
        'door{door="open"} 0.0\ndoor{door="closed"} 1.0\ndoor{door="locked"} 0.0\n'
    )


def test_state_lets_one_hold_and_no_other_until_clear(door: StateSet) -> None:
    assert list(door.active) == []
    door.state("open")
    door.state("locked")
    assert door.active == ("locked",)
    door.clear()
    assert list(door.active) == []


def test_set_leaves_the_others_alone(door: StateSet) -> None:
    door.set("closed", True)
    door.set("locked", True)
    door.set("open", True)
    door.set("closed", False)
    assert door.active == ("open", "locked")


@pytest.mark.parametrize("state", ["ajar", "", None, 0], ids=repr)
def test_an_unknown_state_is_refused_and_changes_nothing(door: StateSet, state: str) -> None:
    door.state("open")
    with pytest.raises(LabelError, match="stateset 'door' has the states"):
        door.state(state)
    with pytest.raises(LabelError, match="stateset 'door' has the states"):
        door.set(state, True)
    assert door.active == ("open",)


@pytest.mark.parametrize("states", [[], "open", b"open", ["open", "open"], ["open", 1], 3, ["\ud800"]], ids=repr)
def test_bad_sets_of_states_are_refused_and_nothing_is_registered(
    registry: CollectorRegistry, states: list[str]
) -> None:
    with pytest.raises(LabelError, match="stateset 'door'"):
        StateSet("door", "The door.", states=states, registry=registry)
    assert "door" not in registry


def test_its_name_cannot_be_a_label_as_well(registry: CollectorRegistry) -> None:
    with pytest.raises(InvalidNameError, match="'door'"):
        StateSet("door", "The door.", ["door"], states=["open"], registry=registry)  # type: ignore[pytheus-name]  # on purpose


@pytest.mark.parametrize("name", ["building:door", "__door"])
def test_a_name_that_is_no_label_name_is_refused(registry: CollectorRegistry, name: str) -> None:
    # The states are in a label of that name, and the text would not parse.
    with pytest.raises(InvalidNameError, match="label"):
        StateSet(name, "The door.", states=["open"], registry=registry)
    assert generate_metrics(registry) == ""


def test_labels_precede_the_state(registry: CollectorRegistry) -> None:
    doors = StateSet("door", "The door.", ["building"], states=["open", "closed"], registry=registry)
    doors.labels("a").state("open")
    assert generate_metrics(registry).splitlines()[2:] == [
        'door{building="a",door="open"} 1.0',
        'door{building="a",door="closed"} 0.0',
    ]


def test_states_are_escaped(registry: CollectorRegistry) -> None:
    StateSet("door", "The door.", states=['a"\n\\'], registry=registry)
    assert generate_metrics(registry).endswith('\ndoor{door="a\\"\\n\\\\"} 0.0\n')
