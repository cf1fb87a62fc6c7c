"""The plan: which registry and plugins would be used, from where, with which options, or why not.

Rules:

- `plan` imports no plugin, creates no registry and opens no connection. `pytheus.plugins.resolve` carries a plan out,
  the command line shows it.
- A reason why the plan cannot be carried out is data in it: the error that `resolve_registry` raises. Only a setting
  that cannot be read or does not follow its grammar raises here.
- Mistakes are found in the order in which they are best reported: an unknown name, a blocked one, an ambiguous one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from pytheus.exceptions import PluginBlockedError, SelectionError, UnknownRegistryError
from pytheus.plugins.address import (
    BUILTIN_REGISTRIES,
    RegistryAddress,
    closest,
    is_plugin_name,
    normalized_distribution,
    parse_address,
)
from pytheus.plugins.config import (
    SETTINGS,
    Choice,
    Configuration,
    NamedPlugin,
    PluginSettings,
    SettingChoice,
    choose,
    choose_setting,
    load_configuration,
    settings_with,
)
from pytheus.plugins.options import RegistryOptions
from pytheus.plugins.redaction import shown_value

if TYPE_CHECKING:
    from pytheus.plugins.catalog import Claim, PluginInfo
    from pytheus.plugins.layers import WrapLayer

__all__ = [
    "ActivationPlan",
    "Plan",
    "PlannedPlugin",
    "layer_arguments",
    "plan",
    "plan_activation",
    "tables_without_effect",
]


class PlannedPlugin(NamedTuple):
    """A plugin that a setting names, and its `claim`, which is None if there is a `problem`.

    A plugin that is not installed is an `UnknownRegistryError`, of which a program is only warned.
    """

    named: NamedPlugin
    claim: Claim | None
    problem: SelectionError | None

    @property
    def subject(self) -> str:
        """The words for the plugin in messages: its name and the setting that names it."""
        return f"plugin '{self.named}' ({self.named.setting})"

    def options(self, configuration: Configuration) -> RegistryOptions:
        """The plugin's own options in the configuration file."""
        return RegistryOptions(
            str(self.named),
            table=configuration.registries.get(self.named.name),
            source=self.named.setting,
            table_source=configuration.table_source(self.named.name),
        )


class ActivationPlan(NamedTuple):
    """The layers and plugins that the settings put before any registry.

    `plugins` are in the order in which their hooks are called. `warnings` are about entries without effect.
    """

    configuration: Configuration
    settings: PluginSettings
    plugins: tuple[PlannedPlugin, ...]
    warnings: tuple[str, ...]

    @property
    def process_settings(self) -> dict[str, SettingChoice]:
        """The settings of the whole process, by their keys; raises `ConfigurationError`."""
        return {key: choose_setting(key, self.configuration) for key in SETTINGS}

    def document(self) -> dict[str, object]:
        """This plan for JSON, without credentials; see `pytheus.registry.origin`."""
        settings = self.settings
        return {
            "plugins": {"named": [named._asdict() for named in settings.named], "blocked": dict(settings.blocked)},
            "wrap": [{"layer": layer.name, "arguments": layer_arguments(layer)} for layer in settings.wrap],
            **{key: setting._asdict() for key, setting in self.process_settings.items()},
            "configuration": settings.path,
        }

    def scrub(self, text: str) -> str:
        """`text`, because layers and named plugins have no credentials."""
        return text


class Plan(NamedTuple):
    """The registry that would be used.

    `choice` says who chose it. `claim` is the entry point that would create it; it is None for a built-in registry and
    if there is a `problem`, the error that `resolve_registry` raises.
    """

    choice: Choice
    address: RegistryAddress
    claim: Claim | None
    options: RegistryOptions
    problem: SelectionError | None
    warnings: tuple[str, ...]
    activation: ActivationPlan

    def document(self) -> dict[str, object]:
        """This plan for JSON, without credentials; see `pytheus.registry.origin`."""
        distribution, version = self.provider or (None, None)
        return {
            "registry": {
                "address": self.address.shown,
                "name": self.address.name,
                "origin": self.choice.origin,
                "source": self.choice.source,
                "distribution": distribution,
                "version": version,
            },
            "problems": self.problems,
            "warnings": [*self.warnings, *self.activation.warnings],
            "options": {key: {"value": value, "source": source} for key, value, source in self.options.describe()},
            **self.activation.document(),
        }

    def scrub(self, text: str) -> str:
        """`text` with ``***`` in place of the credentials of the registry's options."""
        return self.options.scrub(text)

    @property
    def subject(self) -> str:
        """The words for the registry in messages: its name and who chose it."""
        return _subject(self.address, self.choice.source)

    @property
    def problems(self) -> list[str]:
        """Everything that prevents this plan or a part of it; empty if it can be carried out completely."""
        problems = [self.problem, *(planned.problem for planned in self.activation.plugins)]
        return [str(problem) for problem in problems if problem is not None]

    @property
    def provider(self) -> tuple[str, str] | None:
        """The distribution that would create the registry and its version, or None if there is a problem."""
        from pytheus.version import __version__

        if self.problem is not None:
            return None
        return ("pytheus", __version__) if self.claim is None else (self.claim.distribution, self.claim.version)

    def chosen_by(self, plugin: PluginInfo) -> str | None:
        """The words for the setting that chooses `plugin` or names it to be active, or None."""
        if self.claim is not None:
            is_chosen = _is_claim_of(plugin, self.claim)
        else:
            is_chosen = self.problem is None and plugin.name == self.address.name and plugin.state != "reserved"
        if is_chosen:
            return self.choice.source
        for planned in self.activation.plugins:
            if planned.claim is not None and _is_claim_of(plugin, planned.claim):
                return f"by {planned.named.setting}"
        return None


