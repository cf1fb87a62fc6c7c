"""A plan as a JSON document without credentials: what ``pytheus config --json`` prints, and the page for browsers shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytheus.plugins.config import SETTINGS, SettingChoice, choose_setting
from pytheus.plugins.redaction import shown_value

if TYPE_CHECKING:
    from pytheus.plugins.layers import WrapLayer
    from pytheus.plugins.plan import ActivationPlan, Plan

__all__ = ["GivenOrigin", "PlanOrigin", "layer_arguments", "plan_document", "process_settings"]


def plan_document(planned: Plan) -> dict[str, object]:
    """The registry of `planned`, with its options, problems and warnings, and what comes before it."""
    distribution, version = planned.provider or (None, None)
    return {
        "registry": {
            "address": planned.address.shown,
            "name": planned.address.name,
            "origin": planned.choice.origin,
            "source": planned.choice.source,
            "distribution": distribution,
            "version": version,
        },
        "problems": planned.problems,
        "warnings": [*planned.warnings, *planned.activation.warnings],
        "options": {key: {"value": value, "source": source} for key, value, source in planned.options.describe()},
        **_activation_document(planned.activation),
    }


def _activation_document(activation: ActivationPlan) -> dict[str, object]:
    settings = activation.settings
    return {
        "plugins": {"named": [named._asdict() for named in settings.named], "blocked": dict(settings.blocked)},
        "wrap": [{"layer": layer.name, "arguments": layer_arguments(layer)} for layer in settings.wrap],
        **{key: setting._asdict() for key, setting in process_settings(activation).items()},
        "configuration": settings.path,
    }


def process_settings(activation: ActivationPlan) -> dict[str, SettingChoice]:
    """The settings of the whole process, by their keys; raises `ConfigurationError`."""
    return {key: choose_setting(key, activation.configuration) for key in SETTINGS}


def layer_arguments(layer: WrapLayer) -> dict[str, object]:
    """The arguments of a layer, without credentials."""
    return {key: shown_value(key, value, is_known=True) for key, value in layer.arguments.items()}


class PlanOrigin:
    """The origin of a registry that `planned` has made; see `pytheus.registry.origin`."""

    __slots__ = ("_planned",)

    def __init__(self, planned: Plan) -> None:
        self._planned: Final = planned

    def document(self) -> dict[str, object]:
        return plan_document(self._planned)

    def scrub(self, text: str) -> str:
        return self._planned.options.scrub(text)


class GivenOrigin:
    """The origin of a registry that a program has passed to `configure`, behind the layers and plugins of settings."""

    __slots__ = ("_activation",)

    def __init__(self, activation: ActivationPlan) -> None:
        self._activation: Final = activation

    def document(self) -> dict[str, object]:
        return _activation_document(self._activation)

    def scrub(self, text: str) -> str:
        return text
