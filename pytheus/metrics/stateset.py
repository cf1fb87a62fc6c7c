"""Statesets: which states of a fixed set are active."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, cast

from pytheus.atomic import LOCKED
from pytheus.exceptions import LabelError
from pytheus.kinds import MetricType
from pytheus.metrics.label_types import Complete, DefaultLabels, L, LabelValue
from pytheus.metrics.locking import lock_methods
from pytheus.metrics.metric import Metric
from pytheus.metrics.series import UNBOUND
from pytheus.names import state_label, validate_label_name, validate_metric_name, validate_text
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY
from pytheus.registry.storage import FloatBuffer, NumberStorage
from pytheus.samples import Exemplar, Row, Sample
from pytheus.settings import NameRules
from pytheus.textformat import format_labels, header

__all__ = ["StateSet"]

_MAX_MOVES: Final = 100
"""How often states that another thread changes meanwhile are moved as a whole."""


class StateSet(Metric[L, L, "StateSet[Complete]"]):
    """A fixed set of states, each active or not; usually exactly one is.

        >>> door = StateSet("door", "The door.", states=["open", "closed"], registry=None)
        >>> door.state("open")
        >>> door.active
        ('open',)

    Each state is exposed as a series with the value 1 if it is active and 0 if not, in a label with the metric's name:
    ``door{door="open"} 1.0``, or with a prefix of the registry, ``shop_door{shop_door="open"} 1.0``. At first no state
    is active. `states` are the states in order, at least one, each a str.
    The other arguments are those of `Counter`. All methods may be called from any thread.
    https://prometheus.io/docs/specs/om/open_metrics_spec/#stateset

    Raises as `Counter` does, and `LabelError` for states that are missing, repeated or not a str.
    """

    __slots__ = ("_former", "_written")

    # The numbers of a series that has ended, and whether one was written since it was marked.
    _former: FloatBuffer | None
    _written: bool

    type_: ClassVar[MetricType] = "stateset"

    def __init__(
        self,
        name: str,
        description: str,
        required_labels: Iterable[str] | None = None,
        *,
        states: Iterable[str],
        default_labels: DefaultLabels | None = None,
        labels_from: Mapping[str, Iterable[LabelValue]] | None = None,
        labels: L | None = None,
        names: NameRules | None = None,
        registry: Registry | None = REGISTRY,
    ) -> None:
        subject = f"stateset {validate_metric_name(name, 'stateset', names)!r}"
        validate_label_name(name, f"{subject} exposes its states in a label of the same name, and so", names=names)
        super().__init__(
            name,
            description,
            required_labels,
            default_labels,
            labels_from,
            registry,
            states=_validated_states(states, subject),
            labels=labels,
            names=names,
        )

    def _init_handle(self) -> None:
        self._former = None
        self._written = False

    def state(self: StateSet[Complete], state: str) -> None:
        """Activate `state` and no other.

        Raises `LabelError` if it is not in the set or a label is missing.
        """
        self._write(state, alone=True, value=1.0)

    def set(self: StateSet[Complete], state: str, active: bool) -> None:
        """Activate or deactivate `state`, and leave the others unchanged.

        Raises as `state` does.
        """
        self._write(state, alone=False, value=1.0 if active else 0.0)

    @property
    def active(self: StateSet[Complete]) -> tuple[str, ...]:
        """The active states in order. Raises `LabelError` if a label is missing."""
        states = self._series.definition.states
        return tuple(state for state, number in zip(states, self._bound()._numbers(), strict=True) if number)

    def _write(self: StateSet[Complete], state: str, *, alone: bool, value: float) -> None:
        states = self._series.definition.states
        if state not in states:
            raise LabelError(f"stateset {self.name!r} has the states {states!r} but got {state!r}")
        index = states.index(state)
        numbers = array("d", bytes(8 * len(states)))
        numbers[index] = value
        whole = slice(None)
        while True:
            series = self._bound()
            view = series._view
            assert view is not None
            # atomic: the series does not end meanwhile, and a write of the same states shows, too
            if series._view is view:
                if alone:
                    view[whole] = numbers
                else:
                    view[index] = value
                series._written = True
                return

    def _mark(self) -> object:
        self._written = False
        return self

    def _is_idle(self, mark: object) -> bool:
        return not self._written

    def _leave(self, mark: object) -> bool:
        # atomic: a write comes before, and the series stays, or after, and begins a new one
        if self._written:
            return False
        self._former = self._view
        self._view = UNBOUND
        return True

    def _numbers(self) -> list[float]:
        view = self._view if self._former is None else self._former
        assert view is not None
        return view.tolist()

    def _reset(self) -> None:
        zeros = array("d", bytes(8 * len(self._series.definition.states)))
        view = self._view
        if view is None or view is UNBOUND:
            self._view = cast(FloatBuffer, zeros)
        else:
            view[:] = zeros

    def _share_with(self, incumbent: Metric) -> None:
        # Each write goes to the incumbent, whose states may move at any time.
        self._view = UNBOUND

    def _wake(self) -> None:
        self._reset()

    def _size(self) -> int:
        return len(self._series.definition.states)

    def _row(self, exemplars: Mapping[int, Exemplar] | None) -> Row:
        return Row(cast("tuple[str, ...]", self._labels), self._numbers(), None, exemplars)

    def _move_to(self, storage: NumberStorage, carry: bool) -> None:
        size = self._size()
        first = array("d", self._numbers() if carry else [0.0] * size)
        view = storage.buffer(cast("tuple[str, ...]", self._labels), first)
        if view is not self._view:
            self._use_view(view, carry)

    def _move_back(self) -> bool:
        self._use_view(cast(FloatBuffer, memoryview(array("d", bytes(8 * self._size())))), True)
        return True

    def _use_view(self, view: FloatBuffer, carry: bool) -> None:
        if not carry:
            self._view = view
            return
        zeros = array("d", bytes(8 * self._size()))
        for _ in range(_MAX_MOVES):
            if self._move_numbers(view, array("d", self._numbers()), zeros):
                return
        view[:] = array("d", self._numbers())
        self._view = view

    def _move_numbers(self, view: FloatBuffer, numbers: array[float], zeros: array[float]) -> bool:
        """Use `view` if `numbers` are still the present ones; return whether they are."""
        whole = slice(None)
        expected: Any = numbers
        # atomic: no write of a state in between, and no moment in which a state is active in both places
        former = self._view
        if former is not None and former == expected:
            view[whole] = numbers
            former[whole] = zeros
            self._view = view
            return True
        return False

    def _samples(self) -> list[Sample]:
        name = self._series.definition.name
        labels = self._label_dict()
        states = self._series.definition.states
        return [
            Sample("", {**labels, name: state}, number) for state, number in zip(states, self._numbers(), strict=True)
        ]

    def text_parts(self, prefix: str) -> list[str]:
        """Return pieces of the family's text; `prefix` is "" or ends with "_"."""
        definition = self._series.definition
        name = prefix + definition.name
        label = state_label(name)
        if label in definition.labels:
            raise LabelError(f"{self} has its states in the label {label!r}, and one of that name already")
        parts = [header(name, self.type_, definition.description)]
        lines = [""]
        for child in cast("list[StateSet]", list(self._series.children.values())):
            labels = list(child._label_dict().items())
            for state, number in zip(definition.states, child._numbers(), strict=True):
                lines.append(f"{{{format_labels([*labels, (label, state)])}}} {number!r}\n")
        parts.append(name.join(lines))
        return parts


def _validated_states(states: object, subject: str) -> tuple[str, ...]:
    if isinstance(states, (str, bytes)) or not isinstance(states, Iterable):
        raise LabelError(f"{subject} takes its states as a sequence of str but got {states!r:.80}")
    checked: list[str] = []
    for state in states:
        text = validate_text(state, f"a state of {subject}")
        if text in checked:
            raise LabelError(f"{subject} has the state {text!r} twice; give each state once")
        checked.append(text)
    if not checked:
        raise LabelError(f"{subject} has no states; give at least one")
    return tuple(checked)


if LOCKED:
    lock_methods(StateSet, "_write", "_numbers", "_reset", "_move_numbers", "_leave")