def layer_arguments(layer: WrapLayer) -> dict[str, object]:
    """The arguments of a layer, without credentials."""
    return {key: shown_value(key, value, is_known=True) for key, value in layer.arguments.items()}


def _is_claim_of(plugin: PluginInfo, claim: Claim) -> bool:
    return (plugin.name, plugin.value, plugin.distribution) == (claim.name, claim.value, claim.distribution)


def plan(choice: str | None = None) -> Plan:
    """The plan for `choice`, a name or URL, or for the registry that the settings choose.

    Raises `RegistryAddressError`, `OptionError` or `ConfigurationError` for a setting that is not valid in itself.

        >>> planned = plan("default://?prefix=shop")
        >>> planned.choice.origin, planned.problem, planned.options.describe()
        ('argument', None, (('prefix', 'shop', 'as argument'),))
    """
    configuration = load_configuration()
    chosen = choose(choice, configuration)
    address = parse_address(chosen.text, chosen.source)
    activation = plan_activation(configuration)
    tables = configuration.registries
    options = RegistryOptions(
        address,
        table=tables.get(address.name),
        source=chosen.source,
        table_source=configuration.table_source(address.name),
    )
    claim: Claim | None = None
    problem: SelectionError | None = None
    try:
        claim = _claim(address, chosen.source, activation.settings)
    except SelectionError as error:
        problem = error.with_traceback(None)
    return Plan(chosen, address, claim, options, problem, _misnamed_tables(address.name, configuration), activation)


def plan_activation(configuration: Configuration) -> ActivationPlan:
    """The plan for the layers and plugins before a registry, whichever it is; raises `ConfigurationError`."""
    settings = settings_with(configuration)
    plugins = tuple(_planned(named) for named in settings.named)
    blocks = _blocks_without_effect(settings) if settings.blocked else ()
    return ActivationPlan(configuration, settings, plugins, (*configuration.warnings, *blocks))


def _subject(address: RegistryAddress, source: str) -> str:
    return f"registry plugin {address.name!r} ({source})"


def _claim(address: RegistryAddress, source: str, settings: PluginSettings) -> Claim | None:
    """The entry point that would create the registry, None for a built-in one; raises the plan's problem."""
    if address.name in BUILTIN_REGISTRIES:
        if address.distribution is not None and normalized_distribution(address.distribution) != "pytheus":
            raise UnknownRegistryError(
                f"registry plugin '{address.name}@{address.distribution}' ({source}) is not available:"
                f" {address.name!r} is reserved for pytheus itself, and a plugin of another distribution with that name"
                f" is never used; write {address.name!r} for the built-in one",
                name=address.name,
                available=tuple(BUILTIN_REGISTRIES),
            )
        _refuse_blocked(address, source, settings)
        return None
    from pytheus.plugins.catalog import claims_of, only_claim

    claims = claims_of(address.name, address.distribution)
    if not claims:
        raise _unknown(address, source, settings)
    _refuse_blocked(address, source, settings)
    return only_claim(claims, _subject(address, source))


def _refuse_blocked(address: RegistryAddress, source: str, settings: PluginSettings) -> None:
    setting = settings.blocked.get(address.name)
    if setting is not None:
        raise PluginBlockedError(
            f"{_subject(address, source)} is blocked by {setting}; remove that entry to allow it, or choose another"
            " registry",
            name=address.name,
        )


