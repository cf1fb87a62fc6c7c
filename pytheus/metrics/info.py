"""Infos: facts about a program that are text and not numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, cast

from pytheus.atomic import LOCKED
from pytheus.escaping import is_legacy_label
from pytheus.exceptions import LabelError
from pytheus.kinds import MetricType
from pytheus.metrics.label_types import Complete, DefaultLabels, L, LabelValue, LabelValues
from pytheus.metrics.locking import lock_methods
from pytheus.metrics.metric import Metric
from pytheus.metrics.series import UNBOUND
from pytheus.names import text_name, validate_label_name, validate_label_names
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY
from pytheus.registry.storage import NumberStorage
from pytheus.samples import Exemplar, Row, Sample
from pytheus.settings import NameRules
from pytheus.textformat import format_labels, header

__all__ = ["Info"]


class Info(Metric[L, L, "Info[Complete]"]):
    """Facts that are text: a version, a build, a region.

    They are exposed as labels of a series that is always 1.

        >>> build = Info("build", "The running build.", registry=None)
        >>> build.info({"version": "1.2.3", "branch": "main"})

    It is exposed as ``build_info{version="1.2.3",branch="main"} 1.0``; a name that ends with ``_info`` gets no second
    one. Nothing is exposed until the facts are set. The arguments and errors are those of `Counter`. All methods may be
    called from any thread. https://prometheus.io/docs/specs/om/open_metrics_spec/#info
    """

    __slots__ = ("_info",)

    type_: ClassVar[MetricType] = "info"

    _info: dict[str, str] | None

    def __init__(
        self,
        name: str,
        description: str,
        required_labels: Iterable[str] | None = None,
        *,
        default_labels: DefaultLabels | None = None,
        labels_from: Mapping[str, Iterable[LabelValue]] | None = None,
        labels: L | None = None,
        names: NameRules | None = None,
        registry: Registry | None = REGISTRY,
    ) -> None:
        super().__init__(
            name, description, required_labels, default_labels, labels_from, registry, labels=labels, names=names
        )

    def _reset(self) -> None:
        self._info = None

    def _mark(self) -> object:
        return (self._info,)

    def _is_idle(self, mark: object) -> bool:
        (info,) = cast("tuple[object]", mark)
        return self._info is info

    def _leave(self, mark: object) -> bool:
        (info,) = cast("tuple[object]", mark)
        # atomic: facts come before, and the series stays, or after, and begin a new one
        if self._info is not info:
            return False
        self._view = UNBOUND
        return True

    def _share_with(self, incumbent: Metric) -> None:
        # Facts are replaced as a whole, so only the series is shared, and `_bound` finds it.
        pass

    def info(self: Info[Complete], facts: LabelValues | None = None, /, **named: LabelValue) -> None:
        """Replace the facts by those of a mapping and of keywords, each a name and a value as `labels()` takes it.

        Raises `LabelError` or `InvalidNameError` if a fact cannot be a label, or has the name of one of the metric's
        labels, and `LabelError` if a label is missing. The facts are unchanged then.
        """
        series = self._bound()
        subject = f"info {self.name!r}"
        if facts is not None and not isinstance(facts, Mapping):
            raise LabelError(f"{subject} takes its facts from a mapping or keywords but got {facts!r:.80}")
        names = self._series.definition.name_rules
        checked: dict[str, str] = {}
        for source in (facts if facts is not None else {}), named:
            for name in source:
                label = validate_label_name(name, subject, names=names)
                if label in self.label_names or label in checked:
                    raise LabelError(f"{subject} has the label {label!r} already; choose another name for the fact")
                checked[label] = self._series.text_of(label, source[name])
        if not all(map(is_legacy_label, checked)):
            validate_label_names((*self.label_names, *checked), subject, names="utf8")
        series._info = checked
        while series._view is UNBOUND:  # the series ended meanwhile
            series = self._bound()
            series._info = checked
        if self._series.storage:
            self._series.storage[0].set_info(cast("tuple[str, ...]", series._labels), checked)

    def _size(self) -> int:
        return 0

    def _row(self, exemplars: Mapping[int, Exemplar] | None) -> Row:
        return Row(cast("tuple[str, ...]", self._labels), [], self._info, exemplars)

    def _move_to(self, storage: NumberStorage, carry: bool) -> None:
        if not carry:
            self._info = None
            self._view = None
        elif self._info is not None:
            storage.set_info(cast("tuple[str, ...]", self._labels), self._info)

    def _move_back(self) -> bool:
        return self._series.children.get(cast("tuple[str, ...]", self._labels)) is self

    def _samples(self) -> list[Sample]:
        facts = self._info
        return [] if facts is None else [Sample("_info", {**self._label_dict(), **facts}, 1.0)]

    def text_parts(self, prefix: str) -> list[str]:
        """Return pieces of the family's text; `prefix` is "" or ends with "_"."""
        definition = self._series.definition
        name = prefix + text_name(definition.name, self.type_)
        parts = [header(name, self.type_, definition.description)]
        lines = [""]
        for child in cast("list[Info]", list(self._series.children.values())):
            for sample in child._samples():
                labels = format_labels(sample.labels.items())
                lines.append("{" + labels + "} 1.0\n" if labels else " 1.0\n")
        parts.append(name.join(lines))
        return parts


if LOCKED:
    lock_methods(Info, "info", "_leave")
