"""Statesets: which of a fixed set of states hold."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

from pytheus.atomic import LOCKED
from pytheus.exceptions import LabelError
from pytheus.kinds import MetricType
from pytheus.metrics.doubles import UNBOUND, FloatBuffer
from pytheus.metrics.guard import guard
from pytheus.metrics.label_types import Complete, L
from pytheus.metrics.metric import Metric
from pytheus.names import validate_label_name, validate_metric_name, validate_text
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY
from pytheus.registry.storage import NumberStorage
from pytheus.samples import Exemplar, Row, Sample
from pytheus.textformat import format_labels, header

__all__ = ["StateSet"]


class StateSet(Metric[L, L, "StateSet[Complete]"]):
    """Which of a fixed set of states hold; most often exactly one does.

        >>> door = StateSet("door", "The door.", states=["open", "closed"], registry=None)
        >>> door.state("open")
        >>> door.active
        ('open',)

    Exposed as a series for each state, 1 where it holds and 0 where not, in a label that has the metric's name:
    ``door{door="open"} 1.0``. At first no state holds. The other arguments are those of `Counter`.
    https://prometheus.io/docs/specs/om/open_metrics_spec/#stateset
    """

    __slots__ = ()

    type_: ClassVar[MetricType] = "stateset"

    def __init__(
        self,
        name: str,
        description: str,
        required_labels: Iterable[str] | None = None,
        *,
        states: Iterable[str],
        default_labels: Mapping[str, str] | None = None,
        labels_from: Mapping[str, Iterable[str]] | None = None,
        labels: L | None = None,
        registry: Registry | None = REGISTRY,
    ) -> None:
        subject = f"stateset {validate_metric_name(name, 'stateset')!r}"
        validate_label_name(name, f"{subject} shows its states in a label of its own name, and so")
        super().__init__(
            name,
            description,
            required_labels,
            default_labels,
            labels_from,
            registry,
            states=_validated_states(states, subject),
            labels=labels,
        )

    def state(self: StateSet[Complete], state: str) -> None:
        """Let this state hold, and no other; raises `LabelError` for one that is not in the set."""
        self._write(state, alone=True, value=1.0)

    def set(self: StateSet[Complete], state: str, active: bool) -> None:
        """Let this state hold or not, whatever the others do; raises `LabelError` for one that is not in the set."""
        self._write(state, alone=False, value=1.0 if active else 0.0)

    @property
    def active(self: StateSet[Complete]) -> tuple[str, ...]:
        """The states that hold now."""
        states = self._series.definition.states
        return tuple(state for state, number in zip(states, self._bound()._numbers(), strict=True) if number)

    def _write(self: StateSet[Complete], state: str, *, alone: bool, value: float) -> None:
        states = self._series.definition.states
        if state not in states:
            raise LabelError(f"stateset {self.name!r} has the states {states!r} but got {state!r}")
        view = self._bound()._view
        assert view is not None
        if alone:
            numbers = array("d", bytes(8 * len(states)))
            numbers[states.index(state)] = value
            view[:] = numbers
        else:
            view[states.index(state)] = value

    def _numbers(self) -> list[float]:
        view = self._view
        assert view is not None
        return view.tolist()

    def _reset(self) -> None:
        zeros = array("d", bytes(8 * len(self._series.definition.states)))
        view = self._view
        if view is None or view is UNBOUND:
            self._view = cast(FloatBuffer, zeros)
        else:
            view[:] = zeros

    def _share(self, incumbent: Metric) -> None:
        # Each write asks the incumbent, whose states may be moved at any time.
        self._view = UNBOUND

    def _size(self) -> int:
        return len(self._series.definition.states)

    def _row(self, exemplars: Mapping[int, Exemplar] | None) -> Row:
        return Row(cast("tuple[str, ...]", self._labels), self._numbers(), None, exemplars)

    def _move(self, storage: NumberStorage, carry: bool) -> None:
        view = storage.buffer(cast("tuple[str, ...]", self._labels), self._size())
        if view is not self._view:
            self._lie_in(view, carry)

    def _settle(self) -> bool:
        # A view again, for those take their numbers from any other, and arrays only from arrays.
        self._lie_in(cast(FloatBuffer, memoryview(array("d", bytes(8 * self._size())))), True)
        return True

    def _lie_in(self, view: FloatBuffer, carry: bool) -> None:
        whole = slice(None)
        former: Any
        # atomic: no state is written in between
        if carry:
            former = self._view
            view[whole] = former
        self._view = view

    def _samples(self) -> list[Sample]:
        name = self._series.definition.name
        labels = self._label_dict()
        states = self._series.definition.states
        return [
            Sample("", {**labels, name: state}, number) for state, number in zip(states, self._numbers(), strict=True)
        ]

    def text_parts(self, prefix: str) -> list[str]:
        """The whole family in the text format, in a few pieces; `prefix` is "" or ends with "_"."""
        definition = self._series.definition
        name = prefix + definition.name
        lines = [header(name, "stateset", definition.description)]
        for child in cast("list[StateSet]", list(self._series.children.values())):
            for sample in child._samples():
                lines.append(f"{{{format_labels(sample.labels.items())}}} {sample.value!r}\n")
        return [name.join(lines)]


def _validated_states(states: object, subject: str) -> tuple[str, ...]:
    if isinstance(states, (str, bytes)) or not isinstance(states, Iterable):
        raise LabelError(f"{subject} takes its states as a sequence of str but got {states!r:.80}")
    checked: list[str] = []
    for state in states:
        text = validate_text(state, f"a state of {subject}")
        if text in checked:
            raise LabelError(f"{subject} has the state {text!r} twice; name each state once")
        checked.append(text)
    if not checked:
        raise LabelError(f"{subject} has no states; name at least one")
    return tuple(checked)


if LOCKED:
    guard(StateSet, "_write", "_numbers", "_reset", "_lie_in")