# Of the names that the documents use, so that a user who has installed pytheus alone knows what is missing.
_OWN_DISTRIBUTIONS: Final = {
    "multiprocess": "pytheus-multiprocess",
    "redis": "pytheus-redis",
    "rediss": "pytheus-redis",
}


def _unknown(address: RegistryAddress, source: str, settings: PluginSettings) -> UnknownRegistryError:
    from pytheus.plugins.catalog import catalog

    found = catalog()
    names = sorted({*BUILTIN_REGISTRIES, *found.claims})
    available = tuple(name for name in names if name not in settings.blocked)
    blocked = [f"{name} (by {settings.blocked[name]})" for name in names if name in settings.blocked]
    holders = found.claims.get(address.name, ())
    asked = f"{address.name}@{address.distribution}" if holders else address.name
    remedy = _did_you_mean(address.name, holders, available)
    remedy = remedy or f"install {_OWN_DISTRIBUTIONS.get(address.name, 'the distribution that provides it')};"
    message = f"registry plugin {asked!r} ({source}) is not installed; {remedy} available: {', '.join(available)}"
    if blocked:
        message += f"; blocked: {', '.join(blocked)}"
    if found.unreadable:
        message += f"; could not be read: {', '.join(found.unreadable)}"
    meant = None if holders else closest(address.name, available)
    return UnknownRegistryError(message, name=address.name, available=available, suggestion=meant)


def _did_you_mean(name: str, holders: Iterable[Claim], candidates: Iterable[str]) -> str:
    """A question for `holders`, other distributions' claims of `name`, or else for the closest candidate, or ""."""
    meant = [claim.address for claim in holders] or list(filter(None, [closest(name, candidates)]))
    return f"did you mean {' or '.join(map(repr, meant))}?" if meant else ""


def _misnamed_tables(name: str, configuration: Configuration) -> tuple[str, ...]:
    """Warnings about tables that were probably meant for the registry `name` or a built-in one."""
    meant = {name, *BUILTIN_REGISTRIES}
    suspects = [table for table in configuration.registries if table not in meant and closest(table, meant) is not None]
    return _tables_without_effect(suspects, meant, configuration) if suspects else ()


def tables_without_effect(planned: Plan) -> tuple[str, ...]:
    """Warnings about all tables of options that apply to no installed plugin. For commands: it reads all metadata."""
    from pytheus.plugins.catalog import catalog

    configuration = planned.activation.configuration
    names = {planned.address.name, *BUILTIN_REGISTRIES, *catalog().claims}
    return _tables_without_effect(configuration.registries, names, configuration)


def _tables_without_effect(tables: Iterable[str], meant: set[str], configuration: Configuration) -> tuple[str, ...]:
    from pytheus.plugins.catalog import catalog

    known = {*meant, *catalog().claims}
    warnings: list[str] = []
    for table in tables:
        if table in known:
            continue
        near = closest(table, meant)
        remedy = f"did you mean [tool.pytheus.registries.{near}]?" if near else "install its distribution, or remove it"
        # Another text may be an address, with its password.
        shown = f".{table}]" if is_plugin_name(table) else "] has a table that"
        warnings.append(
            f"{configuration.path}: [tool.pytheus.registries{shown} applies to no installed plugin; {remedy}"
        )
    return tuple(warnings)


# Plugins that a setting names or blocks -------------------------------------------------------------------------------


def _planned(named: NamedPlugin) -> PlannedPlugin:
    planned = PlannedPlugin(named, None, None)
    if named.name in BUILTIN_REGISTRIES:
        return planned  # it has no hooks; naming it overrides a no:NAME of the file
    from pytheus.plugins.catalog import catalog, claims_of, only_claim

    claims = claims_of(named.name, named.distribution)
    if claims:
        try:
            return planned._replace(claim=only_claim(claims, planned.subject))
        except SelectionError as error:
            return planned._replace(problem=error.with_traceback(None))
    known = catalog().claims
    remedy = _did_you_mean(named.name, known.get(named.name, ()), known)
    remedy = remedy or "install the distribution that provides it, or remove the entry"
    message = f"{planned.subject} is not installed and has no effect; {remedy}"
    return planned._replace(problem=UnknownRegistryError(message, name=named.name))


def _blocks_without_effect(settings: PluginSettings) -> Iterator[str]:
    from pytheus.plugins.catalog import catalog

    for name, setting in settings.blocked.items():
        if name not in BUILTIN_REGISTRIES and name not in (known := catalog().claims):
            meant = closest(name, {*known, *BUILTIN_REGISTRIES})
            remedy = "remove the entry if it is not needed any more" if meant is None else f"did you mean 'no:{meant}'?"
            yield f"plugin {name!r} ({setting}) is not installed, so there is nothing to block; {remedy}"
