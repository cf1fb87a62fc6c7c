"""Which registry is asked for, and who asks.

The first of these that says something: the argument, ``PYTHEUS_REGISTRY``, ``registry`` in the configuration file,
"default". An empty variable says nothing. An empty argument, or an empty string in a file, was written by somebody and
is a mistake, which the address's grammar refuses.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from pytheus.exceptions import RegistryAddressError
from pytheus.plugins.configuration import Configuration
from pytheus.plugins.redaction import redact

__all__ = ["Choice", "choose"]


class Choice(NamedTuple):
    """A registry's name or URL as it was written, and where, in words: "from PYTHEUS_REGISTRY"."""

    text: str
    source: str

    def __repr__(self) -> str:
        return f"<Choice {redact(self.text)} {self.source}>"


def choose(argument: str | None, configuration: Configuration) -> Choice:
    """What is asked for by `argument`, the environment, or `configuration`, in this order."""
    if argument is not None:
        if not isinstance(argument, str):
            raise RegistryAddressError(
                f"a registry is chosen by a name or URL but got {type(argument).__name__};"
                " hand a registry object to REGISTRY.set_registry(...)"
            )
        return Choice(argument.strip(), "as argument")
    variable = os.environ.get("PYTHEUS_REGISTRY", "").strip()
    if variable:
        return Choice(variable, "from PYTHEUS_REGISTRY")
    if configuration.registry is not None:
        return Choice(configuration.registry.strip(), f"from {configuration.path}")
    return Choice("default", "by default")
