"""Every error that pytheus raises on purpose.

Each message names the subject, the value it got, the values it expects and the remedy. The values are attributes as
well, so a program need not parse the text. All classes derive from `PytheusError`, and those with a builtin counterpart
(`ValueError`, `TypeError`, `LookupError`) also from that. Each row of the table of errors in
docs/reference/selection.md has a class of its own.

    >>> from pytheus import Counter
    >>> hits = Counter("hits_total", "Hits.", registry=None)
    >>> try:
    ...     hits.inc(-1)
    ... except PytheusError as error:
    ...     print(error)
    counter 'hits_total' can only grow but got -1; use a Gauge for a number that also falls
"""

from __future__ import annotations

from typing import Self, SupportsIndex

__all__ = [
    "AmbiguousPluginError",
    "BucketError",
    "CollectorError",
    "ConfigurationError",
    "ConflictError",
    "IncompatiblePluginError",
    "GaugeModeError",
    "InvalidNameError",
    "InvalidReceiverError",
    "LabelError",
    "NotACollectorError",
    "NotANumberError",
    "NotARegistryError",
    "NotRegisteredError",
    "NotTextError",
    "OptionError",
    "OutOfRangeError",
    "PluginBlockedError",
    "PluginError",
    "PluginLoadError",
    "PushError",
    "PytheusError",
    "PytheusWarning",
    "ReadOnlyError",
    "RegistryAddressError",
    "SelectionError",
    "ShardFormatError",
    "ShardStoreError",
    "UnknownRegistryError",
]


class _Copyable(BaseException):
    """Errors that survive pickle, copy and deepcopy, whatever their constructors take."""

    __slots__ = ()

    # Not `__reduce__`, which a builtin base that is named first would decide.
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> str | tuple[object, ...]:
        from pytheus.error_copies import has_own_reduction, pickled

        return self.__reduce__() if has_own_reduction(type(self)) else pickled(self)

    def __copy__(self) -> Self:
        from pytheus.error_copies import copied

        return copied(self)

    def __deepcopy__(self, memo: dict[int, object], /) -> Self:
        from pytheus.error_copies import copied

        return copied(self, memo)


class PytheusError(_Copyable, Exception):
    """The base of every error that pytheus raises on purpose.

    Each of them, and each error of a plugin that derives from it, survives pickle, copy and deepcopy with its type,
    text, attributes and the errors that it is chained to. A process of `multiprocessing` or `concurrent.futures` thus
    passes it to its parent. An attribute that cannot be pickled arrives as an object with the same text.

        >>> import pickle
        >>> error = OptionError("option 'port' must be int", key="port")
        >>> pickle.loads(pickle.dumps(error)).key
        'port'
    """


class PytheusWarning(_Copyable, UserWarning):
    """The base of every warning that pytheus issues. It survives pickle and copy as `PytheusError` does."""


class InvalidNameError(PytheusError, ValueError):
    """The name of a metric, label, prefix or state is not allowed by Prometheus."""


class LabelError(PytheusError, ValueError):
    """Labels do not fit the metric: missing, unknown, given twice, or not a str."""


class NotACollectorError(PytheusError, TypeError):
    """An object to register has no method `collect()`, or is a class."""


class NotTextError(InvalidNameError, LabelError, TypeError):
    """A name, description or label value is not a str.

    The compiled build detects some of these while it reads the arguments of a call, and then raises a plain
    `TypeError`.
    """


class NotANumberError(PytheusError, TypeError):
    """A value given to a metric is not a number. The metric is unchanged."""


class OutOfRangeError(PytheusError, ValueError):
    """A metric does not accept a number, such as NaN. The metric is unchanged."""


class BucketError(PytheusError, ValueError):
    """The buckets of a histogram are missing, unsorted, repeated or not numbers."""


class GaugeModeError(PytheusError, ValueError):
    """The mode of a gauge, or its choice of processes, does not exist."""


class ConflictError(PytheusError, ValueError):
    """Two collectors would expose the same name. The first one stays registered.

    `name` is the name in conflict, `incumbent` the collector that is registered under it.
    """

    def __init__(self, message: str, *, name: str, incumbent: object) -> None:
        super().__init__(message)
        self.name = name
        self.incumbent = incumbent


class NotRegisteredError(PytheusError, LookupError):
    """A collector to unregister is not in this registry."""


class ReadOnlyError(PytheusError, TypeError):
    """A read-only registry was to be changed. It is unchanged."""


class NotARegistryError(PytheusError, TypeError):
    """An object does not satisfy `pytheus.registry.Registry`.

    `problems` has one line for each missing or wrong member.
    """

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class ShardFormatError(PytheusError, ValueError):
    """Bytes are not a valid shard or archive, or an object cannot be encoded as one."""


class ShardStoreError(PytheusError):
    """A store of shards failed.

    `reason` is a word for metrics and logs, such as "timeout".
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PushError(PytheusError):
    """Metrics could not be sent to a receiver, or written to a file.

    `reason` is a word for metrics and logs: "timeout", "name", "connection", "tls", "response" (it is not HTTP),
    "status", "collection" or "file". `status` is that of a receiver that refused the request, otherwise None.
    """

    def __init__(self, message: str, *, reason: str, status: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status


class InvalidReceiverError(PytheusError, ValueError):
    """The URL of a receiver, or a setting for it, is not valid."""


class CollectorError(PytheusError):
    """A collector failed in a strict scrape.

    `collector` is its name; the original error is chained as `__cause__`.
    """

    def __init__(self, message: str, *, collector: str) -> None:
        super().__init__(message)
        self.collector = collector


class SelectionError(PytheusError):
    """A registry requested by name could not be created.

    The current registry stays in use.
    """


class UnknownRegistryError(SelectionError, LookupError):
    """No plugin has the requested name.

    `name` is that name, `available` are the names that exist, `suggestion` is the closest of them or None.
    """

    def __init__(
        self, message: str, *, name: str, available: tuple[str, ...] = (), suggestion: str | None = None
    ) -> None:
        super().__init__(message)
        self.name = name
        self.available = available
        self.suggestion = suggestion


class AmbiguousPluginError(SelectionError):
    """Several distributions provide a plugin with the requested name.

    `distributions` are their names; select one with ``name@distribution``.
    """

    def __init__(self, message: str, *, name: str, distributions: tuple[str, ...]) -> None:
        super().__init__(message)
        self.name = name
        self.distributions = distributions


class PluginError(SelectionError):
    """One plugin cannot be used; `name` is its name."""

    def __init__(self, message: str, *, name: str) -> None:
        super().__init__(message)
        self.name = name


class PluginLoadError(PluginError):
    """The import or the factory of a plugin raised an error.

    That error is chained as `__cause__`.
    """


class PluginBlockedError(PluginError):
    """The plugin is installed, but a setting forbids it."""


class IncompatiblePluginError(PluginError):
    """The plugin requires a version of the plugin API that is not supported."""


class OptionError(SelectionError, ValueError):
    """The registry does not accept an option or its value; `key` is the option."""

    def __init__(self, message: str, *, key: str) -> None:
        super().__init__(message)
        self.key = key


class RegistryAddressError(SelectionError, ValueError):
    """The name or URL of a registry does not follow the grammar."""


class ConfigurationError(SelectionError, ValueError):
    """A configuration file cannot be read, or contains an invalid setting."""
