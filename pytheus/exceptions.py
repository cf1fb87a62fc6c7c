"""Every error that pytheus raises on purpose.

Each message tells the subject, what was got, what was expected and how to mend it; the values stand as attributes
too, so that a program need not parse the text. All derive from `PytheusError`, and those that have a builtin
counterpart (`ValueError`, `TypeError`, `LookupError`) from that as well. What can go wrong between a registry's name
and the registry has a class for each row of the table in docs/reference/selection.md.
"""

from __future__ import annotations

__all__ = [
    "AmbiguousPluginError",
    "BucketError",
    "CollectorError",
    "ConfigurationError",
    "ConflictError",
    "IncompatiblePluginError",
    "GaugeModeError",
    "InvalidNameError",
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
    "PytheusError",
    "PytheusWarning",
    "ReadOnlyError",
    "RegistryAddressError",
    "SelectionError",
    "ShardFormatError",
    "ShardStoreError",
    "UnknownRegistryError",
]


class PytheusError(Exception):
    """The base of every error that pytheus raises on purpose."""


class PytheusWarning(UserWarning):
    """The base of every warning that pytheus gives."""


class InvalidNameError(PytheusError, ValueError):
    """A metric, label, prefix or state is named as Prometheus does not allow."""


class LabelError(PytheusError, ValueError):
    """Labels that do not fit the metric: missing, unknown, repeated, or no string."""


class NotACollectorError(PytheusError, TypeError):
    """An object without a `collect()` method, or a class instead of its instance, was to be registered."""


class NotTextError(InvalidNameError, LabelError, TypeError):
    """A name, description or label value that is no str.

    The compiled build finds some of these while it takes a call's arguments, and then raises a plain `TypeError`.
    """


class NotANumberError(PytheusError, TypeError):
    """A value that is no number was handed to a metric; nothing was changed."""


class OutOfRangeError(PytheusError, ValueError):
    """A number that this metric cannot take (NaN, a negative increment of a counter); nothing was changed."""


class BucketError(PytheusError, ValueError):
    """Histogram buckets that are empty, unsorted, repeated or no numbers."""


class GaugeModeError(PytheusError, ValueError):
    """A way of bringing several processes' gauges together that there is not."""


class ConflictError(PytheusError, ValueError):
    """Two definitions would expose the same name; the one that was there first is untouched.

    `name` is the contested name, `incumbent` the collector that holds it.
    """

    def __init__(self, message: str, *, name: str, incumbent: object) -> None:
        super().__init__(message)
        self.name = name
        self.incumbent = incumbent


class NotRegisteredError(PytheusError, LookupError):
    """A collector that this registry does not hold was to be unregistered."""


class ReadOnlyError(PytheusError, TypeError):
    """A registry that can only be read was to be changed; nothing has changed."""


class NotARegistryError(PytheusError, TypeError):
    """An object that does not satisfy `pytheus.registry.Registry`; `problems` has a line for each member."""

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class ShardFormatError(PytheusError, ValueError):
    """Bytes that are no shard or archive, or not whole, or something that cannot be written as such."""


class ShardStoreError(PytheusError):
    """A store of shards cannot do its work; `reason` is a word for metrics and logs, such as "timeout"."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CollectorError(PytheusError):
    """A collector failed during a strict scrape; the original error is chained as `__cause__`."""

    def __init__(self, message: str, *, collector: str) -> None:
        super().__init__(message)
        self.collector = collector


class SelectionError(PytheusError):
    """A registry that was asked for by name cannot be had. The registry in use before serves on."""


class UnknownRegistryError(SelectionError, LookupError):
    """No plugin has that name; `name`, `available` and `suggestion` (the closest match, or None)."""

    def __init__(
        self, message: str, *, name: str, available: tuple[str, ...] = (), suggestion: str | None = None
    ) -> None:
        super().__init__(message)
        self.name = name
        self.available = available
        self.suggestion = suggestion


class AmbiguousPluginError(SelectionError):
    """Several distributions claim the name; `distributions` are those to choose from with `name@distribution`."""

    def __init__(self, message: str, *, name: str, distributions: tuple[str, ...]) -> None:
        super().__init__(message)
        self.name = name
        self.distributions = distributions


class PluginError(SelectionError):
    """Something is wrong with one plugin; `name` is the plugin's."""

    def __init__(self, message: str, *, name: str) -> None:
        super().__init__(message)
        self.name = name


class PluginLoadError(PluginError):
    """The plugin's import or factory raised; the original error is chained as `__cause__`."""


class PluginBlockedError(PluginError):
    """The plugin is there, but a setting forbids it."""


class IncompatiblePluginError(PluginError):
    """The plugin was written for a plugin API that this pytheus does not speak."""


class OptionError(SelectionError, ValueError):
    """An option that the registry does not know or cannot take; `key` names it."""

    def __init__(self, message: str, *, key: str) -> None:
        super().__init__(message)
        self.key = key


class RegistryAddressError(SelectionError, ValueError):
    """A registry's name or URL that does not follow the grammar."""


class ConfigurationError(SelectionError, ValueError):
    """A configuration file that cannot be read or says something that makes no sense."""
