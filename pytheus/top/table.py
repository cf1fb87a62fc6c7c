"""The rows of the table: which series or families, in which order, and the texts of their cells.

Rules:

- The value of a histogram or summary is the number of its observations, and its rate is theirs.
- Quantiles are those of the window, or of all observations if the window is unlimited or there is one reading.
- Only the rows on the screen get texts. Sorting by a number computes it for every row; rows without it come last.
- A row of a family has the sums of its series; gauges are not added.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from pytheus.top.arithmetic import total
from pytheus.top.cells import safe
from pytheus.top.history import History, Increase
from pytheus.top.quantiles import quantile_of
from pytheus.top.quantities import duration, is_moment, quantity, rate, unit_of
from pytheus.top.sparkline import resampled, sparkline
from pytheus.top.values import Distribution, FamilyInfo, Series, Value

__all__ = ["COLUMNS", "QUANTILES", "WINDOWS", "RowKey", "Table", "title_of"]

RowKey: TypeAlias = Series | str
"""A series, or the name of a family."""

COLUMNS: Final = ("name", "series", "value", "rate", "p50", "p90", "p99", "trend")
"""The columns in their order; all but the last one can be sorted by."""

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

WINDOWS: Final = (10.0, 60.0, math.inf)
"""The times for which rates and quantiles are told; the last one is all that is known."""

_CUMULATIVE: Final = ("counter", "histogram", "summary")
# How many numbers are added up for the history of a family, and how many of its sums are kept.
_FAMILY_NUMBERS: Final = 20_000
_RATES_AT_MOST: Final = 300
_UNKNOWN: Final = FamilyInfo("", "untyped")


class _Filter(NamedTuple):
    """Words that a title must have, and words that it may not have."""

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> _Filter:
        words = text.lower().split()
        return cls(
            tuple(word for word in words if not word.startswith("!")),
            tuple(word[1:] for word in words if len(word) > 1 and word.startswith("!")),
        )

    def allows(self, title: str) -> bool:
        return all(word in title for word in self.wanted) and not any(word in title for word in self.unwanted)


def title_of(key: RowKey, *, ascii_only: bool = False) -> str:
    r"""Return the text of a row's first cell, without characters that could change a terminal.

    >>> title_of(Series("hits_total", "hits_total", (("path", "/\x1b[2J"),)))
    'hits_total{path="/\\e[2J"}'
    """
    if isinstance(key, str):
        return safe(key, ascii_only=ascii_only)
    name = safe(key.name, ascii_only=ascii_only)
    if not key.labels:
        return name
    labels = ",".join(
        [
            '{}="{}"'.format(safe(label, ascii_only=ascii_only), safe(value, ascii_only=ascii_only).replace('"', '\\"'))
            for label, value in key.labels
        ]
    )
    return f"{name}{{{labels}}}"


class Table:
    """The rows of `history`, with a window of rates and quantiles. Not thread-safe."""

    def __init__(self, history: History, *, ascii_only: bool = False) -> None:
        self.history: Final = history
        self.ascii_only: Final = ascii_only
        self.window: float = WINDOWS[0]
        self._titles: dict[RowKey, tuple[str, str]] = {}
        # Of one list of members.
        self._label_values: tuple[Sequence[Series], dict[str, int]] = ([], {})
        # Of one family, up to the reading of a number: by moments.
        self._rates: tuple[str | None, int, dict[float, float]] = (None, 0, {})
        # By the name of a family; of one list of series.
        self._members: tuple[Sequence[Series], dict[str, list[Series]]] = ([], {})

    def info(self, key: RowKey) -> FamilyInfo:
        """Return the family of a row."""
        return self.history.families.get(key if isinstance(key, str) else key.family, _UNKNOWN)

    def title(self, key: RowKey) -> str:
        """Return the text of the first cell."""
        return self._title(key)[0]

    def _title(self, key: RowKey) -> tuple[str, str]:
        found = self._titles.get(key)
        if found is None:
            if len(self._titles) > 2 * len(self.history.series) + 10_000:
                self._titles.clear()
            title = title_of(key, ascii_only=self.ascii_only)
            plain = ""
            if not isinstance(key, str) and (key.labels or not key.name.isascii()):
                # As it is written, which the terminal may not be able to show.
                pairs = [f'{name}="{value}"' for name, value in key.labels]
                plain = f" {key.name}{{{','.join(pairs)}}} {' '.join(pairs)}"
                plain += plain.replace('"', "")
            found = self._titles[key] = (title, (title + plain).lower())
        return found

    def members(self, family: str) -> list[Series]:
        """Return the series of a family."""
        series = self.history.series
        if self._members[0] is not series:
            members: dict[str, list[Series]] = {}
            for one in series:
                members.setdefault(one.family, []).append(one)
            self._members = (series, members)
        return self._members[1].get(family, [])

    def label_values(self, family: str) -> dict[str, int]:
        """Return the number of different values of each label of a family."""
        members = self.members(family)
        if self._label_values[0] is not members:
            values: dict[str, set[str]] = {}
            for one in members:
                for name, value in one.labels:
                    values.setdefault(name, set()).add(value)
            self._label_values = (members, {name: len(found) for name, found in values.items()})
        return self._label_values[1]

    def rates(self, family: str) -> list[tuple[float, float]]:
        """Return the moments and rates of all series of a family together.

        Begins as far back as that is quick, and goes on as long as the same family is asked for.
        """
        history, members = self.history, self.members(family)
        known, number, sums = self._rates
        readings = history.number - number + 1
        if known != family:
            sums, readings = {}, max(2, _FAMILY_NUMBERS // max(1, len(members)))
        if known != family or number != history.number:
            new: dict[float, float] = {}
            for one in members:
                for at, added in history.increases(one, readings):
                    new[at] = new.get(at, 0.0) + added.per_second
            sums = dict(sorted((sums | new).items())[-_RATES_AT_MOST:])
            self._rates = (family, history.number, sums)
        return list(sums.items())

    def keys(
        self,
        *,
        families: bool = False,
        family: str | None = None,
        filtered: str = "",
        sort: str = "name",
        is_reversed: bool = False,
    ) -> list[RowKey]:
        """Return the rows in their order: series, families, or the series of one family."""
        keys: list[RowKey] = []
        if families:
            keys += list(self.history.families)
        else:
            keys += self.history.series if family is None else self.members(family)
        if filtered.strip():
            allows = _Filter.of(filtered).allows
            keys = [key for key in keys if allows(self._title(key)[1])]
        if sort == "name":
            # In the order of the names of labels and their values, and numbers in texts as numbers.
            keys.sort(
                key=lambda key: (key, ()) if isinstance(key, str) else (key.name, key.labels), reverse=is_reversed
            )
            return keys
        number = self._numbers(sort)
        known: list[tuple[float, RowKey]] = []
        unknown: list[RowKey] = []
        for key in keys:
            found = number(key)
            if found is None or math.isnan(found):
                unknown.append(key)
            else:
                known.append((found, key))
        known.sort(key=lambda pair: pair[0], reverse=not is_reversed)
        return [key for _, key in known] + unknown

    def _numbers(self, column: str) -> Callable[[RowKey], float | None]:
        if column == "series":
            return lambda key: len(self.members(key)) if isinstance(key, str) else 1
        if column == "value":
            return lambda key: _count(self.value(key))
        if column == "rate":
            return self._rate
        quantile = QUANTILES[column]
        return lambda key: self.quantile(key, quantile)

    def _rate(self, key: RowKey) -> float | None:
        added = self.increase(key)
        return None if added is None else added.per_second

    def value(self, key: RowKey) -> Value | None:
        """Return the last value of a series, or the sum of a family's; None for several gauges."""
        if isinstance(key, Series):
            return self.history.latest(key)
        members = self.members(key)
        if len(members) != 1 and self.info(key).type not in _CUMULATIVE:
            return None
        return self._total([value for one in members if (value := self.history.latest(one)) is not None])

    def _total(self, values: list[Value]) -> Value | None:
        return total(values) if values else None

    def increase(self, key: RowKey) -> Increase | None:
        """Return the increase within the window; None if that is not known, or the value may fall."""
        if self.info(key).type not in _CUMULATIVE:
            return None
        if isinstance(key, Series):
            return self.history.increase(key, self.window)
        found = [added for one in self.members(key) if (added := self.history.increase(one, self.window)) is not None]
        if not found:
            return None
        return Increase(total([added.value for added in found]), max(added.seconds for added in found))

    def observed(self, key: RowKey) -> Distribution | None:
        """Return the observations whose quantiles are shown: those of the window, or all."""
        if self.info(key).type not in ("histogram", "gaugehistogram", "summary"):
            return None
        value: Value | None
        added = None if math.isinf(self.window) or self.info(key).type == "gaugehistogram" else self.increase(key)
        value = self.value(key) if added is None else added.value
        return value if isinstance(value, Distribution) else None

    def quantile(self, key: RowKey, q: float) -> float | None:
        """Return a quantile of the observations, or None if the row has none."""
        observed = self.observed(key)
        return None if observed is None else quantile_of(observed, q)

    def cells(self, key: RowKey, columns: Sequence[str], trend_columns: int = 0) -> list[str]:
        """Return the texts of `columns` but the name; "" for a number that the row does not have, "-" for none yet."""
        info = self.info(key)
        unit = unit_of(info)
        value, added = self.value(key), self.increase(key)
        observed = self.observed(key) if any(column in QUANTILES for column in columns) else None
        texts: list[str] = []
        for column in columns:
            if column == "series":
                texts.append(str(len(self.members(key))) if isinstance(key, str) else "")
            elif column == "value":
                texts.append(self.value_text(info, value))
            elif column == "rate":
                if added is not None:
                    own = "" if isinstance(added.value, Distribution) else unit
                    texts.append(rate(added.per_second, own, ascii_only=self.ascii_only))
                else:
                    texts.append("-" if info.type in _CUMULATIVE else "")
            elif column in QUANTILES:
                number = math.nan if observed is None else quantile_of(observed, QUANTILES[column])
                texts.append(
                    quantity(number, unit, ascii_only=self.ascii_only)
                    if not math.isnan(number)
                    else "-"
                    if observed is not None and (observed.counts or observed.native)
                    else ""
                )
            elif column == "trend":
                texts.append(self.trend(key, trend_columns) if isinstance(key, Series) else "")
        return texts

    def value_text(self, info: FamilyInfo, value: Value | None) -> str:
        """Return a value as it is shown; for a distribution, the number of its observations."""
        if value is None:
            return ""
        if isinstance(value, Distribution):
            return quantity(value.observations)
        if is_moment(info) and 0 < value < math.inf:
            return f"{duration(time.time() - value, ascii_only=self.ascii_only)} ago"
        return quantity(value, unit_of(info), ascii_only=self.ascii_only)

    def history_of(self, series: Series) -> list[tuple[float, float]]:
        """Return the moments and numbers that a graph shows: rates of counts, and values of a gauge."""
        if self.info(series).type in _CUMULATIVE:
            return [(at, added.per_second) for at, added in self.history.increases(series)]
        return [
            (point.at, number) for point in self.history.points(series) if (number := _count(point.value)) is not None
        ]

    def trend(self, series: Series, columns: int) -> str:
        """Return the history of a series in one line."""
        numbers = resampled(self.history_of(series), columns)
        return sparkline(numbers, from_zero=self.info(series).type in _CUMULATIVE, ascii_only=self.ascii_only)


def _count(value: Value | None) -> float | None:
    return value.observations if isinstance(value, Distribution) else value
