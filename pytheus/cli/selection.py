"""Which registry and plugins would be used, and whether they could be had, as far as that shows without an import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from pytheus.plugins.address import RegistryAddress, normalized_distribution, parse_address
from pytheus.plugins.builtin import BUILTIN_REGISTRIES
from pytheus.plugins.catalog import PluginInfo, available_plugins
from pytheus.plugins.choice import choose
from pytheus.plugins.closest import closest
from pytheus.plugins.configuration import Configuration
from pytheus.plugins.switches import NamedPlugin

__all__ = ["Origin", "Selection", "matches", "problems_of", "select"]

Origin: TypeAlias = Literal["argument", "environment", "configuration", "default"]

_ORIGINS: Final[dict[str, Origin]] = {
    "as argument": "argument",
    "from PYTHEUS_REGISTRY": "environment",
    "by default": "default",
}


class Selection(NamedTuple):
    """The registry that is asked for.

    `source` tells in words who asks, and `origin` in one. `plugin` is what would make it; where it cannot be had,
    `plugin` is None and `problem` says why.
    """

    address: RegistryAddress
    source: str
    origin: Origin
    plugin: PluginInfo | None
    problem: str


def select(argument: str | None, configuration: Configuration) -> Selection:
    """What `resolve_registry` would take, with the same precedence; imports no plugin.

    Raises `SelectionError` for a name or a setting that makes no sense.

        >>> from pytheus.plugins.configuration import NO_CONFIGURATION
        >>> select("default://?prefix=shop", NO_CONFIGURATION).origin
        'argument'
    """
    text, source = choose(argument, configuration)
    address = parse_address(text, source)
    plugins = available_plugins()
    plugin, problem = _found(address, plugins)
    if problem:
        problem = f"registry plugin {_asked(address)!r} ({source}) {problem}"
    return Selection(address, source, _ORIGINS.get(source, "configuration"), plugin, problem)


def _found(address: RegistryAddress, plugins: tuple[PluginInfo, ...]) -> tuple[PluginInfo | None, str]:
    named = [plugin for plugin in plugins if plugin.name == address.name and plugin.state != "reserved"]
    matching = [plugin for plugin in named if _is_of(plugin, address.distribution)]
    if not matching:
        if named:
            return None, f"is not installed; did you mean {' or '.join(_addressed(plugin) for plugin in named)}?"
        available = sorted({plugin.name for plugin in plugins if plugin.state == "available"})
        meant = closest(address.name, available)
        hint = "install the distribution that provides it;" if meant is None else f"did you mean {meant!r}?"
        return None, f"is not installed; {hint} available: {', '.join(available)}"
    if matching[0].state == "blocked":
        return None, f"is blocked {matching[0].reason}"
    if len(matching) > 1:
        return None, f"is claimed by several distributions; {matching[0].reason}"
    return matching[0], ""


def matches(named: NamedPlugin, plugin: PluginInfo) -> bool:
    """Whether `plugin` is what `named` asks for, and may be active; those of pytheus itself have no hooks."""
    usable = plugin.state == "available" or (plugin.state == "ambiguous" and named.distribution is not None)
    return (
        usable
        and plugin.name == named.name
        and plugin.name not in BUILTIN_REGISTRIES
        and _is_of(plugin, named.distribution)
    )


def problems_of(selection: Selection, named: Sequence[NamedPlugin]) -> list[str]:
    """What is wrong with the choice of the registry and of the plugins beside it; empty if nothing is."""
    plugins = available_plugins()
    problems = [selection.problem] if selection.problem else []
    for one in named:
        if one.name in BUILTIN_REGISTRIES or any(matches(one, plugin) for plugin in plugins):
            continue
        claimed = [_addressed(plugin) for plugin in plugins if plugin.name == one.name]
        what = f"is not one plugin; choose among {' and '.join(claimed)}" if claimed else "is not installed"
        problems.append(f"plugin '{one}' ({one.setting}) {what}")
    return problems


def _is_of(plugin: PluginInfo, distribution: str | None) -> bool:
    return distribution is None or normalized_distribution(plugin.distribution) == normalized_distribution(distribution)


def _asked(address: RegistryAddress) -> str:
    return address.name if address.distribution is None else f"{address.name}@{address.distribution}"


def _addressed(plugin: PluginInfo) -> str:
    return repr(f"{plugin.name}@{plugin.distribution}")
